"""Asking a teacher about live texts: each once, whoever asks, and nothing of a text is kept."""

import json
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.errors import StillhouseError
from stillhouse.live.asking import TEXTS_AT_ONCE, LiveAnswers, LiveTeacher, ask_teacher
from stillhouse.live.text_ids import text_ids
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import spelled_out, written_places
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.words import words_of
from stillhouse.teachers.columns import ANSWER_SCHEMA
from stillhouse.teachers.stored import Failure

TASK = SingleLabel.of(["number", "person"])
FIRST = "a" * 64
PAID = Extraction(
    RecordSpec.model_validate({"words": 12, "fields": {"payee": {"kind": "verbatim", "words_at_most": 1}}})
)


class Counting:
    """A teacher that says `number` of each text with a digit, and counts what it is asked."""

    def __init__(self, fingerprint: str = FIRST, *, refuses: str = "", dies_after: int = 1_000) -> None:
        self.fingerprint, self.refuses, self.dies_after = fingerprint, refuses, dies_after
        self.heard: list[str] = []

    def verify(self) -> None:
        pass

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        if len(self.heard) + prompts.height > self.dies_after:
            raise StillhouseError("away", where="the server", expected="an answer", do="Wait.")
        self.heard += prompts["text"].to_list()
        refused = [text == self.refuses for text in prompts["text"]]
        digits = np.array([any(c.isdigit() for c in text) for text in prompts["text"]])
        logits = [
            None if no else [1.0, 0.0] if digit else [0.0, 1.0] for no, digit in zip(refused, digits, strict=True)
        ]
        return pl.DataFrame(
            {
                **dict.fromkeys(ANSWER_SCHEMA, [None] * prompts.height),
                "prompt_id": prompts["prompt_id"],
                "fingerprint": [self.fingerprint] * prompts.height,
                "logits": logits,
                "failure": [Failure.TURNED_AWAY.value if no else None for no in refused],
            },
            schema=ANSWER_SCHEMA,
        )


@pytest.fixture
def answers(tmp_path: Path) -> LiveAnswers:
    return LiveAnswers(tmp_path / "signal" / "live.db")


def said(teacher: Counting, answers: LiveAnswers, *texts: str, at: float = 0.0) -> list[str | None]:
    return ask_teacher(LiveTeacher(teacher, TASK), answers, texts, at=at)["answer"].to_list()


def test_each_text_is_asked_about_once_and_answered_in_the_order_given(answers: LiveAnswers) -> None:
    teacher = Counting()
    assert said(teacher, answers, "who", "4 what", "WHO ", "who") == ["person", "number", "person", "person"]
    assert sorted(teacher.heard) == ["4 what", "who"]
    assert said(Counting(), answers, "4 what", "5 more") == ["number", "number"]
    again = Counting()
    said(again, answers, "4 what", "5 more", "6 most")
    assert again.heard == ["6 most"]


def test_another_teacher_is_asked_again(answers: LiveAnswers) -> None:
    said(Counting(), answers, "who")
    other = Counting("b" * 64)
    said(other, answers, "who")
    assert other.heard == ["who"]


def test_what_was_answered_before_a_teacher_went_away_is_not_asked_again(answers: LiveAnswers) -> None:
    texts = [f"{number} what" for number in range(TEXTS_AT_ONCE + 5)]
    with pytest.raises(StillhouseError, match="away"):
        said(Counting(dies_after=TEXTS_AT_ONCE), answers, *texts)
    teacher = Counting()
    assert said(teacher, answers, *texts) == ["number"] * len(texts)
    assert len(teacher.heard) == 5


def test_a_refusal_is_said_and_asked_again(answers: LiveAnswers) -> None:
    refusing = ask_teacher(LiveTeacher(Counting(refuses="who"), TASK), answers, ["who"], at=0)
    assert refusing.select("answer", "failure").rows() == [(None, Failure.TURNED_AWAY)]
    assert said(Counting(), answers, "who") == ["person"]


def test_two_who_ask_at_once_pay_once(answers: LiveAnswers) -> None:
    teacher, begin = Counting(), threading.Barrier(2)

    def ask() -> None:
        begin.wait()
        said(teacher, answers, *(f"{number}" for number in range(20)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(teacher.heard) == 20


def test_no_text_is_written_down_and_what_is_old_is_forgotten(answers: LiveAnswers) -> None:
    said(Counting(), answers, "a rare secret word", at=10.0)
    assert b"rare secret" not in b"".join(path.read_bytes() for path in answers.path.parent.iterdir())
    ids = prompt_ids(pl.Series(["a rare secret word"])).to_list()
    answers.forget(10.0)
    assert answers.kept(FIRST, ids).height == 1
    answers.forget(10.5)
    assert answers.kept(FIRST, ids).is_empty()


class Pointing(Counting):
    """A teacher that takes the last word of each text for the one who is to be paid."""

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        self.heard += prompts["text"].to_list()
        places = [written_places({"payee": (len(words_of(text)) - 1, 1)}) for text in prompts["text"]]
        logits = PAID.stated(PAID.targets(pl.Series(places)), 0.9)
        return pl.DataFrame(
            {
                **dict.fromkeys(ANSWER_SCHEMA, [None] * prompts.height),
                "prompt_id": prompts["prompt_id"],
                "fingerprint": [self.fingerprint] * prompts.height,
                "logits": logits.tolist(),
            },
            schema=ANSWER_SCHEMA,
        )


def test_a_place_in_one_text_is_no_answer_to_another_whose_words_have_other_numbers(answers: LiveAnswers) -> None:
    """Regression: an ellipsis is one word, three full stops are three, and what was said of one counted for both."""
    texts = [
        "Wait\u2026 please pay Acme",
        "Wait... please pay Acme",
        "WAIT\u2026 please pay  Acme",
        "\ufb01ne, pay Blue",
    ]
    ids = text_ids(pl.Series(texts))
    assert prompt_ids(pl.Series(texts)).n_unique() == 2, "they are one prompt"
    assert ids.n_unique() == 3 and ids[0] == ids[2] and ids[3] == prompt_ids(pl.Series(texts))[3]
    teacher = Pointing()
    found = ask_teacher(LiveTeacher(teacher, PAID), answers, texts, at=0.0)
    for text, places in zip(texts, found["answer"], strict=True):
        assert json.loads(spelled_out(places, text, PAID.spec)) == {"payee": text.split()[-1]}
    assert len(teacher.heard) == 3
    answers.forget_texts([ids[0]])
    assert answers.kept(FIRST, ids.to_list()).height == 2


def test_a_file_that_is_no_database_is_refused_in_one_line(answers: LiveAnswers) -> None:
    answers.path.parent.mkdir()
    answers.path.write_bytes(b"not a database" * 100)
    with pytest.raises(StillhouseError, match="answers to live texts cannot be used"):
        said(Counting(), answers, "who")
    assert ask_teacher(LiveTeacher(Counting(), TASK), LiveAnswers(answers.path.with_name("x.db")), [], at=0).is_empty()
