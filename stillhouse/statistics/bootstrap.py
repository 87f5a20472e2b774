"""Bounds of a paired difference in any metric of a confusion table, by resampling rows or groups of rows.

Belongs here: the BCa bootstrap of teacher metric minus student metric, the metrics it knows; numbers in, numbers out.
Does not: the verdict (metric_test.py), accuracy on independent rows, which has a test of its own (accuracy_test.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stillhouse.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


CHUNK_ELEMENTS = 4_000_000
"""Numbers held at once in one array of resamples: 32 MB."""

MULTINOMIAL_BELOW = 8
"""With fewer units than one in this many rows, one multinomial draw is faster than drawing the rows one by one."""


@dataclass(frozen=True)
class Tally:
    """One model's confusion table, as far as metrics need it; for many resamples at once.

    Args:
        labelled: shape (..., classes), rows that have each class.
        answered: shape (..., classes), rows that were given each class.
        right: shape (..., classes), rows that have each class and were given it.
    """

    labelled: FloatArray
    answered: FloatArray
    right: FloatArray


Metric = Callable[[Tally], FloatArray]
"""From tallies of shape (..., classes) to values of shape (...)."""


def accuracy(tally: Tally) -> FloatArray:
    """Share of rows given their class; 0 without rows."""
    return _ratio(tally.right.sum(axis=-1), tally.labelled.sum(axis=-1))


def macro_f1(tally: Tally) -> FloatArray:
    """Mean F1 over the classes that occur as a label or as an answer, as metrics.macro_f1."""
    occurring = tally.labelled + tally.answered
    return _ratio(_ratio(2 * tally.right, occurring).sum(axis=-1), (occurring > 0).sum(axis=-1))


def recall_of(index: int) -> Metric:
    """The share found of the rows that have class `index`; 0 when none has it."""

    def recall(tally: Tally) -> FloatArray:
        return _ratio(tally.right[..., index], tally.labelled[..., index])

    return recall


def ndcg(tally: Tally) -> FloatArray:
    """Normalised discounted cumulative gain with one right class a row (Järvelin and Kekäläinen 2002, TOIS 20:422).

    Of a tally of places instead of classes: `answered` counts the rows whose right class is in each place of the
    model's ranking, the first place being 0.
    """
    gains = 1 / np.log2(2 + np.arange(tally.answered.shape[-1]))
    return _ratio(tally.answered @ gains, tally.answered.sum(axis=-1))


@dataclass(frozen=True)
class Bootstrap:
    """A paired difference and its bounds.

    Args:
        teacher: the metric of the teacher.
        student: the metric of the student.
        drop: teacher minus student.
        lower: one-sided 1 - alpha lower bound of the drop.
        upper: one-sided 1 - alpha upper bound of the drop.
        standard_error: of the drop, the standard deviation over the resamples.
        groups: what was resampled, groups of rows; the number of rows when they are independent.
    """

    teacher: float
    student: float
    drop: float
    lower: float
    upper: float
    standard_error: float
    groups: int


def paired_bootstrap(
    labels: IntArray,
    teacher: IntArray,
    student: IntArray,
    metric: Metric,
    *,
    classes: int,
    groups: IntArray | None = None,
    draws: int = 2000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Bootstrap:
    """Bound the difference of a metric between two models that answered the same rows.

    Bias-corrected and accelerated bootstrap (Efron 1987, JASA 82:171). A resample is a vector of weights, so the
    confusion tables of all resamples are one product of matrices. Independent rows with the same label and the same
    two answers are interchangeable: a resample is one multinomial draw over such cells, and the jackknife behind the
    acceleration leaves one row of each cell out and counts it as often as the cell has rows. Rows of a group stand or
    fall together: whole groups are drawn, with replacement.

    Args:
        labels: shape (n,), class indices below `classes`.
        teacher: shape (n,), the teacher's answers.
        student: shape (n,), the student's answers to the same rows in the same order.
        metric: of one model.
        classes: number of classes.
        groups: shape (n,), equal where rows belong together; None where every row stands alone.
        draws: number of resamples.
        alpha: error rate of each bound.
        seed: of the resamples. The order of rows does not matter, the names of groups do within the Monte Carlo error.

    Returns:
        Both metrics, their difference, its bounds and its standard error. Where no resample differs from any other,
        both bounds are the difference: a bootstrap cannot see what the rows do not show.

    Raises:
        ValueError: if the shapes differ, there are no rows, or fewer than two draws.
    """
    if not labels.shape == teacher.shape == student.shape == (labels.size,) or labels.size == 0:
        raise ValueError(f"need three vectors of one length, not {labels.shape}, {teacher.shape}, {student.shape}")
    if groups is not None and groups.shape != labels.shape:
        raise ValueError(f"need a group for each of {labels.size} rows, not shape {groups.shape}")
    if draws < 2:
        raise ValueError(f"draws must be at least 2, not {draws}")
    units = _cells(labels, teacher, student, classes) if groups is None else _clusters(groups)
    counts = _counts(units, labels, teacher, student, classes)
    total = np.asarray(units.times @ counts)
    values = [float(metric(tally)) for tally in _tallies(total)]
    drop = values[0] - values[1]
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([_drops(metric, weights @ counts) for weights in _resamples(units, draws, generator)])
    left_out = np.concatenate([_drops(metric, total - part) for part in _rows_of(counts)])
    lower, upper = _bca(drop, drawn, left_out, units.times, alpha)
    return Bootstrap(
        teacher=values[0],
        student=values[1],
        drop=drop,
        lower=lower,
        upper=upper,
        standard_error=float(drawn.std(ddof=1)),
        groups=int(units.times.sum()),
    )


def paired_means(
    teacher: FloatArray, student: FloatArray, *, draws: int = 2000, alpha: float = 0.05, seed: int = 0
) -> Bootstrap:
    """Bound the difference of the means of a value that each of some units has of two models, by resampling units.

    As `paired_bootstrap`, of values that are no counts of a confusion table.

    Args:
        teacher: shape (units,).
        student: shape (units,), the same units in the same order.
        draws: number of resamples.
        alpha: error rate of each bound.
        seed: of the resamples.

    Raises:
        ValueError: if the shapes differ, there are no units, or fewer than two draws.
    """
    if not teacher.shape == student.shape == (teacher.size,) or teacher.size == 0 or draws < 2:
        raise ValueError(f"need two vectors of one length and two draws, not {teacher.shape}, {student.shape}, {draws}")
    drops = np.asarray(teacher - student, dtype=np.float64)
    size, drop = len(drops), float(drops.mean())
    units = _Units(np.arange(size), np.arange(size), np.ones(size, dtype=np.int64))
    drawn = np.concatenate(
        [weights @ drops / size for weights in _resamples(units, draws, np.random.default_rng(seed))]
    )
    left_out = (drops.sum() - drops) / max(size - 1, 1)
    lower, upper = _bca(drop, drawn, left_out, units.times, alpha)
    return Bootstrap(
        teacher=float(teacher.mean()),
        student=float(student.mean()),
        drop=drop,
        lower=lower,
        upper=upper,
        standard_error=float(drawn.std(ddof=1)),
        groups=size,
    )


def paired_sums(
    teacher: IntArray,
    student: IntArray,
    value: Callable[[FloatArray], FloatArray],
    *,
    draws: int = 2000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Bootstrap:
    """Bound the difference of what two models make of sums of counts over some units, by resampling units.

    As `paired_bootstrap`, of a unit of which more than one thing is counted. Units with the same counts are drawn
    together.

    Args:
        teacher: shape (units, counts).
        student: shape (units, counts), the same units in the same order.
        value: of one model, from sums of shape (..., counts) to shape (...).
        draws: number of resamples.
        alpha: error rate of each bound.
        seed: of the resamples.

    Raises:
        ValueError: if the shapes differ, there are no units, or fewer than two draws.
    """
    if teacher.ndim != 2 or teacher.shape != student.shape or len(teacher) == 0 or draws < 2:
        raise ValueError(f"need two tables of one shape and two draws, not {teacher.shape}, {student.shape}, {draws}")
    width = teacher.shape[1]
    both, times = np.unique(np.hstack([teacher, student]), axis=0, return_counts=True)
    units = _Units(np.arange(len(times)), np.arange(len(times)), times)

    def drops(sums: FloatArray) -> FloatArray:
        return value(sums[..., :width]) - value(sums[..., width:])

    total = (times @ both).astype(np.float64)
    drop = float(drops(total))
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([drops(weights @ both) for weights in _resamples(units, draws, generator)])
    lower, upper = _bca(drop, drawn, drops(total - both), times, alpha)
    return Bootstrap(
        teacher=float(value(total[:width])),
        student=float(value(total[width:])),
        drop=drop,
        lower=lower,
        upper=upper,
        standard_error=float(drawn.std(ddof=1)),
        groups=len(teacher),
    )


@dataclass(frozen=True)
class _Units:
    """What is resampled: `rows` of the data, each standing for unit `of`, and how many `times` each unit is there."""

    rows: IntArray
    of: IntArray
    times: IntArray


def _cells(labels: IntArray, teacher: IntArray, student: IntArray, classes: int) -> _Units:
    codes = (labels * classes + teacher) * classes + student
    _, rows, times = np.unique(codes, return_index=True, return_counts=True)
    return _Units(rows, np.arange(len(rows)), times)


def _clusters(groups: IntArray) -> _Units:
    _, of = np.unique(groups, return_inverse=True)
    return _Units(np.arange(len(groups)), of, np.ones(int(of.max()) + 1, dtype=np.int64))


def _counts(units: _Units, labels: IntArray, teacher: IntArray, student: IntArray, classes: int) -> "csr_array":
    """Shape (units, 5 classes): rows of a unit that have each class, were given it by each, and rightly so by each."""
    from scipy.sparse import csr_array

    true, first, second = (each[units.rows] for each in (labels, teacher, student))
    every = np.ones(len(true), dtype=np.bool_)
    marks = [(true, every), (first, every), (second, every), (true, first == true), (true, second == true)]
    row = np.concatenate([units.of[marked] for _, marked in marks])
    column = np.concatenate([part * classes + index[marked] for part, (index, marked) in enumerate(marks)])
    ones = np.ones(len(row), dtype=np.float64)
    return csr_array((ones, (row, column)), shape=(len(units.times), 5 * classes))


def _tallies(counts: FloatArray) -> tuple[Tally, Tally]:
    labelled, first, second, first_right, second_right = np.split(counts, 5, axis=-1)
    return Tally(labelled, first, first_right), Tally(labelled, second, second_right)


def _drops(metric: Metric, counts: FloatArray) -> FloatArray:
    teacher, student = _tallies(counts)
    return metric(teacher) - metric(student)


def _resamples(units: _Units, draws: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """How often each unit is in each resample: shape (some draws, units) until all draws are made."""
    size, total = len(units.times), int(units.times.sum())
    at_once = max(1, CHUNK_ELEMENTS // size)
    members = np.repeat(np.arange(size), units.times) if size * MULTINOMIAL_BELOW >= total else None
    for start in range(0, draws, at_once):
        chunk = min(at_once, draws - start)
        if members is None:
            yield generator.multinomial(total, units.times / total, size=chunk).astype(np.float64)
        else:
            weights = np.empty((chunk, size), dtype=np.float64)
            for draw in range(chunk):
                weights[draw] = np.bincount(members[generator.integers(total, size=total)], minlength=size)
            yield weights


def _rows_of(counts: "csr_array") -> Iterator[FloatArray]:
    """The counts of the units, some at once."""
    at_once = max(1, CHUNK_ELEMENTS // counts.shape[1])
    for start in range(0, counts.shape[0], at_once):
        yield counts[start : start + at_once].toarray()


def _bca(
    estimate: float, drawn: FloatArray, left_out: FloatArray, times: IntArray, alpha: float
) -> tuple[float, float]:
    """Quantiles of the resamples at levels corrected for bias and skewness (Efron 1987, equations 2.3 and 6.6)."""
    tolerance = 1e-12  # the same rows summed in another order are the same value
    if np.ptp(drawn) <= tolerance:
        return estimate, estimate
    below = np.mean(drawn < estimate - tolerance) + np.mean(np.abs(drawn - estimate) <= tolerance) / 2
    least = 1 / (2 * len(drawn))  # an estimate outside all resamples would be infinitely biased
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(float(below), least), 1 - least))
    influence = np.average(left_out, weights=times) - left_out
    spread = float(times @ influence**2)
    acceleration = float(times @ influence**3) / (6 * spread**1.5) if spread > 0 else 0.0

    def level(quantile: float) -> float:
        shifted = bias + quantile
        stretch = 1 - acceleration * shifted
        # Beyond its pole the correction turns round; the outermost resample is the honest answer there.
        return normal.cdf(bias + shifted / stretch) if stretch > 0 else float(quantile > 0)

    z = normal.inv_cdf(1 - alpha)
    lower, upper = np.quantile(drawn, [level(-z), level(z)])
    return float(lower), float(upper)


def _ratio(part: FloatArray, whole: npt.ArrayLike) -> FloatArray:
    """Where there is nothing, 0, as in metrics.py."""
    whole = np.asarray(whole, dtype=np.float64)
    empty = np.zeros(np.broadcast_shapes(np.shape(part), whole.shape))
    shares: FloatArray = np.divide(part, whole, out=empty, where=whole > 0)
    return shares
