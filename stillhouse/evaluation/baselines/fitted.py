"""The do-nothing options: what a task costs and scores without distilling anything.

Belongs here: baselines fitted in seconds from labels: one answer to all, bag of words, a linear probe on an
encoder. Does not: pretrained models as they are or quantised teachers, which are run like any model and
passed as a EvaluatedModel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import FloatArray
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.baselines.options import Option
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.tasks.task import LinearTask, Targets, Task

Embed = Callable[[list[str]], npt.NDArray[Any]]

VOCABULARY = 20_000
"""Most terms the bag of words keeps, so that the baseline stays a small model."""
_EMBEDDED_AT_ONCE = 64
"""Texts."""
_SEED = 0
"""Of the solvers."""


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    Args:
        name: what reports call it.
        logits: shape (golden texts, outputs).
        size_bytes: bytes of the fitted arrays (and vocabulary or encoder), as float32. Nothing is pickled.
        predict_logits: answers n texts with outputs of shape (n, outputs).
        note: one line for the report.
    """

    name: str
    logits: FloatArray
    size_bytes: int
    predict_logits: Callable[[Sequence[str]], FloatArray]
    note: str

    def predict(self, text: str) -> FloatArray:
        """Answer one text with outputs of shape (outputs,), for the latency measurement."""
        return np.asarray(self.predict_logits([text])[0])

    def evaluated(self, prompt_ids: Sequence[str]) -> EvaluatedModel:
        """The baseline as the harness wants it.

        Args:
            prompt_ids: of the texts the baseline was asked, in that order.
        """
        outputs = pl.DataFrame(
            {"prompt_id": list(prompt_ids), "logits": self.logits.tolist()},
            schema={"prompt_id": pl.String, "logits": pl.List(pl.Float64)},
        )
        return EvaluatedModel(
            self.name, ModelKind.BASELINE, outputs, self.size_bytes, note=self.note, predict_logits=self.predict_logits
        )


def constant(train_labels: Sequence[str], texts: Sequence[str], *, task: Task) -> Baseline:
    """Always give the best single answer, such as the class frequencies of the training labels.

    Args:
        train_labels: labels to count.
        texts: golden texts.
        task: what an answer is.

    Returns:
        The baseline; among classes its accuracy is the share of the most frequent one.

    Raises:
        StillhouseError: if a label is unknown or there are none.
    """
    row = task.constant(targets_of(train_labels, task))
    (answer,) = task.written(task.answers(row[None, :]))
    return Baseline(
        name=Option.MAJORITY,
        logits=np.tile(row, (len(texts), 1)),
        size_bytes=4 * len(row),
        predict_logits=lambda asked: np.tile(row, (len(asked), 1)),
        note=f"always '{answer}'",
    )


def tfidf_linear(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    texts: Sequence[str],
    *,
    task: LinearTask,
    validation_texts: Sequence[str] = (),
    validation_labels: Sequence[str] = (),
) -> Baseline:
    """A linear model on TF-IDF of words and word pairs, or of runs of characters; among classes, logistic regression.

    In a language without blanks between words a word is a whole sentence, so both are fitted, and what is more often
    right on the validation rows is taken: words where they are as good, or where there are no such rows.

    Args:
        train_texts: labelled training texts.
        train_labels: their labels.
        texts: golden texts.
        task: what an answer is.
        validation_texts: labelled texts that decide between words and characters.
        validation_labels: their labels.

    Returns:
        The baseline.

    Raises:
        StillhouseError: if a label is unknown, or there are fewer than two classes to tell apart.
    """
    targets = targets_of(train_labels, task)
    fitted = _fit_tfidf("words", train_texts, targets, task)
    if len(validation_texts):
        known = targets_of(validation_labels, task)
        by_characters = _fit_tfidf("characters", train_texts, targets, task)
        right = [int(task.right(each.answer(validation_texts), known).sum()) for each in (fitted, by_characters)]
        fitted = by_characters if right[1] > right[0] else fitted
    return Baseline(
        name=Option.TFIDF,
        logits=fitted.answer(texts),
        size_bytes=fitted.size_bytes,
        predict_logits=fitted.answer,
        note=f"{fitted.terms:,} terms of {fitted.units}, fitted on {len(train_texts):,} labels",
    )


Units = Literal["words", "characters"]
_TERMS_OF: dict[Units, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "characters": {"analyzer": "char", "ngram_range": (1, 3)},
}


@dataclass(frozen=True)
class _FittedTfidf:
    units: Units
    terms: int
    size_bytes: int
    answer: Callable[[Sequence[str]], FloatArray]


def _fit_tfidf(units: Units, texts: Sequence[str], targets: Targets, task: LinearTask) -> _FittedTfidf:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=VOCABULARY, dtype=np.float32, **_TERMS_OF[units])
    weights, bias = task.fit_linear(vectorizer.fit_transform(texts), targets, seed=_SEED)
    terms = vectorizer.get_feature_names_out()
    vocabulary = sum(len(term.encode()) for term in terms)

    def answer(batch: Sequence[str]) -> FloatArray:
        return task.outputs_of(np.asarray(vectorizer.transform(batch) @ weights) + bias)

    return _FittedTfidf(units, len(terms), 4 * (weights.size + bias.size + len(terms)) + vocabulary, answer)


def linear_probe(
    embed: Embed,
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    texts: Sequence[str],
    *,
    task: LinearTask,
    encoder_bytes: int,
    name: str = "linear probe",
) -> Baseline:
    """A linear model on the embeddings of a frozen encoder; among classes, logistic regression.

    Args:
        embed: gives embeddings of shape (texts, dimensions).
        train_texts: labelled training texts.
        train_labels: their labels.
        texts: golden texts.
        task: what an answer is.
        encoder_bytes: what the encoder itself weighs; it has to ship too.
        name: what reports call it.

    Returns:
        The baseline; its size is the encoder and the head.

    Raises:
        StillhouseError: if a label is unknown, or there are fewer than two classes to tell apart.
    """

    def embedded(wanted: Sequence[str]) -> FloatArray:
        parts = [
            np.asarray(embed(list(wanted[start : start + _EMBEDDED_AT_ONCE])), dtype=np.float64)
            for start in range(0, len(wanted), _EMBEDDED_AT_ONCE)
        ]
        return np.concatenate(parts)

    features = embedded(train_texts)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled, bias = task.fit_linear((features - mean) / scale, targets_of(train_labels, task), seed=_SEED)
    # The scaling is folded into the head, so that the head is all there is to ship.
    weights = scaled / scale[:, None]
    bias = bias - mean @ weights

    def answer(batch: Sequence[str]) -> FloatArray:
        return task.outputs_of(embedded(batch) @ weights + bias)

    return Baseline(
        name=name,
        logits=answer(texts),
        size_bytes=encoder_bytes + 4 * (weights.size + bias.size),
        predict_logits=answer,
        note=f"{features.shape[1]} dimensions, fitted on {len(train_texts):,} labels",
    )


def targets_of(labels: Sequence[str], task: Task) -> Targets:
    """Labels as numbers.

    Raises:
        StillhouseError: if a label is unknown or there are none.
    """
    given = pl.Series(labels, dtype=pl.String)
    unknown = given.filter(~task.holds(given)).unique().sort().to_list()
    if unknown or not len(labels):
        raise StillhouseError(
            f"unknown labels {unknown[:5]}" if unknown else "there are none",
            where="training labels of a baseline",
            expected="an answer of the task for every row",
            do="Check the label column of the source.",
        )
    return task.targets(given)
