"""An S3 API on this machine for tests: moto's server, in a process of its own, which keeps its objects in memory.

Belongs here: starting and stopping it, and the variables by which every process finds it.
Does not: what is kept in it.
"""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.wire import free_port, until_it_listens

BUCKET = "stillhouse-tests"
IS_INSTALLED = all(find_spec(name) for name in ("flask", "moto", "s3fs"))


@dataclass(frozen=True)
class S3:
    """A server with one empty bucket."""

    port: int

    def variables(self, port: int | None = None) -> dict[str, str]:
        """What a process has to have in its environment, to reach it at its own port or by another way."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Start a server, whose log goes into a folder, and end it afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        (folder / "s3.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ}) as server,
    ):
        try:
            until_it_listens(port, server)
            made = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
            urllib.request.urlopen(made, timeout=60).close()
            yield S3(port)
        finally:
            server.kill()
