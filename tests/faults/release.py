"""Faults of the release and the champion, in a copy of a finished installation.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.governance import Waiver, waive
from stillhouse.records.promotion import hold
from stillhouse.stages.names import CONTRACT, RELEASE, SELECTION
from tests.conftest import RULES
from tests.faults.bench import NAME, Bench, Plant
from tests.faults.contract_and_source import HIGH_STAKES, signed_off
from tests.faults.evaluation import control_chosen
from tests.faults.plants import (
    NOBODY,
    leaves_a_pickle,
    patched,
)


def bundle_with(edit: Callable[[Path], None]) -> Plant:
    """Something happens to the bundle after it was written."""

    def put(real: Any) -> Any:
        def write(folder: Path, record: Any, **parts: Any) -> None:
            real(folder, record, **parts)
            edit(folder)

        return write

    return patched("stillhouse.stages.release:write_bundle", put)


def rewrites_the_report(folder: Path) -> None:
    (folder / "report.json").write_text("{}")


def renames_the_labels(real: Any) -> Any:
    def write(folder: Path, record: Any, *, model: Path, **parts: Any) -> None:
        other = folder.with_name(f"{folder.name}-other")
        shutil.copytree(model, other, copy_function=shutil.copyfile)
        config = json.loads((other / "config.json").read_text())
        config["id2label"] = {place: f"class {place}" for place in config["id2label"]}
        (other / "config.json").write_text(json.dumps(config))
        real(folder, record, model=other, **parts)
        shutil.rmtree(other)

    return write


def of_other_parents(real: Any) -> Any:
    return lambda **about: real(**{**about, "teacher": NOBODY})


def signed_off_for_training(bench: Bench) -> RecipeFile:
    """A recipe whose stakes are high, with everything before its release as it should be."""
    bench.run(bench.recipe(**HIGH_STAKES), CONTRACT)
    signed_off(bench)
    return bench.up_to(RELEASE, **HIGH_STAKES)


def approved_by_its_author(bench: Bench) -> RecipeFile:
    """Past the command line, which refuses it: straight into the ledger."""
    file = signed_off_for_training(bench)
    bench.run(file, RELEASE)
    release = bench.newest(RELEASE).digest
    body = {"release": release, "by": "grace@example.com", "reason": "I wrote it, so it is good."}
    bench.place.builds.ledger.append("approval", NAME, body)
    return file


def let_be(bench: Bench, stage: str, *gates: str) -> None:
    """Waive some gates of a stage."""
    for gate in gates:
        until = datetime.now(UTC).date() + timedelta(days=9)
        reason = "To see what it does in the shadow."
        waiver = Waiver(f"{NAME}/{stage}:{gate}", "Ada", reason, until, bench.newest(stage).digest)
        waive(bench.place.builds.ledger, NAME, waiver, RULES)


def broken_and_waived(bench: Bench) -> RecipeFile:
    with bench.building_again():
        file = bundle_with(leaves_a_pickle)(bench)
        bench.run(file, RELEASE)
    let_be(bench, RELEASE, "the_bundle_is_whole")
    return file


def waived_and_not_listed(bench: Bench) -> RecipeFile:
    """The control is released on two waivers, and the bundle does not say so."""
    with bench.building_again():
        file = control_chosen(bench)
        bench.run(file, SELECTION)
    let_be(
        bench, SELECTION, "a_student_clears_the_bar", "the_chosen_student_is_no_control",
        "the_challenger_is_not_worse_than_the_champion",
    )  # fmt: skip
    bench.patch("stillhouse.stages.release:_waived", lambda real: lambda *about: ())
    return file


def promoted_by_hand(bench: Bench) -> RecipeFile:
    body = {"digest": NOBODY, "manifest": NOBODY, "student": "one", "before": None}
    bench.place.builds.ledger.append("promotion", NAME, body)
    return bench.recipe()


def withdrawn(bench: Bench) -> RecipeFile:
    release = bench.newest(RELEASE)
    body = {
        "release": release.digest,
        "export": release.manifest.facts["export"],
        "by": "Ada",
        "reason": "It is rude to callers.",
    }
    bench.place.builds.ledger.append("withdrawal", NAME, body)
    return bench.recipe()


def held(bench: Bench) -> RecipeFile:
    """Another release serves, and a person wants it to."""
    serves = {"digest": NOBODY, "manifest": NOBODY, "student": "one", "before": None}
    ledger = bench.place.builds.ledger
    ledger.append("promotion", NAME, serves)
    hold(ledger, NAME, by="Ada", reason="The month is being closed.")
    return bench.recipe()
