"""A release that answers with numbers from 10 to 50, of a model of a few kilobytes.

Belongs here: its bundle. Does not: what it is asked (release/test_numbers.py, serving/test_numbers.py).
"""

from pathlib import Path

import numpy as np

from stillhouse.models.export import export_student
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import write_encoder
from tests.stillhouse.small_bundle import small_bundle

TASK = NumericScore(10, 50, 5)
TEXTS = ["how many kings", "who is the king", "where is the city ?", "the"]


def bundle_of_numbers(place: Path, *, seed: int = 0) -> Path:
    """Write one below a folder.

    Args:
        place: the folder.
        seed: of its weights.
    """
    write_encoder(place / "encoder")
    build_classifier(place / "encoder", TASK.names, place / "model", seed=seed)
    export_student(place / "model", place / "student", TEXTS, np.zeros(len(TEXTS)), TASK)
    data = {"answer": "score", "score": {"lowest": 10, "highest": 50, "tolerance": 5}}
    measured = {"per_class": [], "of_numbers": {"mean_error": 2.5, "teacher_mean_error": 1.5}}
    about = {"task": "How urgent", "data": data, "teacher": {"training": {}}}
    return small_bundle(place, TASK, TEXTS, about, measured)
