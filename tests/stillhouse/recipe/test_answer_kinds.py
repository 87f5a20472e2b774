"""What does not go with sets of labels is refused in its line, with what to write there; and the other way round."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import read_recipe
from tests.stillhouse.recipe.test_reading import BASE, DEMO, ELSEWHERE, LANGUAGE_MODEL, MEMBER, SERVER, written

BCE = {"epochs": 2, "loss": "bce"}
STUDENT = {"name": "a", "layers": [0], "training": BCE}
AWAY = {"base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None}
CHEAPER = {"model": "small", "settings": {"max_tokens": 9}, "usd_per_million_in": 0.1, "usd_per_million_out": 0.2}


def recipe(folder: Path, **changes: Any) -> Path:
    """The demo as one of sets of labels."""
    document = yaml.safe_load(DEMO.read_text())
    own = document["attributes"]
    for part in ("behaviour", "sensitive"):
        own.pop(part, None)
    own["data"]["answer"] = "multi_label"
    own["data"]["provenance"] = {"teacher_may_see": ["internal"]}
    own["students"] = [STUDENT]
    own["bar"] = {"margin": 0.04}
    own["pain"] = ["latency"]
    for name, value in changes.items():
        if value is None:
            own.pop(name, None)
        else:
            own[name] = {**own[name], **value} if name in ("data", "bar") else value
    return written(folder, document)


def student(**training: Any) -> dict[str, Any]:
    return {"students": [{**STUDENT, "training": {"epochs": 2, **training}}]}


def refused_in_its_line(path: Path, field: str, says: str) -> None:
    """Read a recipe of which one field is refused, and hold the message against field and line."""
    with pytest.raises(StillhouseError, match=says) as refused:
        read_recipe(path)
    (line,) = str(refused.value).splitlines()
    where, _, rest = line.removeprefix(f"{path}:").partition(": ")
    assert rest.startswith(f"{field}: ")
    last = next(part for part in reversed(field.split(".")) if not part.isdecimal())
    assert last in path.read_text().splitlines()[int(where) - 1], "the line is the field's"


def of_server(**ask: Any) -> dict[str, Any]:
    return {"teacher": {**SERVER, "ask": {**SERVER["ask"], **ask}}, **AWAY}


def of_stored(**changes: Any) -> dict[str, Any]:
    return {"teacher": {**ELSEWHERE, **changes}, **AWAY}


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        (student(loss="kl"), "students.0.training.loss", "kl is about one label of several.*use bce"),
        (student(loss="dkd"), "students.0.training.loss", "dkd is about one label"),
        (student(loss="standardised_kl"), "students.0.training.loss", "standardised_kl is about one label"),
        (
            student(loss="bce", mixture=[{"loss": "kl"}]),
            "students.0.training.mixture.0.loss",
            "kl is about one label of several",
        ),
        (
            {"students": [STUDENT, {**STUDENT, "name": "b", "learns_from": "labels",
                                    "training": {"loss": "labels", "contrast_weight": 1}}]},
            "students.1.training.contrast_weight",
            "some of their labels in common",
        ),
        ({"bar": {"metric": "macro_f1"}}, "bar.metric", "macro_f1 is of one label.*use accuracy"),
        ({"bar": {"metric": "field_f1"}}, "bar.metric", "field_f1 is of records.*multi_label use accuracy"),
        (
            {"data": {"answer": "single_label"}, "bar": {"metric": "field_f1"}, **student(loss="kl")},
            "bar.metric",
            "field_f1 is of records.*single_label use accuracy",
        ),
        (
            {"teacher": {"kind": "ensemble", "ensemble": {"members": {"x": MEMBER, "y": MEMBER}, "combine": "median"},
                         "minimum_accuracy": 0.5, "reason": "They answer today."}, **AWAY},
            "teacher.ensemble.combine",
            "median is of numbers.*use log_probabilities",
        ),
        ({"bar": {"calibration_error_at_most": 0.1}}, "bar.calibration_error_at_most", "must be left out"),
        ({"sensitive": [{"column": "region"}]}, "sensitive", "it counts by class"),
        (
            {"behaviour": [{"name": "n", "kind": "minimum", "critical": True,
                            "cases": [{"text": "Who ?", "label": "HUM"}]}]},
            "behaviour",
            "it counts by class",
        ),
        (of_server(soft_labels={"by": "logprobs"}), "teacher.ask.soft_labels.by", "a letter is one label.*use samples"),
        (
            {"teacher": {**SERVER, "alternatives": [{**CHEAPER, "soft_labels": {"by": "logprobs"}}]}, **AWAY},
            "teacher.alternatives.0.soft_labels.by",
            "a letter is one label of several",
        ),
        (
            {"teacher": {**SERVER, "ask": {**SERVER["ask"], "structured": True}, "answers": {"rationale": "labels"}},
             **AWAY},
            "teacher.answers.rationale",
            "another name than labels",
        ),
        (
            {"teacher": LANGUAGE_MODEL, **AWAY},
            "teacher.kind",
            r"causal_lm says how probable each label is beside the others.*ask it behind a server \(kind: endpoint\)",
        ),
        (
            of_stored(answers={"probabilities": "shares"}),
            "teacher.answers.probabilities",
            "read as those of one label",
        ),
        (
            {"teacher": {"kind": "ensemble", "ensemble": {"members": {"x": MEMBER, "y": LANGUAGE_MODEL}},
                         "minimum_accuracy": 0.5, "reason": "They answer today."}, **AWAY},
            "teacher.ensemble.members.y.kind",
            "causal_lm says how probable each label is",
        ),
        (
            {"teacher": {"kind": "ensemble", "ensemble": {"members": {"x": MEMBER, "y": MEMBER}, "combine": "votes"},
                         "minimum_accuracy": 0.5, "reason": "They answer today."}, **AWAY},
            "teacher.ensemble.combine",
            "use log_probabilities",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_with_sets_of_labels_is_refused_in_its_line(
    tmp_path: Path, changes: dict[str, Any], field: str, says: str
) -> None:
    refused_in_its_line(recipe(tmp_path, **changes), field, says)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        student(loss="logit_mse"),
        student(loss="answers", smoothing=0.2),
        student(loss="bce", temperature=2.0, embedding_weight=1.0, mixture=[{"loss": "logit_mse"}]),
        {"students": [STUDENT, {**STUDENT, "name": "b", "learns_from": "labels", "training": {"loss": "labels"}}]},
        of_stored(),
        of_stored(ask={"model": "m"}),
        of_server(),
        of_server(structured=True),
        of_server(soft_labels={"by": "samples", "samples": 3}, settings={"temperature": 1, "max_tokens": 60}),
        {**of_server(), "cascade": {"margin": 0.05}},
        {"teacher": {**SERVER, "alternatives": [CHEAPER]}, **AWAY},
        {"teacher": {"kind": "ensemble", "ensemble": {"members": {"x": MEMBER, "y": SERVER}}, "minimum_accuracy": 0.5,
                     "reason": "They answer today."}, **AWAY},
        {"teacher": {"kind": "ensemble", "ensemble": {"members": {"x": MEMBER, "y": MEMBER}}, "minimum_accuracy": 0.5,
                     "reason": "They answer today."}, **AWAY},
    ],
)  # fmt: skip
def test_what_goes_with_sets_of_labels_is_read_back_as_it_was(tmp_path: Path, changes: dict[str, Any]) -> None:
    read = read_recipe(recipe(tmp_path, **changes)).recipe
    assert read.data.answer == "multi_label" and Recipe.model_validate_json(read.model_dump_json()) == read


def test_a_stored_answer_teaches_a_set_by_bce_and_by_no_logits(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=r"logit_mse needs a teacher that gives logits.*use bce alone"):
        read_recipe(recipe(tmp_path, **of_stored(), **student(loss="logit_mse")))


def test_a_loss_of_sets_is_refused_for_one_label_and_nothing_else_of_a_recipe_changes(tmp_path: Path) -> None:
    path = recipe(tmp_path, data={"answer": "single_label"})
    with pytest.raises(StillhouseError, match=r"students.0.training.loss: bce is about labels .* use kl"):
        read_recipe(path)
