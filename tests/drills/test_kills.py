"""Wherever a run is killed, what it had finished counts, and the next run ends as one that was never interrupted."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from orchestration.auditing import audit_recipe
from orchestration.status import status
from stillhouse.digests import digest_of_folder
from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import BASE, BATCHED
from tests.conftest import Place, a_place
from tests.small import small_recipe

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("STILLHOUSE_KILLS", "10"))
"""How many kills come at random moments."""
WHOLE_WAY_SECONDS = 60.0
"""About what the whole way takes; the random moments are spread over it."""

DISTIL = """
    import os, re, signal, sys
    from pathlib import Path
    import sqlalchemy as sa
    from orchestration.run import distil
    from orchestration.terminal import Terminal
    from stillhouse import progress
    from stillhouse.home import Home
    from stillhouse.recipe.reading import read_recipe

    # The kernel ends the process where it stands, as it would on SIGKILL: Python is not asked.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    arrived = []

    def listen(news):
        if not isinstance(news, progress.Step):
            return
        epochs = re.match(r"epoch (\\d+) of (\\d+): ", news.note)  # of a training, which tells of every step
        done, total = map(int, epochs.groups()) if epochs else (news.done, news.total)
        step = (news.description, done, total)
        if step == {moment!r} and not arrived:
            arrived.append(True)
            signal.setitimer(signal.ITIMER_REAL, {seconds!r})

    def wrote(connection, cursor, statement, *rest):
        if statement.startswith("INSERT INTO ledger "):
            arrived.append(statement)
            if len(arrived) == {write!r}:
                os.kill(os.getpid(), signal.SIGALRM)

    if {moment!r} is None and {seconds!r}:
        signal.setitimer(signal.ITIMER_REAL, {seconds!r})
    if {write!r}:
        sa.event.listen(sa.Engine, "after_cursor_execute", wrote)
    with progress.listening(listen):
        outcome = distil(read_recipe(Path({recipe!r})), Home.from_environment(), Terminal(width=200))
    sys.exit(0 if outcome.succeeded else 1)
"""

Moment = tuple[str, int, int]
"""A step of progress: its description, how much of it is done, and of how much; of a training, epochs."""

AFTER_THE_TEACHER: list[tuple[Moment, float]] = [
    (("training", 2, 5), 0.01),
    (("training", 4, 5), 0.3),
    (("training", 1, 2), 0.01),
    (("exports/one", 0, 1), 0.5),
    (("exports/one", 1, 1), 0.02),
    (("evaluation", 0, 1), 0.5),
    (("evaluation", 1, 1), 0.05),
    (("error_analysis", 0, 1), 0.1),
    (("selection", 0, 1), 0.1),
    (("selection", 1, 1), 0.05),
    (("release", 0, 1), 0.05),
    (("release", 1, 1), 0.1),
    (("champion", 0, 1), 0.02),
    (("champion", 1, 1), 0.02),
]
"""Training of each student, export, evaluation, what follows from it, release and promotion."""

WITHOUT_MEASURED_TIMES = (
    "contract", "source", "prompts", "teacher", "teacher_signal", "transfer_set", "candidates/one",
    "candidates/one_labels", "exports/one", "exports/one_labels", "error_analysis",
)  # fmt: skip


@dataclass(frozen=True)
class Killed(Place):
    """An installation whose runs are killed."""

    file: RecipeFile

    def distil(self, *, moment: Moment | None = None, seconds: float = 0.0, write: int = 0) -> int:
        """Run the recipe in a process of its own and return its exit code.

        Args:
            moment: after which step of progress, or None for after the start.
            seconds: how long after that the process is killed; 0 for never.
            write: the process is killed in the middle of its write of this number to the ledger, from 1; 0 for never.
        """
        how = {"moment": moment, "seconds": seconds, "write": write, "recipe": str(self.file.path)}
        script = textwrap.dedent(DISTIL.format(**how))
        ended = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True)
        assert ended.returncode in (0, -signal.SIGALRM), ended.stdout + ended.stderr
        return ended.returncode

    def assert_nothing_is_half_there(self) -> None:
        """Every artifact hashes to its name, every shard can be read, and the ledger's chain holds."""
        for files in Path(self.home.artifacts).glob("*/files"):
            assert digest_of_folder(files) == files.parent.name
        for shard in self.home.signal.rglob("*.parquet"):
            pl.read_parquet(shard)
        assert self.builds.ledger.problems() == []

    def digests(self) -> dict[str, str]:
        """Of each stage whose content holds no measured time."""
        return {
            stage: self.newest(stage, BASE if stage in BATCHED else None).digest for stage in WITHOUT_MEASURED_TIMES
        }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> RecipeFile:
    return small_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, file: RecipeFile) -> dict[str, str]:
    """What each stage is when nobody kills anything."""
    with a_place(tmp_path_factory.mktemp("uninterrupted")) as place:
        whole = Killed(place.folder, place.home, place.instance, file)
        assert whole.distil() == 0
        return whole.digests()


@pytest.fixture
def place(tmp_path: Path, file: RecipeFile, uninterrupted: dict[str, str]) -> Iterator[Killed]:
    with a_place(tmp_path) as place:
        yield Killed(place.folder, place.home, place.instance, file)


def assert_it_ends_as_if_nothing_had_been(place: Killed, uninterrupted: dict[str, str]) -> None:
    """The next run releases; what is not a matter of time is what an uninterrupted run makes."""
    assert place.distil() == 0
    place.assert_nothing_is_half_there()
    assert place.digests() == uninterrupted
    promotions = place.builds.ledger.entries("small", "promotion")
    champion = place.builds.ledger.champion("small")
    assert champion is not None and champion["digest"] == promotions[-1].body["digest"]
    found = audit_recipe(place.home, "small")
    assert found.ok, found.problems
    assert status(place.instance, place.builds, [place.file]).all_is_well


@pytest.mark.experiment("C1")
def test_kills_at_random_moments(place: Killed, uninterrupted: dict[str, str]) -> None:
    moments, killed = random.Random(7), 0
    while killed < KILLS:
        killed += place.distil(seconds=moments.uniform(0.5, WHOLE_WAY_SECONDS / 2)) == -signal.SIGALRM
        place.assert_nothing_is_half_there()
    assert_it_ends_as_if_nothing_had_been(place, uninterrupted)


@pytest.mark.experiment("C2")
def test_kills_at_every_stage_after_the_teacher(place: Killed, uninterrupted: dict[str, str]) -> None:
    for moment, seconds in AFTER_THE_TEACHER:
        assert place.distil(moment=moment, seconds=seconds) == -signal.SIGALRM, moment
        place.assert_nothing_is_half_there()
    assert_it_ends_as_if_nothing_had_been(place, uninterrupted)


@pytest.mark.experiment("C2")
def test_kills_in_the_middle_of_a_write_to_the_ledger(place: Killed, uninterrupted: dict[str, str]) -> None:
    """The row is written and not yet committed; with it goes what was to be committed with it, and nothing else."""
    for write in (1, 2, 20, 60):
        before = len(place.builds.ledger.entries("small"))
        assert place.distil(write=write) == -signal.SIGALRM
        assert len(place.builds.ledger.entries("small")) - before < write
        place.assert_nothing_is_half_there()
    assert_it_ends_as_if_nothing_had_been(place, uninterrupted)
