"""A server says what its process holds, and what it held for so long that it is no moment of loading."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from stillhouse.home import Home
from stillhouse.live.memory import MemoryLimits
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Stage
from stillhouse.records.replicas import BEATS, Heartbeat, beat, now, replicas, replicas_up
from stillhouse.serving import desired, memory
from stillhouse.serving.desired import Follower
from stillhouse.serving.memory import HeldMemory, resident_mb
from stillhouse.serving.tokens import Tokens
from stillhouse.wording import MEGABYTE
from tests.stillhouse.serving.conftest import RECIPE, Served
from tests.stillhouse.serving.test_routing import challenger_of
from tests.stillhouse.serving.test_routing import says as deploy


def gauge(served: Served, name: str) -> list[float]:
    families = {each.name: each for each in text_string_to_metric_families(served.client.get("/metrics").text)}
    return [sample.value for sample in families[f"stillhouse_{name}"].samples]


def says(home: Home) -> Heartbeat:
    (said,) = replicas(home.ledger_url, RECIPE)
    return said


@pytest.mark.long
def test_a_server_says_what_its_process_holds_once_it_held_it_for_so_many_heartbeats(
    served: Served, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desired, "HEARTBEAT_SECONDS", 0.0)
    own = resident_mb()
    assert own is not None
    first = says(home)
    assert first.memory_mb == pytest.approx(own, rel=0.3) and first.held_mb is None
    for _ in range(BEATS - 2):
        assert served.slot.serving is not None
        # As where a challenger cannot be loaded, which is tried again and again.
        served.slot.serving = replace(served.slot.serving)
        served.follower.look()
    assert says(home).held_mb is None, "one heartbeat is missing"
    served.follower.look()
    said = says(home)
    assert said.held_mb is not None and said.held_mb == pytest.approx(own, rel=0.3)
    served.installation.promote(1)
    served.follower.look()
    assert says(home).held_mb is None, "another release is not judged by the memory of this one"


@pytest.mark.long
@pytest.mark.parametrize("ahead", [timedelta(hours=-2), timedelta(hours=2)])
def test_a_server_whose_clock_is_off_says_so_by_what_it_says_of_itself(
    served: Served, home: Home, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    monkeypatch.setattr(desired, "HEARTBEAT_SECONDS", 0.0)
    served.follower.look()
    assert says(home).clock_is_ahead_by == timedelta()
    monkeypatch.setattr(desired, "now", lambda: (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds"))
    served.follower.look()
    (up,) = replicas_up(home.ledger_url, RECIPE)
    assert up.clock_is_ahead_by.total_seconds() == pytest.approx(ahead.total_seconds(), abs=30)


@pytest.mark.long
def test_prometheus_is_shown_what_the_process_holds_beside_the_limit(served: Served) -> None:
    own = resident_mb()
    assert own is not None
    assert gauge(served, "resident_memory_bytes") == [pytest.approx(own * MEGABYTE, rel=0.3)]
    assert gauge(served, "memory_bytes_at_most") == []
    served.slot.memory = MemoryLimits(300.0)
    assert gauge(served, "memory_bytes_at_most") == [300e6]


@pytest.mark.long
@pytest.mark.parametrize(("canary", "shown"), [(500.0, [500e6]), (None, [])])
def test_while_a_challenger_answers_its_limit_is_shown_also_where_it_cannot_be_loaded(
    served: Served, canary: float | None, shown: list[float]
) -> None:
    champion, other = served.installation.release(0), served.installation.release(1)
    served.slot.memory = MemoryLimits(300.0, with_challenger=canary)
    deploy(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    assert gauge(served, "memory_bytes_at_most") == [300e6], "what is replayed in the shadow is not loaded"
    served.slot.shadow_share = 0.1
    deploy(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    assert gauge(served, "memory_bytes_at_most") == shown, "what servers ask there is"
    deploy(served, champion, challenger=challenger_of(other))
    assert gauge(served, "memory_bytes_at_most") == shown
    broken = challenger_of(other).deployed.model_copy(update={"release": "f" * 64})
    deploy(served, champion, challenger=challenger_of(other).model_copy(update={"deployed": broken}))
    assert served.slot.lacks and gauge(served, "memory_bytes_at_most") == shown
    deploy(served, champion)
    assert gauge(served, "memory_bytes_at_most") == [300e6]


@pytest.mark.long
@pytest.mark.parametrize("status", [None, "", "Name:\tpython\n", "VmRSS:\tmany kB\n", "VmRSS:\t12 GB\n"])
def test_where_the_system_does_not_say_nothing_is_reported_and_that_is_said_once(
    served: Served,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: str | None,
) -> None:
    if status is not None:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(desired, "HEARTBEAT_SECONDS", 0.0)
    follower = Follower(BuildStore(home), {RECIPE: served.slot}, Tokens(home.serving), "one")
    follower.start()
    try:
        for _ in range(BEATS):
            follower.look()
    finally:
        follower.stop()
    assert (says(home).memory_mb, says(home).held_mb) == (None, None)
    assert gauge(served, "resident_memory_bytes") == []
    assert len([line for line in caplog.messages if "does not say how much memory" in line]) == 1


def test_what_was_held_is_the_least_of_the_last_heartbeats_with_the_same_loaded() -> None:
    held, loaded = HeldMemory(), object()
    assert [held.beat(900.0, loaded) for _ in range(BEATS - 1)] == [None] * (BEATS - 1)
    assert held.beat(200.0, loaded) == 200.0, "a peak that is over counts for nothing"
    assert [held.beat(900.0, loaded) for _ in range(BEATS - 1)] == [200.0] * (BEATS - 1)
    assert held.beat(900.0, loaded) == 900.0
    assert held.beat(None, loaded) is None and held.beat(900.0, loaded) is None, "a gap is no row of heartbeats"
    for _ in range(BEATS):
        held.beat(900.0, loaded)
    assert held.beat(900.0, object()) is None


def test_what_was_freed_is_given_back_once_the_release_that_is_gone_answers_nobody_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    held = HeldMemory()
    for loaded in ("first", "second"):
        held.beat(1.0, loaded)
        before = len(given)
        for _ in range(BEATS):
            held.beat(1.0, loaded)
        assert len(given) == before + 1


def test_a_table_of_an_earlier_version_is_read_and_gets_its_columns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    columns = "replica VARCHAR, recipe VARCHAR, deployment INTEGER, release VARCHAR, refused INTEGER, seen_at VARCHAR"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE replicas ({columns}, PRIMARY KEY (replica, recipe))"))
        connection.execute(sa.text(f"INSERT INTO replicas VALUES ('old', '{RECIPE}', 1, 'r', NULL, '{now()}')"))
    beat(url, Heartbeat("one", RECIPE, 1, "r", None, now(), 120.0, 110.0))
    assert [(each.replica, each.memory_mb, each.held_mb) for each in replicas(url, RECIPE)] == [
        ("old", None, None),
        ("one", 120.0, 110.0),
    ]
    assert [each.heard_at is None for each in replicas(url, RECIPE)] == [True, False]
    assert len(replicas_up(url, RECIPE)) == 2, "one of an earlier version is taken at its word"
    with engine.begin() as connection:  # a server of the earlier version goes on beside this one
        connection.execute(sa.text("DELETE FROM replicas WHERE replica = 'old'"))
        names = "replica, recipe, deployment, release, refused, seen_at"
        connection.execute(
            sa.text(f"INSERT INTO replicas ({names}) VALUES ('old', '{RECIPE}', 2, 'r', NULL, '{now()}')")
        )
    assert [each.memory_mb for each in replicas(url, RECIPE)] == [None, 120.0]
