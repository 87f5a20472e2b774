"""`diagnose` names what is wrong first, in the words of what went wrong; the checklist has every gate once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest
import time_machine

import checks.contract
from assets.keys import key_of
from assets.materializations import newest_artifact
from assets.recipe_assets import assets_of
from checks.stages import gates_of
from orchestration.diagnosis import checklist, diagnose
from orchestration.runs import RECIPE_TAG
from stillhouse.recipe.reading import RecipeFile
from tests.command import stillhouse as command
from tests.conftest import Place, a_place
from tests.small import questions, small_recipe

KEYS = {
    "recipe",
    "stage",
    "asset",
    "gate",
    "state",
    "because",
    "what",
    "evidence",
    "do",
    "dagster",
    "drop_folder",
    "given_up",
    "beside",
    "clock",
    "live",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("diagnosis")) as place:
        yield place


def recipe(place: Place, name: str, rows: pl.DataFrame | None, **changes: Any) -> RecipeFile:
    """A recipe of this name on these rows, or on a file that is not there."""
    data = place.folder / f"{name}.csv"
    if rows is not None:
        rows.write_csv(data)
    return small_recipe(place.folder, name=name, data__source=str(data), **{"slices": [], **changes})


def found(place: Place, file: RecipeFile) -> dict[str, Any]:
    said = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert said.keys() == KEYS and said["recipe"] == file.name
    return said


def test_of_a_recipe_that_was_never_run_the_contract_is_missing(place: Place) -> None:
    said = found(place, recipe(place, "never", questions(50)))
    assert (said["stage"], said["asset"], said["gate"], said["state"]) == (
        "contract",
        "never/contract",
        None,
        "missing",
    )
    assert said["what"] == "never/contract was never materialized"
    assert said["do"] == "materialize it: `stillhouse run never`"


def test_a_clock_that_is_behind_the_ledger_is_said(place: Place) -> None:
    file = recipe(place, "late", questions(50))
    place.builds.ledger.append("reopening", "late", {})
    assert found(place, file)["clock"] is None
    with time_machine.travel(datetime.now(UTC) - timedelta(days=400), tick=True):
        said = found(place, file)["clock"]
        assert " after this machine's clock" in said
        for asked in ("diagnose", "status"):
            assert "days after this machine's clock" in command(asked, "late", recipes=place.folder / "recipes").stdout


def test_a_failed_gate_is_named_with_its_evidence_and_how_to_waive_it(place: Place) -> None:
    empty = {"name": "nobody", "column": "kind", "values": ["NO:such"], "critical": True}
    file = recipe(place, "empty", questions(200), slices=[empty])
    place.run(file, "contract", "source", "prompts")
    said = found(place, file)
    assert (said["stage"], said["asset"], said["state"]) == ("prompts", "empty/prompts[base]", "failed")
    assert said["gate"] == "every_slice_has_golden_rows" and said["what"] == "empty: nobody"
    assert said["because"].startswith("a slice without rows cannot be judged")
    assert any("| nobody | 0 |" in line for line in said["evidence"])
    assert not any(line.startswith(("state:", "because:", "looked_at:")) for line in said["evidence"])
    assert said["do"] == (
        "fix the cause and `stillhouse run empty`; or `stillhouse waive "
        "'empty/prompts[base]:every_slice_has_golden_rows' --by NAME --reason WHY --until YYYY-MM-DD`"
    )


def test_a_gate_that_nobody_can_waive_is_not_offered_for_waiving(place: Place) -> None:
    file = recipe(place, "terms", questions(50), teacher__training_on_outputs="unknown")
    place.run(file, "contract")
    said = found(place, file)
    assert said["gate"] == "terms_allow_training_on_outputs" and said["state"] == "failed"
    assert said["do"] == "fix the cause and `stillhouse run terms`; nobody can waive this one"


def test_where_there_is_no_need_to_distil_it_says_to_stop(place: Place) -> None:
    file = recipe(place, "no_need", questions(50), pain=[])
    place.run(file, "contract")
    said = found(place, file)
    assert said["gate"] == "a_pain_is_declared" and said["do"].startswith(
        "keep the teacher and stop, which is a result"
    )


def test_a_source_that_is_gone_is_said_in_the_words_of_the_step(place: Place) -> None:
    file = recipe(place, "gone", None)
    place.run(file, "contract", "source")
    said = found(place, file)
    assert (said["stage"], said["asset"], said["gate"], said["state"]) == (
        "source",
        "gone/source[base]",
        None,
        "missing",
    )
    assert "gone.csv: no such file; expected a file with rows" in said["what"]
    assert said["do"] == "fix that and run again"


@pytest.mark.parametrize("tags", [{RECIPE_TAG: "another.traffic"}, {}], ids=["of another recipe", "of picked assets"])
def test_what_failed_is_said_however_many_runs_of_others_came_after_it(place: Place, tags: dict[str, str]) -> None:
    """Regression: after a day of another recipe's hourly report a stage that had failed was never materialized."""
    file = recipe(place, "gone", None)
    place.run(file, "contract", "source")
    later_runs(place, tags)
    assert "gone.csv: no such file" in found(place, file)["what"]


def later_runs(place: Place, tags: dict[str, str]) -> None:
    @dg.job
    def empty() -> None: ...

    for _ in range(25):
        place.instance.create_run_for_job(empty, tags={**tags, "dagster/partition": "base"})


def test_an_attempt_that_failed_after_one_that_did_not_is_said(place: Place) -> None:
    file = recipe(place, "went", questions(50))
    place.run(file, "contract", "source")
    (place.folder / "went.csv").unlink()
    place.run(file, "source")
    said = found(place, file)
    assert (said["stage"], said["gate"], said["state"]) == ("source", None, "failed")
    assert said["because"] == "what is there now is older than the last attempt"
    assert "went.csv: no such file" in said["what"]

    questions(50).write_csv(place.folder / "went.csv")
    place.run(file, "source")
    assert found(place, file)["stage"] == "prompts", "it has succeeded since"


def test_a_file_that_was_altered_since_its_gates_were_passed_is_said(place: Place) -> None:
    file = recipe(place, "rotten", questions(50))
    place.run(file, "contract", "source")
    source = newest_artifact(place.builds, key_of("rotten", "source"), "base")
    path = source.folder / "rows.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    said = found(place, file)
    assert (said["stage"], said["gate"], said["state"]) == ("source", None, "failed")
    assert "the content was altered" in said["what"]


def test_a_check_that_raises_is_said_with_its_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is on fire")

    monkeypatch.setattr(checks.contract, "memory_gb", broken)
    file = recipe(place, "raises", questions(50))
    assert not place.run(file, "contract").success
    later_runs(place, {RECIPE_TAG: "another.traffic"})
    said = found(place, file)
    assert (said["stage"], said["gate"]) == ("contract", "training_fits_into_memory")
    assert said["state"] == "missing" and "the disk is on fire" in said["what"]
    assert said["do"].startswith("look at it: materialize raises/contract with its checks")


def test_what_was_made_from_older_rows_is_stale(place: Place) -> None:
    file = recipe(place, "older", questions(200))
    assert place.run(file, "contract", "source", "prompts").success
    recipe(place, "older", questions(201))
    assert place.run(file, "source").success
    said = found(place, file)
    assert (said["stage"], said["asset"], said["gate"], said["state"]) == (
        "prompts", "older/prompts[base]", None, "stale",
    )  # fmt: skip
    assert "older/prompts[base] is stale: it was made from an older older/source[base]" in said["what"]


def test_the_checklist_has_every_gate_of_every_stage_once_with_its_reason(place: Place) -> None:
    file = recipe(place, "empty", None, slices=[])
    lines = checklist(place.instance, place.builds, file).splitlines()
    headings = [line.removeprefix("## ").removesuffix("[base]") for line in lines if line.startswith("## ")]
    assert headings == list(assets_of(file))
    boxes, advice = ([line for line in lines if line.startswith(mark)] for mark in ("- [", "- advice: "))
    for blocking, shown in ((True, boxes), (False, advice)):
        names = [name for stage in assets_of(file) for name in gates_of(stage).names(blocking=blocking)]
        assert len(shown) == len(names)
        for stage in assets_of(file):
            for name in gates_of(stage).names(blocking=blocking):
                said = f"{name.replace('_', ' ')}"
                assert any(said in line and f"because {gates_of(stage).because()[name]}." in line for line in shown)
    marks = {line[:5] for line in boxes}
    assert marks == {"- [x]", "- [ ]"}
    closed = lines[next(n for n, line in enumerate(lines) if "every slice has golden rows" in line) + 1]
    assert closed.startswith("      failed: empty: nobody (run ")
