"""Whether a student that wants to serve is no worse than the one that serves: both asked the same golden rows.

Belongs here: the paired comparison of challenger and champion, and its verdict in words.
Does not: which release is the champion (stillhouse/records/champions.py), asking the models
(assets/selection.py), the bar, which is about the teacher (harness.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.evaluation.claims import Claim, champion_claims, overall
from stillhouse.evaluation.measures.bar_metric import bar_metric_test
from stillhouse.evaluation.models import golden_targets, group_codes
from stillhouse.evaluation.slices.declared import right_by_part, slice_masks, slice_table, with_fields
from stillhouse.recipe.bar import Terms
from stillhouse.recipe.data import ScoreSpec
from stillhouse.records.champions import Served
from stillhouse.statistics.accuracy_test import NonInferiority, paired_non_inferiority
from stillhouse.statistics.metric_test import MetricTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks import answers_with_sets
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task


class AgainstChampion(Record):
    """What the comparison shows. Only PASS lets the challenger go on."""

    verdict: Verdict
    sentence: str
    release: str | None = Field(default=None, description="Digest of the champion's release; null where there is none.")
    champion: str | None = Field(default=None, description="The champion's student.")
    rows: int = Field(default=0, description="Golden rows that both were asked.")
    learned_rows: int = Field(
        default=0, description="Golden rows left out, because the champion was trained or tuned on them."
    )
    champion_accuracy: float | None = None
    challenger_accuracy: float | None = None
    test: NonInferiority | MetricTest | None = Field(
        default=None,
        description="On all rows, with the champion in the teacher's place, the challenger in the student's.",
    )
    claims: tuple[Claim, ...] = Field(
        default=(), description="All rows first, then each critical slice and field; all bind."
    )


@dataclass(frozen=True)
class Answers:
    """What one model says to the golden rows.

    Args:
        logits: shape (golden rows, labels).
        labels: names in logit order.
    """

    logits: FloatArray
    labels: Sequence[str]

    def over(self, classes: Sequence[str]) -> FloatArray:
        """Logits of shape (golden rows, classes), in the order of other classes; minus infinity for one it never knew.

        An answer that is no longer a class is left out, so that its second choice counts: in its favour, if at all.
        """
        index_of = {label: index for index, label in enumerate(self.labels)}
        logits = np.full((len(self.logits), len(classes)), -np.inf)
        for index, name in enumerate(classes):
            if name in index_of:
                logits[:, index] = self.logits[:, index_of[name]]
        return logits


def in_the_numbers_of(task: Task, outputs: FloatArray, champion: ScoreSpec | None) -> FloatArray:
    """A champion's outputs as those of a task: where the recipe has other ends of the numbers now, they mean others.

    Args:
        task: what an answer is.
        outputs: shape (golden rows, outputs), of the champion.
        champion: what its own recipe says of its numbers; None where its answers are labels.
    """
    if champion is None or not isinstance(task, NumericScore):
        return outputs
    return task.outputs(NumericScore.of(champion).numbers(outputs))


def no_champion(sentence: str) -> AgainstChampion:
    """The verdict where there is nobody to be compared with."""
    return AgainstChampion(verdict=Verdict.PASS, sentence=sentence)


def cannot_be_asked(rival: Served, why: str) -> AgainstChampion:
    """The verdict where the champion's bundle cannot be opened or loaded."""
    return AgainstChampion(
        verdict=Verdict.INCONCLUSIVE,
        sentence=f"{in_words(rival)} cannot be asked the golden rows: {why}",
        release=rival.release,
        champion=rival.student,
    )


def in_words(rival: Served) -> str:
    """What sentences call a champion."""
    return f"the champion {rival.deployed.in_words}"


def compare_with_champion(
    rival: Served,
    champion: Answers,
    challenger: Answers,
    golden: pl.DataFrame,
    terms: Terms,
    *,
    task: Task,
    groups: str | None = None,
    learned: Collection[str] = (),
) -> AgainstChampion:
    """Test that a challenger is not worse than the champion by the margin or more.

    By the tests that hold a student against its teacher (accuracy_test.py, metric_test.py), with the champion in the
    teacher's place: on all rows in the bar's metric at its error rate, and in accuracy on each critical slice and of
    each critical field, which share one error rate by Holm's procedure.

    Args:
        rival: the champion.
        champion: its answers to the golden rows, in their order.
        challenger: the challenger's, likewise.
        golden: `prompt_id`, `label` and the slice columns.
        terms: bar and slices; the margin is `bar.champion_margin`, else the bar's own, on a slice its own first.
        task: what an answer is, in the teacher's order.
        groups: golden column whose equal values are rows that stand or fall together.
        learned: prompt ids that the champion was trained or tuned on, under another split; left out for both.

    Returns:
        The comparison; INCONCLUSIVE where no golden row is left.
    """
    fresh = ~golden["prompt_id"].is_in(list(learned))
    rows, kept = golden.filter(fresh), fresh.to_numpy()
    who = in_words(rival)
    if rows.is_empty():
        return cannot_be_asked(rival, f"it learned from all {golden.height:,} of them, when another split was in force")
    targets = golden_targets(rows, task)
    of_champion, of_challenger = champion.over(task.names)[kept], challenger.over(task.names)[kept]
    right, challenger_right = task.right(of_champion, targets), task.right(of_challenger, targets)
    whole = None if groups is None else group_codes(rows, groups)
    margin = terms.bar.champion_margin or terms.bar.margin
    test = (
        paired_non_inferiority(right, challenger_right, margin=margin, alpha=terms.bar.alpha)
        if terms.bar.metric == "accuracy" and whole is None
        else bar_metric_test(terms.bar, task, targets, of_champion, of_challenger, groups=whole, margin=margin)
    )
    critical = [spec.model_copy(update={"floor": None}) for spec in terms.slices if spec.critical]
    fields = [spec.model_copy(update={"floor": None}) for spec in terms.bar.judged_fields if spec.critical]
    slices = slice_table(
        [*critical, *fields],
        with_fields(
            slice_masks(rows, critical, are_sets=answers_with_sets(task)),
            fields,
            task,
            targets,
            of_champion,
            of_challenger,
        ),
        right_by_part(right, len(critical), fields, task, of_champion, targets),
        right_by_part(challenger_right, len(critical), fields, task, of_challenger, targets),
        margin=margin, alpha=terms.bar.alpha, groups=whole,
    )  # fmt: skip
    claims = champion_claims(test, slices, who)
    verdict = overall(claims)
    deciding = next(claim for claim in claims if claim.verdict is verdict)
    left_out = golden.height - rows.height
    of_them = f"; {left_out:,} golden rows that it learned from are left out" if left_out else ""
    return AgainstChampion(
        verdict=verdict,
        sentence=f"{deciding.sentence}, only the champion right on {_lost(right, challenger_right)} and only the "
        f"challenger on {_lost(challenger_right, right)} of {rows.height:,} rows{of_them}",
        release=rival.release,
        champion=rival.student,
        rows=rows.height,
        learned_rows=left_out,
        champion_accuracy=float(right.mean()),
        challenger_accuracy=float(challenger_right.mean()),
        test=test,
        claims=tuple(claims),
    )


def _lost(first: BoolArray, second: BoolArray) -> int:
    return int(np.count_nonzero(first & ~second))
