"""A way to a server of this machine that can be cut and made whole again, as a network is.

Belongs here: carrying bytes between a port of this machine and a server, or not.
Does not: the servers (postgres.py, s3.py).
"""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PIECE = 1 << 16


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def until_it_listens(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until a process listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.05)


class Wire:
    """A port of this machine from which bytes go to a server, as long as it is not cut.

    Args:
        server: its port on this machine, or the path of its socket.
    """

    def __init__(self, server: int | Path) -> None:
        self._server = server
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()

    def join(self) -> None:
        """Carry from now on."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        with self._lock:
            ends, self._ends = self._ends, []
            for each in [*ends, *([listener] if listener else [])]:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # it was cut
                return
            try:
                far = self._connected()
            except OSError:  # the server is gone
                near.close()
                continue
            with self._lock:
                if self._listener is not listener:
                    near.close()
                    far.close()
                    return
                self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=(source, target), daemon=True).start()

    def _connected(self) -> socket.socket:
        if isinstance(self._server, int):
            return socket.create_connection(("127.0.0.1", self._server))
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self._server))
        return far


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(server: int | Path) -> Iterator[Wire]:
    """A way that is whole, and gone afterwards."""
    made = Wire(server)
    made.join()
    try:
        yield made
    finally:
        made.cut()
