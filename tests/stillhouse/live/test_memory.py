"""When servers hold too much memory, and how that is said."""

import pytest

from stillhouse.live.memory import most_held, over_memory
from stillhouse.records.replicas import Heartbeat

SERVES = 7


def server(name: str, held_mb: float | None, *, now_mb: float = 900.0, deployment: int = SERVES) -> Heartbeat:
    return Heartbeat(name, "r", deployment, "a", None, "2026-11-28T12:00:00+00:00", now_mb, held_mb)


@pytest.mark.parametrize(
    ("heartbeats", "over"),
    [
        ([], None),
        ([server("one", None)], None),
        ([server("one", 300.0)], None),
        ([server("one", 300.5)], {"one": 300.5}),
        ([server("one", 299.0), server("two", 301.0), server("three", 400.0)], {"two": 301.0, "three": 400.0}),
        ([server("one", 400.0, deployment=SERVES - 1)], None),
    ],
    ids=["no server", "too few heartbeats", "at the limit", "over it", "some of them", "with another deployment"],
)
def test_only_what_was_held_under_the_deployment_counts(
    heartbeats: list[Heartbeat], over: dict[str, float] | None
) -> None:
    found = over_memory(heartbeats, SERVES, 300.0)
    assert (None if found is None else found.held_mb) == over
    assert over_memory(heartbeats, SERVES, None) is None


def test_the_sentence_has_the_server_that_holds_most_and_the_limit() -> None:
    found = over_memory([server("one", 301.0), server("two", 1_420.4), server("three", 100.0)], SERVES, 300.0)
    assert found is not None and found.sentence == (
        "2 of 3 servers hold too much memory: two 1,420 MB through 12 heartbeats in a row; at most 300 MB"
    )


def test_the_most_of_servers_that_do_not_say_is_unknown() -> None:
    assert most_held([server("one", None)]) is None
    assert most_held([server("one", None), server("two", 5.0), server("three", 3.0)]) == 5.0
