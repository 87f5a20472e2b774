"""The one spelling of a single text, as a request has it: what `cleaning.normalise` gives, a hundred times cheaper.

Belongs here: that function.
Does not: what the spelling is (cleaning.py); a test holds the two alike on every character.
"""

import re
import unicodedata

import polars as pl

from stillhouse.data.cleaning import normalise
from stillhouse.tasks.words import INVISIBLE

_SEPARATORS = re.compile("[\x1c-\x1f]")
"""White space to `str.split`, and none to the engine of polars."""


def spelled(text: str) -> str:
    """Give a text its one spelling.

    A character that the Unicode of this Python does not know yet is left to polars, whose Unicode may be newer: what
    was assigned before is normalised alike for ever (Unicode Standard Annex 15, section 3).
    """
    plain = " ".join(text.split())
    if not text.isprintable() and (not plain.isprintable() or _SEPARATORS.search(text)):
        plain = " ".join(INVISIBLE.sub("", text).split())
        if any(unicodedata.category(character) == "Cn" for character in plain):
            return str(pl.Series("text", [text]).to_frame().select(normalise(pl.col("text"))).item())
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)
