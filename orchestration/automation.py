"""When assets are requested without a person or a job asking: a condition for each recipe, and the sensor that asks it.

Belongs here: the automation condition, which asks the ledger whether gates are open, as everybody does.
Does not: rounds that are asked for by state, which also find what Dagster's conditions lose (sensors.py).
"""

from collections.abc import Callable, Collection
from typing import Any

import dagster as dg

from assets.keys import key_of
from checks.gate_states import lineage
from orchestration.dispatcher import held, stopped
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus

IsOpen = Callable[[dg.AssetKey, str | None], bool]
"""Whether an asset, or one batch of it, may be read."""

IsStopped = Callable[[dg.DagsterInstance], bool]
"""Whether a person has stopped a recipe, by the runs that an instance has, or its limits allow no round now."""

_Condition = dg.AutomationCondition[Any]


class MayBeRead(dg.AutomationCondition[dg.AssetKey]):
    """True of an asset, batch by batch, while everything on the way to it is open.

    Dagster's own conditions on checks ask Dagster's newest check row, which a run that is merely planned replaces, and
    which anybody who reaches the webserver can write.

    Args:
        is_open: asks the ledger.
    """

    def __init__(self, is_open: IsOpen) -> None:
        self.is_open = is_open

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "every gate on the way is open"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Keep what is open of the candidates."""
        candidates, view = context.candidate_subset, context.asset_graph_view
        partitions = context.partitions_def
        if partitions is None:
            is_open = not candidates.is_empty and self.is_open(context.key, None)
            subset = view.get_full_subset(key=context.key) if is_open else context.get_empty_subset()
        else:
            batches = {b for b in candidates.expensively_compute_partition_keys() if self.is_open(context.key, b)}
            subset = view.get_subset_from_partition_keys(context.key, partitions, batches)
        return dg.AutomationResult(context, subset)


class GoesOn(dg.AutomationCondition[dg.AssetKey]):
    """True while no person has stopped the recipe, as by cancelling its last run, and its limits allow a round.

    Args:
        is_stopped: asks runs and ledger.
    """

    def __init__(self, is_stopped: IsStopped) -> None:
        self.is_stopped = is_stopped

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "no person has stopped the recipe, and its limits allow a round"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Keep all candidates, or none."""
        goes_on = not context.candidate_subset.is_empty and not self.is_stopped(context.asset_graph_view.instance)
        return dg.AutomationResult(context, context.candidate_subset if goes_on else context.get_empty_subset())


MADE_HERE = dg.AssetSelection.all()
"""Without what comes from outside: that has no gates and no materialization, and is looked at by whoever reads it."""


def on_changed_data(is_open: IsOpen, is_stopped: IsStopped) -> _Condition:
    """Request an asset when what it is made from has changed in content, in one run with all that follows from it.

    `data_version_changed` and not `newly_updated`: our data versions are content digests, so writing the same again
    starts nothing. `~any_deps_match(~...)` and not `all_deps_match`, which one good batch is enough to satisfy on a
    fan-in.

    Args:
        is_open: asks the ledger whether an input may be read.
        is_stopped: whether a person or a limit has stopped the recipe; what its last run left is then nobody's to go
            on with.
    """
    requested = dg.AutomationCondition.will_be_requested()
    open_or_requested: _Condition = MayBeRead(is_open) | requested
    changed: _Condition = dg.AutomationCondition.data_version_changed() | requested
    return (
        dg.AutomationCondition.any_deps_match(changed).allow(MADE_HERE).since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing().allow(MADE_HERE)
        & ~dg.AutomationCondition.any_deps_in_progress().allow(MADE_HERE)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_match(~open_or_requested).allow(MADE_HERE)
        & GoesOn(is_stopped)
    ).with_label("an input's content changed and every gate of every input is open")


def open_without_waiver(file: RecipeFile) -> IsOpen:
    """Whether all on the way is open without a waiver: that lets runs pass that a person starts, and this is none.

    A tick asks for each edge of the graph, and walking the whole lineage each time took it seconds. So an answer counts
    until the ledger has a new entry, without which nothing that is asked for here changes. Who reads an artifact asks
    again.
    """
    known: dict[tuple[dg.AssetKey, str | None], bool] = {}
    asked_at: list[object] = []

    def is_open(key: dg.AssetKey, batch: str | None) -> bool:
        builds = BuildStore(Home.from_environment())
        now = [builds.ledger.url, builds.ledger.head()]
        if asked_at != now:
            known.clear()
            asked_at[:] = now
        if (key, batch) not in known:
            way = lineage(builds, file.recipe, key, batch)
            gates = (gate for state in way for gate in state.gates)
            passed = all(gate.state is GateStatus.PASSED for gate in gates)
            known[key, batch] = passed and all(state.is_open for state in way)
        return known[key, batch]

    return is_open


def automated(file: RecipeFile, assets: Collection[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give the condition to every asset of a recipe that is made from another."""

    def is_stopped(instance: dg.DagsterInstance) -> bool:
        builds = BuildStore(Home.from_environment())
        return stopped(instance, builds, file) is not None or held(builds, file) is not None

    keys = {asset.key for asset in assets}
    condition = on_changed_data(open_without_waiver(file), is_stopped)

    def follows(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_made_from_ours = any(dep.asset_key in keys for dep in spec.deps)
        return spec.replace_attributes(automation_condition=condition) if is_made_from_ours else spec

    return [asset.map_asset_specs(follows) for asset in assets]


def automation_sensor(file: RecipeFile, stages: Collection[str]) -> dg.AutomationConditionSensorDefinition:
    """Ask the conditions of a recipe, in the code server, where the ledger is. Dagster's own sensor starts STOPPED."""
    return dg.AutomationConditionSensorDefinition(
        f"what_follows_in_{file.name}",
        target=dg.AssetSelection.assets(*(key_of(file.name, stage) for stage in stages)),
        use_user_code_server=True,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Materializes what was made from data of {file.name} that has changed, while every gate is open",
    )
