"""One verdict for many, and which error rates make sense."""

import pytest

from stillhouse.statistics.verdicts import Verdict, check_alpha


def test_no_verdict_at_all_is_not_a_pass() -> None:
    assert Verdict.worst([]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
    assert Verdict.worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS


@pytest.mark.parametrize(
    ("alpha", "is_one"),
    [
        (-0.05, False), (0.0, False), (1e-9, True), (0.05, True), (0.499, True), (0.5, False), (0.95, False),
        (float("nan"), False),
    ],
)  # fmt: skip
def test_an_error_rate_is_more_than_nothing_and_less_than_a_coin(alpha: float, is_one: bool) -> None:
    said = None
    try:
        check_alpha(alpha)
    except ValueError as error:
        said = str(error)
    assert said == (None if is_one else f"alpha must be in (0, 0.5), not {alpha}")
