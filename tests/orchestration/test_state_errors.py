"""A command on a state folder that is read-only, full or locked ends with one line, whoever ran into it."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import psycopg2
import pytest
import sqlalchemy as sa

import orchestration.cli
from orchestration.dispatcher import Wait, next_step
from orchestration.instance import initialise
from orchestration.runs import VERSION_TAG, version_of
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import read_recipe
from stillhouse.records.builds import BuildStore
from tests.command import stillhouse
from tests.quick_dagster import lay_fresh_databases
from tests.small import small_recipe

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "/a/file/home"), "/a/file/home: cannot be used"),
        (OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "n" * 300), "cannot be used (File name too long"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "cannot be used"),
        (sqlite_error(sqlite3.SQLITE_BUSY).orig, "is locked by another process"),
        (UnicodeEncodeError("utf-8", "bad\udcff.csv", 3, 4, "surrogates not allowed"), "bad\\udcff.csv"),
        (psycopg2.OperationalError("connection refused"), "the database cannot be reached (connection refused)"),
    ],
)
def test_what_a_library_wraps_is_found_inside(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    def command() -> None:
        raise RuntimeError("as Dagster would say it") from error

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        orchestration.cli.main()
    said = capsys.readouterr().err
    assert (ended.value.code, says in said, len(said.splitlines())) == (2, True, 1)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, dg.DagsterExecutionInterruptedError])
def test_ctrl_c_is_one_plain_line_and_exit_code_130(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], interrupt: type[BaseException]
) -> None:
    def command() -> None:
        raise interrupt

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        orchestration.cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out, len(said.err.splitlines())) == (130, "", 1)
    assert said.err.startswith("ended by Ctrl-C")


def test_a_run_that_ctrl_c_ends_keeps_what_was_finished(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: Dagster took it for a step that failed, and the command told of gates that nobody had looked at."""
    small_recipe(tmp_path, rows=100)
    lay_fresh_databases(home)

    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr("stillhouse.stages.prompts.plan", interrupted)
    ended = stillhouse("run", "small", recipes=tmp_path / "recipes")
    assert ended.returncode == 130 and "not released" not in ended.stdout
    assert ended.stderr.startswith("ended by Ctrl-C") and len(ended.stderr.splitlines()) == 1
    kept = BuildStore(home).ledger.entries("small", "materialization")
    assert [entry.body["asset"] for entry in kept] == ["small/contract", "small/source[base]"]
    file = read_recipe(tmp_path / "recipes" / "small" / "defs.yaml")
    with initialise(home) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.CANCELED
        assert run.tags[VERSION_TAG] == version_of(file), "a stop of this recipe and this code"
        step = next_step(instance, BuildStore(home), file, ["base"])
    assert isinstance(step, Wait) and "was cancelled" in step.sentence, "no round asks for what a person has stopped"


def test_a_run_goes_on_when_nobody_reads_what_it_says(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `stillhouse run small | head` ended the run in the middle of a stage, and left it unfinished."""
    small_recipe(tmp_path, rows=100, teacher__training_on_outputs="unknown")
    lay_fresh_databases(home)
    command = [str(Path(sys.executable).with_name("stillhouse")), "run", "small"]
    environment = {**os.environ, "STILLHOUSE_RECIPES": str(tmp_path / "recipes")}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, ""), "as the round ended: closed at the contract"
    (entry,) = BuildStore(home).ledger.entries("small", "round")
    assert entry.body["ending"] == "closed" and entry.body["gate"].startswith("small/contract:")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_command_started_without_a_standard_stream_works(tmp_path: Path, home: Home, closed: tuple[int, ...]) -> None:
    """Regression: it ended with a traceback, and the next file that it opened had the number of standard output."""
    small_recipe(tmp_path, rows=50)
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = f'exec "{Path(sys.executable).with_name("stillhouse")}" list {redirections}'
    environment = {**os.environ, "STILLHOUSE_RECIPES": str(tmp_path / "recipes")}
    ended = subprocess.run(["sh", "-c", command], cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("small" in ended.stdout) is (1 not in closed)


@pytest.mark.parametrize("arguments", [["list"], ["check", "--json"]])
def test_output_to_a_full_disk_is_one_plain_line(tmp_path: Path, home: Home, arguments: list[str]) -> None:
    small_recipe(tmp_path, rows=50)
    command = [str(Path(sys.executable).with_name("stillhouse")), *arguments]
    environment = {**os.environ, "STILLHOUSE_RECIPES": str(tmp_path / "recipes")}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith("standard output: cannot be written (No space left on device)")


def test_a_full_disk_that_a_library_has_no_error_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise ValueError("something of a library's own")

    monkeypatch.setattr(orchestration.cli, "app", command)
    monkeypatch.setattr("stillhouse.files.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(SystemExit) as ended:
        orchestration.cli.main()
    assert ended.value.code == 2 and "no space left on the disk" in capsys.readouterr().err


def test_a_bug_beside_a_full_disk_keeps_its_traceback(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        try:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError:
            raise ValueError("a bug")  # noqa: B904

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(ValueError, match="a bug"):
        orchestration.cli.main()


def test_an_error_of_ours_keeps_its_traceback(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(orchestration.cli, "app", command)
    with pytest.raises(ValueError, match="a bug"):
        orchestration.cli.main()
