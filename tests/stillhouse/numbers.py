"""A release that answers with numbers from 10 to 50, of a model of a few kilobytes.

Belongs here: its bundle. Does not: what it is asked (release/test_numbers.py, serving/test_numbers.py).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.records.ledger import Head
from stillhouse.release.bundle import ReleaseRecord, write_bundle
from stillhouse.release.probe import PROBE, probe_of
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import write_encoder
from tests.stillhouse.release.test_standalone import SCORE

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
    data = {
        "source": "rows.csv", "licence": "CC0", "answer": "score", "max_characters": 1000,
        "score": {"lowest": 10, "highest": 50, "tolerance": 5},
    }  # fmt: skip
    report: dict[str, Any] = {
        "golden_rows": 90, "teacher": SCORE | {"macro_f1": None}, "student": SCORE | {"macro_f1": None}, "claims": [],
        "slices": [], "per_class": [], "of_numbers": {"mean_error": 2.5, "teacher_mean_error": 1.5},
    }  # fmt: skip
    model = OnnxClassifier(place / "student")
    probe = probe_of(TEXTS, model.logits(TEXTS), TASK)
    for name, content in (
        ("recipe.json", {"task": "How urgent", "data": data, "teacher": {"training": {}}}),
        ("report.json", report),
        (PROBE, probe.model_dump(mode="json")),
    ):
        (place / name).write_text(json.dumps(content))
    typed = {"precision": "int8", "row_kinds": {"real": 1}, "waived": []}
    record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | typed)
    folder = place / "bundle"
    folder.mkdir()
    evidence = [place / name for name in ("recipe.json", "report.json", PROBE)]
    write_bundle(folder, record, model=place / "student", evidence=evidence, head=Head(7, "h" * 64))
    return folder
