"""What live traffic is held against: the golden rows, and after a quiet month the traffic itself.

Belongs here: counting a reference, and the chance that student and teacher agree, by the student's
confidence.
Does not: limits that follow from it (watches.py), reading golden rows (stillhouse/stages/live_reference.py).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.live.number_bins import bin_names, bin_of
from stillhouse.live.slices import LiveSlice, SliceReference, slice_references
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from stillhouse.statistics.weekly_pattern import WeeklyPattern
from stillhouse.tasks.alike import which_alike
from stillhouse.tasks.label_sets import names_of
from stillhouse.tasks.numbers import DIGITS
from stillhouse.tasks.records import counted_of

_LENGTH_BINS, _CONFIDENCE_BINS, _NUMBER_BINS = 5, 10, 5
_UNSURE = 0.1
"""The share of golden rows with the least confidence: how many live ones are as unsure is watched."""


class AgreementScale(Record):
    """How often student and teacher agreed on golden rows, by the student's confidence."""

    edges: tuple[float, ...] = Field(description="Between bins of confidence, ascending; none where there is one bin.")
    rows: tuple[int, ...]
    agreed: tuple[int, ...]

    def chance(self, confidence: Sequence[float | None]) -> FloatArray:
        """Calibrated chance of agreement of each answer; never 0 or 1, by Laplace's rule of succession."""
        bins = [0 if each is None else bisect_right(self.edges, each) for each in confidence]
        return self.of_bins[np.array(bins, np.int64)]

    @property
    def of_bins(self) -> FloatArray:
        """The chance in each bin, shape (bins,); a half where no golden row is."""
        return (np.array(self.agreed) + 1.0) / (np.array(self.rows) + 2.0)

    @property
    def of_golden_rows(self) -> FloatArray:
        """The chance of each golden row, shape (rows,): what a plan of asking is made for."""
        return np.repeat(self.of_bins, self.rows)

    @property
    def disagreed(self) -> int:
        """Golden rows on which the two differ."""
        return sum(self.rows) - sum(self.agreed)


class CascadeReference(Record):
    """What golden rows say of the answers that the student of a cascade keeps, and the margin it keeps them with.

    Counted over those that have a label and an answer of the teacher, whoever answers them: the margin is of all.
    """

    margin: float = Field(description="That both together were proven to hold against the teacher alone.")
    threshold: float | None = Field(description="Confidence from which the student answers; null where it never does.")
    rows: int
    differ: int = Field(description="Of them, kept by the student and answered otherwise than the teacher would.")
    lost: int = Field(description="Kept, and only the teacher is right.")
    won: int = Field(description="Kept, and only the student is right.")
    wrong: int = Field(description="Kept, and the student is wrong.")

    @property
    def teacher_wrong(self) -> int:
        """Kept, and the teacher would be wrong, too or alone."""
        return self.wrong - self.lost + self.won


class Reference(Record):
    """Counts of what is watched, on rows that are as they should be."""

    release: str = Field(description="Whose answers were counted.")
    origin: Literal["golden", "live"] = Field(description="Golden rows, or a month of live answers.")
    until: str | None = Field(None, description="Last day of a live reference.")
    rows: int
    labels: dict[str, int] = Field(
        description="Answers with each label, of records with each thing that is counted of them; one that never "
        "occurred has 0. Empty of numbers."
    )
    of_records: bool = Field(
        False,
        exclude_if=lambda of_them: not of_them,  # so that a reference of labels is what it was
        description="Whether answers are records.",
    )
    number_edges: tuple[float, ...] = Field(
        (),
        exclude_if=lambda edges: not edges,  # so that a reference of labels is what it was
        description="Of answers that are numbers, between bins of them, ascending.",
    )
    numbers: tuple[int, ...] = Field(
        (),
        exclude_if=lambda counts: not counts,  # likewise
        description="Answers in each of these bins.",
    )
    tolerance: float | None = Field(
        None,
        exclude_if=lambda tolerance: tolerance is None,  # likewise
        description="Of answers that are numbers, how far apart two may be that count as one, for the release.",
    )
    edges: tuple[int, ...] = Field(description="Between bins of length in characters, ascending.")
    lengths: tuple[int, ...] = Field(description="Texts in each bin.")
    unsure_below: float | None = Field(description="Confidence below which an answer is unsure; null without any.")
    unsure: int = Field(description="Answers below it.")
    agreement: AgreementScale | None = Field(
        description="Of rows that the student answers by itself. Null where the teacher said nothing of them."
    )
    labelled: int = Field(description="Golden rows with a label that the student answers by itself.")
    wrong: int = Field(description="Of them, answered wrong.")
    handed_on: tuple[int, int] | None = Field(
        None, description="Golden rows that the teacher behind it answers, and all of them; null without a cascade."
    )
    cascade: CascadeReference | None = Field(
        None,
        exclude_if=lambda cascade: cascade is None,  # so that a reference without one is what it was
        description="Left out without a cascade.",
    )
    slices: tuple[SliceReference, ...] = Field(
        (),
        exclude_if=lambda named: not named,  # so that a reference without any is what it was
        description="Those that are known when a request comes.",
    )
    weekly: dict[str, WeeklyPattern] = Field(
        {},
        exclude_if=lambda patterns: not patterns,  # likewise
        description="Of live answers: the shares that go by the weekday, by what is watched, such as `label place`.",
    )

    @property
    def number_bins(self) -> tuple[str, ...]:
        """What the bins of numbers are called; none of labels."""
        return bin_names(self.number_edges) if self.number_edges else ()


def golden_reference(
    release: str,
    names: Sequence[str],
    texts: Sequence[str],
    answers: Sequence[str],
    confidence: Sequence[float | None],
    *,
    teacher: Sequence[str | None],
    truth: Sequence[str | None],
    handed_on: Sequence[bool] | None = None,
    threshold: CascadeThreshold | None = None,
    slices: Sequence[LiveSlice] = (),
    columns: Sequence[str | None] | None = None,
    tolerance: float | None = None,
    kept: Sequence[str] | None = None,
) -> Reference:
    """Count what a release says to its golden rows.

    What is asked is counted over all of them, as the student says it. How good answers are is counted over those that
    it answers by itself, as it is of live ones: of what is handed on it is unsure, and nobody is given its answer.

    Args:
        release: its digest.
        names: all labels that it can answer; of records all that can be counted of them.
        texts: golden texts, at least one.
        answers: its answer to each.
        confidence: of each answer; None where answers have none.
        teacher: what the teacher says to each; None where it says nothing.
        truth: the label of each; None where it has none.
        handed_on: whether the teacher behind it answers each; None where there is no cascade.
        threshold: of the cascade, with its margin.
        slices: that are watched by themselves.
        columns: what callers would send with each text, as `as_sent` has it; None where they send none.
        tolerance: of answers that are numbers; None of labels.
        kept: of answers that are records, as places in their texts, what the traffic log would have: that is counted,
            as it is of live ones. None of any other.
    """
    own = [True] * len(texts) if handed_on is None else [not each for each in handed_on]
    taught = [answer if mine else None for answer, mine in zip(teacher, own, strict=True)]
    known_truth = [label if mine else None for label, mine in zip(truth, own, strict=True)]
    characters, labelled = [len(text) for text in texts], sum(each is not None for each in known_truth)
    edges = _edges([float(each) for each in characters], _LENGTH_BINS)
    lengths = tuple(int(edge) for edge in edges)
    known = [each for each in confidence if each is not None]
    unsure_below = float(np.quantile(known, _UNSURE)) if known else None
    counts = names_carried(Counter(answers if kept is None else kept), names, of_records=kept is not None)
    number_edges = () if tolerance is None else _edges_of_numbers(answers)
    return Reference(
        release=release,
        origin="golden",
        rows=len(texts),
        labels={name: counts[name] for name in names} if tolerance is None else {},
        of_records=kept is not None,
        number_edges=number_edges,
        numbers=_in_bins(answers, number_edges),
        tolerance=tolerance,
        edges=lengths,
        lengths=_counted([bisect_right(lengths, each) for each in characters], len(lengths) + 1),
        unsure_below=unsure_below,
        unsure=sum(each < unsure_below for each in known) if unsure_below is not None else 0,
        agreement=_scale(answers, confidence, taught, tolerance),
        labelled=labelled,
        wrong=labelled - sum(which_alike(answers, known_truth, tolerance)),
        handed_on=None if handed_on is None else (sum(handed_on), len(texts)),
        cascade=None if threshold is None else _cascade(threshold, answers, teacher, truth, own),
        slices=slice_references(
            slices,
            texts,
            answers,
            teacher=taught,
            truth=known_truth,
            columns=columns or [None] * len(texts),
            tolerance=tolerance,
        ),
    )


def names_carried(answers: Mapping[str, int], names: Collection[str], *, of_records: bool) -> Counter[str]:
    """How many answers have each name: a label, one of a set of labels, or what is counted of a record.

    Args:
        answers: how often each was given.
        names: of labels; one of these is a label as it is, whatever it looks like, and the text of a set never is one.
        of_records: whether answers are records.
    """
    found = Counter[str]()
    for answer, many in answers.items():
        carried = counted_of(answer) if of_records else (answer,) if answer in names else names_of(answer)
        found.update(dict.fromkeys(carried, many))
    return found


def _scale(
    answers: Sequence[str], confidence: Sequence[float | None], teacher: Sequence[str | None], tolerance: float | None
) -> AgreementScale | None:
    heard = [index for index, answer in enumerate(teacher) if answer is not None]
    if not heard:
        return None
    sure = [each for index in heard if (each := confidence[index]) is not None]
    edges = tuple(_edges(sure, _CONFIDENCE_BINS)) if len(sure) == len(heard) else ()
    bins = [bisect_right(edges, confidence[index] or 0.0) if edges else 0 for index in heard]
    agree = which_alike(answers, teacher, tolerance)
    agreed = [found for found, index in zip(bins, heard, strict=True) if agree[index]]
    many = len(edges) + 1
    return AgreementScale(edges=edges, rows=_counted(bins, many), agreed=_counted(agreed, many))


def _edges_of_numbers(answers: Sequence[str]) -> tuple[float, ...]:
    """Between bins of numbers, as answers are written: so that one is on an edge or not, and each bin has a name."""
    found = _edges([float(each) for each in answers], _NUMBER_BINS)
    return tuple(sorted({round(each, DIGITS) for each in found}))


def _in_bins(answers: Sequence[str], edges: Sequence[float]) -> tuple[int, ...]:
    """How many numbers are in each bin; none where there are no edges."""
    if not edges:
        return ()
    places = pl.DataFrame({"label": answers}, schema={"label": pl.String}).select(bin_of("label", edges)).to_series()
    return _counted(places.to_list(), len(bin_names(edges)))


def _cascade(
    threshold: CascadeThreshold,
    answers: Sequence[str],
    teacher: Sequence[str | None],
    truth: Sequence[str | None],
    own: Sequence[bool],
) -> CascadeReference:
    rows = [each for each in zip(answers, teacher, truth, own, strict=True) if None not in each]
    kept = [(answer, taught, label) for answer, taught, label, mine in rows if mine]
    return CascadeReference(
        margin=threshold.margin,
        threshold=threshold.threshold,
        rows=len(rows),
        differ=sum(answer != taught for answer, taught, _ in kept),
        lost=sum(answer != label == taught for answer, taught, label in kept),
        won=sum(answer == label != taught for answer, taught, label in kept),
        wrong=sum(answer != label for answer, _, label in kept),
    )


def _edges(values: Sequence[float], bins: int) -> list[float]:
    """Quantiles between bins of about as many values each; fewer where many values are the same."""
    return sorted({float(each) for each in np.quantile(values, np.arange(1, bins) / bins)}) if values else []


def _counted(indices: Sequence[int], many: int) -> tuple[int, ...]:
    found = Counter(indices)
    return tuple(found[index] for index in range(many))
