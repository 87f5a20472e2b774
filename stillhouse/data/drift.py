"""Has the mix of a column changed between reference rows and newer ones, by more than chance and by enough to matter?

Belongs here: comparing the shares of values, or of text lengths, on two sides.
Does not: which columns are compared and against which rows, what a shift triggers (checks/).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.recipe.data import DIVERGENCE_LIMIT

LENGTH_BINS = 10

_DRAWS = 999
_SEED = 20_260_101  # Fixed, so that the same rows always get the same answer.
# Values beyond the commonest are counted as one, which bounds the memory of the draws (999 x 1000 counts are 8 MB).
_MOST_VALUES = 1000


@dataclass(frozen=True)
class DistributionShift:
    """How far the mix of an observed column is from that of a reference.

    Args:
        divergence: Jensen-Shannon divergence of the two mixes, in bits: 0 the same, 1 nothing in common.
        chance: what two sides of these sizes from one mix exceed once in a thousand times, in bits.
        worst: the value whose share moved the most; "(missing)" for nulls, "(other)" for all rare values as one.
        reference_share: its share of the reference, in [0, 1].
        observed_share: its share of the observed rows, in [0, 1].
        reference_rows: rows of the reference.
        observed_rows: rows observed.
    """

    divergence: float
    chance: float
    worst: str
    reference_share: float
    observed_share: float
    reference_rows: int
    observed_rows: int

    def exceeds(self, limit: float = DIVERGENCE_LIMIT) -> bool:
        """Whether the shift is both large and real.

        The divergence of a sample from its own population is above 0, the more so the fewer rows: 50 rows of 50 equal
        labels show 0.2 bits. The limit alone would alarm at every small batch; chance alone would alarm at every
        large one, for shifts that do not matter.

        Args:
            limit: divergence from which a shift matters, in bits.
        """
        return self.divergence > limit and self.divergence > self.chance


def distribution_shift(reference: pl.Series, observed: pl.Series) -> DistributionShift:
    """Compare the shares of the values of two categorical columns.

    The divergence is that of Lin (1991, IEEE Transactions on Information Theory 37:145), symmetric and finite also
    for values that only one side has. What chance alone gives is the largest of 999 divergences after dealing the
    rows of both sides again, in the same numbers; when nothing changed, the observed one is as likely as any to be the
    largest, so it exceeds the others at most once in 1,000 whatever the sizes (Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9:39). The usual approximation, 8 ln 2 nm / (n + m) divergence ~
    chi-square with k - 1 degrees of freedom, is wrong where values are rare.

    Args:
        reference: shape (n,), of any type that has a spelling; a null is a value like others.
        observed: shape (m,), likewise.

    Returns:
        The shift, the same whatever the order of the rows and the names of the values.

    Raises:
        ValueError: if a side has no rows.
    """
    if reference.is_empty() or observed.is_empty():
        raise ValueError(f"there is no mix to compare: {len(reference)} reference rows and {len(observed)} observed")
    counted = _counted(reference, observed)
    counts = counted.select("reference", "observed").to_numpy().T.astype(np.int64)
    before, after = counts / counts.sum(axis=1, keepdims=True)
    # Rounded, since two values that trade shares tie; the rarer of them is then the one to look at.
    moved = np.abs(after - before).round(9)
    worst = int(np.lexsort((before + after, -moved))[0])
    return DistributionShift(
        divergence=float(_divergence(counts[0], counts[1])),
        chance=_chance(counts),
        worst=counted["value"][worst],
        reference_share=float(before[worst]),
        observed_share=float(after[worst]),
        reference_rows=len(reference),
        observed_rows=len(observed),
    )


def length_shift(reference_texts: pl.Series, observed_texts: pl.Series) -> DistributionShift:
    """Compare text lengths, in characters, in ten bins that each hold about as many reference texts.

    Two more bins, empty in the reference, take what is shorter or longer than any reference text: without them texts
    of one length could become shorter unseen.

    Args:
        reference_texts: String, shape (n,); nulls are values of their own.
        observed_texts: String, shape (m,).

    Returns:
        The shift; `worst` reads like "31 to 44 characters".

    Raises:
        ValueError: if a side has no rows, or no reference row has a text.
    """
    return lengths_shift(reference_texts.str.len_chars(), observed_texts.str.len_chars())


def lengths_shift(before: pl.Series, after: pl.Series) -> DistributionShift:
    """Compare text lengths likewise, of texts that were counted and are not kept.

    Args:
        before: characters of each reference text, shape (n,); nulls are values of their own.
        after: of each observed text, shape (m,).

    Returns:
        See `length_shift`.

    Raises:
        ValueError: likewise.
    """
    known = before.drop_nulls().to_numpy()
    if not known.size:
        raise ValueError("there is no length to compare: no reference row has a text")
    # Lengths are whole numbers, so edges are too ("lower"), and what lies between two of them reads "a + 1 to b".
    inner = np.quantile(known, np.arange(1, LENGTH_BINS + 1) / LENGTH_BINS, method="lower")
    edges = [int(edge) for edge in np.unique([int(known.min()) - 1, *inner])]
    names = [f"{low + 1} to {high} characters" for low, high in pairwise(edges)]
    names = [f"up to {edges[0]} characters", *names, f"more than {edges[-1]} characters"]
    return distribution_shift(before.cut(edges, labels=names), after.cut(edges, labels=names))


def _counted(reference: pl.Series, observed: pl.Series) -> pl.DataFrame:
    """Count each value on both sides: `value`, `reference`, `observed`, the commonest of both together first.

    By count and not by name, so that the draws do not depend on names.
    """
    sides = [
        pl.select(value=pl.lit(side).cast(pl.String).fill_null("(missing)")).group_by("value").len(name)
        for side, name in ((reference, "reference"), (observed, "observed"))
    ]
    both = sides[0].join(sides[1], on="value", how="full", coalesce=True).fill_null(0)
    both = both.sort(-(pl.col("reference") + pl.col("observed")).cast(pl.Int64), "value")
    if both.height <= _MOST_VALUES:
        return both
    rest = both[_MOST_VALUES:].select(pl.lit("(other)").alias("value"), pl.col("reference", "observed").sum())
    return both[:_MOST_VALUES].vstack(rest)


def _divergence(first: IntArray, second: IntArray) -> FloatArray:
    """Jensen-Shannon divergence in bits of counts of shape (..., k) along the last axis."""
    from scipy.special import rel_entr

    p, q = first / first.sum(axis=-1, keepdims=True), second / second.sum(axis=-1, keepdims=True)
    middle = (p + q) / 2
    bits = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1) / (2 * np.log(2))
    # Rounding alone would leave [0, 1].
    return np.asarray(np.clip(bits, 0.0, 1.0), dtype=np.float64)


def _chance(counts: IntArray) -> float:
    """Largest divergence, in bits, of 999 random deals of the pooled rows to two sides; counts of shape (2, k)."""
    pooled = counts.sum(axis=0)
    # The smaller side is drawn and the larger is what remains, so that swapping the sides changes nothing.
    rng = np.random.default_rng(_SEED)
    drawn = rng.multivariate_hypergeometric(pooled, int(counts.sum(axis=1).min()), size=_DRAWS)
    return float(_divergence(drawn, pooled - drawn).max())
