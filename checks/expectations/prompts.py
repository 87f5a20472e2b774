"""Expectations on the columns of the prompt set."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from checks.expectations.suite import Expectation, ExpectationSuite
from checks.gate import GateContext

_NAMES = [
    ("every_prompt_has_an_id", "a row without an id cannot be matched with what the teacher said about it"),
    ("every_id_is_there_once", "two rows with one id would share one teacher answer, and one of them the wrong one"),
    ("every_prompt_has_text", "a student that learns from blank rows learns what to say to nothing"),
    ("no_text_is_too_long", "one text of a megabyte costs as much as a thousand questions, and is no question"),
    ("every_split_is_known", "a row on no side of the split is used by somebody who did not ask which"),
    ("every_golden_row_has_a_label", "a golden row without a label can only be judged by the teacher it should judge"),
    ("there_are_enough_rows_to_train", "ten rows cannot teach, however good the teacher"),
]


def _expectations(context: GateContext) -> Sequence[Expectation]:
    longest = context.recipe.data.max_characters
    sides, enough = ["train", "validation", "golden"], context.recipe.limits.training_rows_at_least
    what: list[tuple[str, dict[str, Any]]] = [
        ("ExpectColumnValuesToNotBeNull", {"column": "prompt_id"}),
        ("ExpectColumnValuesToBeUnique", {"column": "prompt_id"}),
        ("ExpectColumnValuesToMatchRegex", {"column": "text", "regex": r"\S"}),
        ("ExpectColumnValueLengthsToBeBetween", {"column": "text", "min_value": 1, "max_value": longest}),
        ("ExpectColumnValuesToBeInSet", {"column": "split", "value_set": sides}),
        ("ExpectColumnValuesToNotBeNull", {"column": "golden_label"}),
        ("ExpectTableRowCountToBeBetween", {"min_value": enough if context.is_base else 0}),
    ]
    return [Expectation(*name, *rest) for name, rest in zip(_NAMES, what, strict=True)]


def _table(context: GateContext) -> pl.DataFrame:
    golden = pl.when(pl.col("split") != "golden").then(pl.lit("not golden")).otherwise(pl.col("label"))
    return context.frame("prompts").with_columns(golden.alias("golden_label"))


SUITE = ExpectationSuite(_table, _expectations, _NAMES)
