"""Students as they ship: one ONNX file in int8 with its tokenizer, checked against the trained weights, calibrated.

Belongs here: one asset for each student of the recipe.
Does not: export and quantisation (stillhouse/models/export.py).
"""

from dataclasses import asdict
from pathlib import Path

import dagster as dg
import polars as pl

from assets.seeds import SEEDS, models_by_seed, seed_folder
from assets.stage import Shown, Work, stage_asset
from assets.teacher import MODEL, label_ids, labelled_rows
from stillhouse.digests import digest_of
from stillhouse.recipe.contract import StudentSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import PROMPTS, candidate, export


def export_of(file: RecipeFile, student: StudentSpec) -> dg.AssetsDefinition:
    """Build the asset of one student."""

    @stage_asset(
        file,
        export(student.name),
        inputs={"candidate": candidate(student.name), "prompts": PROMPTS},
        kinds={"onnx"},
    )
    def exported_student(work: Work, candidate: Artifact, prompts: Artifact) -> Shown:
        """The student in int8 ONNX, its parity and its temperature measured on validation rows."""
        from stillhouse.models.export import export_student

        rows = labelled_rows(prompts.frame("prompts")).filter(pl.col("split") == "validation")

        def build(folder: Path) -> Facts:
            with work.workshop.one_heavy_task():
                texts, known = rows["text"].to_list(), label_ids(rows["label"], candidate.facts["labels"])
                facts: Facts = asdict(export_student(candidate.folder / MODEL, folder / MODEL, texts, known))
                for seed, model in models_by_seed(candidate, student).items():
                    more = export_student(model, folder / seed_folder(seed), texts, known)
                    facts.setdefault(SEEDS, {})[str(seed)] = asdict(more)
            return facts

        artifact = work.make(
            build,
            depends_on={"candidate": candidate.digest, "validation": digest_of(rows.select("text", "label").rows())},
        )
        facts = {name: value for name, value in artifact.facts.items() if isinstance(value, int | float)}
        return Shown(artifact, facts)

    return exported_student
