"""A release of a model of a few kilobytes, whatever its answers are.

Belongs here: its bundle, of a student that is exported. Does not: the student (numbers.py, record_bundle.py).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillhouse.models.predictor import OnnxClassifier
from stillhouse.records.ledger import Head
from stillhouse.release.bundle import ReleaseRecord, write_bundle
from stillhouse.release.probe import PROBE, probe_of
from stillhouse.tasks.task import Task
from tests.stillhouse.release.test_standalone import SCORE


def small_bundle(
    place: Path, task: Task, texts: Sequence[str], recipe: dict[str, Any], measured: dict[str, Any]
) -> Path:
    """Write one below a folder.

    Args:
        place: the folder, with the exported student.
        task: what an answer is.
        texts: of the probe.
        recipe: what a release keeps of it, but rows and licence of its data.
        measured: what a report says of this kind of answer.
    """
    recipe["data"] |= {"source": "rows.csv", "licence": "CC0", "max_characters": 1000}
    score = SCORE | {"macro_f1": None}
    report = {"golden_rows": 90, "teacher": score, "student": score, "claims": [], "slices": [], **measured}
    probe = probe_of(texts, OnnxClassifier(place / "student").logits(texts), task)
    evidence = {"recipe.json": recipe, "report.json": report, PROBE: probe.model_dump(mode="json")}
    for name, content in evidence.items():
        (place / name).write_text(json.dumps(content))
    typed = {"precision": "int8", "row_kinds": {"real": 1}, "waived": []}
    record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | typed)
    folder = place / "bundle"
    folder.mkdir()
    files = [place / name for name in evidence]
    write_bundle(folder, record, model=place / "student", evidence=files, head=Head(7, "h" * 64))
    return folder
