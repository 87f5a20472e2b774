"""Students in training: cut from the teacher, trained on its signal, as the control on the labels alone, or not at all.

Belongs here: one asset for each student of the recipe.
Does not: architectures, losses, the loop (stillhouse/students/), which student is good (evaluation.py, selection.py).
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from assets.seeds import SEEDS, seed_folder
from assets.stage import Shown, Work, stage_asset
from assets.teacher import MODEL, label_ids, learning_curve, training_facts
from stillhouse.digests import digest_of
from stillhouse.recipe.contract import StudentSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import PROMPTS, TEACHER, TRANSFER_SET, candidate
from stillhouse.teachers.answers import logits_of

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples


def candidate_of(file: RecipeFile, student: StudentSpec) -> dg.AssetsDefinition:
    """Build the asset of one student."""

    @stage_asset(
        file,
        candidate(student.name),
        inputs={"teacher": TEACHER, "prompts": PROMPTS, "transfer_set": TRANSFER_SET},
        kinds={"pytorch"},
    )
    def trained_student(work: Work, teacher: Artifact, prompts: Artifact, transfer_set: Artifact) -> Shown:
        """Layers of the teacher with the vocabulary of the task, trained on the transfer set or taken as they are."""
        from stillhouse.models.predictor import TorchClassifier
        from stillhouse.models.training import train

        rows = transfer_set.frame("transfer_set")
        validation = prompts.frame("prompts").filter(pl.col("split") == "validation").sort("prompt_id")
        labels = teacher.facts["labels"]

        def build(folder: Path) -> Facts:
            start = folder / "start"
            facts: Facts = {"labels": labels, "learns_from": student.learns_from, "layers": list(student.layers)}
            facts |= cut_from(teacher, student, rows["text"], start)
            if student.training is None:
                start.rename(folder / MODEL)
                with work.workshop.one_heavy_task():
                    answers = TorchClassifier(folder / MODEL).logits(validation["text"].to_list()).argmax(axis=1)
                right = int((answers == label_ids(validation["label"], labels)).sum())
                return {**facts, "validation_right": right, "validation_rows": validation.height}
            examples = examples_of(student, rows, validation, labels)
            checkpoints = work.workshop.home.checkpoints / file.name / student.name
            again = {seed: student.training.model_copy(update={"seed": seed}) for seed in student.more_seeds}
            with work.workshop.one_heavy_task():
                report = train(
                    start, folder / MODEL, examples, student.training, checkpoints, keep_checkpoint=bool(again)
                )
                for seed, how in again.items():
                    place = seed_folder(seed)
                    more = train(start, folder / place, examples, how, checkpoints / place, keep_checkpoint=True)
                    facts.setdefault(SEEDS, {})[str(seed)] = {"training": training_facts(more)}
            shutil.rmtree(start)
            shutil.rmtree(checkpoints, ignore_errors=True)
            return {**facts, "training": training_facts(report), "validation_rows": validation.height}

        artifact = work.make(
            build,
            depends_on={
                "teacher": teacher.digest,
                "transfer_set": transfer_set.digest,
                "validation": digest_of(validation.select("prompt_id", "label").rows()),
            },
            config=student.model_dump(mode="json"),
            seeds=_seeds(student),
        )
        facts = artifact.facts
        shown = {
            "validation_accuracy": validation_accuracy(artifact),
            "vocabulary_kept": facts.get("vocabulary", {}).get("kept"),
        }
        if student.training is None:
            return Shown(artifact, {"rows_learned_from": 0, **shown})
        return Shown(
            artifact,
            {
                "rows_learned_from": facts["training"]["examples"],
                "train_loss": facts["training"]["epochs"][-1]["train_loss"],
                "examples_per_second": facts["training"]["examples_per_second"],
                **shown,
                "learning_curve": learning_curve(work, artifact),
            },
        )

    return trained_student


def _seeds(student: StudentSpec) -> dict[str, int]:
    if student.training is None:
        return {}
    return {"training": student.training.seed, **{seed_folder(seed): seed for seed in student.more_seeds}}


def cut_from(teacher: Artifact, student: StudentSpec, texts: Iterable[str], out: Path) -> dict[str, Any]:
    """Write what a student starts from: layers of the teacher, narrowed and with the vocabulary of the task.

    Args:
        teacher: the fine-tuned teacher.
        student: which layers, how wide, and whether the vocabulary is trimmed.
        texts: those of the transfer set, whose vocabulary is kept.
        out: the model folder to write.

    Returns:
        Facts about the vocabulary, where it was trimmed.
    """
    from stillhouse.students.pruning import cut_layers, narrow_feed_forward, trim_vocabulary

    cut_layers(teacher.folder / MODEL, student.layers, out)
    if student.feed_forward is not None:
        narrow_feed_forward(out, student.feed_forward, out)
    if not student.trim_vocabulary:
        return {}
    trim = trim_vocabulary(out, texts, out)
    return {"vocabulary": {"kept": trim.kept, "dropped": trim.dropped}, "parameters": trim.parameters_after}


def validation_accuracy(candidate: Artifact) -> float:
    """Share of the validation rows that it gets right, after its last epoch or as it was cut."""
    facts = candidate.facts
    if "training" not in facts:
        return float(facts["validation_right"] / facts["validation_rows"])
    trained: float = facts["training"]["epochs"][-1]["validation_accuracy"]
    return trained


def examples_of(
    student: StudentSpec, rows: pl.DataFrame, validation: pl.DataFrame, labels: list[str]
) -> "TrainingExamples":
    """Rows of the transfer set as what a student learns from, and validation rows as what is watched."""
    from stillhouse.models.training import TrainingExamples

    from_teacher = student.learns_from == "teacher"
    return TrainingExamples(
        texts=rows["text"].to_list(),
        label_ids=label_ids(rows["label"], labels),
        teacher_logits=logits_of(rows) if from_teacher else None,
        teacher_embeddings=np.array(rows["embedding"].to_list(), dtype=np.float32) if from_teacher else None,
        validation_texts=validation["text"].to_list(),
        validation_label_ids=label_ids(validation["label"], labels),
    )
