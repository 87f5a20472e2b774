"""Expectations on the columns of the teacher's signal."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from checks.expectations.suite import Expectation, ExpectationSuite
from checks.gate import GateContext
from stillhouse.stages.facts import SignalFacts

_NAMES = [
    ("every_answer_has_its_prompt", "an answer without its prompt cannot be put beside it, only in its row"),
    (
        "every_prompt_was_answered_once",
        "a second answer to one prompt is a teacher that was not pinned, or was paid twice",
    ),
    ("every_answer_is_of_one_teacher", "a student of two teachers copies the quarrel between them"),
    ("every_logit_is_finite", "one not-a-number turns every weight of the student into another"),
    (
        "no_answer_is_all_zeros",
        "a store that was never written reads as zeros, and students were trained on those for weeks",
    ),
    ("probabilities_sum_to_one", "what does not sum to one is not what a classifier said"),
]


def _expectations(context: GateContext) -> Sequence[Expectation]:
    facts = context.artifact.facts(SignalFacts)
    what: list[tuple[str, dict[str, Any]]] = [
        ("ExpectColumnValuesToNotBeNull", {"column": "prompt_id"}),
        ("ExpectColumnValuesToBeUnique", {"column": "prompt_id"}),
        ("ExpectColumnValuesToBeInSet", {"column": "fingerprint", "value_set": [facts.fingerprint]}),
        ("ExpectColumnValuesToBeInSet", {"column": "finite", "value_set": [True]}),
        ("ExpectColumnValuesToBeBetween", {"column": "largest", "min_value": 0, "strict_min": True}),
        ("ExpectColumnValuesToBeBetween", {"column": "probability", "min_value": 1 - 1e-5, "max_value": 1 + 1e-5}),
    ]
    return [Expectation(*name, *rest) for name, rest in zip(_NAMES, what, strict=True)]


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
        logits.list.eval(pl.element().abs()).list.max().alias("largest"),
        # Great Expectations passes over what is not a number, as it does over null
        powers.list.eval(pl.element() / pl.element().sum()).list.sum().fill_nan(0.0).alias("probability"),
    )


SUITE = ExpectationSuite(_table, _expectations, _NAMES)
