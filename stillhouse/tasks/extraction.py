"""A record of a few fields that is taken out of a text: right where all of it is.

Belongs here: all that is particular to this kind of answer, so that no other module decides it.
Does not: how a record is written (records.py), the head that gives its outputs (stillhouse/models/network.py).

Each field is one answer of several, as a single label is: of a choice its values, of what is in the text each run of
words that a text of the recipe's length can have, and of an optional field that there is none. The outputs of a model
are the logits of all of these, field by field. So what is known of single labels holds: a temperature, a divergence, a
probability. What a text has no words for has the output `IMPOSSIBLE`, and nothing is learned of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.errors import StillhouseError
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.statistics.softmax import apply_temperature, log_softmax
from stillhouse.tasks.read_values import values_in
from stillhouse.tasks.records import written_places
from stillhouse.tasks.task import Doubt, Logits, TeacherLoss, doubts_by_probability
from stillhouse.tasks.words import places_of_values, runs_at_several_places, spans_of_words

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""Stands for a record that nobody knows."""
IMPOSSIBLE = -100.0
"""Output of what the text has no words for; any other is above."""
LOWEST = -90.0
"""Of an output that is possible."""
STATED_ABOVE_CHANCE = 0.01
SMALLEST_PROBABILITY = 1e-9


@dataclass(frozen=True)
class FieldOutputs:
    """The outputs of one field.

    Args:
        name: of the field.
        spec: what it may hold.
        words: that are read of a text.
        start: number of its first output.
        worth: what one of its outputs adds to the number of a record.
    """

    name: str
    spec: FieldSpec
    words: int
    start: int
    worth: int

    @property
    def size(self) -> int:
        """How many there are."""
        return self.spec.outputs(self.words)

    @property
    def end(self) -> int:
        """Number of the output behind its last one."""
        return self.start + self.size

    @cached_property
    def values(self) -> list[str | tuple[int, int] | None]:
        """What each of them answers, in order: nothing, a value, or the numbers of a first word and of words."""
        spec = self.spec
        runs = [(first, length + 1) for first in range(self.words) for length in range(spec.words_at_most)]
        return [*([None] if spec.optional else []), *(spec.of if spec.kind == "choice" else runs)]

    def number_of(self, value: str | Sequence[int] | None) -> int:
        """Which of them answers a value.

        Raises:
            ValueError: if none does.
        """
        return self._numbers[tuple(value) if isinstance(value, list) else value]

    def of(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Its part of rows of outputs."""
        return outputs[..., self.start : self.end]

    @cached_property
    def _numbers(self) -> dict[Any, int]:
        return {value: number for number, value in enumerate(self.values)}


@dataclass(frozen=True)
class Extraction:
    """A record of these fields.

    Args:
        spec: its fields, and how much of a text is read.
    """

    spec: RecordSpec

    classes = None

    @cached_property
    def fields(self) -> tuple[FieldOutputs, ...]:
        """The outputs of each field, in order."""
        found, start, worth = list[FieldOutputs](), 0, 1
        for name, field in self.spec.fields.items():
            found.append(FieldOutputs(name, field, self.spec.words, start, worth))
            start, worth = start + found[-1].size, worth * found[-1].size
        return tuple(found)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Field and answer: `vendor: 4+2` is two words from number 4 on, counted from 0."""
        return tuple(f"{field.name}: {_named(value)}" for field in self.fields for value in field.values)

    def holds(self, labels: pl.Series) -> pl.Series:
        """Which labels are records of these fields, as places in a text."""
        good = [label for label in labels.drop_nulls().unique() if self._number_of(label) is not None]
        return labels.is_in(good).fill_null(False)

    def targets(self, labels: pl.Series) -> IntArray:
        """Records as numbers, `UNKNOWN` where there is none.

        Raises:
            ValueError: if one is no record of these fields.
        """
        number = {label: self._number_of(label) for label in labels.drop_nulls().unique()}
        foreign = [label for label, known in number.items() if known is None]
        if foreign:
            raise ValueError(f"{foreign[0]} is no record of {', '.join(self.spec.fields)}")
        return np.array([UNKNOWN if label is None else number[label] for label in labels], dtype=np.int64)

    def known(self, targets: npt.NDArray[Any]) -> BoolArray:
        """Which are the number of a record.

        Raises:
            StillhouseError: if one is neither that nor `UNKNOWN`.
        """
        most = self.fields[-1].worth * self.fields[-1].size
        if len(targets) and not UNKNOWN <= targets.min() <= targets.max() < most:
            raise StillhouseError(
                f"numbers of records outside those of these fields: {targets.min()} to {targets.max()}",
                where="training examples",
                expected=f"{UNKNOWN} or 0 to {most - 1}",
                do="Build teacher, signal and student from one recipe.",
            )
        return np.asarray(targets != UNKNOWN)

    def answers(self, logits: Logits) -> IntArray:
        """Numbers of records: of each field the largest output, and of equal ones the first."""
        given = np.asarray(logits)
        return np.asarray(
            np.sum([field.of(given).argmax(axis=-1) * field.worth for field in self.fields], axis=0), dtype=np.int64
        )

    def right(self, logits: Logits, targets: npt.NDArray[Any]) -> BoolArray:
        """Which rows answer the whole record."""
        return np.asarray(self.answers(logits) == targets)

    def agree(self, first: Logits, second: Logits) -> BoolArray:
        """Which rows two models give the same record."""
        return np.asarray(self.answers(first) == self.answers(second))

    def right_fields(self, logits: Logits, targets: npt.NDArray[Any]) -> BoolArray:
        """Which fields of which rows are answered rightly; shape (n, fields)."""
        return np.asarray(self.in_fields(self.answers(logits)) == self.in_fields(targets))

    def has_values(self, targets: npt.NDArray[Any]) -> BoolArray:
        """Which fields of which records have a value; shape (n, fields). One that is not optional always has."""
        none = [field.number_of(None) if field.spec.optional else UNKNOWN for field in self.fields]
        return np.asarray(self.in_fields(targets) != np.array(none))

    def in_fields(self, targets: npt.NDArray[Any]) -> IntArray:
        """Records as the number of the output that each field has; shape (n, fields)."""
        return np.stack([np.asarray(targets) // field.worth % field.size for field in self.fields], axis=-1)

    def written(self, answers: npt.NDArray[Any]) -> list[str]:
        """Records as places in a text."""
        spelled = {number: self._written(number) for number in np.unique(answers).tolist()}
        return [spelled[int(number)] for number in answers]

    def confidence(self, logits: Logits, temperature: float = 1.0) -> FloatArray:
        """Probability of the record that is answered, each field by itself: the product of theirs, in (0, 1]."""
        scaled = apply_temperature(np.asarray(logits, np.float64), temperature)
        return np.asarray(np.exp(sum(log_softmax(field.of(scaled)).max(axis=-1) for field in self.fields)))

    def margin(self, logits: Logits) -> FloatArray:
        """By how much the answer of the field that is least sure is above the next one; shape (n,)."""
        each = [np.sort(field.of(np.asarray(logits, np.float64)), axis=-1) for field in self.fields]
        return np.asarray(np.min([outputs[..., -1] - outputs[..., -2] for outputs in each], axis=0))

    def divergence(self, teacher: Logits, student: Logits) -> FloatArray:
        """KL(teacher || student) of every row, in nats: the sum over the fields, among what is possible to both."""
        total = np.zeros(len(teacher))
        for field in self.fields:
            first, second = (np.array(field.of(np.asarray(each)), np.float64) for each in (teacher, student))
            excluded = (first < LOWEST) | (second < LOWEST)
            excluded &= ~excluded.all(axis=-1, keepdims=True)
            first[excluded] = second[excluded] = _NEARLY_NEVER
            said, heard = log_softmax(first), log_softmax(second)
            total += np.maximum(0.0, np.where(excluded, 0.0, np.exp(said) * (said - heard)).sum(axis=-1))
        return total

    def decisions(self, logits: Logits, targets: npt.NDArray[Any]) -> list[tuple[FloatArray, IntArray]]:
        """One for each field; those with fewer answers are filled up with impossible ones."""
        scores, truth = np.asarray(logits, np.float64), self.in_fields(np.asarray(targets, np.int64))
        most = max(field.size for field in self.fields)
        wide = [
            np.pad(field.of(scores), ((0, 0), (0, most - field.size)), constant_values=_NEARLY_NEVER)
            for field in self.fields
        ]
        return [(choices, truth[:, number]) for number, choices in enumerate(wide)]

    def stated(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Log-probabilities under which the record that was answered has this probability, each field the same part of
        it, and every other answer to a field as much as the next.

        What was answered stays the answer, however seldom it is right.
        """
        outputs, numbers = np.empty((len(targets), len(self.names))), self.in_fields(targets)
        for number, field in enumerate(self.fields):
            answered, other = self._worth(field, accuracy)
            field.of(outputs)[...] = np.log(other)
            outputs[np.arange(len(targets)), field.start + numbers[:, number]] = np.log(answered)
        return outputs

    def majority(self, targets: npt.NDArray[Any]) -> IntArray:
        """Of each field the most frequent answer; of as many the first."""
        return self.answers(self.constant(targets)[None, :])

    def counts(self, targets: npt.NDArray[Any]) -> IntArray:
        """How often each answer is given to each field; shape (outputs,)."""
        numbers = self.in_fields(targets)
        return np.concatenate(
            [np.bincount(numbers[:, number], minlength=field.size) for number, field in enumerate(self.fields)]
        )

    def voted(self, targets: npt.NDArray[Any], accuracy: float) -> FloatArray:
        """Log-probabilities: the mean of what each answer is worth, field by field."""
        counts, shares = self.counts(targets), list[FloatArray]()
        for field in self.fields:
            answered, other = self._worth(field, accuracy)
            shares.append(other + field.of(counts) / len(targets) * (answered - other))
        return np.asarray(np.log(np.concatenate(shares)))

    def unanswered(self, targets: npt.NDArray[Any], *, right: bool) -> FloatArray:
        """All answers alike, and the right one to each field a little more, or a little less."""
        outputs, numbers = np.zeros((len(targets), len(self.names))), self.in_fields(targets)
        for number, field in enumerate(self.fields):
            at = field.start + numbers[:, number]
            outputs[np.arange(len(targets)), at] = STATED_ABOVE_CHANCE if right else -STATED_ABOVE_CHANCE
        return outputs

    def doubts(self, logits: Logits, targets: npt.NDArray[Any]) -> list[Doubt | None]:
        """A known record decides; without one, whether the answer to each field has half of its probability."""
        given = np.asarray(logits, np.float64)
        sure = np.min([log_softmax(field.of(given)).max(axis=-1) for field in self.fields], axis=0)
        return doubts_by_probability(self, logits, targets, np.exp(sure))

    @property
    def teacher_losses(self) -> Mapping[str, TeacherLoss]:
        """Divergence of each field's distribution, and cross entropy with its answer; the mean over the fields."""
        return {
            "kl": TeacherLoss(self._temperature_kl),
            "answers": TeacherLoss(self._smoothed_answer, zero_at_teacher=False),
        }

    def label_loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Cross entropy of each field with the label, in the mean over them; 0 of one whose words are not read."""
        cost = logits.new_zeros(len(logits))
        for field in self.fields:
            heard = _possible(logits[:, field.start : field.end])
            cost = cost + _cross_entropy(heard, self._number_in(field, targets))
        return cost * (targets >= 0) / len(self.fields)

    def average(self, logits: Logits) -> FloatArray:
        """Logarithm of the mean probabilities."""
        given = np.asarray(logits, np.float64)
        means = [np.exp(log_softmax(field.of(given))).mean(axis=0) for field in self.fields]
        return np.asarray(np.log(np.maximum(np.concatenate(means), SMALLEST_PROBABILITY)))

    def constant(self, targets: npt.NDArray[Any]) -> FloatArray:
        """Logarithms of how frequent each answer to a field is."""
        return np.asarray(np.log(np.maximum(self.counts(targets) / len(targets), SMALLEST_PROBABILITY)))

    def outputs_of(self, scores: FloatArray) -> FloatArray:
        """Log-probabilities of each field, none as low as what is impossible."""
        parts = [log_softmax(field.of(np.asarray(scores, np.float64))) for field in self.fields]
        return np.maximum(np.concatenate(parts, axis=-1), LOWEST)

    def once_each(self, logits: Logits, texts: Sequence[str]) -> Logits:
        """Outputs in which a value that a text has in several places has the probability of all of them, at the first.

        So an answer is a value and no place, as a label is. Of a number or a date all that is none is impossible.

        Args:
            logits: shape (n, outputs), of a model that points at words.
            texts: n of them, in their one spelling.
        """
        found = np.array(logits)
        for row, text in zip(found, texts, strict=True):
            spans = spans_of_words(text)[: self.spec.words]
            words = [text[start:end] for start, end in spans]
            for field in self.fields:
                if field.spec.reads:
                    alike = _values_alike(text, spans, field)
                    _leave_only(field.of(row), alike, field)
                    _add_up(field.of(row), alike)
                elif field.spec.kind == "verbatim":
                    _add_up(field.of(row), _runs_alike(words, field))
        return found

    def _worth(self, field: FieldOutputs, accuracy: float) -> tuple[float, float]:
        """Probability of what was answered to a field, and of every other answer, where it is right so often."""
        share = max(float(accuracy ** (1 / len(self.fields))), 1 / field.size + STATED_ABOVE_CHANCE)
        share = min(share, 1 - SMALLEST_PROBABILITY)
        return share, (1 - share) / (field.size - 1)

    def _temperature_kl(self, student: "Tensor", teacher: "Tensor", how: LossTerm) -> "Tensor":
        """The divergence at a temperature T, times T^2 (Hinton et al. 2015, arXiv:1503.02531)."""
        cost = student.new_zeros(len(student))
        for field in self.fields:
            own, other = student[:, field.start : field.end], teacher[:, field.start : field.end]
            excluded = (own < LOWEST) | (other < LOWEST)
            heard = _log_softmax_without(own, excluded, how.temperature)
            said = _log_softmax_without(other, excluded, how.temperature)
            cost = cost + (said.exp() * (said - heard)).masked_fill(excluded, 0.0).sum(-1)
        return cost * how.temperature**2 / len(self.fields)

    def _smoothed_answer(self, student: "Tensor", teacher: "Tensor", how: LossTerm) -> "Tensor":
        """Cross entropy with the teacher's answer, a share of which is spread over all that are possible alike."""
        cost = student.new_zeros(len(student))
        for field in self.fields:
            heard = _possible(student[:, field.start : field.end])
            is_possible = heard > LOWEST * 2
            spread = -(heard * is_possible).sum(-1) / is_possible.sum(-1).clamp_min(1)
            answer = _cross_entropy(heard, teacher[:, field.start : field.end].argmax(-1))
            cost = cost + answer * (1 - how.smoothing) + spread * how.smoothing
        return cost / len(self.fields)

    def _number_in(self, field: FieldOutputs, targets: "Tensor") -> "Tensor":
        return targets.clamp_min(0).div(field.worth, rounding_mode="floor") % field.size

    def _number_of(self, label: str) -> int | None:
        """The number of a record; None where the text is none, or is spelled otherwise."""
        try:
            held = json.loads(label)
            numbers = [field.number_of(held[field.name]) * field.worth for field in self.fields]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return sum(numbers) if self._written(sum(numbers)) == label else None

    def _written(self, number: int) -> str:
        return written_places({field.name: field.values[number // field.worth % field.size] for field in self.fields})


def _named(value: str | tuple[int, int] | None) -> str:
    return "none" if value is None else "{}+{}".format(*value) if isinstance(value, tuple) else value


def _runs_alike(words: Sequence[str], field: FieldOutputs) -> list[list[int]]:
    """Outputs of a field that are the same words, in the order of their places."""
    alike = runs_at_several_places(words, field.spec.words_at_most)
    return [[field.number_of(place) for place in places] for places in alike]


def _values_alike(text: str, spans: Sequence[tuple[int, int]], field: FieldOutputs) -> list[list[int]]:
    """Outputs of a field in which it reads the same value, likewise."""
    alike = places_of_values(values_in(text, spans, field.spec.words_at_most, field.spec))
    return [[field.number_of(place) for place in places] for places in alike]


def _leave_only(outputs: npt.NDArray[Any], alike: Sequence[Sequence[int]], field: FieldOutputs) -> None:
    """Make impossible, in one row of a field, all but some outputs and that there is no value."""
    others = np.ones(len(outputs), dtype=np.bool_)
    others[[number for numbers in alike for number in numbers]] = False
    if field.spec.optional:
        others[field.number_of(None)] = False
    outputs[others] = IMPOSSIBLE


def _add_up(outputs: npt.NDArray[Any], alike: Sequence[Sequence[int]]) -> None:
    """Give the first of outputs that are one value the probability of all of them, in one row of a field."""
    for numbers in alike:
        if len(numbers) > 1:
            outputs[numbers[0]] = np.logaddexp.reduce(outputs[numbers].astype(np.float64))
            outputs[numbers[1:]] = IMPOSSIBLE


def _log_softmax_without(logits: "Tensor", excluded: "Tensor", temperature: float) -> "Tensor":
    from torch.nn import functional

    return functional.log_softmax((logits / temperature).masked_fill(excluded, _NEARLY_NEVER), dim=-1)


def _possible(logits: "Tensor") -> "Tensor":
    """Log-probabilities among what is possible."""
    return _log_softmax_without(logits, logits < LOWEST, 1.0)


def _cross_entropy(log_probabilities: "Tensor", numbers: "Tensor") -> "Tensor":
    """With these answers; exactly 0 where one is impossible, of which nothing can be learned."""
    cost = -log_probabilities.gather(-1, numbers.unsqueeze(-1)).squeeze(-1)
    return cost * (cost < -_NEARLY_NEVER / 2)


_NEARLY_NEVER = -1e6
"""In the place of minus infinity, from which no gradient can be taken."""
