"""`make bench-cascade`: the demo's student with its teacher behind it: what goes to the teacher, and is the bound kept?

`stillhouse run` makes everything in a home of its own, which is thrown away; a folder given as argument is used instead
and kept, with the report's page in it. The demo's validation and golden rows, which neither model has learned from, are
then a population whose true drop is known: 500 times as many rows as calibrate are drawn from it, the threshold is
found by them, and it is looked up whether it breaks the margin. Beside it the naive threshold, the lowest whose
measured drop is below the margin, and the one that somebody would take who knew the population.

The last line is JSON: the share of golden rows that went to the teacher and the drop there, and of the resamples the
share handed on and how many broke the bound. Exit code 1 if more than delta of them did, beyond three standard errors,
or if more than 30 % of the golden rows went to the teacher.

Belongs here: the demo's recipe with a cascade, resampling its rows.
Does not: the search for a threshold (stillhouse/statistics/), judging (stillhouse/stages/cascade.py).
"""

import json
import math
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from benchmarks.recipes import DEMO, demo_recipe, stillhouse, use_home
from stillhouse.arrays import FloatArray
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from stillhouse.stages.cascade import GOLDEN, ROWS, CascadeFacts
from stillhouse.stages.names import CASCADE
from stillhouse.statistics.fixed_sequence import THRESHOLDS, cascade_threshold

NAME = "with_the_teacher"
MARGIN, DELTA, SHARE = 0.02, 0.10, 0.30
MARGINS, CALIBRATING = (0.01, 0.02, 0.03), (300, 1000, 3000)
RESAMPLES, SEED, STANDARD_ERRORS = 500, 20261128, 3


@dataclass(frozen=True)
class Population:
    """Rows of which all is known, shape (n,) each.

    Args:
        confidence: of the student.
        teacher: where the teacher is right.
        student: where the student is.
    """

    confidence: FloatArray
    teacher: npt.NDArray[np.bool_]
    student: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Population":
        """From rows of the artifact."""
        return cls(*(rows[name].to_numpy() for name in ("confidence", "teacher_right", "student_right")))

    def at(self, threshold: float | None) -> tuple[float, float]:
        """Share that goes to the teacher, and drop of accuracy below the teacher's."""
        kept = self.confidence >= (np.inf if threshold is None else threshold)
        return float(1 - kept.mean()), float((self._lost * kept).mean())

    @property
    def _lost(self) -> FloatArray:
        return self.teacher.astype(np.float64) - self.student

    def drawn(self, generator: np.random.Generator, rows: int) -> "Population":
        """As many rows, each drawn from all."""
        chosen = generator.integers(0, len(self.confidence), rows)
        return Population(self.confidence[chosen], self.teacher[chosen], self.student[chosen])

    def lowest_below(self, margin: float) -> float | None:
        """The lowest threshold at which, as at all above it, the measured drop is below the margin; None for none."""
        kept_from = np.searchsorted(-THRESHOLDS, -self.confidence)
        drops = np.bincount(kept_from, self._lost, len(THRESHOLDS) + 1)[:-1].cumsum() / len(self.confidence)
        holding = int(np.argmax(np.append(drops >= margin, True)))
        return float(THRESHOLDS[holding - 1]) if holding else None


@dataclass(frozen=True)
class Held:
    """What came of the resamples of one margin and number of rows.

    Args:
        share: that goes to the teacher, on average.
        broken: share of thresholds whose true drop is the margin or more.
        naive_share: likewise by the naive threshold.
        naive_broken: likewise.
    """

    share: float
    broken: float
    naive_share: float
    naive_broken: float


def held(population: Population, *, margin: float, rows: int, resamples: int, generator: np.random.Generator) -> Held:
    """Draw rows again and again, find the threshold by them, and look up what it does to all."""
    ours, naive = [], []
    for _ in range(resamples):
        drawn = population.drawn(generator, rows)
        found = cascade_threshold(drawn.confidence, drawn.teacher, drawn.student, margin=margin, delta=DELTA)
        ours.append(population.at(found.threshold))
        naive.append(population.at(drawn.lowest_below(margin)))
    shares, drops = np.array(ours).T
    naive_shares, naive_drops = np.array(naive).T
    return Held(
        float(shares.mean()), float((drops >= margin).mean()), float(naive_shares.mean()),
        float((naive_drops >= margin).mean()),
    )  # fmt: skip


def table(population: Population, resamples: int) -> dict[tuple[float, int], Held]:
    """Print what goes to the teacher and how often the bound is broken, by margin and by rows that calibrate."""
    generator, found = np.random.default_rng(SEED), {}
    print(f"{len(population.confidence):,} rows, {resamples} resamples, delta {DELTA:.0%}")
    print("margin   rows   to teacher   broken   naive: to teacher   broken   known: to teacher")
    for margin in MARGINS:
        known, _ = population.at(population.lowest_below(margin))
        for rows in CALIBRATING:
            each = held(population, margin=margin, rows=rows, resamples=resamples, generator=generator)
            found[margin, rows] = each
            print(
                f"{margin:6.0%} {rows:6,} {each.share:12.1%} {each.broken:8.1%} {each.naive_share:19.1%} "
                f"{each.naive_broken:8.1%} {known:19.1%}"
            )
    return found


def main(home: Path, resamples: int = RESAMPLES) -> int:
    """Run the recipe with all state below `home`, resample its rows, and judge."""
    use_home(home)
    student = yaml.safe_load(DEMO.read_text("utf-8"))["attributes"]["students"][0]
    changes = {"students": [student], "cascade": {"margin": MARGIN, "delta": DELTA, "share_at_most": SHARE}}
    demo_recipe(home / "recipes", NAME, changes)
    os.environ["STILLHOUSE_RECIPES"] = str(home / "recipes")
    stillhouse("run", NAME)
    builds = BuildStore(Home.from_environment())
    made = builds.ledger.newest(NAME, "materialization", subject=f"{NAME}/{CASCADE}")
    if made is None:
        print("the run ended before a student was chosen", file=sys.stderr)
        return 1
    artifact = builds.artifact(made.body["digest"], made.body["manifest"])
    facts, (judged,) = artifact.facts(CascadeFacts), read_evaluations(artifact.folder)
    population = Population.of(pl.concat([artifact.frame(ROWS), artifact.frame(GOLDEN)]))
    found = table(population, resamples)
    limit = DELTA + STANDARD_ERRORS * math.sqrt(DELTA * (1 - DELTA) / resamples)
    broken = [f"margin {margin:.0%}, {rows} rows" for (margin, rows), each in found.items() if each.broken > limit]
    print(f"{facts.sentence}; {facts.cost}")
    for each in broken:
        print(f"BROKEN: {each}: more than {DELTA:.0%} of the resamples", file=sys.stderr)
    print(
        json.dumps(
            {
                "golden_share": facts.golden_share,
                "golden_drop": judged.non_inferiority.drop,
                "calibration_rows": facts.calibration_rows,
                "broken_at_most": max(each.broken for each in found.values()),
                "naive_broken_at_most": max(each.naive_broken for each in found.values()),
            }
        )
    )
    return int(bool(broken) or facts.golden_share > SHARE)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1]).absolute()))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary) / "home"))
