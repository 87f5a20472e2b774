"""The names of the stages.

Belongs here: one constant for every stage, in the order in which data flows, which stages a recipe has, which of them
are made batch by batch, and where in an artifact a model is.
Does not: Dagster's keys and partitions of them (assets/keys.py).
"""

from typing import Literal

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
ERROR_ANALYSIS = "error_analysis"
SELECTION = "selection"
CASCADE = "cascade"
RELEASE = "release"
CHAMPION = "champion"
TRAFFIC = "traffic"
LIVE_REPORT = "live_report"
SHADOW = "shadow"

SpentOn = Literal["data", "capture", "training", "evaluation"]

KINDS: dict[str, SpentOn] = {
    CONTRACT: "data",
    SOURCE: "data",
    PROMPTS: "data",
    TEACHER: "training",
    BASELINES: "evaluation",
    TEACHER_SIGNAL: "capture",
    TRANSFER_SET: "data",
    CANDIDATES: "training",
    EXPORTS: "evaluation",
    EVALUATION: "evaluation",
    ERROR_ANALYSIS: "evaluation",
    SELECTION: "evaluation",
    CASCADE: "evaluation",
    RELEASE: "evaluation",
    CHAMPION: "evaluation",
    TRAFFIC: "data",
    LIVE_REPORT: "evaluation",
    SHADOW: "evaluation",
}
"""Kinds of stage in the order in which data flows, and what the compute of each is spent on. Each has a module of its
name in stillhouse/stages/, assets/ and checks/; of candidates there is one stage for each student, of exports one for
each precision of each student."""

MODEL = "model"
"""Folder of the model in an artifact that has one."""
ANSWERS = "answers"
"""Table of what a teacher answered elsewhere, in an artifact that has it."""
MEMBERS = "members"
"""Folder with one for each member, in the artifact of a teacher that is an ensemble."""

BATCHED = (SOURCE, PROMPTS, TEACHER_SIGNAL)
"""Stages that are partitioned by batch: a bad drop of rows closes itself and no other."""

BY_DAY = (TRAFFIC, LIVE_REPORT)
"""Stages that are partitioned by day, of what has happened since a champion serves."""

BESIDE = (*BY_DAY, SHADOW)
"""Stages that are no part of a round."""

BASE = "base"
"""The batch of the recipe's own source, which alone is split, trains the teacher and judges. Others are files."""


def answers_of(member: str) -> str:
    """Table of what a member of an ensemble answered elsewhere, in the contract; of the one teacher without a name."""
    return f"{ANSWERS}_{member}" if member else ANSWERS


def candidate(student: str) -> str:
    """Stage of one trained student."""
    return f"{CANDIDATES}/{student}"


def export(form: str) -> str:
    """Stage of one student exported in one precision, by the name of that form."""
    return f"{EXPORTS}/{form}"


_BY_0_1_0 = {"reasons": ERROR_ANALYSIS}
"""What version 0.1.0 called stages, whose manifests and verdicts are still read. To be removed in the next version."""


def kind_of(stage: str) -> str:
    """What a stage has in common with its like: `candidates` for the stage of any candidate, else its own name."""
    kind = stage.split("/")[0]
    return _BY_0_1_0.get(kind, kind)


def student_of(stage: str) -> str | None:
    """The student, or its form, that a stage is of; None for a stage that there is once."""
    return stage.partition("/")[2] or None


def stage_names(recipe: Recipe) -> list[str]:
    """Every stage of a recipe that a round goes through, in the order in which data flows."""
    parents_first = sorted(recipe.students, key=lambda student: len(recipe.chain_of(student)))
    of_each = {
        CANDIDATES: [candidate(student.name) for student in parents_first],
        EXPORTS: [export(form.name) for form in recipe.forms],
    }
    left_out = (*BESIDE, *([CASCADE] if recipe.cascade is None else []))
    return [stage for kind in KINDS if kind not in left_out for stage in of_each.get(kind, [kind])]


def stages_beside(recipe: Recipe) -> list[str]:
    """Every stage of a recipe that is no part of a round."""
    wanted = {TRAFFIC: recipe.traffic, LIVE_REPORT: recipe.watch, SHADOW: recipe.rollout}
    return [stage for stage, part in wanted.items() if part is not None]
