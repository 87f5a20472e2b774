"""How different texts are beside others: by hand, whatever the sizes, and over generations of models."""

import random
from collections import defaultdict

import polars as pl
import pytest

from stillhouse.data.diversity import diversity
from tests.small import questions


def series(*texts: str) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)


def test_pairs_of_words_are_counted_without_case_and_punctuation() -> None:
    found = diversity(series("Where is it?", "where is IT", "where"), series("a b", "c d", "e f", "g h"))
    assert (found.pairs, found.distinct, found.distinct_of_reference) == (4, 2, 4)
    assert found.share == 0.5


def test_where_no_blank_says_what_a_word_is_characters_count() -> None:
    found = diversity(series("今天今天今天"), series("今天气候很好"))
    assert (found.pairs, found.distinct) == (5, 2)


def test_nothing_is_as_diverse_as_anything() -> None:
    assert diversity(series("one"), series("a b c")).share == 1
    assert diversity(series(), series()).share == 1


def test_more_of_the_same_questions_are_as_diverse_as_few() -> None:
    asked = questions(4_000)["question"]
    assert diversity(asked.head(400), asked.tail(3_000)).share == pytest.approx(1, abs=0.05)


def generations(texts: list[str], count: int) -> list[list[str]]:
    """Each written by a model of which word follows two others, learned from as many texts of the one before."""
    found, draw = [texts], random.Random(0)
    for _ in range(count):
        after: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for text in found[-1]:
            words = ["", "", *text.split(), ""]
            for at in range(2, len(words)):
                after[*words[at - 2 : at]].append(words[at])
        found.append([_said(after, draw) for _ in texts])
    return found[1:]


def _said(after: dict[tuple[str, ...], list[str]], draw: random.Random) -> str:
    said = ["", ""]
    while len(said) == 2 or said[-1]:
        said.append(draw.choice(after[*said[-2:]]))
    return " ".join(said).strip()


def test_each_generation_of_models_that_learn_from_models_is_less_diverse() -> None:
    asked = questions(1_200)["question"]
    shares = [diversity(pl.Series(each), asked).share for each in generations(asked.to_list(), 4)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] < 0.8 and shares[3] < 0.45
