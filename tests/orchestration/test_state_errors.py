"""A command on a state folder that is read-only, full or locked ends with one line, whoever ran into it."""

import errno
import os
import sqlite3

import pytest
import sqlalchemy as sa

import orchestration.cli
from stillhouse.home import Home


def sqlite_error(code: int) -> sa.exc.OperationalError:
    error = sqlite3.OperationalError("as Dagster's own database would say it")
    error.sqlite_errorcode = code
    return sa.exc.OperationalError("SELECT 1", {}, error)


@pytest.mark.experiment("C12")
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (sqlite_error(sqlite3.SQLITE_READONLY_DIRECTORY), "cannot be written"),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), "cannot be opened"),
        (sqlite_error(sqlite3.SQLITE_BUSY), "is locked by another process"),
        (sqlite_error(sqlite3.SQLITE_FULL), "no space left"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "cannot be written"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no space left"),
    ],
)
def test_it_is_one_plain_line_and_exit_code_2(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    def command() -> None:
        raise error

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        orchestration.cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == 1 and "Traceback" not in said


def test_an_error_of_ours_keeps_its_traceback(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(ValueError, match="a bug"):
        orchestration.cli.main()
