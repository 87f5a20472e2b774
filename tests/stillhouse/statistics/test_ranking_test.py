"""Non-inferiority in nDCG: queries are the evidence, and not enough of them is not a pass."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from stillhouse.statistics.bootstrap import paired_means
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.ranking import Queries
from stillhouse.statistics.ranking_test import ranking_test
from stillhouse.statistics.verdicts import Verdict

DOCUMENTS = 8


def simulated(queries: int, noise: float, seed: int, *, taught: float = 0.5) -> tuple[Queries, np.ndarray, np.ndarray]:
    """Queries with scores of a teacher and a student that see the gain through so much noise."""
    random = np.random.default_rng(seed)
    gains = random.integers(0, 4, queries * DOCUMENTS).astype(float)
    codes = np.repeat(np.arange(queries), DOCUMENTS)
    teacher, student = (gains + random.normal(0, each, len(gains)) for each in (taught, noise))
    return Queries.of(gains, codes, at=10), teacher, student


def judged(queries: int, noise: float, *, seed: int = 0, margin: float = 0.05, draws: int = 2000) -> MetricTest:
    return ranking_test(*simulated(queries, noise, seed), margin=margin, draws=draws)


def test_a_student_as_good_as_its_teacher_passes_and_a_bad_one_fails() -> None:
    good, bad = judged(300, 0.5), judged(300, 4.0)
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert good.groups == 300 and good.rows == 2400 and good.drop_upper_bound < 0.05 <= bad.drop_lower_bound
    assert (good.metric, good.metric_in_words) == ("ndcg", "nDCG")


def test_the_same_student_is_not_told_on_few_queries() -> None:
    few = judged(22, 0.7)
    assert few.verdict is Verdict.INCONCLUSIVE and few.rows_needed is not None and few.rows_needed > few.rows


def test_fewer_than_twenty_queries_are_no_pass_even_without_a_loss() -> None:
    queries, teacher, _ = simulated(19, 0.5, 0)
    found = ranking_test(queries, teacher, teacher, margin=0.5)
    assert found.verdict is Verdict.INCONCLUSIVE and found.has_too_few_groups and found.drop == 0


def test_rows_without_a_query_that_counts_show_nothing() -> None:
    queries = Queries.of(np.ones(100), np.repeat(np.arange(50), 2), at=10)
    found = ranking_test(queries, np.arange(100.0), np.arange(100.0), margin=0.05)
    assert found.verdict is Verdict.INCONCLUSIVE and (found.groups, found.rows_that_count) == (0, 0)


def test_a_student_that_lost_nothing_needs_enough_queries() -> None:
    """By the rule of three: of 20 queries without a loss three more could be lost unseen, in 0.05 nowhere near."""
    for count, verdict in ((20, Verdict.INCONCLUSIVE), (400, Verdict.PASS)):
        queries, teacher, _ = simulated(count, 0.5, 1)
        found = ranking_test(queries, teacher, teacher, margin=0.05)
        assert found.verdict is verdict and found.unseen > 0 and found.drop == 0


def test_the_drop_is_the_difference_of_the_means() -> None:
    queries, teacher, student = simulated(40, 1.0, 3)
    found = ranking_test(queries, teacher, student, margin=0.05)
    assert found.teacher == pytest.approx(queries.ndcg(teacher).mean())
    assert found.student == pytest.approx(queries.ndcg(student).mean())
    assert found.drop == pytest.approx(found.teacher - found.student)
    assert found.drop_lower_bound <= found.drop <= found.drop_upper_bound


def test_bounds_are_those_of_scipys_bootstrap() -> None:
    queries, teacher, student = simulated(60, 1.2, 5)
    taught, said = queries.ndcg(teacher), queries.ndcg(student)
    found = paired_means(taught, said)
    expected = bootstrap((taught - said,), np.mean, confidence_level=0.9, n_resamples=9999, method="BCa", rng=0)
    assert (found.lower, found.upper) == pytest.approx(tuple(expected.confidence_interval), abs=0.004)
    judged = ranking_test(queries, teacher, student, margin=0.05)
    assert judged.drop_lower_bound == found.lower
    assert judged.drop_upper_bound == max(found.upper, found.drop + judged.unseen)


@pytest.mark.long
def test_a_student_that_misses_the_margin_passes_seldom() -> None:
    """At the margin itself no more than 5 % of students may slip through, and a little for the noise of 300 draws."""
    drop = np.mean([judged(500, 0.9, seed=seed).drop for seed in range(10)])
    passed = [
        judged(60, 0.9, seed=seed, margin=float(drop), draws=400).verdict is Verdict.PASS for seed in range(100, 400)
    ]
    assert np.mean(passed) <= 0.08


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_outside_of_its_range_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        judged(30, 0.5, margin=margin)
