"""Non-inferiority in F1 over the values of fields: rows are the evidence, and values that are few prove nothing."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from stillhouse.statistics.bootstrap import paired_sums
from stillhouse.statistics.field_test import Values, f1_of, field_f1_test
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.verdicts import Verdict

FIELDS = 4
NONE, VALUE, OTHER = 0, 1, 2
"""What a record has in a field, seen from the truth, whose value is `VALUE`."""


def values(truth: np.ndarray, said: np.ndarray) -> Values:
    return Values.of(truth != NONE, said != NONE, truth == said)


def simulated(
    rows: int, lost: float, seed: int, *, there: float = 0.8, taught: float = 0.05, fields: int = FIELDS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, teacher and student of so many rows; both err on a share of fields, by another value, one too many or
    none, and the student on some more."""
    random = np.random.default_rng(seed)
    truth = np.where(random.random((rows, fields)) < there, VALUE, NONE)

    def with_errors(said: np.ndarray, share: float) -> np.ndarray:
        wrong = random.choice([NONE, OTHER], said.shape)
        return np.where(random.random(said.shape) < share, wrong, said)

    teacher = with_errors(truth, taught)
    return truth, teacher, with_errors(teacher, lost)


def judged(
    rows: int, lost: float, *, seed: int = 0, margin: float = 0.05, fields: int = FIELDS, **how: Any
) -> MetricTest:
    of_data = {name: how.pop(name) for name in ("there", "taught") if name in how}
    truth, teacher, student = simulated(rows, lost, seed, fields=fields, **of_data)
    return field_f1_test(values(truth, teacher), values(truth, student), fields=fields, margin=margin, **how)


def perfect(rows: int, there: int = FIELDS) -> Values:
    """All right, in rows of which so many fields have a value."""
    counted = np.full(rows, there)
    return Values(counted, counted, counted)


def test_f1_is_counted_by_hand_over_all_rows_and_fields() -> None:
    truth = np.array([[VALUE, VALUE, NONE], [VALUE, NONE, NONE]])
    said = np.array([[VALUE, OTHER, OTHER], [NONE, NONE, NONE]])
    found = values(truth, said)
    assert (found.there.tolist(), found.given.tolist(), found.right.tolist()) == ([2, 1], [3, 0], [1, 0])
    assert found.f1 == pytest.approx(2 * 1 / (3 + 3))
    nothing = np.zeros((3, 2), int)
    assert values(nothing, nothing).f1 == 1.0 and values(nothing, nothing + OTHER).f1 == 0.0


def test_f1_is_that_of_scikit_learn() -> None:
    truth, _, student = simulated(200, 0.3, 7)
    columns = [np.concatenate([each == VALUE, each == OTHER], axis=1) for each in (truth, student)]
    assert values(truth, student).f1 == pytest.approx(f1_score(*columns, average="micro"))


def test_a_student_as_good_as_its_teacher_passes_and_a_bad_one_fails() -> None:
    good, bad = judged(800, 0.02), judged(800, 0.3)
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert good.drop_upper_bound < 0.05 <= bad.drop_lower_bound
    assert (good.metric, good.metric_in_words, good.rows, good.groups) == ("field_f1", "field F1", 800, None)
    assert good.drop == pytest.approx(good.teacher - good.student)


def test_the_same_student_is_not_told_on_few_rows_and_those_that_it_asks_for_settle_it() -> None:
    few = judged(120, 0.02)
    assert few.verdict is Verdict.INCONCLUSIVE and few.rows_needed is not None and few.rows_needed > 120
    assert judged(few.rows_needed, 0.02, seed=3).verdict is Verdict.PASS


@pytest.mark.parametrize(("rows", "verdict"), [(59, Verdict.INCONCLUSIVE), (60, Verdict.PASS)])
def test_without_a_loss_it_needs_the_rows_of_the_rule_of_three(rows: int, verdict: Verdict) -> None:
    """Where each field has a value, log(20) = 3 rows of n that are lost whole are 3 / n of F1: 0.05 at 60 rows."""
    found = field_f1_test(perfect(rows), perfect(rows), fields=FIELDS, margin=0.05)
    assert found.verdict is verdict and found.drop == 0
    assert found.unseen == found.drop_upper_bound == pytest.approx(math.log(20) / rows)


def test_a_row_may_be_lost_with_a_value_too_many_in_each_field_that_has_none() -> None:
    """By hand: of 100 rows of 1 value in 4 fields, log(20) lost ones give 4 wrong values each, 3 more than before."""
    rows = perfect(100, there=1)
    found = field_f1_test(rows, rows, fields=FIELDS, margin=0.05)
    lost = math.log(20)
    assert found.unseen == pytest.approx(1 - 2 * (100 - lost) / (200 + 3 * lost))


def test_what_is_unseen_is_taken_from_the_rows_where_it_hurts_most() -> None:
    """Three rows of four values are lost first, and of a fourth as much as is left of log(1 / 0.04) = 3.2."""
    counted = np.array([4] * 3 + [1] * 200)
    found = field_f1_test(Values(counted, counted, counted), Values(counted, counted, counted), fields=4, margin=0.05,
                          alpha=0.04)  # fmt: skip
    part = math.log(25) - 3
    right, both = 212 - 12 - part, 424 + 3 * part
    assert found.unseen == pytest.approx(1 - 2 * right / both)


def test_values_that_are_few_prove_nothing_however_many_rows_there_are() -> None:
    counted = np.array([1] * 10 + [0] * 5000)
    few = Values(counted, counted, counted)
    found = field_f1_test(few, few, fields=FIELDS, margin=0.1)
    assert found.verdict is Verdict.INCONCLUSIVE and (found.rows, found.rows_that_count) == (5010, 10)
    nothing = Values(0 * counted, 0 * counted, 0 * counted)
    empty = field_f1_test(nothing, nothing, fields=FIELDS, margin=0.9)
    assert empty.verdict is Verdict.INCONCLUSIVE and empty.rows_that_count == 0 and empty.rows_needed is None


def test_an_answer_that_is_missing_counts_against_whoever_gives_none() -> None:
    whole, silent = perfect(400), perfect(400)
    silent = Values(silent.there, np.where(np.arange(400) < 60, 0, silent.given), np.where(np.arange(400) < 60, 0, 4))
    assert silent.f1 == pytest.approx(2 * 340 / (400 + 340))
    assert field_f1_test(whole, silent, fields=FIELDS, margin=0.05).verdict is Verdict.FAIL
    assert field_f1_test(silent, whole, fields=FIELDS, margin=0.05).verdict is Verdict.PASS


def test_bounds_are_those_of_scipys_bootstrap() -> None:
    truth, teacher, student = simulated(150, 0.15, 5)
    taught, said = values(truth, teacher).counts, values(truth, student).counts

    def drop(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
        first, both, other, others = (each.sum(axis=axis) for each in columns)
        return 2 * first / both - 2 * other / others

    found = paired_sums(taught, said, f1_of)
    expected = bootstrap(
        (*taught.T, *said.T), drop, paired=True, confidence_level=0.9, n_resamples=9999, method="BCa", rng=0
    )
    assert (found.lower, found.upper) == pytest.approx(tuple(expected.confidence_interval), abs=0.004)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.05)
    asked = field_f1_test(values(truth, teacher), values(truth, student), fields=FIELDS, margin=0.05)
    assert asked.drop_lower_bound == found.lower
    assert asked.drop_upper_bound == max(found.upper, found.drop + asked.unseen)


def test_neither_the_order_of_rows_nor_that_of_fields_matters() -> None:
    truth, teacher, student = simulated(100, 0.1, 2)
    rows, fields = np.random.default_rng(0).permutation(100), [2, 0, 3, 1]
    first = field_f1_test(values(truth, teacher), values(truth, student), fields=FIELDS, margin=0.05)
    mixed = [each[rows][:, fields] for each in (truth, teacher, student)]
    assert field_f1_test(values(*mixed[:2]), values(mixed[0], mixed[2]), fields=FIELDS, margin=0.05) == first


def test_rows_in_groups_are_drawn_whole_and_too_few_groups_prove_nothing() -> None:
    truth, teacher, student = simulated(600, 0.02, 1)
    alone = field_f1_test(values(truth, teacher), values(truth, student), fields=FIELDS, margin=0.05)
    repeated = [np.repeat(each, 3, axis=0) for each in (truth, teacher, student)]
    groups = np.repeat(np.arange(600), 3)
    copies = field_f1_test(
        values(*repeated[:2]), values(repeated[0], repeated[2]), fields=FIELDS, groups=groups, margin=0.05
    )
    assert copies.groups == 600 and copies.standard_error == pytest.approx(alone.standard_error, rel=0.1)
    for number, verdict in ((19, Verdict.INCONCLUSIVE), (40, Verdict.PASS)):
        rows = perfect(20 * number)
        found = field_f1_test(rows, rows, fields=FIELDS, groups=np.arange(20 * number) % number, margin=0.3)
        assert (found.groups, found.verdict, found.has_too_few_groups) == (number, verdict, number < 20)


def test_groups_without_a_value_are_no_evidence() -> None:
    counted = np.array([4] * 19 * 5 + [0] * 100)
    rows, groups = Values(counted, counted, counted), np.arange(195) // 5
    assert field_f1_test(rows, rows, fields=FIELDS, groups=groups, margin=0.5).has_too_few_groups


@pytest.mark.long
@pytest.mark.parametrize(("there", "grouped"), [(0.8, False), (0.15, False), (0.8, True)])
def test_a_student_that_misses_the_margin_passes_seldom(there: float, grouped: bool) -> None:
    """At the margin itself no more than 5 % of students may slip through, and a little for the noise of 300 draws."""
    drop = np.mean([judged(4000, 0.06, seed=seed, there=there).drop for seed in range(10)])
    how: dict[str, Any] = {"groups": np.arange(240) // 2} if grouped else {}
    passed = [
        judged(240, 0.06, seed=seed, there=there, margin=float(drop), draws=400, **how).verdict is Verdict.PASS
        for seed in range(100, 400)
    ]
    assert np.mean(passed) <= 0.08


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_outside_of_its_range_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        judged(30, 0.1, margin=margin)


def test_models_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        field_f1_test(perfect(30), perfect(29), fields=FIELDS, margin=0.05)
    with pytest.raises(ValueError, match="one shape"):
        paired_sums(np.ones((3, 2), int), np.ones((4, 2), int), f1_of)
