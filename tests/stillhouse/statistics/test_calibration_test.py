"""A limit on the calibration error is proven, against exact bounds and models of which the truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe.bar import BarSpec, Terms
from stillhouse.report.options import ruled_out
from stillhouse.statistics import calibration_test as module
from stillhouse.statistics.calibration import expected_calibration_error, reliability
from stillhouse.statistics.calibration_test import _rows_needed, _units, _weights, calibration_test
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json

SURE = np.exp(3) / (np.exp(3) + 2)
"""Confidence of every answer of the models in conftest.py: 90.9 %."""


def claim(evaluation: Evaluation):
    return next(each for each in evaluation.claims if each.name == "calibration")


def bar(limit: float) -> BarSpec:
    return BarSpec(margin=0.2, calibration_error_at_most=limit)


@pytest.mark.long
@pytest.mark.parametrize("wrong", [0, 1, 4, 12])
def test_where_all_rows_have_one_confidence_the_bound_is_that_of_clopper_and_pearson(wrong: int) -> None:
    correct = np.arange(100) >= wrong
    found = calibration_test(np.full(100, 1.0), correct, limit=0.5, draws=20_000)
    assert found.error == pytest.approx(wrong / 100)
    assert found.upper_bound == pytest.approx(beta.ppf(0.95, wrong + 1, 100 - wrong), abs=0.002)


def test_a_model_that_was_never_seen_wrong_is_bounded_by_the_rule_of_three() -> None:
    few = calibration_test(np.full(30, 1.0), np.ones(30, dtype=bool), limit=0.05)
    assert few.error == 0 and few.upper_bound == pytest.approx(3 / 30, abs=0.01)
    assert few.verdict is Verdict.INCONCLUSIVE


def uniformly_too_sure(generator: np.random.Generator, rows: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    confidence = generator.uniform(0.6, 1.0, rows)
    return confidence, confidence - limit


def sure_and_rarely_wrong(generator: np.random.Generator, rows: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(rows, 0.999), np.full(rows, 0.999 - limit)


def too_sure_here_and_too_modest_there(generator: np.random.Generator, rows: int, limit: float):
    confidence = generator.uniform(0.34, 0.86, rows)
    return confidence, confidence + np.where(confidence > 0.6, -limit, limit)


def one_bin_alone(generator: np.random.Generator, rows: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    unsure = generator.random(rows) < 0.25
    return np.where(unsure, 0.56, 0.97), np.where(unsure, 0.56 - 4 * limit, 0.97)


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (uniformly_too_sure, 0.08),
        (sure_and_rarely_wrong, 0.08),
        (too_sure_here_and_too_modest_there, 0.04),  # where gaps are as small as their noise, the bias is at its worst
        (one_bin_alone, 0.08),
    ],
)
def test_a_model_at_the_limit_passes_and_fails_in_at_most_one_case_of_twenty(model, limit: float) -> None:
    generator = np.random.default_rng(5)
    passed = failed = 0
    for _ in range(250):
        confidence, accuracy = model(generator, 300, limit)
        found = calibration_test(confidence, generator.random(300) < accuracy, limit=limit, draws=300)
        passed += found.verdict is Verdict.PASS
        failed += found.verdict is Verdict.FAIL
    # The standard error of 5 % in 250 is 1.4 points: three of them are left to chance.
    assert passed / 250 <= 0.092 and failed / 250 <= 0.092


def test_a_calibrated_model_passes_and_one_that_is_far_off_fails() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.7, 1.0, 1500)
    good = calibration_test(confidence, generator.random(1500) < confidence, limit=0.06)
    bad = calibration_test(confidence, generator.random(1500) < confidence - 0.15, limit=0.06)
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert good.lower_bound < good.error < good.upper_bound <= 0.06
    assert bad.lower_bound > 0.06


def too_modest_below_and_too_sure_above(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All confidences are above 14/15, and 6.2 points from the truth: half below it, half above."""
    modest = generator.random(700) < 0.5
    confidence = np.where(modest, generator.uniform(0.934, 0.944, 700), generator.uniform(0.985, 1, 700))
    return confidence, generator.random(700) < np.where(modest, 1.0, confidence - 0.0625)


def test_gaps_of_opposite_signs_among_high_confidences_do_not_pass() -> None:
    """Regression: of 100 such models 100 passed, since in a bin of equal width from 14/15 to 1 they cancel."""
    generator = np.random.default_rng(7)
    found = [calibration_test(*too_modest_below_and_too_sure_above(generator), limit=0.05) for _ in range(20)]
    assert not any(each.verdict is Verdict.PASS for each in found)
    assert np.mean([each.error for each in found]) == pytest.approx(0.061, abs=0.005)


def test_nor_do_they_where_rows_come_in_groups() -> None:
    generator = np.random.default_rng(7)
    groups = np.arange(700) // 7
    bad = calibration_test(*too_modest_below_and_too_sure_above(generator), limit=0.05, groups=groups)
    good = calibration_test(np.full(700, 0.95), np.arange(700) % 20 > 0, limit=0.05, groups=groups)
    assert (bad.verdict, good.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_a_model_that_is_too_sure_everywhere_fails_by_the_mean_where_its_bins_cannot_tell() -> None:
    """By hand: rows 12 points too sure on the mean; so few fill nine bins with more chance than that."""
    confidence = np.linspace(0.7, 0.95, 300)
    correct = np.random.default_rng(1).random(300) < confidence - 0.12
    found = calibration_test(confidence, correct, limit=0.06)
    assert found.verdict is Verdict.FAIL
    mean = confidence.mean() - correct.mean()
    spread = 1.96 * np.sqrt(correct.var() / 300)  # the quantile is of both signs
    assert found.lower_bound == pytest.approx(mean - spread, abs=0.01)


@given(st.lists(st.floats(0.6, 1), min_size=20, max_size=60), st.data())
@settings(max_examples=25, deadline=None)
def test_the_measured_error_is_between_its_bounds_in_any_order_of_rows(confidence, data) -> None:
    sure = np.array(confidence)
    correct = np.array(data.draw(st.lists(st.booleans(), min_size=len(sure), max_size=len(sure))))
    found = calibration_test(sure, correct, limit=0.1, draws=200)
    assert 0 <= found.lower_bound <= found.error <= found.upper_bound + 1e-9
    assert found.error == pytest.approx(expected_calibration_error(reliability(sure, correct)))
    places = data.draw(st.permutations(range(len(sure))))
    shuffled = calibration_test(sure[places], correct[places], limit=0.1, draws=200)
    assert shuffled.upper_bound == pytest.approx(found.upper_bound) and shuffled.verdict is found.verdict


def test_the_order_of_rows_and_the_names_of_groups_do_not_matter() -> None:
    generator = np.random.default_rng(1)
    confidence, correct, groups = generator.uniform(0.5, 1, 300), generator.random(300) < 0.7, np.arange(300) // 5
    shuffle = generator.permutation(300)
    for together, others in ((None, None), (groups, 100 - groups[shuffle])):
        one = calibration_test(confidence, correct, limit=0.1, groups=together)
        other = calibration_test(confidence[shuffle], correct[shuffle], limit=0.1, groups=others)
        assert one.upper_bound == pytest.approx(other.upper_bound, abs=1e-12)
        assert one.lower_bound == pytest.approx(other.lower_bound, abs=1e-12)


def test_rows_that_stand_and_fall_together_prove_less() -> None:
    confidence, correct = np.full(1000, 0.9), np.arange(1000) % 100 < 90
    alone = calibration_test(confidence, correct, limit=0.06)
    in_tens = calibration_test(confidence, correct, limit=0.06, groups=np.arange(1000) // 10)
    assert (alone.verdict, in_tens.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert in_tens.upper_bound > 2 * alone.upper_bound
    single = calibration_test(confidence, correct, limit=0.06, groups=np.arange(1000))
    assert single.upper_bound == pytest.approx(alone.upper_bound, abs=0.002)


def test_few_groups_prove_nothing_and_say_so() -> None:
    confidence, correct = np.full(1900, 0.9), np.arange(1900) % 10 > 0
    found = calibration_test(confidence, correct, limit=0.9, groups=np.arange(1900) % 19)
    assert found.verdict is Verdict.INCONCLUSIVE and found.has_too_few_groups and found.rows_needed is None


def test_so_many_rows_as_it_asks_for_settle_it() -> None:
    confidence = np.tile([0.9, 0.9, 0.9, 0.9, 0.9], 40)
    correct = np.tile([True, True, True, True, False], 40)  # 80 % right: an error of 10 points
    few = calibration_test(confidence, correct, limit=0.13)
    assert few.verdict is Verdict.INCONCLUSIVE and few.rows_needed is not None
    times = -(-few.rows_needed // 200)
    assert times > 1
    assert calibration_test(np.tile(confidence, times), np.tile(correct, times), limit=0.13).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("confidence", "correct", "how", "message"),
    [
        ([], [], {}, "two vectors"),
        ([0.5], [True, False], {}, "two vectors"),
        ([[0.5]], [[True]], {}, "two vectors"),
        ([1.5], [True], {}, "not a probability"),
        ([-0.1], [True], {}, "not a probability"),
        ([float("nan")], [True], {}, "not a probability"),
        ([0.5], [True], {"limit": 0.0}, "limit must be a fraction"),
        ([0.5], [True], {"limit": 1.0}, "limit must be a fraction"),
        ([0.5], [True], {"alpha": 0.9}, "alpha"),
        ([0.5], [True], {"groups": np.zeros(2)}, "a group for each of 1 rows"),
    ],
)
def test_what_makes_no_sense_is_refused(confidence, correct, how, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_test(np.array(confidence), np.array(correct, dtype=bool), **{"limit": 0.1, **how})


def test_a_confidence_of_nothing_or_of_everything_is_one() -> None:
    found = calibration_test(np.array([0.0, 1.0]), np.array([False, True]), limit=0.5)
    assert (found.error, found.verdict) == (0.0, Verdict.INCONCLUSIVE)


def test_it_says_what_was_asked_and_of_how_many() -> None:
    confidence, correct = np.full(100, 0.9), np.arange(100) >= 10
    found = calibration_test(confidence, correct, limit=0.2)
    assert (found.limit, found.alpha, found.rows, found.groups, found.draws) == (0.2, 0.05, 100, None, 2000)
    assert found.has_too_few_groups is False
    grouped = calibration_test(confidence, correct, limit=0.2, groups=np.arange(100) // 5, alpha=0.004, draws=10)
    assert (grouped.alpha, grouped.groups, grouped.draws) == (0.004, 20, 2500), "10 / alpha at least"
    assert grouped.has_too_few_groups is False, "twenty are enough"
    assert calibration_test(confidence, correct, limit=0.2, draws=300).draws == 300


def test_a_bound_at_the_limit_is_within_it() -> None:
    confidence, correct = np.full(200, 0.9), np.arange(200) % 5 > 0  # an error of 10 points
    found = calibration_test(confidence, correct, limit=0.12)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert calibration_test(confidence, correct, limit=found.upper_bound).verdict is Verdict.PASS
    assert 0 < found.lower_bound < 0.1
    assert calibration_test(confidence, correct, limit=found.lower_bound).verdict is Verdict.INCONCLUSIVE
    assert calibration_test(confidence, correct, limit=found.lower_bound - 1e-9).verdict is Verdict.FAIL
    assert calibration_test(confidence, correct, limit=found.lower_bound - 1e-9).rows_needed is None


def test_rows_needed_shrink_the_distance_to_the_nearer_bound_with_their_root() -> None:
    assert _rows_needed(0.05, lower=0.03, upper=0.09, limit=0.07, rows=100) == 400, "twice as near, four times as many"
    assert _rows_needed(0.10, lower=0.04, upper=0.12, limit=0.08, rows=100) == 900, "of a lower bound likewise"
    assert _rows_needed(0.05, lower=0.03, upper=0.06, limit=0.07, rows=100) == 101, "one more at least"
    assert _rows_needed(0.07, lower=0.03, upper=0.09, limit=0.07, rows=100) is None


def test_a_model_that_is_too_modest_is_as_wrong_as_one_that_is_too_sure() -> None:
    """By hand: half of the rows are 10 points too sure, half 10 too modest, in bins of their own."""
    confidence = np.repeat([0.9, 0.5], 100)
    correct = np.concatenate([np.arange(100) < 80, np.arange(100) < 60])
    found = calibration_test(confidence, correct, limit=0.05)
    assert found.error == pytest.approx(0.1)
    assert found.lower_bound < 0.1 < found.upper_bound


def test_units_are_rows_or_whole_groups_with_their_gaps_by_bin() -> None:
    confidence, correct = np.array([0.99, 0.5, 0.99, 0.99]), np.array([True, False, False, True])
    rows, gaps = _units(confidence, correct, None)
    assert rows.tolist() == [1, 1, 1, 1] and gaps.shape == (4, 2)
    assert gaps[:, 0].tolist() == [0.5, 0, 0, 0] and gaps[1:, 1] == pytest.approx([-0.01, -0.01, 0.99])
    rows, gaps = _units(confidence, correct, np.array([7, 3, 7, 7]))
    assert rows.tolist() == [1, 3]
    assert gaps[:, 0].tolist() == [0.5, 0] and gaps[:, 1] == pytest.approx([0, 0.97])


def test_the_weights_of_a_draw_sum_to_one_however_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([1.0, 2.0, 6.0])

    def drawn() -> tuple[np.ndarray, np.ndarray]:
        seen, unseen = zip(*_weights(rows, 100), strict=True)
        return np.concatenate(seen), np.concatenate(unseen)

    seen, unseen = drawn()
    assert seen.shape == (100, 3) and unseen.shape == (100,)
    assert seen @ rows + unseen == pytest.approx(np.ones(100))
    assert unseen.mean() == pytest.approx(0.25, abs=0.05), "the unit nobody saw is of mean size, one of four"
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 12)
    assert [len(unseen) for _, unseen in _weights(rows, 7)] == [3, 3, 1]
    assert drawn()[0] == pytest.approx(seen)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 1)
    assert [len(unseen) for _, unseen in _weights(rows, 2)] == [1, 1]


@pytest.mark.long
def test_a_limit_binds_and_each_verdict_says_why(run) -> None:
    good = run(wrong=range(0, 1200, 11), slices=(), bar=bar(0.05))  # 109 of 1,200 wrong: as sure as it is right
    assert good.calibration_test is not None and good.calibration_test.error == pytest.approx(0, abs=0.002)
    assert claim(good).binding and good.verdict is Verdict.PASS
    assert claim(good).sentence.startswith(
        "confidence within 5.0 points of accuracy: calibration error 0.1, 95% bound "
    )

    bad = run(wrong=range(0, 1200, 4), slices=(), bar=bar(0.05))  # 75 % right
    assert claim(bad).verdict is Verdict.FAIL
    assert (
        "confidence not within 5.0 points of accuracy: calibration error 15.9, and with 95% bound"
        in claim(bad).sentence
    )
    assert ruled_out(bad).endswith("Also: calibration")

    unclear = run(rows=120, wrong=range(0, 120, 11), slices=(), bar=bar(0.03))
    assert claim(unclear).verdict is Verdict.INCONCLUSIVE
    assert claim(unclear).sentence.startswith("cannot tell whether confidence is within 3.0 points of accuracy: ")
    assert " would settle it, " in claim(unclear).sentence
    assert report_json(good)["calibration_test"]["verdict"] == "pass"


def test_no_limit_no_claim(run) -> None:
    result = run()
    assert result.calibration_test is None and report_json(result)["calibration_test"] is None
    assert "calibration" not in {each.name for each in result.claims}


@pytest.mark.long
def test_what_is_asked_is_the_confidence_that_is_served(subject, run) -> None:
    """The same answers, divided by a temperature, are other confidences and the same accuracy."""
    from dataclasses import replace

    from stillhouse.evaluation.harness import evaluate
    from stillhouse.evaluation.models import ModelKind
    from tests.stillhouse.evaluation.conftest import BUDGET, CLASSES, make_golden

    teacher = subject(1200, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    too_sure = subject(1200, range(0, 1200, 11), sure=9.0)

    def judged(temperature: float) -> Evaluation:
        served = replace(too_sure, temperature=temperature)
        return evaluate(
            served, teacher, make_golden(1200), Terms(bar=bar(0.05), budget=BUDGET), task=SingleLabel(tuple(CLASSES))
        )

    hot, cold = judged(3.0), judged(1.0)
    assert (claim(hot).verdict, claim(cold).verdict) == (Verdict.PASS, Verdict.FAIL)
    assert hot.regressions[0].confidence == pytest.approx(SURE)
    assert cold.regressions[0].confidence > 0.999
    assert hot.fidelity.mean_kl == cold.fidelity.mean_kl
