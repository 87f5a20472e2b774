"""A student with further seeds: each is trained, exported and judged beside the one that ships, and only that ships."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import stillhouse.models.training as training
from stillhouse.digests import digest_of_file, files_below
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.models.training import TrainingReport
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.training import TrainingConfig
from stillhouse.stages.evaluation import teacher_mb
from stillhouse.stages.facts import CandidateFacts
from stillhouse.students.seeds import models_by_seed
from tests.conftest import Place, a_place, failures, verdicts
from tests.small import small_recipe

pytestmark = pytest.mark.slow

STUDENTS = ("one", "one_labels", "single")
FIRST = ("contract", "source", "prompts", "teacher", "baselines", "teacher_signal", "transfer_set", "candidates/one")
MADE = tuple(f"{part}/{name}" for part in ("candidates", "exports") for name in STUDENTS)
REST = (*MADE, "evaluation", "error_analysis", "selection", "release")
MODELS = ["model", "seeds/1", "seeds/2"]
TRAINED = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
EXPORTED = {"config.json", "model.onnx", "tokenizer.json"}


def weights(place: Place, student: str, folder: str = "model") -> str:
    return digest_of_file(place.newest(f"candidates/{student}").folder / folder / "model.safetensors")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("seeds"), baselines=False, measured=True) as place:
        yield place


@dataclass
class Trained:
    """What was trained after a run was broken off at the last seed of the student: folder and report of each."""

    file: RecipeFile
    reports: dict[str, TrainingReport]


@pytest.fixture(scope="module")
def trained(place: Place) -> Trained:
    """A student and its control with three seeds each, and the same student with one; the second run goes on."""
    one, control = (student.model_dump() for student in small_recipe(place.folder).recipe.students)
    several = [{**student, "more_seeds": [1, 2]} for student in (one, control)]
    file, reports = small_recipe(place.folder, students=[*several, {**one, "name": "single"}]), {}
    real = training.train

    def breaks_off(start: Path, out: Path, *rest: Any, **how: Any) -> TrainingReport:
        if out.name == "2":
            raise StillhouseError("the power went", where="here", expected="power", do="Run again.")
        return real(start, out, *rest, **how)

    def recorded(start: Path, out: Path, examples: Any, config: TrainingConfig, *rest: Any, **how: Any) -> Any:
        report = real(start, out, examples, config, *rest, **how)
        if how.get("keep_checkpoint") and config.loss != "labels":
            reports[out.relative_to(start.parent).as_posix()] = report
        return report

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(training, "train", breaks_off)
        assert not place.run(file, *FIRST).success
        patches.setattr(training, "train", recorded)
        result = place.run(file, *REST)
        assert result.success, [gate for gate, passed in verdicts(result).items() if not passed]
    return Trained(file, reports)


@pytest.fixture(scope="module")
def file(trained: Trained) -> RecipeFile:
    return trained.file


def test_seeds_that_were_finished_when_a_run_broke_off_are_not_trained_again(place: Place, trained: Trained) -> None:
    assert list(trained.reports) == MODELS
    assert [report.resumed_at / report.steps for report in trained.reports.values()] == [1, 1, 0]
    assert not (place.home.checkpoints / "small" / "one").exists(), "nothing is left of a student that is finished"


def test_the_one_that_ships_is_what_it_would_be_without_further_seeds(place: Place, file: RecipeFile) -> None:
    assert weights(place, "one") == weights(place, "single")
    single = place.newest("candidates/single")
    assert {path.name for path in single.folder.iterdir()} == {"model"} and single.manifest.facts["seeds"] == {}
    assert single.manifest.seeds == {"training": 0}


def test_each_seed_is_a_model_of_its_own_beside_the_one_that_ships(place: Place, file: RecipeFile) -> None:
    trained, exported = place.newest("candidates/one"), place.newest("exports/one")
    for artifact, files in ((trained, TRAINED), (exported, EXPORTED)):
        found = {path.relative_to(artifact.folder).as_posix() for path in files_below(artifact.folder)}
        assert found == {f"{model}/{name}" for model in MODELS for name in files}
    assert trained.manifest.seeds == {"training": 0, "seeds/1": 1, "seeds/2": 2}
    assert len({weights(place, "one", model) for model in MODELS}) == 3
    assert len({digest_of_file(exported.folder / model / "model.onnx") for model in MODELS}) == 3
    assert trained.manifest.facts["seeds"].keys() == exported.manifest.facts["seeds"].keys() == {"1", "2"}


def test_every_seed_is_judged_and_the_size_is_that_of_what_ships(place: Place, file: RecipeFile) -> None:
    export, judged = place.newest("exports/one"), read_evaluations(place.newest("evaluation").folder)
    assert [evaluation.name for evaluation in judged if evaluation.seeds is None] == ["single"]
    for spread, score in ((each.seeds, each.score) for each in judged[:2]):
        assert spread is not None and [one.seed for one in spread.scores] == [0, 1, 2]
        assert spread.scores[0].accuracy == score.accuracy
    sizes = sum((export.folder / "model" / name).stat().st_size for name in EXPORTED)
    assert judged[0].name == "one" and judged[0].score.size_bytes == sizes
    report = json.loads((place.newest("selection").folder / "report.json").read_text())
    assert len(report["seeds"]["scores"]) == 3
    assert report["comparison"]["over_seeds"]["first_seeds"] == report["comparison"]["over_seeds"]["second_seeds"] == 3
    assert "on the mean of 3 and 3 seeds" in report["comparison"]["sentence"]
    compared = json.loads((place.newest("evaluation").folder / "comparisons.json").read_text())
    assert [(each["student"], ", on one seed)" in each["sentence"]) for each in compared] == [
        ("one", False),
        ("single", True),
    ]


def test_the_teachers_memory_is_measured_once_on_each_kind_of_machine(place: Place, file: RecipeFile) -> None:
    judged = [each for stage in ("baselines", "evaluation") for each in read_evaluations(place.newest(stage).folder)]
    assert len({each.footprint.teacher_mb for each in judged if each.footprint}) == 1
    baselines = place.newest("baselines")
    assert teacher_mb(baselines, baselines.manifest.device) is not None
    assert teacher_mb(baselines, "another kind") is None


def test_one_model_ships(place: Place, file: RecipeFile) -> None:
    release = place.newest("release")
    found = {path.relative_to(release.folder).as_posix() for path in files_below(release.folder)}
    beside = {"recipe.json", "report.json", "release.json", "probe.json", "README.md"}
    assert found == {*(f"model/{name}" for name in EXPORTED), *beside}
    shipped = digest_of_file(release.folder / "model" / "model.onnx")
    assert shipped == digest_of_file(place.newest("exports/one").folder / "model" / "model.onnx")


def test_running_again_computes_nothing(place: Place, file: RecipeFile) -> None:
    stages = ("candidates/one", "exports/one", "evaluation", "error_analysis", "selection")
    ended = place.run(file, *stages)
    assert ended.success, failures(ended)
    assert all(place.newest(stage).manifest.made_by is not None for stage in stages)


def test_a_student_of_other_seeds_than_the_recipe_names_is_not_taken_for_it(place: Place, file: RecipeFile) -> None:
    candidate, student = place.newest("candidates/one"), file.recipe.student("one")
    made = candidate.facts(CandidateFacts).seeds
    assert [*models_by_seed(candidate.folder, made, student)] == [1, 2]
    other = student.model_copy(update={"more_seeds": (1, 3)})
    with pytest.raises(StillhouseError, match=r"it has seeds/1, seeds/2.*seeds/1, seeds/3.*candidate one again"):
        models_by_seed(candidate.folder, made, other)
    with pytest.raises(StillhouseError, match="it has no further seeds"):
        models_by_seed(candidate.folder, {}, student)
