"""A gate is what the ledger says; nothing that Dagster's event log holds opens or closes one."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.keys import key_of
from checks import check_op, gate, gate_states
from checks.gatekeeper import load_gated
from orchestration.batches import batches_in
from orchestration.build import definitions
from orchestration.diagnosis import diagnose
from orchestration.stages_now import stages_now
from orchestration.status import status
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.gate_status import GateStatus
from tests.conftest import Place, a_place, failures
from tests.faults.bench import a_copy_of
from tests.small import small_recipe

SOURCE, CONTRACT = key_of("small", "source"), key_of("small", "contract")
FAILED_GATE = "two_classes_are_labelled"


def experiment(event: Callable[..., None], *names: str, says: str | None = None) -> Any:
    """One case of a test, as an experiment that `make drills` counts."""
    return pytest.param(event, *([says] if says else []), marks=pytest.mark.experiment(*names), id=event.__name__)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecipeFile]:
    """An installation in which contract and source of a recipe are made and open, and the recipe."""
    folder = tmp_path_factory.mktemp("begun")
    with a_place(folder) as place:
        file = small_recipe(folder, rows=200, slices=[])
        assert place.run(file, "contract", "source").success
    return folder, file


@pytest.fixture
def place(begun: tuple[Path, RecipeFile], tmp_path: Path) -> Iterator[Place]:
    """A copy of that installation, to be ruined."""
    with a_copy_of(begun[0], tmp_path) as place:
        yield place


@pytest.fixture
def file(begun: tuple[Path, RecipeFile]) -> RecipeFile:
    return begun[1]


def read(place: Place, file: RecipeFile, key: dg.AssetKey = SOURCE, batch: str | None = "base") -> str:
    return load_gated(place.builds, file.recipe, key, batch).digest


def a_run_is_planned(place: Place, file: RecipeFile) -> dg.DagsterRun:
    job = definitions([file]).resolve_job_def("distil_small")
    return place.instance.create_run_for_job(job_def=job, tags={"dagster/partition": "base"})


def planned(place: Place, file: RecipeFile) -> None:
    a_run_is_planned(place, file)


def planned_and_cancelled(place: Place, file: RecipeFile) -> None:
    place.instance.report_run_canceled(a_run_is_planned(place, file))


def planned_and_deleted(place: Place, file: RecipeFile) -> None:
    place.instance.delete_run(a_run_is_planned(place, file).run_id)


def checks_reported_as_failed(place: Place, file: RecipeFile) -> None:
    for name in gate_states.gates_of("source").names(blocking=True):
        evaluation = dg.AssetCheckEvaluation(asset_key=SOURCE, check_name=name, passed=False, partition="base")
        place.instance.report_runless_asset_event(evaluation)


def history_deleted(place: Place, file: RecipeFile) -> None:
    place.instance.wipe_assets([SOURCE, CONTRACT])


def event_without_our_facts(place: Place, file: RecipeFile) -> None:
    """What the button "Report materialization" writes. It was a KeyError in every tool until the next round."""
    place.instance.report_runless_asset_event(dg.AssetMaterialization(SOURCE, partition="base"))


def event_of_another_artifact(place: Place, file: RecipeFile) -> None:
    other = place.newest("contract")
    facts = {"digest": other.digest, "manifest": other.identity}
    place.instance.report_runless_asset_event(dg.AssetMaterialization(SOURCE, partition="base", metadata=facts))


@pytest.mark.parametrize(
    "event",
    [
        experiment(planned, "B16"),
        experiment(planned_and_cancelled, "B16"),
        experiment(planned_and_deleted, "B16"),
        experiment(checks_reported_as_failed, "A35"),
        experiment(history_deleted, "A38"),
        experiment(event_without_our_facts, "B8"),
        experiment(event_of_another_artifact, "A37", "B6"),
    ],
)
def test_nothing_that_happens_in_dagster_closes_an_open_gate(
    place: Place, file: RecipeFile, event: Callable[[Place, RecipeFile], None]
) -> None:
    before = read(place, file)
    event(place, file)
    assert read(place, file) == before
    assert {state.state for state in place.states("source", "base").values()} == {GateStatus.PASSED}
    assert place.run(file, "prompts").success


def one_class_only(place: Place) -> RecipeFile:
    """A recipe whose source has a failed gate."""
    file = small_recipe(place.folder, rows=200, slices=[])
    text = "question,service,kind\n" + "".join(f"Where is place {n} ?,LOC,LOC:city\n" for n in range(50))
    Path(file.recipe.data.source).write_text(text)
    assert not place.run(file, "contract", "source").success
    return file


def reported_as_passed(place: Place) -> None:
    """What a POST to /report_asset_check writes; any page that the operator had open could send it."""
    looked_at = place.newest("source", "base").digest
    for name in gate_states.gates_of("source").names(blocking=True):
        metadata = {"looked_at": looked_at, "state": "passed"}
        evaluation = dg.AssetCheckEvaluation(
            asset_key=SOURCE, check_name=name, passed=True, metadata=metadata, partition="base"
        )
        place.instance.report_runless_asset_event(evaluation)


def edited_in_the_database(place: Place) -> None:
    databases = sorted(place.home.dagster.rglob("*.db"))
    for database in databases:
        with sqlite3.connect(database) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "asset_check_executions" in tables:
                connection.execute("UPDATE asset_check_executions SET execution_status = 'SUCCEEDED'")
                return
    raise AssertionError(f"no checks in {databases}")


@pytest.mark.parametrize("event", [experiment(reported_as_passed, "B5"), experiment(edited_in_the_database, "A36")])
def test_nothing_that_happens_in_dagster_opens_a_failed_gate(place: Place, event: Callable[[Place], None]) -> None:
    file = one_class_only(place)
    event(place)
    with pytest.raises(dg.Failure, match=f"{FAILED_GATE} is failed"):
        read(place, file)
    (message,) = failures(place.run(file, "prompts"))
    assert f"source[base]:{FAILED_GATE} is failed" in message


@pytest.mark.parametrize(
    ("event", "said"),
    [
        experiment(event_without_our_facts, "B8", says="was not written by Stillhouse"),
        experiment(event_of_another_artifact, "A37", "B6", says="the ledger says"),
        experiment(history_deleted, "A38", says="Dagster has no event of it"),
    ],
)
def test_an_event_that_says_otherwise_is_named_in_one_line(
    place: Place, file: RecipeFile, event: Callable[[Place, RecipeFile], None], said: str
) -> None:
    assert diagnose(place.instance, place.builds, file).dagster == ()
    event(place, file)
    shown = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    lines = status(place.instance, place.builds, [file]).recipes["small"].dagster
    assert shown["dagster"] == [*lines]
    (line,) = (line for line in lines if line.startswith("small/source[base]: "))
    assert said in line and "\n" not in line
    assert shown["stage"] == "prompts", "and changes nothing"


@pytest.mark.experiment("B4")
def test_a_gate_whose_code_was_changed_is_stale_and_looking_again_is_enough(
    place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place.newest("source", "base").digest
    for module in (check_op, gate, gate_states):
        monkeypatch.setattr(module, "gate_code", lambda stage: f"another version for {stage}")
    states = place.states("source", "base")
    assert {state.state for state in states.values()} == {GateStatus.STALE}
    assert {state.sentence for state in states.values()} == {"the code of the gate was changed since it looked"}
    with pytest.raises(dg.Failure, match="is stale"):
        read(place, file)
    look = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(SOURCE, CONTRACT))
    job = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[look])).resolve_job_def("look")
    assert job.execute_in_process(instance=place.instance, tags={"dagster/partition": "base"}).success
    assert read(place, file) == made
    assert len(place.builds.ledger.entries("small", "materialization", subject="small/source[base]")) == 1


@pytest.mark.experiment("B4")
def test_a_stage_whose_code_was_changed_is_stale_in_words(
    place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_states, "code_version", lambda stage: f"another version of {stage}")
    with pytest.raises(dg.Failure, match=r"small/source\[base\] is stale: the code that makes it was changed since"):
        read(place, file)
    said = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert (said["stage"], said["gate"], said["state"]) == ("contract", None, GateStatus.STALE)


@pytest.mark.experiment("B6")
def test_an_artifact_of_another_asset_is_not_read(place: Place, file: RecipeFile) -> None:
    """Regression: a materialization that named the teacher's artifact for a candidate was handed over."""
    other = place.newest("contract")
    body = {"asset": "small/source[base]", "digest": other.digest, "manifest": other.identity, "run_id": "by hand"}
    place.builds.ledger.append("materialization", "small", {**body, "found_again": False, "cost_usd": 0.0})
    with pytest.raises(dg.Failure, match="its manifest is of small/contract"):
        read(place, file)


WITHOUT_GATES = "a materialization without gates"
PLANTS: dict[str, Callable[[Place, RecipeFile], Any]] = {
    "nothing": lambda place, file: None,
    "a newer verdict that failed": lambda place, file: later_verdict(place, state="failed"),
    "a newer verdict that is inconclusive": lambda place, file: later_verdict(place, state="inconclusive"),
    "a verdict on another manifest": lambda place, file: later_verdict(place, manifest="f" * 64),
    "a verdict on other content": lambda place, file: later_verdict(place, digest="f" * 64),
    "a verdict of other code": lambda place, file: later_verdict(place, code="another version"),
    WITHOUT_GATES: lambda place, file: place.run(file, "source", gates=False),
    "a manifest that is gone": lambda place, file: manifest_of_source(place).unlink(),
    "a manifest that was cut": lambda place, file: cut(manifest_of_source(place)),
}


def later_verdict(place: Place, **changes: str) -> None:
    (*_, newest) = place.builds.ledger.entries("small", "verdict", subject="small/source[base]", gate=FAILED_GATE)
    place.builds.ledger.append("verdict", "small", {**newest.body, **changes})


def manifest_of_source(place: Place) -> Path:
    source = place.newest("source", "base")
    return source.folder.parent / "manifests" / f"{source.identity}.json"


def cut(path: Path) -> None:
    beginning = path.read_bytes()[:40]
    path.unlink()  # and not written in place: the copy shares it by hard link
    path.write_bytes(beginning)


@pytest.mark.parametrize(
    "plant",
    [pytest.param(each, marks=[pytest.mark.experiment("B3")] * (each == WITHOUT_GATES)) for each in PLANTS],
)
def test_status_diagnose_and_gatekeeper_never_disagree(place: Place, file: RecipeFile, plant: str) -> None:
    PLANTS[plant](place, file)
    (source,) = (n for n in stages_now(place.builds, file, batches_in(place.instance, file)) if n.stage == "source")
    shown = status(place.instance, place.builds, [file]).recipes["small"].stages["source"]
    said = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    try:
        read(place, file)
        opened = True
    except dg.Failure:
        opened = False
    assert opened is (plant == "nothing")
    assert source.state.is_open is opened
    assert (not shown.stale and all(gate.state.is_open for gate in shown.gates)) is opened
    assert (said["stage"] == "prompts") is opened
    assert not status(place.instance, place.builds, [file]).all_is_well, "there is no champion yet"
