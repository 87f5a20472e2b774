"""Dagster's keys and partitions of the stages.

Belongs here: the asset key of a stage, and the partitions of those that are made batch by batch.
Does not: the names of the stages (stillhouse/stages/names.py).
"""

import dagster as dg


def batches_of(recipe: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a recipe's batched stages."""
    return dg.DynamicPartitionsDefinition(name=batches_name(recipe))


def batches_name(recipe: str) -> str:
    """What the instance calls the batches of a recipe."""
    return f"batches_of_{recipe}"


def key_of(recipe: str, stage: str) -> dg.AssetKey:
    """Asset key of a stage of a recipe."""
    return dg.AssetKey([recipe, *stage.split("/")])
