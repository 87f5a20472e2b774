"""Dagster in the process of a test, as quick as it is where nobody pulls a plug and nobody reads its captured output.

Belongs here: what spares Dagster's and our SQLite files their waiting, and empty ones to begin with.
Does not: other things that tests spare (spared.py); servers and processes that tests start have none of this.
"""

import atexit
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from orchestration.instance import initialise
from stillhouse.home import Home

_DAGSTERS = ("runs.sqlite.sqlite_run_storage", "event_log.sqlite.sqlite_event_log",
             "schedules.sqlite.sqlite_schedule_storage")  # fmt: skip


@contextmanager
def quick_dagster() -> Iterator[None]:
    """Wait for no disk at a commit, and let Dagster keep its engines and connections.

    It opens and closes a file for each query, and each close writes the log of the file back. The file of a new run is
    a copy of an empty one, and Dagster's migrations are read once: both take fifty milliseconds each time. What steps
    print goes where the test's own output goes: for a copy of it each run starts four processes.
    """
    sa.event.listen(sa.Engine, "connect", _relax)
    with pytest.MonkeyPatch.context() as patches:
        for name in _DAGSTERS:
            patches.setattr(import_module(f"dagster._core.storage.{name}"), "create_engine", _kept)
        patches.setattr("orchestration.dagster_databases._keep_engines", lambda: None)  # which keeps no connections
        patches.setattr(SqliteEventLogStorage, "_initdb", _first_copied(SqliteEventLogStorage._initdb))
        patches.setattr("dagster._core.storage.sql.ScriptDirectory", _Migrations)
        patches.setattr("dagster._core.storage.local_compute_log_manager.mirror_stream_to_file", _as_it_is)
        yield
    sa.event.remove(sa.Engine, "connect", _relax)


def _relax(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


def _kept(url: str, *, poolclass: type[sa.Pool], connect_args: Mapping[str, Any] | None = None) -> sa.Engine:
    return _engine(url, tuple(sorted((connect_args or {}).items())), os.getpid())


@functools.lru_cache(maxsize=60)
def _engine(url: str, options: tuple[tuple[str, Any], ...], process: int) -> sa.Engine:
    """One for each process, also one that was forked: a connection to SQLite may not be carried into another."""
    made = sa.create_engine(url, poolclass=sa.QueuePool, connect_args=dict(options))
    setattr(made, "dispose", lambda: None)  # noqa: B010 - a type checker lets no method be assigned to
    return made


def _first_copied(begin: Any) -> Any:
    empty = _until_the_end() / "run.db"

    def begun(storage: SqliteEventLogStorage, engine: sa.Engine, for_index_shard: bool = False) -> None:
        path = Path(engine.url.database or "")
        if for_index_shard or path.exists():
            begin(storage, engine, for_index_shard)
            return
        if not empty.exists():
            begin(storage, sa.create_engine(f"sqlite:///{empty}", poolclass=sa.NullPool))
        shutil.copyfile(empty, path)

    return begun


def _as_it_is(stream: object, path: str) -> AbstractContextManager[None]:
    return nullcontext()


class _Migrations:
    @staticmethod
    def from_config(config: Config) -> ScriptDirectory:
        return _migrations(config.get_main_option("script_location") or "")


@functools.cache
def _migrations(location: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", location)
    return ScriptDirectory.from_config(config)


def lay_fresh_databases(home: Home) -> None:
    """Copy Dagster's empty databases to where there are none yet: making them from nothing takes a second each time."""
    if not home.dagster.exists():
        home.dagster.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_fresh_databases(), home.dagster)


def _until_the_end() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stillhouse-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _fresh_databases() -> Path:
    folder = _until_the_end()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STILLHOUSE_HOME", str(folder))
        environment.setenv("DAGSTER_HOME", str(folder / "dagster"))
        home = Home.from_environment()
        with initialise(home):
            return home.dagster
