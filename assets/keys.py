"""The names of the stages and the asset keys made of them.

Belongs here: one constant for every stage, in the order in which data flows, and which stages are made batch by batch.
Does not: anything that needs a recipe's content.
"""

import dagster as dg

CONTRACT = "contract"
SOURCE = "source"
PROMPTS = "prompts"
TEACHER = "teacher"
BASELINES = "baselines"
TEACHER_SIGNAL = "teacher_signal"
TRANSFER_SET = "transfer_set"
CANDIDATES = "candidates"
EXPORTS = "exports"
EVALUATION = "evaluation"
REASONS = "reasons"
SELECTION = "selection"
RELEASE = "release"
CHAMPION = "champion"

BATCHED = (SOURCE, PROMPTS, TEACHER_SIGNAL)
"""Stages that are partitioned by batch: a bad drop of rows closes itself and no other."""

BASE = "base"
"""The batch of the recipe's own source, which alone is split, trains the teacher and judges. Others are files."""


def candidate(student: str) -> str:
    """Stage of one trained student."""
    return f"{CANDIDATES}/{student}"


def export(student: str) -> str:
    """Stage of one exported student."""
    return f"{EXPORTS}/{student}"


def kind_of(stage: str) -> str:
    """What a stage has in common with its like: `candidates` for the stage of any candidate, else its own name."""
    return stage.split("/")[0]


def batches_of(recipe: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a recipe's batched stages."""
    return dg.DynamicPartitionsDefinition(name=batches_name(recipe))


def batches_name(recipe: str) -> str:
    """What the instance calls the batches of a recipe."""
    return f"batches_of_{recipe}"


def key_of(recipe: str, stage: str) -> dg.AssetKey:
    """Asset key of a stage of a recipe."""
    return dg.AssetKey([recipe, *stage.split("/")])
