"""What there is to take without training a student, by name.

Belongs here: the options that every recipe has, as reports call them.
Does not: alternatives behind a server, which a recipe names itself (stillhouse/recipe/asking.py), which options a
recipe has (stillhouse/stages/baselines.py).
"""

from enum import StrEnum


class Option(StrEnum):
    """An option, as reports call it."""

    MAJORITY = "majority class"
    BM25 = "BM25"
    TFIDF = "TF-IDF + logistic regression"
    WORDS_AND_SHAPES = "linear model on words and shapes"
    PROBE = "linear probe on the untuned encoder"
    STATIC = "static embeddings of the teacher"
    STATIC_OF_BASE = "static embeddings of the base"
    INT8 = "int8 teacher"
    PRUNED = "pruned teacher"
