"""No two runs of one recipe work at the same time, and no lock outlives its holder."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from stillhouse.errors import MachineError
from stillhouse.home import CHECKOUT, Home
from stillhouse.records import locks
from stillhouse.records.builds import BuildStore
from stillhouse.records.locks import recipe_locked_if_free, recipes_locked, who_works_on
from tests.postgres import PG_CTL, postgres

HOLDER = """
import sys, time
from pathlib import Path
from stillhouse.home import Home
from stillhouse.records.locks import recipes_locked
with recipes_locked(Home(Path(sys.argv[1]), "", sys.argv[2]), ["small"], by="run 1a2b3c4d", waiting=print):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    if request.param == "sqlite":
        yield Home(tmp_path, "", f"sqlite:///{tmp_path}/ledger.db")
        return
    if PG_CTL is None:
        pytest.skip("no Postgres is installed")
    with postgres() as url:
        yield Home(tmp_path, "", url)


@pytest.fixture
def files(tmp_path: Path) -> Home:
    """Where the locks are files."""
    return Home(tmp_path, "", f"sqlite:///{tmp_path}/ledger.db")


def seen_by_another_thread(place: Home) -> str | None:
    """Who holds the lock of the recipe `small` as another thread of this process is told; None where it gets it."""
    seen: list[str | None] = []

    def look() -> None:
        with recipe_locked_if_free(place, "small", by="another thread") as holder:
            seen.append(holder)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    (holder,) = seen
    return holder


def holding(place: Home) -> subprocess.Popen[str]:
    """Another process that holds the lock of the recipe `small`."""
    command = [sys.executable, "-c", HOLDER, str(place.root), place.ledger_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    return process


@pytest.mark.long
def test_a_second_process_is_refused_by_name_until_the_first_is_killed(place: Home) -> None:
    process = holding(place)
    try:
        with recipe_locked_if_free(place, "small", by="run 2") as holder:
            assert holder == "run 1a2b3c4d"
        with recipe_locked_if_free(place, "large", by="run 2") as holder:
            assert holder is None, "two recipes run beside each other"
        process.kill()
        process.wait()
        said: list[tuple[str, str]] = []
        with recipes_locked(place, ["small"], by="run 2", waiting=lambda *words: said.append(words)):
            pass
        assert said in ([], [("small", "run 1a2b3c4d")]), "a database may need a moment to see that its client is gone"
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_a_look_says_who_works_and_since_when_and_holds_nobody_up(place: Home) -> None:
    assert who_works_on(place, "small") is None
    before = datetime.now(UTC)
    process = holding(place)
    try:
        holder = who_works_on(place, "small")
        assert holder is not None and holder.by == "run 1a2b3c4d"
        assert before - timedelta(seconds=1) < holder.since < datetime.now(UTC) + timedelta(seconds=1)
        assert who_works_on(place, "large") is None
    finally:
        process.kill()
        process.wait()
    while who_works_on(place, "small") is not None:  # a database may need a moment to see that its client is gone
        time.sleep(0.05)
    with recipe_locked_if_free(place, "small", by="run 2") as found:
        assert found is None, "the look gave it back"


@pytest.mark.long
def test_one_who_waits_hears_for_whom_once_and_goes_on(place: Home) -> None:
    process = holding(place)
    said: list[tuple[str, str]] = []

    def waiting(recipe: str, holder: str) -> None:
        said.append((recipe, holder))
        process.kill()

    with recipes_locked(place, ["small"], by="run 2", waiting=waiting):
        pass
    process.wait()
    assert said == [("small", "run 1a2b3c4d")]


@pytest.mark.long
def test_a_thread_takes_its_own_lock_again_and_another_does_not(place: Home) -> None:
    def never(recipe: str, holder: str) -> None:
        raise AssertionError(f"waited for {recipe}, held by {holder}")

    with recipes_locked(place, ["small", "large"], by="the command line", waiting=never):
        with recipes_locked(place, ["small"], by="run 1a2b3c4d", waiting=never):
            assert seen_by_another_thread(place) == "run 1a2b3c4d"
        assert seen_by_another_thread(place) == "the command line"
    assert seen_by_another_thread(place) is None


@pytest.mark.parametrize("step", ["try_to_lock", "sign", "unlock"])
@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_lock_whose_place_fails_once_is_free_again(
    files: Home, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    """Regression: the thread kept it for as long as the process lived, and every later run was told of another one."""
    as_ever = getattr(locks._LockedFile, step)

    def fails(*about: object) -> None:
        if step == "unlock":  # what the system closed is closed, whatever it says of it
            as_ever(*about)
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(locks._LockedFile, step, fails)
        with pytest.raises(type(error)), recipe_locked_if_free(files, "small", by="run 1a2b3c4d"):
            pass
    assert seen_by_another_thread(files) is None


def test_a_file_that_cannot_be_locked_is_closed(files: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, how: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.ENOLCK, "no locks available")

    opened: list[int] = []
    monkeypatch.setattr(locks, "flock", no_locks)
    with pytest.raises(OSError, match="no locks"), recipe_locked_if_free(files, "small", by="run 1a2b3c4d"):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(*opened)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Home]:
    """Where the locks are those of a Postgres."""
    if PG_CTL is None:
        pytest.skip("no Postgres is installed")
    with postgres() as url:
        yield Home(tmp_path, "", url)


@pytest.mark.long
def test_a_session_that_is_lost_before_it_is_signed_leaves_the_lock_free_and_says_so(
    database: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = locks._AdvisoryLock.sign

    def lost(lock: locks._AdvisoryLock, by: str) -> None:
        everybody_else = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        with sa.create_engine(database.ledger_url).begin() as connection:
            connection.execute(sa.text(everybody_else))
        sign(lock, by)

    with monkeypatch.context() as broken:
        broken.setattr(locks._AdvisoryLock, "sign", lost)
        with pytest.raises(sa.exc.OperationalError), recipe_locked_if_free(database, "small", by="run 1a2b3c4d"):
            pass
    assert seen_by_another_thread(database) is None


@pytest.mark.long
def test_a_session_that_is_interrupted_as_it_locks_is_closed(database: Home) -> None:
    def interrupted(connection: object, cursor: object, statement: str, *about: object) -> None:
        if "pg_try_advisory_lock" in statement:
            raise KeyboardInterrupt

    sa.event.listen(sa.Engine, "after_cursor_execute", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt) as kept, recipe_locked_if_free(database, "small", by="run 1a2b3c4d"):
            pass
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", interrupted)
    assert seen_by_another_thread(database) is None, f"{kept.value!r} keeps the session, as any log of it would"


@pytest.mark.long
def test_a_holder_whose_lock_is_lost_writes_nothing_more_and_another_one_may(place: Home) -> None:
    with pytest.raises(MachineError, match="the lock of small was lost while run 1a2b3c4d worked"):  # noqa: SIM117
        with recipes_locked(place, ["small"], by="run 1a2b3c4d", waiting=print) as require_held:
            ledger = BuildStore(place, require_held).ledger
            ledger.append("round_begun", "small", {})
            _take_away(place)
            assert seen_by_another_thread(place) is not None, "within a process it stays taken until it is given back"
            with pytest.raises(MachineError, match="It writes nothing more"):
                ledger.append("round_begun", "small", {})
            process = holding(place)
            process.kill()
            process.communicate()
            ledger.append("round_begun", "small", {})
    assert len(BuildStore(place).ledger.entries("small")) == 1
    assert seen_by_another_thread(place) is None


@pytest.mark.long
def test_a_lock_outlasts_the_limit_on_idle_sessions(database: Home) -> None:
    """It is idle for as long as a training takes."""
    with sa.create_engine(database.ledger_url, isolation_level="AUTOCOMMIT").connect() as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET idle_session_timeout = 200'))
    with recipes_locked(database, ["small"], by="run 1a2b3c4d", waiting=print) as require_held:
        time.sleep(1)
        require_held()


def _take_away(place: Home) -> None:
    """What an administrator, a failover or a clean-up does to a lock."""
    if place.ledger_url.startswith("sqlite"):
        (place.locks / "small.lock").unlink()
        return
    of_locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    with sa.create_engine(place.ledger_url).begin() as connection:
        connection.execute(sa.text(of_locks))
