"""By what the answers to live texts are found: one id for texts of which an answer to one is an answer to the other.

Belongs here: that id.
Does not: the id of a prompt (stillhouse/data/cleaning.py), asking (asking.py).
"""

import unicodedata
from hashlib import sha256

import polars as pl

from stillhouse.data.cleaning import folded, prompt_ids
from stillhouse.tasks.words import words_of

_OF_WORDS = 8


def text_ids(texts: pl.Series) -> pl.Series:
    """The ids of prompts, with more behind those of texts whose words have other numbers than the id lets expect.

    Of texts with one id one may have three full stops where the other has the sign of three, which is one word: a place
    in a record of the one is another place in the other.

    Args:
        texts: String in their one spelling, without nulls.

    Returns:
        `prompt_id`; each begins as `prompt_ids` has it.
    """
    found = [
        id if text.isascii() or (words := _plain_words(text)) == words_of(plain) else f"{id}+{_digest(words)}"
        for id, text, plain in zip(prompt_ids(texts), texts, folded(texts), strict=True)
    ]
    return pl.Series("prompt_id", found, dtype=pl.String)


def _plain_words(text: str) -> list[str]:
    return [unicodedata.normalize("NFKC", word).casefold() for word in words_of(text)]


def _digest(words: list[str]) -> str:
    return sha256("\0".join(words).encode()).hexdigest()[:_OF_WORDS]
