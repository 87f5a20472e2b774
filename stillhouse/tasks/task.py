"""What every kind of answer has to say of itself.

Belongs here: the interface. Does not: a kind of answer (a module for each beside it), statistics of right and wrong,
which are the same for all (stillhouse/statistics/).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.recipe.losses import LossTerm

if TYPE_CHECKING:
    from torch import Tensor

Logits = npt.NDArray[np.floating[Any]]
"""Shape (n, outputs): what the head of a model gives to n texts."""
Targets = npt.NDArray[Any]
"""Shape (n,): known answers as numbers, in the kind's own coding; what stands for an unknown one is its own affair."""


@dataclass(frozen=True)
class TeacherLoss:
    """What learning from a teacher can cost.

    Args:
        cost: from a student's and a teacher's outputs, shape (n, outputs) each, and what a recipe says of this loss to
            a cost of each row, shape (n,), on which no other row has any influence.
        zero_at_teacher: a student that gives its teacher's outputs costs nothing.
    """

    cost: Callable[["Tensor", "Tensor", LossTerm], "Tensor"]
    zero_at_teacher: bool = True


class Doubt(StrEnum):
    """Why a teacher's answer is not worth learning."""

    CONTRADICTS_LABEL = "contradicts label"
    NO_PREFERENCE = "no preference"


def classes_of(task: "Task") -> tuple[str, ...]:
    """The classes of a task that has them; asked where the harness has refused every other (harness.py)."""
    assert task.classes is not None, "a measure by class of answers that are no classes"
    return task.classes


PREFERENCE_NEEDED = 0.5
"""Probability below which a decision is a guess among others."""


def contradictions(task: "Task", logits: Logits, targets: Targets) -> list[Doubt | None]:
    """Doubt what contradicts a known answer, and nothing else.

    Args:
        task: what an answer is.
        logits: shape (n, outputs), the teacher's.
        targets: shape (n,), known or not.
    """
    wrong = task.known(targets) & ~task.right(logits, targets)
    return [Doubt.CONTRADICTS_LABEL if each else None for each in wrong]


def doubts_by_probability(task: "Task", logits: Logits, targets: Targets, sure: FloatArray) -> list[Doubt | None]:
    """Doubt what contradicts a known answer, which verifies a teacher outright; and a guess where none is known.

    A teacher that gives what it decides less than half of its probability is guessing, and a student would learn the
    guess as if it were knowledge. It is asked of each decision by itself, because each is learned by itself: that all
    of many are right at once is seldom probable, however sure a teacher is of each.

    Args:
        task: whose answers have a probability.
        logits: shape (n, outputs), the teacher's.
        targets: shape (n,), known or not.
        sure: shape (n,), probability of the decision that is least sure.
    """
    return [
        doubt or (None if known or certain >= PREFERENCE_NEEDED else Doubt.NO_PREFERENCE)
        for doubt, known, certain in zip(contradictions(task, logits, targets), task.known(targets), sure, strict=True)
    ]


class Task(Protocol):
    """One kind of answer, with the names that a recipe's rows give it."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each output of the head is called, in order; as many as the head is wide."""
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes in the order of the outputs, where an answer is one of them; else None, and nothing that counts
        by class or needs a probability is measured."""
        ...

    def holds(self, labels: pl.Series) -> pl.Series:
        """Which labels are answers of this kind: Boolean, false where there is none."""
        ...

    def targets(self, labels: pl.Series) -> Targets:
        """Labels as numbers; each is null or held."""
        ...

    def known(self, targets: Targets) -> BoolArray:
        """Which of them are known."""
        ...

    def answers(self, logits: Logits) -> npt.NDArray[Any]:
        """What rows of outputs answer, shape (n,), in the coding of `targets`."""
        ...

    def right(self, logits: Logits, targets: Targets) -> BoolArray:
        """Which rows answer rightly; one whose answer is unknown never is."""
        ...

    def agree(self, first: Logits, second: Logits) -> BoolArray:
        """Which rows two models answer alike."""
        ...

    def written(self, answers: Targets) -> list[str]:
        """Answers as labels are written, in the coding of `targets`."""
        ...

    def confidence(self, logits: Logits, temperature: float = 1.0) -> FloatArray | None:
        """Probability of each answer, shape (n,); None where the kind has none."""
        ...

    def divergence(self, teacher: Logits, student: Logits) -> FloatArray:
        """How far each row of the student is from the teacher's, shape (n,), never negative, 0 where both are equal."""
        ...

    def decisions(self, logits: Logits, targets: Targets) -> Sequence[tuple[FloatArray, IntArray]]:
        """What an answer decides, each as one of several choices: logits, shape (n, choices), and the right choice's
        number, shape (n,). A class is one decision, a set of labels one for each label, in the order of `names`, a
        record one for each field, and a number none. Each target is known."""
        ...

    def stated(self, targets: Targets, accuracy: float) -> FloatArray:
        """Outputs, shape (n, outputs), of a teacher that gives answers alone and is right in this share of them."""
        ...

    def majority(self, targets: Targets) -> Targets:
        """What several answers to one text, at least one, come to: one answer, shape (1,)."""
        ...

    def voted(self, targets: Targets, accuracy: float) -> FloatArray:
        """What several answers to one text are worth together, each as much as `stated` says: outputs, shape
        (outputs,), whose answer is their `majority`."""
        ...

    def unanswered(self, targets: Targets, *, right: bool) -> FloatArray:
        """Outputs, shape (n, outputs), that say hardly anything of these rows and count as right, or as wrong."""
        ...

    def doubts(self, logits: Logits, targets: Targets) -> list[Doubt | None]:
        """Why a student should not learn a teacher's row, None where it may."""
        ...

    @property
    def teacher_losses(self) -> Mapping[str, TeacherLoss]:
        """What learning from a teacher can cost, by the name that a recipe gives it."""
        ...

    def label_loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """What learning from labels costs: shape (n,), exactly 0 where the label is unknown."""
        ...

    def average(self, logits: Logits) -> FloatArray:
        """The one row of outputs, shape (outputs,), that is nearest to all of these on average."""
        ...

    def constant(self, targets: Targets) -> FloatArray:
        """The best single answer to every text, as outputs of shape (outputs,)."""
        ...

    def outputs_of(self, scores: FloatArray) -> FloatArray:
        """Scores of a linear head as outputs, such as log-probabilities; shape (n, outputs)."""
        ...


@runtime_checkable
class LinearTask(Task, Protocol):
    """A kind of answer that a text as a whole decides, so that a linear head on features of it can give one."""

    def fit_linear(self, features: Any, targets: Targets, *, seed: int) -> tuple[FloatArray, FloatArray]:
        """The best linear head: weights (features, outputs) and bias (outputs,).

        Raises:
            StillhouseError: if the targets say too little to fit one.
        """
        ...
