"""A ledger on a full, read-only or locked disk says so in one line, and is whole afterwards."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine

from stillhouse.errors import StillhouseError
from stillhouse.records.databases import day_of_the_server, explain_errors
from stillhouse.records.ledger import Ledger
from tests.postgres import PG_CTL, postgres


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    ledger.append("amendment", "r", {"bar": "one"})
    return ledger


@contextmanager
def under(ledger: Ledger, pragma: str) -> Iterator[None]:
    """Have SQLite itself refuse what a disk would: it has settings for a full and for a read-only one."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(ledger._engine, "connect", limit)
    ledger._engine.dispose()
    yield
    sa.event.remove(ledger._engine, "connect", limit)
    ledger._engine.dispose()


@pytest.mark.experiment("C4")
def test_a_full_disk_is_said_and_the_ledger_goes_on_when_there_is_room(ledger: Ledger) -> None:
    with under(ledger, "max_page_count=1"), pytest.raises(StillhouseError, match="no space left") as caught:
        ledger.append("amendment", "r", {"bar": "x" * 500_000})
    assert "\n" not in str(caught.value)
    assert ledger.problems() == []
    ledger.append("amendment", "r", {"bar": "two"})
    assert [entry.body["bar"] for entry in ledger.entries("r")] == ["one", "two"]


@pytest.mark.experiment("C12")
def test_a_read_only_disk_is_said_and_can_be_read(ledger: Ledger) -> None:
    with under(ledger, "query_only=ON"):
        assert [entry.body["bar"] for entry in ledger.entries("r")] == ["one"]
        assert ledger.problems() == []
        with pytest.raises(StillhouseError, match="cannot be written"):
            ledger.append("amendment", "r", {"bar": "two"})


@pytest.mark.long
@pytest.mark.experiment("C11")
def test_a_locked_ledger_is_waited_for(ledger: Ledger, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "ledger.db", check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.5, holder.rollback)
    release.start()
    ledger.append("amendment", "r", {"bar": "two"})
    release.join()
    holder.close()
    assert ledger.problems() == []
    assert [entry.body["bar"] for entry in ledger.entries("r")] == ["one", "two"]


@pytest.mark.experiment("C12")
def test_a_database_that_stays_locked_is_said(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}", connect_args={"timeout": 0})
    explain_errors(engine)
    holder = sqlite3.connect(tmp_path / "db")
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StillhouseError, match="is locked by another process"), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    holder.close()


def test_a_mistake_in_a_statement_stays_what_it_is(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}")
    explain_errors(engine)
    with pytest.raises(sa.exc.OperationalError, match="no such table"), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO absent VALUES (1)"))


@pytest.mark.long
def test_the_day_is_that_of_the_servers_clock_and_sqlite_has_none(tmp_path: Path) -> None:
    assert day_of_the_server(f"sqlite:///{tmp_path / 'ledger.db'}") is None
    if PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() as url:
        now = datetime.now(UTC)
        with time_machine.travel(now + timedelta(days=200)):
            shown = day_of_the_server(url)
    assert shown in (now.date(), (now + timedelta(hours=1, minutes=1)).date())
