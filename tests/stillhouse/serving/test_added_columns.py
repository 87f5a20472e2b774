"""Rows that an earlier version kept, which knew no arm: they were the champion's."""

from pathlib import Path

from stillhouse.live.segments import ADDED, COLUMNS, TrafficStore, columns_of, sealed
from stillhouse.serving.spool_database import insertion, make_tables, opened

ROW = (1, "a", 0.0, "r", 1, "student", "x", 0.5, False, 200, 1.0, 3, 2, None)


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    store = TrafficStore(str(tmp_path), "small")
    store.put(
        "2026-11-28",
        "requests",
        sealed(columns_of("requests", "r1", [(*ROW, "challenger", "y", 0.3, 0.1, 1.0)]).drop(*ADDED["requests"])),
    )
    store.put(
        "2026-11-28", "requests", sealed(columns_of("requests", "r2", [(*ROW, "challenger", "y", 0.3, 0.1, 1.0)]))
    )
    found = store.frame("2026-11-28", "requests")
    assert found["arm"].to_list() == ["champion", "challenger"]
    assert found["kept_share"].to_list() == [1.0, 1.0]
    assert found.select("student_label", "student_confidence").rows() == [(None, None), ("y", 0.3)]
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
        database.execute(insertion("requests"), (1, 2, *ROW[1:], "instead", None, None, 0.1, 0.5))
        kept = database.execute("SELECT arm, student_label, kept_share FROM requests ORDER BY number").fetchall()
        assert kept == [("champion", None, 1.0), ("instead", None, 0.5)]
