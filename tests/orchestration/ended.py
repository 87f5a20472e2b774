"""A round that found some verdicts and ended, without a stage having run."""

from typing import Any

import dagster as dg

from orchestration.outcomes import outcome_recorded
from orchestration.runs import BECAUSE_TAG, RECIPE_TAG
from stillhouse.records.builds import BuildStore

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
