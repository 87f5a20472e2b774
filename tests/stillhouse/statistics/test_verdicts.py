"""One verdict for many, and which error rates make sense."""

import pytest

from stillhouse.statistics.verdicts import Verdict, check_alpha


def test_no_verdict_at_all_is_not_a_pass() -> None:
    assert Verdict.worst([]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
    assert Verdict.worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS


@pytest.mark.parametrize("alpha", [-0.05, 0.0, 0.5, 0.95, float("nan")])
def test_an_error_rate_is_more_than_nothing_and_less_than_a_coin(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 0.5\)"):
        check_alpha(alpha)


@pytest.mark.parametrize("alpha", [1e-9, 0.05, 0.499])
def test_any_other_error_rate_may_be_asked_for(alpha: float) -> None:
    check_alpha(alpha)
