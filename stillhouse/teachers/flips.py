"""Whether a teacher behind an API still answers as it did, though some of its answers change by themselves.

Belongs here: counting answers that changed, and how many of them chance alone gives.
Does not: asking again (endpoint.py), the canary of teachers whose outputs can be compared (signal.py).
"""

import polars as pl

from stillhouse.tasks.alike import alike
from stillhouse.teachers.stored import Failure

ASKED_TWICE = 100
"""Validation prompts that the pilot asks a second time: none of a hundred differing bounds the share by 3 %."""
_SURE = 0.95
"""One-sided confidence of the bound on the share that changes by itself."""
_FALSE_ALARM = 1e-3
"""Probability of a false alarm each time, at that bound: a canary a day alarms without cause once in three years."""


def heard_twice(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """What was said before to the prompts that no server turned away, then or now: a model has read those both times.

    Args:
        before: `prompt_id`, `answer` and `failure`.
        after: the same.
    """
    turned_away = pl.col("failure") == Failure.TURNED_AWAY.value
    for said in (before, after):
        before = before.join(said.filter(turned_away), on="prompt_id", how="anti", maintain_order="left")
    return before


def flips(before: pl.DataFrame, after: pl.DataFrame, tolerance: float | None = None) -> int:
    """How many prompts are answered otherwise than before; no answer is an answer of its own.

    Args:
        before: `prompt_id` and `answer`.
        after: the same, of at least these prompts.
        tolerance: of numbers, within which two are one answer; None of labels.
    """
    both = before.select("prompt_id", "answer").join(after.select("prompt_id", again="answer"), on="prompt_id")
    answer, again = pl.col("answer"), pl.col("again")
    same = alike(answer, again, tolerance).fill_null(answer.is_null() & again.is_null())
    return both.filter(~same).height


def flips_by_chance(prompts: int, *, seen: int, of: int) -> int:
    """The most answers that may change without anything having changed.

    The share that changes by itself is at most the exact upper bound (Clopper and Pearson, Biometrika 1934) of what the
    pilot saw; more than the result is less probable than one in a thousand at that share.

    Args:
        prompts: that are asked again now.
        seen: answers that changed when the pilot asked twice.
        of: prompts that it asked twice, at least one.
    """
    from scipy.stats import beta, binom

    share = 1.0 if seen >= of else float(beta.ppf(_SURE, seen + 1, of - seen))
    return int(binom.isf(_FALSE_ALARM, prompts, share))
