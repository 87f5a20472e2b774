"""How many rows each class has on each side of the split.

Belongs here: counting them, and which classes have too few.
Does not: closing anything (checks/prompts/labels.py), the split (splits.py).
"""

from dataclasses import dataclass

import polars as pl

from stillhouse.data.quoting import quoted
from stillhouse.recipe.limits import GateLimits


@dataclass(frozen=True)
class ClassRows:
    """A class with its labelled rows.

    Args:
        label: the class.
        train: rows to learn from whose label is known.
        validation: rows that watch training.
        golden: rows that judge.
    """

    label: str
    train: int
    validation: int
    golden: int

    def __str__(self) -> str:
        """For a sentence."""
        return f"{quoted(self.label)!r} ({self.train} training, {self.validation} validation, {self.golden} golden)"


def class_rows(prompts: pl.DataFrame) -> list[ClassRows]:
    """Count the labelled rows of each class, fewest first.

    Args:
        prompts: `label`, `split`.
    """
    sides = [(pl.col("split") == side).sum().cast(pl.Int64).alias(side) for side in ("train", "validation", "golden")]
    counted = prompts.drop_nulls("label").group_by("label").agg(sides)
    ranked = counted.sort(pl.sum_horizontal("train", "validation", "golden"), "label")
    return [ClassRows(**row) for row in ranked.to_dicts()]


def with_too_few(classes: list[ClassRows], limits: GateLimits, *, labels_are_taught: bool) -> list[ClassRows]:
    """Classes that nothing can be learned of, or that nothing can be said of afterwards.

    Args:
        classes: with their rows.
        limits: how many are enough.
        labels_are_taught: whether rows to learn from have a label at all; else what they are of is for a teacher to
            say, and golden rows alone count.
    """
    to_learn_from = limits.class_training_rows_at_least if labels_are_taught else 0
    return [each for each in classes if each.train < to_learn_from or each.golden < limits.class_golden_rows_at_least]
