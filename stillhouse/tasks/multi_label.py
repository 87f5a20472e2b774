"""Several labels for one text, or none: the answer is the set of those that are more probable than not.

Belongs here: all that is particular to this kind of answer, so that no other module decides it.
Does not: how a set is written (label_sets.py), measures of each label (stillhouse/evaluation/measures/).

Each label is a decision by itself, with a sigmoid of its own; the answer is right where all of them are. A set is kept
as the bits of a number, the first label being the lowest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.errors import StillhouseError
from stillhouse.statistics.softmax import apply_temperature
from stillhouse.tasks.label_sets import LABELS_AT_MOST, is_written_set, names_of, written_set
from stillhouse.tasks.task import Doubt, Logits, TeacherLoss, contradictions

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""Stands for a set that nobody knows."""
STATED_ABOVE_CHANCE = 0.01
"""By how much a label is more probable as it was answered than otherwise, at the least."""
SMALLEST_PROBABILITY = 1e-9
"""Of a label that no training row has, or of one that all have not to have it: their logarithm must stay finite."""


@dataclass(frozen=True)
class MultiLabel:
    """Any of several labels.

    Args:
        names: of the labels, in the order of the logits.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str]) -> "MultiLabel":
        """The labels that occur in sets, or that outputs are called, sorted.

        Raises:
            StillhouseError: if there are not two, or more than can be kept.
        """
        names = tuple(sorted({name for label in labels for name in names_of(label)}))
        if not 2 <= len(names) <= LABELS_AT_MOST:
            raise StillhouseError(
                f"{len(names)} distinct labels in sets of labels",
                where="labels",
                expected=f"2 to {LABELS_AT_MOST}",
                do="Leave rare labels out or let several be one by `data.labels`; of one label alone `data.answer: "
                "single_label` says whether it is given.",
            )
        return cls(names)

    @property
    def classes(self) -> None:
        """None: an answer is a set."""
        return None

    def holds(self, labels: pl.Series) -> pl.Series:
        """Which labels are sets, in their one spelling, of these labels."""
        known = frozenset(self.names)
        good = [
            set_ for set_ in labels.drop_nulls().unique() if is_written_set(set_) and known.issuperset(names_of(set_))
        ]
        return labels.is_in(good).fill_null(False)

    def targets(self, labels: pl.Series) -> IntArray:
        """Sets as numbers, `UNKNOWN` where there is none.

        Raises:
            KeyError: if one has a label that is none of these.
        """
        bit = {name: 1 << number for number, name in enumerate(self.names)}
        number = {each: sum(bit[name] for name in set(names_of(each))) for each in labels.drop_nulls().unique()}
        return np.array([UNKNOWN if each is None else number[each] for each in labels], dtype=np.int64)

    def known(self, targets: npt.NDArray[Any]) -> BoolArray:
        """Which are the number of a set.

        Raises:
            StillhouseError: if one is neither that nor `UNKNOWN`.
        """
        if len(targets) and not UNKNOWN <= targets.min() <= targets.max() < 1 << len(self.names):
            raise StillhouseError(
                f"numbers of sets outside those of {len(self.names)} labels: {targets.min()} to {targets.max()}",
                where="training examples",
                expected=f"{UNKNOWN} or 0 to {(1 << len(self.names)) - 1}",
                do="Build teacher, signal and student from one recipe.",
            )
        return np.asarray(targets != UNKNOWN)

    def answers(self, logits: Logits) -> IntArray:
        """Numbers of sets: a label is in it where its logit is above 0, its probability above one half."""
        bits = np.asarray(logits) > 0
        return np.asarray((bits * self._bits).sum(axis=-1), dtype=np.int64)

    def right(self, logits: Logits, targets: npt.NDArray[Any]) -> BoolArray:
        """Which rows answer the whole set, with no label more and none less."""
        return np.asarray(self.answers(logits) == targets)

    def agree(self, first: Logits, second: Logits) -> BoolArray:
        """Which rows two models give the same set."""
        return np.asarray(self.answers(first) == self.answers(second))

    def written(self, answers: npt.NDArray[Any]) -> list[str]:
        """Sets in their one spelling, by their numbers."""
        spelled = {number: written_set(self._names_in(number)) for number in np.unique(answers).tolist()}
        return [spelled[int(number)] for number in answers]

    def confidence(self, logits: Logits, temperature: float = 1.0) -> FloatArray:
        """Probability of the set that is answered, each label by itself: the product of theirs, in (0, 1]."""
        sure = np.abs(apply_temperature(np.asarray(logits, np.float64), temperature))
        return np.asarray(np.exp(-np.logaddexp(0.0, -sure).sum(axis=-1)))

    def divergence(self, teacher: Logits, student: Logits) -> FloatArray:
        """KL(teacher || student) of every row, in nats: the sum over the labels, each there or not."""
        first, second = np.asarray(teacher, np.float64), np.asarray(student, np.float64)
        there, absent = (-np.logaddexp(0.0, sign * first) for sign in (-1, 1))
        beside = np.exp(there) * (there + np.logaddexp(0.0, -second))
        without = np.exp(absent) * (absent + np.logaddexp(0.0, second))
        return np.asarray(np.maximum(0.0, (beside + without).sum(axis=-1)))

    def decisions(self, logits: Logits, targets: npt.NDArray[Any]) -> list[tuple[FloatArray, IntArray]]:
        """Of each label whether it is there: no and yes, of which 0 is the logit of no."""
        scores, truth = np.asarray(logits, np.float64), self._rows_of_bits(targets)
        return [
            (np.stack([np.zeros(len(scores)), scores[:, number]], axis=1), truth[:, number])
            for number in range(len(self.names))
        ]

    def stated(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Logits under which the set that was answered has this probability, each label the same part of it.

        What was answered stays the answer, however seldom it is right.
        """
        return self._signs(targets) * float(_log_odds(np.array([self._worth(accuracy)]))[0])

    def majority(self, targets: npt.NDArray[Any]) -> IntArray:
        """The labels that more than half of the answers have."""
        return np.asarray(
            ((2 * self._rows_of_bits(targets).sum(axis=0) > len(targets)) * self._bits).sum(keepdims=True)
        )

    def voted(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Each label as probable as the share of the answers that have it, as far as one answer is worth something.

        A label that half of them have is not in the set, and by a little so: all outputs at 0 would be a row that
        nobody wrote.
        """
        apart = self._rows_of_bits(targets).mean(axis=0) - 0.5
        outputs = _log_odds(0.5 + apart * (2 * self._worth(accuracy) - 1))
        return np.where(apart == 0, -STATED_ABOVE_CHANCE, outputs)

    def unanswered(self, targets: npt.NDArray[Any], *, right: bool) -> FloatArray:
        """Each label nearly as probable as not, and a little more as it is, or a little less."""
        return self._signs(targets) * (STATED_ABOVE_CHANCE if right else -STATED_ABOVE_CHANCE)

    def doubts(self, logits: Logits, targets: npt.NDArray[Any]) -> list[Doubt | None]:
        """A known set decides. Without one there is no doubt: each label is answered as is more probable than not, and
        the losses learn how much more."""
        return contradictions(self, logits, targets)

    @property
    def teacher_losses(self) -> Mapping[str, TeacherLoss]:
        """Cross entropy with the probability of each label, squared difference of the logits, and with the answer."""
        return LOSSES

    def label_loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Cross entropy of each label with whether it is there, in the mean over them."""
        import torch
        from torch.nn import functional

        places = torch.arange(len(self.names), device=targets.device)
        there = ((targets.clamp_min(0).unsqueeze(-1) >> places) & 1).to(logits.dtype)
        cost = functional.binary_cross_entropy_with_logits(logits, there, reduction="none").mean(-1)
        return cost * (targets >= 0)

    def average(self, logits: Logits) -> FloatArray:
        """Logits of the mean probabilities."""
        mean = np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64))).mean(axis=0)
        return _log_odds(mean)

    def constant(self, targets: npt.NDArray[Any]) -> FloatArray:
        """The most frequent set, as probable as it is frequent; of equally frequent ones the lowest number."""
        sets, counts = np.unique(targets, return_counts=True)
        best = int(np.argmax(counts))
        return np.asarray(self.stated(sets[best : best + 1], counts[best] / counts.sum())[0])

    def fit_linear(self, features: Any, targets: npt.NDArray[Any], *, seed: int) -> tuple[FloatArray, FloatArray]:
        """Logistic regression of each label against the rest; of one that all rows have, or none, only a bias."""
        from sklearn.linear_model import LogisticRegression

        there = self._rows_of_bits(targets)
        if len(np.unique(targets)) < 2:
            raise StillhouseError(
                f"only the labels {self.written(targets[:1])[0]} occur",
                where="training labels of a baseline",
                expected="at least two different sets of labels",
                do="Check the label column of the source.",
            )
        weights, bias = np.zeros((features.shape[1], len(self.names))), np.zeros(len(self.names))
        for number, column in enumerate(there.T):
            if column.min() == column.max():
                bias[number] = _log_odds(column[:1].astype(np.float64))[0]
                continue
            model = LogisticRegression(C=10.0, max_iter=500, random_state=seed).fit(features, column)
            weights[:, number], bias[number] = model.coef_[0], model.intercept_[0]
        return weights, bias

    def outputs_of(self, scores: FloatArray) -> FloatArray:
        """As they are: a score is the logit of its label."""
        return scores

    @property
    def _bits(self) -> IntArray:
        return np.left_shift(np.int64(1), np.arange(len(self.names), dtype=np.int64))

    def _rows_of_bits(self, targets: npt.NDArray[Any]) -> IntArray:
        """Shape (n, labels), 1 where a label is there."""
        return np.asarray((np.asarray(targets)[:, None] & self._bits) != 0, dtype=np.int64)

    def _worth(self, accuracy: float) -> float:
        """Probability of each label as it was answered, where whole sets are right in this share of answers."""
        return max(float(accuracy ** (1 / len(self.names))), 0.5 + STATED_ABOVE_CHANCE)

    def _signs(self, targets: npt.NDArray[Any]) -> FloatArray:
        """Shape (n, labels), 1 where a label is there and -1 where it is not."""
        return np.asarray(2.0 * self._rows_of_bits(targets) - 1.0)

    def _names_in(self, number: int) -> Sequence[str]:
        return [name for place, name in enumerate(self.names) if number >> place & 1]


def _log_odds(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(np.log(inside / (1 - inside)))


def soft_cross_entropy(student_logits: "Tensor", teacher_logits: "Tensor", temperature: float) -> "Tensor":
    """Cross entropy of each label with the probability that the teacher gives it, both softened, times T^2.

    The mean over the labels. A student that gives its teacher's logits costs the teacher's own entropy, and no other
    costs less.

    Args:
        student_logits: shape (n, labels).
        teacher_logits: shape (n, labels).
        temperature: T > 0, dividing both.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    said = (teacher_logits / temperature).sigmoid()
    cost = functional.binary_cross_entropy_with_logits(student_logits / temperature, said, reduction="none")
    return cost.mean(-1) * temperature**2


def logit_mse(student_logits: "Tensor", teacher_logits: "Tensor") -> "Tensor":
    """Mean squared difference of the logits; shape (n,)."""
    return (student_logits - teacher_logits).square().mean(-1)


def smoothed_answer(student_logits: "Tensor", teacher_logits: "Tensor", smoothing: float) -> "Tensor":
    """Cross entropy of each label with the teacher's answer, a share of which is spread over yes and no alike; the mean
    over the labels.

    Returns:
        Shape (n,).
    """
    from torch.nn import functional

    answer = (teacher_logits > 0).to(student_logits.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(student_logits, answer, reduction="none").mean(-1)


LOSSES: dict[str, TeacherLoss] = {
    "bce": TeacherLoss(
        lambda student, teacher, how: soft_cross_entropy(student, teacher, how.temperature), zero_at_teacher=False
    ),
    "logit_mse": TeacherLoss(lambda student, teacher, how: logit_mse(student, teacher)),
    "answers": TeacherLoss(
        lambda student, teacher, how: smoothed_answer(student, teacher, how.smoothing), zero_at_teacher=False
    ),
}
"""What learning from a teacher can cost, by the names of `stillhouse/recipe/losses.py`."""
