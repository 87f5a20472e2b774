"""The ledger keeps its order, notices every alteration, and works on Postgres as on SQLite."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

import stillhouse.records.ledger as ledger_module
from stillhouse.errors import StillhouseError
from stillhouse.records import databases
from stillhouse.records.keys import Signature
from stillhouse.records.ledger import CLOCKS_DIFFER_AT_MOST, GENESIS, Entry, EntrySubject, Head, Ledger
from tests.postgres import PG_CTL, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """An empty ledger; on Postgres in a schema of its own."""
    if request.param == "sqlite":
        return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    server, schema = request.getfixturevalue("server"), f"s{uuid4().hex}"
    with sa.create_engine(server).begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    return Ledger(f"{server}&options=-csearch_path%3D{schema}")


def alter(ledger: Ledger, statement: str) -> None:
    with sa.create_engine(ledger.url).begin() as connection:
        connection.execute(sa.text(statement))


def test_entries_come_back_in_order_and_chained(ledger: Ledger) -> None:
    first = ledger.append("materialization", "r", {"asset": "r/source"})
    second = ledger.append("verdict", "r", {"gate": "g"})
    assert (first.previous, second.previous) == (GENESIS, first.digest)
    assert ledger.entries() == [first, second]
    assert ledger.entries("r", "verdict") == [second]
    assert ledger.problems() == []


def test_entries_after_one_are_those_that_were_written_later(ledger: Ledger) -> None:
    first, second, other = (ledger.append(kind, "r", {}) for kind in ("verdict", "verdict", "round"))
    assert ledger.entries("r", "verdict", after=first.sequence) == [second]
    assert ledger.entries(after=first.sequence) == [second, other]
    assert ledger.entries(after=other.sequence) == []


def test_a_ledger_that_is_ahead_of_the_clock_says_so(ledger: Ledger) -> None:
    """Regression: after one entry by a clock that was years ahead waivers ended and rollouts stood still, unsaid."""
    now, year = datetime(2026, 11, 30, tzinfo=UTC), timedelta(days=365)
    assert ledger.ahead_of_the_clock() is None, "of nothing"
    Ledger(ledger.url, clock=lambda: now + year).append("round", "r", {})
    later = Ledger(ledger.url, clock=lambda: now)
    later.append("round", "r", {})
    said = later.ahead_of_the_clock()
    assert said is not None and "is of 2027-11-30 00:00 UTC, 365 days after this machine's clock" in said
    assert Ledger(ledger.url, clock=lambda: now + year - CLOCKS_DIFFER_AT_MOST).ahead_of_the_clock() is None
    assert Ledger(ledger.url, clock=lambda: now + 2 * year).ahead_of_the_clock() is None


def test_the_newest_promotion_is_the_champion(ledger: Ledger) -> None:
    assert ledger.champion("r") is None
    ledger.append("promotion", "r", {"digest": "a"})
    ledger.append("promotion", "other", {"digest": "b"})
    ledger.append("promotion", "r", {"digest": "c"})
    assert ledger.champion("r") == {"digest": "c"}


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE ledger SET body = '{"digest": "x"}' WHERE sequence = 2""",
        "UPDATE ledger SET at = '2020-01-01' WHERE sequence = 2",
        "UPDATE ledger SET recipe = 'other' WHERE sequence = 2",
        "DELETE FROM ledger WHERE sequence = 2",
        "UPDATE ledger SET previous = 'x' WHERE sequence = 2",
    ],
)
def test_any_alteration_is_found(ledger: Ledger, statement: str) -> None:
    for number in range(3):
        ledger.append("promotion", "r", {"digest": str(number)})
    alter(ledger, statement)
    assert any("entry 2" in problem for problem in ledger.problems())


def append_many(url: str, writer: int) -> None:
    for number in range(20):
        Ledger(url).append("verdict", f"writer{writer}", {"number": number})


@pytest.mark.long
def test_writers_at_the_same_time_make_one_chain(ledger: Ledger) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(ledger.url, writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(ledger.entries()) == 60
    assert ledger.problems() == []
    assert [e.body["number"] for e in ledger.entries("writer1")] == list(range(20))


def verdict(ledger: Ledger, gate: str, state: str, digest: str = "d1", asset: str = "r/source[base]") -> Entry:
    return ledger.append("verdict", "r", {"asset": asset, "digest": digest, "gate": gate, "state": state})


def test_the_newest_of_what_is_asked_for_is_found_by_field(ledger: Ledger) -> None:
    """Regression: an approval was found by a word anywhere in it, such as the digest of another in its reason."""
    verdict(ledger, "g", "failed")
    passed = verdict(ledger, "g", "passed")
    verdict(ledger, "other", "failed")
    verdict(ledger, "g", "failed", asset="r/source[later]")
    verdict(ledger, "g", "failed", digest="d2")
    ledger.append("approval", "r", {"release": "a", "reason": "I refused d1 and b"})
    assert ledger.newest("r", "verdict", subject="r/source[base]", gate="g", content="d1") == passed
    assert ledger.newest("r", "approval", content="b") is None
    assert ledger.newest("other", "verdict", subject="r/source[base]") is None
    assert [entry.body["state"] for entry in ledger.entries("r", "verdict", content="d2")] == ["failed"]


def test_the_newest_verdict_of_each_gate_is_that_of_the_gate_alone(ledger: Ledger) -> None:
    gates = ["g", "other", "never looked at", "g' OR 1=1 --"]
    looks = [("g", "failed"), ("other", "failed"), ("g", "passed"), (gates[3], "passed"), ("not asked", "passed")]
    for gate, state in looks:
        verdict(ledger, gate, state)
        verdict(ledger, gate, "elsewhere", asset="r/source[later]")
    found = ledger.newest_verdicts("r", "r/source[base]", gates)
    alone = {gate: ledger.newest("r", "verdict", subject="r/source[base]", gate=gate) for gate in gates}
    assert found == {gate: entry for gate, entry in alone.items() if entry is not None}
    assert {gate: entry.body["state"] for gate, entry in found.items()} == {
        "g": "passed", "other": "failed", gates[3]: "passed",
    }  # fmt: skip
    assert ledger.newest_verdicts("r", "r/source[base]", []) == {}
    assert ledger.newest_verdicts("another", "r/source[base]", gates) == {}


def test_the_newest_materializations_of_many_assets_are_those_that_are_asked_for_one_by_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "ASKED_AT_ONCE", 2)
    assets = [f"r/source[{number}]" for number in range(5)]
    for digest, asset in [("old", assets[0]), *(("new", asset) for asset in assets[:4])]:
        ledger.append("materialization", "r", {"asset": asset, "digest": digest, "manifest": "m"})
    found = ledger.newest_materializations("r", assets)
    one_by_one = {asset: ledger.newest("r", "materialization", subject=asset) for asset in assets}
    assert found == {asset: entry for asset, entry in one_by_one.items() if entry is not None}
    assert {entry.body["digest"] for entry in found.values()} == {"new"} and assets[4] not in found
    assert ledger.newest_materializations("another", assets) == ledger.newest_materializations("r", []) == {}


def test_the_head_is_the_newest_entry(ledger: Ledger) -> None:
    assert ledger.head() == Head(0, GENESIS)
    entry = verdict(ledger, "g", "passed")
    assert ledger.head() == Head(1, entry.digest)


@pytest.mark.parametrize("column", ["subject", "gate", "content"])
def test_a_column_that_says_otherwise_than_its_body_is_found(ledger: Ledger, column: str) -> None:
    verdict(ledger, "g", "failed")
    verdict(ledger, "g", "passed")
    alter(ledger, f"UPDATE ledger SET {column} = 'x' WHERE sequence = 1")
    assert ledger.problems() == ["ledger entry 1 (verdict of r): its columns were altered"]


@pytest.mark.long
def test_a_ledger_of_0_1_0_is_given_its_columns_and_keeps_its_entries(ledger: Ledger) -> None:
    entries = [verdict(ledger, "g", "failed"), ledger.append("promotion", "r", {"digest": "a"})]
    for name in ("ledger_by_subject", "ledger_by_content", "ledger_by_gate"):
        alter(ledger, f"DROP INDEX {name}")
    for name in ("subject", "gate", "content"):
        alter(ledger, f"ALTER TABLE ledger DROP COLUMN {name}")
    ledger_module._engine.cache_clear()
    opened = Ledger(ledger.url)
    assert opened.entries() == entries and opened.problems() == []
    assert opened.newest("r", "verdict", subject="r/source[base]", gate="g") == entries[0]
    assert opened.champion("r") == {"digest": "a"}


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"subject": "s"}, "ledger_by_subject"),
        ({"subject": "s", "gate": "g"}, "ledger_by_gate"),
        ({"content": "c"}, "ledger_by_content"),
    ],
)
def test_a_look_walks_an_index_and_sorts_nothing(tmp_path: Path, asked: dict[str, str], index: str) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (step,) = steps_of(ledger, lambda: ledger.newest("r", "verdict", **asked))  # sorting would be a second one
    assert f"USING INDEX {index}" in step


@pytest.mark.parametrize(
    ("look", "index"),
    [
        (lambda ledger: ledger.newest_verdicts("r", "s", ["g", "h", "i"]), "ledger_by_gate"),
        (lambda ledger: ledger.newest_materializations("r", ["s", "t", "u"]), "ledger_by_subject"),
    ],
)
def test_a_look_at_many_gates_or_assets_walks_an_index_for_each_and_sorts_nothing(
    tmp_path: Path, look: Callable[[Ledger], object], index: str
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    steps = steps_of(ledger, lambda: look(ledger))
    assert sum(f"USING COVERING INDEX {index}" in step for step in steps) == 3
    assert not [step for step in steps if step.startswith(("SCAN ledger", "USE TEMP"))]


def test_what_entries_are_about_is_read_from_an_index_alone(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (step,) = steps_of(ledger, lambda: ledger.subjects("r", "materialization"))
    assert "USING COVERING INDEX ledger_by_" in step
    for asset in ("r/b", "r/a", "r/b"):
        ledger.append("materialization", "r", {"asset": asset, "digest": "d"})
    ledger.append("materialization", "other", {"asset": "other/c", "digest": "d"})
    ledger.append("materialization", "r", {"of another": "shape"})
    assert ledger.subjects("r", "materialization") == ["r/a", "r/b"]


def test_the_newest_before_another_entry_walks_the_same_index(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (step,) = steps_of(ledger, lambda: ledger.newest("r", "materialization", subject="r/a", before=3))
    assert "USING INDEX ledger_by_subject" in step
    one, two = (ledger.append("materialization", "r", {"asset": "r/a", "digest": each}) for each in "12")
    found = [ledger.newest("r", "materialization", subject="r/a", before=number) for number in (1, 2, 3)]
    assert found == [None, one, two]


def steps_of(ledger: Ledger, look: Callable[[], object]) -> list[str]:
    """How SQLite finds what the one statement of a look asks for."""
    statements: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(ledger._engine, "before_cursor_execute", note)
    look()
    ((statement, parameters),) = statements
    with ledger._engine.connect() as connection:
        return [step.detail for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.fixture
def on_disk(tmp_path: Path) -> Ledger:
    """An empty ledger on SQLite, in a folder that does not exist yet."""
    return Ledger(f"sqlite:///{tmp_path / 'new' / 'folder' / 'ledger.db'}")


def test_entries_that_belong_together_are_all_there_or_none(on_disk: Ledger) -> None:
    both = on_disk.append_all("r", [("promotion", {"digest": "a"}), ("withdrawal", {"release": "b"})])
    assert [entry.sequence for entry in both] == [1, 2] and both[1].previous == both[0].digest
    with pytest.raises(TypeError):
        on_disk.append_all("r", [("promotion", {"digest": "c"}), ("withdrawal", {"release": object()})])
    assert on_disk.entries() == both and on_disk.problems() == []


def test_a_writer_that_lost_a_race_reads_the_new_head_and_tries_again(
    on_disk: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_head, lost = ledger_module._head, []

    def another_is_quicker(connection: sa.Connection) -> Head:
        head = read_head(connection)
        if not lost:
            lost.append(head)
            row = {**entry_after(head).__dict__, "body": "{}"}
            with sa.create_engine(on_disk.url).begin() as other:
                other.execute(ledger_module._entries.insert().values(**row))
        return head

    monkeypatch.setattr(ledger_module, "_head", another_is_quicker)
    mine = on_disk.append("verdict", "r", {"mine": 1})
    assert mine.sequence == 2 and [entry.recipe for entry in on_disk.entries()] == ["of another", "r"]


def entry_after(head: Head) -> Entry:
    return Entry(head.sequence + 1, "2026-01-01T00:00:00+00:00", "round", "of another", {}, head.digest, "d" * 64)


def test_what_the_database_refuses_for_another_reason_is_said(on_disk: Ledger) -> None:
    """Not tried again for ever: nobody has taken the place."""
    with pytest.raises(sa.exc.IntegrityError):
        on_disk.append("verdict", None, {})  # type: ignore[arg-type]


def test_only_what_is_asked_for_may_be_empty(on_disk: Ledger) -> None:
    on_disk.append("round", "r", {"run_id": "x"})
    inspector = sa.inspect(sa.create_engine(on_disk.url))
    columns = {
        column["name"]: column for table in ("ledger", "ledger_signatures") for column in inspector.get_columns(table)
    }
    assert {name for name, column in columns.items() if column["nullable"]} == {"subject", "gate", "content"}
    assert inspector.get_pk_constraint("ledger")["constrained_columns"] == ["sequence"]
    assert inspector.get_pk_constraint("ledger_signatures")["constrained_columns"] == ["sequence"]
    unique = {name for each in inspector.get_unique_constraints("ledger") for name in each["column_names"]}
    assert unique == {"previous", "digest"}


def test_each_entry_is_signed_where_there_is_a_key(tmp_path: Path) -> None:
    signs = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda place, digest: Signature("key", f"{place} {digest}"))
    one = signs.append("round", "r", {"run_id": "x"})
    assert signs.signatures() == {1: Signature("key", f"1 {one.digest}")}
    without = Ledger(signs.url, lambda place, digest: None)
    without.append("round", "r", {"run_id": "y"})
    Ledger(signs.url).append("round", "r", {"run_id": "z"})
    assert list(signs.signatures()) == [1]


def test_a_ledger_is_known_by_its_first_entry(on_disk: Ledger) -> None:
    assert on_disk.beginning() == GENESIS
    first, _ = on_disk.append("round", "r", {"run_id": "x"}), on_disk.append("round", "r", {"run_id": "y"})
    assert on_disk.beginning() == first.digest


def test_time_never_runs_backwards(on_disk: Ledger) -> None:
    may, june, long_ago = (datetime(year, month, 1, tzinfo=UTC) for year, month in ((2026, 5), (2026, 6), (2020, 1)))
    in_may, in_june, set_back = (Ledger(on_disk.url, clock=lambda at=at: at) for at in (may, june, long_ago))
    assert in_may.now() == may
    in_may.append("round", "r", {"run_id": "x"})
    in_june.append("round", "r", {"run_id": "y"})
    assert set_back.now() == june, "the newest entry is later than the clock"
    assert set_back.append("round", "r", {"run_id": "z"}).at == "2026-06-01T00:00:00.000+00:00"
    assert on_disk.problems() == []


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (
            "2020-01-01T00:00:00+00:00",
            "ledger entry 2 is of 2020-01-01T00:00:00+00:00, before the entry that it follows",
        ),
        ("yesterday", "ledger entry 2 has no time: 'yesterday'"),
        ("2100-01-01T00:00:00", "ledger entry 2 has no time: '2100-01-01T00:00:00'"),
    ],
)
def test_an_entry_of_another_time_is_said(on_disk: Ledger, at: str, said: str) -> None:
    for run in "xyz":
        on_disk.append("round", "r", {"run_id": run})
    alter(on_disk, f"UPDATE ledger SET at = '{at}' WHERE sequence = 2")
    assert on_disk.problems() == ["ledger entry 2 (round of r) was altered", said]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM ledger WHERE sequence = 2", "ledger entry 2 is missing: the next one is numbered 3"),
        ("DELETE FROM ledger WHERE sequence = 1", "ledger entry 1 is missing: the next one is numbered 2"),
        ("UPDATE ledger SET digest = 'x' WHERE sequence = 3", "ledger entry 3 (round of r) was altered"),
    ],
)
def test_where_the_chain_breaks_is_said_once(on_disk: Ledger, statement: str, said: str) -> None:
    for run in "xyz":
        on_disk.append("round", "r", {"run_id": run})
    alter(on_disk, statement)
    assert on_disk.problems() == [said]


def test_an_entry_whose_predecessor_was_exchanged_is_said(on_disk: Ledger) -> None:
    for run in "xy":
        on_disk.append("round", "r", {"run_id": run})
    alter(on_disk, "UPDATE ledger SET previous = 'x' WHERE sequence = 2")
    followed = "ledger entry 2 does not follow the entry before it"
    assert on_disk.problems() == [followed, "ledger entry 2 (round of r) was altered"]


def test_a_body_that_is_no_json_names_its_entry(on_disk: Ledger) -> None:
    on_disk.append("round", "r", {"run_id": "x"})
    alter(on_disk, "UPDATE ledger SET body = '{' WHERE sequence = 1")
    with pytest.raises(StillhouseError, match=r"ledger entry 1 \(round of r\)"):
        on_disk.entries()


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "body", "about"),
    [
        ("materialization", {"asset": "r/a", "digest": "d"}, EntrySubject("r/a", content="d")),
        ("verdict", {"asset": "r/a", "gate": "g", "digest": "d"}, EntrySubject("r/a", "g", "d")),
        ("promotion", {"digest": "d"}, EntrySubject("r/champion", content="d")),
        ("withdrawal", {"release": "d"}, EntrySubject("r/champion", content="d")),
        ("waiver", {"gate": "r/a[b]:g", "digest": "d"}, EntrySubject("r/a[b]", "g", "d")),
        ("waiver", {"gate": "r/a:g"}, EntrySubject("r/a", "g")),
        ("approval", {"release": "d"}, EntrySubject(content="d")),
        ("amendment", {"bar": "d"}, EntrySubject(content="d")),
        ("golden_read", {"golden": "d"}, EntrySubject()),
        ("signal_shard", {"fingerprint": "f", "digest": "d"}, EntrySubject("f", content="d")),
        ("batch", {"batch": "b"}, EntrySubject("b")),
        ("round", {"run_id": "x"}, EntrySubject("x")),
        ("correction", {"book": "answers"}, EntrySubject("answers")),
        ("round", {}, EntrySubject()),
        ("a kind of a later version", {"run_id": "x"}, EntrySubject()),
    ],
)
def test_what_an_entry_is_about_is_what_it_can_be_asked_by(
    kind: Any, body: dict[str, Any], about: EntrySubject, on_disk: Ledger
) -> None:
    entry = on_disk.append(kind, "r", body)
    assert ledger_module._asked(kind, "r", body) == about
    for name, value in about.__dict__.items():
        if value is not None:
            assert on_disk.entries(**{name: value}) == [entry] == [on_disk.newest("r", kind, **{name: value})]
            assert on_disk.entries(**{name: "other"}) == []
    assert on_disk.problems() == []


def test_of_many_entries_the_newest_is_one(on_disk: Ledger) -> None:
    entries = [on_disk.append("round", "r", {"run_id": str(number)}) for number in range(3)]
    assert on_disk.newest("r", "round") == entries[-1]
    assert on_disk.head() == Head(3, entries[-1].digest)


@pytest.mark.long
def test_a_column_that_another_process_was_quicker_to_add_is_no_fault(
    on_disk: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk.append("round", "r", {"run_id": "x"})
    engine, subject = on_disk._engine, ledger_module._entries.c.subject
    seen = sa.inspect(engine).get_columns("ledger")
    looks = [[], seen]
    monkeypatch.setattr(databases.sa, "inspect", lambda engine: Looks(looks))
    databases.add_column(engine, subject)
    looks += [[], []]
    with pytest.raises(sa.exc.DBAPIError):
        databases.add_column(engine, subject)


@pytest.mark.long
def test_of_two_processes_that_index_one_ledger_at_once_the_second_finds_it_done(server: str) -> None:
    """Postgres looks for an index of the name when it begins, and again when it writes it down."""
    with sa.create_engine(server).begin() as connection:
        connection.execute(sa.schema.CreateSchema("at_once"))
    url = f"{server}&options=-csearch_path%3Dat_once"
    empty = Ledger(url)  # with an entry in it the second would wait to write that
    for index in ledger_module._INDEXES:
        alter(empty, f"DROP INDEX {index.name}")
    with sa.create_engine(url).connect() as first, sa.create_engine(url).connect() as looks:
        for index in ledger_module._INDEXES:
            first.execute(CreateIndex(index))
        with ThreadPoolExecutor() as second:
            ready = second.submit(ledger_module._make_ready, sa.create_engine(url))
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not ready.done() and not looks.execute(sa.text(waits)).scalar():
                looks.rollback()
            assert not ready.done(), "it has to wait for the first"
            first.commit()
            ready.result()
    assert ledger_module._has_all_indexes(sa.create_engine(url))


class Looks:
    """Shows the columns of a table as they are at each look."""

    def __init__(self, looks: list[Any]) -> None:
        self.looks = looks

    def get_columns(self, table: str) -> Any:
        return self.looks.pop(0)
