"""The do-nothing options."""

import random

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.baselines.fitted import constant, linear_probe, tfidf_linear
from stillhouse.evaluation.models import align
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("card", "travel", "unseen", "weather")
TASK = SingleLabel(tuple(CLASSES))
TEXTS = [f"{verb} my card {n}" for n in range(8) for verb in ("block", "order")]
TEXTS += [f"fly to town {n}" for n in range(12)] + [f"is it raining {n}" for n in range(10)]
LABELS = ["card"] * 16 + ["travel"] * 12 + ["weather"] * 10
ASKED = ["please block this card", "can I fly", "raining today"]


def embed(texts: list[str]) -> np.ndarray:
    return np.array([[100.0 * ("card" in t), 5.0 + ("fly" in t), 0.01 * ("raining" in t)] for t in texts])


def fitted():
    return [
        tfidf_linear(TEXTS, LABELS, ASKED, task=TASK),
        linear_probe(embed, TEXTS, LABELS, ASKED, task=TASK, encoder_bytes=1_000_000),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_fitted_baselines_learn_and_answer_one_text_as_they_answer_many(which: int) -> None:
    baseline = fitted()[which]
    assert [CLASSES[k] for k in baseline.logits.argmax(axis=1)] == ["card", "travel", "weather"]
    assert np.exp(baseline.logits).sum(axis=1) == pytest.approx(1.0)
    for text, row in zip(ASKED, baseline.logits, strict=True):
        assert baseline.predict(text) == pytest.approx(row)


def test_a_class_never_seen_is_finite_and_never_answered() -> None:
    for baseline in fitted():
        assert np.isfinite(baseline.logits).all()
        assert np.exp(baseline.logits[:, 2]).max() < 1e-6


def test_a_probe_weighs_its_encoder_and_head() -> None:
    assert fitted()[1].size_bytes == 1_000_000 + 4 * (3 * 4 + 4)


def test_two_classes_are_kept_apart() -> None:
    baseline = tfidf_linear(TEXTS[:28], LABELS[:28], ASKED[:2], task=TASK)
    assert [CLASSES[k] for k in baseline.logits.argmax(axis=1)] == ["card", "travel"]


def test_majority_answers_the_most_frequent_class() -> None:
    baseline = constant(LABELS, ASKED, task=TASK)
    assert baseline.logits.argmax(axis=1).tolist() == [0, 0, 0]
    assert np.exp(baseline.logits[0]) == pytest.approx([16 / 38, 12 / 38, 1e-9, 10 / 38])
    assert baseline.predict("anything") == pytest.approx(baseline.logits[0])


def test_a_baseline_becomes_a_subject_of_the_harness() -> None:
    golden = pl.DataFrame({"prompt_id": ["p2", "p1", "p3"]})
    baseline = constant(LABELS, ASKED, task=TASK)
    subject = baseline.evaluated(["p1", "p2", "p3"])
    assert align(subject, golden, TASK) == pytest.approx(baseline.logits)
    assert (subject.kind.value, subject.size_bytes) == ("baseline", 16)


def test_labels_that_cannot_teach_are_refused() -> None:
    with pytest.raises(StillhouseError, match="unknown labels"):
        constant(["bird"], ASKED, task=TASK)
    with pytest.raises(StillhouseError, match="only the class 'card'"):
        tfidf_linear(TEXTS[:16], LABELS[:16], ASKED, task=TASK)


def chinese(rows: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of one long word each, in which two of five words of a class stand somewhere."""
    draw = random.Random(seed)
    words = {"card": ["打印机", "坏了", "修理", "维修", "零件"], "travel": ["发票", "付款", "退款", "账单", "金额"]}
    around = ["请", "我的", "今天", "现在", "尽快", "谢谢", "你们", "需要", "还没有", "什么时候"]
    labels = [draw.choice(["card", "travel"]) for _ in range(rows)]
    texts = ["".join(draw.sample(around, 4) + draw.sample(words[x], 2) + draw.sample(around, 3)) for x in labels]
    return texts, labels


def test_characters_are_taken_where_they_are_better_on_validation_rows() -> None:
    """Regression: without blanks each text is one term, and the option to beat was no better than a coin."""
    (texts, labels), (validation, known), (golden, truth) = chinese(300, 1), chinese(60, 2), chinese(200, 3)
    by_words = tfidf_linear(texts, labels, golden, task=TASK)
    taken = tfidf_linear(texts, labels, golden, task=TASK, validation_texts=validation, validation_labels=known)
    right = [np.mean(each.logits.argmax(axis=1) == TASK.targets(pl.Series(truth))) for each in (by_words, taken)]
    assert right[0] < 0.7 and right[1] > 0.95
    assert "terms of words" in by_words.note and "terms of characters" in taken.note


def test_words_are_taken_where_characters_are_no_better() -> None:
    taken = tfidf_linear(TEXTS, LABELS, ASKED, task=TASK, validation_texts=TEXTS[:9], validation_labels=LABELS[:9])
    assert "terms of words" in taken.note
    assert taken.logits == pytest.approx(fitted()[0].logits)
