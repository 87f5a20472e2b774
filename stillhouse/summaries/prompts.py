"""What is shown of a prompt set.

Belongs here: its numbers, its labels by side of the split as rows, and the set in one line.
Does not: making it (stillhouse/stages/prompts.py).
"""

from typing import Any

import polars as pl

from stillhouse.stages.facts import PromptFacts


def headline(facts: PromptFacts) -> str:
    """The set in one line."""
    return (
        f"{facts.train:,} rows train, {facts.validation:,} validate, {facts.golden:,} are golden, "
        f"{facts.rejected:,} rejected"
    )


def numbers(facts: PromptFacts) -> dict[str, Any]:
    """Rows by side, what was redacted, and how much of the texts models read where that is known."""
    coverage = facts.coverage
    read = {} if coverage is None else {
        "max_tokens": coverage.max_tokens,
        "texts_cut": coverage.cut_share,
        "word_pieces_unknown": coverage.unknown_share,
    }  # fmt: skip
    return {
        "train": facts.train,
        "validation": facts.validation,
        "golden": facts.golden,
        "labelled_train": facts.labelled_train,
        "rejected": facts.rejected,
        "golden_digest": facts.golden_digest,
        "personal_data_redacted": facts.redacted,
        **read,
    }


def labels_by_split(prompts: pl.DataFrame) -> list[dict[str, object]]:
    """How many rows each label has on each side.

    Args:
        prompts: with `split` and `label`.
    """
    mix = prompts.group_by("split", "label").len("rows").pivot("split", index="label", values="rows").sort("label")
    return mix.to_dicts()
