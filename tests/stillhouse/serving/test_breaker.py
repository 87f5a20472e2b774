"""What fails is left alone for a while, and comes back after one text that it answered."""

from collections.abc import Iterable

from stillhouse.serving.breaker import (
    CHALLENGER_OPEN_SECONDS,
    FAILURES_IN_A_ROW,
    OPEN_SECONDS,
    ChallengerBreaker,
    TeacherBreaker,
)


class Clock:
    """Seconds that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def ended(breaker: TeacherBreaker, outcomes: Iterable[bool]) -> None:
    for failed in outcomes:
        assert breaker.lets_through()
        breaker.ended(failed=failed)


def test_it_opens_after_failures_in_a_row_and_lets_nothing_through() -> None:
    breaker = TeacherBreaker(Clock())
    ended(breaker, [True] * (FAILURES_IN_A_ROW - 1) + [False] + [True] * (FAILURES_IN_A_ROW - 1))
    assert not breaker.is_open
    ended(breaker, [True])
    assert breaker.is_open and not breaker.lets_through()


def test_it_opens_after_ten_failures_of_the_last_fifty() -> None:
    breaker = TeacherBreaker(Clock())
    ended(breaker, [True, False, False, False, False] * 9)
    assert not breaker.is_open
    ended(breaker, [True])
    assert breaker.is_open
    rarely = TeacherBreaker(Clock())
    ended(rarely, ([True] + [False] * 5) * 40)
    assert not rarely.is_open, "nine of fifty, however often"


def test_after_a_while_one_text_is_tried_and_decides() -> None:
    clock = Clock()
    breaker = TeacherBreaker(clock)
    ended(breaker, [True] * FAILURES_IN_A_ROW)
    clock.now = OPEN_SECONDS - 0.01
    assert not breaker.lets_through()
    clock.now = OPEN_SECONDS
    assert breaker.lets_through() and not breaker.lets_through(), "one alone"
    breaker.ended(failed=True)
    assert breaker.is_open and not breaker.lets_through()
    clock.now = 2 * OPEN_SECONDS
    assert breaker.lets_through()
    breaker.ended(failed=None)
    assert breaker.lets_through(), "nobody waited for the last one, so the next is tried"
    breaker.ended(failed=False)
    assert not breaker.is_open and breaker.lets_through() and breaker.lets_through()
    ended(breaker, [True] * (FAILURES_IN_A_ROW - 1))
    assert not breaker.is_open, "what was before it opened is forgotten"


def test_a_challenger_is_asked_again_after_a_while_and_its_next_answer_decides() -> None:
    clock = Clock()
    breaker = ChallengerBreaker(clock)
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed()
    clock.now = CHALLENGER_OPEN_SECONDS - 0.01
    assert breaker.is_open
    clock.now = CHALLENGER_OPEN_SECONDS
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open, "one more failure is enough"
    clock.now *= 2
    breaker.answered()
    for _ in range(FAILURES_IN_A_ROW - 1):
        assert not breaker.is_open
        breaker.failed()
    assert not breaker.is_open, "what was before it opened is forgotten"
    breaker.failed()
    assert breaker.is_open
