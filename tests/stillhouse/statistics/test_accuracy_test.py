"""The test of accuracy that opens and closes gates, and the rows it needs."""

import math
from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.statistics.accuracy_test import (
    non_inferiority_from_counts,
    non_inferiority_p_value,
    paired_non_inferiority,
    rows_needed_for,
)
from stillhouse.statistics.verdicts import Verdict


def outcomes(both: int, teacher_only: int, student_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    teacher = [True] * both + [True] * teacher_only + [False] * student_only + [False] * neither
    student = [True] * both + [False] * teacher_only + [True] * student_only + [False] * neither
    return np.array(teacher), np.array(student)


def share_passed(rows: int, rates: list[float], *, trials: int, seed: int) -> float:
    """Share of simulated students that pass at a margin of 3 points; rates are lost, won, concordant."""
    draws = np.random.default_rng(seed).multinomial(rows, rates, size=trials)[:, :2].tolist()
    passes = {
        pair: non_inferiority_p_value(*pair, rows, margin=0.03) < 0.05 for pair in {tuple(draw) for draw in draws}
    }
    return float(np.mean([passes[tuple(draw)] for draw in draws]))


# Examples needed, one-sided alpha 5 %, power 80 %, true drop 0, by the usual shortcut, which takes the variance under
# the hypothesis for that of the truth and so promises too much where the discordance is hardly more than the margin.
TABLE = [
    (0.005, (7420, 14839, 24731)),
    (0.01, (1855, 3710, 6183)),
    (0.02, (464, 928, 1546)),
    (0.03, (207, 413, 687)),
    (0.05, (75, 149, 248)),
]
HOLM_OVER_TWENTY = [(0.005, 53251), (0.01, 13313), (0.02, 3329), (0.03, 1480), (0.05, 533)]


@pytest.mark.parametrize(
    ("margin", "discordance", "rows"),
    [(margin, rate, n) for margin, row in TABLE for rate, n in zip((0.03, 0.06, 0.10), row, strict=True)],
)
def test_rows_needed_are_the_shortcut_and_a_little_more(margin: float, discordance: float, rows: int) -> None:
    assert 1 < rows_needed_for(margin, discordance, 0.05, 0.8) / rows < 1 + 0.85 * margin / discordance


@pytest.mark.parametrize(("margin", "rows"), HOLM_OVER_TWENTY)
def test_rows_needed_match_the_table_under_holm_over_twenty_slices(margin: float, rows: int) -> None:
    assert 1 < rows_needed_for(margin, 0.10, 0.05 / 20, 0.8) / rows < 1 + 0.85 * margin / 0.10


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("margin", "discordance"), [(0.01, 0.06), (0.03, 0.06), (0.05, 0.06), (0.1, 0.11), (0.03, 0.1)]
)
def test_so_many_rows_pass_four_of_five_students_as_good_as_their_teacher(margin: float, discordance: float) -> None:
    rows = rows_needed_for(margin, discordance)
    assert 0.8 <= exact_power(rows, margin, discordance) < 0.84


def exact_power(rows: int, margin: float, discordance: float) -> float:
    """Chance to pass at no true drop, summed over every outcome that is not too rare to matter."""
    from scipy.stats import binom

    power = 0.0
    for discordant in range(rows + 1):
        mass = binom.pmf(discordant, rows, discordance)
        if mass > 1e-6:

            def p_value(lost: int, all_discordant: int = discordant) -> float:
                return non_inferiority_p_value(lost, all_discordant - lost, rows, margin=margin)

            most_lost = bisect_left(range(discordant + 1), 0.05, key=p_value) - 1
            power += mass * binom.cdf(most_lost, discordant, 0.5)
    return power


@pytest.mark.parametrize(
    ("margin", "discordance", "true_drop"),
    [(0.03, 0.06, 0.0), (0.05, 0.06, 0.0), (0.1, 0.4, 0.0), (0.02, 0.06, 0.01), (0.15, 0.2, -0.05)],
)
def test_rows_needed_are_those_of_liu_with_the_restricted_variance_found_by_search(
    margin: float, discordance: float, true_drop: float
) -> None:
    """The formula again, with no closed form: the restricted rates are those of the largest expected likelihood."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    truth = np.array([(discordance + true_drop) / 2, (discordance - true_drop) / 2, 1 - discordance])

    def minus_expected_log_likelihood(won: float) -> float:
        return -float(truth @ np.log([won + margin, won, 1 - 2 * won - margin]))

    found = minimize_scalar(
        minus_expected_log_likelihood, bounds=(1e-9, (1 - margin) / 2 - 1e-9), method="bounded", options={"xatol": 1e-9}
    ).x
    taken_for, in_truth = 2 * found + margin - margin**2, discordance - true_drop**2
    distance = norm.ppf(0.95) * math.sqrt(taken_for) + norm.ppf(0.8) * math.sqrt(in_truth)
    expected = (distance / (margin - true_drop)) ** 2
    assert rows_needed_for(margin, discordance, true_drop=true_drop) == pytest.approx(expected + 0.5, abs=0.52)


def test_half_the_margin_as_true_drop_needs_about_four_times_the_rows() -> None:
    assert rows_needed_for(0.02, 0.06, true_drop=0.01) == pytest.approx(4 * rows_needed_for(0.02, 0.06), rel=0.05)


@pytest.mark.parametrize(
    ("counts", "alpha", "lower", "upper"),
    [
        # Bentur et al. 2009, in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, ch. 8.
        ((1, 1, 7, 12), 0.025, "-0.517", "-0.026"),
        # Cavo et al. 2012, the same chapter; R contingencytables prints -0.1240 to -0.0054.
        ((59, 6, 16, 80), 0.025, "-0.1240", "-0.0054"),
        # R PropCIs::scoreci.mp(25, 28, 618, 0.90).
        ((300, 28, 25, 265), 0.05, "-0.0148", "0.0247"),
        # Published examples of Tango's interval as the R package ratesci holds them, tests/testthat/test3.R: two under
        # "Tango RD", of which the first has a cell of no rows, then Agresti and Min 2005 and Tang et al. 2010.
        ((43, 0, 1, 0), 0.05, "-0.096", "0.037"),
        ((4, 9, 3, 16), 0.025, "-0.027", "0.390"),
        ((53, 16, 8, 9), 0.025, "-0.020", "0.207"),
        ((8, 3, 1, 2), 0.025, "-0.1670", "0.4327"),
    ],
)
def test_score_bounds_match_published_tango_intervals(
    counts: tuple[int, int, int, int], alpha: float, lower: str, upper: str
) -> None:
    from stillhouse.statistics.score_test import Pairs, _score_bound, lower_bound

    pairs = Pairs(counts[1], counts[2], sum(counts))
    digits = len(lower.partition(".")[2])
    assert f"{lower_bound(pairs, alpha):.{digits}f}" == lower
    assert f"{_score_bound(pairs, alpha):.{digits}f}" == upper


def test_a_large_set_uses_the_score_bound_itself() -> None:
    result = paired_non_inferiority(*outcomes(57_000, 1400, 1250, 350), margin=0.01)
    assert result.method == "score"
    # Wald with the same variance, by hand: 0.0025 + 1.64485 * sqrt(0.04417 - 0.0025^2) / sqrt(60000).
    assert result.drop_upper_bound == pytest.approx(0.0025 + 1.64485 * math.sqrt(0.0441604 / 60_000), abs=2e-5)
    assert result.verdict is Verdict.PASS


def test_no_lost_row_in_twenty_is_inconclusive_and_says_how_many_would_do() -> None:
    result = paired_non_inferiority(*outcomes(18, 0, 0, 2), margin=0.03)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.rows_needed == rows_needed_for(0.03, 0.03)


def test_without_discordant_pairs_the_exact_test_is_the_binomial_one() -> None:
    # A student that loses 3 % of rows loses none of n with probability 0.97^n: above 5 % at 98 rows, below at 99.
    assert non_inferiority_p_value(0, 0, 98, margin=0.03) == pytest.approx(0.97**98 + 1e-4, abs=1e-9)
    assert non_inferiority_from_counts(0, 0, 98, margin=0.03).verdict is Verdict.INCONCLUSIVE
    assert non_inferiority_from_counts(0, 0, 100, margin=0.03).verdict is Verdict.PASS


def test_a_drop_proven_to_exceed_the_margin_fails() -> None:
    result = paired_non_inferiority(*outcomes(880, 100, 10, 10), margin=0.03)
    assert result.verdict is Verdict.FAIL
    assert result.drop_lower_bound >= 0.03
    assert result.rows_needed is None


def test_a_measured_drop_over_the_margin_fails_only_where_an_equal_student_had_a_fair_chance() -> None:
    enough = non_inferiority_from_counts(60, 25, 1000, margin=0.03)
    assert enough.drop_lower_bound < 0.03 < enough.drop
    assert enough.verdict is Verdict.FAIL
    too_few = non_inferiority_from_counts(3, 1, 50, margin=0.03)
    assert too_few.drop > 0.03
    assert too_few.verdict is Verdict.INCONCLUSIVE
    assert too_few.rows_needed == rows_needed_for(0.03, 0.08)


def test_a_drop_near_the_margin_on_enough_rows_needs_the_rows_of_that_drop() -> None:
    result = non_inferiority_from_counts(60, 40, 1000, margin=0.03)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.rows_needed == rows_needed_for(0.03, 0.1, true_drop=0.02)


def test_the_margin_itself_is_a_failing_drop() -> None:
    """`drop` of exactly the margin is not "less than the margin": at any size it must not pass."""
    result = non_inferiority_from_counts(4000, 1000, 100_000, margin=0.03)
    assert result.drop == pytest.approx(0.03)
    assert result.verdict is Verdict.FAIL


@pytest.mark.long
@settings(max_examples=60)
@given(
    rows=st.integers(1, 3000),
    shares=st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)),
    margin=st.sampled_from([0.005, 0.02, 0.05, 0.2]),
    alpha=st.sampled_from([0.0025, 0.05]),
)
def test_bound_p_value_and_verdict_never_contradict_one_another(
    rows: int, shares: tuple[float, float], margin: float, alpha: float
) -> None:
    result = non_inferiority_from_counts(int(rows * shares[0]), int(rows * shares[1]), rows, margin=margin, alpha=alpha)
    assert (result.verdict is Verdict.PASS) == (result.drop_upper_bound < margin) == (result.p_value < alpha)
    assert result.drop_lower_bound <= result.drop <= result.drop_upper_bound
    assert (result.rows_needed is not None) == (result.verdict is Verdict.INCONCLUSIVE)
    if result.rows_needed is not None:
        assert result.rows_needed > rows


@pytest.mark.long
@settings(max_examples=25)
@given(lost=st.integers(0, 30), won=st.integers(0, 30), rows=st.integers(70, 900))
def test_losing_one_more_row_never_helps(lost: int, won: int, rows: int) -> None:
    before = non_inferiority_p_value(lost, won, rows, margin=0.03)
    assert non_inferiority_p_value(lost + 1, won, rows, margin=0.03) >= before - 1e-9


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("rows", "discordance"), [(100, 0.035), (250, 0.06), (700, 0.12), (2000, 0.08)])
def test_a_student_at_the_margin_passes_at_most_alpha_of_the_time(rows: int, discordance: float) -> None:
    """Simulation: a true drop of exactly the margin is a bad student, whatever the discordance."""
    margin, trials = 0.03, 2000
    lost_rate, won_rate = (discordance + margin) / 2, (discordance - margin) / 2
    passed = share_passed(rows, [lost_rate, won_rate, 1 - discordance], trials=trials, seed=20261124)
    # Three standard errors of the simulation above 5 %.
    assert passed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.long
def test_an_equal_student_passes_with_about_the_promised_power() -> None:
    rows = rows_needed_for(0.03, 0.1)
    assert share_passed(rows, [0.05, 0.05, 0.9], trials=1500, seed=3) == pytest.approx(0.81, abs=0.04)


@pytest.mark.parametrize(
    ("teacher", "student", "margin", "alpha", "message"),
    [
        ([], [], 0.03, 0.05, "no examples"),
        ([True], [True, False], 0.03, 0.05, "two vectors"),
        ([True], [True], 0.0, 0.05, "margin must be a fraction"),
        ([True], [True], 1.0, 0.05, "margin must be a fraction"),
        ([True], [True], 0.03, 0.5, "alpha"),
        ([1, 0], [1, 1], 0.03, 0.05, "must be boolean"),
    ],
)
def test_bad_arguments_are_refused(
    teacher: list[bool], student: list[bool], margin: float, alpha: float, message: str
) -> None:
    dtype = bool if teacher != [1, 0] else int
    with pytest.raises(ValueError, match=message):
        paired_non_inferiority(np.array(teacher, dtype), np.array(student, dtype), margin=margin, alpha=alpha)


@pytest.mark.parametrize(("lost", "won", "rows"), [(0, 0, 0), (-1, 0, 9), (0, -1, 9), (5, 5, 9)])
def test_impossible_counts_are_refused(lost: int, won: int, rows: int) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        non_inferiority_from_counts(lost, won, rows, margin=0.1)


@pytest.mark.parametrize(("lost", "won", "rows"), [(0, 0, 1), (1, 0, 1), (5, 4, 9)])
def test_every_row_may_be_discordant_and_one_row_is_a_set(lost: int, won: int, rows: int) -> None:
    assert non_inferiority_from_counts(lost, won, rows, margin=0.1).verdict is Verdict.INCONCLUSIVE


def test_it_says_who_alone_was_right_and_how_it_was_found() -> None:
    found = paired_non_inferiority(*outcomes(80, 7, 3, 10), margin=0.1, alpha=0.01)
    assert (found.rows, found.margin, found.alpha, found.method) == (100, 0.1, 0.01, "exact")
    assert (found.teacher_only, found.student_only) == (7, 3)
    assert (found.drop, found.discordance) == (pytest.approx(0.04), pytest.approx(0.1))
    assert non_inferiority_from_counts(7, 3, 100, margin=0.1).alpha == 0.05
    assert non_inferiority_from_counts(70, 30, 1000, margin=0.1).method == "score"


def test_of_no_rows_nothing_is_known_and_of_one_something() -> None:
    assert non_inferiority_p_value(0, 0, 0, margin=0.03) == 1.0
    assert non_inferiority_p_value(0, 0, 1, margin=0.9) == pytest.approx(0.1 + 1e-4)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"margin": 0.0}, "margin must be in"),
        ({"margin": 0.0, "true_drop": -0.1}, "margin must be in"),
        ({"margin": 1.0}, "margin must be in"),
        ({"true_drop": 0.03}, "above the true drop"),
        ({"discordance": 0.0}, "discordance and power"),
        ({"discordance": 1.1}, "discordance and power"),
        ({"power": 0.0}, "discordance and power"),
        ({"power": 1.0}, "discordance and power"),
        ({"alpha": 0.5}, "alpha"),
    ],
)
def test_rows_for_what_makes_no_sense_are_refused(asked: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows_needed_for(**{"margin": 0.03, "discordance": 0.1, **asked})


def test_rows_may_be_asked_for_where_all_pairs_are_discordant() -> None:
    """By hand, with discordance 1 and no margin to speak of, the textbook size of a sign test: (z / margin)^2."""
    assert rows_needed_for(0.01, 1.0) == pytest.approx((1.6449 + 0.8416) ** 2 / 0.01**2, rel=1e-3)
    assert rows_needed_for(0.03, 0.1) == rows_needed_for(0.03, 0.1, 0.05, 0.8, true_drop=0.0)
    assert rows_needed_for(0.03, 0.02, true_drop=0.029) > 10_000, "who loses more rows than differ is still planned for"
