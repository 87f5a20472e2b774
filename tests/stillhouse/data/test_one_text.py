"""A single text has the spelling that a column of them has, on every character and on texts made to be odd."""

import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.cleaning import normalise
from stillhouse.data.one_text import spelled


def as_in_training(texts: list[str]) -> list[str]:
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(normalise(pl.col("text")))["text"].to_list()


@pytest.mark.long
def test_every_character_that_this_python_knows_and_some_that_it_does_not() -> None:
    points = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    known = [point for point in points if unicodedata.category(chr(point)) != "Cn"]
    newer = [0x0897, 0x105C9, 0x11383, 0x16D68, 0x1E5EE, 0x1C89, 0xFFFF, 0x10FFFF]  # of Unicode 16, and of none
    texts = [f" who{chr(point)}is  {chr(point)}\u0301 {chr(point)}" for point in [*known, *newer]]
    differing = [text for text, expected in zip(texts, as_in_training(texts), strict=True) if spelled(text) != expected]
    assert not differing, f"{len(differing)}: {[ascii(text) for text in differing[:10]]}"


@pytest.mark.long
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["\x1c", "\x1f", "\u200b", "\u200d", "\u00ad", "\u0301", "\u0327", "e", "\u1100"]),
            st.sampled_from([" ", "\t", "\r\n", "\x85", "\u00a0", "\u2028", "\u3000", "\ufeff", "\u202e", "\x00"]),
            st.characters(exclude_categories=["Cs"]),
        ),
        max_size=12,
    ).map("".join)
)
def test_texts_of_several(text: str) -> None:
    assert [spelled(text)] == as_in_training([text])
