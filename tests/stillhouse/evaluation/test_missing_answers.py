"""What missing answers do not decide is decided, and what they might decide is not."""

from collections.abc import Callable

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.missing_answers import whichever_they_are
from stillhouse.recipe.bar import BarSpec, SliceSpec
from stillhouse.statistics.verdicts import Verdict


def judged(run: Callable[..., Evaluation], wrong: int, missing: int) -> Evaluation:
    """A model that is wrong on some of 1,200 rows, and did not answer some more of them."""
    if_wrong, if_right = run(wrong=range(wrong + missing)), run(wrong=range(wrong))
    return whichever_they_are(if_wrong, if_right, rows=missing)


def test_a_model_that_passes_even_if_each_missing_answer_is_wrong_passes(run: Callable[..., Evaluation]) -> None:
    assert judged(run, wrong=0, missing=5).verdict is Verdict.PASS


def test_a_model_that_fails_even_if_each_missing_answer_is_right_fails(run: Callable[..., Evaluation]) -> None:
    evaluation = judged(run, wrong=600, missing=200)
    assert evaluation.verdict is Verdict.FAIL and "turned away" not in evaluation.gravest[0].sentence


def test_a_model_that_an_outage_alone_would_fail_is_neither_passed_nor_failed(run: Callable[..., Evaluation]) -> None:
    assert run(wrong=range(400)).verdict is Verdict.FAIL and run().verdict is Verdict.PASS
    evaluation = judged(run, wrong=0, missing=400)
    assert evaluation.verdict is Verdict.INCONCLUSIVE
    assert "the 400 golden rows that it turned away: with these counted as wrong" in evaluation.gravest[0].sentence
    assert evaluation.score.accuracy < 0.7


def test_that_slices_are_near_each_other_depends_on_which_of_the_missing_answers_are_right(
    run: Callable[..., Evaluation],
) -> None:
    """Of each slice 90 of 1,200 are missing: all wrong or all right the slices are equal, else 7.5 points apart."""
    both = [SliceSpec(name=name, column="channel", values=(name,), critical=True) for name in ("app", "phone")]
    asked = {"rows": 2400, "slices": both, "bar": BarSpec(margin=0.1, slice_gap_at_most=0.05)}
    app, phone = range(90), range(1200, 1290)
    if_wrong, if_right, by_slice = (run(wrong=wrong, **asked) for wrong in ([*app, *phone], [], app))
    assert if_wrong.verdict is if_right.verdict is Verdict.PASS and by_slice.verdict is not Verdict.PASS
    evaluation = whichever_they_are(if_wrong, if_right, rows=180)
    assert [each.name for each in evaluation.open_claims] == ["slice_gap"]
    assert evaluation.verdict is Verdict.INCONCLUSIVE and "180 golden rows" in evaluation.gravest[0].sentence
    too_far = run(wrong=range(300), **asked)
    assert whichever_they_are(too_far, too_far, rows=1).verdict is Verdict.FAIL
