"""`make bench-prompts`: a million rows through the stages `source` and `prompts`, with every gate, for real.

Each size runs in a process of its own, on a Dagster instance of its own, as a job would: both stages, their gates and
the Great Expectations suite in one run, on two cores. Writing the rows and freezing the contract come before and do not
count. Exit code 1 if a gate is closed or a limit is broken; the last line is JSON, of the largest run.

Belongs here: running, measuring, the limits.
Does not: the rows (questions.py).
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from stillhouse.progress import GateDecided, News, Step

SIZES = (10_000, 100_000, 1_000_000)
MOST_SECONDS = 300.0
MOST_GIGABYTES = 4.0
CORES = 2
_SHOWN_FROM = 0.5  # seconds that a part must take at some size to have a line of its own


def main(sizes: tuple[int, ...]) -> int:
    """Measure each size, show how time grows, and judge the largest."""
    runs = [_in_a_fresh_process(rows) for rows in sizes]
    print(_table(runs))
    largest = runs[-1]
    print(f"{largest['made']} of {largest['rows']:,} rows")
    closed = [f"{run['rows']:,} rows: {line}" for run in runs for line in run["closed"]]
    broken = [
        f"{largest[name]:.2f} {unit} are more than {limit:g}"
        for name, unit, limit in (("seconds", "s", MOST_SECONDS), ("peak_rss_gb", "GB", MOST_GIGABYTES))
        if largest[name] > limit
    ]
    for line in closed + broken:
        print(line)
    print(json.dumps({name: largest[name] for name in ("rows", "seconds", "peak_rss_gb")}))
    return 1 if closed or broken else 0


def _in_a_fresh_process(rows: int) -> dict[str, Any]:
    """Write the rows in one process and measure in another.

    Neither is this one: Linux counts the peak of the process that starts a child as the child's, so it stays small.
    """
    with tempfile.TemporaryDirectory() as folder:
        for step in ("write", "measure"):
            command = [sys.executable, "-m", "benchmarks.prompts", step, folder, str(rows)]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _write(folder: Path, rows: int) -> None:
    from benchmarks.questions import write_questions

    write_questions(folder / "questions.csv", rows, seed=rows)


def _measure(folder: Path, rows: int) -> None:
    """Run the stages in this process and print what was measured, as JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # before polars counts them
    from benchmarks.recipes import use_home

    use_home(folder / "home")
    from orchestration.batches import sync_batches
    from orchestration.instance import initialise
    from stillhouse.home import Home
    from stillhouse.progress import listening
    from stillhouse.records.builds import BuildStore
    from stillhouse.stages.names import CONTRACT, PROMPTS, SOURCE

    file = _recipe(folder)
    home = Home.from_environment()
    clock = _Clock()
    with initialise(home) as instance:
        sync_batches(instance, BuildStore(home), file)
        closed = _run(instance, file, CONTRACT)
        with listening(clock.note):
            start = clock.restart()
            closed += _run(instance, file, SOURCE, PROMPTS)
            seconds = time.perf_counter() - start
        made = _made(home, file)
    found = {
        "rows": rows,
        "seconds": round(seconds, 2),
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3),
        "parts": clock.parts | {"Dagster and the rest": seconds - sum(clock.parts.values())},
        "closed": closed,
        "made": made,
    }
    print(json.dumps(found))


class _Clock:
    """Gives the time between two reports of progress to the part that the later one reports."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = 0.0

    def restart(self) -> float:
        self._last = time.perf_counter()
        return self._last

    def note(self, news: News) -> None:
        before, now = self._last, self.restart()
        match news:
            case GateDecided(asset, gate):
                part = f"{asset}: {gate}"
            case Step(part, done, total) if done == total:  # the beginning of a stage is not what it did before
                pass
            case _:
                return
        self.parts[part] = self.parts.get(part, 0.0) + now - before


def _recipe(folder: Path) -> Any:
    from benchmarks.questions import CHANNELS
    from benchmarks.recipes import demo_recipe

    data = {
        "source": str(folder / "questions.csv"), "format": "csv", "encoding": "utf-8", "pattern": None,
        "hidden_label_share": 0.0, "licence": "made up",
    }  # fmt: skip
    slices = [{"name": name, "column": "channel", "values": [name], "critical": name == "web"} for name in CHANNELS]
    return demo_recipe(folder / "recipes", "million", {"data": data, "slices": slices, "behaviour": []})


def _run(instance: Any, file: Any, *stages: str) -> list[str]:
    """Run stages with their gates in this process and tell which gates are closed, and what else went wrong."""
    import dagster as dg

    from assets.keys import key_of
    from orchestration.build import definitions
    from orchestration.runs import QUIET
    from stillhouse.stages.names import BASE, BATCHED

    job = dg.define_asset_job("some", dg.AssetSelection.assets(*(key_of(file.name, stage) for stage in stages)))
    built = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[job]))
    result = built.resolve_job_def("some").execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config=QUIET,
        partition_key=None if {*stages}.isdisjoint(BATCHED) else BASE,
    )
    looked_at = result.get_asset_check_evaluations()
    closed = [
        f"{one.check_name}: {one.description}"
        for one in looked_at
        if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR
    ]
    failed = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    return closed + ([] if closed else failed) + ([] if looked_at else ["no gate was looked at"])


def _made(home: Any, file: Any) -> str:
    """Say what became of the rows, so that one sees that copies, near copies and personal data were there."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact
    from stillhouse.data.rejects import count_reasons
    from stillhouse.errors import StillhouseError
    from stillhouse.records.builds import BuildStore
    from stillhouse.stages.facts import PromptFacts
    from stillhouse.stages.names import BASE, PROMPTS

    try:
        artifact = newest_artifact(BuildStore(home), key_of(file.name, PROMPTS), BASE)
    except StillhouseError as error:
        return str(error)
    reasons, facts = count_reasons(artifact.frame("rejects")).rows(), artifact.facts(PromptFacts)
    counts = [("kept", facts.kept), *reasons, ("redacted", sum(facts.redacted.values()))]
    return ", ".join(f"{count:,} {what}" for what, count in counts)


def _table(runs: list[dict[str, Any]]) -> str:
    """Seconds by part and size, and the exponent by which each grows with the rows."""
    parts = {name: [run["parts"].get(name, 0.0) for run in runs] for name in runs[-1]["parts"]}
    shown = {name: seconds for name, seconds in parts.items() if max(seconds) >= _SHOWN_FROM}
    rest = [sum(seconds[i] for name, seconds in parts.items() if name not in shown) for i in range(len(runs))]
    lines = [f"{'seconds':60}" + "".join(f"{run['rows']:>12,}" for run in runs) + f"{'exponent':>12}"]
    total = [run["seconds"] for run in runs]
    for name, seconds in {**shown, "parts that take less": rest, "all": total}.items():
        lines.append(f"{name[:59]:60}" + "".join(f"{s:>12.1f}" for s in seconds) + f"{_growth(runs, seconds):>12}")
    lines.append(f"{'peak RSS, GB':60}" + "".join(f"{run['peak_rss_gb']:>12.2f}" for run in runs))
    steps = [_growth([one, other], [one["seconds"], other["seconds"]]) for one, other in pairwise(runs)]
    lines.append(f"exponent of all from size to size: {', '.join(steps)}")
    return "\n".join(lines)


def _growth(runs: list[dict[str, Any]], seconds: list[float]) -> str:
    if len(runs) < 2 or min(seconds[0], seconds[-1]) <= 0:
        return ""
    return f"{math.log(seconds[-1] / seconds[0]) / math.log(runs[-1]['rows'] / runs[0]['rows']):.2f}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder, rows]:
            _write(Path(folder), int(rows))
        case ["measure", folder, rows]:
            _measure(Path(folder), int(rows))
        case sizes:
            sys.exit(main(tuple(map(int, sizes)) or SIZES))
