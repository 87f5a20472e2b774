"""Live texts come back as rows: from sealed segments over the drop folder to prompts that train, and none that judge.

The releases are names in a ledger; rows, segments, the file, the sensor and the runs are real.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import orchestration.harvest
from assets.keys import key_of
from assets.materializations import newest_artifact
from orchestration.build import definitions
from orchestration.cli import app
from orchestration.jobs import distil_job, ingest_job
from orchestration.runs import QUIET, lock_of_days
from orchestration.sensors import rounds_sensor
from stillhouse.data.outside import drop_folder_entries
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.segments import TrafficStore, day_at, sealed
from stillhouse.live.shadow import Word
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.locks import recipes_locked
from stillhouse.records.rollouts import offer, withdraw
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.labels import given_texts, labelled
from stillhouse.stages.names import PROMPTS
from tests.conftest import Run, verdicts
from tests.promotions import named, seen, serve
from tests.small import questions, small_recipe
from tests.stillhouse.live.made import put, rows

ASKED = questions(60, skip=100)
SLICES = [{"name": "people", "column": "label", "values": ["HUM"], "critical": True}]


def asked_at() -> float:
    """Noon nine days ago: feedback to what came then has matured, texts are kept, and two minutes later is that day."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return (noon - timedelta(days=9)).timestamp()


def recipe(folder: Path, **changes: object) -> RecipeFile:
    return small_recipe(folder, rows=100, **{"slices": SLICES, "traffic": {}, **changes})


@pytest.fixture
def folder(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    return tmp_path


@pytest.fixture
def file(folder: Path) -> RecipeFile:
    return recipe(folder)


@pytest.fixture
def prepared(file: RecipeFile, home: Home, run: Run) -> RecipeFile:
    """A recipe with prompts, a champion, and what that was asked."""
    result = run(file, "contract", "source", "prompts")
    assert result.success, verdicts(result)
    traffic(home)
    return file


def traffic(home: Home, texts: Sequence[str] = tuple(ASKED["question"]), *, first: int = 1) -> TrafficStore:
    """The champion answers these texts; the last are those that it is least sure of."""
    builds = BuildStore(home)
    serve(builds.ledger, "a", recipe="small")
    store, many = TrafficStore(home.artifacts, "small"), len(texts)
    sure = np.linspace(0.9, 0.1, many)
    labels = np.where(np.arange(many) % 3 == 0, "HUM", "LOC").tolist()
    put(store, rows(many, at=asked_at(), first=first, release="a", label=labels, confidence=sure), texts=texts)
    return store


def harvest(*arguments: str) -> str:
    ended = CliRunner().invoke(app, ["harvest", "small", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.output


def files(home: Home) -> list[Path]:
    return sorted(home.inbox("small").iterdir()) if home.inbox("small").exists() else []


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_harvested_rows_are_taken_in_as_a_batch_of_which_all_train_and_none_judges(
    prepared: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    base = newest_artifact(BuildStore(home), key_of("small", PROMPTS), "base").frame("prompts")
    golden, trained = (base.filter(pl.col("split") == side)["text"][0] for side in ("golden", "train"))
    store = traffic(home, [f"{golden} !", trained], first=1000)
    said = rows(2, at=asked_at(), first=59).select(
        "replica", pl.col("number") + 2000, "id", pl.lit(asked_at() + 60).alias("at"),
        pl.Series("truth", ["DESC", "DESC"]), pl.lit(None, pl.String).alias("by"),
    )  # fmt: skip
    store.put(day_at(asked_at()), "feedback", sealed(said))

    output = harvest("--rows", "40")
    assert "40 of 60 texts" in output and "1 near duplicate of a golden row" in output and "1 duplicate text" in output
    (path,) = files(home)
    wrote = lines(path)
    unsure = {*ASKED["question"][-20:]}
    assert unsure <= {each["question"] for each in wrote}
    assert {each["harvest_pi"] for each in wrote} == {1.0, 0.5}
    labelled = {each["question"] for each in wrote if each["service"] is not None}
    assert labelled == {*ASKED["question"][-2:]} and "2 with a label that people gave" in output

    sensor = rounds_sensor(prepared, [ingest_job(prepared), distil_job(prepared)])
    for _ in range(2):
        sensor(dg.build_sensor_context(instance=instance))
    (batch,) = batches_of(BuildStore(home).ledger, "small").values()
    assert [each.name for each in batch.files] == [path.name]
    ended = taken_in(prepared, instance, batch.batch)
    assert ended.success, verdicts(ended)
    prompts = newest_artifact(BuildStore(home), key_of("small", PROMPTS), batch.batch).frame("prompts")
    assert sorted(prompts["text"]) == sorted(str(each["question"]) for each in wrote)
    assert {*prompts["split"]} == {"train"}

    assert "20 of 20 texts" in harvest("--rows", "20"), "what is in is not harvested again"
    with pytest.raises(StillhouseError, match=r"20 texts can be harvested; left out: .*at least 21"):
        harvest("--rows", "21")

    late = prompts.filter(pl.col("label").is_null())["text"][0]
    late_truth = rows(1, at=asked_at(), first=1 + ASKED["question"].to_list().index(late)).select(
        "replica", pl.col("number") + 4000, "id", pl.lit(asked_at() + 120).alias("at"),
        pl.Series("truth", ["HUM"]), pl.lit(None, pl.String).alias("by"),
    )  # fmt: skip
    store.put(day_at(asked_at()), "feedback", sealed(late_truth))
    output = harvest("--rows", "21")
    assert "21 of 21 texts" in output and "1 with a label that people gave" in output, "its truth has come since"
    (again,) = {
        line["service"] for each in files(home) if each != path for line in lines(each) if line["question"] == late
    }
    assert again == "HUM"
    for _ in range(2):
        sensor(dg.build_sensor_context(instance=instance))
    ended = taken_in(prepared, instance, [*batches_of(BuildStore(home).ledger, "small").values()][-1].batch)
    assert ended.success, verdicts(ended)
    with pytest.raises(StillhouseError, match=r"0 texts can be harvested"):
        harvest("--rows", "1")


def taken_in(file: RecipeFile, instance: dg.DagsterInstance, batch: str) -> dg.ExecuteInProcessResult:
    """Run source and prompts of a batch with their gates, as the job that takes batches in does before it asks."""
    selection = dg.AssetSelection.assets(*(key_of("small", stage) for stage in ("source", "prompts")))
    some = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[dg.define_asset_job("some", selection)]))
    return some.resolve_job_def("some").execute_in_process(
        instance=instance, raise_on_error=False, partition_key=batch,
        run_config=QUIET,
    )  # fmt: skip


def test_the_same_harvest_is_the_same_file_and_labels_in_it_are_left_alone(prepared: RecipeFile, home: Home) -> None:
    harvest("--rows", "10")
    (path,) = files(home)
    path.write_text(path.read_text().replace('"service": null', '"service": "HUM"'))
    labelled = path.read_text()
    assert "was there already" in harvest("--rows", "10")
    assert files(home) == [path] and path.read_text() == labelled
    (entry,) = BuildStore(home).ledger.entries("small", "harvest")
    assert (entry.body["file"], entry.body["rows"], entry.body["of"]) == (path.name, 10, 60)


def test_two_at_once_are_one_file(prepared: RecipeFile, home: Home) -> None:
    with recipes_locked(home, [lock_of_days("small")], by="an erasure", waiting=lambda *_: None):
        # Without a CliRunner, which changes the output of the whole process.
        arguments, how = ["harvest", "small", "--rows", "10"], {"standalone_mode": False}
        both = [threading.Thread(target=app, args=(arguments,), kwargs=how) for _ in "ab"]
        for each in both:
            each.start()
        both[0].join(1.0)
        assert both[0].is_alive() and files(home) == [], "texts may be erased just now"
    for each in both:
        each.join(60)
    assert len(files(home)) == 1 and len(BuildStore(home).ledger.entries("small", "harvest")) == 1


KILLED = """
import os, signal
from stillhouse import files
real = files.move_into_place
def killed(source, target):
    if target.parent.name == "small" and target.parent.parent.name == "inbox":
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
files.move_into_place = killed
from orchestration.cli import app
app(["harvest", "small", "--rows", "10"])
"""


def test_a_harvest_that_was_killed_leaves_no_half_of_a_file_and_the_same_again_ends_it(
    prepared: RecipeFile, home: Home
) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (noted,) = TrafficStore(home.artifacts, "small").harvests()
    assert drop_folder_entries(str(home.inbox("small"))) == []
    harvest("--rows", "10")
    (entry,) = drop_folder_entries(str(home.inbox("small")))
    assert entry.name == noted.file and len(lines(home.inbox("small") / entry.name)) == 10


def test_a_slice_that_asks_for_rows_is_answered_by_its_own_texts(prepared: RecipeFile, home: Home) -> None:
    assert "20 texts of 'people'" in str(_refused("--rows", "21", "--slice", "people"))
    harvest("--rows", "20", "--slice", "people")
    (path,) = files(home)
    assert {each["question"] for each in lines(path)} == {*ASKED["question"].gather_every(3)}
    assert "one of: people" in str(_refused("--rows", "2", "--slice", "places"))


def test_a_slice_of_a_column_that_callers_send_is_answered_by_rows_that_have_its_value(
    folder: Path, home: Home, run: Run
) -> None:
    questions(100).with_columns(pl.Series("channel", ["post", "app"] * 50)).write_csv(folder / "questions.csv")
    by_post = {"name": "by_post", "column": "channel", "values": ["post"], "critical": True}
    file = recipe(folder, slices=[by_post], serving={"request_columns": ["channel"]})
    assert run(file, "contract", "source", "prompts").success
    serve(BuildStore(home).ledger, "a", recipe="small")
    sent = ['{"channel":"post"}', '{"channel":null}', "{}"] * 20
    asked = rows(60, at=asked_at(), release="a", columns=sent)
    put(TrafficStore(home.artifacts, "small"), asked, texts=[*ASKED["question"]])
    assert "20 texts of 'by_post'" in str(_refused("--rows", "21", "--slice", "by_post"))
    harvest("--rows", "20", "--slice", "by_post")
    (path,) = files(home)
    assert {each["question"] for each in lines(path)} == {*ASKED["question"].gather_every(3)}
    assert {each["channel"] for each in lines(path)} == {"post"}


def _refused(*arguments: str) -> StillhouseError:
    with pytest.raises(StillhouseError) as refused:
        harvest(*arguments)
    return refused.value


def test_a_drop_folder_that_is_no_folder_of_this_machine_gets_the_same_file(
    prepared: RecipeFile, folder: Path, home: Home
) -> None:
    harvest("--rows", "10")
    recipe(folder, data__drop_folder="memory://harvested/inbox")
    assert "was there already" not in harvest("--rows", "10")
    (entry,) = drop_folder_entries("memory://harvested/inbox")
    (path,) = files(home)
    assert (entry.name, entry.size) == (path.name, path.stat().st_size)
    assert "was there already" in harvest("--rows", "10")


def test_erasing_names_the_harvested_file_and_the_rows(prepared: RecipeFile, home: Home) -> None:
    harvest("--rows", "60")
    (path,) = files(home)
    id = str(lines(path)[7]["harvest_id"])
    output = " ".join(CliRunner().invoke(app, ["erase", "small", "--id", id], catch_exceptions=False).output.split())
    assert f"1 of the answers are rows of the harvested file {path.name}" in output and f"harvest_id {id}," in output
    assert "1 text erased" in output
    other = RequestIds.of(home.serving).issue()
    again = CliRunner().invoke(app, ["erase", "small", "--id", other], catch_exceptions=False).output
    assert "harvested file" not in again


def test_what_cannot_be_harvested_is_refused_in_a_line(folder: Path, home: Home, run: Run) -> None:
    recipe(folder, traffic=None)
    assert "it keeps no traffic" in str(_refused("--rows", "1"))
    recipe(folder, traffic={"keep_texts": False})
    assert "it keeps no texts" in str(_refused("--rows", "1"))
    file = recipe(folder)
    assert "it has no champion yet" in str(_refused("--rows", "1"))
    serve(BuildStore(home).ledger, "a", recipe="small")
    assert "there is no text that the champion was asked" in str(_refused("--rows", "1"))
    assert run(file, "contract", "source", "prompts").success
    traffic(home)
    ruled = {"rights_column": "right", "rights_allowed": ["free"]}
    recipe(folder, data__provenance=ruled)
    assert "10 of 10 rows would be set aside: no rights" in str(_refused("--rows", "10"))
    recipe(folder, data__drop_folder=str(folder / "elsewhere"))
    assert "the drop folder does not exist" in str(_refused("--rows", "10"))
    assert files(home) == [] and BuildStore(home).ledger.entries("small", "harvest") == []


def says(text: str, _: str | None) -> Word:
    """The challenger answers every second text otherwise."""
    return Word("LOC" if ASKED["question"].to_list().index(text) % 2 else "HUM")


@pytest.fixture
def rolling(file: RecipeFile, folder: Path, home: Home, run: Run, monkeypatch: pytest.MonkeyPatch) -> RecipeFile:
    """A release is on its way, and the champion was asked since, as far as this goes without models."""
    file = recipe(folder, rollout={})
    assert run(file, "contract", "source", "prompts").success
    builds = BuildStore(home)
    traffic(home)
    offer(builds.ledger, "small", named("b"), seen=seen(builds.ledger, "small"), export="e", run_id="r", relied_on=())
    monkeypatch.setattr(orchestration.harvest, "both_say", lambda *_: (lambda text, _: Word("HUM"), says))
    real = orchestration.harvest.asked_texts
    monkeypatch.setattr(
        orchestration.harvest, "asked_texts", lambda *of, since, **about: real(*of, since=asked_at() - 1, **about)
    )
    return file


def test_texts_that_two_releases_answer_otherwise_are_given_to_people_once_and_their_labels_come_back(
    rolling: RecipeFile, home: Home, instance: dg.DagsterInstance
) -> None:
    builds, store = BuildStore(home), TrafficStore(home.artifacts, "small")
    challenger = seen(builds.ledger, "small").challenger
    assert challenger is not None and given_texts(builds, rolling, store, challenger.salt) is None
    output = harvest("--differing")
    assert "30 of 30 texts, 0 with a label that people gave" in output
    (path,) = files(home)
    assert {each["question"] for each in lines(path)} == {*ASKED["question"].gather_every(2, 1)}
    (entry,) = builds.ledger.entries("small", "harvest")
    of = {"rollout": challenger.salt, "texts": 60, "differ": 30}
    assert entry.body["differing"] == of and entry.body["key"] and entry.body["challenger"] == "b"
    assert "people were given texts of this rollout already" in str(_refused("--differing"))

    path.write_text(path.read_text().replace('"service": null', '"service": "HUM"', 25))
    sensor = rounds_sensor(rolling, [ingest_job(rolling), distil_job(rolling)])
    for _ in range(2):
        sensor(dg.build_sensor_context(instance=instance))
    given = given_texts(builds, rolling, store, challenger.salt)
    assert given is not None and given.edition is not None
    found = labelled(builds, rolling, given, lambda text, _: Word("HUM"), says)
    assert (found.given, found.labelled, found.champion_right, found.missing) == (30, 25, 25, 0)
    assert found.drop == pytest.approx(0.5), "half of all texts, on each of which the champion is right"

    id = str(lines(path)[3]["harvest_id"])
    output = " ".join(CliRunner().invoke(app, ["erase", "small", "--id", id], catch_exceptions=False).output.split())
    assert f"rows of the harvested file {path.name}" in output and "1 text erased" in output
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines(path) if each["harvest_id"] != id))
    for _ in range(2):
        sensor(dg.build_sensor_context(instance=instance))
    given = given_texts(builds, rolling, store, challenger.salt)
    assert given is not None
    left = labelled(builds, rolling, given, lambda text, _: Word("HUM"), says)
    assert left.labelled == 24, "what was taken out counts no more"


def test_a_text_that_is_erased_is_given_to_nobody(rolling: RecipeFile, home: Home) -> None:
    (id,) = TrafficStore(home.artifacts, "small").frame(day_at(asked_at()), "requests").sort("number")["id"][1:2]
    CliRunner().invoke(app, ["erase", "small", "--id", id], catch_exceptions=False)
    assert "29 of 29 texts" in harvest("--differing")
    (path,) = files(home)
    assert ASKED["question"][1] not in path.read_text()


def test_where_a_release_hands_a_text_on_nobody_is_asked_about_it(
    rolling: RecipeFile, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What callers get of it is the word of the teacher, which this command does not ask."""
    on = lambda text, _: Word("LOC", handed_on=ASKED["question"].to_list().index(text) < 50)  # noqa: E731
    monkeypatch.setattr(orchestration.harvest, "both_say", lambda *_: (lambda text, _: Word("HUM"), on))
    assert "10 of 10 texts" in harvest("--differing")
    (entry,) = BuildStore(home).ledger.entries("small", "harvest")
    assert (entry.body["handed_on"], entry.body["differing"]["texts"], entry.body["differing"]["differ"]) == (
        50,
        10,
        10,
    )


def test_what_cannot_be_given_to_people_is_refused_in_a_line(
    rolling: RecipeFile, folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "both are given" in str(_refused("--differing", "--slice", "people"))
    assert "how many is not said" in str(_refused())
    alike = (lambda text, _: Word("HUM"),) * 2
    with monkeypatch.context() as patches:
        patches.setattr(orchestration.harvest, "both_say", lambda *_: alike)
        assert "of 60 texts since the offer the two answer 0 otherwise" in str(_refused("--differing"))
    builds = BuildStore(home)
    no_text = {"keep_texts": False, "feedback": "sample"}
    recipe(folder, traffic=no_text, rollout={"shadow": {"mode": "live", "judge_by": "truth"}})
    assert "it keeps no texts" in str(_refused("--differing"))
    secret = {"privacy_class": "personal"}
    recipe(folder, rollout={}, data__provenance=secret)
    assert "it keeps no texts" in str(_refused("--differing"))
    recipe(folder, rollout={})
    withdraw(builds.ledger, "small", seen(builds.ledger, "small"), by="Ann Lee", reason="it is rude to callers")
    assert "no release is on its way" in str(_refused("--differing"))
    assert files(home) == [] and builds.ledger.entries("small", "harvest") == []
