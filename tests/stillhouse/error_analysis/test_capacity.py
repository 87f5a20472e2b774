"""A student that can tell texts apart memorises a batch; one that cannot does not, whatever the batch."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.error_analysis import capacity
from stillhouse.error_analysis.capacity import BatchTrial, overfit_one_batch
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.pruning import drop_layers
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import LABELS, write_encoder
from tests.stillhouse.record_bundle import TASK, TEXTS

pytestmark = pytest.mark.long


@pytest.fixture
def rows(questions: tuple[list[str], list[int]]) -> pl.DataFrame:
    texts, labels = questions
    logits = np.where(np.eye(3)[labels] > 0, 4.0, -1.0) + np.random.default_rng(0).normal(0, 0.3, (len(texts), 3))
    ids = [f"{number:03}" for number in range(len(texts))]
    return pl.DataFrame({"prompt_id": ids, "text": texts, "logits": logits.astype(np.float32).tolist()})


@pytest.fixture(scope="module")
def student(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one layer, which is enough for either outcome; read-only."""
    folder = tmp_path_factory.mktemp("capacity") / "student"
    drop_layers(classifier, (0,), folder)
    return folder


@pytest.mark.slow
def test_a_student_that_tells_texts_apart_learns_a_batch_by_heart(student: Path, rows: pl.DataFrame) -> None:
    found = overfit_one_batch(student, rows, TrainingConfig(freeze_embeddings=False), SingleLabel(tuple(LABELS)))
    assert (found.rows, found.agreement) == (32, 1.0)
    assert found.memorised


def test_the_batch_does_not_depend_on_the_order_of_the_rows(
    student: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "BATCH_STEPS", (10,))
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    found, again = (
        overfit_one_batch(student, each, TrainingConfig(freeze_embeddings=False), SingleLabel(tuple(LABELS)))
        for each in (rows, shuffled)
    )
    assert again == found


def test_a_student_of_records_is_given_a_batch_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: it was to copy logits, for which records have no loss, and the round ended there."""
    write_encoder(tmp_path / "encoder")
    build_classifier(tmp_path / "encoder", TASK.names, tmp_path / "student", seed=0, record=TASK.spec)
    texts = [f"{each} {number}" for number in range(10) for each in TEXTS]
    targets = np.arange(len(texts)) % TASK.fields[0].size
    outputs = TASK.once_each(TASK.stated(targets, 0.9).astype(np.float32), texts)
    rows = pl.DataFrame({"prompt_id": texts, "text": texts, "logits": outputs.tolist()})
    monkeypatch.setattr(capacity, "BATCH_STEPS", (3,))
    found = overfit_one_batch(tmp_path / "student", rows, TrainingConfig(loss="kl", max_tokens=24), TASK)
    assert (found.rows, found.steps) == (32, 3) and 0 < found.divergence_left < 1.5


@pytest.mark.slow
def test_a_student_that_reads_one_word_does_not(student: Path, rows: pl.DataFrame) -> None:
    """Three tokens are the first word and its frame: 'how' is always one answer, and logits differ between rows."""
    same = rows.with_columns(text="who " + pl.col("text"))
    found = overfit_one_batch(
        student, same, TrainingConfig(freeze_embeddings=False, max_tokens=3), SingleLabel(tuple(LABELS))
    )
    assert found.agreement < 0.5 and found.divergence_left > 0.5
    assert not found.memorised


@pytest.mark.parametrize(
    ("agreement", "left", "memorised"), [(1.0, 0.05, True), (1.0, 0.06, False), (0.97, 0.0, False)]
)
def test_by_heart_is_every_answer_and_nearly_all_of_how_sure(agreement: float, left: float, memorised: bool) -> None:
    assert BatchTrial(rows=32, steps=60, agreement=agreement, divergence_left=left).memorised is memorised
