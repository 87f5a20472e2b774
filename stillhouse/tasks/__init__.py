"""Kinds of answer that a model can give: what an answer is, when it is right, what learning it costs.

Belongs here: a module for each kind, and its entry in `TASKS`; `task.py` is what a kind has to say of itself. There are
two: a single label of a fixed set of classes, and any number of labels of a fixed set.
Does not: measuring how often answers are right (stillhouse/evaluation/).
"""

from collections.abc import Callable, Sequence

import polars as pl

from stillhouse.recipe.data import SETS, TaskKind
from stillhouse.tasks.label_sets import names_of
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task

TASKS: dict[TaskKind, Callable[[Sequence[str]], Task]] = {"single_label": SingleLabel.of, "multi_label": MultiLabel.of}
"""By the name that a recipe gives it in `data.answer`: the task of rows with these labels."""


def task_of(kind: TaskKind, labels: Sequence[str]) -> Task:
    """The task of rows with these labels, or of a model whose outputs have these names."""
    return TASKS[kind](labels)


def answers_with_sets(task: Task) -> bool:
    """Whether the answers of a task are sets of labels."""
    return isinstance(task, MultiLabel)


def label_names(kind: TaskKind, labels: pl.Series) -> tuple[str, ...]:
    """The names that occur in labels, sorted: those in sets of labels, and of any other kind the labels themselves."""
    different = labels.drop_nulls().unique().to_list()
    return tuple(sorted({name for label in different for name in names_of(label)} if kind in SETS else different))


def one_name_a_row(kind: TaskKind, rows: pl.DataFrame) -> pl.DataFrame:
    """Labelled rows with one name in `label` each: as many rows of a set of labels as it has, and none of an empty one.

    Args:
        kind: what a label is.
        rows: with `label`, String.
    """
    known = rows.drop_nulls("label")
    if kind not in SETS:
        return known
    held = pl.Series("label", [list(names_of(label)) for label in known["label"]], dtype=pl.List(pl.String()))
    return known.with_columns(held).filter(held.list.len() > 0).explode("label", empty_as_null=True)
