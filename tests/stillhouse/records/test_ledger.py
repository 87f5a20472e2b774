"""The ledger keeps its order, notices every alteration, and works on Postgres as on SQLite."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

import stillhouse.records.ledger as ledger_module
from stillhouse.records.ledger import GENESIS, Entry, Head, Ledger
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
    statements: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(ledger._engine, "before_cursor_execute", note)
    assert ledger.newest("r", "verdict", **asked) is None
    with ledger._engine.connect() as connection:
        statement, parameters = statements[0]
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    (step,) = steps  # sorting would be a second one
    assert f"USING INDEX {index}" in step.detail
