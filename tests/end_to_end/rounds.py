"""A finished installation of a small recipe, into whose drop folder files come while the real daemon runs.

Belongs here: dropping rows, waiting for what comes of it, and asserting that every row is in exactly one batch.
Does not: the server (server.py), what is done to it (test_rounds.py, test_rounds_on_postgres.py).
"""

import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import polars as pl

from orchestration.runs import UNFINISHED, process_of
from stillhouse.home import CHECKOUT
from stillhouse.processes import Life, ProcessName
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.events import EventKind, history
from stillhouse.stages.facts import TransferSetFacts
from tests.conftest import Place, a_place, failures
from tests.small import questions, small_recipe

ROWS, NEW_ROWS = 1200, 40
SECONDS = 600.0
STUDENT = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}

DISTIL = """
    import sys
    from pathlib import Path
    from rich.console import Console
    from orchestration.run import distil
    from stillhouse.home import Home
    from stillhouse.recipe.reading import read_recipe
    outcome = distil(read_recipe(Path({recipe!r})), Home.from_environment(), Console(width=200))
    sys.exit(0 if outcome.succeeded else 1)
"""


@dataclass(frozen=True)
class Running(Place):
    """A finished installation of one small recipe, and the names of the files of rows that were dropped."""

    file: RecipeFile
    dropped: list[str] = field(default_factory=list)

    def drop_new_rows(self, name: str) -> None:
        """Put rows that nobody has seen into the drop folder."""
        self.drop(name, unseen(NEW_ROWS, NEW_ROWS * len(self.dropped)))
        self.dropped.append(name)

    def rounds(self) -> list[dg.DagsterRun]:
        """Runs of the two jobs, the newest first."""
        return [run for run in self.instance.get_runs() if run.job_name in ("distil_small", "ingest_small")]

    def runs_and_ticks(self) -> list[str]:
        """Every run, and what the last ticks said."""
        runs = [f"{run.job_name} {run.run_id[:8]} {run.status.value} {run.tags}" for run in self.instance.get_runs()]
        ticks = [
            f"{state.instigator_name}: {tick.status.value} {tick.skip_reason} {tick.error}"
            for state in self.instance.all_instigator_state()
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=3)
        ]
        return [*runs, *ticks]

    def champion_decided_by(self) -> str:
        """The run that made or found the newest champion."""
        entry = self.builds.ledger.newest("small", "materialization", subject="small/champion")
        return "" if entry is None else str(entry.body["run_id"])

    def at_work(self, earlier: Collection[str]) -> dict[str, ProcessName]:
        """The living process of each run that has begun to work, apart from some."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        found = {run.run_id: process_of(run.run_id, run.tags) for run in runs if run.run_id not in earlier}
        return {run_id: process for run_id, process in found.items() if process and process.life() is Life.ALIVE}

    def files_taken_in(self) -> list[str]:
        """Names of all files of all batches that count."""
        known = batches_of(self.builds.ledger, "small").values()
        return sorted(file.name for batch in known for file in batch.files)

    def trained_on(self) -> set[str]:
        """The batches that the newest transfer set was made of."""
        return {*self.newest("transfer_set").facts(TransferSetFacts).batches}

    def every_file_is_in(self) -> bool:
        """Whether each dropped file is in a batch, and the newest transfer set was made of every batch there is."""
        batches = {"base", *batches_of(self.builds.ledger, "small")}
        return self.files_taken_in() == sorted(self.dropped) and self.trained_on() == batches

    def has_decided_about_every_file_since(self, before: str) -> bool:
        """Whether the champion was decided again, of every row that was dropped."""
        return self.champion_decided_by() != before and self.every_file_is_in()

    def assert_every_row_is_in_one_batch(self) -> None:
        """Each dropped file is in one batch, and each of its rows was learned from once or rejected with a reason."""
        batches = batches_of(self.builds.ledger, "small")
        assert self.files_taken_in() == sorted(self.dropped)
        taken = self.newest("transfer_set")
        assert set(taken.manifest.facts["batches"]) == {"base", *batches}
        learned = taken.frame("transfer_set")
        assert learned["prompt_id"].is_unique().all()
        for name, batch in batches.items():
            source, prompts = self.newest("source", name), self.newest("prompts", name)
            assert source.manifest.facts["rows"] == NEW_ROWS * len(batch.files)
            assert prompts.manifest.facts["kept"] + prompts.manifest.facts["rejected"] == source.manifest.facts["rows"]
            assert learned.filter(pl.col("batch") == name).height > 0

    def assert_every_batch_was_one_event_and_had_one_round(self, *, waiting: bool) -> None:
        """No event was lost, noted twice or answered by two rounds.

        Args:
            waiting: whether events may still wait: of a round that was killed when all but its own end was done, the
                next one answers them.
        """
        noted, batches = history(self.builds.ledger, "small"), batches_of(self.builds.ledger, "small")
        new_rows = [(each.event.key, each.event.times) for each in noted if each.event.kind is EventKind.NEW_ROWS]
        assert sorted(new_rows) == [(batch, 1) for batch in sorted(batches)]
        ended = self.builds.ledger.entries("small", "round")
        answered = Counter(name for entry in ended for name in entry.body["events"])
        names = {each.event.name for each in noted}
        assert {*answered.values()} == {1} and answered.keys() <= names
        assert waiting or answered.keys() == names, names - answered.keys()

    def distil(self) -> "subprocess.Popen[str]":
        """`stillhouse run small`, in a process of its own."""
        script = textwrap.dedent(DISTIL.format(recipe=str(self.file.path)))
        return subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)


def unseen(rows: int, skip: int) -> pl.DataFrame:
    """Questions that the recipe's own source does not have; none of the rarest class, of which a few decide a gate."""
    return questions(10_000, skip=ROWS).filter(pl.col("service") != "ABBR").slice(skip, rows)


def until(place: Running, holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, and if it never does, say what every run and the last ticks came to."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "\n".join([what, *place.runs_and_ticks()])
        time.sleep(0.5)


def nothing_goes(place: Running, *but: str) -> Callable[[], bool]:
    """Whether no run is unfinished, apart from some."""
    unfinished = dg.RunsFilter(statuses=UNFINISHED)
    return lambda: not {run.run_id for run in place.instance.get_runs(unfinished)} - {*but}


@contextmanager
def finished(folder: Path, shared: Path) -> Iterator[Running]:
    """Make the installation, of which the drop folder is watched every five seconds.

    Args:
        folder: where it lies.
        shared: the folder `shared`.
    """
    with a_place(folder, seeded=shared) as place:
        # The student keeps the words of the rows: with many more of them it is less than six times smaller. With less
        # asked the quantised teacher would clear the bar. Of forty rows in a file the small teacher may doubt six, and
        # one class may lose a fifth: what closes a gate by chance of the rows is not what is tried here, and would stop
        # every round after it. Nor is speed, which a busy machine cannot tell.
        file = small_recipe(
            place.folder,
            rows=ROWS,
            students=[STUDENT],
            budget={"size_ratio_at_least": 5.5, "latency_ratio_at_least": 0.1},
            data__wrong_labels_at_most=0.99,
            limits={"lost_share_at_most": 0.99, "rejected_rows_at_most": 0.99, "int8_agreement_at_least": 0.5},
            refresh={"cron": "0 3 1 1 *", "watch_seconds": 5},
        )
        place.home.inbox("small").mkdir(parents=True)
        result = place.run(file)
        assert result.success, failures(result)
        yield Running(place.folder, place.home, place.instance, file)
