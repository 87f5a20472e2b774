"""Whether distillation was worth it, against the same student trained on labels only; and whether each further step of
it was, against the same student without it: a student between, rationales, weights by the agreement of an ensemble.

Belongs here: the paired comparison of two models that are not the teacher.
Does not: the bar (harness.py); a student may help and still miss it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.measures.seeds import SeedGain, gain_over_seeds, logits_by_seed
from stillhouse.evaluation.models import EvaluatedModel, align, golden_targets
from stillhouse.statistics.accuracy_test import non_inferiority_from_counts
from stillhouse.statistics.proportions import McNemar, paired_mcnemar
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.task import Task
from stillhouse.wording import points

COMPARISONS = "comparisons.json"
ALPHA = 0.05
"""One-sided error rate of the exact test."""
SMALLEST_GAIN = 0.01
"""A gain that is proven to be under this counts as none."""

Against = Literal["labels", "direct", "without_rationales", "unweighted"]
"""What a student is compared with: the same one trained on labels alone, or without a further step."""
_SUBJECTS: dict[Against, tuple[str, str]] = {
    "labels": ("distillation", "the control trained on labels only"),
    "direct": ("a student between", "the one that the teacher taught at once"),
    "without_rationales": ("learning from rationales", "the one that learned from the answers alone"),
    "unweighted": ("weighing rows by agreement", "the one to which all rows count alike"),
}


class Comparison(Record):
    """The distilled student beside its control."""

    student: str
    control: str
    against: Against = Field(
        default="labels",
        description="labels = the control learned from labels alone; direct = it was cut from the teacher and taught "
        "by it, without a student between; without_rationales = it learned from the teacher's answers and not from "
        "why; unweighted = rows on which members of an ensemble disagree count as others do.",
    )
    gain: float = Field(description="Student accuracy minus control accuracy.")
    gain_interval: tuple[float, float] = Field(description="Two one-sided 1 - alpha bounds of the gain.")
    test: McNemar = Field(description="First is the student, second is the control.")
    over_seeds: SeedGain | None = Field(
        default=None, description="The gain on the mean of the seeds of each; null where one of them has one seed."
    )
    verdict: Verdict = Field(description="PASS if distillation is shown to have helped, FAIL if not to have.")
    sentence: str


def compare_with_control(
    student: EvaluatedModel,
    control: EvaluatedModel,
    golden: pl.DataFrame,
    *,
    task: Task,
    against: Against = "labels",
) -> Comparison:
    """Say whether learning from the teacher beat learning from the labels alone, on the same golden rows.

    A win has to be one of the two models that were trained, by the exact McNemar test, which knows no other source of
    chance than the rows: two equal models differ by the luck of their seeds, and with rows enough it takes that for a
    difference. So where both were trained with further seeds a win has to hold on the mean of the seeds too, against
    the spread between seeds and between rows (`seeds.gain_over_seeds`). With one seed on either side nothing is known
    of that spread; the first test decides alone, and the sentence says so.

    Args:
        student: the distilled student.
        control: the same architecture, data and steps, trained on labels only.
        golden: `prompt_id`, `label`.
        task: what an answer is.
        against: what the control is; the rule is the same for both.

    Returns:
        The gain with its bounds, the exact test, and the verdict in words.

    Raises:
        StillhouseError: if the outputs and the golden rows do not line up.
    """
    targets = golden_targets(golden, task)
    correct, control_correct = (task.right(align(each, golden, task), targets) for each in (student, control))
    test = paired_mcnemar(correct, control_correct)
    # A drop from student to control is a gain of the student; the bounds come from the same score test.
    bounds = non_inferiority_from_counts(
        test.first_only, test.second_only, test.rows, margin=SMALLEST_GAIN, alpha=ALPHA
    )
    over_seeds = _over_seeds(student, control, golden, task)
    verdict = decide(test, bounds.drop_upper_bound, over_seeds)
    subject, other = _SUBJECTS[against]
    said = {
        Verdict.PASS: f"{subject} helped",
        Verdict.FAIL: f"{subject} did not help",
        Verdict.INCONCLUSIVE: f"cannot tell whether {subject} helped",
    }
    sentence = (
        f"{said[verdict]}: {student.name} is {points(abs(bounds.drop))} points "
        f"{'above' if bounds.drop >= 0 else 'below'} {other}, "
        f"{points(bounds.drop_lower_bound)} to {points(bounds.drop_upper_bound)} "
        f"(exact McNemar, one-sided p = {test.p_first_better:.2g}"
        f"{', on one seed)' if over_seeds is None else f'); {_spread_in_words(over_seeds)}'}"
        f"{'' if min(test.p_first_better, test.p_second_better) < ALPHA else f'; {_nothing(test)}'}"
    )
    return Comparison(
        student=student.name,
        control=control.name,
        against=against,
        gain=bounds.drop,
        gain_interval=(bounds.drop_lower_bound, bounds.drop_upper_bound),
        test=test,
        over_seeds=over_seeds,
        verdict=verdict,
        sentence=sentence,
    )


def decide(test: McNemar, upper: float, over_seeds: SeedGain | None) -> Verdict:
    """Apply the rule of `compare_with_control` to what was measured.

    Args:
        test: of the two models that were trained, the student first.
        upper: upper bound of the gain of that pair.
        over_seeds: the gain over seeds, None where one side has one seed.
    """
    if test.p_first_better < ALPHA and (over_seeds is None or over_seeds.lower > 0):
        return Verdict.PASS
    if test.p_second_better < ALPHA and (over_seeds is None or over_seeds.upper < 0):
        return Verdict.FAIL
    if upper < SMALLEST_GAIN and (over_seeds is None or over_seeds.upper < SMALLEST_GAIN):
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


def _over_seeds(student: EvaluatedModel, control: EvaluatedModel, golden: pl.DataFrame, task: Task) -> SeedGain | None:
    first, second = (logits_by_seed(model, golden, task) for model in (student, control))
    if not first or not second:
        return None
    targets = golden_targets(golden, task)
    correct, control_correct = (
        np.array([task.right(logits, targets) for logits in by_seed.values()]) for by_seed in (first, second)
    )
    return gain_over_seeds(correct, control_correct, alpha=ALPHA)


def _nothing(test: McNemar) -> str:
    """A difference that is not shown, in rows: points hide how few they are."""
    rows = abs(test.first_only - test.second_only)
    return f"a difference of {rows:,} of {test.rows:,} rows is nothing, chance alone gives as much"


def _spread_in_words(gain: SeedGain) -> str:
    within = "" if gain.lower > 0 or gain.upper < 0 else ", within the spread"
    return (
        f"on the mean of {gain.first_seeds} and {gain.second_seeds} seeds {points(abs(gain.gain))} points "
        f"{'above' if gain.gain >= 0 else 'below'}, {points(gain.lower)} to {points(gain.upper)}{within}"
    )


def write_comparisons(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """Write comparisons into the folder of an artifact."""
    (folder / COMPARISONS).write_text(json.dumps([each.model_dump(mode="json") for each in comparisons]))


def read_comparison(folder: Path, student: str) -> Comparison | None:
    """Read from the folder of an artifact how a student compares with its control; None if it has none."""
    controls = (each for each in _comparisons(folder) if each.against == "labels")
    return next((comparison for comparison in controls if comparison.student == student), None)


def read_ablations(folder: Path) -> list[Comparison]:
    """Read how each student with a further step compares with the same one without it."""
    return [each for each in _comparisons(folder) if each.against != "labels"]


def _comparisons(folder: Path) -> list[Comparison]:
    return [Comparison.model_validate(each) for each in json.loads((folder / COMPARISONS).read_text())]
