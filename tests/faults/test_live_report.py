"""Faults of a day of live answers: each closes its gate, which is advice, and without one every gate is open.

A day is no part of a round, so `diagnose`, which says why no round comes to its end, does not name it.
"""

import time

import dagster as dg

from orchestration.build import definitions
from orchestration.runs import lock_of_days, recipes_of
from stillhouse.live.segments import day_at
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.live_report import LiveFacts
from stillhouse.stages.names import LIVE_REPORT, SHADOW
from tests.faults.asked import Record, in_the_page
from tests.faults.bench import Bench, Fault
from tests.faults.conftest import OpenBench
from tests.faults.gathered import faults_of
from tests.faults.live_report import ANSWERS, NAME, a_day

FAULTS = faults_of(LIVE_REPORT, before=SHADOW)


def today() -> str:
    return day_at(time.time())


def reported(bench: Bench, file: RecipeFile) -> dg.ExecuteInProcessResult:
    return bench.run_day(file, LIVE_REPORT, today())


def states(bench: Bench) -> dict[str, str]:
    found = bench.place.builds.ledger.entries(NAME, "verdict", subject=f"{NAME}/live_report[{today()}]")
    return {entry.body["gate"]: entry.body["state"] for entry in found}


def test_without_a_fault_every_gate_is_open_and_a_second_look_asks_nobody_again(open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        file = a_day(bench)
        result = reported(bench, file)
        assert result.success
        assert set(states(bench).values()) == {"passed"}, states(bench)
        (entry,) = bench.place.builds.ledger.entries(NAME, "materialization", subject=f"{NAME}/live_report[{today()}]")
        facts = bench.place.builds.artifact(entry.body["digest"], entry.body["manifest"]).facts(LiveFacts)
        assert facts.answers == ANSWERS and facts.agreement is not None
        assert facts.agreement.asked == ANSWERS
        run = bench.place.instance.get_run_by_id(result.run_id)
        assert run is not None
        assert recipes_of(bench.place.instance, run) == [lock_of_days(NAME)], "no round waits for it"


def test_a_day_without_answers_is_one_too(open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        assert reported(bench, a_day(bench, lambda frame: frame.clear())).success
        assert set(states(bench).values()) == {"passed"}


def test_a_recipe_without_a_watch_has_no_such_asset_job_and_sensor(open_bench: OpenBench) -> None:
    with open_bench(False) as bench:
        plain, watched = (definitions([bench.recipe(traffic={}, **more)]) for more in ({}, {"watch": {}}))
        nodes = [set(each.resolve_asset_graph().materializable_asset_keys) for each in (plain, watched)]
        assert nodes[1] - nodes[0] == {dg.AssetKey([NAME, "live_report"])}
        for each, there in ((plain, False), (watched, True)):
            names = {job.name for job in each.resolve_all_job_defs()} | {one.name for one in each.sensors or ()}
            assert ({f"live_report_{NAME}", f"watch_{NAME}"} <= names) is there


def test_a_fault_closes_its_gate_and_is_diagnosed() -> None:
    """None of them closes anything."""
    assert all(fault.advice for fault in FAULTS)


def test_advice_is_given_and_closes_nothing(fault: Fault, open_bench: OpenBench, record: Record) -> None:
    with open_bench(fault.finished) as bench:
        result = reported(bench, fault.plant(bench))
        assert result.success
        (said,) = (each for each in result.get_asset_check_evaluations() if each.check_name == fault.gate)
        assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert states(bench)[str(fault.gate)] == "failed"
        assert fault.says in (said.description or "")
        in_the_page(fault, said.description or "", bench, record)
