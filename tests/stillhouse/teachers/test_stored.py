"""Answers that were given elsewhere: each prompt finds its own, or the reason why it has none; nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.prompt_set import redacted
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.statistics.softmax import probabilities_of
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.columns import ANSWER_SCHEMA
from stillhouse.teachers.soft_labels import by_shares
from stillhouse.teachers.stored import Failure, StoredTeacher, held_to
from stillhouse.teachers.stored_answers import AnswersRead, read_answers
from stillhouse.teachers.stored_probabilities import Flaw
from tests.stillhouse.teachers.answered import Line, recipe, reply, written

TASK = SingleLabel(("billing", "access", "other"))


def read(folder: Path, lines: list[Line], **how: Any) -> AnswersRead:
    written(folder / "replies.jsonl", lines)
    return read_answers(recipe(folder, **how))


def table(*rows: tuple[str, str | None]) -> list[Line]:
    return [{"text": text, "answer": answer} for text, answer in rows]


def asked(*texts: str) -> pl.DataFrame:
    column = pl.Series("text", texts)
    return pl.DataFrame([prompt_ids(column), column])


def said(
    found: AnswersRead, *texts: str, accuracy: float = 0.9, spellings: dict[str, str] | None = None
) -> pl.DataFrame:
    rows = StoredTeacher(held_to(found.answers, TASK.names, spellings or {}), accuracy, TASK).ask(asked(*texts))
    assert rows.schema == pl.Schema(ANSWER_SCHEMA)
    return with_answers(rows, TASK)


def test_a_prompt_finds_its_answer_whatever_the_case_and_the_blanks(tmp_path: Path) -> None:
    found = read(tmp_path, table(("My  invoice is WRONG", "billing"), ("I am locked out", "access")))
    rows = said(found, "my invoice is wrong")
    assert rows["answer"].to_list() == ["billing"] and rows["failure"].to_list() == [None]


def test_personal_data_is_taken_out_as_it_is_of_the_prompts(tmp_path: Path) -> None:
    as_it_came = "Write to ann@example.org about the invoice"
    (as_a_prompt,) = redacted(pl.DataFrame({"text": [as_it_came]})).rows["text"]
    found = said(read(tmp_path, table((as_it_came, "billing"))), as_a_prompt, as_it_came)
    assert found["answer"].to_list() == ["billing", None], "a prompt set never holds the address itself"


def test_each_prompt_without_an_answer_says_why(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        table(
            ("empty", None), ("blank", " "), ("odd", "Refunds"), ("torn", "billing"), ("torn", "access"),
            ("twice", "other"), ("twice", "other"),
        ),
    )  # fmt: skip
    rows = said(found, "empty", "blank", "odd", "torn", "twice", "never asked")
    assert rows["failure"].to_list() == [
        Failure.EMPTY, Failure.EMPTY, Failure.NO_LABEL, Failure.TWO_ANSWERS, None, Failure.NOT_ASKED
    ]  # fmt: skip
    assert rows["answer"].to_list() == [None, None, None, None, "other", None]


@pytest.mark.parametrize("ended", ["length", "content_filter", "error"])
def test_a_reply_of_a_batch_that_was_broken_off_is_no_answer_though_it_reads_like_one(
    tmp_path: Path, ended: str
) -> None:
    """As a reply to a call; regression: in a file one that a filter had ended counted."""
    lines = [reply("1", "billing"), reply("2", "billing")]
    lines[1]["response"]["body"]["choices"][0]["finish_reason"] = ended
    answers = read(tmp_path, lines, format="batch").answers
    assert answers.select("prompt_id", "answer").rows() == [("1", "billing"), ("2", None)]


@pytest.mark.long
@pytest.mark.parametrize("spelled", ["billing", "Billing.", ' "billing" ', "**BILLING**"])
def test_case_and_what_is_around_a_label_do_not_matter(tmp_path: Path, spelled: str) -> None:
    assert said(read(tmp_path, table(("a", spelled))), "a")["answer"].to_list() == ["billing"]


@pytest.mark.long
@pytest.mark.parametrize("spelled", ["billing or access", "bill", "It is billing"])
def test_no_label_is_guessed_from_a_longer_answer(tmp_path: Path, spelled: str) -> None:
    assert said(read(tmp_path, table(("a", spelled))), "a")["failure"].to_list() == [Failure.NO_LABEL]


def test_why_is_read_from_a_column_or_out_of_the_answer_and_bears_no_name(tmp_path: Path) -> None:
    lines: list[Line] = [
        {"text": "a", "answer": "billing", "why": "It speaks of an  invoice to ann@example.org"},
        {"text": "b", "answer": "access", "why": ""},
        {"text": "c", "answer": "nothing", "why": "of no label"},
    ]
    found = read(tmp_path, lines, rationale="why")
    rows = StoredTeacher(held_to(found.answers, TASK.names, {}), 0.9, TASK).ask(asked("a", "b", "c", "d"))
    assert rows.schema == pl.Schema({**ANSWER_SCHEMA, "rationale": pl.String})
    assert rows["rationale"].to_list() == ["It speaks of an invoice to [EMAIL]", None, None, None]

    written(tmp_path / "replies.jsonl", [{"text": "a", "answer": "An invoice is named. Queue: billing"}])
    patterns = {"answer_pattern": r"Queue: (?P<answer>\w+)", "rationale_pattern": r"^(?P<rationale>.*) Queue:"}
    (tmp_path / "other").mkdir()
    file = recipe(tmp_path / "other", source="../replies.jsonl", **patterns)
    assert read_answers(file).answers.select("answer", "rationale").rows() == [("billing", "An invoice is named.")]


@pytest.mark.parametrize(
    ("spec", "field", "what"),
    [
        ({"rationale": "why"}, "rationale", "none of 2 replies says why"),
        (
            {"rationale_pattern": "Reason: (?P<rationale>.*)\n"},
            "rationale_pattern",
            "none of 2 replies matches the pattern",
        ),
    ],
)
def test_where_no_reply_has_the_rationale_that_is_asked_for_nothing_is_read(
    tmp_path: Path, spec: dict[str, str], field: str, what: str
) -> None:
    """Regression: a pattern that never matched was said by nobody, and students matched the texts instead."""
    lines = [{"text": text, "answer": "Reason: so\nQueue: billing", "why": " "} for text in "ab"]
    with pytest.raises(StillhouseError, match=r"defs.yaml:\d+.*") as caught:
        read(tmp_path, lines, **spec)
    assert caught.value.what == what and field in caught.value.where and field in caught.value.do


def test_replies_that_do_not_say_why_are_counted(tmp_path: Path) -> None:
    lines = [{"text": text, "answer": "billing", "why": why} for text, why in (("a", " "), ("b", "It says so."))]
    for name, spec, counted in (("read", {"rationale": "why"}, 1), ("not read", {}, None)):
        (tmp_path / name).mkdir()
        assert read(tmp_path / name, lines, **spec).without_rationale == counted


def test_what_is_said_of_why_is_part_of_the_fingerprint() -> None:
    replies = pl.DataFrame({"prompt_id": ["p"], "answer": ["other"], "rationale": ["so"]})
    held = held_to(replies, TASK.names, {})
    without, otherwise = held.drop("rationale"), held.with_columns(rationale=pl.lit("because"))
    assert len({StoredTeacher(each, 0.9, TASK).fingerprint for each in (held, without, otherwise)}) == 3


def test_the_rationale_is_that_of_a_reply_with_the_answer() -> None:
    replies = pl.DataFrame(
        {
            "prompt_id": ["p", "p", "p", "q"],
            "answer": ["so long", "other", "other", "so long"],
            "rationale": ["of no label", None, "the second", "of no label"],
        }
    )
    assert held_to(replies, TASK.names, {})["rationale"].to_list() == ["the second", None]


def test_each_reply_is_kept_in_full_beside_the_answer_and_is_no_part_of_what_is_taught(tmp_path: Path) -> None:
    lines = table(
        ("a", "Queue: billing"), ("b", "Queue:  access"), ("b", "I cannot"), ("c", None),
        ("d", "Queue: other, ask ann@example.org"),
    )  # fmt: skip
    held = held_to(read(tmp_path, lines, answer_pattern=r"Queue: (?P<answer>\w+)").answers, TASK.names, {})
    teacher = StoredTeacher(held, 0.9, TASK)
    full = {prompt: raw for prompt, raw in held.select("prompt_id", "raw").iter_rows()}
    ids = asked("a", "b", "c", "d")["prompt_id"].to_list()
    assert [full[name] for name in ids[:3]] == [["Queue: billing"], ["I cannot", "Queue: access"], []]
    assert full[ids[3]] == ["Queue: other, ask [EMAIL]"]
    assert "raw" not in teacher.ask(asked("a")).columns
    assert StoredTeacher(held.drop("raw"), 0.9, TASK).fingerprint == teacher.fingerprint, "as before it was kept"


def test_the_tokens_of_a_call_are_kept_beside_its_answer(tmp_path: Path) -> None:
    lines: list[Line] = [
        {**chat("a", "billing"), "usage": {"prompt_tokens": 51, "completion_tokens": 3, "total_tokens": 54}},
        {**chat("b", "access"), "usage": {"prompt_tokens": 40}},
        {**chat("c", "?"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}},
        {**chat("c", "other"), "usage": {"prompt_tokens": 8, "completion_tokens": 2}},
        {**chat("d", "other"), "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
        chat("d", ""),
    ]
    held = held_to(read(tmp_path, lines, format="chat", usage="usage").answers, TASK.names, {})
    rows = StoredTeacher(held, 0.9, TASK).ask(asked("a", "b", "c", "d", "never asked"))
    assert rows.schema == pl.Schema({**ANSWER_SCHEMA, "tokens_out": pl.Int64})
    assert rows.select("tokens", "tokens_out").rows() == [(51, 3), (None, None), (15, 3), (9, 2), (None, None)]
    otherwise = StoredTeacher(held.with_columns(pl.col("tokens_out") + 1), 0.9, TASK)
    assert StoredTeacher(held, 0.9, TASK).fingerprint != otherwise.fingerprint, "else a store would keep the old counts"


def test_the_tokens_of_a_batch_are_read_where_it_has_them(tmp_path: Path) -> None:
    counted, failed = reply("r1", "billing"), reply("r2", None, status=429)
    counted["response"]["body"]["usage"] = {"prompt_tokens": 51, "completion_tokens": 3}
    found = read(tmp_path, [counted, failed], format="batch", usage="response.body.usage").answers
    assert found.select("prompt_id", "tokens", "tokens_out").rows() == [("r1", 51, 3), ("r2", None, None)]


@pytest.mark.parametrize("usage", [{"total_tokens": 7}, "seven", {"prompt_tokens": "7", "completion_tokens": 1}])
def test_where_no_reply_counts_its_tokens_nothing_is_read(tmp_path: Path, usage: object) -> None:
    with pytest.raises(StillhouseError, match="none of 1 replies counts its tokens") as caught:
        read(tmp_path, [{**chat("a", "billing"), "usage": usage}], format="chat", usage="usage")
    assert "defs.yaml:" in caught.value.where and "teacher.answers.usage" in caught.value.where


def test_a_column_of_counts_that_is_not_there_is_named_in_its_line(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=r"defs.yaml:\d+: teacher.answers.usage: "):
        read(tmp_path, table(("a", "billing")), usage="took")


def with_shares(*rows: tuple[str, Any]) -> list[Line]:
    return [{"text": text, "answer": "billing", "scores": scores} for text, scores in rows]


def shares(rows: pl.DataFrame) -> dict[str, list[float]]:
    found = rows.with_columns(pl.Series("text", ["abcdef"[place] for place in range(rows.height)]))
    answered = found.filter(pl.col("logits").is_not_null())
    return {text: np.exp(logits).round(6).tolist() for text, logits in answered.select("text", "logits").iter_rows()}


def test_a_student_can_learn_the_probabilities_of_a_file(tmp_path: Path) -> None:
    lines = with_shares(
        ("a", {"billing": 0.7, "access": 0.2, "other": 0.1}),
        ("b", {"billing": 0.7}),  # 0.3 is left for two
        ("c", {"billing": 0.6, "access": 0.1}),
        ("d", {"billing": 0.8, "access": 0.2, "other": None}),  # nothing is left
        ("e", {"billing": 1, "access": 0, "other": 0}),
        ("f", {"billing": 0.4, "access": 0.05, "other": 0.05}),  # half of it was on other words
    )
    rows = said(read(tmp_path, lines, probabilities="scores"), *"abcdef", accuracy=0.9)
    assert rows["answer"].to_list() == ["billing"] * 6
    assert shares(rows) == {
        "a": [0.7, 0.2, 0.1], "b": [0.7, 0.15, 0.15], "c": [0.6, 0.1, 0.3], "d": [0.8, 0.2, 0.0],
        "e": [1.0, 0.0, 0.0], "f": [0.8, 0.1, 0.1],
    }  # fmt: skip
    least = np.array(rows["logits"].to_list()).min()
    assert least == pytest.approx(np.log(1e-9)), "a zero stays finite, and is no smaller than a file can tell"


def test_labels_of_probabilities_are_spelled_as_answers_are(tmp_path: Path) -> None:
    lines = with_shares(
        ("a", {"Billing.": 0.5, "invoices": 0.25, "ACCESS": 0.25}), ("b", {"billing": 0.6, "Help": 0.4})
    )
    found = read(tmp_path, lines, probabilities="scores")
    rows = said(found, "a", "b", spellings={"Invoices": "billing", "Help": "no class of the rows"})
    assert shares(rows) == {"a": [0.75, 0.25, 0.0]}
    assert rows["failure"].to_list() == [None, Flaw.NO_LABEL]


@pytest.mark.parametrize(
    ("scores", "flaw"),
    [
        (None, Flaw.NONE_SAID),
        ("", Flaw.NONE_SAID),
        ({}, Flaw.UNREADABLE),
        ("0.9", Flaw.UNREADABLE),
        ("{'billing': 0.9}", Flaw.UNREADABLE),
        ({"billing": "0.9"}, Flaw.UNREADABLE),
        ({"billing": True}, Flaw.UNREADABLE),
        ({"billing": 0.9, "access": -0.1}, Flaw.UNREADABLE),
        ({"billing": 0.9, "access": float("nan")}, Flaw.UNREADABLE),
        ({"billing": 0.8, "access": 0.22}, Flaw.UNREADABLE),
        ({"billing": 90, "access": 10}, Flaw.UNREADABLE),
        ({"billing": 0, "access": 0}, Flaw.UNREADABLE),
        ({"billing": 0.9, "refunds": 0.1}, Flaw.NO_LABEL),
        ({"billing": 0.4, "access": 0.6}, Flaw.OTHER_ANSWER),
        ({"billing": 0.4, "other": 0.1}, Flaw.OTHER_ANSWER),
        ({"billing": 0.5, "access": 0.5}, Flaw.OTHER_ANSWER),
        ({"billing": 0.8, "access": 0.21}, None),
        ('{"billing": 0.9}', None),
    ],
)
def test_probabilities_that_cannot_be_have_a_failure_of_their_own(
    tmp_path: Path, scores: Any, flaw: Flaw | None
) -> None:
    lines = with_shares(("a", scores), ("b", {"billing": 0.9}), ("c", scores), ("c", {"billing": 0.9}))
    rows = said(read(tmp_path, lines, probabilities="scores"), "a", "b", "c")
    assert rows["failure"].to_list() == [flaw, None, None], "and take nothing from another reply"
    assert rows["logits"].is_null().to_list() == [flaw is not None, False, False]


def test_what_is_no_object_of_probabilities_is_not_kept(tmp_path: Path) -> None:
    """It may be all that the teacher wrote, and repeat the text."""
    found = read(
        tmp_path, with_shares(("a", "Ann (ann@example.org): 0.9"), ("b", {"billing": 0.9})), probabilities="scores"
    )
    assert set(found.answers["probabilities"]) == {"{}", '{"billing": 0.9}'}


def test_what_is_wrong_with_the_answer_is_said_before_what_is_wrong_beside_it(tmp_path: Path) -> None:
    lines: list[Line] = [
        {"text": "a", "answer": None, "scores": {"billing": -1}},
        {"text": "b", "answer": "refunds", "scores": {"refunds": 0.9}},
        {"text": "c", "answer": "billing", "scores": {"billing": 0.9}},
        {"text": "c", "answer": "access", "scores": {"access": 0.9}},
    ]
    rows = said(read(tmp_path, lines, probabilities="scores"), "a", "b", "c", "d")
    assert rows["failure"].to_list() == [Failure.EMPTY, Failure.NO_LABEL, Failure.TWO_ANSWERS, Failure.NOT_ASKED]


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        (None, "it is empty"),
        ("billing: 0.9", "it is no JSON object"),
        ({"billing": "0.9"}, "a value in it is no number"),
        ({"billing": -0.1, "access": -2.3}, "a value in it is below 0 or above 1"),
        ({"billing": 0.9, "access": 0.6}, "its values add up to 1.5"),
    ],
)
def test_where_no_reply_has_probabilities_nothing_is_read(tmp_path: Path, scores: Any, what: str) -> None:
    with pytest.raises(StillhouseError, match=r"defs.yaml:\d+.*") as caught:
        read(tmp_path, with_shares(("a", scores), ("b", {"billing": -0.1})), probabilities="scores")
    assert caught.value.what == f"none of 2 replies has probabilities; of the first, {what}"
    assert "teacher.answers.probabilities" in caught.value.where


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "json"])
def test_an_object_is_read_from_files_of_each_format(tmp_path: Path, ending: str) -> None:
    objects = [{"billing": 0.75, "access": 0.25}, {"billing": 0.5, "access": float("nan")}, None]
    rows = [{"text": text, "answer": "billing", "scores": each} for text, each in zip("abc", objects, strict=True)]
    path = tmp_path / f"replies.{ending}"
    if ending == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif ending == "csv":
        spelled = [{**row, "scores": None if row["scores"] is None else json.dumps(row["scores"])} for row in rows]
        pl.DataFrame(spelled).write_csv(path)
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        written(path, rows)
    found = read_answers(recipe(tmp_path, source=path.name, probabilities="scores"))
    rows_said = said(found, *"abc")
    assert shares(rows_said) == {"a": [0.75, 0.25, 0.0]}
    assert rows_said["failure"].to_list() == [None, Flaw.UNREADABLE, Flaw.NONE_SAID]


def test_probabilities_stand_beside_a_conversation_too(tmp_path: Path) -> None:
    lines = [{**chat("wrong sum", "billing"), "meta": {"shares": {"billing": 0.9, "other": 0.1}}}]
    found = read(tmp_path, lines, format="chat", probabilities="meta.shares")
    assert shares(said(found, "wrong sum")) == {"a": [0.9, 0.0, 0.1]}


def test_probabilities_are_part_of_the_fingerprint_where_they_are_read(tmp_path: Path) -> None:
    fingerprints = set()
    for name, scores, spec in (
        ("none", 0.9, {}), ("some", 0.9, {"probabilities": "scores"}), ("others", 0.8, {"probabilities": "scores"}),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        found = read(tmp_path / name, with_shares(("a", {"billing": scores})), **spec)
        held = held_to(found.answers, TASK.names, {})
        assert ("probabilities" in held.columns) == bool(spec)
        fingerprints.add(StoredTeacher(held, 0.9, TASK).fingerprint)
    assert len(fingerprints) == 3


def test_answers_alone_have_the_fingerprint_of_before_there_were_probabilities() -> None:
    """Else a new version would have everything that was learned from them made again."""
    held = held_to(pl.DataFrame({"prompt_id": ["p", "q"], "answer": ["other", "?"]}), TASK.names, {})
    said = [("p", "other", None), ("q", None, Failure.NO_LABEL.value)]
    assert StoredTeacher(held, 0.9, TASK).fingerprint == digest_of({"answers": said, "accuracy": 0.9})


@pytest.mark.long
@given(st.lists(st.floats(1e-12, 1), min_size=2, max_size=9))
def test_probabilities_of_all_labels_are_their_own_distribution(weights: list[float]) -> None:
    told = np.array(weights) / sum(weights)
    np.testing.assert_allclose(np.exp(by_shares(told.tolist())), told, rtol=1e-9)


@pytest.mark.long
@given(st.lists(st.one_of(st.none(), st.floats(0, 0.1)), min_size=1, max_size=9), st.floats(0.01, 0.2))
def test_outputs_are_a_distribution_in_the_order_of_what_was_told(few: list[float | None], one: float) -> None:
    said = [one, *few]
    found = by_shares(said)
    assert np.isfinite(found).all() and np.exp(found).sum() == pytest.approx(1)
    for first, output in zip(said, found, strict=True):
        for second, other in zip(said, found, strict=True):
            assert first is None or second is None or first <= second or output > other


def test_a_column_of_rationales_that_is_not_there_is_named_in_its_line(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=r"defs.yaml:\d+.*") as caught:
        read(tmp_path, table(("a", "billing")), rationale="why")
    assert "why" in str(caught.value) and "rationale" in caught.value.where


def test_two_labels_that_differ_in_case_alone_are_said_apart() -> None:
    replies = pl.DataFrame({"prompt_id": ["p", "q", "r"], "answer": ["us", "US", "Us"]})
    assert held_to(replies, ["US", "us"], {})["answer"].to_list() == ["us", "US", None]


def test_a_reply_that_is_no_label_takes_nothing_from_another_one(tmp_path: Path) -> None:
    """Regression: a prompt that was asked again after a failed reply never had an answer."""
    lines = table(("a", None), ("a", "billing"), ("b", "I am not sure."), ("b", "Access"), ("b", "access."), ("c", "?"))
    rows = said(read(tmp_path, lines), "a", "b", "c")
    assert rows["answer"].to_list() == ["billing", "access", None] and rows["failure"][2] == Failure.NO_LABEL


def test_the_recipes_map_of_spellings_counts_for_answers_too(tmp_path: Path) -> None:
    rows = said(
        read(tmp_path, table(("a", "invoices"), ("b", "Invoices."), ("c", "Refunds"))),
        "a", "b", "c", spellings={"Invoices": "billing", "Refunds": "no class of the rows"},
    )  # fmt: skip
    assert rows["answer"].to_list() == ["billing", "billing", None]


def chat(*contents: str) -> Line:
    roles = ["user", "assistant"] if len(contents) % 2 == 0 else ["system", "user", "assistant"]
    return {"messages": [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]}


def test_a_conversation_ends_with_what_was_asked_and_answered(tmp_path: Path) -> None:
    around = {"text_pattern": r"Ticket:\s(?P<text>.*?)\sQueue:", "answer_pattern": r"(?P<answer>\w+)\W*$"}
    lines = [
        chat("Ticket:\nI am\nlocked out\nQueue:", "It is\naccess."),
        chat("You route tickets.", "Ticket: wrong sum Queue:", "billing"),
        chat("Hello!", "Hello, how can I help?"),
    ]
    found = read(tmp_path, lines, format="chat", **around)
    assert said(found, "I am locked out", "wrong sum")["answer"].to_list() == ["access", "billing"]
    assert (found.records, found.without_text) == (3, 1)


def test_replies_of_a_batch_find_their_requests(tmp_path: Path) -> None:
    sent = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": chat("Route it.", text, "")}
        for name, text in (("r1", "wrong sum"), ("r2", "locked out"), ("r3", "hello"))
    ]
    for request in sent:
        request["body"]["messages"].pop()
    written(tmp_path / "sent.jsonl", sent)
    replies = [reply("r2", "access"), reply("r1", "Billing"), reply("r3", None, status=429), reply("r9", "other")]
    found = read(tmp_path, replies, format="batch", requests=str(tmp_path / "sent.jsonl"))
    rows = said(found, "wrong sum", "locked out", "hello")
    assert rows["answer"].to_list() == ["billing", "access", None] and rows["failure"][2] == Failure.EMPTY
    assert (found.records, found.without_text) == (4, 1), "nobody knows what r9 was asked"


def test_an_id_that_stands_for_two_texts_is_refused(tmp_path: Path) -> None:
    """Regression: of several files of requests one text was given the answer to another."""
    sent = [{"custom_id": "r1", "body": {"messages": [{"content": text}]}} for text in ("wrong sum", "locked out")]
    written(tmp_path / "sent.jsonl", sent)
    with pytest.raises(StillhouseError, match="the custom_id 'r1' stands for 2 texts"):
        read(tmp_path, [reply("r1", "billing")], format="batch", requests=str(tmp_path / "sent.jsonl"))


def test_a_reply_of_a_batch_that_was_cut_off_is_no_answer(tmp_path: Path) -> None:
    (prompt,) = prompt_ids(pl.Series(["wrong sum"]))
    cut = reply(prompt, "access")
    cut["response"]["body"]["choices"][0]["finish_reason"] = "length"
    found = read(tmp_path, [cut, reply("other", "billing")], format="batch")
    assert said(found, "wrong sum")["failure"].to_list() == [Failure.EMPTY]


def test_of_requests_that_stillhouse_wrote_the_ids_are_those_of_the_prompts(tmp_path: Path) -> None:
    (prompt,) = prompt_ids(pl.Series(["wrong sum"]))
    found = read(tmp_path, [reply(prompt, "billing")], format="batch")
    assert said(found, "wrong sum")["answer"].to_list() == ["billing"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"text": "question"}, "teacher.answers.text"),
        ({"answer": "label"}, "teacher.answers.answer"),
        ({"format": "chat"}, "teacher.answers.text"),
        ({"format": "batch"}, "teacher.source"),
    ],
)
def test_a_field_that_is_not_there_is_named_with_the_recipes_line(tmp_path: Path, how: Line, line: str) -> None:
    with pytest.raises(StillhouseError, match=rf"defs\.yaml:\d+: {line}: "):
        read(tmp_path, table(("a", "billing")), **how)


def test_an_answer_is_as_sure_as_the_teacher_is_right(tmp_path: Path) -> None:
    rows = said(read(tmp_path, table(("a", "access"))), "a", accuracy=0.8)
    probabilities = probabilities_of(np.array(rows["logits"].to_list()), 1.0)
    np.testing.assert_allclose(probabilities, [[0.1, 0.8, 0.1]], atol=1e-6)


@pytest.mark.long
@given(st.floats(1e-6, 1 - 1e-6), st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_what_was_answered_stays_the_answer_however_seldom_it_is_right(accuracy: float, targets: list[int]) -> None:
    outputs = TASK.stated(np.array(targets), accuracy)
    assert TASK.answers(outputs).tolist() == targets
    np.testing.assert_allclose(np.exp(outputs).sum(axis=1), 1)
    if accuracy > 0.35:
        np.testing.assert_allclose(TASK.confidence(outputs), accuracy)


@pytest.mark.parametrize("change", ["answer", "failure", "accuracy"])
def test_the_fingerprint_is_of_all_that_decides_what_is_said(change: str) -> None:
    def teacher(*answers: tuple[str, str | None, str | None], accuracy: float = 0.9) -> StoredTeacher:
        frame = pl.DataFrame(
            answers, schema={"prompt_id": pl.String, "answer": pl.String, "failure": pl.String}, orient="row"
        )
        return StoredTeacher(frame, accuracy, TASK)

    one, two = ("a", "access", None), ("b", None, Failure.EMPTY.value)
    changed = {
        "answer": teacher(("a", "other", None), two),
        "failure": teacher(one, ("b", None, Failure.NO_LABEL.value)),
        "accuracy": teacher(one, two, accuracy=0.8),
    }[change]
    assert teacher(one, two).fingerprint == teacher(one, two).fingerprint != changed.fingerprint
