"""A metric is within the margin only where the rows show it."""

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from stillhouse.evaluation.measures.metrics import ranks
from stillhouse.statistics.metric_test import (
    FEWEST_GROUPS,
    MetricTest,
    _unseen,
    metric_test,
    rows_lost_at_a_time,
)
from stillhouse.statistics.verdicts import Verdict

CLASSES = ("bug", "fraud", "question")


def labels_of(*rows: int) -> np.ndarray:
    return np.repeat(np.arange(len(rows)), rows)


def losing(labels: np.ndarray, index: int, lost: int) -> np.ndarray:
    """Right everywhere but on the first `lost` rows of a class, which are given the next one."""
    student = labels.copy()
    student[np.flatnonzero(labels == index)[:lost]] = (index + 1) % len(CLASSES)
    return student


def judged(
    labels: np.ndarray, student: np.ndarray, metric: str, teacher: np.ndarray | None = None, **more
) -> MetricTest:
    return metric_test(
        labels, labels if teacher is None else teacher, student, metric, classes=CLASSES, **{"margin": 0.05, **more}
    )


def test_a_small_loss_on_many_rows_passes_and_a_large_one_fails() -> None:
    labels = labels_of(2000, 2000, 2000)
    small, large = (judged(labels, losing(labels, 1, lost), "macro_f1") for lost in (40, 800))
    assert (small.verdict, large.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert small.drop_upper_bound < 0.05 <= large.drop_lower_bound
    assert small.rows_needed is None and large.rows_needed is None


def test_accuracy_hides_a_rare_class_that_its_recall_shows() -> None:
    labels = labels_of(5000, 300, 4700)
    student = losing(labels, 1, 90)
    assert judged(labels, student, "accuracy").verdict is Verdict.PASS
    recall = judged(labels, student, "recall", metric_class="fraud")
    assert recall.verdict is Verdict.FAIL
    assert (recall.teacher, recall.student, recall.rows_that_count) == (1.0, pytest.approx(0.7), 300)


@pytest.mark.parametrize(("rows", "verdict"), [(59, Verdict.INCONCLUSIVE), (60, Verdict.PASS)])
def test_without_a_loss_recall_needs_the_rows_of_the_rule_of_three(rows: int, verdict: Verdict) -> None:
    """log(1 / 0.05) / 0.05 = 59.9 rows of the class; its resamples alone would pass on three."""
    labels = labels_of(500, rows, 500)
    found = judged(labels, labels, "recall", metric_class="fraud")
    assert found.verdict is verdict
    assert found.drop_upper_bound == pytest.approx(math.log(20) / rows)


def test_identical_models_pass_macro_f1_only_on_enough_rows_of_every_class() -> None:
    """By hand: with h = log(20) of n rows of a class lost to another of n, both F1 fall by 1 - (2n-2h)/(2n-h) and
    1 - 2n/(2n+h), over three classes."""
    for n, verdict in ((20, Verdict.INCONCLUSIVE), (40, Verdict.PASS)):
        labels, lost = labels_of(n, n, n), math.log(20)
        found = judged(labels, labels, "macro_f1")
        expected = (2 - (2 * n - 2 * lost) / (2 * n - lost) - 2 * n / (2 * n + lost)) / 3
        assert found.drop_upper_bound == pytest.approx(expected)
        assert (found.drop, found.verdict) == (0.0, verdict)
    one_is_rare = labels_of(400, 3, 400)
    assert judged(one_is_rare, one_is_rare, "macro_f1").verdict is Verdict.INCONCLUSIVE


def test_a_class_without_golden_rows_shows_nothing() -> None:
    labels = labels_of(500, 0, 500)
    found = judged(labels, labels, "recall", metric_class="fraud")
    assert (found.verdict, found.rows_that_count, found.rows_needed) == (Verdict.INCONCLUSIVE, 0, None)


def test_so_many_rows_as_it_asks_for_settle_it() -> None:
    """The same students on the rows that were said to be needed, drop and mix of classes unchanged."""
    labels = labels_of(100, 100, 100)
    found = judged(labels, losing(labels, 1, 8), "macro_f1", margin=0.035)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.rows_needed is not None
    times = math.ceil(found.rows_needed / 300)
    more = labels_of(*[100 * times] * 3)
    assert judged(more, losing(more, 1, 8 * times), "macro_f1", margin=0.035).verdict is Verdict.PASS


def test_a_drop_just_over_the_margin_is_inconclusive_and_not_a_pass() -> None:
    labels = labels_of(300, 300, 300)
    found = judged(labels, losing(labels, 1, 16), "recall", metric_class="fraud")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.rows_needed is not None and found.rows_needed > 900


@pytest.mark.long
@pytest.mark.parametrize("groups", [FEWEST_GROUPS - 1, FEWEST_GROUPS])
def test_too_few_groups_prove_nothing_either_way(groups: int) -> None:
    assert FEWEST_GROUPS == 20, "as the documentation says"
    labels = np.tile([0, 1, 2], 2000)
    for student, verdict in ((losing(labels, 1, 6), Verdict.PASS), ((labels + 1) % 3, Verdict.FAIL)):
        found = judged(labels, student, "accuracy", groups=np.arange(6000) % groups)
        assert found.groups == groups
        assert found.has_too_few_groups == (groups < FEWEST_GROUPS)
        assert found.verdict is (Verdict.INCONCLUSIVE if groups < FEWEST_GROUPS else verdict)


@pytest.mark.long
def test_a_class_that_few_groups_have_is_in_few_groups_however_many_there_are() -> None:
    labels = labels_of(5000, 300, 4700)
    groups = np.arange(10_000) // 20  # 500 groups, of which 15 have the class
    assert judged(labels, labels, "recall", metric_class="fraud", groups=groups).groups == 15
    assert judged(labels, labels, "recall", metric_class="fraud", groups=groups).verdict is Verdict.INCONCLUSIVE
    assert judged(labels, labels, "accuracy", groups=groups).verdict is Verdict.PASS


def test_without_a_loss_groups_are_taken_to_be_lost_whole() -> None:
    """Rule of three over 40 groups of 50 rows: log(20) / 40 = 7.5 % may be lost unseen, and not 3 of 2,000 rows."""
    labels = np.zeros(2000, dtype=np.int64)
    found = judged(labels, labels, "accuracy", groups=np.arange(2000) // 50)
    assert found.unseen == pytest.approx(math.log(20) / 40)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_rows_lost_a_group_at_a_time_are_less_evidence_than_rows_lost_one_by_one() -> None:
    labels = np.tile([0, 1, 2], 1000)
    student = labels.copy()
    student[:60] = (labels[:60] + 1) % 3
    lumped = judged(labels, student, "accuracy", groups=np.arange(3000) // 30)
    spread = judged(labels, student, "accuracy", groups=np.arange(3000) % 100)
    assert lumped.drop == spread.drop
    assert (lumped.verdict, spread.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


@pytest.mark.long
@pytest.mark.parametrize(("metric", "metric_class", "index"), [("macro_f1", None, 0), ("recall", "fraud", 1)])
def test_a_student_at_the_margin_passes_at_most_about_alpha_of_the_time(metric, metric_class, index) -> None:
    """300 students whose true drop is the margin; more than 9 % of them passing would be one chance in 700."""
    # The student answers a tenth of class 1 with class 2. Per row: TP, labels + answers of the three classes.
    priors, lost = np.array([0.4, 0.3, 0.3]), 0.1 * 0.3
    f1 = [1.0, 2 * (0.3 - lost) / (0.6 - lost), 2 * 0.3 / (0.6 + lost)]
    margin = 1 - float(np.mean(f1)) if metric == "macro_f1" else 0.1
    generator, passed = np.random.default_rng(10 + index), 0
    for _ in range(300):
        labels = generator.choice(3, size=800, p=priors)
        student = np.where((labels == 1) & (generator.random(800) < 0.1), 2, labels)
        found = judged(labels, student, metric, metric_class=metric_class, margin=margin, draws=1000)
        passed += found.verdict is Verdict.PASS
    assert passed / 300 <= 0.09


def test_a_small_error_rate_gets_the_resamples_it_needs() -> None:
    labels = labels_of(100, 100, 100)
    assert judged(labels, losing(labels, 1, 2), "macro_f1", alpha=0.001).draws == 10_000


@pytest.mark.parametrize(("metric", "metric_class"), [("recall", None), ("recall", "spam"), ("accuracy", "fraud")])
def test_a_class_that_does_not_go_with_the_metric_is_refused(metric: str, metric_class: str | None) -> None:
    labels = labels_of(5, 5, 5)
    with pytest.raises(ValueError, match="the classes are bug, fraud, question"):
        judged(labels, labels, metric, metric_class=metric_class)


def test_ndcg_is_that_of_scikit_learn() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 400, 3))
    labels = np.random.default_rng(2).integers(3, size=400)
    found = judged(labels, ranks(logits[1], labels), "ndcg", teacher=ranks(logits[0], labels))
    truth = np.eye(3)[labels]
    assert found.teacher == pytest.approx(ndcg_score(truth, logits[0]))
    assert found.student == pytest.approx(ndcg_score(truth, logits[1]))


def test_ndcg_forgives_a_second_place_that_accuracy_does_not() -> None:
    """By hand: 120 of 1,000 rows in second place cost 12 points of accuracy and 12 (1 - 1 / log2(3)) = 4.4 of nDCG."""
    labels = labels_of(400, 300, 300)
    second = np.zeros(1000, dtype=np.int64)
    second[:120] = 1
    found = judged(labels, second, "ndcg", teacher=np.zeros_like(second), margin=0.06)
    assert found.drop == pytest.approx(0.12 * (1 - 1 / math.log2(3)))
    assert found.verdict is Verdict.PASS
    assert judged(labels, losing(labels, 0, 120), "accuracy", margin=0.06).verdict is Verdict.FAIL


def test_ndcg_without_a_loss_needs_the_rows_of_the_rule_of_three() -> None:
    """By hand: log(20) of n rows unseen in the last of three places cost half of their gain each."""
    for rows, verdict in ((29, Verdict.INCONCLUSIVE), (31, Verdict.PASS)):
        first = np.zeros(rows, dtype=np.int64)
        found = judged(first, first, "ndcg", teacher=first)
        assert found.drop_upper_bound == pytest.approx(math.log(20) / 2 / rows)
        assert found.verdict is verdict


def test_it_says_what_was_compared_and_of_how_many() -> None:
    labels = labels_of(50, 40, 30)
    found = judged(labels, losing(labels, 1, 4), "recall", metric_class="fraud")
    assert (found.metric, found.metric_class, found.rows, found.rows_that_count) == ("recall", "fraud", 120, 40)
    assert (found.margin, found.alpha, found.draws, found.groups) == (0.05, 0.05, 2000, None)
    assert (found.teacher, found.student, found.drop) == (1.0, pytest.approx(0.9), pytest.approx(0.1))
    assert found.metric_in_words == "recall of 'fraud'" and found.has_too_few_groups is False
    assert found.standard_error == pytest.approx(math.sqrt(0.1 * 0.9 / 40), rel=0.1)
    every = judged(labels, labels, "macro_f1", groups=np.arange(120) // 2)
    assert (every.rows_that_count, every.groups, every.metric_class) == (120, 60, None)
    assert judged(labels, labels, "accuracy", draws=300).draws == 300
    assert judged(labels, labels, "accuracy", draws=10).draws == 200, "10 / alpha at least"


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_a_margin_is_a_fraction(margin: float) -> None:
    labels = labels_of(5, 5, 5)
    with pytest.raises(ValueError, match="margin must be a fraction"):
        judged(labels, labels, "accuracy", margin=margin)
    with pytest.raises(ValueError, match="alpha"):
        judged(labels, labels, "accuracy", alpha=0.5)


def test_a_student_that_loses_nothing_is_said_how_many_rows_the_rule_of_three_takes() -> None:
    labels = labels_of(10, 10, 10)
    found = judged(labels, labels, "accuracy")
    assert (found.drop, found.drop_lower_bound, found.standard_error) == (0.0, 0.0, 0.0)
    assert found.rows_needed == math.ceil(math.log(20) / 0.05)


def test_rows_needed_are_those_of_the_spread_or_of_what_is_unseen() -> None:
    """By hand: an equal student needs (2.486 se / margin)^2 n; a measured drop what is left of the margin."""
    labels = labels_of(100, 100, 100)
    few = judged(labels, losing(labels, 1, 12), "accuracy")
    spread = (1.644854 + 0.841621) * few.standard_error
    assert few.verdict is Verdict.INCONCLUSIVE and few.drop == pytest.approx(0.04)
    assert few.rows_needed == math.ceil(300 * (spread / 0.01) ** 2)
    fewer = judged(labels_of(20, 20, 20), losing(labels_of(20, 20, 20), 1, 2), "accuracy")
    spread = (1.644854 + 0.841621) * fewer.standard_error
    assert fewer.rows_needed == math.ceil(60 * max((spread / 0.05) ** 2, fewer.unseen / 0.05))


def test_a_drop_of_the_margin_itself_is_settled_by_no_number_of_rows() -> None:
    labels = labels_of(400, 0, 0)
    found = judged(labels, losing(labels, 0, 100), "accuracy", margin=0.25)
    assert (found.drop, found.verdict, found.rows_needed) == (0.25, Verdict.INCONCLUSIVE, None)


def test_a_better_student_is_planned_for_as_an_equal_one() -> None:
    labels = labels_of(100, 100, 100)
    found = judged(labels, losing(labels, 1, 24), "accuracy", teacher=losing(labels, 2, 27), margin=0.03)
    spread = (1.644854 + 0.841621) * found.standard_error
    assert found.drop == pytest.approx(-0.01) and found.verdict is Verdict.INCONCLUSIVE
    assert found.rows_needed == math.ceil(300 * (spread / 0.03) ** 2)


def test_groups_lose_as_many_rows_at_a_time_as_they_were_seen_to_and_one_whole() -> None:
    """By hand: 12 rows in 4 groups of 3; in two groups 3 and 1 rows differ, and one more of 3 is lost whole."""
    groups, labels = np.arange(12) // 3, np.zeros(12, dtype=np.int64)
    student = labels.copy()
    student[:4] = 1
    assert rows_lost_at_a_time(student != labels, groups) == pytest.approx((4 + 3) / 3)
    assert rows_lost_at_a_time(student != student, groups) == 3.0, "both lose the same rows: none differs"
    assert rows_lost_at_a_time(student != labels, None) == 1.0


@pytest.mark.parametrize(("classes", "rows", "points"), [(100, 1, 3.99), (150, 2, 1.33), (50, 40, 0.150)])
def test_where_classes_have_fewer_rows_than_may_be_lost_unseen_several_of_them_lose_all(
    classes: int, rows: int, points: float
) -> None:
    """By hand: a class that loses all its rows falls by its F1 of 1, and the one that is answered instead by a third:
    log(20) rows cost 4/3 of a class each where it has one, and half of that where it has two. Of forty one loses all.
    """
    labels, lost = np.repeat(np.arange(classes), rows), math.log(20)
    found = _unseen(labels, labels, "macro_f1", None, lost, classes)
    assert 100 * found == pytest.approx(points, abs=0.005)
    if rows < lost:
        assert found == pytest.approx(lost * (4 / 3) / rows / classes)


def test_a_hundred_classes_of_one_row_prove_no_small_margin() -> None:
    labels = np.arange(100)
    names = tuple(map(str, range(100)))
    found = metric_test(labels, labels, labels, metric="macro_f1", classes=names, margin=0.02, alpha=0.05)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_what_is_unseen_is_taken_from_where_it_hurts_most() -> None:
    """By hand: two more rows lost, of ten in three classes of which the student is wrong on one."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    student = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    assert _unseen(labels, student, "accuracy", None, 2.0, 3) == pytest.approx(0.2)
    assert _unseen(labels, student, "accuracy", None, 99.0, 3) == pytest.approx(0.9), "no more than are right"
    assert _unseen(labels, student, "recall", 1, 2.0, 3) == pytest.approx(2 / 3)
    assert _unseen(labels, student, "recall", 1, 99.0, 3) == pytest.approx(2 / 3), "two of its three are right"
    assert _unseen(labels, student, "recall", 3, 2.0, 4) == 1.0, "of a class without rows nothing is known"
    # F1 of the classes: 8/8, 4/5, 6/7. Two rows of class 1 answered 2: F1 of 1 falls to 0, of 2 to 6/9.
    falls = {
        (0, 1): (1 - 4 / 6) + (4 / 5 - 4 / 7),
        (0, 2): (1 - 4 / 6) + (6 / 7 - 6 / 9),
        (1, 0): 4 / 5 + (1 - 8 / 10),
        (1, 2): 4 / 5 + (6 / 7 - 6 / 9),
        (2, 0): (6 / 7 - 2 / 5) + (1 - 8 / 10),
        (2, 1): (6 / 7 - 2 / 5) + (4 / 5 - 4 / 7),
    }
    assert _unseen(labels, student, "macro_f1", None, 2.0, 3) == pytest.approx(max(falls.values()) / 3)
    assert _unseen(labels, student, "macro_f1", None, 2.0, 5) == pytest.approx(max(falls.values()) / 3), (
        "classes that never occur do not count"
    )
    places = np.zeros(10, dtype=np.int64)
    assert _unseen(places, places, "ndcg", None, 2.0, 3) == pytest.approx(0.2 * 0.5)
