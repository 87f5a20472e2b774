"""A ledger on a full, read-only or locked disk says so in one line, and is whole afterwards."""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from stillhouse.databases import tell_plainly
from stillhouse.errors import StillhouseError
from stillhouse.ledger import Ledger


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # a pool may hold the database open


def test_a_full_disk_is_told_and_the_ledger_goes_on_when_there_is_room(disk: Path) -> None:
    ledger = Ledger(f"sqlite:///{disk / 'ledger.db'}")
    ledger.append("amendment", "r", {"bar": "one"})
    hog = disk / "hog"
    with pytest.raises(OSError), hog.open("wb") as file:
        while True:
            file.write(b"\0" * 4096)
            file.flush()
    with pytest.raises(StillhouseError, match="no space left") as caught:
        ledger.append("amendment", "r", {"bar": "x" * 50_000})
    assert "\n" not in str(caught.value)
    assert ledger.problems() == []
    hog.unlink()
    ledger.append("amendment", "r", {"bar": "two"})
    assert [entry.body["bar"] for entry in ledger.entries("r")] == ["one", "two"]


def test_a_read_only_disk_is_told_and_can_be_read(disk: Path) -> None:
    ledger = Ledger(f"sqlite:///{disk / 'ledger.db'}")
    ledger.append("amendment", "r", {"bar": "one"})
    ledger._engine.dispose()  # an open file keeps a disk writable
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert [entry.body["bar"] for entry in ledger.entries("r")] == ["one"]
    with pytest.raises(StillhouseError, match="cannot be"):
        ledger.append("amendment", "r", {"bar": "two"})


def test_a_locked_database_is_told(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}", connect_args={"timeout": 0})
    tell_plainly(engine)
    holder = sqlite3.connect(tmp_path / "db")
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StillhouseError, match="is locked by another process"), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    holder.close()


def test_a_mistake_in_a_statement_stays_what_it_is(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}")
    tell_plainly(engine)
    with pytest.raises(sa.exc.OperationalError, match="no such table"), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO absent VALUES (1)"))
