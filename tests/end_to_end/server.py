"""A real `dagster dev` (webserver and daemon) on a recipe, in its own process group, and a client for its GraphQL."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assets.keys import key_of
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import RecipeFile
from tests.wire import free_port

LOCATION = "code_location.py"

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
FAILURES = """
query ($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection {
      events {
        ... on ExecutionStepFailureEvent {
          stepKey error { message causes { message } } failureMetadata { description }
        }
      }
    }
  }
}
"""
CHECKS = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetChecksOrError {
        ... on AssetChecks {
          checks { name blocking executionForLatestMaterialization { status evaluation { description } } }
        }
      }
    }
  }
}
"""
TICKS = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { ticks(limit: 20) { tickId status } } } }
}
"""
AUTOMATION = """
query ($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) { ... on Sensors { results { name sensorState { status } } } }
  schedulesOrError(repositorySelector: $repository) { ... on Schedules { results { name scheduleState { status } } } }
}
"""


@dataclass(frozen=True)
class Server:
    """A running webserver, and the group of processes that it is of: daemon, code servers and run workers."""

    url: str
    location: str = LOCATION
    group: int = 0

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send one GraphQL request."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    @property
    def repository(self) -> dict[str, str]:
        """How GraphQL names the code location."""
        return {"repositoryName": "__repository__", "repositoryLocationName": self.location}

    def kill(self) -> None:
        """Kill every process at once, as a power cut would."""
        os.killpg(self.group, signal.SIGKILL)

    def those_that_run(self, words: str) -> list[int]:
        """The processes whose command line holds these words, and no other."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if words in command and os.getpgid(int(process.name)) == self.group:
                    found.append(int(process.name))
        return found

    def materialize(self, recipe: str, *stages: str, batch: str | None = None) -> str:
        """Launch what the button "Materialize selected" launches, for one batch or none, and return the run's id."""
        keys = [{"path": key_of(recipe, stage).path} for stage in stages]
        selector = {**self.repository, "pipelineName": "__ASSET_JOB", "assetSelection": keys}
        selector["assetCheckSelection"] = None  # as the UI sends it: all checks of the selected assets
        tags = [{"key": "dagster/partition", "value": batch}] if batch else []
        execution = {"executionMetadata": {"tags": tags}, "mode": "default", "runConfigData": "{}"}
        answer = self.ask(LAUNCH, params={"selector": selector, **execution})
        launched = answer["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self, *, at_least: int = 0, seconds: float = 90) -> list[str]:
        """Ids of all runs, once there are so many."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [str(run["runId"]) for run in self.ask(RUNS)["runsOrError"]["results"]]
            if len(found) >= at_least:
                return found
            time.sleep(0.5)
        raise TimeoutError(f"there are not {at_least} runs after {seconds} s")

    def finished(self, run_id: str, seconds: float = 240) -> str:
        """Wait for a run and return its status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = str(self.ask(RUN, id=run_id)["runOrError"]["status"])
            if status in ("SUCCESS", "FAILURE", "CANCELED"):
                return status
            time.sleep(0.5)
        raise TimeoutError(f"run {run_id} did not finish in {seconds} s")

    def ticks(self, sensor: str) -> dict[int, str]:
        """Status of each of the newest ticks of a sensor, by its id, which grows."""
        answer = self.ask(TICKS, sensor={**self.repository, "sensorName": sensor})
        return {int(tick["tickId"]): str(tick["status"]) for tick in answer["sensorOrError"]["sensorState"]["ticks"]}

    def two_more_ticks(self, sensor: str, seconds: float = 90) -> None:
        """Wait until a sensor has begun and ended two more ticks."""
        last, deadline = max(self.ticks(sensor)), time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = [tick for tick, status in self.ticks(sensor).items() if tick > last and status != "STARTED"]
            if len(ended) >= 2:
                return
            time.sleep(0.5)
        raise TimeoutError(f"{sensor} had no two more ticks in {seconds} s")

    def failures(self, run_id: str) -> list[str]:
        """What the failed steps of a run say."""
        events = self.ask(FAILURES, id=run_id)["logsForRun"]["events"]
        return [json.dumps(event) for event in events if event]

    def checks(self, recipe: str, stage: str) -> dict[str, tuple[str, str]]:
        """Status and sentence of each check on the newest materialization of an asset."""
        node = self.ask(CHECKS, key={"path": key_of(recipe, stage).path})["assetNodeOrError"]
        found = {}
        for check in node["assetChecksOrError"]["checks"]:
            execution = check["executionForLatestMaterialization"]
            evaluation = (execution or {}).get("evaluation") or {}
            found[check["name"]] = (
                execution["status"] if execution else "MISSING",
                evaluation.get("description") or "",
            )
        return found


@contextmanager
def dagster_dev(folder: Path, file: RecipeFile, home: Home, *, first: str = "") -> Iterator[Server]:
    """Serve a recipe, and end every process of the server afterwards.

    Args:
        folder: where the code location and the log are.
        file: the recipe.
        home: of the installation.
        first: lines of Python that the code location begins with.
    """
    location = folder / LOCATION
    location.write_text(
        f"{first}from pathlib import Path\n"
        "from orchestration.build import definitions\n"
        "from stillhouse.recipe.reading import read_recipe\n"
        f"defs = definitions([read_recipe(Path({str(file.path)!r}))])\n"
    )
    port = free_port()
    environment = {
        **os.environ, "STILLHOUSE_HOME": str(home.root), "DAGSTER_HOME": str(home.dagster), "PYTHONPATH": str(CHECKOUT),
    }  # fmt: skip
    log = (folder / "dagster_dev.log").open("w")
    command = [sys.executable, "-m", "dagster", "dev", "-f", LOCATION, "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    server = Server(f"http://127.0.0.1:{port}", group=process.pid)
    try:
        _wait_until_loaded(server, process, folder)
        yield server
    finally:
        # The whole group: ending the parent alone would leave webserver and daemon behind.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


@dataclass(frozen=True)
class GuardedServer(Server):
    """`stillhouse ui`, and its process."""

    process: subprocess.Popen[bytes] = field(kw_only=True)
    log: Path = field(kw_only=True)
    home: Home = field(kw_only=True)

    def processes(self) -> set[int]:
        """Every living process of this installation: those that have its home in their environment."""
        mark, found = f"STILLHOUSE_HOME={self.home.root}\0".encode(), set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                if mark in (process / "environ").read_bytes():
                    found.add(int(process.name))
        return found - {os.getpid()}

    def end(self, sign: signal.Signals, seconds: float = 40) -> int:
        """Send a signal to `stillhouse ui` alone, wait until nothing of it is left, and return its exit code."""
        self.process.send_signal(sign)
        code = self.process.wait(seconds)
        deadline = time.monotonic() + seconds
        while left := self.processes():
            assert time.monotonic() < deadline, [Path(f"/proc/{each}/cmdline").read_bytes() for each in left]
            time.sleep(0.2)
        return code


@contextmanager
def stillhouse_ui(
    folder: Path, file: RecipeFile, home: Home, *options: str, **environment: str
) -> Iterator[GuardedServer]:
    """Serve a recipe by `stillhouse ui`, as a person does, and leave no process of it behind."""
    log = folder / "stillhouse_ui.log"
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", "ui", "--port", "0", *options]
    environment = {
        **os.environ, "STILLHOUSE_HOME": str(home.root), "STILLHOUSE_RECIPES": str(file.path.parents[1]),
        "PYTHONPATH": str(CHECKOUT), **environment,
    }  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = GuardedServer("", "stillhouse", process=process, log=log, home=home)
    try:
        deadline = time.monotonic() + 120
        while (address := re.search(r"http://\S+?(?=[/\s])", log.read_text())) is None:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield replace(server, url=address[0])
    finally:
        server.end(signal.SIGTERM)


def _wait_until_loaded(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "dagster_dev.log").read_text()[-3000:]
        try:
            server.ask("{ version }")
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError((folder / "dagster_dev.log").read_text()[-3000:])
