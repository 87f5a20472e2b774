"""What is true right now of every recipe: stages, gates, champion.

Belongs here: the shape that people script against, and whether all is well.
Does not: printing it (cli.py), deciding gates (checks/).
"""

import time
from typing import Any

import dagster as dg

from assets.current import newest_materialization
from assets.keys import key_of
from assets.recipe_assets import assets_of
from checks.gatekeeper import gate_states
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Workshop


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
    return {
        "champion": {"digest": promoted["digest"], "student": promoted["student"]} if promoted else None,
        "stages": {stage: _stage_status(instance, file, stage) for stage in assets_of(file)},
    }


def _stage_status(instance: dg.DagsterInstance, file: RecipeFile, stage: str) -> dict[str, Any]:
    key = key_of(file.name, stage)
    newest = newest_materialization(instance, key)
    states = gate_states(instance, key, newest)
    return {
        "digest": newest.digest if newest else None,
        "age_seconds": round(time.time() - newest.timestamp) if newest else None,
        "run_id": newest.run_id if newest else None,
        "gates": [{"name": gate.name, "state": gate.state, "sentence": gate.sentence} for gate in states],
    }
