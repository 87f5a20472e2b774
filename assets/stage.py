"""What every stage's asset has in common: its inputs, its record, and how it looks in the UI.

Belongs here: turning a function that makes an artifact into a Dagster asset.
Does not: anything about one stage.
"""

import inspect
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg

from assets.keys import group_of, key_of
from assets.keys import outside as outside_key
from assets.partitions import partitions_of
from stillhouse import progress, stages
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.evaluation.measures.meter import THIS_MACHINE, Meter
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore, Plan
from stillhouse.stages.bench import Reader
from stillhouse.stages.names import BASE, BATCHED, kind_of
from stillhouse.stages.versions import code_version

SECONDS_BETWEEN_LOG_LINES = 10.0
EVERY_BATCH, PARTIAL = "stillhouse/every_batch", "stillhouse/train_on_open_batches"
RECIPE = "stillhouse/recipe"


def as_metadata(recipe: Recipe) -> str:
    """A recipe as text, since metadata holds no objects, to be read where an input is loaded.

    With what serving may cost: no digest has it, but there are rules about it, and a recipe is held to all of them.
    """
    return json.dumps({**recipe.model_dump(mode="json"), "serving": recipe.serving.model_dump(mode="json")})


@dataclass(frozen=True)
class StageOutput:
    """An artifact and what a person should see of it.

    Args:
        artifact: as it was made or found again.
        metadata: for its page in the UI.
        headline: the one line that goes with it on a terminal, such as how many rows were kept.
        seen: what was found of things from outside that it was made from.
    """

    artifact: Artifact
    metadata: Mapping[str, Any]
    headline: str = ""
    seen: Sequence[dg.AssetObservation] = ()


LoadGated = Callable[[dg.AssetKey, str | None], Artifact]
"""Opens the current artifact of an asset, or of one batch of it, behind its gates."""


@dataclass(frozen=True)
class StageContext:
    """What the function of a stage works with."""

    file: RecipeFile
    stage: str
    batch: str | None
    run_id: str
    code_version: str
    builds: BuildStore
    inputs: list[Artifact]
    load_gated: LoadGated
    meter: Meter = THIS_MACHINE

    @property
    def reader(self) -> Reader:
        """Who is judged on the golden rows, if this stage judges."""
        return Reader(self.file.name, self.stage, self.run_id)

    def read(self, stage: str, batch: str | None) -> Artifact:
        """Read a stage, or one batch of it, behind its gates, and count it among the inputs of what is made."""
        artifact = self.load_gated(key_of(self.file.name, stage), batch)
        self.inputs.append(artifact)
        return artifact

    def make(self, plan: Plan[Any]) -> Artifact:
        """Make this stage's artifact; see `BuildStore.make`."""
        order = BuildRequest(
            recipe=self.file.name,
            stage=self.stage,
            batch=self.batch,
            run_id=self.run_id,
            code_version=self.code_version,
            depends_on={**plan.depends_on, "config": plan.config, "seeds": plan.seeds},
            inputs=tuple(self.inputs),
            external_inputs=plan.external_inputs,
            config=plan.config,
            seeds=plan.seeds,
            usd_per_hour=self.file.recipe.machine_usd_per_hour,
        )
        return self.builds.make(order, plan.build)


StageFunction = Callable[..., StageOutput]


def stage_asset(
    file: RecipeFile,
    stage: str,
    *,
    inputs: Mapping[str, str],
    kinds: set[str],
    beside: Mapping[str, str] = MappingProxyType({}),
    outside: Collection[str] = (),
    after: Collection[str] = (),
    every_batch: Collection[str] = (),
    of_version: str = "",
    first: str | None = None,
    measures: bool = False,
) -> Callable[[StageFunction], dg.AssetsDefinition]:
    """Make a Dagster asset of `function(context, **inputs) -> StageOutput`.

    Args:
        file: the recipe.
        stage: the stage; its key is `<recipe>/<stage>`.
        inputs: name of each parameter, and the stage whose gated artifact it receives.
        kinds: tags shown on the node in the UI.
        beside: further parameters likewise, of stages that some input was made from. They are read behind the same
            gates and are in the manifest; an edge for each would hide the way in the graph.
        outside: what it is made from that nobody makes here, by the last part of its key.
        after: stages that it hangs below without reading them behind their gates: it is about releases that the ledger
            names, whatever has become of a round since.
        every_batch: parameters that receive all batches of a batched stage, as a list; the others receive the base
            batch, or, in a batched stage, the same batch.
        of_version: what the UI counts as code beside our own: where it was changed, the asset shows as changed.
        first: a resource that is called with builds and recipe before the function, for work that is not ours to know.
        measures: whether it measures speed and memory, with the resource `meter`.
    """
    partitions = partitions_of(file, stage)

    def wrap(function: StageFunction) -> dg.AssetsDefinition:
        version = code_version(stage)
        # A parameter that is called otherwise than its input is found here and not in a run.
        inspect.signature(function).bind(None, **inputs, **beside)
        further = [*([first] if first else []), *(["meter"] if measures else [])]
        read_beside = {"read_beside": ", ".join(beside.values())} if beside else {}

        @dg.asset(
            key=key_of(file.name, stage),
            partitions_def=partitions,
            ins={
                name: dg.AssetIn(
                    key=key_of(file.name, upstream),
                    partition_mapping=_batches_read(stage, upstream, every=name in every_batch),
                    metadata={
                        EVERY_BATCH: name in every_batch,
                        PARTIAL: file.recipe.refresh.train_on_open_batches,
                        RECIPE: as_metadata(file.recipe),
                    },
                )
                for name, upstream in inputs.items()
            },
            deps=[*(outside_key(file.name, what) for what in outside), *(key_of(file.name, each) for each in after)],
            group_name=group_of(file.name, stage),
            metadata={**code_references(function, file), **read_beside},
            tags={"stillhouse/recipe": file.name, "stillhouse/stage": kind_of(stage)},
            owners=list(file.recipe.owners),
            kinds=kinds,
            description=inspect.getdoc(function),
            code_version=f"{version[:12]}{of_version and '-'}{of_version}",
            io_manager_key="artifacts",
            required_resource_keys={"builds", "artifacts", *further},
        )
        def compute(
            context: dg.AssetExecutionContext, **artifacts: Artifact | list[Artifact]
        ) -> dg.MaterializeResult[Any]:
            builds: BuildStore = context.resources.builds
            asked = StageContext(
                file=file,
                stage=stage,
                batch=context.partition_key if partitions else None,
                run_id=context.run_id,
                code_version=version,
                builds=builds,
                inputs=[item for read in artifacts.values() for item in (read if isinstance(read, list) else [read])],
                load_gated=partial(context.resources.artifacts.load_gated, builds, file.recipe),
                meter=context.resources.meter if measures else THIS_MACHINE,
            )
            with progress.listening(log_lines(context.log.info)), readable_failures():
                if first is not None:
                    getattr(context.resources, first)(builds, file)
                artifacts |= {name: asked.read(upstream, _batch_read(upstream)) for name, upstream in beside.items()}
                progress.tell(progress.StageStep(stage, 0, 1))
                shown = function(asked, **artifacts)
                progress.tell(progress.StageStep(stage, 1, 1, _ended(shown)))
            for observation in shown.seen:
                context.log_event(observation)
            return dg.MaterializeResult(
                value=shown.artifact,
                data_version=dg.DataVersion(shown.artifact.digest),
                metadata={**shown.metadata, **_common_metadata(shown.artifact)},
            )

        return compute

    return wrap


def code_references(function: StageFunction, file: RecipeFile) -> dict[str, Any]:
    """Where a person finds what an asset does and what decides it: its function, its stage, and the recipe."""
    stage = Path(inspect.getfile(function))
    work = Path(stages.__file__).parent / stage.name
    return {
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(
                    file_path=str(stage), line_number=function.__code__.co_firstlineno, label="the asset"
                ),
                dg.LocalFileCodeReference(file_path=str(work), label="how it is made"),
                dg.LocalFileCodeReference(file_path=str(file.path), label="the recipe"),
            ]
        )
    }


def _batch_read(upstream: str) -> str | None:
    """Which batch is read of a stage that is read beside."""
    return BASE if upstream in BATCHED else None


def _batches_read(stage: str, upstream: str, *, every: bool) -> dg.PartitionMapping | None:
    """Which batches of a batched stage are read: the same one, all of them, or the base batch alone."""
    if upstream not in BATCHED or stage in BATCHED:
        return None
    return dg.AllPartitionMapping() if every else dg.SpecificPartitionsPartitionMapping([BASE])


@contextmanager
def readable_failures() -> Iterator[None]:
    """Give a mistake of the user to Dagster as a failure with one plain sentence, and never retry it."""
    try:
        yield
    except StillhouseError as error:
        kind = MachineFailure if isinstance(error, MachineError) else dg.Failure
        raise kind(description=str(error), allow_retries=False) from error


class MachineFailure(dg.Failure):
    """A step that ended by a fault of this machine, such as a full disk: nothing was found out about any content."""


def log_lines(log: Callable[[str], None]) -> progress.Listener:
    """Log remarks, gates, and of each kind of work the first step, the last, and one each ten seconds."""
    last: dict[str, float] = {}

    def listen(news: progress.News) -> None:
        match news:
            case progress.Remark(sentence):
                log(sentence)
            case progress.GateDecided(asset, gate, _, note):
                log(f"{asset}: {gate} {note}")
            case progress.Step(description, done, total, note):
                now = time.monotonic()
                if done >= total or now - last.get(description, 0.0) >= SECONDS_BETWEEN_LOG_LINES:
                    last[description] = now
                    log(f"{description}: {done:,} of {total:,}{f' ({note})' if note else ''}")

    return listen


def _ended(shown: StageOutput) -> str:
    manifest = shown.artifact.manifest
    took = "found again, nothing to do" if manifest.made_by else f"{manifest.wall_seconds:.1f} s"
    return f"{took}  {shown.headline}" if shown.headline else took


def _common_metadata(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "digest": manifest.digest,
        "manifest": artifact.identity,
        "found_again": manifest.made_by is not None,
        "wall_seconds": manifest.wall_seconds,
        "cpu_seconds": manifest.cpu_seconds,
        "cost_usd": manifest.cost_usd,
    }
