"""One verdict for many."""

from stillhouse.statistics.verdicts import Verdict


def test_no_verdict_at_all_is_not_a_pass() -> None:
    assert Verdict.worst([]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
    assert Verdict.worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS
