"""The golden rows with what a model and its teacher answered, row by row: what every measure is taken from.

Belongs here: lining both models up with the golden rows, once, and what several measures start from.
Does not: one model's outputs (models.py), which measures there are (measured.py).
"""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.evaluation.measures.fidelity import Fidelity, fidelity
from stillhouse.evaluation.models import EvaluatedModel, align, golden_targets, group_codes
from stillhouse.evaluation.slices.declared import SliceResult, right_by_part, slice_masks, slice_table, with_fields
from stillhouse.recipe.bar import BarSpec, Terms
from stillhouse.tasks import answers_with_sets
from stillhouse.tasks.task import Targets, Task


@dataclass(frozen=True)
class Aligned:
    """A model beside its teacher on the golden rows, all arrays in the order of these.

    Args:
        model: the model to judge.
        teacher: its teacher.
        golden: the golden rows.
        terms: what the model has to prove.
        task: what an answer is.
        targets: shape (rows,), the truth.
        teacher_logits: shape (rows, outputs).
        logits: shape (rows, outputs), the model's.
        teacher_correct: shape (rows,), True where the teacher is right.
        correct: shape (rows,), True where the model is.
        groups: shape (rows,), equal where rows belong together; None where every row stands alone.
        masks: shape (declared slices, rows), membership.
    """

    model: EvaluatedModel
    teacher: EvaluatedModel
    golden: pl.DataFrame
    terms: Terms
    task: Task
    targets: Targets
    teacher_logits: FloatArray
    logits: FloatArray
    teacher_correct: BoolArray
    correct: BoolArray
    groups: IntArray | None
    masks: BoolArray

    @classmethod
    def of(
        cls,
        model: EvaluatedModel,
        teacher: EvaluatedModel,
        golden: pl.DataFrame,
        terms: Terms,
        *,
        task: Task,
        groups: str | None,
    ) -> "Aligned":
        """Line both up with the golden rows, by prompt id.

        Args:
            model: the model to judge.
            teacher: its teacher.
            golden: `prompt_id`, `label`, the columns of slices and groups, and any others.
            terms: what the model has to prove.
            task: what an answer is.
            groups: golden column whose equal values are rows that stand or fall together.

        Raises:
            StillhouseError: if the golden rows are malformed, ids do not line up, or a column does not exist.
        """
        targets = golden_targets(golden, task)
        teacher_logits, logits = align(teacher, golden, task), align(model, golden, task)
        return cls(
            model=model,
            teacher=teacher,
            golden=golden,
            terms=terms,
            task=task,
            targets=targets,
            teacher_logits=teacher_logits,
            logits=logits,
            teacher_correct=task.right(teacher_logits, targets),
            correct=task.right(logits, targets),
            groups=None if groups is None else group_codes(golden, groups),
            masks=slice_masks(golden, terms.slices, are_sets=answers_with_sets(task)),
        )

    @property
    def bar(self) -> BarSpec:
        """The quality bar among the terms."""
        return self.terms.bar

    @cached_property
    def fidelity(self) -> Fidelity:
        """How alike both answer; what is lost is computed from it, too."""
        return fidelity(
            self.teacher_logits,
            self.logits,
            self.targets,
            prompt_ids=self.golden["prompt_id"].to_list(),
            task=self.task,
            temperatures=(self.teacher.temperature, self.model.temperature),
        )

    @cached_property
    def slices(self) -> tuple[SliceResult, ...]:
        """The declared slices as judged, and fields behind them; gaps are between the slices."""
        slices, fields = self.terms.slices, self.bar.judged_fields
        return slice_table(
            (*slices, *fields),
            with_fields(self.masks, fields, self.task, self.targets, self.teacher_logits, self.logits),
            right_by_part(self.teacher_correct, len(slices), fields, self.task, self.teacher_logits, self.targets),
            right_by_part(self.correct, len(slices), fields, self.task, self.logits, self.targets),
            margin=self.bar.margin,
            alpha=self.bar.alpha,
            groups=self.groups,
        )
