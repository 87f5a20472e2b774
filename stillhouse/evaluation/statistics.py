"""Statistics that decide whether a student may replace its teacher.

Belongs here: tests, intervals and sample sizes for paired, per-example outcomes; numbers in, numbers out.
Does not: the numerical machinery of the score test (score_test.py), floors (floors.py), metrics themselves
(metrics.py), which slices exist (slices.py), what a verdict triggers (checks/).
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from stillhouse.evaluation import score_test

BoolArray = npt.NDArray[np.bool_]

POWER = 0.8
"""Power assumed wherever a sample size is quoted: the usual 80 %."""


class Verdict(StrEnum):
    """The three answers of a test. Only PASS opens anything."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @staticmethod
    def worst(verdicts: "Iterable[Verdict]") -> "Verdict":
        """One verdict for many: FAIL beats INCONCLUSIVE beats PASS; no verdicts at all is INCONCLUSIVE."""
        seen = set(verdicts)
        if Verdict.FAIL in seen:
            return Verdict.FAIL
        return Verdict.PASS if seen == {Verdict.PASS} else Verdict.INCONCLUSIVE


class NonInferiority(BaseModel):
    """Whether the student's accuracy is less than `margin` below the teacher's, with the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(description="Examples both models answered.")
    margin: float = Field(description="Largest acceptable drop, as a fraction.")
    alpha: float = Field(
        description="One-sided error rate this verdict was given at (after any family-wise correction)."
    )
    drop: float = Field(description="Teacher accuracy minus student accuracy; negative when the student is better.")
    drop_upper_bound: float = Field(
        description="One-sided 1 - alpha upper bound of the drop; below the margin is a PASS."
    )
    drop_lower_bound: float = Field(description="One-sided 1 - alpha lower bound; at or above the margin is a FAIL.")
    p_value: float = Field(description="Of the hypothesis that the drop is the margin or more.")
    verdict: Verdict
    teacher_only: int = Field(description="Examples only the teacher got right.")
    student_only: int = Field(description="Examples only the student got right.")
    discordance: float = Field(description="Share of examples that exactly one of the two got right.")
    rows_needed: int | None = Field(description="When inconclusive: about how many examples, in all, would settle it.")
    method: Literal["exact", "score"] = Field(description="How the p-value was found; see score_test.uses_exact.")


def paired_non_inferiority(
    teacher_correct: BoolArray, student_correct: BoolArray, *, margin: float, alpha: float = 0.05
) -> NonInferiority:
    """Test that the student's accuracy is not lower than the teacher's by `margin` or more.

    Score test on the discordant pairs of one shared example set, with the restricted maximum-likelihood
    estimate of the nuisance parameter (Tango 1998, Statistics in Medicine 17:891; Liu et al. 2002, Statistics
    in Medicine 21:231). Where a drop of exactly `margin` would cost fewer than 30 examples the normal
    approximation is too generous, and the exact distribution of the same statistic is used (Hsueh, Liu and
    Chen 2001, Biometrics 57:478).

    How to read the verdict:

    * PASS: the upper bound of the drop is below the margin. Proven good enough.
    * FAIL: either the lower bound is at or above the margin (proven too bad), or the measured drop is, on a
      set large enough to have passed an equal student with 80 % power. The set was a fair chance and the
      student missed it.
    * INCONCLUSIVE: anything else: the data fit a good student and a bad one. `rows_needed` is the number of
      examples that would pass an equal student with 80 % power; if the set already has those, the number that
      would pass a student whose true drop is the measured one.

    Args:
        teacher_correct: shape (n,), True where the teacher was right.
        student_correct: shape (n,), the same examples in the same order.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.

    Returns:
        The estimate, its one-sided bounds, the verdict and, when inconclusive, how many examples would settle
        it.

    Raises:
        ValueError: if the shapes differ, there are no examples, or margin or alpha is out of range.
    """
    teacher, student = _paired(teacher_correct, student_correct)
    return non_inferiority_from_counts(
        int(np.count_nonzero(teacher & ~student)),
        int(np.count_nonzero(student & ~teacher)),
        len(teacher),
        margin=margin,
        alpha=alpha,
    )


def non_inferiority_from_counts(
    teacher_only: int, student_only: int, rows: int, *, margin: float, alpha: float = 0.05
) -> NonInferiority:
    """Do what `paired_non_inferiority` does, from the counts of discordant pairs.

    Args:
        teacher_only: examples only the teacher got right.
        student_only: examples only the student got right.
        rows: all examples.
        margin: largest acceptable drop, as a fraction in (0, 1).
        alpha: one-sided error rate.

    Returns:
        As `paired_non_inferiority`.

    Raises:
        ValueError: if the counts are impossible, there are no examples, or margin or alpha is out of range.
    """
    if rows < 1 or min(teacher_only, student_only) < 0 or teacher_only + student_only > rows:
        raise ValueError(f"impossible counts: {teacher_only} + {student_only} discordant of {rows} examples")
    if not 0.0 < margin < 1.0:
        raise ValueError(f"margin must be a fraction in (0, 1), not {margin}")
    check_alpha(alpha)
    pairs = score_test.Pairs(teacher_only, student_only, rows)
    exact = score_test.uses_exact(rows, margin)
    p_value = score_test.p_value(pairs, margin, exact=exact)
    upper = score_test.upper_bound(pairs, alpha, margin=margin, p_at_margin=p_value, exact=exact)
    lower = score_test.lower_bound(pairs, alpha)
    verdict, rows_needed = _decide(pairs, margin, alpha, upper, lower)
    return NonInferiority(
        rows=rows,
        margin=margin,
        alpha=alpha,
        drop=pairs.drop,
        drop_upper_bound=upper,
        drop_lower_bound=lower,
        p_value=p_value,
        verdict=verdict,
        teacher_only=teacher_only,
        student_only=student_only,
        discordance=pairs.discordance,
        rows_needed=rows_needed,
        method="exact" if exact else "score",
    )


def non_inferiority_p_value(teacher_only: int, student_only: int, rows: int, *, margin: float) -> float:
    """The p-value alone, for a family-wise correction that must see all of them before any verdict.

    Args:
        teacher_only: examples only the teacher got right.
        student_only: examples only the student got right.
        rows: all examples; 0 gives 1, nothing is known.
        margin: largest acceptable drop, as a fraction in (0, 1).

    Returns:
        The p-value of the hypothesis that the drop is the margin or more.
    """
    if rows == 0:
        return 1.0
    pairs = score_test.Pairs(teacher_only, student_only, rows)
    return score_test.p_value(pairs, margin, exact=score_test.uses_exact(rows, margin))


def _decide(
    pairs: score_test.Pairs, margin: float, alpha: float, upper: float, lower: float
) -> tuple[Verdict, int | None]:
    if upper < margin:
        return Verdict.PASS, None
    # A true drop of `margin` makes at least that share of examples discordant, so a luckier sample is not
    # planned with.
    discordance = max(pairs.discordance, margin)
    for_an_equal_student = rows_needed_for(margin, discordance, alpha)
    fair_chance = pairs.rows >= for_an_equal_student
    if lower >= margin or (pairs.drop >= margin and fair_chance):
        return Verdict.FAIL, None
    if not fair_chance:
        return Verdict.INCONCLUSIVE, for_an_equal_student
    needed = rows_needed_for(margin, discordance, alpha, true_drop=max(pairs.drop, 0.0))
    return Verdict.INCONCLUSIVE, max(needed, pairs.rows + 1)


def rows_needed_for(
    margin: float, discordance: float, alpha: float = 0.05, power: float = POWER, *, true_drop: float = 0.0
) -> int:
    """How many examples the non-inferiority test needs to pass a student that deserves it.

    Args:
        margin: largest acceptable drop, as a fraction in (0, 1).
        discordance: expected share of examples that exactly one of the two models gets right, in (0, 1].
        alpha: one-sided error rate; divide it by the number of slices for the worst case of Holm.
        power: chance of passing when the student's true drop is `true_drop`.
        true_drop: the drop the student really has, less than the margin; half the margin needs four times the
            rows.

    Returns:
        (z(1 - alpha) sqrt(V0) + z(power) sqrt(V1))^2 / (margin - true_drop)^2, rounded up, where V1 is the variance of
        one row's difference in truth and V0 what the score test takes it for, restricted to a drop of `margin` (Liu et
        al. 2002, Statistics in Medicine 21:231). At 80 % asked it gives 80 to 83 %; with V1 alone, the usual shortcut,
        it would be 71 to 80 % (benchmarks/verdicts.py).

    Raises:
        ValueError: if an argument is out of range.
    """
    if not 0.0 < margin < 1.0 or not true_drop < margin:
        raise ValueError(f"margin must be in (0, 1) and above the true drop, not {margin} against {true_drop}")
    if not 0.0 < discordance <= 1.0 or not 0.0 < power < 1.0:
        raise ValueError(f"discordance and power must be fractions, not {discordance} and {power}")
    check_alpha(alpha)
    lost = (discordance + true_drop) / 2
    taken_for = score_test.restricted_variance(np.asarray(lost), np.asarray(max(discordance - lost, 0.0)), margin)
    distance = score_test.normal_quantile(1 - alpha) * math.sqrt(float(taken_for))
    distance += score_test.normal_quantile(power) * math.sqrt(max(discordance - true_drop**2, 0.0))
    return math.ceil((distance / (margin - true_drop)) ** 2)


def wilson_interval(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Two-sided 1 - alpha interval of a proportion (Wilson 1927, JASA 22:209).

    Args:
        successes: how many of the examples were right.
        n: how many examples there were; 0 gives (0, 1), since nothing is known.
        alpha: two-sided error rate.

    Returns:
        Lower and upper limit, inside [0, 1].

    Raises:
        ValueError: if the counts are impossible or alpha is out of range.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"impossible counts: {successes} of {n}")
    check_alpha(alpha)
    if n == 0:
        return 0.0, 1.0
    z = score_test.normal_quantile(1 - alpha / 2)
    share, z2n = successes / n, z * z / n
    centre = (share + z2n / 2) / (1 + z2n)
    half = z * math.sqrt(share * (1 - share) / n + z2n / (4 * n)) / (1 + z2n)
    # At 0 and n the limit is exactly 0 and 1; the formula misses that by rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def paired_drop_interval(
    first_correct: BoolArray, second_correct: BoolArray, alpha: float = 0.05
) -> tuple[float, float]:
    """Two-sided 1 - alpha score interval of the first accuracy minus the second (Tango 1998, Stat. in Medicine 17:891).

    Args:
        first_correct: shape (n,), True where the first answer was right.
        second_correct: shape (n,), the same examples in the same order.
        alpha: two-sided error rate.

    Returns:
        Lower and upper limit of the drop from first to second.

    Raises:
        ValueError: if the shapes differ, there are no examples, or alpha is out of range.
    """
    first, second = _paired(first_correct, second_correct)
    check_alpha(alpha)
    first_only, second_only = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    pairs = score_test.Pairs(first_only, second_only, len(first))
    # By symmetry the upper limit of a drop is the lower one of its opposite.
    return score_test.lower_bound(pairs, alpha / 2), -score_test.lower_bound(pairs.swapped(), alpha / 2)


class McNemar(BaseModel):
    """The exact McNemar test of two models on the same examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    first_only: int = Field(description="Examples only the first model got right.")
    second_only: int = Field(description="Examples only the second model got right.")
    p_value: float = Field(description="Of the hypothesis that both are equally often right, two-sided.")
    p_first_better: float = Field(description="One-sided: small when the first model is right more often.")
    p_second_better: float = Field(description="One-sided: small when the second model is right more often.")


def paired_mcnemar(first_correct: BoolArray, second_correct: BoolArray) -> McNemar:
    """Test which of two models is right more often, exactly, from the examples on which they differ.

    Args:
        first_correct: shape (n,), True where the first model was right.
        second_correct: shape (n,), the same examples in the same order.

    Returns:
        Binomial p-values of the discordant pairs (McNemar 1947, Psychometrika 12:153).

    Raises:
        ValueError: if the shapes differ or there are no examples.
    """
    first, second = _paired(first_correct, second_correct)
    from scipy.special import bdtr

    first_only = int(np.count_nonzero(first & ~second))
    second_only = int(np.count_nonzero(second & ~first))
    differing = first_only + second_only
    first_better = float(bdtr(second_only, differing, 0.5))
    second_better = float(bdtr(first_only, differing, 0.5))
    return McNemar(
        rows=len(first),
        first_only=first_only,
        second_only=second_only,
        p_value=min(1.0, 2 * min(first_better, second_better)),
        p_first_better=first_better,
        p_second_better=second_better,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that comparing each with alpha keeps the family-wise error at alpha (Holm 1979).

    Args:
        p_values: one per test of the family; may be empty.

    Returns:
        Adjusted p-values in the order given.

    Raises:
        ValueError: if one is not in [0, 1].
    """
    order = _ascending(p_values)
    adjusted, running = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """The error rate at which Holm's procedure judges each test; p below its level is the same as rejected by
    Holm.

    Args:
        p_values: one per test of the family; may be empty.
        alpha: family-wise error rate.

    Returns:
        alpha / (tests left) at each step; after the first test not rejected, all remaining keep that step's
        level.

    Raises:
        ValueError: if a p-value is not in [0, 1] or alpha is out of range.
    """
    check_alpha(alpha)
    order = _ascending(p_values)
    levels, level, stopped = [alpha] * len(order), alpha, False
    for rank, index in enumerate(order):
        if not stopped:
            level = alpha / (len(order) - rank)
            stopped = p_values[index] >= level
        levels[index] = level
    return levels


def _ascending(p_values: Sequence[float]) -> list[int]:
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise ValueError("p-values must be in [0, 1]")
    return sorted(range(len(p_values)), key=lambda index: p_values[index])


def check_alpha(alpha: float) -> None:
    """Refuse an error rate outside (0, 0.5)."""
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha must be in (0, 0.5), not {alpha}")


def _paired(first: BoolArray, second: BoolArray) -> tuple[BoolArray, BoolArray]:
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype != np.bool_ or second.dtype != np.bool_:
        raise ValueError("outcomes must be boolean: True where the model was right")
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"outcomes must be two vectors of one length, not shapes {first.shape} and {second.shape}")
    if len(first) == 0:
        raise ValueError("there are no examples to compare")
    return first, second
