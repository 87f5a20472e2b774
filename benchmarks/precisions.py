"""`make bench-precisions`: the demo's student of five layers in every precision, judged by the demo's golden rows.

`stillhouse run` makes everything in a home of its own, which is thrown away; a folder given as argument is used instead
and kept, with the report's page in it. The last line is JSON: the choice in words, and what the report says of each
precision. Exit code 1 if the run ends before a report.

Belongs here: the demo's recipe with one student in every precision.
Does not: what is measured (stillhouse/evaluation/).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.recipes import DEMO, demo_recipe, stillhouse, use_home
from stillhouse.recipe.fields import Precision
from stillhouse.wording import MEGABYTE

NAME = "in_each_precision"
IN_ORDER: tuple[Precision, ...] = ("fp32", "int8", "int4", "int8_static")
"""That of static ranges last: it is no smaller than int8, and what it costs must not stop int4."""


def main(home: Path) -> int:
    """Run the recipe with all state below `home`, and show what came out."""
    use_home(home)
    student = yaml.safe_load(DEMO.read_text("utf-8"))["attributes"]["students"][0]
    demo_recipe(home / "recipes", NAME, {"students": [{**student, "precisions": [*IN_ORDER]}]})
    os.environ["STILLHOUSE_RECIPES"] = str(home / "recipes")
    code = stillhouse("run", NAME).returncode
    said = stillhouse("report", NAME, "--json", stdout=subprocess.PIPE)
    if said.returncode or not said.stdout:
        return code or 1
    report = json.loads(said.stdout)
    print(f"{'':12}{'MB':>7}{'accuracy':>10}{'drop':>6}{'at most':>9}{'ms':>7}{'memory':>9}  does not hold")
    for each in report["precisions"]:
        measured = (each["accuracy"], 100 * each["drop"], 100 * each["drop_upper_bound"], each["cpu_ms"])
        print(
            f"{each['precision']:12}{each['size_bytes'] / MEGABYTE:>7.1f}"
            + "{:>10.1%}{:>6.1f}{:>9.1f}{:>7.2f}".format(*measured)
            + f"{each['memory_mb']:>6.0f} MB  {', '.join(each['does_not_hold']) or '-'}"
        )
    print(json.dumps({"reason": report["selection"]["reason"], "precisions": report["precisions"]}))
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1]).absolute()))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary) / "home"))
