"""What gates on prompts look at beside their own batch.

Belongs here: the base batch, and counts that several gates share.
Does not: a gate.
"""

import polars as pl

from checks.gate import GateContext
from stillhouse.stages.names import PROMPTS


def base_of(context: GateContext) -> pl.DataFrame:
    """Prompts of the base batch: this one, or the one that a later batch was held against."""
    return context.frame("prompts") if context.is_base else context.made_from(PROMPTS).frame("prompts")


def beside_base(context: GateContext) -> pl.DataFrame:
    """This batch and, for a later one, the base batch above it."""
    prompts = context.frame("prompts")
    return prompts if context.is_base else pl.concat([base_of(context), prompts], how="diagonal")


def label_counts(labels: pl.Series) -> dict[str, int]:
    """Rows of each label."""
    return dict(labels.drop_nulls().value_counts().iter_rows())
