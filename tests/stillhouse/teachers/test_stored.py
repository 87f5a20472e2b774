"""Answers that were given elsewhere: each prompt finds its own, or the reason why it has none; nothing is guessed."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.prompt_set import redacted
from stillhouse.statistics.calibration import probabilities_of
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.stored import Failure, StoredTeacher, held_to
from stillhouse.teachers.stored_answers import answers_by_prompt
from stillhouse.teachers.teacher import ANSWER_SCHEMA

TASK = SingleLabel(("billing", "access", "other"))


def stored(*rows: tuple[str | None, str | None]) -> pl.DataFrame:
    read = pl.DataFrame(rows, schema={"text": pl.String, "label": pl.String}, orient="row")
    return held_to(answers_by_prompt(read), TASK.names)


def asked(*texts: str) -> pl.DataFrame:
    column = pl.Series("text", texts)
    return pl.DataFrame([prompt_ids(column), column])


def said(answers: pl.DataFrame, *texts: str, accuracy: float = 0.9) -> pl.DataFrame:
    rows = StoredTeacher(answers, accuracy, TASK).ask(asked(*texts))
    assert rows.schema == pl.Schema(ANSWER_SCHEMA)
    return with_answers(rows, TASK)


def test_a_prompt_finds_its_answer_whatever_the_case_and_the_blanks() -> None:
    rows = said(stored(("My  invoice is WRONG", "billing"), ("I am locked out", "access")), "my invoice is wrong")
    assert rows["answer"].to_list() == ["billing"] and rows["failure"].to_list() == [None]


def test_personal_data_is_taken_out_as_it_is_of_the_prompts() -> None:
    answers = stored(("Write to ann@example.org about the invoice", "billing"))
    as_it_came = "Write to ann@example.org about the invoice"
    (as_a_prompt,) = redacted(pl.DataFrame({"text": [as_it_came]})).rows["text"]
    found = said(answers, as_a_prompt, as_it_came)
    assert found["answer"].to_list() == ["billing", None], "a prompt set never holds the address itself"


def test_each_prompt_without_an_answer_says_why() -> None:
    answers = stored(
        ("empty", None), ("odd", "Refunds"), ("torn", "billing"), ("torn", "access"), ("twice", "other"),
        ("twice", "other"), (None, "billing"),
    )  # fmt: skip
    rows = said(answers, "empty", "odd", "torn", "twice", "never asked")
    assert rows["failure"].to_list() == [
        Failure.EMPTY, Failure.NO_LABEL, Failure.TWO_ANSWERS, None, Failure.NOT_ASKED
    ]  # fmt: skip
    assert rows["answer"].to_list() == [None, None, None, "other", None]


def test_an_answer_is_as_sure_as_the_teacher_is_right() -> None:
    rows = said(stored(("a", "access")), "a", accuracy=0.8)
    np.testing.assert_allclose(probabilities_of(np.array(rows["logits"].to_list()), 1.0), [[0.1, 0.8, 0.1]], atol=1e-6)


@given(st.floats(1e-6, 1 - 1e-6), st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_what_was_answered_stays_the_answer_however_seldom_it_is_right(accuracy: float, targets: list[int]) -> None:
    outputs = TASK.stated(np.array(targets), accuracy)
    assert TASK.answers(outputs).tolist() == targets
    np.testing.assert_allclose(np.exp(outputs).sum(axis=1), 1)
    if accuracy > 0.35:
        np.testing.assert_allclose(TASK.confidence(outputs), accuracy)


@pytest.mark.parametrize("change", ["answer", "failure", "accuracy"])
def test_the_fingerprint_is_of_all_that_decides_what_is_said(change: str) -> None:
    before = StoredTeacher(stored(("a", "access"), ("b", None)), 0.9, TASK)
    changed = {
        "answer": StoredTeacher(stored(("a", "other"), ("b", None)), 0.9, TASK),
        "failure": StoredTeacher(stored(("a", "access"), ("b", "Refunds")), 0.9, TASK),
        "accuracy": StoredTeacher(before.answers, 0.8, TASK),
    }[change]
    again = StoredTeacher(stored(("b", None), ("A", "access")), 0.9, TASK)
    assert before.fingerprint == again.fingerprint != changed.fingerprint
