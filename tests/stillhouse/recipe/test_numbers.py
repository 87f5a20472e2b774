"""What does not go with numbers is refused in its line, with what to write there; and the other way round."""

from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import InvalidRecipeError, read_recipe
from tests.stillhouse.recipe.test_answer_kinds import (
    AWAY,
    CHEAPER,
    STUDENT,
    of_server,
    of_stored,
    refused_in_its_line,
    student,
)
from tests.stillhouse.recipe.test_answer_kinds import recipe as other_recipe
from tests.stillhouse.recipe.test_reading import ELSEWHERE, LANGUAGE_MODEL, MEMBER, SERVER

STARS = {"lowest": 1, "highest": 5, "tolerance": 0.5}
SCORE = {"answer": "score", "score": STARS}
HEAD = {**ELSEWHERE, "kind": "classifier", "source": "model", "max_tokens": 128}


def recipe(folder: Path, **changes: Any) -> Path:
    """The demo as one of numbers."""
    data = {**SCORE, "wrong_labels_at_most": 0.05, **changes.pop("data", {})}
    return other_recipe(folder, **{"slices": [], "data": data, **student(loss="logit_mse"), **changes})


def together(other: dict[str, Any], **ensemble: Any) -> dict[str, Any]:
    """A file of answers with another teacher."""
    return {
        "teacher": {"kind": "ensemble", "ensemble": {"members": {"x": ELSEWHERE, "y": other}, **ensemble},
                    "minimum_accuracy": 0.5, "reason": "Two see more than one."},
        **AWAY,
    }  # fmt: skip


def with_score(**changes: Any) -> dict[str, Any]:
    return {"data": {"score": {**STARS, **changes}}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        (student(loss="kl"), "students.0.training.loss", "kl is about labels.*use logit_mse"),
        (student(loss="bce"), "students.0.training.loss", "bce is about labels"),
        (student(loss="answers"), "students.0.training.loss", "answers is about labels"),
        (student(mixture=[{"loss": "kl"}]), "students.0.training.mixture.0.loss", "kl is about labels"),
        (
            {"students": [STUDENT | {"training": {"loss": "logit_mse"}},
                          {**STUDENT, "name": "b", "learns_from": "labels",
                           "training": {"loss": "labels", "contrast_weight": 1}}]},
            "students.1.training.contrast_weight",
            "a number is not a class",
        ),
        ({"bar": {"metric": "macro_f1"}}, "bar.metric", "macro_f1 is of classes.*use accuracy"),
        ({"bar": {"metric": "field_f1"}}, "bar.metric", "field_f1 is of records.*score use accuracy"),
        ({"bar": {"calibration_error_at_most": 0.1}}, "bar.calibration_error_at_most", "a number has no probability"),
        ({"sensitive": [{"column": "region"}]}, "sensitive", "it counts by class"),
        (
            {"slices": [{"name": "good", "column": "label", "values": ["5"], "critical": False}]},
            "slices.0.column",
            "label is a number.*name a further column",
        ),
        (of_server(soft_labels={"by": "logprobs"}), "teacher.ask.soft_labels.by", "use samples, whose mean is"),
        (
            {"teacher": {**SERVER, "alternatives": [{**CHEAPER, "soft_labels": {"by": "logprobs"}}]}, **AWAY},
            "teacher.alternatives.0.soft_labels.by",
            "a letter is one label of several",
        ),
        (
            {"teacher": {**SERVER, "ask": {**SERVER["ask"], "structured": True}, "answers": {"rationale": "score"}},
             **AWAY},
            "teacher.answers.rationale",
            "another name than score",
        ),
        ({"teacher": LANGUAGE_MODEL, **AWAY}, "teacher.kind", "causal_lm answers with labels.*use encoder.*classifier"),
        ({"teacher": {**HEAD, "rename": {"LABEL_0": "score"}}}, "teacher.rename", "the one output of such a head"),
        (of_stored(answers={"probabilities": "shares"}), "teacher.answers.probabilities", "they are those of labels"),
        (together(MEMBER, combine="votes"), "teacher.ensemble.combine", "votes is of labels.*say mean, or median"),
        (
            together(LANGUAGE_MODEL, combine="mean"),
            "teacher.ensemble.members.y.kind",
            "causal_lm answers with labels.*use encoder",
        ),
        (
            together({**SERVER, "ask": {**SERVER["ask"], "soft_labels": {"by": "logprobs"}}}, combine="mean"),
            "teacher.ensemble.members.y.ask.soft_labels.by",
            "use samples, whose mean is",
        ),
        (
            together({**ELSEWHERE, "answers": {"probabilities": "shares"}}, combine="mean"),
            "teacher.ensemble.members.y.answers.probabilities",
            "they are those of labels",
        ),
        (
            {**together(MEMBER, combine="mean"), **student(loss="logit_mse", embedding_weight=1.0)},
            "students.0.training.embedding_weight",
            "there are answers alone: use logit_mse alone",
        ),
        (
            {**of_stored(), **student(loss="logit_mse", embedding_weight=1.0)},
            "students.0.training.embedding_weight",
            "there are answers alone: use logit_mse alone",
        ),
        ({"cascade": {"margin": 0.02}}, "cascade", "a number has none"),
        ({"traffic": {}, "watch": {}, "cascade": {"margin": 0.02}}, "cascade", "a number has none"),
        (with_score(highest=1), "data.score.highest", "at least 0.001 above lowest"),
        (with_score(lowest=0.3333333), "data.score.lowest", "at most six digits after the point"),
        (with_score(tolerance=2), "data.score.tolerance", "one answer is right everywhere"),
        (with_score(tolerance=0), "data.score.tolerance", "greater than 0"),
        ({"data": {"score": None}}, "data.answer", "score must say .lowest, highest, tolerance."),
        ({"data": {"labels": {"good": "5"}}}, "data.labels", "numbers have one spelling already"),
        ({"data": {"wrong_labels_at_most": 0.2}}, "data.wrong_labels_at_most", "nobody looks for numbers"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_numbers_is_refused_in_its_line(
    tmp_path: Path, changes: dict[str, Any], field: str, says: str
) -> None:
    refused_in_its_line(recipe(tmp_path, **changes), field, says)


def test_how_several_numbers_become_one_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(
        StillhouseError, match=r"defs.yaml:\d+: teacher.ensemble.combine: log_probabilities is of labels"
    ):
        read_recipe(recipe(tmp_path, **together(MEMBER)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        student(loss="logit_mse", embedding_weight=1.0, label_weight=0.5),
        {"students": [STUDENT | {"training": {}},
                      {**STUDENT, "name": "b", "learns_from": "labels", "training": {"loss": "labels"}}]},
        {"slices": [{"name": "north", "column": "region", "values": ["north"], "critical": False}]},
        of_stored(),
        {"teacher": HEAD},
        of_server(),
        of_server(structured=True),
        of_server(soft_labels={"by": "samples", "samples": 3}, settings={"temperature": 1, "max_tokens": 9}),
        {"teacher": {**SERVER, "alternatives": [CHEAPER]}, **AWAY},
        together(MEMBER, combine="mean"),
        together(HEAD, combine="mean"),
        together(SERVER, combine="median", agree_at_least=1.0),
        {
            **together(SERVER, combine="mean"),
            "students": [{**STUDENT, "weigh_by_agreement": True, "training": {"loss": "logit_mse"}}],
        },
        of_stored(ask={"model": "m"}, answers={"format": "batch"}, review={}),
        {**of_stored(answers={"rationale": "why"}), **student(loss="logit_mse", embedding_weight=1.0)},
    ],
)  # fmt: skip
def test_what_goes_with_numbers_is_read_back_as_it_was(tmp_path: Path, changes: dict[str, Any]) -> None:
    read = read_recipe(recipe(tmp_path, **changes)).recipe
    assert read.gives_numbers and Recipe.model_validate_json(read.model_dump_json()) == read


def test_numbers_are_kept_watched_and_rolled_out(tmp_path: Path) -> None:
    parts = {"traffic": {"feedback": "sample"}, "watch": {"lengths": ["length=0-80"]}, "rollout": {}}
    north = {"name": "north", "column": "region", "values": ["north"], "critical": True}
    sent = {"slices": [north], "serving": {"request_columns": ["region"]}}
    read = read_recipe(recipe(tmp_path, **parts, **sent)).recipe
    assert read.traffic is not None and read.watch is not None and read.rollout is not None
    assert [each.name for each in read.slices_of_requests] == ["north"] and read.data.tolerance == 0.5


@pytest.mark.parametrize("answer", ["single_label", "multi_label"])
def test_ends_of_numbers_belong_to_numbers_alone(tmp_path: Path, answer: str) -> None:
    path = recipe(tmp_path, data={"answer": answer})
    with pytest.raises(StillhouseError, match=f"data.score: must be left out where answer is {answer}"):
        read_recipe(path)


def test_other_ends_are_another_contract_and_labels_have_none(tmp_path: Path) -> None:
    first, other, labels = (tmp_path / name for name in ("first", "other", "labels"))
    for each in (first, other, labels):
        each.mkdir()
    changed = read_recipe(recipe(other, **with_score(tolerance=0.25))).recipe
    assert read_recipe(recipe(first)).recipe.digest != changed.digest
    of_sets = read_recipe(other_recipe(labels)).recipe
    assert "score" not in of_sets.model_dump()["data"]


PAIRS = {
    "query": "query", "text": "document", "label": "relevance", "source": "pairs.csv", "format": None, "pattern": None,
    "encoding": "utf-8",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"bar": {"metric": "ndcg"}}, "bar.metric", "data.query or data.group must say which rows are of one"),
        ({"bar": {"metric": "recall", "metric_class": "5"}}, "bar.metric", "recall is of classes.*or ndcg"),
        ({"data": {**PAIRS, "answer": "single_label", "score": None}}, "data.query", "are ranked by a number"),
        ({"data": {"answer": "single_label", "score": None}, "bar": {"ndcg_at": 5}, **student(loss="kl")},
         "bar.ndcg_at", "classes are ranked to the last"),
        ({"bar": {"ndcg_at": 0}}, "bar.ndcg_at", "greater than or equal to 1"),
        ({"data": {**PAIRS, "query": "relevance"}, "stress": None}, "data.query", "another column than those with"),
        ({"data": {**PAIRS, "query": "document"}, "stress": None}, "data.query", "another column than those with"),
        ({"data": PAIRS, "stress": {"perturbations": ["typos"]}}, "stress", "keeps query and document apart"),
        ({"data": PAIRS, "stress": None, "traffic": {}}, "traffic", "has no query apart"),
        ({"data": PAIRS, "stress": None, "watch": {}}, "watch", "the order of the documents"),
        ({"data": PAIRS, "stress": None, "rollout": {}}, "rollout", "the order of the documents"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_rankings_is_refused_in_its_line(
    tmp_path: Path, changes: dict[str, Any], field: str, says: str
) -> None:
    refused_in_its_line(recipe(tmp_path, **changes), field, says)


def test_the_documents_of_a_query_are_a_group_unless_another_is_named(tmp_path: Path) -> None:
    for name, more, group in (("one", {}, "query"), ("other", {"group": "query_id"}, "query_id")):
        (tmp_path / name).mkdir()
        path = recipe(tmp_path / name, data={**PAIRS, **more}, bar={"metric": "ndcg", "ndcg_at": 5}, stress=None)
        read = read_recipe(path).recipe
        assert (read.data.group, read.queries) == (group, group) and group in read.kept_columns
        assert Recipe.model_validate_json(read.model_dump_json()) == read
        assert read.field_naming("query") == ("data", "query")


def test_a_recipe_without_queries_and_places_keeps_its_digest(tmp_path: Path) -> None:
    dumped = read_recipe(recipe(tmp_path)).recipe.model_dump()
    assert "query" not in dumped["data"] and "ndcg_at" not in dumped["bar"]


def test_all_that_does_not_go_with_numbers_is_said_at_once(tmp_path: Path) -> None:
    """Whoever turns a recipe of classes into one of numbers mends it in one go, and one field has one reason."""
    by_class = {"name": "good", "column": "label", "values": ["5"], "critical": False}
    there = recipe(
        tmp_path, slices=[by_class], bar={"metric": "field_f1"}, sensitive=[{"column": "region"}], **student(loss="kl")
    )
    with pytest.raises(InvalidRecipeError) as refused:
        read_recipe(there)
    fields = [line.removeprefix(f"{there}:").split(": ")[1] for line in refused.value.lines]
    assert fields == ["students.0.training.loss", "bar.metric", "slices.0.column", "sensitive"]
    lines = {int(line.removeprefix(f"{there}:").split(":")[0]) for line in refused.value.lines}
    assert len(lines) == len(fields)
