"""What watches remember: one writes, the other looks again; rows are looked at once however files come."""

import threading
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from stillhouse.errors import StillhouseError
from stillhouse.live.findings import Action, FoundKind, LiveFinding
from stillhouse.live.reader import NewRows, new_rows, with_texts
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import WatchState, begin
from tests.stillhouse.live.made import NOON, RELEASE, put, reference, rows, terms

DAY = "2024-10-04"


@pytest.fixture
def book(tmp_path: Path) -> WatchBook:
    return WatchBook(f"sqlite:///{tmp_path / 'ledger.db'}", "small")


def state() -> WatchState:
    return begin(terms(), reference(), since=NOON, at=NOON, before=None)


def finding(key: str = "latency@a#1") -> LiveFinding:
    return LiveFinding(
        key=key, kind=FoundKind.LATENCY, watch="latency", release=RELEASE, deployment=1, at=NOON, sentence="slow",
        evidence=None, action=Action.PERSON, because="held",
    )  # fmt: skip


def test_of_two_who_read_the_same_state_one_writes_and_its_finding_is_there_once(book: WatchBook) -> None:
    first, second = book.read(), book.read()
    assert book.write(first, state(), [finding()])
    assert not book.write(second, state(), [finding("another")])
    assert [each.key for each in book.findings()] == ["latency@a#1"]
    again, late = book.read(), book.read()
    assert book.write(again, state(), []) and not book.write(late, state(), [])


def test_many_at_once_count_each_once(book: WatchBook) -> None:
    book.write(book.read(), state(), [])

    def add() -> None:
        written = False
        while not written:
            read = book.read()
            assert read.state is not None
            written = book.write(read, read.state.model_copy(update={"day": read.state.day + 1}), [])

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = book.read()
    assert after.state is not None
    assert (after.version, after.state.day) == (9, 20_008)


def test_a_finding_waits_until_it_was_handed_on(book: WatchBook) -> None:
    book.write(book.read(), state(), [finding("x"), finding("y")])
    book.handed_on(book.findings()[0])
    assert [each.key for each in book.findings(waiting=True)] == ["y"]
    assert book.findings(since=NOON + 1) == []


def test_a_state_of_another_version_is_refused_in_one_line(book: WatchBook) -> None:
    book.write(book.read(), state(), [])
    with book._engine.begin() as connection:
        connection.execute(sa.text("UPDATE watch_states SET state = '{}'"))
    with pytest.raises(StillhouseError, match="Delete this row"):
        book.read()


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path / "store"), "small")


def test_rows_are_looked_at_once_though_files_come_twice_late_or_are_replaced(store: TrafficStore) -> None:
    assert new_rows(store, {}, (), at=NOON).rows.is_empty()
    put(store, rows(5))
    first = new_rows(store, {}, (), at=NOON)
    assert (first.rows.height, first.marks) == (5, {DAY: {"r1": 5}})
    (segment,) = store.segments(DAY, "requests")
    store.replace(segment, store.frame(DAY, "requests").with_columns(key=pl.lit("k")))
    put(store, rows(3, first=6))
    put(store, rows(4, replica="r2"))
    second = new_rows(store, first.marks, first.segments, at=NOON)
    assert sorted(second.rows.select("replica", "number").rows()) == [
        *(("r1", number) for number in (6, 7, 8)), *(("r2", number) for number in (1, 2, 3, 4)),
    ]  # fmt: skip
    assert new_rows(store, second.marks, second.segments, at=NOON).rows.is_empty()


def test_a_file_that_was_looked_at_is_not_read_again(store: TrafficStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, rows(5))
    first = new_rows(store, {}, (), at=NOON)
    monkeypatch.setattr(TrafficStore, "read", lambda *_: 1 / 0)
    assert new_rows(store, first.marks, first.segments, at=NOON).rows.is_empty()


def test_days_ahead_are_looked_at_and_days_long_past_are_not(store: TrafficStore) -> None:
    for days in (-3, -2, 0, 1):
        put(store, rows(1, at=NOON + days * SECONDS_A_DAY))
    found = new_rows(store, {}, (), at=NOON)
    assert sorted(found.marks) == ["2024-10-02", DAY, "2024-10-05"]


def test_rows_wait_for_their_texts_and_erased_ones_wait_for_nothing(store: TrafficStore) -> None:
    put(store, rows(4), texts=["a", "b", "c", "d"])
    (segment,) = store.segments(DAY, "texts")
    store.replace(segment, store.frame(DAY, "texts").filter(pl.col("number") != 2))
    put(store, rows(3, first=5))

    def ready(marks: dict[str, dict[str, int]]) -> NewRows:
        return with_texts(store, new_rows(store, marks, (), at=NOON))[0]

    found = ready({})
    assert (found.rows["number"].to_list(), found.marks) == ([1, 2, 3, 4], {DAY: {"r1": 4}})
    put(store, rows(3, first=5), texts=["e", "f", "g"])
    assert ready(found.marks).rows["number"].to_list() == [5, 6, 7]
