"""A release that takes records out of texts, of a model of a few kilobytes.

Belongs here: its bundle. Does not: what it is asked (release/test_records.py, serving/test_records.py).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.record import RecordSpec
from stillhouse.records.ledger import Head
from stillhouse.release.bundle import ReleaseRecord, write_bundle
from stillhouse.release.probe import PROBE, probe_of
from stillhouse.tasks.extraction import Extraction
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import write_encoder
from tests.stillhouse.release.test_standalone import SCORE

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
    data = {
        "source": "rows.csv", "licence": "CC0", "answer": "fields", "max_characters": 1000, "fields": fields,
        "words_at_most": WORDS_AT_MOST,
    }  # fmt: skip
    of_fields = [{"name": name, "accuracy": 0.9, "teacher_accuracy": 0.95} for name in sorted(fields)]
    report: dict[str, Any] = {
        "golden_rows": 90, "teacher": SCORE | {"macro_f1": None}, "student": SCORE | {"macro_f1": None}, "claims": [],
        "slices": [], "per_class": None, "of_fields": {"micro_f1": 0.9, "teacher_micro_f1": 0.95, "fields": of_fields},
    }  # fmt: skip
    model = OnnxClassifier(place / "student")
    probe = probe_of(TEXTS, model.logits(TEXTS), task)
    for name, content in (
        ("recipe.json", {"task": "Who buys", "data": data, "teacher": {"training": None}}),
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
