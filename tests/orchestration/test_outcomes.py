"""How a round ended is told where somebody looks: in the ledger, on the run, and on the page of the champion."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import time_machine

import orchestration.outcomes
from assets.keys import key_of
from orchestration.outcomes import RoundOutcome, outcome_recorded
from orchestration.runs import BECAUSE_TAG, EVENTS_TAG, OUTCOME_TAG, RECIPE_TAG, in_a_tag
from stillhouse.digests import digest_of
from stillhouse.records import ledger
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, note, pending
from stillhouse.records.ledger import Entry
from stillhouse.records.rounds import Ending
from tests.orchestration.ended import GATE, LOG, a_round, closed
from tests.orchestration.fresh import freshness
from tests.small import small_recipe

CHAMPION = key_of("small", "champion")


@pytest.fixture
def serving(builds: BuildStore) -> str:
    """A champion as the ledger has it."""
    release, digest = digest_of("release"), digest_of("champion")
    builds.ledger.append("promotion", "small", {"digest": release, "manifest": digest_of("m"), "student": "one"})
    made = {"asset": "small/champion", "digest": digest, "manifest": digest_of("n"), "run_id": "earlier"}
    builds.ledger.append("materialization", "small", made)
    return digest


def test_a_closed_gate_does_not_paint_the_serving_champion_red(
    instance: dg.DagsterInstance, builds: BuildStore, serving: str
) -> None:
    """Regression: Dagster takes an asset for failed whose newest run was planned to make it and did not."""
    run = a_round(instance, builds, closed())
    (record,) = instance.fetch_materializations(CHAMPION, limit=1).records
    assert record.run_id == run.run_id, "which is how the UI tells that this run did not fail to make it"
    event = record.asset_materialization
    assert event is not None
    assert event.description == f"Serves on. The round: {GATE} is failed: the licence does not say"
    shown = {name: value.value for name, value in event.metadata.items()}
    assert (shown["digest"], shown["student"], shown["ending"], shown["gate"]) == (serving, "one", "closed", GATE)
    assert event.tags is not None and event.tags["dagster/data_version"] == serving
    assert "cannot be read" in shown["problem"], "its bundle is not there, and that hides no outcome"


def test_the_champion_turns_red_when_it_is_overdue_and_only_a_round_that_decides_makes_it_fresh(
    tmp_path: Path, instance: dg.DagsterInstance, builds: BuildStore, serving: str
) -> None:
    file = small_recipe(tmp_path, rows=100, refresh__max_age_days=30)
    assert freshness(instance, file, datetime.now(UTC)) == {"selection": "UNKNOWN", "champion": "UNKNOWN"}
    instance.report_runless_asset_event(dg.AssetMaterialization(CHAMPION))
    decided = datetime.now(UTC)
    late = decided + timedelta(days=30, hours=1)
    assert freshness(instance, file, decided + timedelta(days=29))["champion"] == "PASS"
    assert freshness(instance, file, late)["champion"] == "FAIL"
    with time_machine.travel(late - timedelta(minutes=30), tick=True):
        a_round(instance, builds, closed())
    assert freshness(instance, file, late)["champion"] == "FAIL", "a round that a gate stopped has decided nothing"
    with time_machine.travel(late - timedelta(minutes=10), tick=True):
        instance.report_runless_asset_event(dg.AssetMaterialization(CHAMPION))
    assert freshness(instance, file, late)["champion"] == "PASS"


def test_the_run_the_ledger_and_an_observation_say_how_it_ended(
    instance: dg.DagsterInstance, builds: BuildStore, serving: str
) -> None:
    run = a_round(instance, builds, closed())
    sentence = f"{GATE} is failed: the licence does not say"
    said = instance.get_run_by_id(run.run_id)
    entry = builds.ledger.newest("small", "round")
    (record,) = instance.fetch_observations(CHAMPION, limit=1).records
    assert said is not None and said.tags[OUTCOME_TAG] == sentence
    assert entry is not None and (entry.body["sentence"], entry.body["gate"]) == (sentence, GATE)
    assert record.asset_observation is not None and record.asset_observation.metadata["because"].value == "a new batch"


def test_how_a_round_ended_is_read_from_what_was_entered_since_it_began(
    instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: every verdict of the recipe was read at the end of each round, those of years ago too."""
    for _ in range(20):
        builds.ledger.append("verdict", "small", {"run_id": "an earlier round", "waived": None, **closed()})
    read = list[str]()

    def counted(row: Any) -> Entry:
        read.append(row.kind)
        return entry_of(row)

    entry_of = ledger._entry
    monkeypatch.setattr(ledger, "_entry", counted)
    run = a_round(instance, builds, closed())
    assert entries_ending(builds) == [(run.run_id, "closed")]
    assert read.count("verdict") == 1


def test_what_a_round_found_before_it_was_taken_up_again_is_part_of_how_it_ended(
    instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    run = started(instance, "distil_small")
    outcome_recorded(instance, builds, run, LOG.append).__enter__()
    builds.ledger.append("verdict", "small", {"run_id": run.run_id, "waived": None, **closed()})
    with outcome_recorded(instance, builds, run, LOG.append):
        pass
    assert entries_ending(builds) == [(run.run_id, "closed")]


def entries_ending(builds: BuildStore) -> list[tuple[str, str]]:
    return [(entry.body["run_id"], entry.body["ending"]) for entry in builds.ledger.entries("small", "round")]


def test_without_a_champion_nothing_serves_on(instance: dg.DagsterInstance, builds: BuildStore) -> None:
    a_round(instance, builds, closed())
    assert not instance.fetch_materializations(CHAMPION, limit=1).records
    assert instance.fetch_observations(CHAMPION, limit=1).records


def started(instance: dg.DagsterInstance, job: str, name: str = "") -> dg.DagsterRun:
    tags = {RECIPE_TAG: "small", BECAUSE_TAG: f"because of {name}", "dagster/partition": "base"}
    return instance.add_run(dg.DagsterRun(job_name=job, tags=tags))


def entries(builds: BuildStore, kind: Any) -> list[tuple[str, list[str]]]:
    return [(entry.body["run_id"], entry.body["events"]) for entry in builds.ledger.entries("small", kind)]


def test_a_round_names_what_it_takes_before_it_works_and_what_comes_later_is_for_the_next(
    instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    note(builds.ledger, "small", EventKind.WEBHOOK, "a", "somebody asked")
    run = started(instance, "distil_small")
    with outcome_recorded(instance, builds, run, LOG.append):
        assert entries(builds, "round_begun") == [(run.run_id, ["webhook:a"])]
        shown = instance.get_run_by_id(run.run_id)
        assert shown is not None and shown.tags[EVENTS_TAG] == "webhook:a"
        assert [event.name for event in pending(builds.ledger, "small")] == ["webhook:a"], "nothing is answered yet"
        note(builds.ledger, "small", EventKind.WEBHOOK, "b", "somebody asked")
        builds.ledger.append("verdict", "small", {"run_id": run.run_id, "waived": None, **closed()})
    assert entries(builds, "round") == [(run.run_id, ["webhook:a"])]
    assert [event.name for event in pending(builds.ledger, "small")] == ["webhook:b"]


@pytest.mark.parametrize("how", ["killed", "broke", "only took a batch in"])
def test_what_a_round_has_not_answered_waits_for_the_next(
    instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    note(builds.ledger, "small", EventKind.PERSON, "a", "asked")
    run = started(instance, "ingest_small" if how.startswith("only") else "distil_small")
    ending = {"broke": Ending.BROKE, "only took a batch in": Ending.TAKEN_IN}.get(how, Ending.KEPT)
    monkeypatch.setattr(orchestration.outcomes, "_outcome", lambda *_: RoundOutcome(ending, "it ended"))
    rounds = outcome_recorded(instance, builds, run, LOG.append)
    rounds.__enter__()
    if how != "killed":
        rounds.__exit__(None, None, None)
    assert [event.name for event in pending(builds.ledger, "small")] == ["person:a"]
    monkeypatch.setattr(orchestration.outcomes, "_outcome", lambda *_: RoundOutcome(Ending.KEPT, "champion kept"))
    again = started(instance, "distil_small")
    with outcome_recorded(instance, builds, again, LOG.append):
        pass
    assert pending(builds.ledger, "small") == []
    assert [run_id for run_id, events in entries(builds, "round") if events] == [again.run_id]


def test_a_run_shows_the_first_events_and_how_many_more_there_are() -> None:
    assert in_a_tag([]) == "none" and in_a_tag(["a", "b", "c"]) == "a, b, c"
    assert in_a_tag([f"webhook:{number}" for number in range(500)]) == "webhook:0, webhook:1, webhook:2 and 497 more"
