"""The do-nothing options."""

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
        linear_probe(embed, TEXTS, LABELS, ASKED, task=TASK, encoder_bytes=1_000_000, batch_size=2),
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


def test_two_classes_are_told_apart() -> None:
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
