"""Which model to take: the smallest that clears the bar, with the next one down shown failing.

Belongs here: choosing among finished evaluations of one golden set.
Does not: measuring them (harness.py), publishing the chosen one (release/).
"""

from collections.abc import Sequence

from pydantic import Field

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import ModelKind
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE


class Selection(Record):
    """The choice and why."""

    winner: str | None = Field(description="Name of the smallest model that clears the bar; null when none does.")
    winner_kind: ModelKind | None = Field(description="A baseline here means: take it, distillation is not needed.")
    next_smaller: str | None = Field(
        description="Name of the largest model smaller than the winner; it does not clear."
    )
    reason: str


def smallest_that_clears(evaluations: Sequence[Evaluation]) -> Selection:
    """Choose the smallest model, by bytes, whose verdict is PASS.

    Args:
        evaluations: of students and baselines; those of controls and teachers are never eligible and are left
            out.

    Returns:
        The winner if there is one, the next smaller one, and the reason in words.

    Raises:
        StillhouseError: if the evaluations are of different golden sets, teachers or terms, or two have one
            name.
    """
    _check_comparable(evaluations)
    eligible = sorted(
        (each for each in evaluations if each.score.kind in (ModelKind.STUDENT, ModelKind.BASELINE)),
        key=lambda each: (each.size_bytes, each.name),
    )
    if not eligible:
        return Selection(winner=None, winner_kind=None, next_smaller=None, reason="no candidate was evaluated")
    position = next((index for index, each in enumerate(eligible) if each.verdict is Verdict.PASS), None)
    if position is None:
        reasons = " ".join(each.summary for each in reversed(eligible))
        return Selection(
            winner=None,
            winner_kind=None,
            next_smaller=None,
            reason=f"none of {len(eligible)} clears the bar. {reasons}",
        )
    winner = eligible[position]
    smaller = eligible[position - 1] if position else None
    taken = (
        f"{winner.name} ({_size(winner)}) is the smallest that clears the bar"
        if winner.score.kind is ModelKind.STUDENT
        else f"take the baseline {winner.name} ({_size(winner)}): it clears the bar, so no student is needed"
    )
    below = f"The next smaller, at {_size(smaller)}: {smaller.summary}" if smaller else "Nothing smaller was tried."
    luck = f" But {winner.seeds.warning}." if winner.seeds and winner.seeds.warning else ""
    return Selection(
        winner=winner.name,
        winner_kind=winner.score.kind,
        next_smaller=smaller.name if smaller else None,
        reason=f"{taken}. {below}{luck}",
    )


def _size(evaluation: Evaluation) -> str:
    return f"{evaluation.size_bytes / MEGABYTE:.3g} MB"


def _check_comparable(evaluations: Sequence[Evaluation]) -> None:
    terms = {(each.golden_digest, each.teacher.digest, each.terms.model_dump_json()) for each in evaluations}
    if len(terms) > 1:
        raise StillhouseError(
            "the evaluations are of different golden sets, teachers or terms",
            where=", ".join(each.name for each in evaluations),
            expected="one golden digest, one teacher, and the same asked of each",
            do="Evaluate them all again on the current golden set.",
        )
    names = [each.name for each in evaluations]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise StillhouseError(
            "a name is used by more than one evaluation",
            where=", ".join(repeated),
            expected="one evaluation for each model",
            do="Rename the candidate or leave the older evaluation out.",
        )
