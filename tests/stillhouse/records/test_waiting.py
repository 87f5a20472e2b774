"""A Postgres that does not answer is given up soon, and asked again."""

import socket
import threading

import pytest
import sqlalchemy as sa

from stillhouse.records.databases import engine_of


def given_to_the_driver(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """With which arguments the driver is called."""
    engine = engine_of(url)
    found: dict[str, object] = {}

    def connect(*arguments: object, **named: object) -> None:
        found.update(named)
        raise engine.dialect.dbapi.OperationalError("not there")

    monkeypatch.setattr(engine.dialect, "connect", connect)
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()
    return found


def test_a_postgres_is_waited_for_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_the_driver("postgresql+psycopg2://host/name", monkeypatch)
    assert (given["connect_timeout"], given["tcp_user_timeout"]) == (5, 20_000)


def test_what_its_address_says_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_the_driver("postgresql+psycopg2://host/name?connect_timeout=40", monkeypatch)
    assert given["connect_timeout"] == "40" and given["keepalives_idle"] == 10


@pytest.mark.long
def test_one_that_takes_a_connection_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hang_up = threading.Timer(60, silent.close)  # a driver that would wait for ever then says something else
        hang_up.start()
        with pytest.raises(sa.exc.OperationalError, match="timeout"):
            engine_of(f"postgresql+psycopg2://x@127.0.0.1:{port}/x?connect_timeout=2").connect()
        hang_up.cancel()
