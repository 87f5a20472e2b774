"""One label of a fixed set of classes: the answer is the class with the largest logit.

Belongs here: all that is particular to this kind of answer, so that no other module decides it.
Does not: measures by class (stillhouse/evaluation/measures/), the temperature (models/temperature_scaling.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.errors import StillhouseError
from stillhouse.statistics.softmax import apply_temperature, log_softmax
from stillhouse.tasks.task import Doubt, Logits, TeacherLoss, doubts_by_probability

if TYPE_CHECKING:
    from torch import Tensor


UNKNOWN = -1
"""Stands for a label that nobody knows."""
STATED_ABOVE_CHANCE = 0.01
"""By how much a class that was answered is more probable than by chance at the least."""
SMALLEST_PROBABILITY = 1e-9
"""Given to classes never seen in training: their logarithm must stay finite."""
FLATTEST = 1e-12
"""Added to the variance of a row of logits: all alike have none, and nothing to be divided by."""


@dataclass(frozen=True)
class SingleLabel:
    """One of several classes.

    Args:
        classes: their names, in the order of the logits.
    """

    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str]) -> "SingleLabel":
        """The classes that occur, sorted.

        Raises:
            StillhouseError: if there are not two.
        """
        classes = tuple(sorted(set(labels)))
        if len(classes) < 2:
            raise StillhouseError(
                f"{len(classes)} distinct labels",
                where="labels",
                expected="at least two",
                do="Check the recipe's labels.",
            )
        return cls(classes)

    @property
    def names(self) -> tuple[str, ...]:
        """A logit for each class."""
        return self.classes

    def holds(self, labels: pl.Series) -> pl.Series:
        """Which labels are one of the classes."""
        return labels.is_in(list(self.classes)).fill_null(False)

    def targets(self, labels: pl.Series) -> IntArray:
        """Class numbers of label names, `UNKNOWN` where there is none.

        Raises:
            KeyError: if one is no class.
        """
        index = {name: number for number, name in enumerate(self.classes)}
        return np.array([UNKNOWN if name is None else index[name] for name in labels], dtype=np.int64)

    def known(self, targets: npt.NDArray[Any]) -> BoolArray:
        """Which are the number of a class.

        Raises:
            StillhouseError: if one is neither that nor `UNKNOWN`.
        """
        if len(targets) and not UNKNOWN <= targets.min() <= targets.max() < len(self.classes):
            raise StillhouseError(
                f"label ids outside the classes: {targets.min()} to {targets.max()}",
                where="training examples",
                expected=f"{UNKNOWN} or 0 to {len(self.classes) - 1}",
                do="Build teacher, signal and student from one recipe.",
            )
        return np.asarray(targets != UNKNOWN)

    def answers(self, logits: Logits) -> IntArray:
        """Class numbers, shape (n,); of equal logits the first class."""
        return answers(logits)

    def right(self, logits: Logits, targets: npt.NDArray[Any]) -> BoolArray:
        """Which rows answer the label."""
        return np.asarray(answers(logits) == targets)

    def agree(self, first: Logits, second: Logits) -> BoolArray:
        """Which rows two models give the same class."""
        return np.asarray(answers(first) == answers(second))

    def written(self, answers: npt.NDArray[Any]) -> list[str]:
        """Names of classes by their numbers."""
        return [self.classes[number] for number in answers]

    def confidence(self, logits: Logits, temperature: float = 1.0) -> FloatArray:
        """Probability of the class that is answered, in (0, 1]."""
        # The largest of the softmax without the others: a server asks for it once a request.
        scaled = apply_temperature(np.asarray(logits, np.float64), temperature)
        return np.asarray(1.0 / np.exp(scaled - scaled.max(axis=1, keepdims=True)).sum(axis=1))

    def divergence(self, teacher: Logits, student: Logits) -> FloatArray:
        """KL(teacher || student) of every row, in nats."""
        first, second = log_softmax(np.asarray(teacher, np.float64)), log_softmax(np.asarray(student, np.float64))
        divergence: FloatArray = np.maximum(0.0, (np.exp(first) * (first - second)).sum(axis=1))
        return divergence

    def decisions(self, logits: Logits, targets: npt.NDArray[Any]) -> list[tuple[FloatArray, IntArray]]:
        """One, among the classes."""
        return [(np.asarray(logits, np.float64), np.asarray(targets, np.int64))]

    def stated(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Log-probabilities: `accuracy` for the class that was answered, the rest alike for every other one.

        What was answered stays the most probable class, however seldom it is right.
        """
        share = max(accuracy, 1 / len(self.classes) + STATED_ABOVE_CHANCE)
        outputs = np.full((len(targets), len(self.classes)), np.log((1 - share) / (len(self.classes) - 1)))
        outputs[np.arange(len(targets)), targets] = np.log(share)
        return outputs

    def majority(self, targets: npt.NDArray[Any]) -> IntArray:
        """The most frequent class; of as many the first."""
        return np.asarray([np.bincount(targets).argmax()], dtype=np.int64)

    def voted(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Log-probabilities: the mean of what each answer is worth.

        All alike are worth as much as one, and what nobody answered has some probability left.
        """
        given, counts = np.unique(targets, return_counts=True)
        shares = counts @ np.exp(self.stated(given, accuracy)) / counts.sum()
        return np.asarray(np.log(shares))

    def unanswered(self, targets: npt.NDArray[Any], *, right: bool) -> FloatArray:
        """All classes alike, and the right one a little more, or a little less."""
        outputs = np.zeros((len(targets), len(self.classes)))
        outputs[np.arange(len(targets)), targets] = STATED_ABOVE_CHANCE if right else -STATED_ABOVE_CHANCE
        return outputs

    def doubts(self, logits: Logits, targets: npt.NDArray[Any]) -> list[Doubt | None]:
        """A known label decides; without one, whether the best answer has half of the probability."""
        return doubts_by_probability(self, logits, targets, self.confidence(logits))

    @property
    def teacher_losses(self) -> Mapping[str, TeacherLoss]:
        """Divergences of the distributions, squared difference of the logits, cross entropy with the answer."""
        return LOSSES

    def label_loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Cross entropy with the label."""
        from torch.nn import functional

        return functional.cross_entropy(logits, targets, ignore_index=UNKNOWN, reduction="none")

    def average(self, logits: Logits) -> FloatArray:
        """Logarithm of the mean probabilities."""
        return np.asarray(np.log(np.exp(log_softmax(np.asarray(logits, np.float64))).mean(axis=0)))

    def constant(self, targets: npt.NDArray[Any]) -> FloatArray:
        """Logarithms of the classes' frequencies."""
        counts = np.bincount(targets, minlength=len(self.classes))
        return np.asarray(np.log(np.maximum(counts / counts.sum(), SMALLEST_PROBABILITY)))

    def fit_linear(self, features: Any, targets: npt.NDArray[Any], *, seed: int) -> tuple[FloatArray, FloatArray]:
        """Logistic regression; a class without training rows gets a very low bias."""
        from sklearn.linear_model import LogisticRegression

        seen = np.unique(targets)
        if len(seen) < 2:
            raise StillhouseError(
                f"only the class '{self.classes[int(seen[0])]}' occurs",
                where="training labels of a baseline",
                expected="at least two classes",
                do="Check the label column of the source.",
            )
        model = LogisticRegression(C=10.0, max_iter=500, random_state=seed).fit(features, targets)
        # Two classes are fitted as one column, the log-odds of the second.
        coefficients = model.coef_ if len(seen) > 2 else np.vstack([np.zeros_like(model.coef_[0]), model.coef_[0]])
        intercepts = model.intercept_ if len(seen) > 2 else np.array([0.0, model.intercept_[0]])
        weights = np.zeros((coefficients.shape[1], len(self.classes)))
        bias = np.full(len(self.classes), np.log(SMALLEST_PROBABILITY) + float(np.min(intercepts)))
        weights[:, seen], bias[seen] = coefficients.T, intercepts
        return weights, bias

    def outputs_of(self, scores: FloatArray) -> FloatArray:
        """Log-probabilities."""
        return log_softmax(scores)


def temperature_kl(student_logits: "Tensor", teacher_logits: "Tensor", temperature: float) -> "Tensor":
    """KL(teacher || student) of the softened distributions, times T^2 (Hinton et al. 2015, arXiv:1503.02531).

    The factor keeps the size of the gradient while T changes.

    Args:
        student_logits: shape (n, classes).
        teacher_logits: shape (n, classes).
        temperature: T > 0, dividing both.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    student = functional.log_softmax(student_logits / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    return (teacher.exp() * (teacher - student)).sum(-1) * temperature**2


def logit_mse(student_logits: "Tensor", teacher_logits: "Tensor") -> "Tensor":
    """Mean squared difference of the logits (Kim et al., IJCAI 2021, arXiv:2105.08919).

    Returns:
        Shape (n,).
    """
    return (student_logits - teacher_logits).square().mean(-1)


def standardised_kl(student_logits: "Tensor", teacher_logits: "Tensor", temperature: float) -> "Tensor":
    """`temperature_kl` of logits that have mean 0 and spread 1 in each row (Sun et al., CVPR 2024, arXiv:2403.01427).

    A student with few layers need not reach the size of its teacher's logits, only what they say of each other. How
    sure the teacher is, row by row, is lost; the temperature of the export makes up for it on average. With two classes
    nothing is left but which one was answered, and no gradient.

    Returns:
        Shape (n,).
    """
    return temperature_kl(_standardised(student_logits), _standardised(teacher_logits), temperature)


def _standardised(logits: "Tensor") -> "Tensor":
    centred = logits - logits.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + FLATTEST).sqrt()


def decoupled_kl(
    student_logits: "Tensor", teacher_logits: "Tensor", temperature: float, non_target_weight: float
) -> "Tensor":
    """KL in its two parts, with a weight of its own for the second, times T^2 (DKD; Zhao et al., CVPR 2022,
    arXiv:2203.08679).

    The first part is how probable the answer is against all other classes, the second how probable these are among
    themselves; in plain KL the second counts the less the surer the teacher is. The target is the teacher's answer: it
    is the label wherever that is known, because other rows are not learned from.

    Args:
        student_logits: shape (n, classes).
        teacher_logits: shape (n, classes).
        temperature: T > 0, dividing both.
        non_target_weight: of the second part; the paper's beta, beside an alpha of 1.

    Returns:
        Shape (n,).
    """
    import torch
    from torch.nn import functional

    classes = torch.arange(teacher_logits.shape[-1], device=teacher_logits.device)
    target = classes == teacher_logits.argmax(-1, keepdim=True)
    parts = []
    for logits in (student_logits, teacher_logits):
        shares = functional.log_softmax(logits / temperature, dim=-1)
        others = shares.masked_fill(target, float("-inf"))
        rest = others.logsumexp(-1)
        parts.append((shares.masked_fill(~target, 0).sum(-1), rest, (others - rest.unsqueeze(-1))))
    (s_target, s_rest, s_others), (t_target, t_rest, t_others) = parts
    binary = t_target.exp() * (t_target - s_target) + t_rest.exp() * (t_rest - s_rest)
    among = (t_others.exp() * (t_others - s_others).masked_fill(target, 0)).sum(-1)
    return (binary + non_target_weight * among) * temperature**2


def smoothed_answer(student_logits: "Tensor", teacher_logits: "Tensor", smoothing: float) -> "Tensor":
    """Cross entropy with the teacher's answer, a share of which is spread over all classes alike (Szegedy et al. 2016,
    arXiv:1512.00567, section 7).

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    answer = teacher_logits.argmax(-1)
    return functional.cross_entropy(student_logits, answer, reduction="none", label_smoothing=smoothing)


LOSSES: dict[str, TeacherLoss] = {
    "kl": TeacherLoss(lambda student, teacher, how: temperature_kl(student, teacher, how.temperature)),
    "standardised_kl": TeacherLoss(lambda student, teacher, how: standardised_kl(student, teacher, how.temperature)),
    "dkd": TeacherLoss(
        lambda student, teacher, how: decoupled_kl(student, teacher, how.temperature, how.non_target_weight)
    ),
    "logit_mse": TeacherLoss(lambda student, teacher, how: logit_mse(student, teacher)),
    "answers": TeacherLoss(
        lambda student, teacher, how: smoothed_answer(student, teacher, how.smoothing), zero_at_teacher=False
    ),
}
"""What learning from a teacher can cost, by the names of `stillhouse/recipe/losses.py`."""


def answers(logits: Logits) -> IntArray:
    """Class numbers that rows of logits answer; of equal logits the first class.

    Args:
        logits: shape (n, classes), or probabilities, or any other scores; or one row of them.

    Returns:
        Shape (n,).
    """
    return np.asarray(logits.argmax(axis=-1), dtype=np.int64)
