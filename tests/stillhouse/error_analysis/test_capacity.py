"""A student that can tell texts apart memorises a batch; one that cannot does not, whatever the batch."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.error_analysis.capacity import BatchTrial, overfit_one_batch
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.conftest import LABELS


@pytest.fixture
def rows(questions: tuple[list[str], list[int]]) -> pl.DataFrame:
    texts, labels = questions
    logits = np.where(np.eye(3)[labels] > 0, 4.0, -1.0) + np.random.default_rng(0).normal(0, 0.3, (len(texts), 3))
    ids = [f"{number:03}" for number in range(len(texts))]
    return pl.DataFrame({"prompt_id": ids, "text": texts, "logits": logits.astype(np.float32).tolist()})


def test_a_student_that_tells_texts_apart_learns_a_batch_by_heart(classifier: Path, rows: pl.DataFrame) -> None:
    found = overfit_one_batch(classifier, rows, TrainingConfig(freeze_embeddings=False), SingleLabel(tuple(LABELS)))
    assert (found.rows, found.agreement) == (32, 1.0)
    assert found.memorised
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    assert (
        overfit_one_batch(classifier, shuffled, TrainingConfig(freeze_embeddings=False), SingleLabel(tuple(LABELS)))
        == found
    )


def test_a_student_that_reads_one_word_does_not(classifier: Path, rows: pl.DataFrame) -> None:
    """Three tokens are the first word and its frame: 'how' is always one answer, and logits differ between rows."""
    same = rows.with_columns(text="who " + pl.col("text"))
    found = overfit_one_batch(
        classifier, same, TrainingConfig(freeze_embeddings=False, max_tokens=3), SingleLabel(tuple(LABELS))
    )
    assert found.agreement < 0.5 and found.divergence_left > 0.5
    assert not found.memorised


@pytest.mark.parametrize(
    ("agreement", "left", "memorised"), [(1.0, 0.05, True), (1.0, 0.06, False), (0.97, 0.0, False)]
)
def test_by_heart_is_every_answer_and_nearly_all_of_how_sure(agreement: float, left: float, memorised: bool) -> None:
    assert BatchTrial(rows=32, steps=60, agreement=agreement, divergence_left=left).memorised is memorised
