"""What words, their shapes and their neighbours give without a network: values taken out of a text by a linear model.

Belongs here: that do-nothing option for records. Does not: options for a text as a whole (fitted.py), what a record is
(stillhouse/tasks/extraction.py).

It is what people do with rules and regular expressions, learned from the labels: a run of words is described by what it
says, by its shape (`1931-04-02` is `0000-00-00`), and by what stands before and behind it. The answers that a text
allows to a field compete with each other, runs of its words, values of a choice, or that there is none: a conditional
logit (McFadden 1974, in Frontiers in Econometrics).
"""

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.evaluation.baselines.fitted import VOCABULARY, Baseline, targets_of
from stillhouse.evaluation.baselines.options import Option
from stillhouse.statistics.softmax import log_softmax
from stillhouse.tasks.extraction import IMPOSSIBLE, LOWEST, Extraction, FieldOutputs
from stillhouse.tasks.words import words_of

Feature = tuple[str | None, ...]
LABELS_AT_MOST = 2_000
"""Each has as many answers to a field as it has runs of words; more labels are slow, and hardly make it better."""
_PENALTY = 0.1
"""Half of what a squared weight of 1 costs, beside the negative log-likelihood of all rows."""
_ITERATIONS = 100
_DIGIT, _LETTERS = re.compile(r"\d"), re.compile(r"[^\W\d_]+")
_NEARLY_NEVER = -1e9
_OUTSIDE = "\n"
"""Stands where a text has no word."""


def words_and_shapes(
    train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str], *, task: Extraction
) -> Baseline:
    """Take each field out of a text by what its value says, how it is written and what stands around it.

    Args:
        train_texts: labelled training texts.
        train_labels: their labels.
        texts: golden texts.
        task: what a record is.

    Returns:
        The baseline.

    Raises:
        StillhouseError: if a label is no record of these fields, or there are none.
    """
    numbers = task.in_fields(targets_of(train_labels, task))
    chosen = np.unique(np.linspace(0, len(train_texts) - 1, LABELS_AT_MOST).round().astype(np.int64))
    read = [_words(train_texts[row], task) for row in chosen]
    fitted = [_fit(field, read, numbers[chosen, place]) for place, field in enumerate(task.fields)]

    def answer(asked: Sequence[str]) -> FloatArray:
        outputs = np.full((len(asked), len(task.names)), IMPOSSIBLE)
        for row, text in zip(outputs, asked, strict=True):
            for each in fitted:
                each.fill(row, _words(text, task))
        return np.asarray(task.once_each(outputs, asked))

    return Baseline(
        name=Option.WORDS_AND_SHAPES,
        logits=answer(texts),
        size_bytes=sum(each.size_bytes for each in fitted),
        predict_logits=answer,
        note=f"{sum(len(each.weights) for each in fitted):,} features, fitted on {len(chosen):,} labels",
    )


@dataclass(frozen=True)
class _FittedField:
    field: FieldOutputs
    weights: dict[Feature, float]

    @property
    def size_bytes(self) -> int:
        """A weight for each feature, and the words of it."""
        return sum(4 + sum(len(part.encode()) + 1 for part in feature if part) for feature in self.weights)

    def fill(self, row: FloatArray, words: Sequence[str]) -> None:
        """Write the log-probabilities of what the text allows into a row of outputs."""
        allowed = _allowed(self.field, words)
        if allowed:
            scores = [sum(self.weights.get(each, 0.0) for each in features) for features in allowed.values()]
            self.field.of(row)[list(allowed)] = np.maximum(log_softmax(np.array([scores]))[0], LOWEST)


def _fit(field: FieldOutputs, read: Sequence[Sequence[str]], numbers: IntArray) -> _FittedField:
    """The most likely weights of a field, given its number in each training text."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    # Described twice, so that the words of all answers need not be in memory at once.
    counts = Counter(feature for words in read for features in _allowed(field, words).values() for feature in features)
    column = {feature: place for place, (feature, _) in enumerate(counts.most_common(VOCABULARY))}
    sizes, right, ends, places = list[int](), list[bool](), [0], array("q")
    for words, number in zip(read, numbers.tolist(), strict=True):
        allowed, said = _allowed(field, words), _says(field, number, words)
        sizes.append(len(allowed))
        for answer, features in allowed.items():
            right.append(_says(field, answer, words) == said)
            places.extend(column[each] for each in features if each in column)
            ends.append(len(places))
    described = csr_matrix((np.ones(len(places)), np.array(places), np.array(ends)), (len(right), len(column)))
    starts, is_right = np.cumsum([0, *sizes[:-1]]), np.array(right)

    def shares(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of each answer its probability among those of its text, and of each text the log of the sum."""
        highest = np.maximum.reduceat(scores, starts)
        each = np.exp(scores - np.repeat(highest, sizes))
        total = np.add.reduceat(each, starts)
        return each / np.repeat(total, sizes), highest + np.log(total)

    def cost(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = described @ weights
        among_all, of_all = shares(scores)
        among_right, of_right = shares(np.where(is_right, scores, _NEARLY_NEVER))
        slope = described.T @ (among_all - among_right) + 2 * _PENALTY * weights
        return float((of_all - of_right).sum() + _PENALTY * weights @ weights), slope

    with threadpool_limits(limits=1):  # more would add up in another order on another machine, and are no faster
        found = minimize(cost, np.zeros(len(column)), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return _FittedField(field, dict(zip(column, found.x.tolist(), strict=True)))


def _words(text: str, task: Extraction) -> list[str]:
    return words_of(text)[: task.spec.words]


def _says(field: FieldOutputs, number: int, words: Sequence[str]) -> str | tuple[str, ...] | None:
    """What an answer says, which it may say at several places of a text."""
    value = field.values[number]
    return tuple(words[value[0] : sum(value)]) if isinstance(value, tuple) else value


def _allowed(field: FieldOutputs, words: Sequence[str]) -> dict[int, list[Feature]]:
    """What describes each answer that a text allows, by the answer's number."""
    spoken = ["", *dict.fromkeys(word.casefold() for word in words)]
    return {
        number: _of_run(words, *value) if isinstance(value, tuple) else [(value, word) for word in spoken]
        for number, value in enumerate(field.values)
        if not isinstance(value, tuple) or sum(value) <= len(words)
    }


def _of_run(words: Sequence[str], first: int, length: int) -> list[Feature]:
    """What describes a run of words."""
    run = words[first : first + length]

    def near(place: int) -> str:
        return words[place].casefold() if 0 <= place < len(words) else _OUTSIDE

    before, behind = near(first - 1), near(first + length)
    shapes = " ".join(map(_shape, run))
    return [
        ("length", str(length)),
        ("is", " ".join(run).casefold()),
        *(("has", word.casefold()) for word in run),
        ("shape", shapes),
        ("before", before),
        ("before", near(first - 2), before),
        ("behind", behind),
        ("behind", behind, near(first + length + 1)),
        ("between", before, behind),
        ("before, shape", before, shapes),
    ]


def _shape(word: str) -> str:
    """How a word is written: each digit as 0, and a run of letters as x if all are small ones, else as X."""
    return _LETTERS.sub(lambda run: "x" if run[0].islower() else "X", _DIGIT.sub("0", word))
