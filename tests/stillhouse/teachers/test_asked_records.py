"""What a server is asked for where an answer is a record: its fields in words, and the form that it is held to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.asking import AskSpec
from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.tasks.records import RecordFault
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.asked_records import forms_of, in_words
from stillhouse.teachers.requests import asking_of, body_of
from stillhouse.teachers.said_records import records_in
from tests.stillhouse.teachers.answered import recipe

FIELDS = {
    "payee": FieldSpec(kind="verbatim", words_at_most=3),
    "due": FieldSpec(kind="verbatim", words_at_most=1, optional=True),
    "currency": FieldSpec(kind="choice", of=("EUR", "US dollar")),
    "urgent": FieldSpec(kind="choice", of=("yes", 'no "hurry"'), optional=True),
}


def of_records(folder: Path, *, why: str | None = None, **spec: Any) -> Asking:
    """What an endpoint is asked by a recipe of records."""
    file = recipe(folder)
    changes = {
        "kind": TeacherKind.ENDPOINT,
        "ask": AskSpec(model="large", **spec),
        "answers": AnswersSpec(rationale=why),
    }
    teacher = file.recipe.teacher.model_copy(update=changes)
    data = file.recipe.data.model_copy(update={"answer": "fields", "fields": FIELDS})
    file = replace(file, recipe=file.recipe.model_copy(update={"teacher": teacher, "data": data}))
    return asking_of(file, ["an", "output"])


def test_a_record_is_asked_for_as_an_object_whose_fields_are_described(tmp_path: Path) -> None:
    asking = of_records(tmp_path)
    body = body_of(asking, "Pay {fields} {task} now")
    lines = body["messages"][0]["content"].splitlines()
    begin = lines.index("Answer with a JSON object of these fields, and nothing else:") + 1
    assert lines[begin : begin + 4] == [
        '"currency": one of "EUR", "US dollar"',
        '"due": one word of the text, exactly as it is written there, or null where the text says none',
        '"payee": words that follow each other in the text, exactly as they are written there and at most 3, where a '
        "sign such as a comma counts as a word",
        '"urgent": one of "yes", "no \\"hurry\\"", or null where the text says none',
    ]
    assert lines[-1] == "Pay {fields} {task} now", "a text is asked as it is"
    assert "response_format" not in body and "an output" not in body["messages"][0]["content"]
    assert asking.record is not None and [*asking.record.fields] == sorted(FIELDS)


def test_the_form_of_a_record_has_every_field_and_null_where_one_may_be_left_out(tmp_path: Path) -> None:
    form = body_of(of_records(tmp_path, structured=True), "a text")["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"] == {
        "type": "object", "required": ["currency", "due", "payee", "urgent"], "additionalProperties": False,
        "properties": {
            "currency": {"type": "string", "enum": ["EUR", "US dollar"]},
            "due": {"type": ["string", "null"]},
            "payee": {"type": "string"},
            "urgent": {"type": ["string", "null"], "enum": ["yes", 'no "hurry"', None]},
        },
    }  # fmt: skip


def test_a_number_and_a_date_are_asked_for_in_the_spelling_that_has_one_reading(tmp_path: Path) -> None:
    fields = {"total": FieldSpec(kind="number"), "due": FieldSpec(kind="date", optional=True)}
    spec = RecordSpec(fields=fields, words=16)
    assert in_words(spec) == [
        '"due": a date of the text, as year, month and day, such as "2026-11-30", or null where the text says none',
        '"total": a number of the text, as a number of JSON without unit or sign of money, such as 1931.5',
    ]
    assert forms_of(spec) == {"due": {"type": ["string", "null"]}, "total": {"type": "number"}}
    text = "Pay 1,931.50 euro by 30 November 2026 please"
    said = [('{"due": "2026-11-30", "total": 1931.5}', text), ('{"due": null, "total": 1931.50}', text)]
    places, flaws, words = records_in([*said, ('{"due": null, "total": 1931}', text)], spec)
    assert places.to_list() == ['{"due":[4,3],"total":[1,1]}', '{"due":null,"total":[1,1]}', None]
    assert (
        flaws.to_list() == [None, None, RecordFault.NOT_IN_TEXT] and words[0] == '{"due":"2026-11-30","total":1931.5}'
    )


def test_why_comes_before_the_fields(tmp_path: Path) -> None:
    asking = of_records(tmp_path, structured=True, why="why")
    schema = body_of(asking, "a text")["response_format"]["json_schema"]["schema"]
    assert schema["required"] == [*schema["properties"]] == ["why", "currency", "due", "payee", "urgent"]
    assert "Say in one sentence why, and answer with these fields:\n" in asking.template


def test_a_prompt_of_ones_own_has_the_fields_where_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text('{task} As {"payee": ...}, of\n{fields}\nBill: {text}')
    asked = body_of(of_records(tmp_path, prompt=str(tmp_path / "prompt.md")), "Pay Ada")["messages"][0]["content"]
    assert asked.endswith("\nBill: Pay Ada") and '"currency": one of "EUR"' in asked and 'As {"payee": ...}' in asked
    (tmp_path / "prompt.md").write_text("Bill: {text}")
    assert body_of(of_records(tmp_path / "own", prompt=str(tmp_path / "prompt.md")), "Pay Ada")["messages"] == [
        {"role": "user", "content": "Bill: Pay Ada"}
    ]


def test_a_prompt_that_shows_labels_is_refused_in_the_recipes_line(tmp_path: Path) -> None:
    """It would be sent with these brackets in it, and paid for."""
    (tmp_path / "prompt.md").write_text("One of {labels}? {text}")
    with pytest.raises(StillhouseError, match=r"the prompt has \{labels\}.*Write \{fields\} for \{labels\}") as refused:
        of_records(tmp_path, prompt=str(tmp_path / "prompt.md"))
    assert "defs.yaml:" in refused.value.where
