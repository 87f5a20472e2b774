"""Students in training: cut from the teacher or a larger student, trained on its signal or on labels, or not at all.

Belongs here: how one student of the recipe is made.
Does not: architectures (stillhouse/students/), losses and the loop (stillhouse/models/), which student is good
(evaluation.py, selection.py).
"""

import shutil
from pathlib import Path

from stillhouse.digests import digest_of
from stillhouse.recipe.students import StudentSpec
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import CandidateFacts, SeedFacts, TeacherFacts, VocabularyFacts
from stillhouse.stages.names import MODEL
from stillhouse.stages.trained import training_facts
from stillhouse.students.examples import examples_of, learned_from, validation_rows
from stillhouse.students.pruning import cut_from
from stillhouse.students.seeds import seed_folder


def plan(
    recipe: str,
    student: StudentSpec,
    teacher: Artifact,
    prompts: Artifact,
    transfer_set: Artifact,
    builds: BuildStore,
    parent: Artifact | None = None,
) -> Plan[CandidateFacts]:
    """Train one student on the transfer set, or take it as it is cut.

    Args:
        recipe: its name.
        student: as the recipe has it, with its layers named (`Recipe.with_layers_named`).
        teacher: which it is cut from, unless it has a parent.
        prompts: the prompt set of the base batch, whose validation rows are watched.
        transfer_set: what it learns from.
        builds: keeps checkpoints.
        parent: the student that it is cut from instead.
    """
    larger = (teacher if parent is None else parent).folder / MODEL
    rows, validation = transfer_set.frame("transfer_set"), validation_rows(prompts.frame("prompts"))
    taught = teacher.facts(TeacherFacts)

    def build(folder: Path) -> CandidateFacts:
        start = folder / "start"
        trim = cut_from(larger, student, rows["text"], start)
        cut = CandidateFacts(
            answer=taught.answer,
            labels=taught.labels,
            score=taught.score,
            record=taught.record,
            learns_from=student.learns_from,
            layers=tuple(student.layers),
            vocabulary=trim and VocabularyFacts(kept=trim.kept, dropped=trim.dropped),
            parameters=trim and trim.parameters,
            validation_rows=validation.height,
        )
        return as_it_is(cut, start, folder) if student.training is None else trained(cut, start, folder)

    def as_it_is(cut: CandidateFacts, start: Path, folder: Path) -> CandidateFacts:
        from stillhouse.models.predictor import TorchClassifier

        start.rename(folder / MODEL)
        with builds.one_heavy_task():
            logits = TorchClassifier(folder / MODEL, builds.device).logits(validation["text"].to_list())
        hits = taught.task.right(logits, taught.task.targets(validation["label"]))
        return cut.model_copy(update={"validation_right": int(hits.sum())})

    def trained(cut: CandidateFacts, start: Path, folder: Path) -> CandidateFacts:
        from stillhouse.models.training import train

        assert student.training is not None
        checkpoints = builds.home.checkpoints / recipe / student.name
        again = {seed: student.training.model_copy(update={"seed": seed}) for seed in student.more_seeds}
        on = builds.device
        with builds.one_heavy_task():
            learned = learned_from(
                student, rows, teacher.folder / MODEL, None if parent is None else parent.folder / MODEL, on
            )
            examples = examples_of(student, learned, validation, taught.task)
            report = train(
                start, folder / MODEL, examples, student.training, checkpoints, keep_checkpoint=bool(again), device=on
            )
            seeds = {}
            for seed, how in again.items():
                place = seed_folder(seed)
                more = train(start, folder / place, examples, how, checkpoints / place, keep_checkpoint=True, device=on)
                seeds[seed] = SeedFacts(training=training_facts(more))
        shutil.rmtree(start)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return cut.model_copy(update={"training": training_facts(report), "seeds": seeds})

    return Plan(
        build,
        {
            "teacher": teacher.digest,
            **({} if parent is None else {"parent": parent.digest}),
            "transfer_set": transfer_set.digest,
            "validation": digest_of(validation.select("prompt_id", "label").rows()),
            **taught.particulars,
        },
        config=student.model_dump(mode="json", exclude={"precisions"}),  # which it is trained without
        seeds=_seeds(student),
    )


def _seeds(student: StudentSpec) -> dict[str, int]:
    if student.training is None:
        return {}
    return {"training": student.training.seed, **{seed_folder(seed): seed for seed in student.more_seeds}}
