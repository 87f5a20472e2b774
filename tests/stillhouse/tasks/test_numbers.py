"""A number is read out of what a language model says where it is plain which one is meant, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks.numbers import number_in_reply, written_number

READ = {
    "3": 3, " 3.": 3, "-0.5": -0.5, "+4": 4, "1e3": 1000, "**2**": 2, "(2)": 2, '"2.5"': 2.5, "`3`": 3,
    "Relevance: 2": 2, "score=2": 2, "<score>2</score>": 2, "I rate it 2, since it is about the king.": 2,
    "GPT-4 says 2": 2, "On the 3-point scale: 2": 2, "2 - about the same thing": 2, "Who? 1!": 1,
    '{"score": 2}': 2, '{"score": "2"}': 2, '{"score": 2.50}': 2.5, '{"relevance": 2}': 2,
    '{"reason": "it names 3 of 4 kings", "score": 2}': 2, '{"reason": "3 of 4", "relevance": 2}': 2,
    "score -> 2": 2, "=> 2": 2, "<b>2</b>": 2, "the 3rd million-word text: 2": 2, "no minus: 2": 2,
    '{"score": 2, "sure": 0.9}': 2, '```json {"score": 2} ```': 2, 'Of 3 documents this is the best: {"score": 2}': 2,
}  # fmt: skip

UNREAD = [
    "", "three", "2/3", "2 out of 3", "2 of 2", "between 2 and 3", "2-3", "2\u20133", "4,5", "1 000", "1,000", "80%",
    "80 %", "$5", "\u20133", "12:30", "2026-11-30", "٤", "½", "nan", "inf", "1e999", "0x10", "A2", "4stars", "-", "{",
    "{}", "[]", '{"score": null}', '{"score": "high"}', '{"score": true}', '{"score": NaN}',
    '{"score": Infinity}', '{"score": [2]}',
    '{"score": {"value": 2}}', '{"score": 1, "score": 3}', '{"query": 1, "document": 2}', '{"score": "2 of 3"}',
    '{"score": 2', '{"score": 2} or {"score": 3}', '{"score": 1e999}', "{2}", '{"a":' * 5_000,
    "minus 2", "Negative 2", "2 million", "2 and a half", "2 percent", "> 2", "<2", "\u2265 2", "score < -2",
]  # fmt: skip


@pytest.mark.parametrize("reply", READ)
def test_the_number_that_a_reply_says_is_read(reply: str) -> None:
    assert number_in_reply(reply, "score") == READ[reply]


@pytest.mark.parametrize("reply", UNREAD, ids=lambda reply: reply[:30])
def test_where_none_or_several_may_be_meant_there_is_none(reply: str) -> None:
    assert number_in_reply(reply, "score") is None


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_none(reply: str) -> None:
    value = number_in_reply(" ".join(reply.split()), "score")
    assert value is None or abs(value) < float("inf")


@given(st.floats(-1e9, 1e9).map(written_number))
def test_every_number_is_read_bare_in_words_and_in_an_object(number: str) -> None:
    replies = number, f"Relevance: {number}.", json.dumps({"score": float(number), "why": "9 of 10"})
    assert [number_in_reply(each, "score") for each in replies] == [float(number)] * 3


@pytest.mark.parametrize("reply", ["4 \u00bd", "\u00bd 4", "4\u00be", "4 \u2153"])
def test_a_fraction_of_one_sign_leaves_open_what_was_meant(reply: str) -> None:
    """Regression: of four and a half the four was taken."""
    assert number_in_reply(reply, "score") is None
