"""How many different things a sample holds, made comparable between samples of different sizes.

Belongs here: counts in, numbers out. Does not: what is counted in a text (stillhouse/data/diversity.py).
"""

import numpy as np

from stillhouse.arrays import IntArray


def expected_distinct(counts: IntArray, draws: int) -> float:
    """Different things that so many draws without replacement are expected to hold (rarefaction, Hurlbert 1971).

    The sum over things of 1 - C(N - n, draws) / C(N, draws), which needs no random draw (Ecology 52, 577-586,
    doi:10.2307/1934145).

    Args:
        counts: shape (things,), how often each occurs, at least once.
        draws: how many are drawn, at most all.

    Raises:
        ValueError: if a count is below 1, or more is to be drawn than there is.
    """
    from scipy.special import gammaln

    occurs = np.asarray(counts, dtype=np.int64)
    total = int(occurs.sum())
    if (occurs < 1).any() or not 0 <= draws <= total:
        raise ValueError(f"{draws} draws from counts of {total} in all, the least of them {occurs.min(initial=1)}")
    others = total - occurs
    missed = np.zeros(len(occurs))
    some = others >= draws
    # log of C(others, draws) / C(total, draws)
    missed[some] = np.exp(
        gammaln(others[some] + 1) - gammaln(others[some] - draws + 1) - gammaln(total + 1) + gammaln(total - draws + 1)
    )
    return float((1 - missed).sum())
