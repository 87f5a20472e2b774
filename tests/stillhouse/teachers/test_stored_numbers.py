"""Numbers that a language model answered elsewhere: which replies are one, and to which query and document."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.rejects import RejectReason
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import SEPARATOR, ScoreSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.pilot import measured
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.stored import Failure, StoredTeacher, held_to
from stillhouse.teachers.stored_answers import read_answers
from stillhouse.teachers.verification import verify_signal
from tests.stillhouse.teachers.answered import Line, recipe_without_classes, reply, written

GRADES = ScoreSpec(lowest=0, highest=3, tolerance=0.5)
TASK = NumericScore.of(GRADES)
PAIRS = {
    "query": "query", "text": "document", "label": "relevance", "source": "pairs.csv", "format": None, "pattern": None,
    "encoding": "utf-8",
}  # fmt: skip


def recipe(folder: Path, *, data: dict[str, Any] | None = None, **answers: Any) -> RecipeFile:
    score = {"answer": "score", "score": GRADES.model_dump()}
    return recipe_without_classes(folder, {**score, **(data or {})}, loss="logit_mse", **answers)


def held(file: RecipeFile) -> pl.DataFrame:
    return held_to(read_answers(file).answers, TASK.names, {}, "score")


@pytest.mark.parametrize(
    ("answer", "number", "failure"),
    [
        (2, "2", None),
        (2.50, "2.5", None),
        ("2", "2", None),
        ("Relevance: **2**.", "2", None),
        ({"score": 3, "why": "it names 2 kings"}, "3", None),
        ('{"relevance": 0}', "0", None),
        (3, "3", None),
        (3.01, None, Failure.OUT_OF_RANGE),
        ("-1", None, Failure.OUT_OF_RANGE),
        ("2 or 3", None, Failure.NO_NUMBER),
        ("very", None, Failure.NO_NUMBER),
        ("", None, Failure.EMPTY),
        (None, None, Failure.EMPTY),
    ],
)
def test_a_stored_answer_is_a_number_or_says_why_it_is_none(
    tmp_path: Path, answer: object, number: str | None, failure: str | None
) -> None:
    written(tmp_path / "replies.jsonl", [{"text": "the text", "answer": answer}, {"text": "another", "answer": "1"}])
    texts = pl.Series("text", ["The  text"])
    said = with_answers(
        StoredTeacher(held(recipe(tmp_path)), 0.9, TASK).ask(pl.DataFrame([prompt_ids(texts), texts])), TASK
    )
    assert said.select("answer", "failure", "confidence").rows() == [(number, failure, None)]


def test_two_spellings_are_one_answer_and_two_numbers_are_two(tmp_path: Path) -> None:
    for name, second, found in (
        ("a", "2.0", ("2", None)),
        ("b", "3", (None, Failure.TWO_ANSWERS)),
        ("c", "9", ("2", None)),
    ):
        (tmp_path / name).mkdir()
        lines: list[Line] = [{"text": "the text", "answer": each} for each in ("2", second)]
        written(tmp_path / name / "replies.jsonl", lines)
        assert held(recipe(tmp_path / name)).select("answer", "failure").rows() == [found]


ASKED = "Query: {query}\nDocument: {document}\nHow relevant is it, from 0 to 3?"
BOTH = r"Query:\s(?P<query>.*)\sDocument:\s(?P<text>.*)\sHow relevant"
GRADED = [
    ("kings of  Denmark", "Who was the first king of Denmark ?", "3"),
    ("kings of Denmark", "What is a fear ?", "0"),
    ("fears", "What is a fear ?", "2"),
]


def as_table(folder: Path) -> dict[str, Any]:
    written(folder / "replies.jsonl", [dict(zip(("q", "d", "answer"), each, strict=True)) for each in GRADED])
    return {"query": "q", "text": "d"}


def as_conversations(folder: Path) -> dict[str, Any]:
    lines: list[Line] = [
        {"messages": [{"role": "user", "content": ASKED.format(query=query, document=document)},
                      {"role": "assistant", "content": f"Relevance: {grade}"}]}
        for query, document, grade in GRADED
    ]  # fmt: skip
    written(folder / "replies.jsonl", lines)
    return {"format": "chat", "text_pattern": BOTH}


def as_batch(folder: Path) -> dict[str, Any]:
    sent: list[Line] = [
        {"custom_id": str(n), "body": {"messages": [{"content": ASKED.format(query=query, document=document)}]}}
        for n, (query, document, _) in enumerate(GRADED)
    ]
    written(folder / "sent.jsonl", sent)
    written(folder / "replies.jsonl", [reply(str(n), f'{{"score": {each[2]}}}') for n, each in enumerate(GRADED)])
    return {"format": "batch", "requests": str(folder / "sent.jsonl"), "text_pattern": BOTH}


@pytest.mark.parametrize("way", [as_table, as_conversations, as_batch])
def test_a_grade_is_found_by_query_and_document_together(tmp_path: Path, way: Any) -> None:
    found = held(recipe(tmp_path, data=PAIRS, **way(tmp_path)))
    texts = pl.Series([f"{query} {SEPARATOR} {document}" for query, document, _ in GRADED])
    by_prompt = dict(found.select("prompt_id", "answer").iter_rows())
    assert [by_prompt[name] for name in prompt_ids(texts)] == ["3", "0", "2"] and len(by_prompt) == 3


def test_a_column_of_queries_that_is_not_there_is_named_in_its_line(tmp_path: Path) -> None:
    as_table(tmp_path)
    with pytest.raises(StillhouseError, match=r"defs\.yaml:\d+: teacher\.answers\.query"):
        read_answers(recipe(tmp_path, data=PAIRS, query="question", text="d"))


def test_a_prompt_without_query_or_document_is_of_no_row_and_is_counted(tmp_path: Path) -> None:
    how = as_conversations(tmp_path)
    lines: list[Line] = [
        {"messages": [{"content": content}, {"content": "2"}]}
        for content in ("Hello", ASKED.format(query=" ", document="d"))
    ]
    with (tmp_path / "replies.jsonl").open("a") as more:
        more.writelines(f"{json.dumps(line)}\n" for line in lines)
    read = read_answers(recipe(tmp_path, data=PAIRS, **how))
    assert (read.records, read.without_text, read.unreadable) == (5, 2, 0)


@pytest.mark.parametrize(
    ("data", "answers", "says"),
    [
        ({}, {"query": "q"}, "answers.query: must name no query where data.query is left out"),
        ({}, {"format": "chat", "text_pattern": BOTH}, "answers.text_pattern: must name no query"),
        (PAIRS, {"query": "q", "format": "chat"}, "query: must be left out where format is not table"),
        (PAIRS, {"query": "text"}, "query: another column than those of text and answer"),
        (PAIRS, {"query": "q", "text_pattern": BOTH}, "query: must be left out where text_pattern takes it out"),
        (PAIRS, {"probabilities": "shares"}, "answers.probabilities: must be left out where data.answer is score"),
    ],
)  # fmt: skip
def test_where_a_query_is_may_be_said_once_and_of_pairs_alone(
    tmp_path: Path, data: dict[str, Any], answers: dict[str, Any], says: str
) -> None:
    with pytest.raises(StillhouseError, match=says):
        recipe(tmp_path, data=data, **answers)


def test_an_answer_is_right_within_the_tolerance_and_at_it() -> None:
    """Grades are often exactly as far apart as the tolerance, and the 32 bits of a signal round them."""
    task = NumericScore(0, 300, 7)
    truth = [str(number) for number in range(8, 293)]
    ids = [f"p{number:03}" for number in range(len(truth))]
    rows = pl.DataFrame({"prompt_id": ids, "text": ids, "label": truth, "split": "validation"})
    for apart, right in ((7, len(truth)), (-7, len(truth)), (8, 0)):
        said = [str(int(each) + apart) for each in truth]
        answers = pl.DataFrame(
            {"prompt_id": ids, "answer": said, "failure": pl.Series([None] * len(ids), dtype=pl.String)}
        )
        stated, counted = measured(rows, answers, task)
        outputs = np.array(stated.ask(rows)["logits"].to_list())
        assert counted == task.right(outputs, task.targets(rows["label"])).sum() == right


def test_a_known_number_decides_and_an_unknown_one_is_learned() -> None:
    said = pl.DataFrame(
        {"prompt_id": ["p", "q", "r", "s"], "answer": ["2", "2", "2", None], "failure": [None] * 3 + ["x"]}
    )
    prompts = said.select(
        "prompt_id", text="prompt_id", label=pl.Series(["2.5", "3", None, "1"]), split=pl.lit("train"),
        batch=pl.lit("base"), row_kind=pl.lit("real"),
    )  # fmt: skip
    found = verify_signal(prompts, StoredTeacher(said, 0.9, TASK).ask(prompts), TASK)
    assert found.kept["prompt_id"].to_list() == ["p", "r"]
    assert found.rejects["reason"].to_list() == [RejectReason.NO_ANSWER, RejectReason.CONTRADICTS_LABEL]


def test_the_same_answers_between_other_ends_are_another_teachers_outputs() -> None:
    """Outputs lie between -1 and 1 for whatever ends: kept under one name, those of the old ends would be taught."""
    said = pl.DataFrame({"prompt_id": ["p"], "answer": ["2"], "failure": [None]})
    near, wider, looser = (
        StoredTeacher(said, 0.9, task) for task in (TASK, NumericScore(0.0, 4.0, 0.5), NumericScore(0.0, 3.0, 1.0))
    )
    assert near.fingerprint != wider.fingerprint and near.fingerprint == looser.fingerprint
    assert near.ask(said)["logits"].to_list() != wider.ask(said)["logits"].to_list()
