"""A published cross-encoder, whose number is on a scale of its own, copied into a student that ranks."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from orchestration.auditing import audit_recipe
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.models.network import SCALE, SEPARATOR_ID, read_config
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.recipe.training import TrainingConfig
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import BASE, BASELINES, CONTRACT, MODEL, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL
from stillhouse.tasks.score import NAMES, NumericScore
from stillhouse.teachers.classifier import take_classifier
from tests.conftest import a_place, failures
from tests.end_to_end.test_ranking import ABOUT, ASKED, OTHER, pairs
from tests.small import ALL_UNITS, small_recipe, small_teacher
from tests.stillhouse.teachers.test_classifier_of_numbers import as_transformers_says

pytestmark = pytest.mark.slow

TASK = NumericScore(0.0, 3.0, 1.0)
ROWS, LOGITS = 1600, 8.0
LEARNS_LABELS = {"name": "one", "layers": [0], "training": {"epochs": 2, "max_tokens": 32, "loss": "kl"}}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with transformers' head of one output, taught with pairs that the recipe does not have; its number is a
    logit from about -8 to 8."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("published") / "teacher"
    bert = small_teacher(folder.parent / "bert", units=ALL_UNITS)
    torch.manual_seed(0)
    headed = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(bert, num_labels=1))
    headed.bert.load_state_dict(load_file(bert / "model.safetensors"), strict=False)
    headed.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())

    rows = pairs(2 * ROWS)[ROWS:-2]
    texts = [f"{query} [SEP] {document}" for query, document in rows.select("query", "document").iter_rows()]
    untaught, taught = folder.parent / "untaught", folder.parent / "taught"
    take_classifier(folder, NAMES, untaught, rename={}, max_tokens=32, answer="score", pairs=True)
    examples = TrainingExamples(texts, TASK.targets(rows["relevance"]), TASK)
    train(untaught, taught, examples, TrainingConfig(epochs=5, learning_rate=1e-3, loss="labels", max_tokens=32))
    weights = load_file(taught / "model.safetensors")
    for part in ("weight", "bias"):
        weights[f"classifier.{part}"] = weights[f"classifier.{part}"] * LOGITS
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def recipe_of_pairs(folder: Path, teacher: Path, **changes: Any) -> RecipeFile:
    pairs(ROWS).write_csv(folder / "questions.csv")
    as_it_is = {
        "kind": "classifier", "source": str(teacher), "max_tokens": 32, "revision": "test", "licence": "Apache-2.0",
        "training_on_outputs": "allowed", "reason": "It ranks today.", "minimum_accuracy": 0.6,
    }  # fmt: skip
    about = {name: value for name, value in ABOUT.items() if not name.startswith("teacher")}
    about |= {
        "data__score": {"lowest": 0, "highest": 3, "tolerance": 1},
        "limits": {"lost_share_at_most": 0.6, "int8_agreement_at_least": 0.9},  # of few rows, and of small students
    }
    return small_recipe(folder, teacher=as_it_is, **{**about, **changes})


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_a_cross_encoder_makes_a_student_that_ranks(tmp_path: Path, shared: Path, published: Path) -> None:
    with a_place(tmp_path, seeded=shared) as place:
        file = recipe_of_pairs(place.folder, published)
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]

        teacher = place.newest(TEACHER).facts(TeacherFacts)
        scale = teacher.own_scale
        assert scale is not None and not scale.sigmoid and scale.rows == teacher.validation_rows > 100
        assert 0.7 / LOGITS < scale.slope < 2.5 / LOGITS and scale.intercept == pytest.approx(1.5, abs=0.5)
        prompts = place.newest(PROMPTS, BASE).frame("prompts")
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(prompts, on="prompt_id").head(40)
        two = [tuple(text.split(" [SEP] ")) for text in signal["text"]]
        said = TASK.numbers(TASK.answers(np.array(signal["logits"].to_list())))
        its_own = as_transformers_says(published, True, two)
        np.testing.assert_allclose(said, scale.slope * its_own + scale.intercept, atol=1e-4)

        options = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}
        assert "int8 teacher" in options and options["int8 teacher"].score.accuracy > 0.5
        folder = place.newest("release").folder
        report = json.loads((folder / "report.json").read_text())
        ranking, test = report["of_ranking"], report["metric_test"]
        assert (report["verdict"], test["metric"], ranking["at"]) == ("pass", "ndcg", 5) and ranking["queries"] > 40
        assert 0.7 < ranking["teacher_ndcg"] < 1 and test["drop_upper_bound"] < 0.1
        assert report["teacher_own_scale"] == scale.model_dump(mode="json")
        assert scale.sentence in (place.newest("selection").folder / "report.html").read_text()
        config = read_config(place.newest("candidates/one").folder / MODEL)
        assert config["architectures"] == ["PublishedClassifier"] and {SCALE, SEPARATOR_ID} <= {*config}
        asked, other = TASK.numbers(TASK.answers(OnnxClassifier(folder / MODEL).logits([ASKED, OTHER])))
        assert asked > other + 0.5
        assert audit_recipe(place.home, "small").ok


def test_one_that_points_the_other_way_is_no_teacher(tmp_path: Path, shared: Path, published: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        turned = copied(published, place.folder / "turned")
        weights = load_file(turned / "model.safetensors")
        weights["classifier.weight"] = -weights["classifier.weight"]
        save_file(weights, turned / "model.safetensors", {"format": "pt"})
        file = recipe_of_pairs(place.folder, turned)
        (said,) = failures(place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER))
        assert "teacher.source" in said and "falls where the label rises" in said and "defs.yaml:" in said


def test_one_output_for_labels_and_five_for_numbers_are_found_by_the_check(tmp_path: Path, published: Path) -> None:
    file = recipe_of_pairs(tmp_path, published, data__answer="single_label", data__score=None, data__query=None,
                           bar={"margin": 0.1}, students=[LEARNS_LABELS])  # fmt: skip
    (line,) = check(Recipes((file,), ())).mistakes["small"]
    assert "defs.yaml:" in line and "one output, which is a number and no label" in line
    stars = copied(published, tmp_path / "stars")
    config = json.loads((stars / "config.json").read_text())
    five = {str(number): f"{number + 1} stars" for number in range(5)}
    (stars / "config.json").write_text(json.dumps({**config, "id2label": five}))
    (line,) = check(Recipes((recipe_of_pairs(tmp_path, stars),), ())).mistakes["small"]
    assert "defs.yaml:" in line and "a classifier of 5 outputs (1 stars, " in line and "expected one output" in line
