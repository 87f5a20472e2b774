"""How a round ended is told where somebody looks: in the ledger, on the run, and on the page of the champion."""

from typing import Any

import dagster as dg
import pytest

from assets.keys import key_of
from orchestration.outcomes import outcome_recorded
from orchestration.runs import BECAUSE_TAG, OUTCOME_TAG, RECIPE_TAG
from stillhouse.digests import digest_of
from stillhouse.records.builds import BuildStore

CHAMPION = key_of("small", "champion")
LOG: list[str] = []
GATE = "small/contract:terms_allow_training_on_outputs"


def a_round(instance: dg.DagsterInstance, builds: BuildStore, *verdicts: dict[str, Any]) -> dg.DagsterRun:
    """A round that found these verdicts and then ended."""
    tags = {RECIPE_TAG: "small", BECAUSE_TAG: "a new batch"}
    run = instance.add_run(dg.DagsterRun(job_name="distil_small", tags=tags))
    with outcome_recorded(instance, builds, run, LOG.append):
        for verdict in verdicts:
            builds.ledger.append("verdict", "small", {"run_id": run.run_id, "waived": None, **verdict})
    return run


def closed() -> dict[str, Any]:
    asset, gate = GATE.split(":")
    return {"asset": asset, "gate": gate, "state": "failed", "sentence": "the licence does not say"}


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


def test_the_run_the_ledger_and_an_observation_say_how_it_ended(
    instance: dg.DagsterInstance, builds: BuildStore, serving: str
) -> None:
    run = a_round(instance, builds, closed())
    sentence = f"{GATE} is failed: the licence does not say"
    told = instance.get_run_by_id(run.run_id)
    entry = builds.ledger.newest("small", "round")
    (record,) = instance.fetch_observations(CHAMPION, limit=1).records
    assert told is not None and told.tags[OUTCOME_TAG] == sentence
    assert entry is not None and (entry.body["sentence"], entry.body["gate"]) == (sentence, GATE)
    assert record.asset_observation is not None and record.asset_observation.metadata["because"].value == "a new batch"


def test_without_a_champion_nothing_serves_on(instance: dg.DagsterInstance, builds: BuildStore) -> None:
    a_round(instance, builds, closed())
    assert not instance.fetch_materializations(CHAMPION, limit=1).records
    assert instance.fetch_observations(CHAMPION, limit=1).records
