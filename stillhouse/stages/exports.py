"""Students as they ship: an ONNX file in one precision, its tokenizer, checked against the weights, calibrated.

Belongs here: what of one student of the recipe is exported, and on which rows it is checked.
Does not: export (stillhouse/models/export.py) and quantisation (stillhouse/models/precisions.py).
"""

from dataclasses import asdict
from pathlib import Path

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.recipe.students import StudentForm
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import CandidateFacts, ExportedFacts, ExportFacts
from stillhouse.stages.names import MODEL
from stillhouse.students.examples import labelled_rows
from stillhouse.students.seeds import models_by_seed, seed_folder


def plan(form: StudentForm, candidate: Artifact, prompts: Artifact, builds: BuildStore) -> Plan[ExportFacts]:
    """Export one student in one precision, with each of its further seeds.

    Args:
        form: student and precision.
        candidate: what was trained.
        prompts: the prompt set of the base batch; parity and temperature are of its validation rows.
        builds: lets one heavy task go at a time.
    """
    rows = labelled_rows(prompts.frame("prompts")).filter(pl.col("split") == "validation")

    made = candidate.facts(CandidateFacts)

    def build(folder: Path) -> ExportFacts:
        from stillhouse.models.export import export_student

        texts, task = rows["text"].to_list(), made.task
        targets = task.targets(rows["label"])

        def exported(model: Path, place: str) -> ExportedFacts:
            report = export_student(model, folder / place, texts, targets, task, form.precision)
            return ExportedFacts.model_validate(asdict(report))

        with builds.one_heavy_task():
            ships = exported(candidate.folder / MODEL, MODEL)
            again = models_by_seed(candidate.folder, made.seeds, form.student)
            seeds = {seed: exported(model, seed_folder(seed)) for seed, model in again.items()}
        return ExportFacts(**dict(ships), seeds=seeds)

    return Plan(
        build,
        {
            "candidate": candidate.digest,
            "validation": digest_of(rows.select("text", "label").rows()),
            "precision": form.precision,
            **made.particulars,
        },
    )
