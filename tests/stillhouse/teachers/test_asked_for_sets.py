"""A server that is asked for sets of labels: each reply is one set, or has its reason, and is paid once."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import Reply
from stillhouse.teachers.columns import RAW, VOTES
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.flips import flips
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.stored import Failure, StoredTeacher
from tests.protocol import Server, serving
from tests.stillhouse.teachers.asked import FAULTS, require_that_every_call_ends, teacher, texts

TASK = MultiLabel(("access", "billing", "data; lost", "other"))
WORTH = 0.9**4
"""Of whole sets, so that each of four labels is worth 0.9."""
PILOT = StoredTeacher(pl.DataFrame({"prompt_id": ["p"], "answer": ["[]"], "failure": [None]}), WORTH, TASK)
WORDS = Asking(
    "large", "{text}", {"temperature": 0, "max_tokens": 30}, None, {"none": "[]", "invoices": "billing"}, "October",
    answer="multi_label",
)  # fmt: skip
FORM = replace(WORDS, choices=TASK.names)
THREE = replace(WORDS, samples=3, settings={"temperature": 0.7, "max_tokens": 30})
BOTH = '["access","billing"]'


def asked(server: Server, place: Path, asking: Asking) -> EndpointTeacher:
    return replace(teacher(server, place, asking=asking, concurrency=1), task=TASK, pilot=PILOT)


REPLIES = {
    '["billing", "access"]': BOTH,
    '["Billing", "ACCESS.", "billing"]': BOTH,
    "billing; access": BOTH,
    '```json\n["access",\n "billing"]\n```': BOTH,
    'Labels: ["billing", "access"].': BOTH,
    '{"labels": ["billing", "access"]}': BOTH,
    '["data; lost"]': '["data; lost"]',
    "Invoices": '["billing"]',
    "[]": "[]",
    "None.": "[]",
    "None of them applies: []": "[]",
    '{"labels": []}': "[]",
    '["billing", "weather"]': None,
    '["billing", "acc': None,
    '{"labels": ["billing", "acc': None,
    'They are ["billing"] and not ["access"]': None,
    '["billing", null]': None,
    '["\\ud83d"]': None,
    "billing and access": None,
    "I cannot help with [this].": None,
    "[" * 5_000: None,
}
"""What is said, and the set that it is."""


@pytest.mark.long
@pytest.mark.parametrize("asking", [WORDS, FORM], ids=["words", "form"])
def test_every_reply_is_a_set_or_no_label_and_is_asked_and_paid_once(tmp_path: Path, asking: Asking) -> None:
    rows = texts(len(REPLIES))
    said = dict(zip(rows["text"], REPLIES, strict=True))
    with serving(Server(said.__getitem__)) as server:
        found = with_answers(asked(server, tmp_path, asking).ask(rows), TASK)
        again = asked(server, tmp_path, asking).ask(rows)
        assert server.calls == rows.height and set(server.asked.values()) == {1}
        assert found["usd"].sum() == pytest.approx(server.usd)
    assert dict(zip(said.values(), found["answer"], strict=True)) == REPLIES
    expected = [None if label is not None else Failure.NO_LABEL for label in REPLIES.values()]
    assert found["failure"].to_list() == expected and again["failure"].to_list() == expected
    sure = found.drop_nulls("answer")
    assert sure["confidence"].to_list() == pytest.approx([WORTH] * sure.height, rel=1e-6), "as probable as it is right"


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "answer", "failure"),
    [
        ({"labels": ["billing", "access"]}, BOTH, None),
        ({"labels": ["billing", "billing"]}, '["billing"]', None),
        ({"labels": []}, "[]", None),
        ({"labels": "billing"}, '["billing"]', None),
        ({"labels": ["weather"]}, None, Failure.NO_LABEL),
        ({"labels": None}, None, Failure.NO_LABEL),
        ({"labels": [["billing"]]}, None, Failure.NO_LABEL),
        ({"why": "as in [1]", "labels": ["billing"]}, '["billing"]', None),
        ({"label": "billing"}, None, Failure.NO_LABEL),
        ([], "[]", None),
        (["billing"], '["billing"]', None),
    ],
)
def test_what_a_form_is_filled_with_is_read(
    tmp_path: Path, content: object, answer: str | None, failure: str | None
) -> None:
    with serving(Server(lambda text: json.dumps(content))) as server:
        said = with_answers(asked(server, tmp_path, FORM).ask(texts(1)), TASK)
        (form,) = server.formats
    assert said.select("answer", "failure").rows() == [(answer, failure)]
    items = form["json_schema"]["schema"]["properties"]["labels"]["items"]
    assert items == {"type": "string", "enum": list(TASK.names)}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_for_a_set_ends_in_one_or_in_a_reason(tmp_path: Path, fault: str) -> None:
    with serving(Server(lambda text: BOTH, {1: fault})) as server:
        one = asked(server, tmp_path, WORDS)
        require_that_every_call_ends(one, server, texts(3), TASK, fault, answer=BOTH, outside=Failure.NO_LABEL)


def replied(*contents: str | None) -> list[Reply]:
    return [Reply(content, None, "large", 5, 1, 2.0) for content in contents]


def test_of_several_replies_each_label_is_as_sure_as_the_share_that_has_it() -> None:
    said = {
        "p": replied(BOTH, '["billing"]', '["billing"]'),
        "q": replied("[]", "nothing I know", '["other"]'),
        "r": replied("weather", None, "[billing"),
        "s": [*replied('["access"]'), Reply(None, Failure.REFUSED, "large", 5, 0, 1.0), *replied("Access")],
    }
    found = Replies(said, THREE, TASK)
    assert found.answers.rows() == [
        ("p", '["billing"]', None), ("q", "[]", None), ("r", None, Failure.NO_LABEL), ("s", '["access"]', None),
    ]  # fmt: skip
    assert found.as_said.select("prompt_id", VOTES).rows() == [
        ("p", [1, 3, 0, 0]), ("q", [0, 0, 0, 1]), ("r", [0, 0, 0, 0]), ("s", [2, 0, 0, 0]),
    ]  # fmt: skip
    assert found.as_said[RAW][0].to_list() == [BOTH, '["billing"]', '["billing"]']
    outputs = found.outputs(WORTH)
    assert outputs is not None and outputs["prompt_id"].to_list() == ["p", "q", "s"]
    p, q, s = expit(np.array(outputs["logits"].to_list()))
    third = 0.5 - 0.8 / 6
    assert p == pytest.approx([third, 0.9, 0.1, 0.1], rel=1e-6)
    assert q[3] < 0.5 and q == pytest.approx([0.1, 0.1, 0.1, 0.5], abs=0.01), "of two replies one has it"
    assert s == pytest.approx([0.9, 0.1, 0.1, 0.1], rel=1e-6), "what is no answer has no vote"


@pytest.mark.long
def test_each_of_several_replies_is_a_call_and_what_they_say_together_is_the_answer(tmp_path: Path) -> None:
    asked_before: Counter[str] = Counter()

    def changing(text: str) -> str:
        asked_before[text] += 1
        return BOTH if asked_before[text] == 2 else '["access"]'

    rows = texts(5)
    with serving(Server(changing)) as server:
        one = asked(server, tmp_path, THREE)
        said = one.ask(rows)
        assert server.calls == 15 and one.ask(rows).equals(said) and server.calls == 15
        assert one.calls.spent("tickets") == pytest.approx(server.usd)
        before = with_answers(said, TASK)
        assert before["answer"].to_list() == ['["access"]'] * 5
        assert flips(before, one.replies(rows, "another day").answers) == 0
    assert said[VOTES].to_list() == [[3, 1, 0, 0]] * 5
    shares = expit(np.array(said["logits"].to_list()))
    assert shares == pytest.approx(np.tile([0.9, 0.5 - 0.8 / 6, 0.1, 0.1], (5, 1)), rel=1e-5)


def test_two_orders_of_a_set_are_no_flip_and_another_set_is_one() -> None:
    before, same, other = (
        Replies({"p": replied(each)}, WORDS, TASK).answers
        for each in ("access;billing", '["billing", "access"]', '["billing"]')
    )
    assert (flips(before, same), flips(before, other)) == (0, 1)
