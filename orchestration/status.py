"""What is true right now of every recipe: stages, gates, champion.

Belongs here: the shape that people script against, and whether all is well.
Does not: printing it (cli.py), deciding gates (checks/).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.current import Materialization, other_event_in_dagster
from assets.keys import batches_name, key_of
from checks.gatekeeper import AssetState, GateState, GateStatus, asset_state
from orchestration.batches import drop_folder_lines
from orchestration.people import waivers_to_give_again
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Workshop
from stillhouse.records.champions import promoted
from stillhouse.records.governance import WaiverRules, valid_waivers
from stillhouse.stages.names import BASE, BATCHED, stage_names

_WORST_FIRST = (
    GateStatus.FAILED,
    GateStatus.INCONCLUSIVE,
    GateStatus.STALE,
    GateStatus.MISSING,
    GateStatus.WAIVED,
    GateStatus.PASSED,
)


@dataclass(frozen=True)
class StageNow:
    """A stage, or one batch of it, as the ledger has it now.

    Args:
        stage: its name.
        batch: which batch, for a stage that is made batch by batch.
        state: its newest materialization, its gates, and why it no longer counts, if it does not.
    """

    stage: str
    batch: str | None
    state: AssetState

    @property
    def newest(self) -> Materialization | None:
        """Its newest materialization."""
        return self.state.newest

    @property
    def gates(self) -> tuple[GateState, ...]:
        """Every blocking gate."""
        return self.state.gates


def stages_now(workshop: Workshop, file: RecipeFile, batches: Iterable[str]) -> list[StageNow]:
    """Every stage of a recipe in the order of the data, batched stages once for each batch, the base first."""
    waivers = valid_waivers(workshop.ledger, file.name, WaiverRules.of(file.recipe))
    ordered = sorted({BASE, *batches}, key=lambda batch: (batch != BASE, batch))
    return [
        StageNow(stage, batch, asset_state(workshop, file.recipe, waivers, key_of(file.name, stage), batch))
        for stage in stage_names(file.recipe)
        for batch in (ordered if stage in BATCHED else [None])
    ]


def batches_in(instance: dg.DagsterInstance, file: RecipeFile) -> list[str]:
    """The batches that a recipe has now."""
    return list(instance.get_dynamic_partitions(batches_name(file.name)))


def other_events_in_dagster(instance: dg.DagsterInstance, stages: Iterable[StageNow]) -> list[str]:
    """What Dagster's event log says otherwise than the ledger, one line each; it changes nothing."""
    lines = (other_event_in_dagster(instance, now.state.key, now.batch, now.newest) for now in stages)
    return [line for line in lines if line is not None]


def status(instance: dg.DagsterInstance, workshop: Workshop, files: list[RecipeFile]) -> dict[str, Any]:
    """Digest, age and gates of each stage, and the champion, for each recipe."""
    return {"recipes": {file.name: _recipe_status(instance, workshop, file) for file in files}}


def all_is_well(shown: dict[str, Any]) -> bool:
    """Whether every recipe has a champion, every gate is open and nothing is stale."""
    return all(
        recipe["champion"] is not None
        and all(
            not stage["stale"] and all(GateStatus(gate["state"]).is_open for gate in stage["gates"])
            for stage in recipe["stages"].values()
        )
        for recipe in shown["recipes"].values()
    )


def _recipe_status(instance: dg.DagsterInstance, workshop: Workshop, file: RecipeFile) -> dict[str, Any]:
    every = stages_now(workshop, file, batches_in(instance, file))
    stages: dict[str, list[StageNow]] = {}
    for now in every:
        stages.setdefault(now.stage, []).append(now)
    return {
        "champion": _champion(workshop, file.name),
        "stages": {stage: _stage_status(found) for stage, found in stages.items()},
        "dagster": other_events_in_dagster(instance, every),
        "drop_folder": drop_folder_lines(workshop, file),
        "waivers": waivers_to_give_again(workshop.ledger, file),
    }


def _champion(workshop: Workshop, recipe: str) -> dict[str, Any] | None:
    """What serves, since when, and who went back to it, where a person did."""
    newest = next(iter(promoted(workshop.ledger, recipe)), None)
    if newest is None:
        return None
    shown: dict[str, Any] = {"digest": newest.release, "student": newest.student, "since": newest.since}
    if newest.brought_back_by is not None:
        shown["rolled_back"] = {"by": newest.brought_back_by, "reason": newest.reason}
    return shown


def _stage_status(found: list[StageNow]) -> dict[str, Any]:
    """A stage in one piece; of a batched one digest and age of the base batch, and the worst of all batches."""
    shown = _one(found[0])
    if found[0].batch is None:
        return shown
    stale = list(dict.fromkeys(why for now in found for why in _why_not_current(now)))
    columns = zip(*(now.gates for now in found), strict=True)
    worst = [min(gates, key=lambda gate: _WORST_FIRST.index(gate.state)) for gates in columns]
    return {
        **shown,
        "stale": stale,
        "gates": [_gate(gate) for gate in worst],
        "batches": {str(n.batch): _one(n) for n in found},
    }


def _one(now: StageNow) -> dict[str, Any]:
    newest = now.newest
    return {
        "digest": newest.digest if newest else None,
        "age_seconds": round((datetime.now(UTC) - newest.at).total_seconds()) if newest else None,
        "run_id": newest.run_id if newest else None,
        "stale": _why_not_current(now),
        "gates": [_gate(gate) for gate in now.gates],
    }


def _why_not_current(now: StageNow) -> list[str]:
    broken = [now.state.broken] if now.state.broken else []
    return [*now.state.stale, *broken]


def _gate(gate: GateState) -> dict[str, Any]:
    return {"name": gate.name, "state": gate.state, "sentence": gate.sentence, "asset": gate.asset}
