"""Expectations on the columns of the prompt set."""

import polars as pl

from checks.expectations.suite import Expectation, ExpectationSuite
from checks.gate import GateContext

_SIDES = ["train", "validation", "golden"]

_EXPECTATIONS = (
    Expectation(
        "every_prompt_has_an_id",
        "a row without an id cannot be matched with what the teacher said about it",
        "ExpectColumnValuesToNotBeNull",
        lambda context: {"column": "prompt_id"},
    ),
    Expectation(
        "every_id_is_there_once",
        "two rows with one id would share one teacher answer, and one of them the wrong one",
        "ExpectColumnValuesToBeUnique",
        lambda context: {"column": "prompt_id"},
    ),
    Expectation(
        "every_prompt_has_text",
        "a student that learns from blank rows learns what to say to nothing",
        "ExpectColumnValuesToMatchRegex",
        lambda context: {"column": "text", "regex": r"\S"},
    ),
    Expectation(
        "no_text_is_too_long",
        "one text of a megabyte costs as much as a thousand questions and is not a question",
        "ExpectColumnValueLengthsToBeBetween",
        lambda context: {"column": "text", "min_value": 1, "max_value": context.recipe.data.max_characters},
    ),
    Expectation(
        "every_split_is_known",
        "a row on no side of the split is used by somebody who did not ask which",
        "ExpectColumnValuesToBeInSet",
        lambda context: {"column": "split", "value_set": _SIDES},
    ),
    Expectation(
        "every_golden_row_has_a_label",
        "a golden row without a label can only be judged by the teacher it should judge",
        "ExpectColumnValuesToNotBeNull",
        lambda context: {"column": "golden_label"},
    ),
    Expectation(
        "there_are_enough_rows_to_train",
        "ten rows cannot teach, however good the teacher",
        "ExpectTableRowCountToBeBetween",
        lambda context: {"min_value": context.recipe.limits.training_rows_at_least if context.is_base else 0},
    ),
)


def _table(context: GateContext) -> pl.DataFrame:
    golden = pl.when(pl.col("split") != "golden").then(pl.lit("not golden")).otherwise(pl.col("label"))
    return context.frame("prompts").with_columns(golden.alias("golden_label"))


SUITE = ExpectationSuite(_table, _EXPECTATIONS)
