"""What missing answers do not decide is decided, and what they might decide is not."""

from collections.abc import Callable

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.missing_answers import whichever_they_are
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
