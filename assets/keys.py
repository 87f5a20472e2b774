"""The names of the stages and the asset keys made of them.

Belongs here: one constant for every stage, in the order in which data flows.
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
EVALUATION = "evaluation"
SELECTION = "selection"
RELEASE = "release"
CHAMPION = "champion"


def candidate(student: str) -> str:
    """Stage of one trained student."""
    return f"candidates/{student}"


def export(student: str) -> str:
    """Stage of one exported student."""
    return f"exports/{student}"


def key_of(recipe: str, stage: str) -> dg.AssetKey:
    """Asset key of a stage of a recipe."""
    return dg.AssetKey([recipe, *stage.split("/")])
