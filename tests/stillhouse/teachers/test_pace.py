"""How fast a server is asked, on a clock that only moves when somebody waits."""

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stillhouse.teachers.pace
from stillhouse.teachers.pace import TokensAMinute


class Clock:
    """Seconds that pass while somebody waits, or where they are moved."""

    def __init__(self, patches: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patches.setattr(stillhouse.teachers.pace, "time", SimpleNamespace(monotonic=lambda: self.now))

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def never() -> bool:
    return False


CALL = st.tuples(st.integers(1, 120), st.floats(0, 1), st.floats(0, 90), st.floats(0, 30))


@given(st.lists(CALL, min_size=1, max_size=40))
def test_no_sixty_seconds_of_the_server_have_more_tokens_than_allowed(
    calls: list[tuple[int, float, float, float]],
) -> None:
    """Whenever between begin and reply the server counts a call; it counts a part of what the call can take."""
    with pytest.MonkeyPatch.context() as patches:
        clock, window = Clock(patches), TokensAMinute()
        counted: list[tuple[float, int]] = []
        for most, share, takes, pause in calls:
            with window.counted(most, 100, clock.sleep, over=never) as call:
                took = min(100, max(1, round(share * most)))
                at = clock.now + share * takes
                counted.append((at, took))
                clock.now += takes
                call.tokens = took
            clock.now += pause
        for start, _ in counted:
            assert sum(tokens for at, tokens in counted if start <= at < start + 60) <= 100


def test_what_the_server_counts_goes_before_what_was_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, window = Clock(monkeypatch), TokensAMinute()
    for _ in range(10):
        with window.counted(90, 100, clock.sleep, over=never) as call:
            call.tokens = 1
    assert clock.now == 1000, "ten calls of one token, each of which could have been ninety"
    with window.counted(91, 100, clock.sleep, over=never):
        assert clock.now == 1060, "one more has to wait until one of them counts no more"


def test_a_call_that_can_take_more_than_all_is_made_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, window = Clock(monkeypatch), TokensAMinute()
    with window.counted(5000, 100, clock.sleep, over=never) as call:
        assert call.tokens == 100 and clock.now == 1000
    with window.counted(1, 100, clock.sleep, over=never):
        assert clock.now == 1060


def test_without_a_limit_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, window = Clock(monkeypatch), TokensAMinute()
    for _ in range(100):
        with window.counted(1_000_000, None, clock.sleep, over=never):
            assert clock.now == 1000


def test_who_waits_for_an_open_call_goes_on_when_it_ends_or_when_all_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, window = Clock(monkeypatch), TokensAMinute()
    over, went_on = threading.Event(), list[str]()

    def wait_for(name: str) -> None:
        with window.counted(60, 100, clock.sleep, over=over.is_set):
            went_on.append(name)

    with window.counted(60, 100, clock.sleep, over=never) as call:
        threads = [threading.Thread(target=wait_for, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        assert not went_on
        call.tokens = 10
    for thread in threads:
        thread.join(10)
    assert sorted(went_on) == ["a", "b"] and clock.now > 1000
