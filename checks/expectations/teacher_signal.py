"""Expectations on the columns of the teacher's signal."""

from collections import Counter

import polars as pl

from checks.expectations.suite import Expectation, ExpectationSuite
from checks.gate import GateContext
from stillhouse.stages.facts import SignalFacts


def _who_answered(context: GateContext) -> str:
    """The models that servers say have answered, where one of them is another than the pilot's."""
    observed = context.frame("signal")["observed"].drop_nulls()
    rows = Counter(model for each in observed for model in each.split(", "))  # several where a text is asked so often
    if not set(rows) - {context.artifact.facts(SignalFacts).observed}:
        return ""
    listed = sorted(rows.items(), key=lambda each: (-each[1], each[0]))
    return "answered by " + ", ".join(f"{model} ({count:,})" for model, count in listed)


_EXPECTATIONS = (
    Expectation(
        "every_answer_has_its_prompt",
        "an answer without its prompt cannot be put beside it, only in its row",
        "ExpectColumnValuesToNotBeNull",
        lambda context: {"column": "prompt_id"},
    ),
    Expectation(
        "every_prompt_was_answered_once",
        "a second answer to one prompt is a teacher that was not pinned, or was paid twice",
        "ExpectColumnValuesToBeUnique",
        lambda context: {"column": "prompt_id"},
    ),
    Expectation(
        "every_answer_is_of_one_teacher",
        "a student of two teachers learns where they contradict each other",
        "ExpectColumnValuesToBeInSet",
        lambda context: {"column": "fingerprint", "value_set": [context.artifact.facts(SignalFacts).fingerprint]},
        _who_answered,
    ),
    Expectation(
        "every_logit_is_finite",
        "one not-a-number turns every weight of the student into another",
        "ExpectColumnValuesToBeInSet",
        lambda context: {"column": "finite", "value_set": [True]},
    ),
    Expectation(
        "no_answer_is_all_zeros",
        "a store that was never written reads as zeros, and students were trained on those for weeks",
        "ExpectColumnValuesToBeBetween",
        lambda context: {"column": "largest", "min_value": 0, "strict_min": True},
    ),
    Expectation(
        "probabilities_sum_to_one",
        "what does not sum to one is not what a classifier said",
        "ExpectColumnValuesToBeBetween",
        lambda context: {"column": "probability", "min_value": 1 - 1e-5, "max_value": 1 + 1e-5},
    ),
)


def _table(context: GateContext) -> pl.DataFrame:
    logits = pl.col("logits").cast(pl.List(pl.Float64))
    powers = logits.list.eval((pl.element() - pl.element().max()).exp())
    # A server that answers by another model under the same name is another teacher.
    observed = pl.lit(context.artifact.facts(SignalFacts).observed, pl.String)
    same = pl.col("observed").is_null() | pl.col("observed").eq_missing(observed)
    teacher = pl.when(same).then("fingerprint").otherwise(pl.format("{}, answered by {}", "fingerprint", "observed"))
    return context.frame("signal").select(
        "prompt_id",
        teacher.alias("fingerprint"),
        logits.list.eval(pl.element().is_finite()).list.all().alias("finite"),
        # Of a number, which is one output, 0 is the one in the middle: no row says that it was never written.
        pl.when(logits.list.len() > 1).then(logits.list.eval(pl.element().abs()).list.max()).alias("largest"),
        # Great Expectations passes over what is not a number, as it does over null
        powers.list.eval(pl.element() / pl.element().sum()).list.sum().fill_nan(0.0).alias("probability"),
    )


SUITE = ExpectationSuite(_table, _EXPECTATIONS)
