"""`stillhouse serve` in a process of its own, on a free port of this machine, and what it was heard to say."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from stillhouse.home import CHECKOUT


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    port: int
    errors: Path

    def connect(self) -> HTTPConnection:
        """A connection that is kept open."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, recipe: str, **body: Any) -> dict[str, Any]:
        """One request on a connection of its own."""
        return ask(self.connect(), recipe, **body)[1]

    def tell(self, recipe: str, **truth: Any) -> int:
        """Send feedback, and the status of the response."""
        connection = self.connect()
        headers = {"content-type": "application/json"}
        connection.request("POST", f"/v1/{recipe}/feedback", json.dumps(truth).encode(), headers)
        return connection.getresponse().status

    def kill(self) -> None:
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


def ask(connection: HTTPConnection, recipe: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of one request."""
    headers = {"content-type": "application/json"}
    connection.request("POST", f"/v1/{recipe}/predict", json.dumps(body).encode(), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@contextmanager
def serving(recipe: str, recipes: Path, errors: Path, *options: str, **environment: str) -> Iterator[Running]:
    """Serve a recipe until the block ends; standard error goes to a file."""
    command = [str(Path(sys.executable).with_name("stillhouse")), "serve", recipe, "--port", "0", *options]
    variables = {**os.environ, "STILLHOUSE_RECIPES": str(recipes), **environment}
    with (
        errors.open("a") as said,
        subprocess.Popen(
            command, cwd=CHECKOUT, env=variables, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            heard = []
            for line in process.stdout:  # it ends where the process does
                heard.append(line)
                if line.startswith("http://"):
                    yield Running(process, int(line.rpartition(":")[2]), errors)
                    return
            raise AssertionError(f"it ended: {heard} {errors.read_text()[-2000:]}")
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(40)
