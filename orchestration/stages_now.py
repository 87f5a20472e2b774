"""Every stage of a recipe as the ledger has it now.

Belongs here: which stages and batches there are, and what gates say of what is newest.
Does not: what people are shown of them (status.py, diagnosis.py), deciding gates (checks/).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from assets.keys import key_of
from assets.materializations import Materialization, other_event_in_dagster
from checks.gate_states import AssetState, GateState, asset_state, states_of_batches
from checks.stages import gates_of, waiver_rules
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import valid_waivers
from stillhouse.stages.names import BASE, BATCHED, stage_names, stages_beside


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


def stages_now(builds: BuildStore, file: RecipeFile, batches: Iterable[str]) -> list[StageNow]:
    """Every stage of a recipe in the order of the data, batched stages once for each batch, the base first."""
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    ordered = sorted({BASE, *batches}, key=lambda batch: (batch != BASE, batch))
    return [
        StageNow(stage, batch, asset_state(builds, file.recipe, waivers, key_of(file.name, stage), batch))
        for stage in stage_names(file.recipe)
        for batch in (ordered if stage in BATCHED else [None])
    ]


def beside_now(builds: BuildStore, file: RecipeFile) -> list[StageNow]:
    """Stages with gates that are no part of a round: the newest day, and each earlier one of which a gate is not open.

    Days that the recipe keeps, the newest first; what was found of earlier ones is over with their rows.
    """
    wanted = [stage for stage in stages_beside(file.recipe) if gates_of(stage).names(blocking=True)]
    if file.recipe.traffic is None or not wanted:
        return []
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    today = builds.ledger.now().date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(file.recipe.traffic.days + 1)]
    return [
        StageNow(stage, state.batch, state)
        for stage in wanted
        for number, state in enumerate(states_of_batches(builds.ledger, waivers, key_of(file.name, stage), days))
        if number == 0 or any(is_closed_beside(gate.state) for gate in state.gates)
    ]


def is_closed_beside(state: GateStatus) -> bool:
    """Whether a gate beside the rounds is closed: of a day nobody looks again only because code has changed."""
    return not state.is_open and state is not GateStatus.STALE


def other_events_in_dagster(instance: dg.DagsterInstance, stages: Iterable[StageNow]) -> list[str]:
    """What Dagster's event log says otherwise than the ledger, one line each; it changes nothing."""
    lines = (other_event_in_dagster(instance, now.state.key, now.batch, now.newest) for now in stages)
    return [line for line in lines if line is not None]
