"""Which classes are easily taken for each other, before anything is trained.

Belongs here: the quickest classifier that there is, asked about rows that it has not seen.
Does not: what a trained model confuses (measures/confusions.py).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from stillhouse.arrays import IntArray

FEWEST_ROWS = 5
"""Rows of a pair that have to be taken for the other class; fewer are chance."""
SHARE = 0.1
"""Of the rows of both classes of a pair, from which it is easily confused."""
_CHUNK = 2_000


def confusable_classes(texts: Sequence[str], labels: Sequence[str], *, by_characters: bool) -> list[tuple[str, str]]:
    """Pairs of classes that the nearest mean of TF-IDF takes for each other, each half of the rows asked of the other.

    It needs one pass over the rows however many classes there are. With two classes there is no pair to single out.

    Args:
        texts: labelled texts.
        labels: their labels.
        by_characters: for texts without blanks between words.

    Returns:
        Sorted pairs, most confused first.
    """
    classes = sorted(set(labels))
    if len(classes) < 3:
        return []
    index_of = {name: index for index, name in enumerate(classes)}
    ids = np.array([index_of[label] for label in labels])
    taken: Counter[tuple[int, int]] = Counter()
    halves = np.arange(len(texts)) % 2 == 0
    for known in (halves, ~halves):
        seen, unseen = ([texts[row] for row in np.flatnonzero(half).tolist()] for half in (known, ~known))
        nearest = _nearest_means(seen, ids[known], unseen, len(classes), by_characters)
        taken.update((min(a, b), max(a, b)) for a, b in zip(ids[~known].tolist(), nearest, strict=True) if a != b)
    sizes = np.bincount(ids, minlength=len(classes))
    share = {pair: rows / (sizes[pair[0]] + sizes[pair[1]]) for pair, rows in taken.items() if rows >= FEWEST_ROWS}
    confused = sorted((pair for pair in share if share[pair] >= SHARE), key=lambda pair: (-share[pair], pair))
    return [(classes[one], classes[other]) for one, other in confused]


def _nearest_means(seen: list[str], ids: IntArray, unseen: list[str], classes: int, by_characters: bool) -> list[int]:
    """Of each unseen text the class whose mean is nearest by its angle."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    how: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 2)} if by_characters else {}
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+", dtype=np.float32, **how)
    features = vectorizer.fit_transform(seen)
    members = csr_matrix((np.ones(len(ids), np.float32), (ids, np.arange(len(ids)))), shape=(classes, len(ids)))
    means = normalize(members @ features)
    asked = vectorizer.transform(unseen)
    nearest: list[int] = []
    for start in range(0, asked.shape[0], _CHUNK):
        nearest += np.asarray((asked[start : start + _CHUNK] @ means.T).todense()).argmax(axis=1).tolist()
    return nearest
