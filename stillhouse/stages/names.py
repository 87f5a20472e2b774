"""The names of the stages.

Belongs here: one constant for every stage, in the order in which data flows, which stages a recipe has, and which of
them are made batch by batch.
Does not: Dagster's keys and partitions of them (assets/keys.py).
"""

from stillhouse.recipe.contract import Recipe

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


def stage_names(recipe: Recipe) -> list[str]:
    """Every stage of a recipe, in the order in which data flows."""
    students = [student.name for student in recipe.students]
    return [
        CONTRACT,
        SOURCE,
        PROMPTS,
        TEACHER,
        BASELINES,
        TEACHER_SIGNAL,
        TRANSFER_SET,
        *map(candidate, students),
        *map(export, students),
        EVALUATION,
        REASONS,
        SELECTION,
        RELEASE,
        CHAMPION,
    ]
