"""BM25 by hand, and as an option that ranks."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evaluation.baselines.bm25 import K1, B, Bm25, bm25
from stillhouse.recipe.data import SEPARATOR
from stillhouse.tasks.score import NumericScore

TASK = NumericScore(0, 3, 0.5)
DOCUMENTS = ["the king of Denmark", "canals of a city", "a king, a king and a queen"]


def test_a_score_is_what_the_formula_says() -> None:
    """Of three documents two have `king`; that with two of them has seven words, where fifteen are in all."""
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    expected = rarity * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 7 / 5))
    assert Bm25(DOCUMENTS).score("KING ?", DOCUMENTS[2]) == pytest.approx(expected)


def test_a_document_without_a_word_of_the_query_has_nothing_and_a_rare_word_counts_more() -> None:
    ranked = Bm25([*DOCUMENTS, "of of"])
    assert ranked.score("steam engine", DOCUMENTS[0]) == 0 == ranked.score("", DOCUMENTS[0])
    assert ranked.score("denmark", DOCUMENTS[0]) > ranked.score("of", DOCUMENTS[0]) > 0


MANY = " ".join(f"w{number}" for number in range(40))
SCORED = f"""
from stillhouse.evaluation.baselines.bm25 import Bm25
words = {MANY!r}.split()
ranked = Bm25([" ".join(words[:size]) for size in range(1, 41)])
print([ranked.score({MANY!r}, " ".join(words[start::3] * 2)) for start in range(3)])
"""


def test_a_score_is_the_same_to_the_last_digit_in_every_process() -> None:
    """Regression: words were added up in the order of a set, which is another one each time: of two documents that are
    as good as each other now one came first and now the other."""
    environments = ({**os.environ, "PYTHONHASHSEED": str(seed)} for seed in range(3))
    command = [sys.executable, "-c", SCORED]
    said = {subprocess.run(command, env=each, capture_output=True, check=True).stdout for each in environments}
    assert len(said) == 1


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20), st.text(max_size=20))
def test_any_texts_have_a_finite_score_of_nothing_or_more(documents: list[str], query: str, document: str) -> None:
    score = Bm25(documents).score(query, document)
    assert math.isfinite(score) and score >= 0


def test_the_option_ranks_as_bm25_and_answers_in_numbers() -> None:
    texts = [f"{query} {SEPARATOR} {document}" for query in ("king", "city canals") for document in DOCUMENTS]
    labels = ["3", "0", "3", "0", "3", "0"]
    option = bm25(texts, labels, texts, task=TASK)
    ranked = Bm25(DOCUMENTS)
    own = [ranked.score(query, document) for query in ("king", "city canals") for document in DOCUMENTS]
    assert np.argsort(option.logits[:, 0], kind="stable").tolist() == np.argsort(own, kind="stable").tolist()
    assert option.predict(texts[0]) == pytest.approx(option.logits[0]) and option.name == "BM25"
    numbers = TASK.numbers(TASK.answers(option.logits))
    assert numbers[4] > 2 > numbers[1] and option.size_bytes > 0


def test_more_words_in_common_never_rank_a_document_lower() -> None:
    """Also where labels say the contrary: an option that turns BM25 round is not the one that people would take."""
    texts = [f"king {SEPARATOR} {document}" for document in DOCUMENTS]
    option = bm25(texts, ["0", "3", "0"], texts, task=TASK)
    assert option.logits[1, 0] < option.logits[0, 0]


def test_documents_that_are_not_quite_alike_stay_apart_where_nothing_can_be_learned_from_scores() -> None:
    """Regression: what was added to all of them swallowed the difference, so that they were ranked as all alike."""
    documents = [" ".join(["king", *["word"] * number]) for number in range(40)]
    golden = [f"king {SEPARATOR} {document}" for document in documents]
    train = [f"queen {SEPARATOR} {document}" for document in documents]
    option = bm25(train, ["2", "3"] * 20, golden, task=TASK)
    assert (np.diff(option.logits[:, 0]) < 0).all()
    assert np.ptp(TASK.numbers(TASK.answers(option.logits))) < 1e-3, "as a number it says what most labels are"
