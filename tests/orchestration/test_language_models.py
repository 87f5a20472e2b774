"""The whole way with a teacher that is a language model of this machine, and one that is turned away by its pilot."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from orchestration.auditing import audit_recipe
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.forecast import forecast
from stillhouse.stages.names import BASELINES, CONTRACT, MODEL, TEACHER, TEACHER_SIGNAL
from stillhouse.stages.preview import prompts_to_come
from tests.conftest import a_place, verdicts
from tests.language_models import PROMPT, byte_pairs, language_model, of_three_services, taught_language_model
from tests.small import small_recipe, small_teacher

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught_language_model(tmp_path_factory.mktemp("taught") / "model")


def recipe_with(folder: Path, model: Path, **teacher: Any) -> RecipeFile:
    of_three_services(1200).write_csv(folder / "questions.csv")
    (folder / "prompt.md").write_text(PROMPT)
    base = {"source": str(small_teacher(folder / "base")), "revision": "test", "licence": "Apache-2.0"}
    asked = {
        "kind": "causal_lm", "source": str(model), "revision": "test", "licence": "Apache-2.0",
        "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8,
        "causal_lm": {"prompt": str(folder / "prompt.md")},
    }  # fmt: skip
    learning = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}
    students = [{"name": "one", "layers": [0, 1], "training": {**learning, "loss": "kl"}}]
    changes: dict[str, Any] = {
        "bar": {"margin": 0.07},
        "budget": {"latency_ms_at_most": 1000, "size_mb_at_most": 20},
        "slices": [],
    }
    changes["data__hidden_label_share"] = 0.85  # else what a word gives away is learned from labels alone
    return small_recipe(folder, teacher={**asked, **teacher}, base=base, students=students, **changes)


def test_what_a_language_model_says_is_copied_and_never_asked_twice(tmp_path: Path, taught: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        file = recipe_with(place.folder, taught)
        assert check(Recipes((file,), ())).all_is_well
        assert distil(file, place.home, Terminal(quiet=True)).succeeded

        facts, kept = place.newest(TEACHER).facts(TeacherFacts), place.newest("prompts", "base").facts(PromptFacts).kept
        assert facts.said is not None and facts.said.label_mass is not None and facts.said.label_mass > 0.95
        assert 0.8 < facts.validation_accuracy < 0.98 and facts.said.texts == facts.validation_rows
        assert facts.language_model is not None and facts.language_model.fingerprint == fingerprint_of(taught)
        signal = place.newest(TEACHER_SIGNAL, "base").frame("signal")
        assert signal.height == kept and set(signal["fingerprint"]) == {facts.fingerprint}
        np.testing.assert_allclose(np.exp(signal["logits"].to_list()).sum(axis=1), 1, rtol=1e-5)
        judged = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}["one"]
        assert judged.teacher.accuracy > 0.8 and judged.teacher.size_bytes == facts.language_model.bytes
        report = (place.newest("selection").folder / "report.html").read_text()
        assert "not here" not in report and "None" not in report.replace("None was found", "")
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]
        audit = audit_recipe(place.home, "small")
        assert audit.ok, audit.problems
        address = f"{file.recipe.teacher.address}/model.safetensors"
        chain = {link.asset: link.external_inputs for link in audit.chain}
        assert chain["small/contract"][address] == chain["small/teacher"][address], "the very bytes are kept"

        shards = sorted(place.home.signal.rglob("*.parquet"))
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        assert sorted(place.home.signal.rglob("*.parquet")) == shards
        stages = {each.stage: each.seconds for each in forecast(file, prompts_to_come(file), place.builds).stages}
        assert stages[TEACHER_SIGNAL] > stages[TEACHER] > 1.0, "by rows: all but golden ones, validation rows alone"


def test_one_that_is_not_worth_copying_is_turned_away_before_the_rest_is_asked(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        tokenizer = byte_pairs(of_three_services(300)["question"].to_list(), 400)
        file = recipe_with(place.folder, language_model(tmp_path / "random", tokenizer))
        result = place.run(file)
        closed = {gate for gate, is_open in verdicts(result).items() if not is_open}
        assert closed == {"teacher_accuracy_reaches_the_minimum", "probability_is_on_the_labels"}
        said = place.states(TEACHER)
        assert said["teacher_accuracy_reaches_the_minimum"].sentence.startswith("accuracy 0.")
        assert "give labels the `words` that it would write" in said["probability_is_on_the_labels"].sentence
        assert not place.builds.ledger.entries("small", "materialization", subject=f"small/{BASELINES}")
        assert not [*place.home.signal.rglob("*.parquet")], "the pilot asks validation rows, and keeps no signal"


def test_other_weights_at_the_same_source_are_another_teacher(tmp_path: Path, taught: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        model = tmp_path / "model"
        model.mkdir()
        for path in taught.iterdir():
            (model / path.name).write_bytes(path.read_bytes())
        file = recipe_with(place.folder, model)
        assert place.run(file, CONTRACT, "source", "prompts", TEACHER).success
        weights = load_file(model / "model.safetensors")
        weights["model.norm.weight"] += 0.01
        save_file(weights, model / "model.safetensors", {"format": "pt"})
        result = place.run(file, CONTRACT)
        assert [gate for gate, is_open in verdicts(result).items() if not is_open] == [
            "the_weights_are_the_pinned_ones"
        ]
        detail = place.states(CONTRACT)["the_weights_are_the_pinned_ones"].sentence
        assert f"accept these with `fingerprint: {fingerprint_of(model)}` in the recipe's teacher" in detail


@pytest.mark.parametrize(
    ("teacher", "prompt", "says"),
    [
        ({"fingerprint": "0" * 64}, PROMPT, "teacher.fingerprint: the weights are"),
        ({"causal_lm": {"words": {"DESC": "what"}}}, PROMPT, "a word for 'DESC', which no row has as its label"),
        ({}, "{text} {answer}", "the prompt does not end in {answer} after some words of its own"),
        ({}, "{text}\nService: {answer} it is", "the prompt does not end in {answer}"),
        ({}, "Service: {answer}", "the prompt has no {text}"),
    ],
)
def test_the_check_finds_what_would_stop_it(
    tmp_path: Path, taught: Path, teacher: dict[str, Any], prompt: str, says: str
) -> None:
    file = recipe_with(tmp_path, taught, **teacher)
    (tmp_path / "prompt.md").write_text(prompt)
    (line,) = check(Recipes((file,), ())).mistakes[file.name]
    assert says in line and ": teacher." in line
