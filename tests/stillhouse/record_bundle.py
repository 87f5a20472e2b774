"""A release that takes records out of texts, of a model of a few kilobytes.

Belongs here: its bundle. Does not: what it is asked (release/test_records.py, serving/test_records.py).
"""

from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.models.export import export_student
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import write_encoder
from tests.stillhouse.small_bundle import small_bundle

FIELDS: dict[str, Any] = {
    "buyer": {"kind": "verbatim", "words_at_most": 3},
    "total": {"kind": "verbatim", "words_at_most": 1, "optional": True},
    "unit": {"kind": "choice", "of": ["EUR", "US dollar"], "optional": True},
    "urgency": {"kind": "choice", "of": ["high", "low"]},
}
WORDS_AT_MOST = 9
TASK = Extraction(RecordSpec.model_validate({"fields": FIELDS, "words": WORDS_AT_MOST}))
TEXTS = ["how many kings", "who is the king of the city, the king ?", "where is the city ? 12.50 the", "the"]


def bundle_of_records(place: Path, *, seed: int = 0, fields: dict[str, Any] = FIELDS) -> Path:
    """Write one below a folder.

    Args:
        place: the folder.
        seed: of its weights.
        fields: that it takes out.
    """
    task = Extraction(RecordSpec.model_validate({"fields": fields, "words": WORDS_AT_MOST}))
    write_encoder(place / "encoder")
    build_classifier(place / "encoder", task.names, place / "model", seed=seed, record=task.spec)
    export_student(place / "model", place / "student", TEXTS, np.zeros(len(TEXTS)), task)
    data = {"answer": "fields", "fields": fields, "words_at_most": WORDS_AT_MOST}
    of_fields = [{"name": name, "accuracy": 0.9, "teacher_accuracy": 0.95} for name in sorted(fields)]
    measured = {"per_class": None, "of_fields": {"micro_f1": 0.9, "teacher_micro_f1": 0.95, "fields": of_fields}}
    about = {"task": "Who buys", "data": data, "teacher": {"training": None}}
    return small_bundle(place, task, TEXTS, about, measured)
