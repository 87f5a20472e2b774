"""What a search engine gives without any model: how well the words of a query are in a document.

Belongs here: BM25 as a do-nothing option for pairs of query and document.
Does not: options for texts alone (fitted.py).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from stillhouse.arrays import FloatArray
from stillhouse.data.pairs import parts_of
from stillhouse.evaluation.baselines.fitted import Baseline, targets_of
from stillhouse.evaluation.baselines.options import Option
from stillhouse.tasks.task import LinearTask

K1, B = 1.2, 0.75
"""As most search engines have them (Robertson and Zaragoza 2009, Foundations and Trends in Information Retrieval 3)."""
_LEAST_WEIGHT = 1e-6
"""Of a score: nothing as a number, and enough that beside the bias two scores stay apart."""
_WORD = re.compile(r"\w+")


class Bm25:
    """BM25 with the word counts of some documents.

    Args:
        documents: in which it is counted how rare a word is, and how long a document usually is; each counts once.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        counted = [_words(each) for each in dict.fromkeys(documents)]
        self.average = sum(map(len, counted)) / max(len(counted), 1) or 1.0
        self.documents = len(counted)
        self.holding = Counter(word for words in counted for word in set(words))

    def score(self, query: str, document: str) -> float:
        """How well a document answers a query, 0 or more; 0 where it has none of its words."""
        words = _words(document)
        counts, length = Counter(words), 1 - B + B * len(words) / self.average
        # Exact up to one rounding: in another order, which is another one in each process, a sum may be another.
        return math.fsum(
            self._rarity(word) * counts[word] * (K1 + 1) / (counts[word] + K1 * length) for word in set(_words(query))
        )

    def _rarity(self, word: str) -> float:
        holding = self.holding[word]
        return math.log(1 + (self.documents - holding + 0.5) / (holding + 0.5))


def bm25(
    train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str], *, task: LinearTask
) -> Baseline:
    """Rank documents by BM25, as numbers that are nearest to the labels in a line; the order is BM25's own.

    Args:
        train_texts: labelled pairs, which say how rare each word is and what a score is worth as a number.
        train_labels: their labels.
        texts: golden pairs.
        task: what an answer is: a number.
    """
    ranked = Bm25([parts_of(text)[1] for text in train_texts])

    def scored(pairs: Sequence[str]) -> FloatArray:
        return np.array([[ranked.score(*parts_of(text))] for text in pairs], dtype=np.float64).reshape(len(pairs), 1)

    features = scored(train_texts)
    weights, bias = task.fit_linear(features, targets_of(train_labels, task), seed=0)
    weights = np.maximum(weights, _LEAST_WEIGHT)  # so that more words in common never rank a document lower

    def answer(pairs: Sequence[str]) -> FloatArray:
        return task.outputs_of(scored(pairs) @ weights + bias)

    vocabulary = sum(len(word.encode()) for word in ranked.holding)
    return Baseline(
        name=Option.BM25,
        logits=answer(texts),
        size_bytes=4 * (len(ranked.holding) + 4) + vocabulary,
        predict_logits=answer,
        note=f"words of {ranked.documents:,} documents",
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
