"""Gates on the teacher's signal: may anything be learned from what this teacher said?

The expectations on single columns are in expectations/teacher_signal.py.
"""

import secrets
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from checks.expectations.teacher_signal import SUITE
from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, offenders, passed_if
from stillhouse.data.splits import keyed_uniform
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.losses import Gives
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.builds import Artifact
from stillhouse.stages.asking import member_of, teacher_of
from stillhouse.stages.facts import SignalFacts, TeacherFacts
from stillhouse.stages.teacher_signal import review_path
from stillhouse.statistics.calibration import log_softmax
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.answers import outputs_for, with_answers
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.flips import flips, flips_by_chance
from stillhouse.teachers.label_errors import likely_label_errors
from stillhouse.teachers.review import judge_review, read_review
from stillhouse.teachers.signal import largest_change, signal_store


@gate("a student learns nothing about a prompt that was skipped")
def every_prompt_was_answered(context: GateContext) -> Finding:
    """Each prompt of the very prompt set that was asked."""
    prompts = context.made_from("prompts").frame("prompts")
    signal = context.frame("signal")
    missing = prompts.join(signal, on="prompt_id", how="anti")
    silent = prompts.join(signal.filter(pl.col("failure").is_not_null()), on="prompt_id").select(
        "prompt_id", "text", "failure"
    )
    if silent.is_empty():
        return none_of(
            missing.height,
            f"{missing.height:,} of {prompts.height:,} prompts have no answer",
            missing=offenders(missing.select("prompt_id", "text")),
        )
    share, limit = (missing.height + silent.height) / prompts.height, context.recipe.limits.unanswered_prompts_at_most
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in silent["failure"].value_counts(sort=True).iter_rows())
    return passed_if(
        missing.is_empty() and share <= limit,
        f"{silent.height:,} of {prompts.height:,} prompts have no answer ({reasons}): {share:.1%}, limit {limit:.0%}",
        observed=share,
        limit=limit,
        missing=offenders(silent),
    )


@gate("a teacher that changed in silence gives answers that nobody evaluated", daily=True)
def the_canary_answers_as_recorded(context: GateContext) -> Finding:
    """A few prompts are asked again, drawn by a new key each time, so that nobody knows which answers to spare.

    Once a day: to load a teacher takes as long as a third of a round in which nothing has changed.
    """
    prompts = context.made_from("prompts").frame("prompts").select("prompt_id", "text")
    teacher = context.made_from("teacher")
    if context.recipe.teacher.kind is TeacherKind.ENDPOINT:
        return _few_answers_changed(context, teacher, prompts)
    if context.recipe.teacher.kind is TeacherKind.ENSEMBLE:
        return _members_answer_as_recorded(context, teacher, prompts)
    if not context.recipe.teacher.computes_here:
        answers = teacher.facts(TeacherFacts).fingerprint[:12]
        return passed_if(True, f"this teacher cannot be asked again: what it said is kept, as {answers}")
    answered = prompts.join(context.frame("signal").select("prompt_id", "logits"), on="prompt_id")
    key = secrets.token_hex(8)
    asked = drawn(answered, key, context.recipe.limits.canary_prompts)
    if asked.is_empty():
        return passed_if(True, "this batch has no answered prompts")
    difference = largest_change(teacher_of(teacher, context.recipe.teacher, context.builds), asked)
    limit = _largest_difference(context.recipe)
    return passed_if(
        difference <= limit,
        f"largest change of a logit over {asked.height} prompts {difference:.2g}, limit {limit:g} (drawn by key {key})",
        observed=difference,
        limit=limit,
        key=key,
        asked=asked["prompt_id"].to_list(),
    )


def _largest_difference(recipe: Recipe) -> float:
    """How far the same model's logits may lie apart: in bfloat16 it adds up with three digits."""
    limits, teacher = recipe.limits, recipe.teacher
    in_bfloat16 = teacher.kind is TeacherKind.CAUSAL_LM and teacher.causal_lm.dtype == "bfloat16"
    return limits.canary_difference_bfloat16_at_most if in_bfloat16 else limits.canary_difference_at_most


def _members_answer_as_recorded(context: GateContext, artifact: Artifact, prompts: pl.DataFrame) -> Finding:
    """Each member that runs here by itself, against what is kept under its own fingerprint."""
    key, store, limit = secrets.token_hex(8), signal_store(context.builds), context.recipe.limits
    asked, changes = drawn(prompts, key, limit.canary_prompts), {}
    for name, member in artifact.facts(TeacherFacts).members.items():
        if member.said is None:
            kept = store.read(asked["prompt_id"].to_list(), member.fingerprint).select("prompt_id", "logits")
            again = member_of(artifact.folder, name, member, context.builds.device).teacher
            changes[name] = largest_change(again, asked.join(kept, on="prompt_id"))
    if not changes:
        return passed_if(True, "no member can be asked again: what they said is kept")
    worst = max(changes, key=changes.__getitem__)
    return passed_if(
        changes[worst] <= limit.canary_difference_at_most,
        f"largest change of a logit over {asked.height} prompts {changes[worst]:.2g}, by member {worst}, limit "
        f"{limit.canary_difference_at_most:g} (drawn by key {key})",
        observed=changes[worst],
        limit=limit.canary_difference_at_most,
        key=key,
        asked=asked["prompt_id"].to_list(),
    )


def _few_answers_changed(context: GateContext, artifact: Artifact, prompts: pl.DataFrame) -> Finding:
    """An endpoint is asked some prompts again once a day, and on occasions, which is paid like any call."""
    said, day = artifact.facts(TeacherFacts).said, context.occasion or today().isoformat()
    assert said is not None
    recorded = with_answers(context.frame("signal"), context.artifact.facts(SignalFacts).task)
    asked = drawn(prompts.join(recorded, on="prompt_id"), day, context.recipe.limits.canary_flips_prompts)
    if asked.is_empty():
        return passed_if(True, "this batch has no answered prompts")
    if said.asked_twice == 0:
        return Finding(Verdict.INCONCLUSIVE, "the pilot asked nothing twice, so nobody knows what changes by itself")
    teacher = teacher_of(artifact, context.recipe.teacher, context.builds)
    assert isinstance(teacher, EndpointTeacher)
    try:
        changed = flips(asked, teacher.replies(asked, f"the canary of {day}").answers)
    except StillhouseError as error:  # the cap, or a server that is away
        return Finding(Verdict.INCONCLUSIVE, f"it could not be asked again: {error.what}")
    by_chance = flips_by_chance(asked.height, seen=said.flips, of=said.asked_twice)
    return passed_if(
        changed <= by_chance,
        f"{changed} of {asked.height} prompts are answered otherwise than recorded ({day}); up to {by_chance} may be "
        f"by chance, since {said.flips} of {said.asked_twice} were when the pilot asked twice",
        observed=changed / asked.height,
        limit=by_chance / asked.height,
        day=day,
        asked=asked["prompt_id"].to_list(),
    )


def today() -> date:
    """The day of a canary, in UTC."""
    return datetime.now(UTC).date()


def drawn(answered: pl.DataFrame, key: str, prompts: int) -> pl.DataFrame:
    """The canary's prompts under a key: whoever has the key draws the same again."""
    order = keyed_uniform(answered["prompt_id"], key=key, purpose="canary")
    return answered.with_columns(pl.Series("order", order)).sort("order").head(prompts).drop("order")


@gate("what is wrong on labelled rows is wrong as often on the rows that nobody can check")
def the_teacher_is_right_on_labelled_rows(context: GateContext) -> Finding:
    """Validation rows, which the teacher never trained on."""
    prompts = context.made_from("prompts").frame("prompts").filter(pl.col("split") == "validation")
    rows = context.frame("signal").join(prompts.select("prompt_id", "label"), on="prompt_id")
    if rows.is_empty():
        return passed_if(not context.is_base, "there are no labelled validation rows")
    judged = with_answers(rows, context.artifact.facts(SignalFacts).task)
    wrong = judged.filter(pl.col("answer").ne_missing(pl.col("label"))).select("prompt_id", "label", "answer")
    right, minimum = rows.height - wrong.height, context.recipe.teacher.minimum_accuracy
    low, high = wilson_interval(right, rows.height)
    return passed_if(
        right / rows.height >= minimum,
        f"{right / rows.height:.3f} of {rows.height:,} rows right ({low:.3f} to {high:.3f}), minimum {minimum:.3f}",
        observed=right / rows.height,
        limit=minimum,
        wrong=offenders(wrong),
    )


@gate(
    "a tenth of wrong labels costs a student more than most architectures give, and golden labels come from there too"
)
def few_labels_look_wrong(context: GateContext) -> Finding:
    """Confident learning on known labels that the teacher was not trained on: validation rows and later batches."""
    prompts = context.made_from("prompts").frame("prompts")
    unseen = ["validation"] if context.is_base else ["train", "validation"]
    task = context.artifact.facts(SignalFacts).task
    if task.classes is None:
        return Finding(Verdict.INCONCLUSIVE, "confident learning needs classes, and the answers are none")
    teacher = context.recipe.teacher
    if not teacher.computes_here and not (teacher.members and teacher.gives is Gives.PROBABILITIES):
        return passed_if(
            True, "a teacher that gives answers and no probabilities cannot tell its errors from those of labels"
        )
    known = prompts.filter(pl.col("split").is_in(unseen) & task.holds(prompts["label"]))
    rows = context.frame("signal").join(known.select("prompt_id", "text", "label"), on="prompt_id")
    if rows.is_empty():
        return passed_if(True, "no label of this batch can be held against the teacher")
    probabilities = np.exp(log_softmax(outputs_for(rows, task)))
    wrong = with_answers(rows, task).filter(likely_label_errors(probabilities, task.targets(rows["label"])))
    low, high = wilson_interval(wrong.height, rows.height)
    limit = context.recipe.data.wrong_labels_at_most
    return passed_if(
        low <= limit,
        f"{wrong.height:,} of {rows.height:,} known labels look wrong "
        f"({low:.1%} to {high:.1%}), limit {limit:.0%}; see `wrong_labels_at_most` in the recipe",
        observed=low,  # the least share that the rows allow is what is held against the limit
        limit=limit,
        labels=offenders(
            wrong.sort("confidence", descending=True).select("prompt_id", "label", "answer", "confidence", "text")
        ),
    )


@gate("answers that nobody can check by label are checked by a person, or taken on trust")
def a_person_accepts_a_sample(context: GateContext) -> Finding:
    """Where the recipe asks for a review: a sample drawn by risk, judged by a person, decided by an interval."""
    spec = context.recipe.teacher.review
    if spec is None:
        return passed_if(True, "the recipe asks for no review")
    drawn = context.frame("review")
    if drawn.is_empty():
        return passed_if(True, "every answer of this batch can be checked by its label")
    path = review_path(context.builds.home, context.file.name, context.artifact)
    try:
        reviewed = read_review(path, drawn)
    except StillhouseError as error:
        return Finding(Verdict.INCONCLUSIVE, str(error), {"file": path})
    found_wrong = judge_review(reviewed, defect_limit=spec.defect_limit)
    wrong = reviewed.filter(~pl.col("correct")).select("prompt_id", "text", "answer", "reviewer", "note")
    return Finding(
        found_wrong.verdict,
        found_wrong.sentence,
        {"file": path, "defects": offenders(wrong)},
        observed=found_wrong.interval[1],  # the highest share that the sample allows has to be within the limit
        limit=spec.defect_limit,
    )


GATES = gates_of_module(__name__, SUITE)
