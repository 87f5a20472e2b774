"""The teacher: verified weights, fine-tuned on the labelled rows or as they are, or what one says elsewhere; pinned.

Belongs here: which rows it learns from, and in which order it is made.
Does not: verification and calibration (stillhouse/teachers/), the loop (stillhouse/models/training.py).
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from stillhouse.device import Device
from stillhouse.digests import digest_of
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.asking import call_log, kept_model, member_of
from stillhouse.stages.facts import ContractFacts, LanguageModelFacts, PromptFacts, SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, MEMBERS, MODEL, TEACHER, answers_of
from stillhouse.stages.pilot import measured, pilot_of, require_that_it_fits
from stillhouse.stages.trained import training_facts
from stillhouse.students.examples import labelled_examples, labelled_rows
from stillhouse.tasks import task_of
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import outputs_for
from stillhouse.teachers.causal_lm import CausalLmTeacher, label_prompt_of
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.ensemble import EnsembleTeacher
from stillhouse.teachers.flips import ASKED_TWICE, flips
from stillhouse.teachers.forgetting import TEXTS, NeighboursKept, neighbours_kept
from stillhouse.teachers.requests import Asking, asking_of
from stillhouse.teachers.stored import held_to
from stillhouse.teachers.teacher import share_as_taught

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingExamples, TrainingReport
    from stillhouse.models.weights import BaseModel


def plan(
    file: RecipeFile,
    contract: Artifact,
    prompts: Artifact,
    base: "BaseModel",
    builds: BuildStore,
    *,
    members: Mapping[str, "BaseModel"] = MappingProxyType({}),
) -> Plan[TeacherFacts]:
    """Fine-tune an encoder on the labelled rows of the base batch, or take another teacher as it is.

    The base batch alone, so that new files never change it unasked.

    Args:
        file: the recipe.
        contract: with stored answers, or a language model, as they were taken in.
        prompts: the prompt set of the base batch.
        base: the weights to begin with, open as long as the plan is used.
        builds: keeps checkpoints.
        members: the weights of an ensemble's members that run here, by name, open as well.
    """
    spec = file.recipe.teacher
    task = task_of(file.recipe.data.answer, prompts.facts(PromptFacts).labels)
    rows = labelled_rows(prompts.frame("prompts"))
    depends_on: dict[str, object] = {
        "rows": digest_of(rows.select("prompt_id", "label", "split").rows()),
        "labels": task.names,
        "base": base.record.fingerprint,
    }
    if spec.neighbours_kept_at_least is not None:
        depends_on["asked_before_and_after"] = True  # how many have to be kept is for the gate alone
    config = spec.model_dump(mode="json", include={"kind", "training", "rename", "max_tokens"})
    # Not in the config, on which the content depends: the same weights from elsewhere are the same.
    weights = base.external_inputs(file.recipe.weights.address)
    if spec.kind is TeacherKind.STORED:
        answers = held_to(contract.frame(ANSWERS), task.names, file.recipe.data.labels)
        return Plan(
            partial(_stored, file, rows, task, base, answers),
            {**depends_on, "answers": digest_of(answers.rows())},
            config=config,
            external_inputs=weights,
        )
    if spec.kind is TeacherKind.ENDPOINT:
        asking, bulk = asking_of(file, task.names), prompts.frame("prompts").select("prompt_id", "text")
        return Plan(
            partial(_endpoint, file, rows, task, base, asking, builds.home, bulk),
            {**depends_on, "asking": asking.digest},
            config=config,
            external_inputs=weights,
        )
    if spec.kind is TeacherKind.CAUSAL_LM:
        taken_in = contract.facts(ContractFacts).language_model
        assert taken_in is not None and taken_in.fingerprint is not None, "the contract's gates refuse it otherwise"
        asked, files = label_prompt_of(file, task.names, taken_in.fingerprint), kept_model(contract, spec, builds.store)
        taken = contract.manifest.external_inputs
        return Plan(
            partial(_language_model, file, rows, task, base, CausalLmTeacher(files, asked, builds.device), builds),
            {**depends_on, "asking": asked.digest},
            config=config,
            external_inputs=weights | {name: taken[name] for name in (f"{spec.address}/{each}" for each in files)},
        )
    if spec.ensemble is not None:
        stored = {
            name: held_to(contract.frame(answers_of(name)), task.names, file.recipe.data.labels)
            for name in spec.members
            if name not in members
        }
        of_members = {name: each.record.fingerprint for name, each in members.items()}
        of_members |= {name: digest_of(answers.rows()) for name, answers in stored.items()}
        made = {"kind", "training", "rename", "max_tokens"}
        how = {name: each.model_dump(mode="json", include=made) for name, each in spec.members.items()}
        for name, each in members.items():
            weights |= each.external_inputs(spec.members[name].address)
        return Plan(
            partial(_ensemble, file, rows, task, base, builds, members, stored),
            {**depends_on, "members": of_members},
            config={**config, "combine": spec.ensemble.combine.value, "members": how},
            seeds={
                f"training of {name}": each.training.seed
                for name, each in spec.members.items()
                if each.training is not None
            },
            external_inputs=weights,
        )
    return Plan(
        partial(_network, file, rows, task, base, builds, builds.home.checkpoints / file.name / TEACHER),
        depends_on,
        config=config,
        seeds={} if spec.training is None else {"training": spec.training.seed},
        external_inputs=weights,
    )


def _network(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", builds: BuildStore, checkpoints: Path,
    folder: Path,
) -> TeacherFacts:  # fmt: skip
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.temperature_scaling import temperature_of
    from stillhouse.models.weights import verify_weights
    from stillhouse.teachers.classifier import take_classifier

    spec, examples = file.recipe.teacher, labelled_examples(rows, task)
    neighbours = None
    with builds.one_heavy_task():
        if spec.training is None:
            take_classifier(base.folder, task.names, folder / MODEL, rename=spec.rename, max_tokens=spec.longest_text)
            report = None
        else:
            report = _fine_tuned(base, folder, examples, spec.training, checkpoints, builds.device)
            if spec.neighbours_kept_at_least is not None:
                neighbours = _neighbours(base, folder, examples, builds.device)
        logits = TorchClassifier(folder / MODEL, builds.device).logits(examples.validation_texts)
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
        neighbours=neighbours,
    )


def _neighbours(base: "BaseModel", folder: Path, examples: "TrainingExamples", device: Device) -> NeighboursKept:
    """Ask the encoder about the same texts as it was published and as it is now; they are in an order of no meaning."""
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.teachers.classifier import build_classifier

    texts = [*dict.fromkeys([*examples.texts, *examples.validation_texts])][:TEXTS]
    untrained = folder / "untrained"
    build_classifier(base.folder, examples.task.names, untrained, seed=0)
    before, after = (TorchClassifier(each, device).answer(texts).embeddings for each in (untrained, folder / MODEL))
    shutil.rmtree(untrained)
    return neighbours_kept(before, after)


def _fine_tuned(
    base: "BaseModel",
    folder: Path,
    examples: "TrainingExamples",
    training: TrainingConfig,
    checkpoints: Path,
    device: Device,
) -> "TrainingReport":
    from stillhouse.models.training import train
    from stillhouse.teachers.classifier import build_classifier

    untrained = folder / "untrained"
    build_classifier(base.folder, examples.task.names, untrained, training.seed)
    report = train(untrained, folder / MODEL, examples, training, checkpoints, device=device)
    shutil.rmtree(untrained)
    return report


def _stored(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", answers: pl.DataFrame, folder: Path
) -> TeacherFacts:
    """Keep the answers."""
    answers.write_parquet(folder / f"{ANSWERS}.parquet")
    pilot, right = measured(rows, answers, task)
    said = SaidFacts(texts=answers.height, failures=_failures(answers), accuracy=pilot.accuracy)
    return _elsewhere(file, rows, base, pilot.fingerprint, task, right, said, folder)


def _endpoint(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", asking: Asking, home: Home, bulk: pl.DataFrame,
    folder: Path,
) -> TeacherFacts:  # fmt: skip
    """Ask the validation rows alone, and say what the rest will cost before any of it is asked."""
    spec, calls = file.recipe.teacher, call_log(home)
    assert spec.endpoint is not None
    teacher = EndpointTeacher(spec.source, spec.endpoint, asking, file.name, calls, task)
    pilot = pilot_of(teacher, rows, file.where("teacher", "ask"))
    pilot.answers.write_parquet(folder / f"{ANSWERS}.parquet")
    unasked = teacher.unasked(bulk)
    require_that_it_fits(file, prompts=unasked, expected=pilot.usd_at_most(unasked), spent=calls.spent(file.name))
    stated, right = pilot.measured
    twice = pilot.validation.select("prompt_id", "text").sort("prompt_id").head(ASKED_TWICE)
    said = SaidFacts(
        texts=pilot.validation.height,
        asked_twice=twice.height,
        flips=flips(pilot.answers, teacher.replies(twice, "the pilot's second time").answers),
        failures=_failures(pilot.answers),
        accuracy=stated.accuracy,
        asking=asdict(asking),
        usd_a_prompt=pilot.usd_a_prompt,
        label_mass=pilot.replies.label_mass,
        observed=pilot.replies.model,
    )
    return _elsewhere(file, rows, base, replace(teacher, pilot=stated).fingerprint, task, right, said, folder)


def _language_model(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", teacher: CausalLmTeacher, builds: BuildStore,
    folder: Path,
) -> TeacherFacts:  # fmt: skip
    """Ask the validation rows alone: whether it is worth copying is seen before the rest is asked."""
    from stillhouse.models.temperature_scaling import temperature_of

    validation = rows.filter(pl.col("split") == "validation")
    with builds.one_heavy_task():
        teacher.verify()
        answers = teacher.answers(validation["text"].to_list())
    targets = task.targets(validation["label"])
    right = int(task.right(answers.logits, targets).sum())
    said = SaidFacts(
        texts=validation.height,
        failures={},
        accuracy=share_as_taught(right, validation.height),
        asking=asdict(teacher.asked),
        label_mass=float(np.median(answers.mass)),
    )
    facts = _elsewhere(file, rows, base, teacher.fingerprint, task, right, said, folder)
    return facts.model_copy(
        update={
            "parameters": teacher.parameters,
            "temperature": temperature_of(task, answers.logits, targets),
            "language_model": LanguageModelFacts(
                fingerprint=teacher.asked.weights, bytes=sum(path.stat().st_size for path in teacher.files.values())
            ),
        }
    )


def _ensemble(
    file: RecipeFile, rows: pl.DataFrame, task: Task, base: "BaseModel", builds: BuildStore,
    members: Mapping[str, "BaseModel"], stored: Mapping[str, pl.DataFrame], folder: Path,
) -> TeacherFacts:  # fmt: skip
    """Make each member as the teacher that it would be alone, and measure them together."""
    from stillhouse.models.temperature_scaling import temperature_of
    from stillhouse.teachers.classifier import build_classifier

    spec = file.recipe.teacher.ensemble
    assert spec is not None
    checkpoints = builds.home.checkpoints / file.name / TEACHER
    facts: dict[str, TeacherFacts] = {}
    for name in spec.members:
        place, own = folder / MEMBERS / name, file.of_member(name)
        place.mkdir(parents=True)
        facts[name] = (
            _network(own, rows, task, members[name], builds, checkpoints / name, place)
            if name in members
            else _stored(own, rows, task, base, stored[name], place)
        )
    voices = [member_of(folder, name, each, builds.device) for name, each in facts.items()]
    teacher = EnsembleTeacher(voices, spec.combine, task)
    validation = rows.filter(pl.col("split") == "validation")
    with builds.one_heavy_task():
        said = teacher.ask(validation)
    answered = validation.with_columns(said["logits"], said["failure"]).filter(pl.col("failure").is_null())
    outputs, targets = outputs_for(answered, task), task.targets(answered["label"])
    build_classifier(base.folder, task.names, folder / MODEL, seed=0)
    return TeacherFacts(
        kind=file.recipe.teacher.kind,
        fingerprint=teacher.fingerprint,
        base_fingerprint=base.record.fingerprint,
        parameters=None,
        answer=file.recipe.data.answer,
        labels=task.names,
        temperature=temperature_of(task, outputs, targets),
        validation_right=int(task.right(outputs, targets).sum()),
        validation_rows=validation.height,
        members=facts,
    )


def _failures(answers: pl.DataFrame) -> dict[str, int]:
    return dict(answers["failure"].drop_nulls().value_counts(sort=True).iter_rows())


def _elsewhere(
    file: RecipeFile, rows: pl.DataFrame, base: "BaseModel", fingerprint: str, task: Task, right: int, said: SaidFacts,
    folder: Path,
) -> TeacherFacts:  # fmt: skip
    """Keep the base beside the answers, with a head that knows nothing, to cut students from."""
    from stillhouse.teachers.classifier import build_classifier

    build_classifier(base.folder, task.names, folder / MODEL, seed=0)
    return TeacherFacts(
        kind=file.recipe.teacher.kind,
        fingerprint=fingerprint,
        base_fingerprint=base.record.fingerprint,
        parameters=None,
        answer=file.recipe.data.answer,
        labels=task.names,
        temperature=1.0,
        validation_right=right,
        validation_rows=rows.filter(pl.col("split") == "validation").height,
        said=said,
    )
