"""The smallest that clears the bar is taken, and the next one down is shown failing."""

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.recipe.bar import BarSpec

BAD = range(0, 1200, 10)


def test_the_smallest_that_clears_wins_and_the_next_smaller_is_named(run) -> None:
    big = run(name="big", size_bytes=30_000_000)
    middle = run(name="middle", size_bytes=20_000_000)
    small = run(name="small", size_bytes=10_000_000, wrong=BAD)
    tiny = run(name="tiny", size_bytes=5_000_000, wrong=BAD)
    result = smallest_that_clears([small, big, tiny, middle])
    assert result.winner == "middle"
    assert result.next_smaller == "small"
    assert result.reason.startswith("middle (20 MB) is the smallest that clears the bar. The next smaller, at 10 MB: ")
    assert "small misses the bar" in result.reason


def test_controls_are_never_eligible(run) -> None:
    control = run(name="control", kind=ModelKind.CONTROL, size_bytes=1_000)
    student = run(name="student", wrong=BAD)
    assert smallest_that_clears([control, student]).winner is None


def test_inconclusive_does_not_clear(run) -> None:
    result = smallest_that_clears([run(name="unmeasured", latency=None)])
    assert result.winner is None
    assert "unmeasured is not shown to clear the bar" in result.reason


def test_a_baseline_that_clears_is_taken(run) -> None:
    baseline = run(name="probe", kind=ModelKind.BASELINE, size_bytes=1_000)
    result = smallest_that_clears([run(), baseline])
    assert (result.winner, result.winner_kind) == ("probe", ModelKind.BASELINE)
    assert "no student is needed" in result.reason
    assert "Nothing smaller was tried." in result.reason


def test_no_candidate_is_said(run) -> None:
    assert smallest_that_clears([]).reason == "no candidate was evaluated"


def test_evaluations_that_do_not_compare_are_refused(run) -> None:
    with pytest.raises(StillhouseError, match="different golden sets"):
        smallest_that_clears([run(name="a"), run(name="b", rows=1201)])
    with pytest.raises(StillhouseError, match="different golden sets, teachers or terms"):
        smallest_that_clears([run(name="a"), run(name="b", bar=BarSpec(margin=0.05))])
    with pytest.raises(StillhouseError, match="more than one evaluation"):
        smallest_that_clears([run(name="a"), run(name="a")])
