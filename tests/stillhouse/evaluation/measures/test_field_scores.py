"""Records are counted field by field as well: by hand, and of nothing else."""

import numpy as np
import polars as pl
import pytest

from stillhouse.evaluation.measures.field_scores import field_scores
from stillhouse.evaluation.measures.metrics import by_name
from stillhouse.recipe.record import RecordSpec
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.single_label import SingleLabel

TASK = Extraction(
    RecordSpec.model_validate(
        {
            "words": 4,
            "fields": {
                "due": {"kind": "verbatim", "words_at_most": 1, "optional": True},
                "unit": {"kind": "choice", "of": ["EUR", "USD"]},
            },
        }
    )
)


def outputs(*records: tuple[int | None, str]) -> tuple[np.ndarray, np.ndarray]:
    """A model that is sure of these, and the numbers of them."""
    labels = [
        f'{{"due":{"null" if due is None else f"[{due},1]"},"unit":"{unit}"}}' for due, unit in records
    ]  # fmt: skip
    numbers = TASK.targets(pl.Series(labels))
    return TASK.stated(numbers, 0.99), numbers


def test_each_field_is_counted_by_itself() -> None:
    _, truth = outputs((1, "EUR"), (2, "EUR"), (None, "USD"), (None, "USD"))
    said, _ = outputs((1, "EUR"), (3, "EUR"), (None, "EUR"), (0, "USD"))
    taught, _ = outputs((1, "EUR"), (2, "USD"), (None, "USD"), (None, "USD"))
    found = field_scores(TASK, truth, taught, said)
    assert found is not None
    due, unit = found.fields
    assert (due.name, due.accuracy, due.teacher_accuracy) == ("due", 0.5, 1.0)
    assert (due.given, due.missed) == (3, 1), "a value that there is not is given, and none missed by it"
    assert (unit.accuracy, unit.teacher_accuracy, unit.missed) == (0.75, 0.75, 1)
    assert due.accuracy_interval == wilson_interval(2, 4)
    assert found.micro_f1 == pytest.approx(2 * 4 / (6 + 7)) and found.teacher_micro_f1 == pytest.approx(2 * 5 / 12)


def test_labels_have_no_fields_and_records_no_classes() -> None:
    said, truth = outputs((1, "EUR"), (None, "USD"))
    assert field_scores(SingleLabel(("x", "y")), np.array([0, 1]), np.eye(2), np.eye(2)) is None
    assert by_name(TASK, said, truth) == ()
