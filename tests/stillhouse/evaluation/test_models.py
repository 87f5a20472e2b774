"""Outputs are aligned by prompt id, and what does not line up is refused."""

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import EvaluatedModel, ModelKind, align, golden_targets, group_codes
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("a", "b")
TASK = SingleLabel(tuple(CLASSES))
GOLDEN = pl.DataFrame({"prompt_id": ["p1", "p2", "p3"], "label": ["a", "b", "a"], "channel": ["x", "y", "x"]})
LOGITS = {"p3": [3.0, 0.3], "p1": [1.0, 0.1], "p2": [2.0, 0.2]}


def subject(outputs) -> EvaluatedModel:
    return EvaluatedModel("s", ModelKind.STUDENT, outputs, 1)


@pytest.mark.parametrize("form", ["mapping", "list", "array"])
def test_rows_follow_the_golden_order_whatever_order_they_came_in(form: str) -> None:
    outputs = LOGITS
    if form != "mapping":
        kind = pl.List(pl.Float32) if form == "list" else pl.Array(pl.Float32, 2)
        outputs = pl.DataFrame(
            {"prompt_id": list(LOGITS), "logits": list(LOGITS.values())}, schema_overrides={"logits": kind}
        )
    assert align(subject(outputs), GOLDEN, TASK)[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_a_golden_row_without_output_is_refused() -> None:
    with pytest.raises(StillhouseError, match="1 golden rows have no output, such as p2"):
        align(subject({"p1": [0.0, 1.0], "p3": [0.0, 1.0]}), GOLDEN, TASK)


def test_an_output_that_is_not_in_the_golden_set_is_refused() -> None:
    with pytest.raises(StillhouseError, match="not in the golden set, such as p9"):
        align(subject({**LOGITS, "p9": [0.0, 1.0]}), GOLDEN, TASK)


def test_a_repeated_id_is_refused() -> None:
    frame = pl.DataFrame({"prompt_id": ["p1", "p1", "p2", "p3"], "logits": [[0.0, 1.0]] * 4})
    with pytest.raises(StillhouseError, match="more than once, such as p1"):
        align(subject(frame), GOLDEN, TASK)


@pytest.mark.parametrize(
    ("bad", "message"),
    [([1.0], "do not have 2 logits"), ([1.0, 2.0, 3.0], "do not have 2 logits"), (None, "do not have 2 logits"),
     ([1.0, float("nan")], "not finite"), ([1.0, None], "not finite"), ([1.0, float("inf")], "not finite")],
)  # fmt: skip
def test_malformed_logits_are_refused(bad: list[float] | None, message: str) -> None:
    frame = pl.DataFrame(
        {"prompt_id": ["p1", "p2", "p3"], "logits": [[0.0, 1.0], bad, [0.0, 1.0]]},
        schema={"prompt_id": pl.String, "logits": pl.List(pl.Float64)},
    )
    with pytest.raises(StillhouseError, match=message):
        align(subject(frame), GOLDEN, TASK)


def test_labels_become_class_indices() -> None:
    assert np.array_equal(golden_targets(GOLDEN, TASK), [0, 1, 0])


@pytest.mark.parametrize("label", [None, "c"])
def test_a_missing_or_unknown_label_is_refused(label: str | None) -> None:
    with pytest.raises(StillhouseError, match="1 rows have a label the models do not know"):
        golden_targets(GOLDEN.with_columns(label=pl.Series(["a", "b", label])), TASK)


def test_an_empty_golden_set_is_refused() -> None:
    with pytest.raises(StillhouseError, match="no rows"):
        golden_targets(GOLDEN.clear(), TASK)


def test_a_subject_without_size_is_refused() -> None:
    with pytest.raises(StillhouseError, match="0 bytes"):
        EvaluatedModel("s", ModelKind.STUDENT, LOGITS, 0)


def test_rows_without_a_group_stand_alone_even_beside_a_group_of_their_name() -> None:
    rows = pl.DataFrame({"prompt_id": ["p1", "p2", "p3", "p4", "p5"], "customer": ["x", None, "x", "p2", None]})
    codes = group_codes(rows, "customer")
    assert codes[0] == codes[2] and len(set(codes.tolist())) == 4
    assert sorted(group_codes(rows.reverse(), "customer").tolist()) == sorted(codes.tolist())


def test_a_group_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(StillhouseError, match="no column 'customer'"):
        group_codes(GOLDEN, "customer")
