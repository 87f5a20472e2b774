"""Short rows of few words, many of which are alike, to make prompt sets of."""

import polars as pl
from hypothesis import strategies as st

WORDS = ["who", "where", "when", "planet", "river", "king", "first", "largest", "city", "year", "named", "wrote"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
rows_of = st.lists(st.tuples(texts, st.sampled_from([None, "x", "y"])), max_size=25)
ANCHORS = [
    ("alpha alpha one", "x"),
    ("beta two beta", "x"),
    ("gamma three", "y"),
    ("the fourth delta of all the rivers", "y"),
]


def frame(rows: list[tuple[str, str | None]], batch: str = "base") -> pl.DataFrame:
    schema = {"text": pl.String, "label": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        batch=pl.lit(batch), row_kind=pl.lit("real"), kind=pl.lit(None, pl.String)
    )
