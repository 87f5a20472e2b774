"""What can be said of a golden row in a few words: the features by which slices are looked for.

Belongs here: categories of few values from the table's columns, the label and the text.
Does not: which of them hurt (discovery.py), the columns of declared slices (declared.py).
"""

from collections.abc import Iterable

import polars as pl

OTHER = "any other"
NONE = "none"

MOST_VALUES = 20
"""Values of a feature that are kept apart; a person can read so many, and each more is another chance of luck."""

SMALLEST_SHARE = 0.01
"""Share of the rows below which a value is one of the others."""

_NOT_SAID_OF_A_ROW = frozenset({"prompt_id", "text", "split", "label_hidden"})
_CATEGORICAL = (pl.String, pl.Boolean, pl.Categorical, pl.Enum)


def feature_columns(golden: pl.DataFrame) -> list[str]:
    """The columns of the golden table that are features: label, slice columns and whatever else was kept.

    Numbers are features too where few values are frequent; lists, structures and dates are none.
    """
    kinds = {name: dtype for name, dtype in golden.schema.items() if name not in _NOT_SAID_OF_A_ROW}
    return [name for name, dtype in kinds.items() if isinstance(dtype, _CATEGORICAL) or dtype.is_numeric()]


def row_features(golden: pl.DataFrame) -> pl.DataFrame:
    """Describe each row by features of few values.

    Args:
        golden: `label`, further columns, and `text` where there are texts.

    Returns:
        One String column for each feature, named and filled in words, in the order of the rows; only those with at
        least two values. At most 20 values and what is rarer than 1 % is 'any other'.
    """
    said = golden.select(pl.col(name).cast(pl.String).fill_null(NONE) for name in feature_columns(golden))
    if "text" in golden.columns:
        said = said.with_columns(each for each in _of_text(golden["text"].fill_null("")) if each.name not in said)
    frequent = [_frequent(column) for column in said]
    return pl.DataFrame([column for column in frequent if column.n_unique() > 1])


def _of_text(text: pl.Series) -> Iterable[pl.Series]:
    yield _length(text.str.count_matches(r"\S+")).alias("length")
    yield _yes_or_no(text.str.contains(r"\d")).alias("has a digit")
    yield _yes_or_no(text.str.contains("?", literal=True)).alias("has a question mark")
    yield text.str.extract(r"(\w+)").str.to_lowercase().fill_null(NONE).alias("first word")


def _length(words: pl.Series) -> pl.Series:
    """Quarters of the rows by their number of words, named by their limits."""
    cuts = sorted({int(words.quantile(share, "lower") or 0) for share in (0.25, 0.5, 0.75)})
    ends = [f"{cut:,}" for cut in cuts]
    starts = [f"{cut + 1:,}" for cut in cuts]
    middle = [f"{start} to {end} words" for start, end in zip(starts, ends[1:], strict=False)]
    return words.cut(cuts, labels=[f"up to {ends[0]} words", *middle, f"{starts[-1]} words or more"]).cast(pl.String)


def _yes_or_no(holds: pl.Series) -> pl.Series:
    return holds.replace_strict({True: "yes", False: "no"}, return_dtype=pl.String)


def _frequent(column: pl.Series) -> pl.Series:
    counts = column.value_counts(name="rows").filter(pl.col("rows") >= SMALLEST_SHARE * len(column))
    kept = counts.sort(["rows", column.name], descending=[True, False])[column.name].head(MOST_VALUES)
    frame = column.to_frame()
    return frame.select(pl.when(column.is_in(kept.implode())).then(column).otherwise(pl.lit(OTHER)).alias(column.name))[
        column.name
    ]
