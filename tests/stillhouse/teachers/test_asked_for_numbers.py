"""A server that is asked for numbers: each reply is one number, or has its reason, and is paid once."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import Reply
from stillhouse.teachers.columns import RATIONALE, RAW, VOTES
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.flips import flips
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.stored import Failure, StoredTeacher
from tests.protocol import Server, serving
from tests.stillhouse.teachers.asked import FAULTS, require_that_every_call_ends, teacher, texts

TASK = NumericScore(0.0, 3.0, 0.5)
PILOT = StoredTeacher(pl.DataFrame({"prompt_id": ["p"], "answer": ["1"], "failure": [None]}), 0.9, TASK)
WORDS = Asking("large", "{text}", {"temperature": 0, "max_tokens": 30}, None, {}, "October", answer="score")
FORM = replace(WORDS, choices=TASK.names)
WHY = replace(FORM, rationale="why")
THREE = replace(WORDS, samples=3, settings={"temperature": 0.7, "max_tokens": 30})


def asked(server: Server, place: Path, asking: Asking) -> EndpointTeacher:
    return replace(teacher(server, place, asking=asking, concurrency=1), task=TASK, pilot=PILOT)


REPLIES = {
    "2": ("2", None),
    "Relevance: **2.5**.": ("2.5", None),
    '{"score": 0}': ("0", None),
    '```json\n{"score": 3,\n "sure": 1}\n```': ("3", None),
    '{"score": 3.5}': (None, Failure.OUT_OF_RANGE),
    "-1": (None, Failure.OUT_OF_RANGE),
    "2 or 3": (None, Failure.NO_NUMBER),
    '{"score": "high"}': (None, Failure.NO_NUMBER),
    '{"score": 2': (None, Failure.NO_NUMBER),
    "I cannot help with this.": (None, Failure.NO_NUMBER),
    "[" * 5_000: (None, Failure.NO_NUMBER),
}
"""What is said, and the number that it is, or why it is none."""


@pytest.mark.long
@pytest.mark.parametrize("asking", [WORDS, FORM], ids=["words", "form"])
def test_every_reply_is_a_number_or_says_why_not_and_is_asked_and_paid_once(tmp_path: Path, asking: Asking) -> None:
    rows = texts(len(REPLIES))
    said = dict(zip(rows["text"], REPLIES, strict=True))
    with serving(Server(said.__getitem__)) as server:
        found = with_answers(asked(server, tmp_path, asking).ask(rows), TASK)
        again = asked(server, tmp_path, asking).ask(rows)
        assert server.calls == rows.height and set(server.asked.values()) == {1}
        assert found["usd"].sum() == pytest.approx(server.usd)
        assert len(server.formats) == (rows.height if asking is FORM else 0)
    assert found.select("answer", "failure").rows() == [*REPLIES.values()]
    assert again["failure"].equals(found["failure"]) and found["confidence"].null_count() == rows.height


@pytest.mark.long
def test_why_comes_before_the_number_and_its_digits_are_none_of_it(tmp_path: Path) -> None:
    with serving(Server(lambda text: json.dumps({"why": "It names 2 of 3 kings.", "score": 1}))) as server:
        said = with_answers(asked(server, tmp_path, WHY).ask(texts(1)), TASK)
        (form,) = server.formats
    assert said.select("answer", RATIONALE).rows() == [("1", "It names 2 of 3 kings.")]
    schema = form["json_schema"]["schema"]
    assert schema["properties"] == {"why": {"type": "string"}, "score": {"type": "number"}}
    assert [*schema["properties"]] == ["why", "score"] == schema["required"]


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_for_a_number_ends_in_one_or_in_a_reason(tmp_path: Path, fault: str) -> None:
    with serving(Server(lambda text: "2", {1: fault})) as server:
        one = asked(server, tmp_path, WORDS)
        require_that_every_call_ends(one, server, texts(3), TASK, fault, answer="2", outside=Failure.NO_NUMBER)


def replied(*contents: str | None) -> list[Reply]:
    return [Reply(content, None, "large", 5, 1, 2.0) for content in contents]


def test_of_several_replies_the_mean_is_the_answer() -> None:
    said = {
        "p": replied("3", "2", "Relevance: 2"),
        "q": replied("0", "nothing I know", "1"),
        "r": replied("high", None, "4"),
        "s": [*replied("2"), Reply(None, Failure.REFUSED, "large", 5, 0, 1.0), *replied("2.0")],
    }
    found = Replies(said, THREE, TASK)
    assert found.answers.rows() == [
        ("p", "2.333333", None), ("q", "0.5", None), ("r", None, Failure.NO_NUMBER), ("s", "2", None),
    ]  # fmt: skip
    assert VOTES not in found.as_said.columns and found.as_said[RAW][0].to_list() == ["3", "2", "Relevance: 2"]
    outputs = found.outputs(0.9)
    assert outputs is not None and outputs["prompt_id"].to_list() == ["p", "q", "s"]
    numbers = TASK.numbers(TASK.answers(np.array(outputs["logits"].to_list())))
    assert numbers == pytest.approx([7 / 3, 0.5, 2], abs=1e-6), "what is no number moves no other"


@pytest.mark.long
def test_each_of_several_replies_is_a_call_and_their_mean_is_no_flip_within_the_tolerance(tmp_path: Path) -> None:
    asked_before: Counter[str] = Counter()

    def changing(text: str) -> str:
        asked_before[text] += 1
        return "3" if asked_before[text] in (2, 5, 6) else "2"

    rows = texts(5)
    with serving(Server(changing)) as server:
        one = asked(server, tmp_path, THREE)
        said = one.ask(rows)
        assert server.calls == 15 and one.ask(rows).equals(said) and server.calls == 15
        assert one.calls.spent("tickets") == pytest.approx(server.usd)
        before = with_answers(said, TASK)
        assert before["answer"].cast(pl.Float64).to_list() == pytest.approx([7 / 3] * 5, abs=1e-5)
        after = one.replies(rows, "another day").answers
        assert after["answer"].cast(pl.Float64).to_list() == pytest.approx([8 / 3] * 5, abs=1e-5)
        assert flips(before, after, TASK.tolerance) == 0 and flips(before, after, 0.1) == 5
