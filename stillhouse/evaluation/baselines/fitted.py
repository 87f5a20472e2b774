"""The do-nothing options: what a task costs and scores without distilling anything.

Belongs here: baselines fitted in seconds from labels: the majority class, bag of words, a linear probe on an
encoder. Does not: pretrained models as they are or quantised teachers, which are run like any model and
passed as a EvaluatedModel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.models import EvaluatedModel, ModelKind

FloatArray = npt.NDArray[np.float64]
Embed = Callable[[list[str]], npt.NDArray[Any]]

VOCABULARY = 20_000
"""Most terms the bag of words keeps, so that the baseline stays a small model."""

SMALLEST_PROBABILITY = 1e-9
"""Given to classes never seen in training: their logarithm must stay finite."""


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    Args:
        name: what reports call it.
        logits: shape (golden texts, classes), log-probabilities.
        size_bytes: bytes of the fitted arrays (and vocabulary or encoder), as float32. Nothing is pickled.
        predict_logits: answers n texts with log-probabilities of shape (n, classes).
        note: one line for the report.
    """

    name: str
    logits: FloatArray
    size_bytes: int
    predict_logits: Callable[[Sequence[str]], FloatArray]
    note: str

    def predict(self, text: str) -> FloatArray:
        """Answer one text with log-probabilities of shape (classes,), for the latency measurement."""
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


def majority(train_labels: Sequence[str], texts: Sequence[str], *, classes: Sequence[str]) -> Baseline:
    """Always answer with the class frequencies of the training labels.

    Args:
        train_labels: labels to count.
        texts: golden texts.
        classes: names in logit order.

    Returns:
        The baseline; its accuracy is the share of the most frequent class.

    Raises:
        StillhouseError: if a label is unknown or there are none.
    """
    counts = np.bincount(_indices(train_labels, classes), minlength=len(classes))
    row = _log(counts / counts.sum())
    return Baseline(
        name="majority class",
        logits=np.tile(row, (len(texts), 1)),
        size_bytes=4 * len(classes),
        predict_logits=lambda asked: np.tile(row, (len(asked), 1)),
        note=f"always '{classes[int(counts.argmax())]}'",
    )


def tfidf_logistic_regression(
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    texts: Sequence[str],
    *,
    classes: Sequence[str],
    seed: int = 0,
) -> Baseline:
    """Logistic regression on TF-IDF of words and word pairs.

    Args:
        train_texts: labelled training texts.
        train_labels: their labels.
        texts: golden texts.
        classes: names in logit order.
        seed: of the solver.

    Returns:
        The baseline.

    Raises:
        StillhouseError: if a label is unknown, or there are fewer than two classes to tell apart.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=VOCABULARY, dtype=np.float32)
    features = vectorizer.fit_transform(train_texts)
    weights, bias = _fit_linear(features, train_labels, classes, seed)
    terms = vectorizer.get_feature_names_out()
    vocabulary = sum(len(term.encode()) for term in terms)

    def answer(batch: Sequence[str]) -> FloatArray:
        return _log_softmax(np.asarray(vectorizer.transform(batch) @ weights) + bias)

    return Baseline(
        name="TF-IDF + logistic regression",
        logits=answer(texts),
        size_bytes=4 * (weights.size + bias.size + len(terms)) + vocabulary,
        predict_logits=answer,
        note=f"{len(terms):,} terms, fitted on {len(train_texts):,} labels",
    )


def linear_probe(
    embed: Embed,
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    texts: Sequence[str],
    *,
    classes: Sequence[str],
    encoder_bytes: int,
    name: str = "linear probe",
    batch_size: int = 64,
    seed: int = 0,
) -> Baseline:
    """Logistic regression on the embeddings of a frozen encoder.

    Args:
        embed: gives embeddings of shape (texts, dimensions).
        train_texts: labelled training texts.
        train_labels: their labels.
        texts: golden texts.
        classes: names in logit order.
        encoder_bytes: what the encoder itself weighs; it has to ship too.
        name: what reports call it.
        batch_size: texts embedded at once.
        seed: of the solver.

    Returns:
        The baseline; its size is the encoder and the head.

    Raises:
        StillhouseError: if a label is unknown, or there are fewer than two classes to tell apart.
    """

    def embedded(wanted: Sequence[str]) -> FloatArray:
        parts = [
            np.asarray(embed(list(wanted[start : start + batch_size])), dtype=np.float64)
            for start in range(0, len(wanted), batch_size)
        ]
        return np.concatenate(parts)

    features = embedded(train_texts)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled, bias = _fit_linear((features - mean) / scale, train_labels, classes, seed)
    # The scaling is folded into the head, so that the head is all there is to ship.
    weights = scaled / scale[:, None]
    bias = bias - mean @ weights

    def answer(batch: Sequence[str]) -> FloatArray:
        return _log_softmax(embedded(batch) @ weights + bias)

    return Baseline(
        name=name,
        logits=answer(texts),
        size_bytes=encoder_bytes + 4 * (weights.size + bias.size),
        predict_logits=answer,
        note=f"{features.shape[1]} dimensions, fitted on {len(train_texts):,} labels",
    )


def _fit_linear(
    features: Any, labels: Sequence[str], classes: Sequence[str], seed: int
) -> tuple[FloatArray, FloatArray]:
    """Weights (features, classes) and bias (classes,); a class without training rows gets a very low bias."""
    from sklearn.linear_model import LogisticRegression

    indices = _indices(labels, classes)
    seen = np.unique(indices)
    if len(seen) < 2:
        raise StillhouseError(
            f"only the class '{classes[int(seen[0])]}' occurs",
            where="training labels of a baseline",
            expected="at least two classes",
            do="Check the label column of the source.",
        )
    model = LogisticRegression(C=10.0, max_iter=500, random_state=seed).fit(features, indices)
    # Two classes are fitted as one column, the log-odds of the second.
    coefficients = model.coef_ if len(seen) > 2 else np.vstack([np.zeros_like(model.coef_[0]), model.coef_[0]])
    intercepts = model.intercept_ if len(seen) > 2 else np.array([0.0, model.intercept_[0]])
    weights = np.zeros((coefficients.shape[1], len(classes)))
    bias = np.full(len(classes), np.log(SMALLEST_PROBABILITY) + float(np.min(intercepts)))
    weights[:, seen], bias[seen] = coefficients.T, intercepts
    return weights, bias


def _indices(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    known = {name: index for index, name in enumerate(classes)}
    unknown = sorted(set(labels) - set(known))
    if unknown or not len(labels):
        raise StillhouseError(
            f"unknown labels {unknown[:5]}" if unknown else "there are none",
            where="training labels of a baseline",
            expected=f"one of the {len(classes)} classes for every row",
            do="Check the label column of the source.",
        )
    return np.array([known[label] for label in labels], dtype=np.int64)


def _log(probabilities: FloatArray) -> FloatArray:
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))


def _log_softmax(scores: FloatArray) -> FloatArray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float64)
