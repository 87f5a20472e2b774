"""One finding of what was found of each member of an ensemble."""

import pytest

from checks.gate import Finding, passed_if
from checks.members import worst_of
from stillhouse.statistics.verdicts import Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def found(verdict: Verdict, observed: float | None = None, limit: float | None = None) -> Finding:
    return Finding(verdict, f"{verdict} at {observed}", {"of": observed}, observed=observed, limit=limit)


def test_one_teacher_is_said_as_it_was_found() -> None:
    alone = passed_if(False, "it changed", observed=0.2, limit=0.1, asked=["p"])
    assert worst_of({"": alone}) == alone


@pytest.mark.parametrize(
    ("verdicts", "together_they_are"),
    [([PASS, PASS], PASS), ([PASS, INCONCLUSIVE], INCONCLUSIVE), ([INCONCLUSIVE, FAIL, PASS], FAIL)],
)
def test_the_worst_decides_and_whoever_has_it_is_named(verdicts: list[Verdict], together_they_are: Verdict) -> None:
    said = worst_of({f"m{place}": found(verdict) for place, verdict in enumerate(verdicts)})
    assert said.verdict is together_they_are
    named = [f"member m{place}: {each} at None" for place, each in enumerate(verdicts) if each is together_they_are]
    assert said.sentence == "; ".join(named)


def test_the_numbers_are_of_the_one_that_is_nearest_to_its_own_limit() -> None:
    """In bfloat16 a logit may move by 1, so 0.5 there is less than 0.0009 of 0.001."""
    members = {"wide": found(PASS, 0.5, 1.0), "narrow": found(PASS, 0.0009, 0.001), "silent": found(PASS)}
    said = worst_of(members)
    assert (said.observed, said.limit, said.evidence["of"]) == (0.0009, 0.001, 0.0009)
    assert worst_of({"far": found(FAIL, 3.0, 1.0), **members}).observed == 3.0
