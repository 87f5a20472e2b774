"""Gates on the teacher's signal: may anything be learned from what this teacher said?

The expectations on single columns are in expectations/teacher_signal.py.
"""

import secrets
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from checks.expectations.teacher_signal import SUITE
from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, offenders, passed_if
from checks.members import worst_of
from stillhouse.data.splits import keyed_uniform
from stillhouse.errors import StillhouseError
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.losses import Gives
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.stages.asking import teachers_of
from stillhouse.stages.facts import SignalFacts, TeacherFacts
from stillhouse.stages.pilot import MOST_REFUSED
from stillhouse.stages.teacher_signal import review_path
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.softmax import log_softmax
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks import as_people_read_it
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import outputs_for, with_answers
from stillhouse.teachers.causal_lm import CausalLmTeacher
from stillhouse.teachers.columns import ERROR
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.flips import flips, flips_by_chance, heard_twice
from stillhouse.teachers.label_errors import likely_label_errors
from stillhouse.teachers.review import judge_review, read_review
from stillhouse.teachers.signal import largest_change, signal_store
from stillhouse.teachers.teacher import Teacher


@gate(
    "a student learns nothing about a prompt that was skipped",
    remedy="correct the answers and run again; or, where so many without one are known and accepted, say so in "
    "`limits.unanswered_prompts_at_most`",
)
def every_prompt_was_answered(context: GateContext) -> Finding:
    """Each prompt of the very prompt set that was asked."""
    prompts = context.made_from("prompts").frame("prompts")
    signal = context.frame("signal")
    missing = prompts.join(signal, on="prompt_id", how="anti")
    why = ["failure", *([ERROR] if ERROR in signal.columns else [])]
    silent = prompts.select("prompt_id", "text").join(
        signal.filter(pl.col("failure").is_not_null()).select("prompt_id", *why), on="prompt_id"
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
    artifact = context.made_from("teacher")
    whole = artifact.facts(TeacherFacts)
    asked = {name: facts for name, facts in whole.by_member.items() if facts.kind is not TeacherKind.STORED}
    if not asked:
        answers = whole.fingerprint[:12]
        return passed_if(True, f"this teacher cannot be asked again: what it said is kept, as {answers}")
    opened, key = teachers_of(artifact, context.recipe.teacher, context.builds), secrets.token_hex(8)
    findings = {}
    for name, facts in asked.items():
        answered = prompts.join(_recorded(context, prompts, name, facts), on="prompt_id")
        if answered.is_empty():
            return passed_if(True, "this batch has no answered prompts")
        teacher = opened[name]
        if isinstance(teacher, EndpointTeacher):
            findings[name] = _few_answers_changed(context, teacher, facts, answered)
        else:
            findings[name] = _outputs_are_as_recorded(context.recipe.limits, teacher, answered, key)
    return worst_of(findings)


def _recorded(context: GateContext, prompts: pl.DataFrame, member: str, facts: TeacherFacts) -> pl.DataFrame:
    """What a teacher said: the artifact's own rows, or what is kept under the fingerprint of a member."""
    if not member:
        return context.frame("signal")
    return signal_store(context.builds).read(prompts["prompt_id"].to_list(), facts.fingerprint)


def _outputs_are_as_recorded(limits: GateLimits, teacher: Teacher, answered: pl.DataFrame, key: str) -> Finding:
    """A model of this machine is asked a few prompts again."""
    # In bfloat16, which has three digits, rounding adds up.
    in_bfloat16 = isinstance(teacher, CausalLmTeacher) and teacher.asked.dtype == "bfloat16"
    limit = limits.canary_difference_bfloat16_at_most if in_bfloat16 else limits.canary_difference_at_most
    asked = drawn(answered, key, limits.canary_prompts)
    difference = largest_change(teacher, asked)
    return passed_if(
        difference <= limit,
        f"largest change of a logit over {asked.height} prompts {difference:.2g}, limit {limit:g} (drawn by key {key})",
        observed=difference,
        limit=limit,
        key=key,
        asked=asked["prompt_id"].to_list(),
    )


def _few_answers_changed(
    context: GateContext, teacher: EndpointTeacher, facts: TeacherFacts, answered: pl.DataFrame
) -> Finding:
    """An endpoint is asked some prompts again once a day, and on occasions, which is paid like any call."""
    said, day = facts.said, context.occasion or today().isoformat()
    assert said is not None
    asked = drawn(with_answers(answered, facts.task), day, context.recipe.limits.canary_flips_prompts)
    if said.asked_twice == 0:
        return Finding(Verdict.INCONCLUSIVE, "the pilot asked nothing twice, so nobody knows what changes by itself")
    try:
        again = teacher.replies(asked, f"the canary of {day}").answers
    except StillhouseError as error:  # the cap, or a server that is away
        return Finding(Verdict.INCONCLUSIVE, f"it could not be asked again: {error.what}")
    heard = heard_twice(asked, again)
    turned_away = asked.height - heard.height
    if turned_away > MOST_REFUSED * asked.height:
        what = f"its server turned {turned_away} of {asked.height} prompts away, now or when they were recorded ({day})"
        return Finding(Verdict.INCONCLUSIVE, f"{what}, so nobody knows whether the model behind it has changed")
    changed = flips(heard, again, context.recipe.data.tolerance)
    by_chance = flips_by_chance(heard.height, seen=said.flips, of=said.asked_twice)
    return passed_if(
        changed <= by_chance,
        f"{changed} of {heard.height} prompts are answered otherwise than recorded ({day}); up to {by_chance} may be "
        f"by chance, since {said.flips} of {said.asked_twice} were when the pilot asked twice"
        + (f"; {turned_away} more were turned away" if turned_away else ""),
        observed=changed / heard.height,
        limit=by_chance / heard.height,
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
    rows = context.frame("signal").join(prompts.select("prompt_id", "text", "label"), on="prompt_id")
    if rows.is_empty():
        return passed_if(not context.is_base, "there are no labelled validation rows")
    task = context.artifact.facts(SignalFacts).task
    judged = with_answers(rows, task)
    wrong = judged.filter(pl.col("answer").ne_missing(pl.col("label")))
    if context.recipe.gives_numbers:  # of two that are near enough the texts differ
        given = rows.filter(pl.col("logits").is_not_null())
        right_ones = given.filter(task.right(outputs_for(given, task), task.targets(given["label"])))
        wrong = wrong.join(right_ones, on="prompt_id", how="anti", maintain_order="left")
    shown = wrong.select("prompt_id", *(_in_words(task, wrong, column) for column in ("label", "answer")))
    right, minimum = rows.height - wrong.height, context.recipe.teacher.minimum_accuracy
    low, high = wilson_interval(right, rows.height)
    return passed_if(
        right / rows.height >= minimum,
        f"{right / rows.height:.3f} of {rows.height:,} rows right ({low:.3f} to {high:.3f}), minimum {minimum:.3f}",
        observed=right / rows.height,
        limit=minimum,
        wrong=offenders(shown),
    )


def _in_words(task: Task, rows: pl.DataFrame, column: str) -> pl.Series:
    """Labels or answers to texts, as people read them."""
    said = rows.select(column, "text").iter_rows()
    shown = [None if each is None else as_people_read_it(task, each, text) for each, text in said]
    return pl.Series(column, shown, dtype=pl.String)


@gate(
    "a tenth of wrong labels costs a student more than most architectures give, and golden labels come from there too",
    about_classes=True,
)
def few_labels_look_wrong(context: GateContext) -> Finding:
    """Confident learning on known labels that the teacher was not trained on: validation rows and later batches. A set
    looks wrong where one of its labels does, or one that is missing.

    By the probabilities of a teacher that computes here, or by their mean over an ensemble whose members all give some.
    Those that one server or one file gives are not used: its errors look like those of labels.
    """
    prompts = context.made_from("prompts").frame("prompts")
    unseen = ["validation"] if context.is_base else ["train", "validation"]
    task = context.artifact.facts(SignalFacts).task
    if not task.decisions(np.empty((0, len(task.names))), task.targets(pl.Series([], dtype=pl.String))):
        return Finding(Verdict.INCONCLUSIVE, "confident learning needs classes, and the answers are none")
    teacher = context.recipe.teacher
    if not teacher.computes_here and not (teacher.members and teacher.gives is Gives.PROBABILITIES):
        return passed_if(
            True,
            "the errors of a teacher that answers elsewhere, or by votes, look like those of labels, so the "
            "probabilities that it may give are not used",
        )
    known = prompts.filter(pl.col("split").is_in(unseen) & task.holds(prompts["label"]))
    # Of an ensemble a few rows may have no answer, and nothing of a label.
    answered = context.frame("signal").filter(pl.col("logits").is_not_null())
    rows = answered.join(known.select("prompt_id", "text", "label"), on="prompt_id")
    if rows.is_empty():
        return passed_if(True, "no label of this batch can be held against the teacher")
    decisions = task.decisions(outputs_for(rows, task), task.targets(rows["label"]))
    suspect = [likely_label_errors(np.exp(log_softmax(logits)), given) for logits, given in decisions]
    wrong = with_answers(rows, task).filter(np.any(suspect, axis=0))
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
