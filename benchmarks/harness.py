"""`make bench-harness`: the golden harness on a hundred thousand rows, with a metric that has to be resampled.

One call of `evaluate`, as a candidate gets it: 100,000 golden rows of 20 classes, 50 critical slices, a bar on macro F1
with 2,000 resamples; once with rows that stand alone and once with rows in 20,000 groups. Each runs in a process of
its own on two cores; making the rows comes before and does not count for the time, but does for the memory. Exit code 1
if a limit is broken; the last line is JSON, of the rows that stand alone.

Belongs here: the made-up answers, measuring, the limits.
Does not: whether the bounds are right (tests/stillhouse/evaluation/).
"""

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

ROWS = 100_000
CLASSES = 20
SLICES = 50
GROUPS = 20_000
MOST_SECONDS = 30.0
MOST_GIGABYTES = 2.0
CORES = 2


def main(rows: int) -> int:
    """Measure both kinds of rows and judge them."""
    runs = {kind: _in_a_fresh_process(kind, rows) for kind in ("alone", "grouped")}
    broken = []
    for kind, run in runs.items():
        print(f"rows {kind}: {run['seconds']:.2f} s, {run['peak_rss_gb']:.2f} GB; {run.pop('claim')}")
        broken += [
            f"rows {kind}: {run[name]:.2f} {unit} are more than {limit:g}"
            for name, unit, limit in (("seconds", "s", MOST_SECONDS), ("peak_rss_gb", "GB", MOST_GIGABYTES))
            if run[name] > limit
        ]
    for line in broken:
        print(line)
    print(json.dumps(runs["alone"]))
    return 1 if broken else 0


def _in_a_fresh_process(kind: str, rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.harness", kind, str(rows)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _measure(kind: str, rows: int) -> None:
    """Evaluate one made-up student in this process and print what was measured, as JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # before polars counts them
    import numpy as np
    import polars as pl

    from stillhouse.evaluation.harness import evaluate
    from stillhouse.evaluation.models import EvaluatedModel, ModelKind
    from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
    from stillhouse.tasks.single_label import SingleLabel

    generator = np.random.default_rng(0)
    labels = generator.integers(CLASSES, size=rows)
    ids = [f"{row:032x}" for row in range(rows)]
    classes = tuple(f"class {index:02}" for index in range(CLASSES))
    golden = pl.DataFrame(
        {
            "prompt_id": ids,
            "text": [f"question {row}" for row in range(rows)],
            "label": [classes[index] for index in labels],
            "part": [f"part {row % SLICES}" for row in range(rows)],
            "customer": [f"customer {index}" for index in generator.integers(GROUPS, size=rows)],
        }
    )

    def answers(name: str, kind: ModelKind, sure: float, size_bytes: int) -> EvaluatedModel:
        logits = generator.normal(size=(rows, CLASSES)).astype(np.float32)
        logits[np.arange(rows), labels] += sure
        outputs = pl.DataFrame({"prompt_id": ids, "logits": pl.Series(logits).cast(pl.List(pl.Float32))})
        return EvaluatedModel(name, kind, outputs, size_bytes)

    teacher = answers("teacher", ModelKind.TEACHER, 4.0, 400_000_000)
    student = answers("student", ModelKind.STUDENT, 3.9, 10_000_000)
    slices = tuple(
        SliceSpec(name=f"part {index}", column="part", values=(f"part {index}",), critical=True)
        for index in range(SLICES)
    )
    terms = Terms(
        bar=BarSpec(metric="macro_f1", margin=0.03),
        budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8),
        slices=slices,
    )
    start = time.process_time()  # of this process alone: the limit is none of other work on the machine
    result = evaluate(
        student,
        teacher,
        golden,
        terms,
        task=SingleLabel(tuple(classes)),
        groups="customer" if kind == "grouped" else None,
    )
    seconds = time.process_time() - start
    assert result.metric_test is not None
    found = {
        "golden_rows": result.golden_rows,
        "slices": len(result.slices),
        "draws": result.metric_test.draws,
        "seconds": round(seconds, 2),
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3),
        "claim": result.claims[0].sentence,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [kind, rows]:
            _measure(kind, int(rows))
        case rows:
            sys.exit(main(int(rows[0]) if rows else ROWS))
