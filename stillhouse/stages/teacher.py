"""The teacher: verified weights, fine-tuned on the labelled rows or as they are, or stored answers; pinned.

Belongs here: which rows it learns from, and in which order it is made.
Does not: verification and calibration (stillhouse/teachers/), the loop (stillhouse/models/training.py).
"""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import PromptFacts, StoredFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, MODEL, TEACHER
from stillhouse.stages.trained import training_facts
from stillhouse.students.examples import labelled_examples, labelled_rows
from stillhouse.tasks import task_of
from stillhouse.tasks.task import Task
from stillhouse.teachers.stored import fingerprint_of_answers, held_to

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples, TrainingReport
    from stillhouse.models.weights import BaseModel


def plan(
    file: RecipeFile, contract: Artifact, prompts: Artifact, base: "BaseModel", builds: BuildStore
) -> Plan[TeacherFacts]:
    """Fine-tune an encoder on the labelled rows of the base batch, take a classifier as it is, or stored answers.

    The base batch alone, so that new files never change it unasked.

    Args:
        file: the recipe.
        contract: with the answers of a stored teacher as they were taken in.
        prompts: the prompt set of the base batch.
        base: the weights to begin with, open as long as the plan is used.
        builds: keeps checkpoints.
    """
    spec = file.recipe.teacher
    task = task_of(file.recipe.data.answer, prompts.facts(PromptFacts).labels)
    rows = labelled_rows(prompts.frame("prompts"))
    depends_on = {
        "rows": digest_of(rows.select("prompt_id", "label", "split").rows()),
        "labels": task.names,
        "base": base.record.fingerprint,
    }
    config = spec.model_dump(mode="json", include={"kind", "training", "rename", "max_tokens"})
    # Not in the config, on which the content depends: the same weights from elsewhere are the same.
    weights = base.external_inputs(file.recipe.weights.address)
    if spec.kind is TeacherKind.STORED:
        answers = held_to(contract.frame(ANSWERS), task.names)
        return Plan(
            partial(_stored, file, rows, task, base, answers),
            {**depends_on, "answers": digest_of(answers.rows())},
            config=config,
            external_inputs=weights,
        )
    return Plan(
        partial(_network, file, rows, task, base, builds),
        depends_on,
        config=config,
        seeds={} if spec.training is None else {"training": spec.training.seed},
        external_inputs=weights,
    )


def _network(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", builds: BuildStore, folder: Path
) -> TeacherFacts:
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.temperature_scaling import temperature_of
    from stillhouse.models.weights import verify_weights
    from stillhouse.teachers.classifier import take_classifier

    spec, examples = file.recipe.teacher, labelled_examples(rows, task)
    with builds.one_heavy_task():
        if spec.training is None:
            take_classifier(base.folder, task.names, folder / MODEL, rename=spec.rename, max_tokens=spec.longest_text)
            report = None
        else:
            checkpoints = builds.home.checkpoints / file.name / TEACHER
            report = _fine_tuned(base, folder, examples, spec.training, checkpoints)
        logits = TorchClassifier(folder / MODEL).logits(examples.validation_texts)
    temperature = temperature_of(task, logits, examples.validation_targets)
    calibration = {"temperature": temperature, "rows": len(examples.validation_texts)}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    return TeacherFacts(
        kind=spec.kind,
        fingerprint=verify_weights(folder / MODEL).fingerprint,
        base_fingerprint=base.record.fingerprint,
        parameters=base.record.parameters,
        answer=file.recipe.data.answer,
        labels=task.names,
        temperature=temperature,
        validation_right=int(task.right(logits, examples.validation_targets).sum()),
        validation_rows=len(examples.validation_texts),
        training=report and training_facts(report),
    )


def _fine_tuned(
    base: "BaseModel", folder: Path, examples: "TrainingExamples", training: TrainingConfig, checkpoints: Path
) -> "TrainingReport":
    from stillhouse.models.training import train
    from stillhouse.teachers.classifier import build_classifier

    untrained = folder / "untrained"
    build_classifier(base.folder, examples.task.names, untrained, training.seed)
    report = train(untrained, folder / MODEL, examples, training, checkpoints)
    shutil.rmtree(untrained)
    return report


def _stored(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", answers: pl.DataFrame, folder: Path
) -> TeacherFacts:
    """Keep the answers, and beside them the base with a head that knows nothing, for students to be cut from."""
    from stillhouse.teachers.classifier import build_classifier

    answers.write_parquet(folder / f"{ANSWERS}.parquet")
    build_classifier(base.folder, task.names, folder / MODEL, seed=0)
    validation = rows.filter(pl.col("split") == "validation").join(answers, on="prompt_id", how="left")
    answered = validation["answer"].drop_nulls().len()
    right = int((validation["answer"] == validation["label"]).sum())
    accuracy = (right + 1) / (answered + 2)
    return TeacherFacts(
        kind=file.recipe.teacher.kind,
        fingerprint=fingerprint_of_answers(answers, accuracy),
        base_fingerprint=base.record.fingerprint,
        parameters=None,
        answer=file.recipe.data.answer,
        labels=task.names,
        temperature=1.0,
        validation_right=right,
        validation_rows=validation.height,
        stored=StoredFacts(
            texts=answers.height,
            failures=dict(answers["failure"].drop_nulls().value_counts(sort=True).iter_rows()),
            accuracy=accuracy,
        ),
    )
