"""`make bench-clinc150`: the whole way on 22,500 requests of 150 intents, from rows to a released student.

The rows are CLINC150's (Larson et al., EMNLP 2019, CC BY 3.0), which are no part of the project: they are read from
`../shared/data/clinc150` beside the checkout, or from the folder that CLINC150 names. Training, validation and test
rows are put together and split anew by the recipe, which is clinc150.yaml; its ten slices are CLINC150's domains.

`stillhouse run` makes everything in a home of its own, which is thrown away; a folder given as argument is used instead
and kept, with the report's page in it. Exit code 1 if no student is released; the last line is JSON, the whole of
`stillhouse report clinc150 --json`.

Belongs here: making the rows, running, showing the models side by side.
Does not: the recipe (clinc150.yaml), what is measured (stillhouse/evaluation/).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.recipes import recipe_like, stillhouse, use_home
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT

if TYPE_CHECKING:
    from stillhouse.evaluation.slices.declared import SliceResult

NAME = "clinc150"
RECIPE = Path(__file__).with_name("clinc150.yaml")
SOURCE = Path(os.environ.get("CLINC150", CHECKOUT.parent / "shared" / "data" / "clinc150"))
PARTS = ("train", "val", "test")  # the in-scope ones


def main(home: Path) -> int:
    """Run the recipe with all state below `home`, and show what came out."""
    home.mkdir(parents=True, exist_ok=True)
    rows = home / "clinc150.csv"
    write_rows(SOURCE, rows)
    use_home(home)
    recipe_like(RECIPE, home / "recipes", NAME, {"data": {"source": str(rows)}})
    os.environ["STILLHOUSE_RECIPES"] = str(home / "recipes")
    start = time.perf_counter()
    code = stillhouse("run", NAME).returncode
    seconds = time.perf_counter() - start
    report = stillhouse("report", NAME, "--json", stdout=subprocess.PIPE)
    if not report.stdout:
        return code or 1
    print(_models())
    print(f"{seconds:.0f} s on {os.cpu_count()} cores")
    print(json.dumps(json.loads(report.stdout)))
    return code


def write_rows(source: Path, path: Path) -> None:
    """Write CLINC150's in-scope rows as a csv with columns text, intent and domain.

    Args:
        source: folder with `data_full.json` and `domains.json`.
        path: the csv to write.

    Raises:
        StillhouseError: if the folder does not hold the data.
    """
    parts, domains = (source / name for name in ("data_full.json", "domains.json"))
    for file in (parts, domains):
        if not file.is_file():
            raise StillhouseError(
                "CLINC150 is not there",
                where=str(file),
                expected="data_full.json and domains.json of https://github.com/clinc/oos-eval",
                do="Put them there, or name their folder: make bench-clinc150 CLINC150=FOLDER.",
            )
    domain = {intent: name for name, intents in json.loads(domains.read_text("utf-8")).items() for intent in intents}
    told = json.loads(parts.read_text("utf-8"))
    rows = [(text, intent, domain[intent]) for part in PARTS for text, intent in told[part]]
    pl.DataFrame(rows, schema=["text", "intent", "domain"], orient="row").write_csv(path)


def _models() -> str:
    """Every model that was judged, and every student on every domain, as two tables; drops in points."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact
    from stillhouse.evaluation.harness import read_evaluations
    from stillhouse.evaluation.models import ModelKind
    from stillhouse.home import Home
    from stillhouse.records.builds import BuildStore
    from stillhouse.stages.names import BASELINES, EVALUATION
    from stillhouse.wording import MEGABYTE, times

    builds = BuildStore(Home.from_environment())
    students, baselines = (
        read_evaluations(newest_artifact(builds, key_of(NAME, stage)).folder) for stage in (EVALUATION, BASELINES)
    )
    teacher = students[0].teacher
    lines = [f"{'':30}{'accuracy':>9}{'drop':>7}{'at most':>9}{'MB':>7}{'smaller':>9}{'faster':>9}  verdict"]
    lines.append(f"{'teacher':30}{teacher.accuracy:>9.1%}{'':16}{(teacher.size_bytes or 0) / MEGABYTE:>7.1f}")
    for each in sorted(students + baselines, key=lambda one: -one.score.accuracy):
        test, ratios = each.non_inferiority, (each.size_ratio, each.latency_ratio)
        verdict = "control" if each.score.kind is ModelKind.CONTROL else each.verdict
        lines.append(
            f"{each.name:30}{each.score.accuracy:>9.1%}{100 * test.drop:>7.1f}{100 * test.drop_upper_bound:>9.1f}"
            f"{(each.score.size_bytes or 0) / MEGABYTE:>7.1f}"
            + "".join(f"{times(r):>9}" for r in ratios)
            + f"  {verdict}"
        )
    learners = [each for each in students if each.score.kind is ModelKind.STUDENT]
    lines += ["", f"{'drop, at most, verdict':36}" + "".join(f"{each.name:>26}" for each in learners)]
    for same in zip(*(each.slices for each in learners), strict=True):
        critical = ", critical" if same[0].critical else ""
        lines.append(f"{f'{same[0].name}, {same[0].rows} rows{critical}':36}" + "".join(map(_slice, same)))
    return "\n".join(lines)


def _slice(result: "SliceResult") -> str:
    test = result.non_inferiority
    bounded = f"{100 * test.drop:.1f}{100 * test.drop_upper_bound:>5.1f}" if test else "no rows"
    return f"{bounded:>13} {result.verdict!s:>12}"


if __name__ == "__main__":
    try:
        if sys.argv[1:]:
            sys.exit(main(Path(sys.argv[1]).absolute()))
        with tempfile.TemporaryDirectory() as temporary:
            sys.exit(main(Path(temporary)))
    except StillhouseError as error:
        sys.exit(str(error))
