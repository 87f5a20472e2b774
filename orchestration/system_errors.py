"""What the operating system refuses, in one line, whoever ran into it.

Belongs here: finding in an error of a library, such as Dagster, what the system said; Ctrl-C during a run.
Does not: the words for each refusal (stillhouse/files.py, stillhouse/records/databases.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.files import plain_disk_error, plain_full_disk
from stillhouse.home import Home
from stillhouse.stores import plain_store_error

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C has ended, as shells have it: 128 and the number of the signal."""


@contextmanager
def plain_system_errors() -> Iterator[None]:
    """Translate a disk, database or name that cannot be used, and an interrupted run; a bug keeps its traceback.

    Raises:
        StillhouseError: in place of what the system said.
        SystemExit: with code 130, where a run of Dagster was ended by Ctrl-C.
    """
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:
        plain = next(filter(None, map(_plain, _causes(error))), None)
        if plain is not None:
            raise plain from error
        with plain_full_disk(_state()):  # for libraries that have no error of their own for it
            raise
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BaseException as error:
        if isinstance(error, SystemExit) or not _is_dagsters_interrupt(error):
            raise
        raise SystemExit(INTERRUPTED) from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from. What it was only raised beside does not count, as that may be a bug."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        original = getattr(found, "orig", None)  # as SQLAlchemy keeps the driver's own
        found = original if isinstance(original, BaseException) else found.__cause__


def _plain(error: BaseException) -> StillhouseError | None:
    from stillhouse.records.databases import plain_connection_error, plain_database_error

    if isinstance(error, OSError):
        return plain_disk_error(error, _state())
    if isinstance(error, UnicodeEncodeError):
        return _undecodable(error)
    return (
        plain_database_error(error, str(_state()))
        or plain_connection_error(error, "Postgres")
        or plain_store_error(error, Home.from_environment().artifacts)
    )


def _undecodable(error: UnicodeEncodeError) -> StillhouseError | None:
    """A name of a file whose bytes are no UTF-8 is half a surrogate pair for each of them; nothing else is."""
    text = error.object
    if not "\ud800" <= text[error.start] <= "\udfff":
        return None
    return StillhouseError(
        "the name of a file or folder has bytes that are no UTF-8",
        where=ascii(text),
        expected="a name that can be written down",
        do="Rename it, then run again.",
    )


def _state() -> Path:
    try:
        return Home.from_environment().root
    except OSError:  # the working directory is gone
        return Path()


def _is_dagsters_interrupt(error: BaseException) -> bool:
    import dagster as dg

    return isinstance(error, dg.DagsterExecutionInterruptedError)
