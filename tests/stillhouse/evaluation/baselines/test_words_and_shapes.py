"""Values taken out of texts by a linear model on words, shapes and neighbours."""

import json
from typing import Any

import numpy as np
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.baselines.fitted import Baseline, targets_of
from stillhouse.evaluation.baselines.words_and_shapes import _shape, words_and_shapes
from stillhouse.recipe.record import RecordSpec
from stillhouse.statistics.softmax import log_softmax
from stillhouse.tasks.extraction import IMPOSSIBLE, Extraction
from stillhouse.tasks.records import placed, record_in_cell, spelled_out
from tests.slots import FIELDS, WORDS_AT_MOST, sentences

PLACES = ["Rome", "Oslo", "New York", "Lima", "Kyoto", "Port Said"]
WAYS = {"from": {"kind": "verbatim", "words_at_most": 2}, "on": {"kind": "verbatim", "words_at_most": 1}}


def task_of(words: int = 12, **fields: Any) -> Extraction:
    return Extraction(RecordSpec(fields=fields, words=words))


def labels(task: Extraction, rows: list[tuple[str, dict[str, str]]]) -> list[str]:
    return [placed(record_in_cell(json.dumps(record), task.spec), text, task.spec) for text, record in rows]


def journeys() -> list[tuple[str, dict[str, str]]]:
    """Two places of one shape, of which the words around them say which is meant."""
    found = []
    for number, (here, there) in enumerate((a, b) for a in PLACES for b in PLACES if a != b):
        day = f"{2000 + number}-0{1 + number % 9}-1{number % 10}"
        text = f"to {there} from {here} on {day}" if number % 2 else f"on {day} from {here} to {there}"
        found.append((text, {"from": here, "on": day}))
    return found


def fitted(task: Extraction, rows: list[tuple[str, dict[str, str]]], asked: list[str]) -> Baseline:
    return words_and_shapes([text for text, _ in rows], labels(task, rows), asked, task=task)


def read(task: Extraction, baseline: Baseline, asked: list[str]) -> list[dict[str, str | None]]:
    said = task.written(task.answers(baseline.logits))
    return [json.loads(spelled_out(places, text, task.spec)) for places, text in zip(said, asked, strict=True)]


def test_a_value_nobody_has_seen_is_found_by_its_shape_and_its_neighbours() -> None:
    task, asked = task_of(**WAYS), ["from Quito to Rome on 1931-04-02", "on 1931-04-02 from Addis Ababa to Oslo"]
    found = read(task, fitted(task, journeys(), asked), asked)
    assert found == [
        {"from": "Quito", "on": "1931-04-02"},
        {"from": "Addis Ababa", "on": "1931-04-02"},
    ]


def test_of_each_field_what_a_text_allows_has_all_of_the_probability_and_nothing_else_has() -> None:
    task, asked = task_of(**WAYS), ["Rome", "", "from Lima on 2001-02-03 " * 5, "from Rome to Rome on Rome"]
    baseline = fitted(task, journeys(), asked)
    for text, row in zip(asked, baseline.logits, strict=True):
        assert baseline.predict(text) == pytest.approx(row)
        for field in task.fields:
            possible = field.of(row)[field.of(row) > IMPOSSIBLE]
            assert np.exp(possible).sum() == pytest.approx(1.0) if text else len(possible) == 0
    assert (baseline.logits[0] > IMPOSSIBLE).sum() == 2, "one word is one run for each field"
    assert (baseline.logits[3] > IMPOSSIBLE).sum() == 4 + (4 + 5), "a value that is there three times is one answer"


def test_an_optional_field_is_left_out_where_nothing_is_like_it() -> None:
    task = task_of(on={"kind": "verbatim", "words_at_most": 1, "optional": True})
    rows = [(f"the {place} office {word} today", {}) for place in PLACES[:2] for word in ("closed", "opened", "moved")]
    rows += [(f"the office closed on {year}", {"on": str(year)}) for year in range(1990, 1996)]
    asked = ["the Lima office moved today", "the office opened on 1931"]
    assert read(task, fitted(task, rows, asked), asked) == [{"on": None}, {"on": "1931"}]


def test_a_choice_is_the_multinomial_logistic_regression_of_its_words() -> None:
    """Oracle: scikit-learn, with the same penalty, on whether a text has a word."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    task = task_of(money={"kind": "choice", "of": ["EUR", "GBP", "USD"]})
    words = {"EUR": ["euro", "paris", "pay"], "GBP": ["pound", "london", "pay"], "USD": ["dollar", "york", "send"]}
    chance = np.random.default_rng(0)
    rows = [
        (" ".join(chance.choice([*words[money], "the", "bill"], 4)), {"money": money})
        for money in chance.choice(list(words), 80)
    ]
    asked = ["send the dollar", "the bill", "pay london", "unheard of"]
    bag = CountVectorizer(binary=True, token_pattern=r"\S+")
    held = np.column_stack([bag.fit_transform([text for text, _ in rows]).toarray(), np.ones(len(rows))])
    # Its C is one over the penalty of half of a squared weight.
    oracle = LogisticRegression(C=1 / 0.2, fit_intercept=False, max_iter=2000, tol=1e-8)
    oracle.fit(held, [record["money"] for _, record in rows])
    expected = oracle.predict_proba(np.column_stack([bag.transform(asked).toarray(), np.ones(len(asked))]))
    assert np.exp(fitted(task, rows, asked).logits) == pytest.approx(expected, abs=2e-3)


def test_templates_are_learned_from_a_few_hundred_labels() -> None:
    task, rows = Extraction(RecordSpec(fields=FIELDS, words=WORDS_AT_MOST)), sentences(420)
    texts = rows["text"].to_list()
    known = labels(task, [(text, json.loads(record)) for text, record in rows.select("text", "record").iter_rows()])
    baseline = words_and_shapes(texts[:200], known[:200], texts[200:], task=task)
    truth = targets_of(known[200:], task)
    assert task.right(baseline.logits, truth).mean() > 0.9
    assert task.right(np.tile(task.constant(truth), (len(truth), 1)), truth).mean() < 0.3
    sure = task.confidence(baseline.logits)
    assert 0.9 < sure.mean() <= 1 and log_softmax(task.fields[0].of(baseline.logits)).max() <= 0
    assert 4 * 1000 < baseline.size_bytes < 3_000_000 and "fitted on 200 labels" in baseline.note


def test_no_labels_and_labels_that_are_no_records_are_refused() -> None:
    task = task_of(**WAYS)
    for told in ([], ["Rome"]):
        with pytest.raises(StillhouseError, match="training labels of a baseline"):
            words_and_shapes(["from Rome"] * len(told), told, ["from Oslo"], task=task)


@pytest.mark.parametrize(
    ("word", "shape"),
    [("1931-04-02", "0000-00-00"), ("Acme", "X"), ("acme", "x"), ("12.50", "00.00"), ("IBM", "X"), ("€", "€"),
     ("O'Neill", "X'X"), ("Année", "X"), ("Ünlü", "X"), ("élan", "x"), ("B2B", "X0X"), ("eX1x", "X0x")],
)  # fmt: skip
def test_the_shape_of_a_word(word: str, shape: str) -> None:
    assert _shape(word) == shape
