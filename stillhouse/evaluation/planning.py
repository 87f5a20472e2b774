"""Before anything is spent: which claims can this golden set support at all?

Belongs here: the power of the planned tests, from counts of rows and the bar.
Does not: the tests themselves (statistics/), the rows (data/).
"""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.slices.declared import slice_masks
from stillhouse.recipe.bar import BarSpec, FieldSlice, SliceSpec
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.statistics.verdicts import POWER

USUAL_DISCORDANCE = 0.05
"""Share of rows on which exactly one of the two is right, as long as nobody knows better: the demo's released student
turns out at 6.5 %, and one further from its teacher needs more rows still."""

EVERYTHING = "all golden rows"
QUERIES = "queries of golden rows"

_STEP = 1e-4


class PlannedClaim(Record):
    """One non-inferiority claim of the bar, and whether the golden set is large enough for it."""

    name: str = Field(description="The slice or field, or what the bar's own claim rests on: mostly 'all golden rows'.")
    binding: bool = Field(description="Whether the verdict depends on it.")
    rows: int = Field(
        description="Golden rows at hand; for macro F1 and field F1 as many evenly spread ones as they are worth."
    )
    margin: float = Field(description="Largest acceptable drop, as a fraction.")
    alpha: float = Field(
        description="One-sided error rate; of a critical slice or field, the least that Holm leaves it."
    )
    rows_needed: int = Field(description="For 80 % power to pass a student as good as its teacher.")
    smallest_margin: float | None = Field(description="That these rows can support; null if they support none.")
    supported: bool


class Plan(Record):
    """Every claim that a recipe makes, and whether its golden set can support it."""

    discordance: float = Field(description="Assumed share of rows that exactly one of the two models gets right.")
    power: float = POWER
    claims: tuple[PlannedClaim, ...]

    @property
    def unsupported(self) -> tuple[PlannedClaim, ...]:
        """Binding claims for which there are too few rows: as it is, they can only end inconclusive."""
        return tuple(claim for claim in self.claims if claim.binding and not claim.supported)


def plan(
    golden: pl.DataFrame,
    bar: BarSpec,
    slices: Sequence[SliceSpec],
    *,
    are_sets: bool = False,
    queries: str | None = None,
    discordance: float = USUAL_DISCORDANCE,
) -> Plan:
    """Say for each claim how many golden rows it has and how many it needs.

    Args:
        golden: the golden rows, with the columns of the slices and, for a metric other than accuracy and for fields,
            `label`.
        bar: quality bar, with the fields that are judged by themselves.
        slices: declared slices.
        are_sets: whether labels are sets of labels.
        queries: where the bar is of rankings, the column whose equal values are the documents of a query.
        discordance: expected share of rows that exactly one of the two models gets right, in (0, 1].

    Raises:
        StillhouseError: if a slice's column is missing.
    """
    counts = slice_masks(golden, slices, are_sets=are_sets).sum(axis=1).tolist()
    parts: list[tuple[str, SliceSpec | FieldSlice, int]] = [
        (spec.name, spec, rows) for spec, rows in zip(slices, counts, strict=True)
    ]
    parts += [(f"field {field.name}", field, _rows_with(field.name, golden)) for field in bar.judged_fields]
    family = max(1, sum(spec.critical for _, spec, _ in parts))
    whole, height = _rows_that_count(golden, bar, queries)
    claims = [_claim(whole, height, bar.margin, bar.alpha, binding=True, discordance=discordance)]
    for name, spec, rows in parts:
        alpha = bar.alpha / family if spec.critical else bar.alpha
        margin = spec.margin or bar.margin
        claims.append(_claim(name, rows, margin, alpha, binding=spec.critical, discordance=discordance))
    return Plan(discordance=discordance, claims=tuple(claims))


def _rows_with(field: str, golden: pl.DataFrame) -> int:
    """Rows whose record has a value of a field; where models say one beside the truth, it is judged on more."""
    return sum(json.loads(label)[field] is not None for label in golden["label"])


def _rows_that_count(golden: pl.DataFrame, bar: BarSpec, queries: str | None) -> tuple[str, int]:
    """What the bar's own claim rests on, and the number of rows with which accuracy would be known as well."""
    if queries is not None:
        # A row without a query is a query of its own, and has no order.
        orders = golden.drop_nulls(queries).group_by(queries).agg(pl.col("label").n_unique())
        return QUERIES, orders.filter(pl.col("label") > 1).height
    if bar.metric == "recall":
        return f"rows of class '{bar.metric_class}'", int((golden["label"] == bar.metric_class).sum())
    if bar.metric == "macro_f1" and golden.height:
        # Each class weighs the same, so a lost row weighs by one over the rows of its class: evenly spread rows count
        # in full, and a rare class holds the others back.
        of_class = golden["label"].value_counts()["count"]
        return f"{EVERYTHING}, as macro F1 weighs them", int(len(of_class) ** 2 / (1 / of_class).sum())
    if bar.metric == "field_f1" and golden.height:
        # A row weighs by its values, so rows of as many count in full and those of none not at all (Kish 1965). Where
        # two models differ on a row, one is taken to have all of it right and the other nothing.
        values = np.array([sum(value is not None for value in json.loads(label).values()) for label in golden["label"]])
        worth = int(values.sum() ** 2 / (values**2).sum()) if values.any() else 0
        return f"{EVERYTHING}, as field F1 weighs them", worth
    return EVERYTHING, golden.height


def _claim(name: str, rows: int, margin: float, alpha: float, *, binding: bool, discordance: float) -> PlannedClaim:
    needed = rows_needed_for(margin, discordance, alpha)
    return PlannedClaim(
        name=name,
        binding=binding,
        rows=rows,
        margin=margin,
        alpha=alpha,
        rows_needed=needed,
        smallest_margin=_smallest_margin(rows, alpha, discordance),
        supported=rows >= needed,
    )


def _smallest_margin(rows: int, alpha: float, discordance: float) -> float | None:
    """The margin, to a hundredth of a point, for which so many rows are just enough; null if there is none below 1."""
    enough, too_small = 1.0 - _STEP, 0.0
    if rows < rows_needed_for(enough, discordance, alpha):
        return None
    while enough - too_small > _STEP:
        middle = (enough + too_small) / 2
        enough, too_small = (
            (middle, too_small) if rows >= rows_needed_for(middle, discordance, alpha) else (enough, middle)
        )
    return enough
