"""Slices that nobody declared, on which the student loses against its teacher more than elsewhere.

Belongs here: looking for them in one half of the golden rows and confirming them in the other.
Does not: features of a row (row_features.py), declared slices (declared.py), what becomes of a finding (checks/).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.base import Record
from stillhouse.data.splits import keyed_uniform
from stillhouse.evaluation.slices.row_features import row_features
from stillhouse.statistics.multiplicity import holm
from stillhouse.statistics.score_test import normal_quantile
from stillhouse.statistics.verdicts import check_alpha

CANDIDATES = 50
"""Slices that the search proposes; many of them are one slice in other words."""

MOST_TESTED = 5
"""Slices that are tested: each more makes confirming every one of them harder."""

SMALLEST_ROWS, SMALLEST_SHARE = 10, 0.01
"""Rows of one half, and share of it, that a slice must have."""

_IMPORTANCE_OF_LOSS = 0.95
"""SliceLine's alpha: how much the average loss counts beside the size; 0.95 is its paper's own setting."""


class DiscoveredSlice(Record):
    """A part of the golden set that nobody declared, on which the student is shown to lose more than elsewhere."""

    description: str = Field(description="What the rows have in common, such as 'label = ABBR and has a digit = yes'.")
    searched_rows: int = Field(description="Its rows in the half in which it was found.")
    searched_drop: float = Field(
        description="Teacher accuracy minus student accuracy on them; optimistic by selection."
    )
    confirmed_rows: int = Field(description="Its rows in the other half.")
    confirmed_drop: float = Field(description="The drop on them, which the search has not seen.")
    rest_drop: float = Field(description="The drop on all other rows of that half.")
    p_value: float = Field(description="Of the hypothesis that it is no worse than the rest, after Holm.")


def discover_slices(
    golden: pl.DataFrame,
    declared: BoolArray,
    teacher_correct: BoolArray,
    student_correct: BoolArray,
    *,
    alpha: float = 0.05,
) -> tuple[DiscoveredSlice, ...]:
    """Find slices of one or two conditions on which the student loses more against its teacher than elsewhere.

    SliceLine (Sagadeeva and Boehm 2021, SIGMOD, p. 2290) proposes slices by the rows that only the teacher got right,
    in one half of the golden rows. Those that stand out by themselves there, at most 5, are tested in the other half,
    which the search has not seen; Holm over them keeps the chance of any false finding at `alpha`.

    A slice is confirmed when each of its conditions matters (among the rows for which the other one holds, more rows
    are lost with it than without: Fisher's exact test) and the drop on it is above zero and above that on the rest
    (z test with each side's own variance, so that a part on which both models are unsteady is none). Rows are compared
    within the same declared slices, by exact convolution over the strata: what a declared slice explains is not found
    again in other words, what is hidden in one is, and so is an intersection of two.

    Args:
        golden: `prompt_id`, `label`, further columns, and `text` where there are texts.
        declared: shape (slices, rows), membership of the declared slices.
        teacher_correct: shape (rows,), True where the teacher was right.
        student_correct: shape (rows,), the same rows in the same order.
        alpha: error rate over all that is found.

    Returns:
        Confirmed slices, surest first. The halves are drawn by prompt id: the same rows give the same answer.

    Raises:
        ValueError: if alpha is out of range.
    """
    check_alpha(alpha)
    features = row_features(golden)
    if features.is_empty() or not (teacher_correct & ~student_correct).any():
        return ()
    codes = features.select(pl.all().rank("dense").cast(pl.Int64)).to_numpy()
    drop = teacher_correct.astype(np.float64) - student_correct.astype(np.float64)
    searched = (keyed_uniform(golden["prompt_id"], key="discovery", purpose="discovery") < 0.5).to_numpy()
    strata = np.unique(declared, axis=1, return_inverse=True)[1].astype(np.int64)
    here, there = (_Half(codes[side], strata[side], drop[side]) for side in (searched, ~searched))
    found = _worth_testing(here, normal_quantile(1 - alpha))
    p_values = holm([there.p_value(conditions) for conditions in found])
    confirmed = sorted(zip(p_values, range(len(found)), strict=True))
    return tuple(_described(found[index], features, codes, here, there, p) for p, index in confirmed if p < alpha)


Conditions = dict[int, int]
"""Feature and value, by their numbers; all of them hold on a slice."""


@dataclass(frozen=True)
class _Half:
    """Half of the rows: their features, the pattern of declared slices that they are in, and their drop, -1 to 1."""

    codes: IntArray
    strata: IntArray
    drop: FloatArray

    @property
    def lost(self) -> BoolArray:
        """Rows that only the teacher got right."""
        return self.drop > 0

    def rows_of(self, conditions: Conditions) -> BoolArray:
        """Rows on which all conditions hold."""
        holds = np.ones(len(self.codes), dtype=np.bool_)
        for feature, value in conditions.items():
            holds &= self.codes[:, feature] == value
        return holds

    def z_score(self, conditions: Conditions) -> float:
        """How far the slice stands out, by the weakest of its comparisons."""
        scores = [tables.z_score() for tables in self._comparisons(conditions)]
        return min(*scores, self._drop_z_score(self.rows_of(conditions)))

    def p_value(self, conditions: Conditions) -> float:
        """Of the hypothesis that the slice is no worse than the rest: the largest of its comparisons."""
        slice_rows = self.rows_of(conditions)
        if not slice_rows.any() or self.drop[slice_rows].mean() <= 0:
            return 1.0
        p_values = [tables.p_value() for tables in self._comparisons(conditions)]
        return max(*p_values, 1 - NormalDist().cdf(self._drop_z_score(slice_rows)))

    def _comparisons(self, conditions: Conditions) -> "list[_Tables]":
        """For each condition: rows with it against rows without it, where the others hold."""
        slice_rows = self.rows_of(conditions)
        comparisons = []
        for feature in conditions:
            others = self.rows_of({name: value for name, value in conditions.items() if name != feature})
            strata = self.strata[others]
            tables = _Tables.of(slice_rows[others], self.lost[others], strata)
            if not len(tables.rows) and len(conditions) > 1:
                # The condition is what a declared slice asks: it is given within that slice, and matters outside it.
                tables = _Tables.of(slice_rows[others], self.lost[others], np.zeros_like(strata))
            comparisons.append(tables)
        return comparisons

    def _drop_z_score(self, slice_rows: BoolArray) -> float:
        inside, outside = self.drop[slice_rows], self.drop[~slice_rows]
        if not len(inside) or not len(outside):
            return -math.inf
        difference = float(inside.mean() - outside.mean())
        variance = float(inside.var() / len(inside) + outside.var() / len(outside))
        return difference / math.sqrt(variance) if variance else math.copysign(math.inf, difference)


@dataclass(frozen=True)
class _Tables:
    """One two by two table for each stratum that has rows in and beside the slice; each field of shape (strata,)."""

    rows: IntArray
    members: IntArray
    lost: IntArray
    lost_members: IntArray

    @classmethod
    def of(cls, members: BoolArray, lost: BoolArray, strata: IntArray) -> "_Tables":
        """Count the tables."""
        rows, inside, gone, both = (
            np.bincount(strata[chosen], minlength=int(strata.max(initial=0)) + 1)
            for chosen in (np.ones_like(members), members, lost, members & lost)
        )
        telling = (inside > 0) & (inside < rows)
        return cls(rows[telling], inside[telling], gone[telling], both[telling])

    def z_score(self) -> float:
        """Lost members against those expected, in standard deviations, corrected for continuity."""
        n, members, lost = self.rows, self.members / self.rows, self.lost / self.rows
        variance = float((n**2 / (n - 1) * members * (1 - members) * lost * (1 - lost)).sum())
        more = float(self.lost_members.sum() - (n * members * lost).sum())
        return (more - 0.5) / math.sqrt(variance) if variance else -math.inf

    def p_value(self) -> float:
        """Chance of so many lost members or more if membership does not matter: exact, given each table's margins."""
        chances, fewest = np.ones(1), 0
        for rows, members, lost in zip(self.rows, self.members, self.lost, strict=True):
            least, of_this = _hypergeometric(int(rows), int(members), int(lost))
            chances, fewest = np.convolve(chances, of_this), fewest + least
        return min(1.0, float(chances[int(self.lost_members.sum()) - fewest :].sum()))


def _hypergeometric(rows: int, members: int, lost: int) -> tuple[int, FloatArray]:
    """The least number of lost members, and the chances of it and of each larger one."""
    from scipy.special import gammaln

    def ways(of: int | IntArray, number: IntArray) -> FloatArray:
        logarithm: FloatArray = gammaln(of + 1) - gammaln(number + 1) - gammaln(of - number + 1)
        return logarithm

    least = max(0, members + lost - rows)
    number = np.arange(least, min(members, lost) + 1)
    logarithm = ways(lost, number) + ways(rows - lost, members - number)
    chances = np.exp(logarithm - logarithm.max())
    return least, chances / chances.sum()


def _worth_testing(half: _Half, threshold: float) -> list[Conditions]:
    """The slices that stand out in this half, clearest first, each with lost rows that those before it do not have."""
    scored = [(half.z_score(conditions), conditions) for conditions in _proposed(half)]
    chosen: list[Conditions] = []
    explained = np.zeros(len(half.codes), dtype=np.bool_)
    for score, conditions in sorted(scored, key=lambda each: -each[0]):
        lost = half.rows_of(conditions) & half.lost
        if score > threshold and 2 * np.count_nonzero(lost & explained) < np.count_nonzero(lost):
            chosen.append(conditions)
            explained |= half.rows_of(conditions)
    return chosen[:MOST_TESTED]


def _proposed(half: _Half) -> list[Conditions]:
    """SliceLine's slices of one or two conditions with the most loss."""
    # Imported here, as scikit-learn comes with it and loading the definitions must not wait for that.
    from sliceline.slicefinder import Slicefinder

    smallest = max(SMALLEST_ROWS, math.ceil(SMALLEST_SHARE * len(half.codes)))
    if len(half.codes) <= smallest or not half.lost.any():
        return []
    finder = Slicefinder(alpha=_IMPORTANCE_OF_LOSS, k=CANDIDATES, max_l=2, min_sup=smallest, verbose=False)
    finder.fit(half.codes, half.lost.astype(np.float64))
    return [
        {feature: int(value) for feature, value in enumerate(row) if value is not None} for row in finder.top_slices_
    ]


def _described(
    conditions: Conditions, features: pl.DataFrame, codes: IntArray, here: _Half, there: _Half, p_value: float
) -> DiscoveredSlice:
    slice_here, slice_there = here.rows_of(conditions), there.rows_of(conditions)
    words = []
    for feature, value in sorted(conditions.items()):
        first = int(np.argmax(codes[:, feature] == value))
        words.append(f"{features.columns[feature]} = {features[first, feature]}")
    return DiscoveredSlice(
        description=" and ".join(words),
        searched_rows=int(np.count_nonzero(slice_here)),
        searched_drop=float(here.drop[slice_here].mean()),
        confirmed_rows=int(np.count_nonzero(slice_there)),
        confirmed_drop=float(there.drop[slice_there].mean()),
        rest_drop=float(there.drop[~slice_there].mean()),
        p_value=p_value,
    )
