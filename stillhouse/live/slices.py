"""Parts of the traffic that are known when a request comes, each watched by itself.

Belongs here: which slices of a recipe those are, whether a row is in one, what golden rows say of one, and how many
rows are asked for where one is weak.
Does not: their limits (watches.py), counting live rows (watch.py), whether rows were delivered
(assets/requested_rows.py).

A slice is known by what the student answers, by the length of the text, or by a column that callers send. A row whose
caller did not send that column is in none of its slices.
"""

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.columns import COLUMNS, value_sent
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.watch import lengths_in
from stillhouse.release.cascade import LABEL
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.tasks.alike import alike
from stillhouse.tasks.label_sets import carries_any


class LiveSlice(Record):
    """A part of the traffic."""

    name: str
    labels: tuple[str, ...] = Field((), description="What the student answers, if that decides.")
    characters: tuple[int, int | None] | None = Field(None, description="Fewest and most, if they decide.")
    # Left out where they say nothing, so that a reference of other slices is what it was.
    column: str | None = Field(
        None, exclude_if=lambda named: named is None, description="A column that callers send, if it decides."
    )
    values: tuple[str, ...] = Field((), exclude_if=lambda named: not named, description="Of that column.")
    of_sets: bool = Field(
        False, exclude_if=lambda given: not given, description="Whether its labels are those of sets of labels."
    )
    critical: bool = Field(description="Whether owners are sent what is asked for; another slice is reported only.")
    margin: float = Field(description="That the bar allows on it.")

    def rows_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of some rows that are in it.

        Args:
            rows: with `label`, `characters` and `columns`, as the traffic log has them.
        """
        if self.column is not None:
            return rows.filter(value_sent(self.column).is_in(self.values))
        if self.characters is None:
            return rows.filter(carries_any(pl.col("label"), self.labels, are_sets=self.of_sets))
        fewest, most = self.characters
        found = rows.filter(pl.col("characters") >= fewest)
        return found if most is None else found.filter(pl.col("characters") <= most)


class SliceReference(Record):
    """What golden rows say of a slice, over those that the student answers by itself."""

    slice: LiveSlice
    heard: int = Field(description="Golden rows to which the teacher gave an answer.")
    disagreed: int = Field(description="Of them, answered otherwise by the student.")
    labelled: int = Field(description="Golden rows with a label.")
    wrong: int = Field(description="Of them, answered wrong.")


class RowsAsked(Record):
    """Rows with labels that a slice is in want of."""

    slice: str
    critical: bool
    rows_needed: int


def slices_of(recipe: Recipe) -> tuple[LiveSlice, ...]:
    """The slices of a recipe that are watched: those that are known of a request, and the lengths its watch names."""
    margin = recipe.bar.margin
    named = (_named(each, each.margin or margin, of_sets=recipe.gives_sets) for each in recipe.slices_of_requests)
    lengths = () if recipe.watch is None else recipe.watch.lengths
    return (*named, *(_by_length(each, margin) for each in lengths))


def slice_references(
    slices: Sequence[LiveSlice],
    texts: Sequence[str],
    answers: Sequence[str],
    *,
    teacher: Sequence[str | None],
    truth: Sequence[str | None],
    columns: Sequence[str | None],
    tolerance: float | None = None,
) -> tuple[SliceReference, ...]:
    """Count golden rows by slice.

    Args:
        slices: see `slices_of`.
        texts: golden texts.
        answers: the student's answer to each.
        teacher: what the teacher says to each; None where it says nothing, or answers it itself.
        truth: the label of each; None where it has none, or the teacher answers it.
        columns: what callers would send with each, as `as_sent` has it.
        tolerance: of answers that are numbers; None of labels.
    """
    rows = pl.DataFrame(
        {
            "label": answers,
            "characters": [len(each) for each in texts],
            "teacher": teacher,
            "truth": truth,
            COLUMNS: columns,
        },
        schema_overrides={"label": pl.String, "teacher": pl.String, "truth": pl.String, COLUMNS: pl.String},
    )
    found = []
    for each in slices:
        heard, labelled = (each.rows_of(rows).drop_nulls(name) for name in ("teacher", "truth"))
        found.append(
            SliceReference(
                slice=each,
                heard=heard.height,
                disagreed=heard.height - _alike(heard, "teacher", tolerance),
                labelled=labelled.height,
                wrong=labelled.height - _alike(labelled, "truth", tolerance),
            )
        )
    return tuple(found)


def _alike(rows: pl.DataFrame, column: str, tolerance: float | None) -> int:
    """In how many of some rows another column says what the student answers."""
    return rows.filter(alike(pl.col(column), pl.col("label"), tolerance)).height


def rows_asked(slice: LiveSlice, disagree: float, *, alpha: float) -> RowsAsked:
    """How many rows with labels would let the bar decide about a slice as it is asked now.

    The golden rows that there are say that it holds, and the traffic says that it does not: so as many are asked for as
    the bar's test needs, and none of those that there are is counted.

    Args:
        slice: which is weak.
        disagree: share of its rows on which student and teacher differ, at least as large as that which one alone has
            right.
        alpha: of the bar, and the share that is taken where they hardly differ.
    """
    discordance = min(max(disagree, slice.margin, alpha), 1.0)
    needed = rows_needed_for(slice.margin, discordance, alpha)
    return RowsAsked(slice=slice.name, critical=slice.critical, rows_needed=needed)


def _named(slice: SliceSpec, margin: float, *, of_sets: bool) -> LiveSlice:
    if slice.column == LABEL:
        return LiveSlice(name=slice.name, labels=slice.values, critical=slice.critical, margin=margin, of_sets=of_sets)
    return LiveSlice(name=slice.name, column=slice.column, values=slice.values, critical=slice.critical, margin=margin)


def _by_length(name: str, margin: float) -> LiveSlice:
    return LiveSlice(name=name, characters=lengths_in(name), critical=True, margin=margin)
