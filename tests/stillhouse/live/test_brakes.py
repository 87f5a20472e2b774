"""On how many servers a challenger is asked no more."""

import pytest

from stillhouse.live.brakes import stopped_on
from stillhouse.records.replicas import Heartbeat


def server(name: str, stopped: bool | None, deployment: int | None = 7) -> Heartbeat:
    return Heartbeat(
        name, "r", deployment, "a", None, "2026-11-28T12:00:00+00:00", challenger_stopped=stopped
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stopped", "is_on_most"),
    [
        ([True], True),
        ([True, False], False),
        ([True, True, False], True),
        ([True, None], False),
        ([True, True, None], True),
    ],
)
def test_more_than_half_of_those_that_serve_is_most(stopped: list[bool | None], is_on_most: bool) -> None:
    """None is what a server of an earlier version says."""
    found = stopped_on([server(f"s{number}", each) for number, each in enumerate(stopped)], 7)
    assert found is not None and found.is_on_most is is_on_most
    asks = len(stopped) - stopped.count(True)
    assert found.asked_on == f"asked on {asks} of {len(stopped)} servers"


def test_where_it_is_asked_on_all_there_is_nothing_to_say() -> None:
    assert stopped_on([], 7) is None
    assert stopped_on([server("a", False), server("b", None)], 7) is None
    assert stopped_on([server("a", True, 6)], 7) is None, "said of another stage, or of another challenger"


def test_a_server_that_serves_nothing_is_none_of_those_that_could_ask() -> None:
    found = stopped_on([server("a", True), server("b", None, None)], 7)
    assert found is not None and found.is_on_most and found.alive == 1
