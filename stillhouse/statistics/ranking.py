"""How well scores rank the documents of queries, query by query.

Belongs here: nDCG and the reciprocal rank of a query, and the lowest nDCG that an order of its documents can have.
Does not: whether one model ranks as well as another (ranking_test.py), nDCG of the right class among classes
(bootstrap.py).

Of equal scores no document comes first: nDCG is the mean over the orders that they leave open (McSherry and Najork
2008, ECIR), and a reciprocal rank that of the worst, so that a model which scores all alike is given nothing for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stillhouse.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Queries:
    """Documents by query, without queries whose documents are all as relevant as each other: no order is wrong there.

    Args:
        rows: of each query, the numbers of its rows.
        gains: of each query, how relevant each is: 0 for nothing, and more for more.
        at: places that count.
    """

    rows: tuple[IntArray, ...]
    gains: tuple[FloatArray, ...]
    at: int

    @classmethod
    def of(cls, gains: FloatArray, queries: IntArray, *, at: int) -> "Queries":
        """Take rows apart by query.

        Args:
            gains: shape (n,), 0 or more.
            queries: shape (n,), equal where rows are of one query.
            at: places that count, 1 or more.

        Raises:
            ValueError: if the shapes differ, a gain is negative or no number, or no place counts.
        """
        if gains.shape != queries.shape or gains.ndim != 1:
            raise ValueError(f"need a gain and a query for each row, not shapes {gains.shape} and {queries.shape}")
        if not (gains >= 0).all() or at < 1:
            raise ValueError(f"need gains of 0 or more and at least one place, not {at} places")
        order = np.argsort(queries, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(queries[order])) + 1) if len(order) else []
        counting = [part for part in parts if np.ptp(gains[part]) > 0]
        return cls(tuple(counting), tuple(gains[part] for part in counting), at)

    def __len__(self) -> int:
        """Queries that count."""
        return len(self.rows)

    @property
    def documents(self) -> int:
        """Rows of these."""
        return sum(map(len, self.rows))

    def ndcg(self, scores: FloatArray) -> FloatArray:
        """Normalised discounted cumulative gain of each query (Järvelin and Kekäläinen 2002, TOIS 20:422).

        Args:
            scores: shape (n,), of all rows: more for what is to come first.

        Returns:
            Shape (queries,), in [0, 1]; 1 where the most relevant documents are in the first places.
        """
        return self._of_each(lambda gains, rows: scores[rows])

    @property
    def lowest_ndcg(self) -> FloatArray:
        """Of each query, what is left where the least relevant documents are in the first places; shape (queries,)."""
        return self._of_each(lambda gains, rows: -gains)

    def reciprocal_ranks(self, scores: FloatArray) -> FloatArray:
        """1 over the place of the first relevant document of each query; shape (queries,), in (0, 1].

        Args:
            scores: shape (n,), of all rows.
        """
        places = []
        for rows, gains in zip(self.rows, self.gains, strict=True):
            said, is_relevant = scores[rows], gains > 0
            places.append(1 + int(np.count_nonzero(said[~is_relevant] >= said[is_relevant].max())))
        return 1 / np.array(places, dtype=np.float64)

    def _of_each(self, scores_of: Callable[[FloatArray, IntArray], FloatArray]) -> FloatArray:
        return np.array(
            [
                _gain(gains, scores_of(gains, rows), self.at) / _gain(gains, gains, self.at)
                for rows, gains in zip(self.rows, self.gains, strict=True)
            ],
            dtype=np.float64,
        )


def _gain(gains: FloatArray, scores: FloatArray, at: int) -> float:
    """Discounted cumulative gain of one query, in the mean over the orders of equal scores."""
    discounts = np.zeros(len(gains))
    discounts[:at] = 1 / np.log2(2 + np.arange(min(at, len(gains))))
    _, of, size = np.unique(-scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(size)
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    gain_of_each = np.bincount(of, weights=gains) / size
    return float(gain_of_each @ (sums[ends] - sums[ends - size]))
