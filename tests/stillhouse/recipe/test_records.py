"""What a recipe of records may ask for: each mistake is refused in its line, before anything is computed."""

from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import answer_spec_in
from stillhouse.recipe.reading import read_recipe
from stillhouse.recipe.record import RecordSpec
from tests.stillhouse.recipe.test_answer_kinds import (
    AWAY,
    CHEAPER,
    ELSEWHERE,
    LANGUAGE_MODEL,
    MEMBER,
    SERVER,
    STUDENT,
    of_server,
    of_stored,
    refused_in_its_line,
    student,
)
from tests.stillhouse.recipe.test_answer_kinds import recipe as other_recipe

FIELDS: dict[str, Any] = {
    "vendor": {"kind": "verbatim"}, "currency": {"kind": "choice", "of": ["EUR", "USD"]},
}  # fmt: skip


def recipe(folder: Path, **changes: Any) -> Path:
    """The demo as one of records."""
    data = {"answer": "fields", "fields": FIELDS, "wrong_labels_at_most": 0.05, **changes.pop("data", {})}
    return other_recipe(
        folder, **{"slices": [], "stress": None, "data": data, **of_stored(), **student(loss="kl"), **changes}
    )


def together(other: dict[str, Any], **ensemble: Any) -> dict[str, Any]:
    """A file of answers with another teacher."""
    members = {"x": ELSEWHERE, "y": other}
    return {
        "teacher": {"kind": "ensemble", "ensemble": {"members": members, **ensemble}, "minimum_accuracy": 0.5,
                    "reason": "Two see more than one."},
        **AWAY,
    }  # fmt: skip


CLASSIFIER = {**ELSEWHERE, "kind": "classifier", "source": "model"}
HERE = {"base": None, "budget": {"latency_ratio_at_least": 2, "size_ratio_at_least": 2}}
"""What goes with a teacher that computes here."""


def of_fields(**changed: Any) -> dict[str, Any]:
    return {"data": {"fields": {**FIELDS, **changed}}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        (student(loss="bce"), "students.0.training.loss", "bce compares outputs of labels.*use kl, answers or labels"),
        (student(loss="kl", mixture=[{"loss": "bce"}]), "students.0.training.mixture.0.loss", "bce compares outputs"),
        (
            {"students": [STUDENT | {"training": {"loss": "kl"}},
                          {**STUDENT, "name": "b", "learns_from": "labels",
                           "training": {"loss": "labels", "contrast_weight": 1}}]},
            "students.1.training.contrast_weight",
            "a record is not a class",
        ),
        ({"students": [STUDENT | {"layers": [], "training": {"loss": "kl"}}]}, "students.0.layers", "knows no places"),
        (
            of_fields(**{"Total  Sum": {"kind": "verbatim"}}),
            "data.fields.Total  Sum",
            "must be words with one blank between them.*, not 'Total  Sum'",
        ),
        ({"bar": {"metric": "macro_f1"}}, "bar.metric", "macro_f1 is of classes.*all fields right, or field_f1"),
        ({"bar": {"calibration_error_at_most": 0.1}}, "bar.calibration_error_at_most", "must be left out"),
        ({"sensitive": [{"column": "region"}]}, "sensitive", "it counts by class"),
        ({"stress": {}}, "stress", "it would change words"),
        ({"cascade": {"margin": 0.02}}, "cascade", "must be left out"),
        (
            {"slices": [{"name": "good", "column": "label", "values": ["5"], "critical": False}]},
            "slices.0.column",
            "label is a record.*name a further column",
        ),
        (
            of_server(soft_labels={"by": "logprobs"}),
            "teacher.ask.soft_labels.by",
            "a letter is one label.*use samples, of which the share that has a value",
        ),
        (
            {"teacher": {**SERVER, "alternatives": [CHEAPER | {"soft_labels": {"by": "logprobs"}}]}, **AWAY},
            "teacher.alternatives.0.soft_labels.by",
            "a letter is one label.*use samples",
        ),
        (
            {"teacher": {**SERVER, "ask": {"model": "m", "structured": True}, "answers": {"rationale": "vendor"}},
             **AWAY},
            "teacher.answers.rationale",
            "another name than vendor, which is a field",
        ),
        (
            together(LANGUAGE_MODEL),
            "teacher.ensemble.members.y.kind",
            "causal_lm answers with labels.*use stored.*, endpoint.*, or encoder",
        ),
        ({"teacher": CLASSIFIER, **HERE}, "teacher.kind", "classifier answers with labels"),
        (
            {"teacher": MEMBER | {"training": {"loss": "labels", "contrast_weight": 1}}, **HERE},
            "teacher.training.contrast_weight",
            "a record is not a class",
        ),
        (
            together({**ELSEWHERE, "answers": {"probabilities": "p"}}),
            "teacher.ensemble.members.y.answers.probabilities",
            "those of labels",
        ),
        ({"bar": {"fields": {"total": {"critical": True}}}}, "bar.fields.total", "this name, only currency, vendor"),
        (
            {"bar": {"fields": {"vendor": {"critical": True}}},
             "slices": [{"name": "vendor", "column": "region", "values": ["5"], "critical": False}]},
            "bar.fields.vendor",
            "a slice has this name",
        ),
        ({"teacher": LANGUAGE_MODEL, **AWAY}, "teacher.kind", "causal_lm answers with labels"),
        (of_stored(answers={"probabilities": "p"}), "teacher.answers.probabilities", "those of labels"),
        ({"data": {"fields": None}}, "data.answer", "fields must say what a record holds"),
        ({"data": {"fields": {}}}, "data.answer", "fields must say what a record holds"),
        ({"data": {"labels": {"good": "5"}}}, "data.labels", "a choice names its own values"),
        ({"data": {"wrong_labels_at_most": 0.2}}, "data.wrong_labels_at_most", "nobody looks for records"),
        ({"data": {"words_at_most": 1}}, "data.words_at_most", "greater than or equal to 2"),
        (of_fields(currency={"kind": "choice", "of": ["EUR"]}), "data.fields.currency.of", "at least two values"),
        (of_fields(currency={"kind": "choice", "of": ["EUR", "eur"]}), "data.fields.currency.of", "than their case"),
        (of_fields(vendor={"kind": "verbatim", "of": ["a", "b"]}), "data.fields.vendor.of", "what the text says"),
        ({"data": {"words_at_most": 3}}, "data.fields", "vendor may have 4 words, and 3 are read of a text"),
        (of_fields(vendor={"kind": "amount"}), "data.fields.vendor.kind", "verbatim"),
        (of_fields(vendor={"kind": "number", "of": ["1", "2"]}), "data.fields.vendor.of", "what the text says"),
        (of_fields(vendor={"kind": "number", "decimal": ","}), "data.fields.vendor.decimal", "point"),
        (of_fields(vendor={"kind": "date", "order": "year_first"}), "data.fields.vendor.order", "day_first"),
        (of_fields(vendor={"kind": "number", "order": "day_first"}), "data.fields.vendor.order", "how dates are read"),
        (
            of_fields(vendor={"kind": "verbatim", "decimal": "point"}),
            "data.fields.vendor.decimal",
            "how numbers are read",
        ),
        (
            of_fields(vendor={"kind": "verbatim", "words_at_most": 16}, other={"kind": "verbatim", "words_at_most": 16},
                      more={"kind": "verbatim", "words_at_most": 16}, last={"kind": "verbatim", "words_at_most": 17}),
            "data.fields.last.words_at_most",
            "less than or equal to 16",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_with_records_is_refused_in_its_line(
    tmp_path: Path, changes: dict[str, Any], field: str, says: str
) -> None:
    refused_in_its_line(recipe(tmp_path, **changes), field, says)


def test_more_answers_than_can_be_kept_are_refused(tmp_path: Path) -> None:
    wide = {name: {"kind": "verbatim", "words_at_most": 16} for name in "abcde"}
    refused_in_its_line(recipe(tmp_path, data={"fields": wide}), "data.fields", "5,120 runs of words.*4,096")
    many = {f"c{number}": {"kind": "choice", "of": ["a", "b", "c", "d"]} for number in range(31)}
    (tmp_path / "many").mkdir()
    refused_in_its_line(recipe(tmp_path / "many", data={"fields": many}), "data.fields", "different records")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        student(loss="answers", smoothing=0.2),
        student(loss="kl", temperature=2.0, label_weight=0.5),
        of_stored(answers={"format": "batch", "requests": "sent.jsonl"}),
        of_stored(answers={"format": "batch"}, ask={"model": "m"}, review={"size": 40}),
        of_server(),
        of_server(structured=True, soft_labels={"by": "samples"}, settings={"max_tokens": 90, "temperature": 1}),
        {"teacher": {**SERVER, "alternatives": [CHEAPER], "review": {"size": 40}}, **AWAY},
        {"teacher": {**SERVER, "ask": {"model": "m", "structured": True}, "answers": {"rationale": "why"}}, **AWAY},
        {"teacher": MEMBER, **HERE},
        {"teacher": MEMBER | {"fine_tune": False}, **HERE},
        together(SERVER),
        together(MEMBER),
        together(SERVER, combine="votes", agree_at_least=1.0),
        {"data": {"words_at_most": 32}},
        {"bar": {"metric": "field_f1", "margin": 0.03}},
        of_fields(total={"kind": "number", "decimal": "comma", "optional": True}),
        of_fields(due={"kind": "date", "order": "day_first", "words_at_most": 6}),
        {"slices": [{"name": "north", "column": "region", "values": ["north"], "critical": False}]},
        {
            "bar": {
                "fields": {"vendor": {"critical": True, "margin": 0.04, "floor": 0.9}, "currency": {"critical": False}}
            }
        },
    ],
)
def test_what_goes_with_records_is_read_back_as_it_was(tmp_path: Path, changes: dict[str, Any]) -> None:
    read = read_recipe(recipe(tmp_path, **changes)).recipe
    assert read.gives_records and Recipe.model_validate_json(read.model_dump_json()) == read
    assert answer_spec_in(read.model_dump(mode="json")) == read.data.record
    assert read.data.particulars == {"record": read.data.record.model_dump(mode="json")}  # type: ignore[union-attr]


NO_SETTINGS: dict[str, Any] = {"teacher": {**SERVER, "ask": {"model": "m"}}, **AWAY}


def test_where_the_recipe_says_nothing_of_it_an_answer_may_be_as_long_as_a_record(tmp_path: Path) -> None:
    """Regression: of a record of several fields 32 tokens were written, which is none.

    By hand: 16 around the record, 8 and their names around `vendor` and `currency`, 8 for each of four words, 3 of EUR.
    """
    read = read_recipe(recipe(tmp_path, **NO_SETTINGS)).recipe
    assert read.teacher.ask is not None and read.teacher.ask.settings == {"temperature": 0, "max_tokens": 81}
    (tmp_path / "why").mkdir()
    teacher = {**SERVER, "ask": {"model": "m", "structured": True}, "answers": {"rationale": "why"}}
    asked = read_recipe(recipe(tmp_path / "why", teacher=teacher, **AWAY)).recipe.teacher.ask
    assert asked is not None and asked.settings["max_tokens"] == 81 + 64
    cheaper = {name: value for name, value in CHEAPER.items() if name != "settings"}
    (tmp_path / "others").mkdir()
    teacher = {**SERVER, "alternatives": [cheaper, {**CHEAPER, "name": "said"}]}
    others = read_recipe(recipe(tmp_path / "others", teacher=teacher, **AWAY)).recipe.teacher.alternatives
    assert [each.settings["max_tokens"] for each in others] == [81, 9]
    (tmp_path / "members").mkdir()
    members = read_recipe(recipe(tmp_path / "members", **together(NO_SETTINGS["teacher"]))).recipe.teacher.members
    assert members["y"].ask is not None and members["y"].ask.settings["max_tokens"] == 81


def test_a_recipe_that_says_how_long_an_answer_may_be_keeps_its_digest(tmp_path: Path) -> None:
    written = recipe(tmp_path, **of_server(settings={"temperature": 0, "max_tokens": 32}))
    read = read_recipe(written).recipe
    assert read.teacher.ask is not None and read.teacher.ask.settings["max_tokens"] == 32
    (tmp_path / "labels").mkdir()
    labels = read_recipe(other_recipe(tmp_path / "labels", **NO_SETTINGS)).recipe.teacher.ask
    assert labels is not None and labels.settings == {"temperature": 0, "max_tokens": 32}


@pytest.mark.parametrize("kind", ["verbatim", "number", "date"])
def test_answers_that_are_records_are_kept_watched_and_compared(tmp_path: Path, kind: str) -> None:
    parts = {"traffic": {}, "watch": {}, "rollout": {"shadow": {"judge_by": "teacher"}}}
    read = read_recipe(recipe(tmp_path, **parts, **of_fields(vendor={"kind": kind}))).recipe
    assert read.traffic is not None and read.watch is not None and read.rollout is not None


@pytest.mark.parametrize("answer", ["single_label", "multi_label"])
def test_fields_belong_to_records_alone(tmp_path: Path, answer: str) -> None:
    for data in ({"fields": FIELDS}, {"fields": None, "words_at_most": 9}):
        folder = tmp_path / str(len(data))
        folder.mkdir()
        path = recipe(folder, data={"answer": answer, **data})
        with pytest.raises(StillhouseError, match=f"must be left out where answer is {answer}"):
            read_recipe(path)


def test_a_bar_of_labels_asks_nothing_of_fields(tmp_path: Path) -> None:
    path = other_recipe(tmp_path, **of_stored(), **student(loss="bce"), bar={"fields": {"a": {"critical": True}}})
    refused_in_its_line(path, "bar.fields", "must be left out where data.answer is multi_label")


def test_fields_have_one_order_however_a_recipe_names_them() -> None:
    """A record.json or config.json may be sorted, and outputs go by this order."""
    fields = {"b": {"kind": "verbatim"}, "a": {"kind": "choice", "of": ["y", "x"]}}
    spec = RecordSpec.model_validate({"fields": fields, "words": 5})
    assert [*spec.fields] == ["a", "b"] and spec.fields["a"].of == ("y", "x")
    assert spec == RecordSpec.model_validate({"fields": dict(reversed(fields.items())), "words": 5})


def test_a_field_that_says_nothing_of_a_decimal_sign_is_written_as_it_was() -> None:
    """So that the recipe of a record, and all that was made for it, keeps its digest."""
    spec = RecordSpec.model_validate({"fields": {"a": {"kind": "verbatim"}}, "words": 5})
    written = {"kind": "verbatim", "of": [], "optional": False, "words_at_most": 4}
    assert spec.model_dump(mode="json") == {"fields": {"a": written}, "words": 5}


def test_a_recipe_of_labels_says_nothing_of_records(tmp_path: Path) -> None:
    written = read_recipe(other_recipe(tmp_path, **of_stored(), **student(loss="bce"))).recipe.model_dump()["data"]
    assert not {"fields", "words_at_most"} & set(written) and ELSEWHERE
    assert RecordSpec.in_recipe({"data": written}) is None
