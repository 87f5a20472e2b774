"""Faults of a day of traffic: each closes its gate, and without one every gate is open.

A day is no part of a round. `status` shows its gates all the same, `diagnose` names what is kept of people beyond what
was promised before all of a round, and the rest beside it; owners are sent each gate once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import time_machine

import assets.partitions
from orchestration.approvals import waive_newest
from orchestration.build import definitions
from orchestration.diagnosis import checklist, diagnose
from orchestration.notices import standing_of
from orchestration.runs import lock_of_days, recipes_of
from orchestration.stages_now import beside_now
from orchestration.status import status
from stillhouse.errors import StillhouseError
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import Waiver
from stillhouse.records.ledger import Entry, Ledger
from stillhouse.stages.names import CONTRACT, LIVE_REPORT, TRAFFIC
from tests.conftest import a_place
from tests.faults.asked import Record, in_the_page
from tests.faults.bench import Bench, Fault
from tests.faults.gathered import faults_of
from tests.faults.traffic import DAY, NAME, NOON, a_day, of_a_replica_that_vanished, store_of
from tests.small import small_recipe

FAULTS = faults_of(TRAFFIC, before=LIVE_REPORT)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    small_recipe(folder, rows=100)
    return folder


@pytest.fixture
def bench(tmp_path: Path, material: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(assets.partitions, "_first_promotion", lambda url, recipe: DAY)
    assets.partitions._days_since.cache_clear()
    with time_machine.travel(NOON + SECONDS_A_DAY, tick=True), a_place(tmp_path) as place:
        yield Bench(place, material, monkeypatch)
    assets.partitions._days_since.cache_clear()


def summed_up(bench: Bench, file: RecipeFile) -> dg.ExecuteInProcessResult:
    return bench.run_day(file, TRAFFIC, DAY)


def verdicts_on(bench: Bench) -> dict[str, Entry]:
    return {entry.body["gate"]: entry for entry in bench.place.builds.ledger.entries(NAME, "verdict")}


def test_without_a_fault_every_gate_is_open_and_a_second_look_finds_it_again(bench: Bench) -> None:
    file = a_day(bench)
    for _ in range(2):
        result = summed_up(bench, file)
        assert result.success
        found = verdicts_on(bench)
        assert len(found) == 4
        assert {entry.body["state"] for entry in found.values()} == {"passed"}
        assert {entry.body["asset"] for entry in found.values()} == {f"{NAME}/traffic[{DAY}]"}
    made = bench.place.builds.ledger.entries(NAME, "materialization")
    assert [entry.body["found_again"] for entry in made] == [False, True]
    assert bench.place.builds.ledger.entries(NAME, "round") == []
    run = bench.place.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert recipes_of(bench.place.instance, run) == [lock_of_days(NAME)], "no round waits for it"


def test_a_day_without_answers_is_one_too(bench: Bench) -> None:
    assert summed_up(bench, bench.recipe(traffic={})).success


def test_what_a_server_left_on_this_machine_is_fetched(bench: Bench) -> None:
    def away(*_: object) -> str:
        raise ConnectionError

    with bench.monkeypatch.context() as patches:
        patches.setattr(TrafficStore, "put", away)
        file = a_day(bench)
    assert store_of(bench).days() == []
    assert summed_up(bench, file).success
    assert store_of(bench).frame(DAY, "requests").height == 2


def test_a_recipe_that_keeps_no_traffic_has_no_such_asset(bench: Bench) -> None:
    plain, keeping = bench.recipe(), bench.recipe(traffic={})
    assert plain.recipe.digest == keeping.recipe.digest

    def nodes(file: RecipeFile) -> set[dg.AssetKey]:
        return set(definitions([file]).resolve_asset_graph().materializable_asset_keys)

    assert nodes(keeping) - nodes(plain) == {dg.AssetKey([NAME, "traffic"])}
    assert f"traffic_{NAME}" not in {job.name for job in definitions([plain]).resolve_all_job_defs()}


def test_a_fault_closes_its_gate_and_is_diagnosed(fault: Fault, bench: Bench, record: Record) -> None:
    file = fault.plant(bench)
    assert not summed_up(bench, file).success
    found = verdicts_on(bench)
    assert {gate for gate, entry in found.items() if entry.body["state"] != "passed"} == {fault.gate}
    sentence = found[str(fault.gate)].body["sentence"]
    assert fault.says in sentence
    in_the_page(fault, sentence, bench, record)
    shown = status(bench.place.instance, bench.place.builds, [file]).recipes[NAME]
    assert {gate.name for gate in shown.beside[TRAFFIC].gates if not gate.state.is_open} == {fault.gate}
    assert not shown.is_well
    found = diagnose(bench.place.instance, bench.place.builds, file)
    if fault.gate in ("no_personal_data_is_left", "retention_holds"):
        assert (found.gate, found.asset, found.beside) == (fault.gate, f"{NAME}/traffic[{DAY}]", ())
        assert fault.says in found.what and f"materialize {NAME}/traffic[{DAY}] again" in found.do
    else:
        (line,) = found.beside
        assert found.stage == CONTRACT, "nothing was made yet, and nobody's data is at stake"
        assert line.startswith(f"{NAME}/traffic[{DAY}]: {fault.gate} is failed: ") and fault.says in line
    assert f"[ ] **{str(fault.gate).replace('_', ' ')}**" in checklist(bench.place.instance, bench.place.builds, file)


def test_a_person_may_answer_for_rows_that_are_gone_and_not_for_what_has_no_gate_that_blocks(bench: Bench) -> None:
    of_a_replica_that_vanished(bench)
    file = bench.recipe(traffic={"days": 90}, watch={}, notify=["json://127.0.0.1:9/"])
    assert not summed_up(bench, file).success
    builds, gate = bench.place.builds, f"{NAME}/traffic[{DAY}]:nothing_was_lost_unseen"
    (found,) = (
        each for each in standing_of(builds, file) if each[0] == "standing:gate:traffic:nothing_was_lost_unseen"
    )
    assert found[1][0] == DAY and "r2" in found[1][1].text and f"stillhouse waive '{gate}'" in found[1][1].text

    def waived(address: str) -> Waiver:
        until = date.today() + timedelta(days=5)
        return waive_newest(builds, file, Waiver(address, "Ann Lee", "the disk is gone", until, None), batches=())

    for wrong, says in (
        (f"{NAME}/traffic:nothing_was_lost_unseen", "traffic is made day by day"),
        (f"{NAME}/live_report[{DAY}]:agreement_holds", "all gates of live_report are advice"),
        (f"{NAME}/traffic[2020-01-01]:nothing_was_lost_unseen", "never materialized"),
    ):
        with pytest.raises(StillhouseError, match=says):
            waived(wrong)
    waived(gate)
    shown = status(bench.place.instance, builds, [file]).recipes[NAME].beside[TRAFFIC]
    assert {each.state for each in shown.gates} == {GateStatus.PASSED, GateStatus.WAIVED}
    assert not [each for each in standing_of(builds, file) if "nothing_was_lost" in each[0]]
    assert diagnose(bench.place.instance, builds, file).beside == ()


def test_a_day_that_was_not_well_is_seen_until_its_rows_are_over(bench: Bench) -> None:
    of_a_replica_that_vanished(bench)
    file = bench.recipe(traffic={"days": 3, "text_days": 2, "matures_after_days": 1})
    assert not summed_up(bench, file).success
    later = datetime.now(UTC) + timedelta(days=2)
    with bench.monkeypatch.context() as patches:
        patches.setattr(Ledger, "now", lambda ledger: later)
        assert [now.batch for now in beside_now(bench.place.builds, file)] == [DAY]
        patches.setattr(Ledger, "now", lambda ledger: later + timedelta(days=1))
        assert beside_now(bench.place.builds, file) == []
