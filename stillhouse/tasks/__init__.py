"""Kinds of answer that a model can give: what an answer is, when it is right, what learning it costs.

Belongs here: a module for each kind, and its entry in `TASKS`; `task.py` is what a kind has to say of itself. There is
one: a single label of a fixed set of classes.
Does not: measuring how often answers are right (stillhouse/evaluation/).
"""

from collections.abc import Callable, Sequence

from stillhouse.recipe.data import TaskKind
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task

TASKS: dict[TaskKind, Callable[[Sequence[str]], Task]] = {"single_label": SingleLabel.of}
"""By the name that a recipe gives it in `data.answer`: the task of rows with these labels."""


def task_of(kind: TaskKind, labels: Sequence[str]) -> Task:
    """The task of rows with these labels, or of a model whose outputs have these names."""
    return TASKS[kind](labels)
