"""Real questions with sets of labels: what kind of thing a question asks for, and what is in its words.

Belongs here: the rows, what of them is true, and what a teacher answers that is mostly right.
Does not: a recipe (small.py, orchestration/elsewhere.py).
"""

from functools import cache

import polars as pl

from tests.small import questions

LABELS = ("amount", "number", "person", "place", "question_word")


def with_labels(rows: int, skip: int = 0) -> pl.DataFrame:
    """Questions with the labels that apply, `a;b` in a cell and `[]` where none does."""
    asked = questions(rows, skip)
    word = pl.col("question").str.to_lowercase().str.extract(r"^(\w+)")
    labels = {
        "person": pl.col("service") == "HUM",
        "place": pl.col("service") == "LOC",
        "amount": pl.col("service") == "NUM",
        "number": pl.col("question").str.contains(r"\d"),
        "question_word": word.is_in(["who", "where", "when", "why", "how", "which", "what"]),
    }
    names = pl.concat_str(
        (pl.when(has).then(pl.lit(name)) for name, has in labels.items()), separator=";", ignore_nulls=True
    )
    cell = pl.when(names == "").then(pl.lit("[]")).otherwise(names)
    return asked.select("question", "kind", cell.alias("labels"))


def labels_of(question: str) -> list[str]:
    """What is true of a question, sorted."""
    return sorted(each for each in _cells()[question].split(";") if each != "[]")


def mostly_labels_of(question: str) -> list[str]:
    """The same, but for one question in twelve, by its length, of which another thing is said."""
    said = labels_of(question)
    return sorted({*said} ^ {"place"}) if len(question) % 12 == 0 else said


@cache
def _cells() -> dict[str, str]:
    return dict(with_labels(10_000).select("question", "labels").iter_rows())
