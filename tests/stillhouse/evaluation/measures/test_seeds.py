"""Lucky seeds are seen, and make no winner."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.comparison import compare_with_control, decide
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.measures.seeds import gain_over_seeds, seed_spread
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.recipe.bar import BarSpec, Terms
from stillhouse.report.document import report_html
from stillhouse.statistics.proportions import paired_mcnemar
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json
from tests.stillhouse.evaluation.conftest import BUDGET, make_golden, make_latency, make_outputs, make_subject

CLASSES = ("balance", "block", "travel")
BAR = BarSpec(margin=0.03)


def with_seeds(subject: EvaluatedModel, rows: int, *wrong: object) -> EvaluatedModel:
    """The subject with seed 0, and one more seed for each choice of rows that it answers wrong."""
    more = {seed: make_outputs(rows, chosen) for seed, chosen in enumerate(wrong, start=1)}  # type: ignore[arg-type]
    return replace(subject, seed=0, more_seeds=more)


def judged(student: EvaluatedModel, rows: int, bar: BarSpec = BAR) -> Evaluation:
    teacher = make_subject(rows, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    return evaluate(
        student,
        teacher,
        make_golden(rows),
        Terms(bar=bar, budget=BUDGET),
        task=SingleLabel(tuple(CLASSES)),
        latency=make_latency(),
    )


def test_the_spread_is_that_of_the_accuracies_with_what_ships_first() -> None:
    # 10, 20 and 60 of 1000 rows wrong: 0.99, 0.98, 0.94. Mean 0.97; deviations 0.02, 0.01, -0.03, squares
    # 0.0004 + 0.0001 + 0.0009 = 0.0014, over 2 = 0.0007, root 0.026458.
    spread = judged(with_seeds(make_subject(1000, range(10)), 1000, range(20), range(60)), 1000).seeds
    assert spread is not None
    assert [score.seed for score in spread.scores] == [0, 1, 2]
    assert [score.accuracy for score in spread.scores] == pytest.approx([0.99, 0.98, 0.94])
    assert [score.drop for score in spread.scores] == pytest.approx([0.01, 0.02, 0.06])
    assert (spread.mean, spread.smallest, spread.largest) == pytest.approx((0.97, 0.94, 0.99))
    assert spread.standard_deviation == pytest.approx(0.0007**0.5)
    assert spread.sentence == (
        "3 seeds: accuracy 97.0% on average, 94.0% to 99.0%, standard deviation 2.6 points; "
        "1 of 3 seeds drops by the margin of 3.0 points or more"
    )


def test_seeds_within_the_margin_give_no_warning() -> None:
    spread = judged(with_seeds(make_subject(1000), 1000, range(20)), 1000).seeds
    assert spread is not None and spread.warning == ""
    assert spread.sentence.endswith("each drops less than the margin of 3.0 points")


@pytest.mark.parametrize(
    ("bar", "drop", "words"),
    [
        # All rows are of class 0 or 1. Half of class 0 is answered 1: recall 1/2 and 1, precision 1 and 2/3, so F1 is
        # 2/3 and 4/5, their mean 11/15.
        (BarSpec(margin=0.3, metric="macro_f1"), 4 / 15, ""),
        (BarSpec(margin=0.5, metric="recall", metric_class="balance"), 1 / 2, "1 of 2 seeds drops in recall of 'bal"),
        (BarSpec(margin=0.2, metric="recall", metric_class="block"), 0.0, ""),
        (BarSpec(margin=0.2, metric="recall", metric_class="travel"), 0.0, ""),
        # One of four rows has its label in the second place, which counts 1 / log2(3) of a first one. Regression: the
        # spread in nDCG was always none.
        (BarSpec(margin=0.2, metric="ndcg"), (1 - 1 / math.log2(3)) / 4, ""),
    ],
    ids=["macro F1", "recall", "recall that is kept", "recall of a class without rows", "nDCG"],
)
def test_drops_are_in_the_metric_of_the_bar(bar: BarSpec, drop: float, words: str) -> None:
    labels = np.array([0, 0, 1, 1])
    one_hot = np.eye(3)
    by_seed = {7: one_hot[labels], 8: one_hot[[0, 1, 1, 1]]}
    spread = seed_spread(labels, one_hot[labels], by_seed, bar=bar, task=SingleLabel(tuple(CLASSES)))
    assert spread is not None
    assert [score.drop for score in spread.scores] == pytest.approx([0.0, drop])
    assert spread.warning.startswith(words) and bool(spread.warning) == bool(words)


@pytest.mark.long
def test_one_seed_has_no_spread_and_the_report_says_what_that_means() -> None:
    one = judged(make_subject(1000), 1000)
    assert one.seeds is None and report_json(one)["seeds"] is None
    assert "student was trained with one seed, so nobody knows how much of its score is luck" in report_html(one)


@pytest.mark.long
def test_the_report_has_a_line_for_each_seed_and_says_which_one_ships() -> None:
    student = judged(with_seeds(make_subject(1000, range(10)), 1000, range(60)), 1000)
    shown = report_json(student)["seeds"]
    assert [score["seed"] for score in shown["scores"]] == [0, 1]
    assert shown["warning"] in shown["sentence"] and shown["warning"].startswith("1 of 2 seeds drops")
    html = report_html(student)
    assert "seed 0 <small>ships</small>" in html and "seed 1</span>" in html and "± 3.5 over 2 seeds" in html


def test_the_choice_is_the_same_and_says_that_another_seed_misses_the_margin() -> None:
    alone = smallest_that_clears([judged(make_subject(1000, range(10)), 1000)])
    lucky = smallest_that_clears([judged(with_seeds(make_subject(1000, range(10)), 1000, range(60)), 1000)])
    assert alone.winner == lucky.winner == "student"
    assert lucky.reason == f"{alone.reason} But 1 of 2 seeds drops by the margin of 3.0 points or more."


def test_the_outputs_of_every_seed_line_up_with_the_golden_rows() -> None:
    student = with_seeds(make_subject(30), 30, [])
    short = replace(student, more_seeds={5: make_outputs(29, [])})
    with pytest.raises(StillhouseError, match=r"'student, seed 5': 1 golden rows have no output"):
        judged(short, 30)


@pytest.mark.parametrize("seed", [None, 1])
def test_further_seeds_are_further_than_one(seed: int | None) -> None:
    with pytest.raises(ValueError, match="further seeds"):
        replace(make_subject(30), seed=seed, more_seeds={1: make_outputs(30, [])})


def test_the_gain_over_seeds_is_that_of_a_hand_calculation() -> None:
    """Four rows; the first model's seeds get 4 and 3 right, the second's 2 and 1."""
    first = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
    second = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    found = gain_over_seeds(first, second)
    # Shares by row 1, 1, 1, 1/2 and 1, 1/2, 0, 0: differences 0, 1/2, 1, 1/2, mean 1/2, squares of the deviations
    # 1/4 + 0 + 1/4 + 0, over 3 = 1/6, over 4 rows = 1/24.
    assert found.gain == 0.5
    assert found.row_variance == pytest.approx(1 / 24)
    # Accuracies 1 and 3/4, 1/2 and 1/4: variance 1/32 each, over 2 seeds = 1/64, twice.
    assert found.seed_variance == pytest.approx(1 / 32)
    variance = 1 / 24 + 1 / 32
    freedom = variance**2 / ((1 / 24) ** 2 / 3 + 2 * (1 / 64) ** 2)
    assert found.degrees_of_freedom == pytest.approx(freedom)
    half = stats.t.ppf(0.95, freedom) * variance**0.5
    assert (found.lower, found.upper) == pytest.approx((0.5 - half, 0.5 + half))


def test_seeds_that_vary_no_more_than_nothing_leave_the_paired_test_of_rows() -> None:
    """With equal seeds it is the t test of the differences, by scipy, but for the degrees of freedom."""
    random = np.random.default_rng(5)
    first, second = random.random(200) < 0.9, random.random(200) < 0.8
    found = gain_over_seeds(np.array([first, first]), np.array([second, second]))
    low = stats.ttest_rel(first.astype(float), second.astype(float), alternative="greater").confidence_interval(0.95)
    assert found.lower == pytest.approx(low.low)
    assert found.seed_variance == 0.0


def test_without_any_difference_the_bounds_are_the_gain() -> None:
    all_right = np.ones((2, 10), bool)
    found = gain_over_seeds(all_right, all_right)
    assert (found.gain, found.lower, found.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second"), [((1, 10), (2, 10)), ((2, 10), (2, 9)), ((2, 1), (2, 1)), ((10,), (10,))], ids=str
)
def test_one_seed_or_other_rows_are_refused(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two seeds or more and the same rows"):
        gain_over_seeds(np.ones(first, bool), np.ones(second, bool))


def controls(rows: int, *wrong: object) -> EvaluatedModel:
    first, *more = wrong
    control = make_subject(rows, first, name="labels only", kind=ModelKind.CONTROL)  # type: ignore[arg-type]
    return with_seeds(control, rows, *more)


def test_a_win_of_one_pair_that_other_seeds_do_not_repeat_is_none() -> None:
    """The shipped pair is 20 rows of 600 apart, proof enough by rows alone; the other seeds of both fill the gap."""
    student = with_seeds(make_subject(600, range(10)), 600, range(30), range(25))
    control = controls(600, range(30), range(12), range(20))
    golden = make_golden(600)
    alone = compare_with_control(replace(student, more_seeds={}), control, golden, task=SingleLabel(tuple(CLASSES)))
    assert alone.verdict is Verdict.PASS and alone.over_seeds is None
    assert alone.sentence.endswith(", on one seed)")
    found = compare_with_control(student, control, golden, task=SingleLabel(tuple(CLASSES)))
    assert found.test == alone.test and found.verdict is Verdict.INCONCLUSIVE
    assert found.sentence.endswith("on the mean of 3 and 3 seeds 0.2 points below, -3.0 to 2.7, within the spread")
    opposite = compare_with_control(control, student, golden, task=SingleLabel(tuple(CLASSES)))
    assert opposite.verdict is Verdict.INCONCLUSIVE, "nor has the other one won"


def test_a_win_that_every_seed_repeats_is_one() -> None:
    student = with_seeds(make_subject(600, range(10)), 600, range(12), range(9))
    control = controls(600, range(60), range(50), range(55))
    golden = make_golden(600)
    found = compare_with_control(student, control, golden, task=SingleLabel(tuple(CLASSES)))
    assert found.verdict is Verdict.PASS and found.over_seeds is not None and found.over_seeds.lower > 0
    assert found.sentence.startswith("distillation helped: ")
    assert compare_with_control(control, student, golden, task=SingleLabel(tuple(CLASSES))).verdict is Verdict.FAIL


def test_no_gain_is_shown_only_where_the_seeds_show_it_too() -> None:
    student, golden = make_subject(1200, [1]), make_golden(1200)
    alike = with_seeds(student, 1200, [2]), controls(1200, [3], [4])
    assert compare_with_control(*alike, golden, task=SingleLabel(tuple(CLASSES))).verdict is Verdict.FAIL
    apart = with_seeds(student, 1200, [2]), controls(1200, [3], range(60))
    assert compare_with_control(*apart, golden, task=SingleLabel(tuple(CLASSES))).verdict is Verdict.INCONCLUSIVE


@pytest.mark.long
@pytest.mark.parametrize("seeds", [(2, 2), (3, 3), (2, 5)], ids=str)
def test_two_equal_models_have_no_winner(seeds: tuple[int, int]) -> None:
    """Pairs of one and the same model: rows of its own difficulty, and a seed that moves all of them a little.

    By its seeds its accuracy has a standard deviation of about three points. One pair alone has a winner in a quarter
    of the cases and more, and as often a winning control.
    """
    random, rows, pairs = np.random.default_rng(11), 1200, 1000
    one, several = {Verdict.PASS: 0, Verdict.FAIL: 0}, {Verdict.PASS: 0, Verdict.FAIL: 0}
    for _ in range(pairs):
        difficulty = random.normal(0, 2, rows)

        def correct(models: int, difficulty: np.ndarray = difficulty) -> np.ndarray:
            logits = 2 + difficulty + random.normal(0, 0.3, (models, 1))
            return random.random((models, rows)) < 1 / (1 + np.exp(-logits))

        first, second = (correct(models) for models in seeds)
        test = paired_mcnemar(first[0], second[0])
        alone, found = decide(test, 1.0, None), decide(test, 1.0, gain_over_seeds(first, second))
        for counted, verdict in ((one, alone), (several, found)):
            if verdict is not Verdict.INCONCLUSIVE:
                counted[verdict] += 1
    for verdict in (Verdict.PASS, Verdict.FAIL):
        assert one[verdict] > 0.2 * pairs, "the control: rows alone take luck for a difference"
        assert several[verdict] <= 0.05 * pairs
