"""Two texts that are read as one: a query and a document.

Belongs here: how they are joined, and taken apart again.
Does not: which columns they are (stillhouse/recipe/data.py), what a model makes of them.

They are joined by the token that encoders were pretrained with between two texts, so that where the query ends is the
same to the tokenizer whatever it ends with. An encoder whose tokenizer has no such token is refused
(stages/prompts.py); a classifier of pairs has what it was trained with put in its place (teachers/classifier.py).
"""

import polars as pl

from stillhouse.data.cleaning import normalise
from stillhouse.recipe.data import SEPARATOR


def joined(query: pl.Expr, document: pl.Expr) -> pl.Expr:
    """Both as one text; null where one of them is null or nothing to see, and so left out as a blank text is.

    Args:
        query: String.
        document: String.
    """
    blank = pl.any_horizontal(normalise(each).fill_null("") == "" for each in (query, document))
    return pl.when(~blank).then(pl.concat_str(query, pl.lit(f" {SEPARATOR} "), document))


def parts_of(text: str) -> tuple[str, str]:
    """The query and the document of a text; of one that is not joined no query, and all of it as document."""
    query, separator, document = text.partition(f" {SEPARATOR} ")
    return (query, document) if separator else ("", text)
