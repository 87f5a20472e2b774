"""Faults of the student with its teacher behind it, in a copy of a finished installation whose recipe gets a cascade.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CASCADE
from tests.faults.bench import Bench, Plant
from tests.faults.plants import NOBODY

BOTH = {"margin": 0.05, "share_at_most": 0.95}
"""Of 120 rows that calibrate a margin of 5 points can be proven, and of so small a student much goes to the teacher."""
CRITICAL = [{"name": "people", "column": "kind", "values": ["HUM:ind", "HUM:gr"], "critical": True, "margin": 0.5}]


def with_a_cascade(bench: Bench, cascade: dict[str, Any] = BOTH, **changes: Any) -> RecipeFile:
    """The recipe with a cascade, for which somebody stands up, and every stage before it as it should be."""
    bench.amended(cascade=cascade, **changes)
    return bench.up_to(CASCADE, cascade=cascade, **changes)


def made(target: str, put: Callable[[Any], Any], **changes: Any) -> Plant:
    """The cascade is made with one function replaced."""

    def plant(bench: Bench) -> RecipeFile:
        file = with_a_cascade(bench, **changes)
        bench.patch(f"stillhouse.stages.cascade:{target}", put)
        return file

    return plant


def answers_of_another_class(real: Any) -> Any:
    """What is given is not what either of them says, in a third of the rows."""

    def outputs(both: Any, handed_on: np.ndarray) -> np.ndarray:
        given = np.array(real(both, handed_on))
        given[::3] = np.roll(given[::3], 1, axis=1)
        return given

    return outputs


def golden_rows_as_validation(real: Any) -> Any:
    def rows(prompts: pl.DataFrame) -> pl.DataFrame:
        return prompts.filter(pl.col("split") == "golden").with_columns(split=pl.lit("validation")).sort("prompt_id")

    return rows


def of_another_teacher(real: Any) -> Any:
    return lambda teacher: real(teacher).model_copy(update={"artifact": NOBODY})


def judged_twice(bench: Bench) -> RecipeFile:
    """A second cascade that a person stands up for, after the golden rows have judged a first one."""
    once = {"split__golden_rounds_at_most": 1}
    bench.must_run(with_a_cascade(bench, **once), CASCADE)
    return with_a_cascade(bench, {**BOTH, "margin": 0.06}, **once)
