"""Teachers that answer with sets of labels: stored answers, a classifier of sigmoids, several together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from scipy.special import expit

from stillhouse.arrays import FloatArray
from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import COMPONENT_TYPE, RecipeFile, read_recipe
from stillhouse.recipe.teacher import Combination
from stillhouse.tasks.label_sets import written_set
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.classifier import outputs_in_order, take_classifier
from stillhouse.teachers.ensemble import EnsembleTeacher, Member
from stillhouse.teachers.stored import Failure, StoredTeacher, held_to
from stillhouse.teachers.stored_answers import read_answers
from stillhouse.teachers.verification import verify_signal
from tests.stillhouse.models.encoders import QUESTIONS, published
from tests.stillhouse.teachers.answered import DEMO, written

TASK = MultiLabel(("access", "billing", "other"))


def recipe(folder: Path, **data: Any) -> RecipeFile:
    own = yaml.safe_load(DEMO.read_text())["attributes"]
    for part in ("behaviour", "sensitive"):
        own.pop(part, None)
    own["teacher"] = {
        "kind": "stored", "source": str(folder / "replies.jsonl"), "revision": "October", "licence": "its terms",
        "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8,
    }  # fmt: skip
    own["base"] = {"source": "encoder", "revision": "1", "licence": "Apache-2.0"}
    own["budget"], own["bar"] = {"latency_ms_at_most": 20}, {"margin": 0.05}
    own["students"] = [{"name": "one", "layers": [0], "training": {"loss": "bce"}}]
    own["data"] |= {"answer": "multi_label", **data}
    path = folder / "recipes" / "tickets" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": own}))
    return read_recipe(path)


@pytest.mark.parametrize(
    ("answer", "label", "failure"),
    [
        ("billing;access", '["access","billing"]', None),
        (["Billing", "access"], '["access","billing"]', None),
        ('["billing", "Access."]', '["access","billing"]', None),
        ("billing", '["billing"]', None),
        ("bill; other;", '["billing","other"]', None),
        ([], "[]", None),
        ("none", "[]", None),
        (["None."], "[]", None),
        ("both", '["access","billing"]', None),
        ("spam;billing", '["billing"]', None),
        ("spam", None, Failure.NO_LABEL),
        ("lost", None, Failure.NO_LABEL),
        ('["\\ud83d"]', None, Failure.NO_LABEL),
        ("[]", "[]", None),
        ("", None, Failure.EMPTY),
        (None, None, Failure.EMPTY),
        ("billing;weather", None, Failure.NO_LABEL),
        ("[billing", None, Failure.NO_LABEL),
        ("I think it is billing", None, Failure.NO_LABEL),
    ],
)
def test_a_stored_answer_is_a_set_or_says_why_it_is_none(
    tmp_path: Path, answer: object, label: str | None, failure: str | None
) -> None:
    lines = [{"text": "the text", "answer": answer}, {"text": "another", "answer": "other"}]
    written(tmp_path / "replies.jsonl", lines)
    spellings = {"bill": "billing", "none": "[]", "both": "bill;access", "spam": "", "lost": "weather"}
    answers = held_to(read_answers(recipe(tmp_path)).answers, TASK.names, spellings, "multi_label")
    asked = pl.DataFrame([prompt_ids(pl.Series("text", ["the text"])), pl.Series("text", ["the text"])])
    said = with_answers(StoredTeacher(answers, 0.9, TASK).ask(asked), TASK)
    assert said["answer"].to_list() == [label] and said["failure"].to_list() == [failure]
    if label is not None:
        assert said["confidence"][0] == pytest.approx(0.9, abs=1e-4), "as probable as it is right"


def test_two_sets_in_two_orders_are_one_answer_and_two_others_are_two(tmp_path: Path) -> None:
    said = ["billing;access", '["access","billing"]', "other"]
    written(tmp_path / "replies.jsonl", [{"text": "the text", "answer": each} for each in said[:2]])
    found = held_to(read_answers(recipe(tmp_path)).answers, TASK.names, {}, "multi_label")
    assert found.select("answer", "failure").rows() == [('["access","billing"]', None)]
    written(tmp_path / "replies.jsonl", [{"text": "the text", "answer": each} for each in said])
    found = held_to(
        read_answers(read_recipe(tmp_path / "recipes" / "tickets" / "defs.yaml")).answers, TASK.names, {}, "multi_label"
    )
    assert found.select("answer", "failure").rows() == [(None, Failure.TWO_ANSWERS)]


def test_a_classifier_with_a_sigmoid_for_each_label_is_taken_as_it_is(tmp_path: Path) -> None:
    from transformers import pipeline

    from stillhouse.models.predictor import TorchClassifier

    problem = {"problem_type": "multi_label_classification"}
    folder = published("bert", tmp_path / "published", outputs=("billing", "other", "access"), **problem)
    take_classifier(folder, TASK.names, tmp_path / "taken", rename={}, max_tokens=32, answer="multi_label")
    ours = TorchClassifier(tmp_path / "taken").logits(QUESTIONS[:4])
    theirs = pipeline("text-classification", str(folder), top_k=None)
    for row, said in zip(expit(ours), theirs(list(QUESTIONS[:4])), strict=True):
        assert dict(zip(TASK.names, row, strict=True)) == pytest.approx(
            {each["label"]: each["score"] for each in said}, abs=1e-5
        )


@pytest.mark.parametrize(
    ("problem", "answer", "says"),
    [
        (None, "multi_label", "a classifier for one label of several.*Set `data.answer: single_label`"),
        ("single_label_classification", "multi_label", "Set `data.answer: single_label`"),
        ("multi_label_classification", "single_label", "Set `data.answer: multi_label`"),
        ("regression", "multi_label", "no task of Stillhouse yet"),
    ],
)
def test_a_classifier_that_answers_otherwise_is_refused_and_says_which_answer_it_has(
    tmp_path: Path, problem: str | None, answer: Any, says: str
) -> None:
    names = {str(number): name for number, name in enumerate(TASK.names)}
    config = {"architectures": ["BertForSequenceClassification"], "id2label": names, "problem_type": problem}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StillhouseError, match=says):
        outputs_in_order(tmp_path, TASK.names, {}, answer)


class Fake:
    """A teacher that says the same to every prompt."""

    def __init__(self, name: str, logits: list[float]) -> None:
        self.fingerprint, self.logits = name * 64, logits

    def verify(self) -> None:
        pass

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        from stillhouse.teachers.columns import ANSWER_SCHEMA

        rows = {"prompt_id": prompts["prompt_id"], "logits": [self.logits] * prompts.height, "tokens": 1}
        return pl.DataFrame({**dict.fromkeys(ANSWER_SCHEMA, [None] * prompts.height), **rows}, schema=ANSWER_SCHEMA)


def test_members_together_give_the_mean_of_their_log_odds_and_say_who_differs() -> None:
    members = [Member(Fake("a", [4.0, -4.0, 2.0]), 2.0, 0.9), Member(Fake("b", [1.0, 1.0, -3.0]), 1.0, 0.8)]
    teacher = EnsembleTeacher(members, Combination.LOG_PROBABILITIES, TASK)
    said = teacher.ask(pl.DataFrame({"prompt_id": ["p"], "text": ["P"]}))
    assert said["logits"].to_list()[0] == pytest.approx([1.5, -0.5, -1.0])
    assert said["disagreement"].to_list() == [1.0], "neither gives the set that both together give"


def as_prompts(labels: list[str | None], said: FloatArray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training rows and what was said of them."""
    ids = [f"p{number:04}" for number in range(len(labels))]
    prompts = pl.DataFrame(
        {"prompt_id": ids, "text": ids, "label": labels, "split": "train", "batch": "base", "row_kind": "real"},
        schema_overrides={"label": pl.String},
    )
    return prompts, pl.DataFrame({"prompt_id": ids, "logits": said.tolist(), "embedding": None, "failure": None})


def test_a_row_is_left_out_where_a_known_set_is_another_by_one_label() -> None:
    labels = ['["access"]', '["access"]', '["access"]', None, None]
    said = np.array([[3, -3, -3], [3, 3, -3], [0.1, -0.1, -3], [6, -6, -6], [0.1, -0.1, -6.0]])
    found = verify_signal(*as_prompts(labels, said), TASK)
    assert found.kept["prompt_id"].to_list() == ["p0000", "p0002", "p0003", "p0004"]
    assert found.rejects["reason"].to_list() == [RejectReason.CONTRADICTS_LABEL]


def test_a_calibrated_teacher_of_many_labels_keeps_its_rows() -> None:
    """Regression: of 28 labels, each 97 % sure and right as often, the product is 0.43, and every row was left out."""
    names = tuple(f"label {number:02}" for number in range(28))
    task, random, rows = MultiLabel(names), np.random.default_rng(0), 1000
    answered = random.random((rows, 28)) < 0.1
    truth = answered ^ (random.random((rows, 28)) >= 0.97)
    said = np.where(answered, 1.0, -1.0) * np.log(0.97 / 0.03)
    assert task.confidence(said).max() < 0.43
    sets = [written_set(name for name, there in zip(names, row, strict=True) if there) for row in truth]
    known = [label if number % 2 else None for number, label in enumerate(sets)]
    found = verify_signal(*as_prompts(known, said), task)
    right = task.right(said, task.targets(pl.Series(sets)))
    assert 0.35 < right.mean() < 0.5, "the product is how often the whole set is right"
    assert found.kept["label"].null_count() == rows // 2, "what nobody knows is learned with its probabilities"
    assert found.kept["label"].count() == right[1::2].sum() and found.rejects.height == (~right[1::2]).sum()
    assert {*found.rejects["reason"]} == {RejectReason.CONTRADICTS_LABEL}
