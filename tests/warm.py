"""Processes of their own for scripts that are killed or looked at from outside, without ten seconds of imports each.

Belongs here: a parent that has imported what the scripts need, and forks one process for each of them.
Does not: tests of starting up itself, which start an interpreter.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import NoReturn

from stillhouse.home import CHECKOUT

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG: whoever kills the tests leaves no parent behind."""


@dataclass(frozen=True)
class _Order:
    script: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    output: str


@dataclass
class Script:
    """A script that runs, and what it says."""

    pid: int
    output: Path
    _answers: Connection
    _code: int | None = field(default=None)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, if it has ended."""
        return self.wait() if self._code is not None or self._answers.poll() else None

    def wait(self) -> int:
        """Wait until it has ended and return the exit code, negative for a signal."""
        if self._code is None:
            self._code = int(self._answers.recv())
            self._answers.close()
        return self._code

    def send_signal(self, sign: signal.Signals) -> None:
        """Send a signal to it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sign)

    def said(self, stream: str) -> str:
        """What it has written to `stdout` or `stderr`."""
        return (self.output / stream).read_text()


@dataclass(frozen=True)
class WarmParent:
    """A process that waits for scripts to run."""

    folder: Path

    def start(self, script: str, *arguments: object) -> Script:
        """Run a script in a process of its own, in the environment of this moment, as `python -c` would."""
        output = Path(tempfile.mkdtemp(dir=self.folder))
        answers = Client(str(self.folder / "orders"))
        given = tuple(str(each) for each in arguments)
        answers.send(_Order(textwrap.dedent(script), given, dict(os.environ), str(output)))
        return Script(int(answers.recv()), output, answers)

    def run(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, however it ends."""
        started = self.start(script, *arguments)
        code = started.wait()
        return subprocess.CompletedProcess(script, code, started.said("stdout"), started.said("stderr"))


@contextmanager
def warm_parent(modules: Sequence[str]) -> Iterator[WarmParent]:
    """Start a parent that imports some modules first."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-warm-") as folder:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-m", "tests.warm", folder, *modules]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield WarmParent(Path(folder))
        finally:
            process.kill()
            process.wait()


def _serve(folder: str, modules: Sequence[str]) -> NoReturn:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    for name in modules:
        import_module(name)
    with Listener(f"{folder}/orders") as listener:
        print("ready", flush=True)
        while True:
            with listener.accept() as client:
                order = client.recv()
                if os.fork() == 0:
                    _wait_for_one(client, order)
            with suppress(ChildProcessError):  # there may be none
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass  # its CPU time counts as that of the tests


def _wait_for_one(client: Connection, order: _Order) -> NoReturn:
    script = os.fork()
    if script == 0:
        _become(order)
    client.send(script)
    client.send(os.waitstatus_to_exitcode(os.waitpid(script, 0)[1]))
    os._exit(0)


def _become(order: _Order) -> NoReturn:
    """Run the script as `python -c` does, and end as it does."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{order.output}/{name}", os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv = ["-c", *order.arguments]
    code = 0
    try:
        exec(compile(order.script, "<script>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    from tests.warm import _serve as serve  # orders are of this module, not of __main__

    serve(sys.argv[1], sys.argv[2:])
