"""Students in training: cut from the teacher, trained on its signal or, as the control, on the labels alone.

Belongs here: one asset for each student of the recipe.
Does not: architectures, losses, the loop (stillhouse/students/), which student is good (evaluation.py, selection.py).
"""

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.keys import PROMPTS, TEACHER, TRANSFER_SET, candidate
from assets.stage import Shown, Work, stage_asset
from assets.teacher import MODEL, label_ids, learning_curve, training_facts
from stillhouse.digests import digest_of
from stillhouse.recipe import RecipeFile, StudentSpec
from stillhouse.teachers.answers import logits_of
from stillhouse.workshop import Artifact, Facts


def candidate_of(file: RecipeFile, student: StudentSpec) -> dg.AssetsDefinition:
    """Build the asset of one student."""

    @stage_asset(
        file,
        candidate(student.name),
        inputs={"teacher": TEACHER, "prompts": PROMPTS, "transfer_set": TRANSFER_SET},
        code=("students",),
        kinds={"pytorch"},
    )
    def trained_student(work: Work, teacher: Artifact, prompts: Artifact, transfer_set: Artifact) -> Shown:
        """Layers of the teacher with the vocabulary of the task, trained on the transfer set."""
        from stillhouse.students.architecture import cut_layers, narrow_feed_forward, trim_vocabulary
        from stillhouse.students.training import TrainingExamples, train

        rows = transfer_set.frame("transfer_set")
        validation = prompts.frame("prompts").filter(pl.col("split") == "validation").sort("prompt_id")
        labels = teacher.facts["labels"]
        from_teacher = student.learns_from == "teacher"

        def build(folder: Path) -> Facts:
            start = folder / "start"
            cut_layers(teacher.folder / MODEL, student.layers, start)
            if student.feed_forward is not None:
                narrow_feed_forward(start, student.feed_forward, start)
            facts: Facts = {"labels": labels, "learns_from": student.learns_from, "layers": list(student.layers)}
            if student.trim_vocabulary:
                trim = trim_vocabulary(start, rows["text"], start)
                facts["vocabulary"] = {"kept": trim.kept, "dropped": trim.dropped}
                facts["parameters"] = trim.parameters_after
            examples = TrainingExamples(
                texts=rows["text"].to_list(),
                label_ids=label_ids(rows["label"], labels),
                teacher_logits=logits_of(rows) if from_teacher else None,
                teacher_embeddings=np.array(rows["embedding"].to_list(), dtype=np.float32) if from_teacher else None,
                validation_texts=validation["text"].to_list(),
                validation_label_ids=label_ids(validation["label"], labels),
            )
            checkpoints = work.workshop.home.checkpoints / file.name / student.name
            with work.workshop.one_heavy_task():
                report = train(start, folder / MODEL, examples, student.training, checkpoints)
            shutil.rmtree(start)
            return {**facts, "training": training_facts(report), "validation_rows": validation.height}

        artifact = work.make(
            build,
            depends_on={
                "teacher": teacher.digest,
                "transfer_set": transfer_set.digest,
                "validation": digest_of(validation.select("prompt_id", "label").rows()),
            },
            config=student.model_dump(mode="json"),
            seeds={"training": student.training.seed},
        )
        facts = artifact.facts
        last = facts["training"]["epochs"][-1]
        return Shown(
            artifact,
            {
                "rows_learned_from": facts["training"]["examples"],
                "validation_accuracy": last["validation_accuracy"],
                "train_loss": last["train_loss"],
                "examples_per_second": facts["training"]["examples_per_second"],
                "vocabulary_kept": facts.get("vocabulary", {}).get("kept"),
                "learning_curve": learning_curve(work, artifact),
            },
        )

    return trained_student
