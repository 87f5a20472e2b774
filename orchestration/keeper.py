"""Keep a command only as long as whoever started it lives.

Belongs here: ending the command and every process that it started, also when the starter was killed.
Does not: what the command is (services.py). Run as `python -m orchestration.keeper COMMAND...`, with a pipe as standard
input that the starter holds open: its end, by close or by kill -9, is the sign. Imports little, so that it starts fast.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

LEADER_SECONDS, GROUP_SECONDS = 5.0, 10.0
"""How long the command may take to end its own, and then everybody to end by themselves, before they are killed."""


def main() -> int:
    """Run the command until it ends or standard input does; nothing of it is left afterwards."""
    # Only the end of the pipe counts: a signal to all in the terminal must not leave the command without a keeper.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    released = threading.Event()
    threading.Thread(target=_wait_for_release, args=(released,), daemon=True).start()
    while command.poll() is None and not released.wait(0.2):
        pass
    command.terminate()
    with suppress(subprocess.TimeoutExpired):  # then it is ended with the others
        command.wait(LEADER_SECONDS)
    _end_group(command)
    return command.wait()


def _wait_for_release(released: threading.Event) -> None:
    sys.stdin.buffer.read()
    released.set()


def _end_group(command: subprocess.Popen[bytes]) -> None:
    """Ask every process of the command's group to end, and kill those that do not."""
    deadline = time.monotonic() + GROUP_SECONDS
    try:
        os.killpg(command.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            command.poll()
            os.killpg(command.pid, 0)
            time.sleep(0.1)
        os.killpg(command.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the group is empty


if __name__ == "__main__":
    sys.exit(main())
