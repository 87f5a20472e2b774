"""The traffic log of a replica: no row twice, none lost unseen, nothing personal on the disk."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import FILE_KINDS, Erasure, FileKind, Tally, TrafficStore
from stillhouse.live.thinning import LEAST, Room, is_kept, least_share
from stillhouse.live.traffic import arithmetic, expire
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.requests import Feedback, Shadowed
from stillhouse.serving.spool import MOVING, LogInUseError, SpoolLimits, TrafficLog
from stillhouse.serving.spool_database import insertion, opened, thin, transaction
from stillhouse.serving.traffic_logs import forward_left, log_of, nothing_is_left
from stillhouse.stages.traffic import plan
from tests.small import small_recipe
from tests.stillhouse.serving.killed import DAY, QUICK, served

PERSONAL = ["jane.doe@example.org", "+49 30 901820", "4111 1111 1111 1111", "DE89370400440532013000"]
A_DAY = 86_400.0


def log_in(folder: Path, store: TrafficStore | None = None, **options: object) -> TrafficLog:
    store = store or TrafficStore(str(folder / "store"), "small")
    settings = {"keep_texts": True, "limits": QUICK, **options}
    return TrafficLog(folder / "spool", "r1", store, **settings)  # type: ignore[arg-type]


def until(holds: object, seconds: float = 60) -> None:
    by = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < by
        time.sleep(0.005)


def check_arithmetic(store: TrafficStore, received: int) -> Counter[str]:
    """Every row that was put is in one file once, or counted as dropped or lost."""
    total: Counter[str] = Counter()
    numbers: list[int] = []
    for day in store.days():
        (tally,) = store.tallies(day)
        assert tally.received == tally.stored + tally.dropped + tally.lost + tally.thinned + tally.waiting
        assert (tally.waiting, tally.unsealed, tally.final) == (0, 0, True)
        frames = {kind: store.frame(day, kind) for kind in FILE_KINDS}
        assert {kind: frame.height for kind, frame in frames.items()} == {
            kind: getattr(tally, kind) for kind in FILE_KINDS
        }
        assert frames["texts"]["number"].is_in(frames["requests"]["number"].implode()).all()
        numbers += [number for kind in FILE_KINDS if kind != "texts" for number in frames[kind]["number"]]
        total.update({name: getattr(tally, name) for name in ("received", "stored", "dropped", "lost", "thinned")})
    assert total["received"] == received
    assert len(set(numbers)) == len(numbers) == total["stored"]
    assert max(numbers, default=0) <= received
    return total


@pytest.mark.long
@pytest.mark.parametrize("address", [None, "memory://traffic"])
def test_what_was_put_is_in_segments_once_the_log_is_closed(tmp_path: Path, address: str | None) -> None:
    store = TrafficStore(f"{address}-{uuid4().hex}" if address else str(tmp_path / "store"), "small")
    log = log_in(tmp_path, store)
    log.put(served("a", text="Where is  Rome?"))
    log.put(served("b", at=DAY + A_DAY, text=None))
    log.put(Feedback("a", DAY + A_DAY, "small", "location", "crm"))
    log.close()
    check_arithmetic(store, 3)
    assert store.frame("2024-10-04", "texts")["text"].to_list() == ["Where is Rome?"]
    assert store.frame("2024-10-05", "feedback").rows() == [("r1", 3, "a", DAY + A_DAY, "location", "crm")]
    assert not [*(tmp_path / "spool" / "outgoing").iterdir()]


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(
    lives=st.lists(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60), min_size=1, max_size=3),
    capacity=st.integers(1, 40),
    keep_texts=st.booleans(),
)
def test_the_arithmetic_closes_whatever_comes_and_however_small_the_queue(
    tmp_path_factory: pytest.TempPathFactory, lives: list[list[tuple[int, bool]]], capacity: int, keep_texts: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    store = TrafficStore(str(folder / "store"), "small")
    limits = SpoolLimits(capacity=capacity, write_seconds=0.001, seal_seconds=0.001, seal_rows=7)
    for life, rows in enumerate(lives):
        log = log_in(folder, store, limits=limits, keep_texts=keep_texts)
        for place, (day, is_answer) in enumerate(rows):
            id, at = f"{life}-{place}", DAY + day * A_DAY
            log.put(served(id, at=at) if is_answer else Feedback(id, at, "small", "location", None))
        log.close()
        assert log.received == log.stored + log.dropped
    total = check_arithmetic(store, sum(map(len, lives)))
    assert total["lost"] == 0
    if not keep_texts:
        assert all(store.frame(day, "texts").is_empty() for day in store.days())


@pytest.mark.long
@pytest.mark.parametrize("bytes_at_most", [10**12, 100_000])
def test_killed_at_thirty_points_it_loses_no_row_unseen_and_has_none_twice(tmp_path: Path, bytes_at_most: int) -> None:
    command = [sys.executable, "-m", "tests.stillhouse.serving.killed", str(tmp_path), "30", f"{bytes_at_most}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    put = [[int(count) for count in line.split()] for line in ended.stdout.splitlines()]
    assert len(put) == 30
    log = log_in(tmp_path)  # counts what the last one lost, and forwards what it left
    log.close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    received = sum(tally.received for day in store.days() for tally in store.tallies(day))
    # A process that is killed inside `put` has counted the row or has not.
    assert sum(after for after, _ in put) <= received <= sum(before for _, before in put)
    total = check_arithmetic(store, received)
    assert total["stored"] > 0
    assert total["lost"] > 0, "some were killed right after a row was put"
    assert (total["thinned"] > 0) is (bytes_at_most < 10**12)


class Unconfirmed(TrafficStore):
    """A store that takes a file and breaks down before it says so, as often as it is told to."""

    breaks = 1

    def put(self, day: str, kind: FileKind, content: bytes) -> str:
        digest = super().put(day, kind, content)
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError(f"no answer about {content!r}")
        return digest


def test_a_file_whose_move_was_not_confirmed_is_moved_again_and_is_there_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Unconfirmed(str(tmp_path / "store"), "small")
    store.breaks = 1_000_000
    log = log_in(tmp_path, store)
    log.put(served("a"))
    until(lambda: log.problem is not None)
    assert log.problem == f"{MOVING} (ConnectionError)"
    log.close()
    assert len([*(tmp_path / "spool" / "outgoing").iterdir()]) == 2  # the answer and its text
    assert "a question" not in caplog.text
    log_in(tmp_path).close()
    check_arithmetic(TrafficStore(str(tmp_path / "store"), "small"), 1)


class SometimesAway(TrafficStore):
    """A store of which a person says when it is away, and for what."""

    away_for: frozenset[str] = frozenset()

    def put(self, day: str, kind: FileKind, content: bytes) -> str:
        self._answer("put")
        return super().put(day, kind, content)

    def erasures(self) -> list[Erasure]:
        self._answer("erasures")
        return super().erasures()

    def _answer(self, to: str) -> None:
        if to in self.away_for:
            raise ConnectionError("away")


@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends"])
def test_a_disk_that_filled_while_the_store_was_away_has_room_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Moving a file must need no room: servers that cannot write their log are not ready, and all would stay so."""
    store, outgoing = SometimesAway(str(tmp_path / "store"), "small"), tmp_path / "spool" / "outgoing"
    fills_the_disk: list[Path] = []

    @contextmanager
    def on_a_full_disk(database: sqlite3.Connection) -> Iterator[None]:
        if any(path.exists() for path in fills_the_disk):
            raise sqlite3.OperationalError("database or disk is full")
        with transaction(database):
            yield

    for module in ("spool", "writing", "sealing"):
        monkeypatch.setattr(f"stillhouse.serving.{module}.transaction", on_a_full_disk)
    store.away_for = frozenset({"put"})
    log = log_in(tmp_path, store)
    for place in range(5):
        log.put(served(str(place)))
    until(lambda: log.stored == 5 and log.problem is not None)  # moving one has failed, so it is there whole
    fills_the_disk.extend(outgoing.iterdir())
    log.put(served("5"))
    until(lambda: not log.is_writable)
    store.away_for = frozenset()
    if not ends:
        until(lambda: log.problem is None and log.stored == 6)
    log.close()
    assert not any(outgoing.iterdir())
    counted = check_arithmetic(store, 6)
    assert counted["stored"] + counted["lost"] == 6 and (ends or not counted["lost"])


def test_while_the_store_is_away_that_is_said_at_every_moment(tmp_path: Path) -> None:
    """And not only when rows are to be sealed: whoever is to be woken by it looks once a minute."""
    store = SometimesAway(str(tmp_path / "store"), "small")
    log = log_in(tmp_path, store, limits=SpoolLimits(write_seconds=0.002, seal_seconds=0.05))
    log.put(served("a"))
    until(lambda: not store.frame("2024-10-04", "requests").is_empty())
    store.away_for = frozenset({"erasures"})
    log.put(served("b"))
    until(lambda: log.problem is not None)
    for _ in range(100):
        assert log.problem == f"{MOVING} (ConnectionError)"
        time.sleep(0.002)
    store.away_for = frozenset()
    until(lambda: log.problem is None)
    log.close()
    check_arithmetic(store, 2)


class BreaksAfterTheFirst(TrafficStore):
    """A store that takes one file and is away from then on."""

    has_one = False

    def put(self, day: str, kind: FileKind, content: bytes) -> str:
        if self.has_one:
            raise ConnectionError("away")
        self.has_one = True
        return super().put(day, kind, content)


def test_a_text_is_in_the_store_before_the_answer_that_says_whose_it_is(tmp_path: Path) -> None:
    """So that whoever erases what a caller has sent finds it, wherever moving broke off."""
    log = log_in(tmp_path, BreaksAfterTheFirst(str(tmp_path / "store"), "small"))
    log.put(served("a"))
    until(lambda: log.problem is not None)
    log.close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    (day,) = store.days()
    assert (store.frame(day, "texts").height, store.frame(day, "requests").height) == (1, 0)


def test_a_sealed_file_whose_rows_are_still_in_the_spool_is_removed(tmp_path: Path) -> None:
    log = log_in(tmp_path, limits=SpoolLimits(seal_seconds=3600, write_seconds=0.002))
    log.put(served("a"))
    log.close()
    (tmp_path / "spool" / "outgoing" / ("0" * 64)).write_bytes(b"half a file")
    log_in(tmp_path).close()
    assert not [*(tmp_path / "spool" / "outgoing").iterdir()]
    check_arithmetic(TrafficStore(str(tmp_path / "store"), "small"), 1)


def test_a_disk_that_cannot_be_written_stops_no_answer_and_what_is_dropped_is_the_oldest(tmp_path: Path) -> None:
    log = log_in(tmp_path, limits=SpoolLimits(capacity=10, write_seconds=0.002, seal_seconds=3600))
    with sqlite3.connect(tmp_path / "spool" / "spool.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for place in range(100):
            log.put(served(str(place)))
        assert log.depth <= 10
        assert log.dropped >= 80
        other.execute("ROLLBACK")
    log.close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    assert check_arithmetic(store, 100)["dropped"] == log.dropped
    assert {str(place) for place in range(90, 100)} <= {*store.frame("2024-10-04", "requests")["id"]}


def test_nothing_personal_is_in_any_byte_of_spool_or_segments(tmp_path: Path) -> None:
    ids = RequestIds(bytes(32))
    columns = KeptColumns({"channel": frozenset({"post"})})
    log = log_in(tmp_path, columns=columns, limits=SpoolLimits(seal_seconds=3600, write_seconds=0.002))
    for place, value in enumerate(PERSONAL):
        row = served(str(place), text=f"write to {value} about \u200b{value}", key=ids.keyed(value))
        log.put(replace(row, columns={"channel": value, value: "post", "customer": value}))
        log.put(Feedback(str(place), DAY, "small", value, value))
    until(lambda: log.stored == 2 * len(PERSONAL))
    on_disk = {path.name: path.read_bytes() for path in (tmp_path / "spool").iterdir() if path.is_file()}
    assert on_disk["spool.db-wal"]
    log.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            on_disk[str(path)] = path.read_bytes()
    for name, content in on_disk.items():
        for value in PERSONAL:
            assert value.encode() not in content, name
    texts = TrafficStore(str(tmp_path / "store"), "small").frame("2024-10-04", "texts")["text"]
    assert texts[0] == "write to [EMAIL] about [EMAIL]"


def test_of_a_recipe_whose_callers_send_no_columns_nothing_that_they_say_is_kept(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.put(replace(served("a"), columns={"channel": "post"}))
    log.close()
    found = TrafficStore(str(tmp_path / "store"), "small").frame("2024-10-04", "requests")
    assert found["columns"].to_list() == [None]


def test_texts_that_left_the_spool_are_in_none_of_its_pages(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.put(served("a", text="the word is swordfish"))
    log.close()
    for path in (tmp_path / "spool").rglob("*"):
        assert path.is_dir() or b"swordfish" not in path.read_bytes(), path


def test_two_processes_cannot_keep_one_log(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    with pytest.raises(LogInUseError):
        log_in(tmp_path)
    log.close()
    log_in(tmp_path).close()


@pytest.mark.long
def test_rows_that_went_with_the_machine_are_said_to_be_in_no_count(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.stillhouse.serving.killed", str(tmp_path), "1"], timeout=60, check=True
    )
    assert ended.returncode == 0
    with sqlite3.connect(tmp_path / "spool" / "spool.db") as spool:
        stored = spool.execute("SELECT sum(stored_now) FROM days").fetchone()[0]
        spool.execute("UPDATE life SET boot = 'another'")
    (tmp_path / "spool" / "counts").unlink()
    log_in(tmp_path).close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    tallies = [tally for day in store.days() for tally in store.tallies(day)]
    assert [tally.uncounted for tally in tallies].count(True) == (1 if stored else 0)


class SaysNothing(TrafficStore):
    """A store that takes files and is away when counts are published."""

    def publish(self, tally: Tally) -> None:
        raise ConnectionError("away")


def test_of_a_spool_that_was_closed_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "spool.db"
    for _ in range(2):
        log = log_in(tmp_path)
        log.put(served("a"))
        assert not nothing_is_left(path, "r1")
        log.close()
        assert nothing_is_left(path, "r1")


def test_counts_that_could_not_be_published_are_left(tmp_path: Path) -> None:
    path, away = tmp_path / "spool" / "spool.db", SaysNothing(str(tmp_path / "store"), "small")
    for _ in range(2):  # the second time the day has a tally on the store, of a process before
        log = log_in(tmp_path, away)
        log.put(served("a"))
        log.close()
        assert not nothing_is_left(path, "r1")
        log_in(tmp_path).close()
        assert nothing_is_left(path, "r1")
    check_arithmetic(TrafficStore(str(tmp_path / "store"), "small"), 2)


@pytest.mark.parametrize(
    "left",
    [
        "UPDATE life SET open = 1",
        "DELETE FROM life",
        "INSERT INTO outgoing VALUES ('a', 1, 'texts')",
        "UPDATE days SET stored = stored + 1",
        "UPDATE days SET uncounted = 1",
        "ALTER TABLE days DROP COLUMN thinned",
    ],
)
def test_whatever_a_spool_has_or_does_not_say_is_left(tmp_path: Path, left: str) -> None:
    log = log_in(tmp_path)
    log.put(served("a"))
    log.close()
    with sqlite3.connect(tmp_path / "spool" / "spool.db") as spool:
        spool.execute(left)
    assert not nothing_is_left(tmp_path / "spool" / "spool.db", "r1")


def test_what_is_left_of_ended_processes_is_forwarded_once(home: Home, tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=100, traffic={"days": 90})
    closed, works, killed = (log_of(home, file, name) for name in ("closed", "works", "killed"))
    for log in (closed, works, killed):
        log.put(served(log.replica))
        log.close()
    works = log_of(home, file, "works")
    spools = home.serving / "traffic" / file.name
    with sqlite3.connect(spools / "killed" / "spool.db") as spool:
        spool.execute("UPDATE life SET open = 1")
    before = {path: path.read_bytes() for path in (spools / "closed").rglob("*") if path.is_file()}
    assert forward_left(home, file) == ["killed"]
    assert forward_left(home, file) == []
    assert {path: path.read_bytes() for path in (spools / "closed").rglob("*") if path.is_file()} == before
    works.close()


def test_what_is_due_each_day_is_done_at_the_start_and_on_the_next_day(tmp_path: Path) -> None:
    """So that rows expire where no Dagster runs, too."""
    now, called = [DAY], list[date]()
    log = log_in(tmp_path, clock=lambda: now[0], each_day=called.append)
    until(lambda: called == [date(2024, 10, 4)])
    now[0] += A_DAY
    until(lambda: called[1:] == [date(2024, 10, 5)])
    log.close()
    assert len(called) == 2


@pytest.mark.parametrize(
    ("day_there", "kept"),
    [(None, False), (0, True), (40, False), (StillhouseError("away", where="a", expected="b", do="c"), True)],
)
def test_one_server_whose_clock_is_ahead_does_not_remove_what_all_keep(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day_there: int | StillhouseError | None, kept: bool
) -> None:
    """It is held against the clock of the ledger's database, where that has one; nothing is removed by a doubtful one.

    Rows are sealed and moved all the same.
    """
    file = small_recipe(tmp_path, rows=100, traffic={"days": 30, "text_days": 30})
    first = log_of(home, file, "first")
    first.put(served("a", at=time.time()))
    first.close()
    store = TrafficStore(home.artifacts, file.name)
    (day,) = store.days()

    def shown(url: str) -> date | None:
        assert url == home.ledger_url
        if isinstance(day_there, StillhouseError):
            raise day_there
        return None if day_there is None else date.fromisoformat(day) + timedelta(days=day_there)

    monkeypatch.setattr("stillhouse.live.traffic.day_of_the_server", shown)
    with time_machine.travel(time.time() + 40 * A_DAY, tick=True):
        other = log_of(home, file, "other")
        other.put(served("b", at=time.time()))
        other.close()
    assert other.problem is None
    assert (day in store.days()) is kept and len(store.days()) == 1 + kept


def test_the_spool_is_for_this_account_alone(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    assert os.stat(tmp_path / "spool").st_mode & 0o077 == 0
    log.close()


def test_an_altered_segment_is_refused(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.put(served("a"))
    log.close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    (segment,) = store.segments("2024-10-04", "requests")
    path = tmp_path / "store" / "traffic" / "small" / "2024-10-04" / "requests" / f"{segment.digest}.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StillhouseError, match="the segment was altered"):
        store.read(segment)


def filled(
    folder: Path, bytes_at_most: int | None, rows: int = 3_000, replica: str = "r1", shadowed: bool = False
) -> TrafficLog:
    """A log that was given rows and is closed, each with a text and every tenth with feedback, sealed in one go.

    With `shadowed` a challenger was asked after each answer, too.
    """
    store = TrafficStore(str(folder / "store"), "small")
    limits = SpoolLimits(write_seconds=0.002, seal_seconds=3_600)
    room = None if bytes_at_most is None else Room(store, bytes_at_most, days=30)
    log = TrafficLog(folder / replica, replica, store, keep_texts=True, room=room, limits=limits, clock=lambda: DAY)
    for number in range(rows):
        id = f"{replica}-{number}"
        log.put(served(id, text=f"what is question {number} about"))
        if not number % 10:
            log.put(Feedback(id, DAY, "small", "location", None))
        if shadowed:
            log.put(Shadowed(id, DAY, "small", "salt", "b" * 64, "location", 0.5))
    log.close()
    return log


@pytest.mark.long
def test_a_log_that_is_full_keeps_answers_by_their_ids_and_writes_down_which_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert filled(whole, None).kept_share == filled(whole, 10**10, replica="r2").kept_share == 1.0
    log = filled(small, 5_000_000)
    assert LEAST < log.kept_share < 1 and f"{log.kept_share:.3g} of the answers are kept" in caplog.text
    store, day = TrafficStore(str(small / "store"), "small"), "2024-10-04"
    kept = store.frame(day, "requests")
    assert {*kept["id"]} == {f"r1-{n}" for n in range(3_000) if is_kept(f"r1-{n}", log.kept_share)}
    assert kept["kept_share"].unique().to_list() == [log.kept_share]
    assert store.frame(day, "texts")["number"].to_list() == kept["number"].to_list(), "a text goes with its answer"
    assert store.frame(day, "feedback").height == 300, "what is true of an answer is never thinned"
    (tally,) = store.tallies(day)
    assert (tally.received, tally.stored, tally.thinned) == (3_300, kept.height + 300, 3_000 - kept.height)
    assert (tally.kept_share, tally.unsealed, tally.waiting) == (log.kept_share, 0, 0)
    assert log.thinned == tally.thinned and least_share(store, day) == log.kept_share
    assert [each.problems for each in arithmetic(store, day)] == [[]]
    facts = plan(store, day).build(tmp_path)
    assert facts.answers + facts.thinned == 3_000 and facts.kept_share == log.kept_share


@pytest.mark.long
def test_what_a_challenger_said_goes_with_the_answer_that_it_was_said_after(tmp_path: Path) -> None:
    log = filled(tmp_path, 2_500_000, shadowed=True)
    store, day = TrafficStore(str(tmp_path / "store"), "small"), "2024-10-04"
    kept, shadowed = store.frame(day, "requests"), store.frame(day, "shadow")
    assert LEAST < log.kept_share < 1 and {*shadowed["id"]} == {*kept["id"]}
    assert shadowed.select("rollout", "label", "confidence").unique().rows() == [("salt", "location", 0.5)]
    (tally,) = store.tallies(day)
    assert (tally.received, tally.stored, tally.shadow) == (6_300, 2 * kept.height + 300, kept.height)
    assert (tally.thinned, tally.unsealed) == (6_000 - 2 * kept.height, 0)
    assert [each.problems for each in arithmetic(store, day)] == [[]]
    (segment, *_) = store.segments(day, "shadow")
    store.remove(segment)
    (found,) = arithmetic(store, day)
    assert "of a challenger's answers" in found.problems[0], "one that is missing is noticed"


def test_what_a_challenger_said_expires_with_the_answers_and_is_counted_through_a_kill(tmp_path: Path) -> None:
    store = TrafficStore(str(tmp_path / "store"), "small")
    log = log_in(tmp_path, store, limits=SpoolLimits(write_seconds=0.002, seal_seconds=3_600))
    for number in range(5):
        log.put(served(f"id{number}"))
        log.put(Shadowed(f"id{number}", DAY, "small", "salt", "b" * 64, None, None))
    until(lambda: log.stored == 10)
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "spool", left)  # as it was when the process was killed
    log.close()
    assert store.frame("2024-10-04", "shadow")["label"].to_list() == [None] * 5
    other = TrafficStore(str(tmp_path / "other"), "small")
    TrafficLog(left, "r1", other, keep_texts=True, limits=QUICK).close()
    assert check_arithmetic(other, 10)["lost"] == 0
    spec = TrafficSpec(days=30, text_days=3)
    expire(other, spec, date(2024, 10, 20))
    assert other.segments("2024-10-04", "shadow") and not other.segments("2024-10-04", "texts")
    expire(other, spec, date(2024, 11, 20))
    assert other.days() == []


@pytest.mark.long
def test_a_share_that_nobody_was_kept_by_is_known_of_its_day(tmp_path: Path) -> None:
    """An hour of which all went is otherwise one that never was, and the others would speak for the whole day."""
    log = filled(tmp_path, 1, rows=20)
    store = TrafficStore(str(tmp_path / "store"), "small")
    assert store.frame("2024-10-04", "requests").is_empty() and log.thinned == 20
    assert least_share(store, "2024-10-04") == log.kept_share == LEAST


@pytest.mark.long
def test_rows_that_a_killed_process_had_thinned_keep_their_share_and_are_counted_once(tmp_path: Path) -> None:
    log = filled(tmp_path, 5_000_000)
    with opened(tmp_path / "r1" / "spool.db") as database:
        day = int(DAY // A_DAY)
        for number in (9_001, 9_002):
            row = (day, number, f"late {number}", DAY, "r", 1, "student", "x", 0.5, 0, 200, 1.0, 3, 2, None, "champion")
            database.execute(insertion("requests"), (*row, None, None, None, 1.0, None))
        database.execute("UPDATE days SET received = received + 2, stored = stored + 2")
        thin(database, [(day, 9_001)], 0.25, up_to=9_002)
    log_in_again = TrafficLog(
        tmp_path / "r1", "r1", TrafficStore(str(tmp_path / "store"), "small"), keep_texts=True, limits=QUICK
    )
    log_in_again.close()
    store = TrafficStore(str(tmp_path / "store"), "small")
    shares = store.frame("2024-10-04", "requests").filter(number=9_002)["kept_share"].to_list()
    (tally,) = store.tallies("2024-10-04")
    assert shares == [0.25] and tally.thinned == log.thinned + 1
    assert tally.received == tally.stored + tally.thinned and tally.unsealed == 0
