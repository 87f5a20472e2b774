"""Stored logits as answers."""

import math

import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.answers import with_answers


def test_the_answer_is_the_largest_logit_and_its_certainty_is_its_probability() -> None:
    rows = pl.DataFrame({"logits": [[0.0, math.log(3)], [2.0, 2.0 - math.log(4)]]})
    said = with_answers(rows, SingleLabel(("no", "yes")))
    assert said["answer"].to_list() == ["yes", "no"]
    assert said["confidence"].to_list() == pytest.approx([3 / 4, 4 / 5])


def test_no_rows_have_no_answers() -> None:
    said = with_answers(pl.DataFrame(schema={"logits": pl.List(pl.Float32)}), SingleLabel(("no", "yes")))
    assert (said.height, said.columns) == (0, ["logits", "answer", "confidence"])


@pytest.mark.parametrize("logits", [[[1.0, 2.0, 3.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]]])
def test_logits_of_other_classes_are_refused(logits: list[list[float]]) -> None:
    with pytest.raises(StillhouseError, match="3 outputs; expected one for each of the teacher's 2"):
        with_answers(pl.DataFrame({"logits": logits}), SingleLabel(("no", "yes")))
