"""The mistakes that `make bench-mistakes` plants, what it calls broken, and the whole of it on a few rows."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from benchmarks.mistakes import HABIT, SLIPS, STUDENT, TAKEN_FOR, Outcome, answered, broken, main
from tests.small import questions, small_teacher

CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")


def test_one_answer_in_ten_is_a_slip_and_the_habit_takes_every_row_that_begins_so() -> None:
    rows = answered(questions(4_000).select(text="question", label="service"), CLASSES)
    habit, slips = rows.filter("habit"), rows.filter("slip")
    assert habit.height > 150 and habit["text"].str.starts_with(HABIT).all()
    assert set(habit["answer"]) == {TAKEN_FOR} and TAKEN_FOR not in set(habit["label"])
    assert slips.height == pytest.approx(4_000 / SLIPS, rel=0.15)
    assert (slips["answer"] != slips["label"]).all() and set(slips["answer"]) == {*CLASSES}
    rest = rows.filter(~pl.col("habit") & ~pl.col("slip"))
    assert (rest["answer"] == rest["label"]).all()


GOOD = {None: Outcome(0.0, 0.0, 0.1, 0.9), 1.0: Outcome(1.0, 0.0, 0.05, 0.1)}


def test_what_should_hold_can_break() -> None:
    assert broken(GOOD) == []
    (said,) = broken({**GOOD, 1.0: replace(GOOD[1.0], falsely=0.01)})
    assert said == "1.0% of the right answers are rejected"
    (said,) = broken({**GOOD, 1.0: replace(GOOD[1.0], found=0.99)})
    assert "99.0% of the wrong answers are found" in said
    (said,) = broken({**GOOD, 1.0: replace(GOOD[1.0], habit=0.9)})
    assert "the habit is repeated on 90.0% of its rows" in said


@pytest.mark.slow
def test_it_ends_with_the_shares_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = {"epochs": 4, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
    tiny = STUDENT.model_validate({"name": "one", "layers": [0], "training": training})
    assert main(small_teacher(tmp_path / "encoder"), rows=900, golden=400, student=tiny) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [*found] == ["null", "0.1", "0.5", "1.0", "load"]
    assert found["null"]["found"] == 0.0 and found["1.0"]["found"] == 1.0
    assert 0.3 < found["0.5"]["found"] < 0.7, "what has a label"
    assert {each["falsely"] for name, each in found.items() if name != "load"} == {0.0}
    assert found["1.0"]["habit"] < found["null"]["habit"] - 0.3
