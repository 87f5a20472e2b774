"""Why a student misses the bar, and the one thing to change next.

"The student is worse" is never the last sentence: a student that misses has a reason, found by a table of rules from
what was measured, and one change, so that the next round can tell whether it was that.

Belongs here: the record of a student's reasons and the table of rules.
Does not: measuring (generalisation.py, data_scaling.py, capacity.py), showing it (report/).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from stillhouse.base import Record
from stillhouse.error_analysis.capacity import BatchTrial
from stillhouse.error_analysis.data_scaling import RowsCurve
from stillhouse.error_analysis.generalisation import TEACHER, FitRegime, Generalisation
from stillhouse.evaluation.claims import Claim, ClaimKind
from stillhouse.evaluation.harness import Evaluation
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent, points

ERROR_ANALYSIS = "error_analysis.json"

EPOCHS_ENOUGH = 20
"""A student that has seen every row so often and does not fit them will not by seeing them again. Longer training is
recommended up to here, by doubling, so it ends: after this the reason is capacity."""

DROPOUT_ENOUGH = 0.1
"""BERT's own (Devlin et al. 2019, arXiv:1810.04805); a student that overfits with it needs another cure."""

AS_GOOD = 0.5
"""Share of the margin up to which a measured drop is one that more golden rows would pass: at most four times as many
as an equal student needs."""


class Cause(StrEnum):
    """What is in the way."""

    LEAK = "leak"
    BUDGET = "budget"
    EVIDENCE = "evidence"
    TEACHER = "teacher"
    CAPACITY = "capacity"
    TRAINING = "training"
    DATA = "data"
    UNDECIDED = "undecided"


class Made(Record):
    """How a student was made, as far as a change would begin there."""

    layers: int = Field(description="Encoder layers it has.")
    teacher_layers: int = Field(description="Encoder layers that its teacher has.")
    feed_forward: int | None = Field(description="Units of each feed-forward block; null for all of its teacher's.")
    epochs: int = Field(description="Passes over its rows.")
    dropout: float = Field(description="While training.")
    rows: int = Field(description="Rows it learned from.")
    learned_from: str = Field(
        TEACHER,
        exclude_if=lambda whom: whom == TEACHER,
        description="Whose answers it learned: of a chain its parent's.",
    )


class Conclusion(Record):
    """Why a student misses the bar."""

    cause: Cause
    evidence: str = Field(description="What was measured, in one sentence.")
    change: str = Field(description="The one thing to change next.")

    @property
    def sentence(self) -> str:
        """All of it in a line or two."""
        return f"{self.cause}: {self.evidence}. Next: {self.change}."


class ErrorAnalysis(Record):
    """Why one student is as good as it is."""

    student: str = Field(description="Under which name it was judged, in the precision that stands for it.")
    candidate: str = Field(description="Content digest of the trained student that was asked.")
    made: Made
    generalisation: Generalisation
    capacity: BatchTrial | None = Field(description="Null where it was not needed.")
    more_rows: RowsCurve | None = Field(description="Null where it was not needed.")
    conclusion: Conclusion | None = Field(description="Null for a student that clears the bar.")


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Args:
        missed: binding claims on quality, overall or of a slice, that do not hold, the gravest first.
        over_budget: binding claims on the budget that do not hold.
        as_good: no claim on quality has failed, and the measured drop is at most half of the margin.
        made: how the student was made.
        generalisation: of the student.
        capacity: measured where training may be in the way.
        more_rows: likewise.
        parent_misses: what of the quality does not hold of the parent whose answers it learned; empty where all does.
    """

    missed: tuple[Claim, ...]
    over_budget: tuple[Claim, ...]
    as_good: bool
    made: Made
    generalisation: Generalisation
    capacity: BatchTrial | None = None
    more_rows: RowsCurve | None = None
    parent_misses: str = ""

    @property
    def regime(self) -> FitRegime:
        """How the student generalises."""
        return self.generalisation.regime

    @property
    def training_is_asked(self) -> bool:
        """Whether the reason is to be looked for in how the student was made, which costs short trainings."""
        return not any(rule.applies(self) for rule in RULES if rule.known_before_trials)

    @property
    def cannot_learn_a_batch(self) -> bool:
        """Whether it is too small for a handful of rows."""
        return self.capacity is not None and not self.capacity.memorised

    def decided(self, verdict: Verdict) -> bool:
        """Whether this is what the learning curve by rows says."""
        return self.more_rows is not None and self.more_rows.verdict is verdict


def facts_of(
    evaluation: Evaluation,
    made: Made,
    generalisation: Generalisation,
    capacity: BatchTrial | None = None,
    more_rows: RowsCurve | None = None,
    parent: Evaluation | None = None,
) -> Facts:
    """Take from an evaluation what the rules look at, and from that of the parent whose answers it learned."""
    missed = tuple(claim for claim in evaluation.gravest if claim.group != "budget")
    drop = (evaluation.metric_test or evaluation.non_inferiority).drop
    return Facts(
        missed=missed,
        over_budget=tuple(claim for claim in evaluation.gravest if claim.group == "budget"),
        as_good=all(claim.verdict is not Verdict.FAIL for claim in missed) and drop <= AS_GOOD * evaluation.bar.margin,
        made=made,
        generalisation=generalisation,
        capacity=capacity,
        more_rows=more_rows,
        parent_misses="" if parent is None else next((c.sentence for c in parent.gravest if c.group != "budget"), ""),
    )


def conclude(facts: Facts) -> Conclusion | None:
    """Name the reason of a student that misses the bar by the first rule that applies.

    Args:
        facts: of the student; where `training_is_asked`, with capacity and the learning curve by rows.

    Returns:
        The reason; None for a student that misses nothing.
    """
    if not facts.missed and not facts.over_budget:
        return None
    rule = next(rule for rule in RULES if rule.applies(facts))
    return Conclusion(cause=rule.cause, evidence=rule.evidence(facts), change=rule.change(facts))


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Args:
        cause: the reason it gives.
        applies: whether it does.
        evidence: what it rests on, in one sentence without its stop.
        change: the one change to try next.
        known_before_trials: whether it needs no short training to be decided.
    """

    cause: Cause
    applies: Callable[[Facts], bool]
    evidence: Callable[[Facts], str]
    change: Callable[[Facts], str]
    known_before_trials: bool = False


def _kinds_missed(facts: Facts) -> set[ClaimKind]:
    return {claim.kind for claim in facts.missed}


def _misses_only_floors(facts: Facts) -> bool:
    """Whether all that does not hold asks for so much whatever the teacher does: it is within each margin of it."""
    return _kinds_missed(facts) <= {ClaimKind.FLOOR, ClaimKind.SLICE_FLOOR, ClaimKind.FIELD_FLOOR}


def _misses_nothing_relative(facts: Facts) -> bool:
    """Whether it is within each margin of its teacher, and fails what else the bar asks."""
    return _kinds_missed(facts).isdisjoint({ClaimKind.NON_INFERIORITY, ClaimKind.SLICE, ClaimKind.FIELD})


def _gravest(facts: Facts) -> str:
    return (facts.missed or facts.over_budget)[0].sentence


def _generalises(facts: Facts) -> str:
    return facts.generalisation.sentence


def _curve(facts: Facts) -> str:
    return facts.more_rows.sentence if facts.more_rows else "more rows were not tried"


def _fit(facts: Facts) -> str:
    made, fit = facts.made, facts.generalisation.counts.training_agreement
    return f"after {made.epochs} epochs it answers as {made.learned_from} does on only {fit} rows that it learned from"


def _batch(facts: Facts) -> str:
    trial = facts.capacity
    if trial is None:
        return "capacity was not measured"
    able = "can memorise" if trial.memorised else "cannot memorise"
    return (
        f"it {able} one batch of {trial.rows} answers in {trial.steps} steps ("
        f"{percent(trial.agreement)} agree, {percent(trial.divergence_left)} of the divergence left)"
    )


def _gap(facts: Facts) -> str:
    counts, gap = facts.generalisation.counts, facts.generalisation.gap or 0.0
    return (
        f"it loses {points(gap)} points of agreement from rows that it learned from ({counts.training_agreement}) to "
        f"new ones of the same kind ({counts.comparable_agreement})"
    )


def _larger(facts: Facts) -> str:
    made = facts.made
    if made.layers < made.teacher_layers:
        return f"keep {made.layers + 1} of the teacher's {made.teacher_layers} layers instead of {made.layers}"
    if made.feed_forward is not None:
        return f"keep more feed-forward units than {made.feed_forward}"
    return "nothing of the teacher is left to keep: take a larger teacher, or serve this one"


def _smaller(made: Made) -> str:
    if made.layers > 1:
        return "keep one layer less of the teacher"
    if made.layers == 1:
        return "keep fewer feed-forward units of the teacher"
    return "give its vectors fewer dimensions"


def _double_rows(facts: Facts) -> str:
    return (
        f"double the training rows, to {2 * facts.made.rows:,}; unlabelled rows are enough, since the teacher answers"
    )


RULES: tuple[Rule, ...] = (
    Rule(
        Cause.LEAK,
        lambda facts: facts.regime is FitRegime.LEAK,
        _generalises,
        lambda facts: (
            "find what validation rows share with training rows and golden ones do not (copies in other words, "
            "rows of one person), name it in data.group, and judge again before anything else is changed"
        ),
        known_before_trials=True,
    ),
    Rule(
        Cause.BUDGET,
        lambda facts: not facts.missed and all(claim.verdict is not Verdict.FAIL for claim in facts.over_budget),
        _gravest,
        lambda facts: "raise budget.latency_rounds, or rerun on an idle machine",
        known_before_trials=True,
    ),
    Rule(
        Cause.BUDGET,
        lambda facts: not facts.missed,
        lambda facts: f"it holds the quality, but not the budget: {_gravest(facts)}",
        lambda facts: _smaller(facts.made),
        known_before_trials=True,
    ),
    Rule(
        Cause.EVIDENCE,
        lambda facts: facts.as_good,
        _gravest,
        lambda facts: (
            "label more golden rows, or raise split.golden_share: no better student could prove more on these"
        ),
        known_before_trials=True,
    ),
    Rule(
        Cause.TEACHER,
        _misses_only_floors,
        lambda facts: (
            f"it is within each margin of its teacher, and {_gravest(facts)}: the teacher itself leaves no room"
        ),
        lambda facts: "give the teacher more labelled rows of that kind to learn from, or choose a better teacher",
        known_before_trials=True,
    ),
    Rule(
        Cause.DATA,
        _misses_nothing_relative,
        lambda facts: f"it is within each margin of its teacher, but {_gravest(facts)}",
        lambda facts: (
            "raise split.validation_share, on whose rows its temperature is fitted"
            if facts.missed[0].kind is ClaimKind.CALIBRATION
            else "bring rows of the kind on which it fails; they need no labels, since the teacher answers them"
        ),
        known_before_trials=True,
    ),
    Rule(
        Cause.TEACHER,
        lambda facts: facts.regime is FitRegime.GOOD and facts.parent_misses != "",
        lambda facts: (
            f"it answers as {facts.made.learned_from} does, and that misses the bar itself: {facts.parent_misses}"
        ),
        lambda facts: f"bring {facts.made.learned_from} to the bar first, or set learns_from: teacher",
        known_before_trials=True,
    ),
    Rule(Cause.CAPACITY, lambda facts: facts.cannot_learn_a_batch, _batch, _larger),
    Rule(
        Cause.TRAINING,
        lambda facts: facts.regime is FitRegime.UNDERFIT and facts.made.epochs < EPOCHS_ENOUGH,
        lambda facts: f"{_fit(facts)}, though {_batch(facts)}",
        lambda facts: f"train it for {min(2 * facts.made.epochs, EPOCHS_ENOUGH)} epochs instead of {facts.made.epochs}",
    ),
    Rule(Cause.CAPACITY, lambda facts: facts.regime is FitRegime.UNDERFIT, _fit, _larger),
    Rule(Cause.DATA, lambda facts: facts.decided(Verdict.PASS), _curve, _double_rows),
    Rule(
        Cause.TRAINING,
        lambda facts: (
            facts.regime is FitRegime.OVERFIT and facts.decided(Verdict.FAIL) and facts.made.dropout < DROPOUT_ENOUGH
        ),
        lambda facts: f"{_gap(facts)}, and {_curve(facts)}",
        lambda facts: f"train it with dropout {DROPOUT_ENOUGH:g}",
    ),
    Rule(
        Cause.CAPACITY,
        lambda facts: facts.decided(Verdict.FAIL),
        lambda facts: f"it fits what it learned from, and {_curve(facts)}",
        _larger,
    ),
    Rule(
        Cause.DATA,
        lambda facts: facts.regime is FitRegime.OVERFIT,
        lambda facts: f"{_gap(facts)}; {_curve(facts)}",
        _double_rows,
    ),
    Rule(
        Cause.UNDECIDED,
        lambda facts: True,
        lambda facts: f"it fits what it learned from, and {_curve(facts)}",
        lambda facts: "raise split.validation_share: more validation rows tell whether rows or size are in the way",
    ),
)
"""From what makes other numbers meaningless, over what no training can fix, to what the short trainings showed."""


def write_analyses(folder: Path, analyses: Sequence[ErrorAnalysis]) -> None:
    """Write the analyses of all students into the folder of an artifact."""
    (folder / ERROR_ANALYSIS).write_text(json.dumps([each.model_dump(mode="json") for each in analyses]))


def read_analyses(folder: Path) -> dict[str, ErrorAnalysis]:
    """Read from the folder of an artifact the analysis of each student, by its name."""
    found = [ErrorAnalysis.model_validate(each) for each in json.loads((folder / ERROR_ANALYSIS).read_text())]
    return {each.student: each for each in found}
