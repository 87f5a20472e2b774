"""One run of a recipe at a time, whoever started it.

Belongs here: taking and giving back the lock of a recipe, and who holds it.
Does not: when a run has to take it (orchestration/resources.py), the lock on training (builds.py).

The lock is the operating system's or the database's and not a row that somebody has to delete: it is gone the moment
its holder is killed. Where the ledger is a Postgres it is an advisory lock of a session there, which holds between
machines too (a pooler between has to pool sessions and not transactions); otherwise a locked file below
STILLHOUSE_HOME. A thread that holds the lock may take it again, so that the command line plans and runs under one.

A lock can be lost while its holder works on: the database ends a session, or somebody deletes the file. Whoever asked
next has it by then, so a holder asks before each thing that it writes.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from stillhouse.errors import MachineError
from stillhouse.home import Home
from stillhouse.records.databases import engine_of

SECONDS_BETWEEN_TRIES = 0.5
SOMEBODY = "another run"


@dataclass(frozen=True)
class Holder:
    """Who works on a recipe.

    Args:
        by: in words.
        since: when it began, in UTC.
    """

    by: str
    since: datetime


def who_works_on(home: Home, recipe: str) -> Holder | None:
    """Who holds the lock of a recipe now; None where nobody does, or gave it back while one was looking."""
    lock = _lock(home, recipe)
    if lock.take("a look at who has it"):
        lock.give_back()
        return None
    return lock.signed()


RequireHeld = Callable[[], None]
"""Raises a MachineError where a lock was lost, so that nothing is written beside whoever has it now."""


@contextmanager
def recipes_locked(
    home: Home, recipes: Collection[str], *, by: str, waiting: Callable[[str, str], None]
) -> Iterator[RequireHeld]:
    """Hold the locks of some recipes, waiting for whoever holds one now.

    Args:
        home: whose recipes.
        recipes: their names; locked in sorted order, so that two holders of several cannot wait for each other.
        by: who holds them from now on, such as `run 1a2b3c4d`: what whoever waits is shown.
        waiting: called once for each lock that is not free, with the recipe and who holds it.

    Yields:
        What to ask before anything is written.
    """
    held: dict[str, _Lock] = {}

    def require_held() -> None:
        for recipe, lock in held.items():
            if not lock.is_held():
                raise _lost(recipe, by)

    with ExitStack() as locked:
        for recipe in sorted(recipes):
            lock = _lock(home, recipe)
            if not lock.take(by):
                waiting(recipe, lock.holder())
                while not lock.take(by):
                    time.sleep(SECONDS_BETWEEN_TRIES)
            locked.callback(lock.give_back)
            held[recipe] = lock
        yield require_held


def _lost(recipe: str, by: str) -> MachineError:
    return MachineError(
        f"the lock of {recipe} was lost while {by} worked",
        where=recipe,
        expected="the session of the database, or the file below locks/, that keeps other runs out",
        do="It writes nothing more, since another run may work by now. Start it again: what is finished is kept.",
    )


@contextmanager
def recipe_locked_if_free(home: Home, recipe: str, *, by: str) -> Iterator[str | None]:
    """Hold the lock of a recipe if nobody does, and give None; otherwise lock nothing and give who holds it."""
    lock = _lock(home, recipe)
    if not lock.take(by):
        yield lock.holder()
        return
    try:
        yield None
    finally:
        lock.give_back()


class _Place(Protocol):
    """Where a lock is kept between processes."""

    def try_to_lock(self) -> bool:
        """Take it if it is free."""
        ...

    def is_held(self) -> bool:
        """Whether it is still locked for this process, which has locked it."""
        ...

    def unlock(self) -> None:
        """Give it back."""
        ...

    def sign(self, by: str) -> None:
        """Write down who has it."""
        ...

    def signed(self) -> Holder | None:
        """Who has it and since when, as far as that is written down."""
        ...


class _Lock:
    """The lock of one recipe in this process: between its threads, and through its place between processes."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._between_threads = threading.RLock()
        self._signed: list[str] = []

    def take(self, by: str) -> bool:
        """Take it, or take it once more where this thread has it."""
        if not self._between_threads.acquire(blocking=False):
            return False
        # Whatever goes wrong, such as a database that takes no session more, what was taken goes back: a process that
        # lives on would hold the recipe for good and tell every later one of another run.
        with ExitStack() as undo:
            undo.callback(self._between_threads.release)
            if not self._signed:
                if not self._place.try_to_lock():
                    return False
                undo.callback(self._place.unlock)
            self._place.sign(by)
            self._signed.append(by)
            undo.pop_all()
        return True

    def give_back(self) -> None:
        """Undo one `take`."""
        self._signed.pop()
        try:
            if self._signed:
                self._place.sign(self._signed[-1])
            else:
                self._place.unlock()
        finally:
            self._between_threads.release()

    def is_held(self) -> bool:
        """Whether the place still locks for this process."""
        return self._place.is_held()

    def signed(self) -> Holder | None:
        """Who has it and since when, as far as that is written down."""
        return self._place.signed()

    def holder(self) -> str:
        """Who has it, in words."""
        signed = self.signed()
        return signed.by if signed else SOMEBODY


class _LockedFile:
    """A file that the operating system locks; it holds the name of its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_to_lock(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def is_held(self) -> bool:
        # The file of that name may be another one by now, which anybody can lock.
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def unlock(self) -> None:
        assert self._descriptor is not None
        descriptor, self._descriptor = self._descriptor, None
        try:
            flock(descriptor, LOCK_UN)  # closing alone would leave it to a process that was forked meanwhile
        finally:
            os.close(descriptor)

    def sign(self, by: str) -> None:
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, by.encode(), 0)

    def signed(self) -> Holder | None:
        by = self._path.read_text("utf-8") if self._path.exists() else ""
        return Holder(by, datetime.fromtimestamp(self._path.stat().st_mtime, UTC)) if by else None


class _AdvisoryLock:
    """An advisory lock of a Postgres session that does nothing else; its application_name is its holder."""

    def __init__(self, url: str, name: str) -> None:
        # Postgres cuts an application_name off at 63 bytes.
        self._prefix = f"stillhouse {name[:24]}: "
        self._key = int.from_bytes(sha256(f"stillhouse {name}".encode()).digest()[:8], "big", signed=True)
        self._engine = engine_of(url, keep_connections=False).execution_options(isolation_level="AUTOCOMMIT")
        self._session: sa.Connection | None = None

    def try_to_lock(self) -> bool:
        with ExitStack() as unless_locked:
            session = unless_locked.enter_context(self._engine.connect())
            # A machine that is gone says so to nobody: after a minute without an answer its session ends, and so its
            # lock.
            for setting, value in (("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10")):
                session.execute(sa.select(sa.func.set_config(setting, value, False)))
            # It is idle for as long as a training takes; before version 14 there is no such limit.
            session.execute(
                sa.text("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
            )
            if not session.scalar(sa.select(sa.func.pg_try_advisory_lock(self._key))):
                return False
            unless_locked.pop_all()
        self._session = session
        return True

    def is_held(self) -> bool:
        assert self._session is not None
        try:
            self._session.scalar(sa.select(1))
        except (sa.exc.OperationalError, sa.exc.PendingRollbackError):
            return False
        return True

    def unlock(self) -> None:
        assert self._session is not None
        session, self._session = self._session, None
        # Closing alone would leave it held until the server has noticed, and whoever asks at once would be refused. A
        # session that is lost has given it back; where signing has shown that, a rollback is asked for first.
        with suppress(sa.exc.OperationalError, sa.exc.PendingRollbackError), session:
            session.execute(sa.select(sa.func.pg_advisory_unlock(self._key)))

    def sign(self, by: str) -> None:
        assert self._session is not None
        self._session.execute(sa.select(sa.func.set_config("application_name", f"{self._prefix}{by}", False)))

    def signed(self) -> Holder | None:
        wanted = sa.text(
            "SELECT application_name, state_change FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = "
            "'advisory' AND granted AND ((classid::bigint << 32) | objid::bigint) = :key AND objsubid = 1"
        )
        with self._engine.connect() as connection:
            found = connection.execute(wanted, {"key": self._key}).first()
        return Holder(str(found[0]).removeprefix(self._prefix), found[1]) if found else None


def _lock(home: Home, recipe: str) -> _Lock:
    return _known_lock(home.ledger_url, home.locks / f"{recipe}.lock", recipe)


@cache
def _known_lock(ledger_url: str, path: Path, recipe: str) -> _Lock:
    """One object for each lock in a process: what a thread holds is known by it."""
    if sa.make_url(ledger_url).get_backend_name() == "postgresql":
        return _Lock(_AdvisoryLock(ledger_url, recipe))
    return _Lock(_LockedFile(path))
