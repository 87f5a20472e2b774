"""Records that a language model answered elsewhere: what it invents is found, and what it found is never called so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.rejects import RejectReason
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import RecordFault, placed, record_in_cell, spelled_out
from stillhouse.teachers.stored import Failure, StoredTeacher, at_home, held_to
from stillhouse.teachers.stored_answers import read_answers
from stillhouse.teachers.verification import verify_signal
from tests.slots import FIELDS, WORDS_AT_MOST, answered, sentences
from tests.stillhouse.teachers.answered import recipe_without_classes, reply, written


def recipe(folder: Path, **answers: Any) -> RecipeFile:
    data = {"answer": "fields", "fields": FIELDS, "words_at_most": WORDS_AT_MOST}
    return recipe_without_classes(folder, data, loss="kl", **answers)


def held(folder: Path, replies: list[tuple[str, object]], **answers: Any) -> pl.DataFrame:
    """What each text was answered with, of a file of these replies."""
    lines = [json.dumps({"text": text, "answer": answer}) for text, answer in replies]
    (folder / "replies.jsonl").write_text("\n".join(lines) + "\n")
    read = read_answers(recipe(folder, **answers)).answers
    return held_to(read, (), {}, "fields")


TEXT = "Pay the Acme Bank by 1999, in dollars"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({"payee": "Acme Bank", "due": "1999", "currency": "USD"}, None),
        ('{"payee": "acme bank", "due": 1999, "currency": "usd"}', None),
        ('Of course! {"payee": "Acme Bank", "due": "1999", "currency": "USD"} Anything else?', None),
        ({"payee": "Acme Holdings", "due": "1999", "currency": "USD"}, RecordFault.NOT_IN_TEXT),
        ({"payee": "Acme Bank", "due": "2000", "currency": "USD"}, RecordFault.NOT_IN_TEXT),
        ({"payee": "Acme Ban", "due": "1999", "currency": "USD"}, RecordFault.INSIDE_A_WORD),
        ({"payee": "the Acme Bank", "due": "1999", "currency": "USD"}, RecordFault.TOO_MANY_WORDS),
        ({"payee": "Acme Bank", "due": "1999", "currency": "GBP"}, RecordFault.NO_RECORD),
        ({"payee": "Acme Bank", "due": "1999"}, RecordFault.NO_RECORD),
        ("I cannot say", RecordFault.NO_RECORD),
        ('{"payee": "\\ud83d", "currency": "USD"}', RecordFault.NOT_IN_TEXT),
        ("", Failure.EMPTY),
        (None, Failure.EMPTY),
    ],
)
def test_an_answer_is_a_record_of_its_own_text_or_says_why_it_is_none(
    tmp_path: Path, answer: object, failure: str | None
) -> None:
    (row,) = held(tmp_path, [(TEXT, answer)]).iter_rows(named=True)
    right = '{"currency":"USD","due":[5,1],"payee":[2,2]}'
    assert (row["answer"], row["failure"]) == (right if failure is None else None, failure)


def test_a_value_of_another_text_is_invented_here(tmp_path: Path) -> None:
    said = {"payee": "Acme Bank", "currency": "USD"}
    found = held(tmp_path, [(TEXT, said), ("Pay the Coyote Bank, in dollars", said)])
    assert sorted(found["failure"].drop_nulls()) == [RecordFault.NOT_IN_TEXT]


def test_a_value_that_was_taken_out_of_the_text_is_not_called_invented(tmp_path: Path) -> None:
    """Regression: a model that said whom to pay counted as one that makes addresses up."""
    said = {"payee": "ada@example.org", "currency": "USD"}
    (failure,) = held(tmp_path, [("Pay ada@example.org in dollars", said)])["failure"]
    assert failure == RecordFault.PERSONAL_DATA


def test_two_replies_that_differ_are_two_answers_and_an_invented_one_takes_nothing_from_the_other(
    tmp_path: Path,
) -> None:
    good, other = {"payee": "Acme Bank", "currency": "USD"}, {"payee": "Acme", "currency": "USD"}
    for name in "ab":
        (tmp_path / name).mkdir()
    assert held(tmp_path / "a", [(TEXT, good), (TEXT, other)])["failure"].to_list() == [Failure.TWO_ANSWERS]
    (row,) = held(tmp_path / "b", [(TEXT, {"payee": "Wile", "currency": "USD"}), (TEXT, good)]).iter_rows(named=True)
    assert row["answer"] == '{"currency":"USD","due":null,"payee":[2,2]}' and row["failure"] is None


def test_replies_of_a_batch_are_held_against_the_texts_that_were_sent(tmp_path: Path) -> None:
    said = {"payee": "Acme Bank", "currency": "USD"}
    sent = {"custom_id": "1", "body": {"messages": [{"role": "user", "content": f"Bill:\n{TEXT}"}]}}
    reply = {
        "custom_id": "1",
        "response": {"body": {"choices": [{"message": {"content": json.dumps(said)}, "finish_reason": "stop"}]}},
    }
    (tmp_path / "sent.jsonl").write_text(json.dumps(sent) + "\n")
    (tmp_path / "replies.jsonl").write_text(json.dumps(reply) + "\n")
    file = recipe(tmp_path, format="batch", requests=str(tmp_path / "sent.jsonl"), text_pattern=r"Bill:\s(?P<text>.*)")
    (answer,) = read_answers(file).answers["answer"]
    assert answer == '{"currency":"USD","due":null,"payee":[2,2]}'


def test_replies_that_are_known_by_their_prompts_are_held_against_these(tmp_path: Path) -> None:
    """As `stillhouse ask` has them asked: what was sent is in no file, and is the text of the prompt."""
    texts = pl.Series([TEXT, "Pay the Coyote Bank, in dollars", "Pay nobody"])
    prompts = pl.DataFrame({"prompt_id": prompt_ids(texts), "text": texts})
    said = json.dumps({"payee": "Acme Bank", "currency": "USD"})
    replies = [(prompts["prompt_id"][0], said), (prompts["prompt_id"][1], said), (prompts["prompt_id"][2], "nobody")]
    written(tmp_path / "replies.jsonl", [reply(*each) for each in replies])
    file = recipe(tmp_path, format="batch")
    assert file.recipe.data.record is not None
    answers = held_to(read_answers(file).answers, (), {}, "fields")
    task = Extraction(file.recipe.data.record)
    for found in (at_home(answers, prompts, task.spec), StoredTeacher(answers, 0.9, task).ask(prompts)):
        failures = dict(found.select("prompt_id", "failure").iter_rows())
        assert [failures[name] for name in prompts["prompt_id"]] == [
            None, RecordFault.NOT_IN_TEXT, RecordFault.NO_RECORD,
        ]  # fmt: skip
    outputs = np.array(StoredTeacher(answers, 0.9, task).ask(prompts)["logits"].drop_nulls().to_list())
    assert task.written(task.answers(outputs)) == ['{"currency":"USD","due":null,"payee":[2,2]}']


def test_every_invented_value_is_found_and_no_other(tmp_path: Path) -> None:
    """Recall and false rejects of the verifier, on a teacher that invents one in ten."""
    rows = sentences(600)
    replies = answered(rows)
    found = held(tmp_path, list(replies.select("text", "answer").iter_rows()))
    invented = dict(zip(prompt_ids(replies["text"]), replies["invented"], strict=True))
    said = {row["prompt_id"]: row["failure"] for row in found.iter_rows(named=True)}
    rejected = {name for name, failure in said.items() if failure is not None}
    assert rejected == {name for name, is_invented in invented.items() if is_invented}
    assert 0.05 < len(rejected) / len(said) < 0.15 and {said[name] for name in rejected} == {RecordFault.NOT_IN_TEXT}


def test_what_was_invented_is_in_the_reject_ledger_and_no_student_learns_it(tmp_path: Path) -> None:
    rows = sentences(120)
    replies = answered(rows)
    file = recipe(tmp_path)
    assert file.recipe.data.record is not None
    task = Extraction(file.recipe.data.record)
    lines = [json.dumps(row) for row in replies.select("text", "answer").iter_rows(named=True)]
    (tmp_path / "replies.jsonl").write_text("\n".join(lines) + "\n")
    answers = held_to(read_answers(file).answers, (), {}, "fields")
    labels = [
        placed(record_in_cell(record, task.spec), text, task.spec)
        for text, record in rows.select("text", "record").iter_rows()
    ]
    known = [label if number % 3 == 0 else None for number, label in enumerate(labels)]
    prompts = rows.select(
        prompt_ids(rows["text"]), "text", pl.Series("label", known, dtype=pl.String), split=pl.lit("train"),
        batch=pl.lit("base"), row_kind=pl.lit("real"),
    )  # fmt: skip
    signal = StoredTeacher(answers, 0.9, task).ask(prompts)
    verified = verify_signal(prompts, signal, task)
    invented = int(replies["invented"].sum())
    assert verified.rejects["reason"].to_list() == [RejectReason.NO_ANSWER.value] * invented
    assert set(verified.rejects["detail"]) == {RecordFault.NOT_IN_TEXT.value}
    truth = dict(zip(prompts["prompt_id"], labels, strict=True))
    outputs = np.array(verified.kept["logits"].to_list())
    assert task.written(task.answers(outputs)) == [truth[each] for each in verified.kept["prompt_id"]]


def test_a_record_is_where_the_prompt_has_its_words_and_not_where_the_text_that_was_asked_has_them(
    tmp_path: Path,
) -> None:
    """Regression: dots in the one and an ellipsis in the other are one prompt, and its places were those of the other.

    So a student was taught words that nobody had answered, and no gate could see it.
    """
    asked, own = "Well ... pay the Acme Bank by 1999", "Well … pay the Acme Bank by 1999"
    said = {"payee": "Acme Bank", "due": "1999", "currency": "USD"}
    answers = held(tmp_path, [(asked, said), ("Pay the Coyote Bank", {"payee": "Coyote Bank", "currency": "EUR"})])
    file = read_recipe(tmp_path / "recipes" / "tickets" / "defs.yaml")
    assert file.recipe.data.record is not None
    task = Extraction(file.recipe.data.record)
    texts = [own, "Pay the Coyote Bank"]
    prompts = pl.DataFrame({"text": texts, "record": "a column of the rows"}).with_columns(
        prompt_ids(pl.Series(texts)), text=pl.Series(texts)
    )
    assert set(prompts["prompt_id"]) == set(answers["prompt_id"]), "they are one prompt"
    rows = StoredTeacher(answers, 0.9, task).ask(prompts)
    found = task.written(task.answers(np.array(rows["logits"].to_list())))
    assert [spelled_out(place, text, task.spec) for place, text in zip(found, texts, strict=True)] == [
        '{"currency":"USD","due":"1999","payee":"Acme Bank"}',
        '{"currency":"EUR","due":null,"payee":"Coyote Bank"}',
    ]
    assert at_home(answers, prompts, task.spec)["answer"].to_list() != answers["answer"].to_list()


def test_a_value_that_only_the_text_that_was_asked_has_is_no_answer_to_the_prompt(tmp_path: Path) -> None:
    asked, own = "Pay the No 12 bank", "Pay the № 12 bank"
    answers = held(tmp_path, [(asked, {"payee": "No 12", "currency": "USD"})])
    file = read_recipe(tmp_path / "recipes" / "tickets" / "defs.yaml")
    assert file.recipe.data.record is not None
    prompts = pl.DataFrame({"prompt_id": prompt_ids(pl.Series([own])), "text": [own]})
    (row,) = StoredTeacher(answers, 0.9, Extraction(file.recipe.data.record)).ask(prompts).iter_rows(named=True)
    assert (row["failure"], row["logits"]) == (RecordFault.NOT_IN_TEXT.value, None)


def test_the_same_records_under_other_fields_of_the_same_width_are_another_teachers_outputs() -> None:
    """Regression: kept under one name, outputs of the old fields would have been taught as those of the new ones."""
    said = pl.DataFrame({"prompt_id": ["p"], "answer": ['{"a":[0,1],"b":[1,1]}'], "failure": [None]})

    def of(a: int, b: int) -> StoredTeacher:
        lengths = {"a": a, "b": b}.items()
        fields = {name: {"kind": "verbatim", "words_at_most": most} for name, most in lengths}
        return StoredTeacher(said, 0.9, Extraction(RecordSpec.model_validate({"fields": fields, "words": 8})))

    asked = said.with_columns(text=pl.lit("one two"))
    assert of(2, 1).fingerprint != of(1, 2).fingerprint and of(2, 1).fingerprint == of(2, 1).fingerprint
    first, other = (teacher.ask(asked)["logits"][0].to_list() for teacher in (of(2, 1), of(1, 2)))
    assert len(first) == len(other) and first != other
