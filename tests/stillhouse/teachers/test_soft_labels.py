"""How sure a teacher behind an API is: out of the alternatives of a letter, and out of several answers."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from stillhouse.errors import StillhouseError
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import Reply
from stillhouse.teachers.columns import MASS, RAW, VOTES
from stillhouse.teachers.protocol import reply_in
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.soft_labels import by_alternatives, codes_of
from stillhouse.teachers.stored import Failure
from tests.protocol import Server, serving
from tests.stillhouse.teachers.asked import TASK, answer, teacher, texts

LETTERS = Asking("large", "{text}", {"temperature": 0, "max_tokens": 1}, None, {}, "October", codes_of(TASK.names))
THREE = Asking("large", "{text}", {"temperature": 0.7, "max_tokens": 4}, None, {}, "October", samples=3)


def test_probabilities_of_one_code_add_up_and_the_rest_is_divided_out() -> None:
    said = {"A": 0.4, " A": 0.2, "▁B": 0.1, "The": 0.2, "a": 0.05}
    found, mass = by_alternatives([(token, math.log(p)) for token, p in said.items()], ["A", "B"])
    assert found is not None and mass == pytest.approx(0.7)
    np.testing.assert_allclose(np.exp(found), [6 / 7, 1 / 7])


def test_a_code_that_is_not_listed_is_half_as_probable_as_the_last_that_is() -> None:
    found, mass = by_alternatives([("A", math.log(0.9)), ("so", math.log(0.02))], ["A", "B", "C"])
    assert found is not None and mass == pytest.approx(0.9)
    np.testing.assert_allclose(np.exp(found), np.array([0.9, 0.01, 0.01]) / 0.92)


@pytest.mark.parametrize(("sure", "others"), [(0.9, 0.05), (1.0, 1e-9)])
def test_codes_that_are_not_listed_share_no_more_than_what_is_left(sure: float, others: float) -> None:
    """Regression: of a server that named the chosen token alone each other label was half as probable as that one."""
    found, mass = by_alternatives([("A", math.log(sure))], ["A", "B", "C"])
    assert found is not None and mass == pytest.approx(sure)
    np.testing.assert_allclose(np.exp(found), np.array([sure, others, others]) / (sure + 2 * others), rtol=1e-6)


@pytest.mark.parametrize("said", [[], [("The", 0.0)], [("AB", -0.1), ("", -3.0)]])
def test_where_no_alternative_is_a_code_nothing_is_known(said: list[tuple[str, float]]) -> None:
    assert by_alternatives(said, ["A", "B"]) == (None, 0.0)


@pytest.mark.long
@given(st.lists(st.floats(-50, 5), min_size=2, max_size=20))
def test_the_alternatives_of_all_codes_give_their_own_distribution_back(logits: list[float]) -> None:
    logprobs, codes = log_softmax(logits), list(codes_of([str(place) for place in range(len(logits))]))
    found, mass = by_alternatives(list(zip(codes, logprobs.tolist(), strict=True)), codes)
    assert found is not None and mass == pytest.approx(1)
    np.testing.assert_allclose(np.exp(found), np.exp(logprobs), atol=1e-12)


def replied(*contents: str | None, **more: Any) -> list[Reply]:
    return [Reply(content, None, "large", 5, 1, 2.0, **more) for content in contents]


def test_the_most_frequent_answer_counts_and_what_cannot_be_read_has_no_vote() -> None:
    said = {
        "p": replied("billing", "access", "Billing."),
        "q": replied("access", "none of these", None),
        "r": replied("none of these", "neither", "none of these"),
        "s": [*replied("access"), Reply(None, Failure.REFUSED, "large", 5, 0, 1.0), *replied("billing")],
    }
    found = Replies(said, THREE, TASK)
    assert found.answers.rows() == [
        ("p", "billing", None), ("q", "access", None), ("r", None, Failure.NO_LABEL), ("s", "access", None),
    ]  # fmt: skip
    outputs = found.outputs(0.9)
    assert outputs is not None
    shares = {name: np.exp(logits).round(4).tolist() for name, logits in outputs.iter_rows()}
    assert shares == {"p": [0.3667, 0.6333], "q": [0.9, 0.1], "s": [0.5, 0.5]}
    assert found.label_mass is None
    assert found.counts.filter(prompt_id="p").rows() == [("p", 15, 3, 6.0, "large")]
    assert found.in_place_of_answers.rows() == [("r", "none of these")], "the first that was said of several"


def test_of_several_answers_each_reply_and_the_votes_are_told() -> None:
    """Replies of a model, that is: one that a server turned away has none."""
    said = {
        "p": replied("billing", "access", "Billing.\n\nWrite to ann@ex\u200bample.org"),
        "q": [*replied("none of these", None), Reply("status 400", Failure.TURNED_AWAY, None, 0, 0, 0.0)],
        "r": [Reply("status 400", Failure.TURNED_AWAY, None, 0, 0, 0.0)] * 3,
    }
    found = Replies(said, THREE, TASK).as_said
    assert found.rows() == [
        ("p", ["billing", "access", "Billing. Write to [EMAIL]"], [1, 1]),
        ("q", ["none of these", None], [0, 0]),
        ("r", None, [0, 0]),
    ]
    assert found.columns == ["prompt_id", RAW, VOTES], "how much of a letter is known is of those that answer by one"


def test_two_models_among_the_samples_of_a_text_are_both_named() -> None:
    said = {"p": [*replied("billing", "billing"), Reply("billing", None, "other", 5, 1, 2.0)]}
    assert Replies(said, THREE, TASK).counts["observed"].to_list() == ["large, other"]


def test_a_letter_is_read_with_the_probabilities_of_all() -> None:
    said = {
        "p": replied("B", alternatives=[("B", math.log(0.6)), ("A", math.log(0.3))]),
        "q": [Reply("B", Failure.CUT_OFF, "large", 5, 1, 2.0, [("B", math.log(0.5)), ("the", math.log(0.5))])],
        "r": replied("the", alternatives=[("the", 0.0)]),
        "s": [Reply(None, Failure.REFUSED, "large", 5, 0, 1.0, [("A", 0.0)])],
    }
    found = Replies(said, LETTERS, TASK)
    assert found.answers.rows() == [
        ("p", "billing", None), ("q", "billing", None), ("r", None, Failure.NO_LABEL), ("s", None, Failure.REFUSED),
    ]  # fmt: skip
    outputs = found.outputs(0.9)
    assert outputs is not None
    assert dict(outputs.iter_rows()).keys() == {"p", "q"}
    np.testing.assert_allclose(np.exp(outputs["logits"][0]), [1 / 3, 2 / 3], rtol=1e-6)
    assert found.label_mass == pytest.approx(0.7)  # between 0.5 and 0.9
    told = found.as_said
    assert told.columns == ["prompt_id", RAW, MASS] and told[RAW].to_list() == [["B"], ["B"], ["the"], [None]]
    assert told[MASS].to_list() == pytest.approx([0.9, 0.5, 0.0, 1.0])


@pytest.mark.long
def test_labels_are_put_in_the_tasks_order_whatever_the_letters(tmp_path: Path) -> None:
    asking = Asking("large", "{text}", {"max_tokens": 1}, None, {}, "", codes_of(["billing", "access"]))
    shown = {"A": math.log(0.8), "B": math.log(0.2)}
    with serving(Server(lambda text: "A", alternatives=lambda text: shown)) as server:
        said = teacher(server, tmp_path, asking=asking).ask(texts(3))
    np.testing.assert_allclose(np.exp(np.array(said["logits"].to_list())), [[0.2, 0.8]] * 3, rtol=1e-6)


@pytest.mark.long
def test_a_server_tells_how_sure_it_is_and_is_asked_once(tmp_path: Path) -> None:
    def shown(text: str) -> dict[str, float]:
        sure = 0.9 if "invoice" in text else 0.2
        return {"B": math.log(sure), "A": math.log(1 - sure)}

    with serving(Server(lambda text: max(shown(text), key=shown(text).__getitem__), alternatives=shown)) as server:
        rows = texts(20)
        said = teacher(server, tmp_path, asking=LETTERS).ask(rows)
        again = teacher(server, tmp_path, asking=LETTERS).ask(rows)
        assert server.calls == 20
    shares = np.exp(np.array(said["logits"].to_list()))
    expected = [0.9 if "invoice" in text else 0.2 for text in rows["text"]]
    np.testing.assert_allclose(shares[:, 1], expected, rtol=1e-6)
    assert again.equals(said)


@pytest.mark.long
def test_a_server_that_tells_no_probabilities_is_found_out_by_the_first_call_and_that_is_paid(tmp_path: Path) -> None:
    with serving(Server(lambda text: "A")) as server:
        asked = teacher(server, tmp_path, asking=LETTERS, concurrency=1)
        with pytest.raises(StillhouseError, match=r"no log-probabilities .*by: samples"):
            asked.ask(texts(20))
        assert server.calls == 1
        assert asked.calls.spent("tickets") == pytest.approx(server.usd)


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([("A", -0.5), ("A", -1.5), ("B", -3.0)], [("A", -0.5), ("A", -1.5), ("B", -3.0)]),
        ([("B", -1.0), ("B", -1.0)], [("A", -0.5), ("B", -1.0)]),
        ([], [("A", -0.5)]),
    ],
)
def test_two_tokens_that_are_spelled_alike_are_both_counted_and_none_twice(
    listed: list[tuple[str, float]], found: list[tuple[str, float]]
) -> None:
    """Regression: of a letter with and without a blank before it, which many servers spell alike, the last one alone
    counted."""
    tokens = [{"token": token, "logprob": logprob} for token, logprob in listed]
    told = {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": tokens}]}
    body = {"choices": [{"message": {"content": "A"}, "finish_reason": "stop", "logprobs": told}]}
    reply = reply_in(body, None)
    assert reply is not None and reply.alternatives == found


@pytest.mark.long
def test_each_sample_is_a_call_of_its_own_and_a_kill_between_them_pays_none_twice(tmp_path: Path) -> None:
    rows = texts(10)
    votes: Counter[str] = Counter()

    def changing(text: str) -> str:
        votes[text] += 1
        return "billing" if votes[text] == 2 else answer(text)

    with serving(Server(changing, {15: "401"})) as server:
        asked = teacher(server, tmp_path, asking=THREE, concurrency=1)
        with pytest.raises(StillhouseError, match="status 401"):
            asked.ask(rows)
        assert asked.unasked(rows) == 5
        said = asked.ask(rows)
        assert server.calls == 31, "the call that was refused is the only one made again"
        assert asked.unasked(rows) == 0
        assert asked.calls.spent("tickets") == pytest.approx(server.usd)
    shares = np.exp(np.array(said["logits"].to_list())).round(4)
    invoices = np.array(["invoice" in text for text in rows["text"]])
    assert (shares[invoices] == [0.1, 0.9]).all()
    assert (shares[~invoices] == [0.6333, 0.3667]).all()
    assert pl.Series(said["observed"]).unique().to_list() == ["large-2026-06"]
