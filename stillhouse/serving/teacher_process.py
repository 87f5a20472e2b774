"""A teacher of this machine in a process of its own, so that a server never loads torch.

Belongs here: the process, from its start to the end of its input, and the client of it.
Does not: when it is asked, and for how long (teacher.py).

One line of JSON for a text and one for its answer, by number. The process ends with its input, and so with the server
however that ends.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

LOG = logging.getLogger("stillhouse.serving")
_READY = "ready"
TRY_AGAIN_SECONDS = 5.0
"""After a start that came to nothing."""


class EndedError(Exception):
    """The process has ended before it answered."""


class TeacherProcess:
    """Asks a teacher in a process of its own, which begins when it is first asked.

    Args:
        folder: opens the folder of the model, whose bytes are verified; called in a thread.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._lock, self._writing = threading.Lock(), threading.Lock()  # the first is never held for long
        self._waiting: dict[int, Future[list[float]]] = {}
        self._number = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._runner: threading.Thread | None = None
        self._is_ready = self._is_closed = False
        self._not_before = 0.0

    def is_ready(self) -> bool:
        """Whether it can be asked; where it is not there yet, it is started."""
        with self._lock:
            if not self._is_closed and self._runner is None and time.monotonic() >= self._not_before:
                self._runner = threading.Thread(target=self._run, name="teacher", daemon=True)
                self._runner.start()
            return self._is_ready

    @property
    def running(self) -> int | None:
        """The number of the process; None where there is none."""
        process = self._process
        return None if process is None else process.pid

    def ask(self, text: str, seconds: float) -> list[float]:
        """The logits of a text.

        Raises:
            TimeoutError: if they are not there in time.
            EndedError: if the process has ended.
        """
        answer: Future[list[float]] = Future()
        with self._lock:
            process = self._process
            if not self._is_ready or process is None or process.stdin is None:
                raise EndedError
            self._number += 1
            number = self._number
            self._waiting[number] = answer
        try:
            with self._writing:
                process.stdin.write(json.dumps([number, text]).encode() + b"\n")
                process.stdin.flush()
            return answer.result(timeout=seconds)
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:  # what is written to is broken, or closed
            raise EndedError from error
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._is_closed = True
            process, runner = self._process, self._runner
        if process is not None:
            process.kill()
        if runner is not None:
            runner.join(timeout=10)

    def _run(self) -> None:
        """Start the process, and hand out what it says until it ends."""
        try:
            command = [sys.executable, "-m", __name__, str(self._folder())]
            # In a session of its own, since Ctrl-C is for the server, which answers what is under way first.
            self._hand_out(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            )
        except Exception as error:  # whatever it is, the student answers, and the next text tries again
            LOG.error("the teacher cannot be started (%s)", type(error).__name__)
        finally:
            with self._lock:
                if not self._is_ready:
                    self._not_before = time.monotonic() + TRY_AGAIN_SECONDS
                self._is_ready, self._process, self._runner = False, None, None
                left, self._waiting = list(self._waiting.values()), {}
            for each in left:
                each.set_exception(EndedError())

    def _hand_out(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with self._lock:
            self._process = process
            if self._is_closed:
                process.kill()
        with process:
            try:
                for line in process.stdout:
                    self._heard(json.loads(line))
            finally:
                process.kill()
        with self._lock:
            was_closed = self._is_closed
        if not was_closed:  # else it was ended here, as each time that a server stops
            LOG.error("the teacher's process has ended with code %s", process.returncode)

    def _heard(self, said: Any) -> None:
        with self._lock:
            if said == _READY:
                self._is_ready = True
                return
            answer = self._waiting.pop(said[0], None)
        if answer is not None:
            answer.set_result(said[1])


def main(folder: Path) -> None:
    """Answer texts from standard input until it ends."""
    import torch

    from stillhouse.models.predictor import TorchClassifier

    torch.set_num_threads(1)  # the server beside it has the other cores
    model = TorchClassifier(folder)
    _say(_READY)
    for line in sys.stdin.buffer:
        number, text = json.loads(line)
        _say([number, model.logits([text])[0].tolist()])


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
