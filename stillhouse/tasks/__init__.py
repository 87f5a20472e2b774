"""Kinds of answer that a model can give: what an answer is, when it is right, what learning it costs.

Belongs here: a module for each kind, and its entry in `TASKS`; `task.py` is what a kind has to say of itself. There are
four: a single label of a fixed set of classes, any number of labels of a fixed set, a number, and a record of fields.
Does not: measuring how often answers are right (stillhouse/evaluation/).
"""

from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl

from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, AnswerSpec, DataSpec, ScoreSpec, TaskKind
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.label_sets import names_of
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.tasks.records import fields_of, spelled_out
from stillhouse.tasks.score import NAMES, NumericScore
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task
from stillhouse.tasks.words import run_at


def _score(labels: Sequence[str], details: AnswerSpec | None) -> NumericScore:
    assert isinstance(details, ScoreSpec), "a recipe of numbers without their ends is refused when it is read"
    return NumericScore.of(details)


def _fields(labels: Sequence[str], details: AnswerSpec | None) -> Extraction:
    assert isinstance(details, RecordSpec), "a recipe of records without their fields is refused when it is read"
    return Extraction(details)


TASKS: dict[TaskKind, Callable[[Sequence[str], AnswerSpec | None], Task]] = {
    "single_label": lambda labels, details: SingleLabel.of(labels),
    "multi_label": lambda labels, details: MultiLabel.of(labels),
    "score": _score,
    "fields": _fields,
}
"""By the name that a recipe gives it in `data.answer`: the task of rows with these labels."""


def task_of(kind: TaskKind, labels: Sequence[str], details: AnswerSpec | None = None) -> Task:
    """The task of rows with these labels, or of a model whose outputs have these names.

    Args:
        kind: what an answer is.
        labels: of the rows, or names of the outputs.
        details: where answers are numbers or records, what the recipe says of them.
    """
    return TASKS[kind](labels, details)


def task_in(data: DataSpec, labels: Sequence[str]) -> Task:
    """The task of a recipe's rows, which have these labels, or of a model for them, whose outputs have these names."""
    return task_of(data.answer, labels, data.details)


def answers_with_sets(task: Task) -> bool:
    """Whether the answers of a task are sets of labels."""
    return isinstance(task, MultiLabel)


def as_people_read_it(task: Task, answer: str, text: str) -> str:
    """An answer to a text as it is shown: of a record the values and not where they are."""
    return spelled_out(answer, text, task.spec) if isinstance(task, Extraction) else answer


def counts_as_people_read_them(task: Task, counts: Sequence[int], text: str) -> dict[str, int]:
    """How often each answer was given to a text, by its name: of a record only what was given, as the words of a field.

    Args:
        task: what an answer is.
        counts: of each of its outputs.
        text: that was answered.
    """
    if not isinstance(task, Extraction):
        return dict(zip(task.names, counts, strict=True))
    found = Counter[str]()
    for field in task.fields:
        for value, count in zip(field.values, counts[field.start : field.end], strict=True):
            if count:
                said = run_at(text, *value) if isinstance(value, tuple) else value
                found[f"{field.name}: {'none' if said is None else said}"] += count
    return dict(found)


def label_names(kind: TaskKind, labels: pl.Series) -> tuple[str, ...]:
    """The names that occur in labels, sorted: those in sets of labels, and of any other kind the labels themselves; of
    numbers the name of the one output, and of records those of the fields."""
    if kind in NUMBERS:
        return NAMES
    if kind in RECORDS:
        return fields_of(labels.drop_nulls().first())
    different = labels.drop_nulls().unique().to_list()
    return tuple(sorted({name for label in different for name in names_of(label)} if kind in SETS else different))


def one_name_a_row(kind: TaskKind, rows: pl.DataFrame) -> pl.DataFrame:
    """Labelled rows with one name in `label` each: as many rows of a set of labels as it has, and none of an empty one,
    of a number, or of a record.

    Args:
        kind: what a label is.
        rows: with `label`, String.
    """
    known = rows.drop_nulls("label")
    if kind in (*NUMBERS, *RECORDS):
        return known.clear()
    if kind not in SETS:
        return known
    held = pl.Series("label", [list(names_of(label)) for label in known["label"]], dtype=pl.List(pl.String()))
    return known.with_columns(held).filter(held.list.len() > 0).explode("label", empty_as_null=True)
