"""Events that a stage finds while it is made: another teacher, and slices that want for rows.

Belongs here: noting them.
Does not: which slices want for how many rows (stillhouse/evaluation/data_requests.py), what is found between rounds
(orchestration/new_events.py).
"""

from collections.abc import Sequence

import polars as pl

from assets.stage import StageContext
from stillhouse.evaluation.data_requests import data_requests
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.slices.declared import slice_masks
from stillhouse.records.builds import Artifact
from stillhouse.records.events import RUN_ID, EventKind, note
from stillhouse.stages.facts import TeacherFacts


def note_weak_slices(
    context: StageContext, evaluation: Artifact, judged: Sequence[Evaluation], prompts: Artifact
) -> None:
    """Ask for rows of each slice and field that the student of the report does not hold.

    Args:
        context: of the run that has judged.
        evaluation: the verdicts.
        judged: the same, read.
        prompts: of the base batch, with the rows that there are to learn from.
    """
    from stillhouse.evaluation.selection import smallest_that_clears
    from stillhouse.stages.selection import reported_of

    recipe, rows = context.file.recipe, prompts.frame("prompts").filter(pl.col("split") == "train")
    members = slice_masks(rows, recipe.slices, are_sets=recipe.gives_sets).sum(axis=1) if recipe.slices else ()
    learned_from = {spec.name: int(number) for spec, number in zip(recipe.slices, members, strict=True)}
    learned_from |= dict.fromkeys(recipe.bar.fields, rows.height)
    reported = reported_of(recipe, list(judged), smallest_that_clears(judged))
    for asked in data_requests(reported, learned_from):
        facts = {**asked.model_dump(mode="json"), "student": reported.name, "evaluation": evaluation.digest}
        key = f"{asked.name} {evaluation.digest[:16]}"
        note(context.builds.ledger, context.file.name, EventKind.WEAK_SLICE, key, asked.sentence, facts)


def note_another_teacher(context: StageContext, made: Artifact) -> None:
    """Note that the teacher is another than before; the run that has found it asks it, and so answers the event.

    Args:
        context: of that run.
        made: the teacher.
    """
    ledger, recipe = context.builds.ledger, context.file.name
    entries = ledger.entries(recipe, "materialization", subject=made.address)
    before = next((entry.body for entry in reversed(entries) if entry.body["digest"] != made.digest), None)
    if before is None:
        return
    old = context.builds.artifact(before["digest"], before["manifest"]).facts(TeacherFacts).fingerprint
    new = made.facts(TeacherFacts).fingerprint
    if old != new:
        sentence = f"the teacher is {new[:12]} and no longer {old[:12]}"
        note(ledger, recipe, EventKind.TEACHER, new, sentence, {"before": old, RUN_ID: context.run_id})
