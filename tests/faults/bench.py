"""The fault bench: what a planted fault is, and the place where it is planted.

Belongs here: the types of the table, a place that a fault may ruin, and the helpers that several faults share.
Does not: the faults (tests/checks), how they are planted (the other files here), whether a gate closed (asked.py).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.keys import key_of
from assets.recipe_assets import assets_of
from checks.gate_states import GateState
from orchestration.batches import batches_in
from orchestration.build import definitions
from orchestration.diagnosis import diagnose
from orchestration.runs import QUIET
from orchestration.stages_now import stages_now
from stillhouse.digests import digest_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.builds import Artifact
from stillhouse.records.governance import amend
from stillhouse.stages.contract import bar_of
from stillhouse.stages.names import BASE, BATCHED, CONTRACT, PROMPTS, SOURCE, TEACHER
from tests.conftest import Place, a_place, verdicts
from tests.small import questions, small_recipe

NAME = "small"
"""The recipe of every fault."""

_FROM_ROWS = (CONTRACT, SOURCE, PROMPTS, TEACHER)


@dataclass
class Bench:
    """A place with a recipe that a fault may ruin.

    Args:
        place: an installation of its own, empty or a copy of the finished one.
        finished: folder of the finished installation, whose rows and teacher are shared and never written.
        monkeypatch: for faults that are mistakes of the code.
    """

    place: Place
    finished: Path
    monkeypatch: pytest.MonkeyPatch

    def recipe(self, rows: pl.DataFrame | bytes | None = None, **changes: Any) -> RecipeFile:
        """A recipe on these rows, or on the bytes of a file of rows; on those of the finished one when None."""
        folder, data = self.place.folder, self.finished / "questions.csv"
        if rows is not None:
            data = folder / "rows.csv"
            data.write_bytes(rows if isinstance(rows, bytes) else rows.write_csv().encode())
        paths = {"data__source": str(data), "teacher__source": str(self.finished / "teacher")}
        for name in ("questions.csv", "teacher"):  # so that small_recipe writes neither
            if not (folder / name).exists():
                (folder / name).symlink_to(self.finished / name)
        return small_recipe(
            folder,
            name=NAME,
            **{
                **paths,
                "slices": SLICES if rows is None else [],
                "sensitive": SENSITIVE if rows is None else [],
                **changes,
            },
        )

    def amended(self, **changes: Any) -> RecipeFile:
        """The recipe with another bar, for which somebody stands up."""
        file = self.recipe(**changes)
        bar = digest_of(bar_of(file.recipe))
        amend(self.place.builds.ledger, NAME, bar=bar, by="Ada", reason="To see what this bar lets through.")
        return file

    def run(self, file: RecipeFile, *stages: str, batch: str = BASE) -> dg.ExecuteInProcessResult:
        """Run some stages with their gates."""
        return self.place.run(file, *stages, batch=batch)

    def must_run(self, file: RecipeFile, *stages: str, batch: str = BASE) -> None:
        """Run some stages that are as they should be."""
        result = self.run(file, *stages, batch=batch)
        assert result.success, verdicts(result)

    def up_to(self, stage: str, **changes: Any) -> RecipeFile:
        """The recipe, changed and frozen again, with every stage before this one as it should be."""
        file = self.recipe(**changes)
        stages = stages_of(file)
        self.must_run(file, *stages[: stages.index(stage)])
        return file

    def run_day(self, file: RecipeFile, stage: str, day: str) -> dg.ExecuteInProcessResult:
        """Run the job of a stage that is made day by day."""
        return (
            definitions([file])
            .resolve_job_def(f"{stage}_{file.name}")
            .execute_in_process(
                instance=self.place.instance,
                raise_on_error=False,
                partition_key=day,
                run_config=QUIET,
            )
        )

    def look(self, file: RecipeFile, stage: str) -> None:
        """Look at the gates of a stage without making it again."""
        chosen = dg.AssetSelection.checks_for_assets(key_of(file.name, stage))
        built = dg.Definitions.merge(
            definitions([file]), dg.Definitions(jobs=[dg.define_asset_job("look", selection=chosen)])
        )
        built.resolve_job_def("look").execute_in_process(
            instance=self.place.instance,
            raise_on_error=False,
            tags={"dagster/partition": BASE} if stage in BATCHED else {},
            run_config=QUIET,
        )

    def newest(self, stage: str) -> Artifact:
        """The newest artifact of a stage, of the base batch where it has batches."""
        return self.place.newest(stage, BASE if stage in BATCHED else None)

    def patch(self, target: str, make: Callable[[Any], Any]) -> None:
        """Replace what `module:name` or `module:Class.name` names by what `make` makes of it."""
        module, _, path = target.partition(":")
        *parents, last = path.split(".")
        owner: Any = import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        self.monkeypatch.setattr(owner, last, make(getattr(owner, last)))

    def build_again(self) -> None:
        """Let the stage that runs next build, though an earlier build of the same order exists."""
        self.monkeypatch.setattr(ArtifactStore, "find_build", lambda store, key, *, is_recorded: None)

    @contextmanager
    def building_again(self) -> Iterator[None]:
        """Let stages build for a while; what is patched meanwhile is undone with it."""
        with self.monkeypatch.context() as patches:
            before, self.monkeypatch = self.monkeypatch, patches
            self.build_again()
            yield
            self.monkeypatch = before

    def drop(self, rows: pl.DataFrame | bytes, name: str = "march.csv") -> None:
        """Put a later batch into the drop folder."""
        folder = self.place.home.inbox(NAME)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(rows if isinstance(rows, bytes) else rows.write_csv().encode())

    def rewrite(self, path: Path, content: bytes) -> None:
        """Replace a published file; a write in place would reach the finished installation through the hard link."""
        path.unlink()
        path.write_bytes(content)

    def states(self, file: RecipeFile, stage: str, batch: str | None) -> tuple[GateState, ...]:
        """Each blocking gate of a stage, in the order in which they are looked at."""
        now = stages_now(self.place.builds, file, batches_in(self.place.instance, file))
        (found,) = [item for item in now if (item.stage, item.batch) == (stage, batch)]
        return found.gates

    def diagnose(self, file: RecipeFile) -> dict[str, Any]:
        """What is wrong first."""
        return diagnose(self.place.instance, self.place.builds, file)


Plant = Callable[[Bench], RecipeFile]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what has to be said about it.

    Args:
        name: what is wrong, in words.
        stage: the stage at which it is found.
        gate: the gate that closes, and that `diagnose` names; None where the stage itself breaks.
        plant: makes the recipe with the fault, up to just before the stage.
        says: part of the sentence.
        state: of the gate: failed or inconclusive; stale where looking broke, as it had looked at what was before.
        also: further gates that close for the same reason.
        batch: the batch that is at fault, for a stage that has batches.
        look_only: the fault is in what was made before, so gates are looked at and nothing is made.
        refuses: a stage further down that is then launched alone, and has to be refused.
        advice: the gate closes nothing.
        later: it comes after a round that went well, though a round begins at its stage.
    """

    name: str
    stage: str
    gate: str | None
    plant: Plant
    says: str = ""
    state: str = "failed"
    also: tuple[str, ...] = ()
    batch: str = BASE
    look_only: bool = False
    refuses: str | None = None
    advice: bool = False
    later: bool = False

    @property
    def finished(self) -> bool:
        """Whether it is planted in a copy of the finished installation; else in an empty one."""
        return self.later or self.stage not in (CONTRACT, SOURCE, PROMPTS)

    def stages(self) -> tuple[str, ...]:
        """The stages to run: in an empty installation all from the contract on, or from the source of a later batch."""
        if self.finished:
            return (self.stage,)
        way = _FROM_ROWS[: _FROM_ROWS.index(self.stage) + 1]
        return way if self.batch == BASE else way[1:]

    def address(self) -> str:
        """The stage, with the batch where it is not the base."""
        return self.stage if self.batch == BASE else f"{self.stage}, batch {self.batch}"


SLICES = [
    {"name": "people", "column": "kind", "values": ["HUM:ind", "HUM:gr"], "critical": False},
    {"name": "periods", "column": "kind", "values": ["NUM:date", "NUM:period"], "critical": False},
]


SENSITIVE = [{"column": "channel", "gap_at_most": 0.4}]
"""Few of the golden rows come by post, and of few rows only a wide limit can be proven."""


def finished_rows() -> pl.DataFrame:
    """The rows of the finished installation, one in fifteen by post."""
    by_post = pl.int_range(pl.len()) % 15 == 0
    return rows(1200).with_columns(pl.when(by_post).then(pl.lit("post")).otherwise(pl.lit("app")).alias("channel"))


def finished_recipe(folder: Path) -> RecipeFile:
    """The recipe of the finished installation, with the rows and the teacher that all faults share."""
    finished_rows().write_csv(folder / "questions.csv")
    return small_recipe(folder, name=NAME, slices=SLICES, sensitive=SENSITIVE)


def copy_of_home(source: Path, target: Path) -> None:
    """Copy an installation: artifacts, which are never written again, by hard link, and databases for real."""
    linked = {source / "artifacts", source / "cache", source / "signal"}
    for path in sorted(source.iterdir()):
        if path in linked:
            shutil.copytree(path, target / path.name, copy_function=_link)
        elif path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)


@contextmanager
def a_copy_of(source: Path, folder: Path) -> Iterator[Place]:
    """Open a copy of the installation of a place, below another folder, to be ruined."""
    copy_of_home(source / "home", folder / "home")
    with a_place(folder) as place:
        yield place


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


@cache
def rows(number: int, skip: int = 0) -> pl.DataFrame:
    """Real questions, with columns question, service and kind."""
    return questions(number, skip)


def stages_of(file: RecipeFile) -> list[str]:
    """Every stage of a recipe, in the order of the data."""
    return list(assets_of(file))
