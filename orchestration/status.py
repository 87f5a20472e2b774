"""What is true right now of every recipe: stages, gates, champion.

Belongs here: the shape that people script against, and whether all is well.
Does not: printing it (cli.py), deciding gates (checks/).
"""

import time
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.current import Materialization, newest_materialization
from assets.keys import BASE, BATCHED, batches_name, key_of
from assets.recipe_assets import assets_of
from checks.gatekeeper import GateState, gate_states
from stillhouse.governance import valid_waivers
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop

_WORST_FIRST = ("failed", "inconclusive", "stale", "missing", "waived", "passed")


@dataclass(frozen=True)
class StageNow:
    """A stage, or one batch of it, as it is now.

    Args:
        stage: its name.
        batch: which batch, for a stage that is made batch by batch.
        newest: its newest materialization.
        gates: every blocking gate.
    """

    stage: str
    batch: str | None
    newest: Materialization | None
    gates: list[GateState]


def stages_now(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> list[StageNow]:
    """Every stage of a recipe in the order of the data, batched stages once for each batch, the base first."""
    waivers = valid_waivers(workshop.ledger, file.name)
    batches = sorted({BASE, *instance.get_dynamic_partitions(batches_name(file.name))}, key=lambda b: (b != BASE, b))
    found = []
    for stage in assets_of(file):
        key = key_of(file.name, stage)
        for batch in batches if stage in BATCHED else [None]:
            newest = newest_materialization(instance, key, batch)
            found.append(StageNow(stage, batch, newest, gate_states(instance, waivers, key, newest, batch)))
    return found


def status(instance: dg.DagsterInstance, workshop: Workshop, files: list[RecipeFile]) -> dict[str, Any]:
    """Digest, age and gates of each stage, and the champion, for each recipe."""
    return {"recipes": {file.name: _recipe_status(instance, workshop, file) for file in files}}


def all_is_well(shown: dict[str, Any]) -> bool:
    """Whether every recipe has a champion and every gate is open."""
    return all(
        recipe["champion"] is not None
        and all(gate["state"] in ("passed", "waived") for stage in recipe["stages"].values() for gate in stage["gates"])
        for recipe in shown["recipes"].values()
    )


def _recipe_status(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> dict[str, Any]:
    promoted = workshop.ledger.champion(file.name)
    stages: dict[str, list[StageNow]] = {}
    for now in stages_now(instance, workshop, file):
        stages.setdefault(now.stage, []).append(now)
    return {
        "champion": {"digest": promoted["digest"], "student": promoted["student"]} if promoted else None,
        "stages": {stage: _stage_status(found) for stage, found in stages.items()},
    }


def _stage_status(found: list[StageNow]) -> dict[str, Any]:
    """A stage in one piece; of a batched one digest and age of the base batch, and each gate as in its worst batch."""
    shown = _one(found[0])
    if found[0].batch is None:
        return shown
    columns = zip(*(now.gates for now in found), strict=True)
    worst = [min(gates, key=lambda gate: _WORST_FIRST.index(gate.state)) for gates in columns]
    return {**shown, "gates": [_gate(gate) for gate in worst], "batches": {str(n.batch): _one(n) for n in found}}


def _one(now: StageNow) -> dict[str, Any]:
    newest = now.newest
    return {
        "digest": newest.digest if newest else None,
        "age_seconds": round(time.time() - newest.timestamp) if newest else None,
        "run_id": newest.run_id if newest else None,
        "gates": [_gate(gate) for gate in now.gates],
    }


def _gate(gate: GateState) -> dict[str, Any]:
    return {"name": gate.name, "state": gate.state, "sentence": gate.sentence, "asset": gate.asset}
