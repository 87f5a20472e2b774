"""Rows that an earlier version kept, which knew no arm: they were the champion's. It kept no columns of callers."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import ADDED, COLUMNS, Tally, TrafficStore, columns_of, sealed
from stillhouse.serving.requests import Shadowed
from stillhouse.serving.spool import SpoolLimits, TrafficLog
from stillhouse.serving.spool_database import insertion, make_tables, opened
from tests.stillhouse.serving.killed import DAY, QUICK, served

ROW = (1, "a", 0.0, "r", 1, "student", "x", 0.5, False, 200, 1.0, 3, 2, None)


SENT = '{"channel":"post"}'


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    store = TrafficStore(str(tmp_path), "small")
    unknown = {"r1": [*ADDED["requests"]], "r2": ["wanted_share", "columns"], "r3": []}
    for replica, lacks in unknown.items():
        row = columns_of("requests", replica, [(*ROW, "challenger", "y", 0.3, 0.1, 0.5, SENT)])
        store.put("2026-11-28", "requests", sealed(row.drop(lacks)))
    found = store.frame("2026-11-28", "requests")
    assert found["arm"].to_list() == ["champion", "challenger", "challenger"]
    assert found["kept_share"].to_list() == [1.0, 0.5, 0.5]
    assert found["wanted_share"].to_list() == [None, None, 0.1]
    assert found["columns"].to_list() == [None, None, SENT]
    assert found["student_label"].to_list() == [None, "y", "y"]
    assert found.columns == ["replica", *COLUMNS["requests"]]


def test_a_spool_of_an_earlier_version_is_written_on(tmp_path: Path) -> None:
    with opened(tmp_path / "spool.db") as database:
        make_tables(database)
        database.execute("INSERT INTO requests (day, number, id) VALUES (1, 1, 'a')")
        for name in ADDED["requests"]:
            database.execute(f"ALTER TABLE requests DROP COLUMN {name}")
    for _ in range(2):
        with opened(tmp_path / "spool.db") as database:
            make_tables(database)
    with opened(tmp_path / "spool.db") as database:
        database.execute(insertion("requests"), (1, 2, *ROW[1:], "instead", None, None, 0.1, 0.5, None))
        kept = database.execute("SELECT arm, student_label, kept_share FROM requests ORDER BY number").fetchall()
        assert kept == [("champion", None, 1.0), ("instead", None, 0.5)]


def test_what_an_earlier_version_has_left_in_its_spool_is_sealed_and_counted_with_what_comes_now(
    tmp_path: Path,
) -> None:
    """It was killed before it sealed anything; the server of this version goes on with its spool."""
    columns = KeptColumns({"channel": frozenset({"post"})})
    store, slow = TrafficStore(str(tmp_path / "store"), "small"), SpoolLimits(write_seconds=0.002, seal_seconds=3_600)
    log = TrafficLog(tmp_path / "spool", "r1", store, keep_texts=True, limits=slow)
    log.put(served("old"))
    while log.stored < 1:
        time.sleep(0.002)
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "spool", left)
    log.close()
    store = TrafficStore(str(tmp_path / "another"), "small")
    with opened(left / "spool.db") as database:
        database.execute("ALTER TABLE requests DROP COLUMN columns")
        database.execute("ALTER TABLE days DROP COLUMN shadow")
        database.execute("DROP TABLE shadow")
        assert database.execute("SELECT count(*) FROM requests").fetchone() == (1,)
    log = TrafficLog(left, "r1", store, keep_texts=True, columns=columns, limits=QUICK)
    log.put(replace(served("new"), columns={"channel": "post"}))
    log.put(Shadowed("new", DAY, "small", "salt", "b" * 64, "location", 0.5))
    log.close()
    assert store.frame("2024-10-04", "requests").select("id", "columns").rows() == [("old", None), ("new", SENT)]
    (tally,) = store.tallies("2024-10-04")
    assert (tally.received, tally.stored, tally.lost, tally.unsealed, tally.shadow) == (3, 3, 0, 0, 1)
    assert store.frame("2024-10-04", "shadow")["id"].to_list() == ["new"]


def test_where_no_challenger_is_asked_a_tally_is_one_of_an_earlier_version(tmp_path: Path) -> None:
    """A watch of that version would end in an error at a field that it does not know."""
    store = TrafficStore(str(tmp_path / "store"), "small")
    log = TrafficLog(tmp_path / "spool", "r1", store, keep_texts=True, limits=QUICK)
    log.put(served("a"))
    log.close()
    (tally,) = store.tallies("2024-10-04")
    written = tally.model_dump_json()
    assert "shadow" not in written and "shadow" in tally.model_copy(update={"shadow": 1}).model_dump_json()
    assert Tally.model_validate_json(written) == tally and not [*tmp_path.rglob("shadow/*")]
