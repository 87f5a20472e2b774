"""A server is heard by the clock of the database, on SQLite and on Postgres."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from stillhouse.records.replicas import AWAY_AFTER, Heartbeat, beat, now, replicas, replicas_up
from tests.heartbeats import beat_ago
from tests.postgres import PG_CTL, postgres


def heartbeat(replica: str, seen_at: str) -> Heartbeat:
    return Heartbeat(replica, "r", 1, "a", None, seen_at)


@pytest.mark.long
@pytest.mark.parametrize("on_postgres", [False, True])
def test_whatever_its_own_clock_shows_a_server_is_up_for_a_minute_after_it_spoke(
    on_postgres: bool, tmp_path: Path
) -> None:
    if on_postgres and PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() if on_postgres else nullcontext(f"sqlite:///{tmp_path / 'ledger.db'}") as url:
        beat(url, heartbeat("behind", (datetime.now(UTC) - timedelta(days=1)).isoformat()))
        beat(url, heartbeat("right", now()))
        beat_ago(url, heartbeat("ahead", (datetime.now(UTC) + timedelta(days=1)).isoformat()), ago=59 * 60)
        up = {each.replica: each.clock_is_ahead_by for each in replicas_up(url, "r")}
        assert {*up} == {"behind", "right"} and up["right"] == timedelta()
        assert up["behind"].total_seconds() == pytest.approx(-86_400, abs=AWAY_AFTER.total_seconds())
        assert [each.replica for each in replicas(url, "r")] == ["ahead", "behind", "right"]


def test_the_last_word_of_an_earlier_version_whose_clock_was_ahead_keeps_no_server_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    for replica, ahead in (("ended", timedelta(days=1)), ("serves", timedelta())):
        beat(url, heartbeat(replica, (datetime.now(UTC) + ahead).isoformat()))
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE replicas SET heard_at = NULL"))
    assert [each.replica for each in replicas_up(url, "r")] == ["serves"]
