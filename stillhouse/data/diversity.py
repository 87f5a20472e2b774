"""How many different pairs of words texts hold beside others, whatever the sizes of the two.

Belongs here: counting pairs, one share. Does not: which rows are compared, and how little is too little (checks/).
"""

from dataclasses import dataclass

import polars as pl

from stillhouse.arrays import IntArray
from stillhouse.data.near_duplicates import is_of_an_unspaced_script, plainly_spelled
from stillhouse.statistics.diversity import expected_distinct


@dataclass(frozen=True)
class Diversity:
    """Texts beside other texts.

    Args:
        pairs: how many pairs of words both are compared on: all of the side that has fewer.
        distinct: different ones that so many pairs of the texts hold, at the mean.
        distinct_of_reference: likewise of the others.
    """

    pairs: int
    distinct: float
    distinct_of_reference: float

    @property
    def share(self) -> float:
        """Of the different pairs that the others hold; 1 where there is nothing to compare."""
        return self.distinct / self.distinct_of_reference if self.pairs else 1.0


def diversity(texts: pl.Series, reference: pl.Series) -> Diversity:
    """Compare the different pairs of neighbouring words (distinct-2, Li et al. 2016, arXiv:1510.03055) of two sides.

    Case and punctuation do not count. Where a script puts no blanks between words, pairs of characters are counted.

    Args:
        texts: String without nulls, shape (rows,).
        reference: likewise, of any number of rows.
    """
    counts, others = _pairs(texts), _pairs(reference)
    pairs = int(min(counts.sum(), others.sum()))
    return Diversity(pairs, expected_distinct(counts, pairs), expected_distinct(others, pairs))


def _pairs(texts: pl.Series) -> IntArray:
    """How often each pair occurs."""
    unspaced, spelled = is_of_an_unspaced_script(texts), plainly_spelled(texts).alias("text")
    whole = spelled.str.replace_all(" ", "", literal=True).str.replace_all(r"(.)", "$1 ").str.strip_chars(" ")
    words = pl.select(pl.when(unspaced).then(whole).otherwise(spelled).alias("word"))["word"].str.split(" ")
    each = words.to_frame().with_row_index("row").explode("word").filter(pl.col("word") != "")
    both = each.select(pl.concat_str("word", pl.col("word").shift(-1).over("row"), separator=" ").alias("pair"))
    return both.drop_nulls().group_by("pair").len()["len"].cast(pl.Int64).to_numpy()
