"""The ledger keeps its order, notices every alteration, and works on Postgres as on SQLite."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from stillhouse.ledger import GENESIS, Ledger
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
