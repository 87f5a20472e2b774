"""Gates on the teacher's signal: may anything be learned from what this teacher said?

The expectations on single columns are in expectations/teacher_signal.py.
"""

import polars as pl

from assets.teacher import MODEL
from assets.teacher_signal import answered_labels
from checks.expectations.teacher_signal import SUITE
from checks.gate import Finding, StageGates, Subject, found, gate, offenders
from stillhouse.evaluation.statistics import wilson_interval
from stillhouse.teachers.signal import largest_change

CANARY_PROMPTS = 16
CANARY_TOLERANCE = 1e-3


@gate("a prompt that was skipped in silence is a hole in what the student knows")
def every_prompt_was_answered(subject: Subject) -> Finding:
    """Each prompt of the very prompt set that was asked."""
    prompts = subject.made_from("prompts").frame("prompts")
    missing = prompts.join(subject.frame("signal"), on="prompt_id", how="anti")
    return found(
        missing.is_empty(),
        f"{missing.height:,} of {prompts.height:,} prompts have no answer",
        missing=offenders(missing.select("prompt_id", "text")),
    )


@gate("a teacher that changed in silence gives answers that nobody evaluated")
def the_canary_answers_as_recorded(subject: Subject) -> Finding:
    """A few fixed prompts are asked again; the largest change of a logit is what is left of the teacher's constancy."""
    prompts = subject.made_from("prompts").frame("prompts").select("prompt_id", "text")
    teacher = subject.made_from("teacher")
    signal = subject.frame("signal").select("prompt_id", "logits")
    asked = (
        prompts.sort("prompt_id").head(CANARY_PROMPTS).join(signal, on="prompt_id", how="left", maintain_order="left")
    )
    difference = largest_change(teacher.folder / MODEL, asked)
    return found(
        difference <= CANARY_TOLERANCE,
        f"largest change of a logit over {asked.height} prompts {difference:.2g}, limit {CANARY_TOLERANCE:g}",
    )


@gate("what is wrong on labelled rows is wrong as often on the rows that nobody can check")
def it_is_right_on_the_rows_that_can_be_checked(subject: Subject) -> Finding:
    """Validation rows, which the teacher never trained on."""
    prompts = subject.made_from("prompts").frame("prompts").filter(pl.col("split") == "validation")
    rows = subject.frame("signal").join(prompts.select("prompt_id", "label"), on="prompt_id")
    answers = answered_labels(rows, subject.artifact.facts["labels"])
    right, minimum = int((answers == rows["label"]).sum()), subject.recipe.teacher.minimum_accuracy
    low, high = wilson_interval(right, rows.height)
    wrong = (
        rows.with_columns(answers).filter(pl.col("answer") != pl.col("label")).select("prompt_id", "label", "answer")
    )
    return found(
        right / rows.height >= minimum,
        f"{right / rows.height:.3f} of {rows.height:,} rows right ({low:.3f} to {high:.3f}), minimum {minimum:.3f}",
        wrong=offenders(wrong),
    )


GATES = StageGates(
    (every_prompt_was_answered, the_canary_answers_as_recorded, it_is_right_on_the_rows_that_can_be_checked), SUITE
)
