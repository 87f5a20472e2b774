"""Whether a student does on new rows what it does on the rows that it learned from, and if not, in which way.

Belongs here: the counts of that comparison and the regime that they put a student into.
Does not: asking the models (assets/error_analysis.py), what is to be done about it (rules.py).
"""

from enum import StrEnum

from pydantic import Field

from stillhouse.base import Record
from stillhouse.statistics.gap import Part, least_difference
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.wording import percent

ALPHA = 0.01
"""Error rate of each comparison. Every round makes several for each student."""

LEAK_ALPHA = 0.001
"""Error rate of each comparison that accuses the rows. A false alarm sends people to look for what is not there, and
comes again in every round, since the rows of a split stay: of 77 classes, 94.3 % of 1,300 validation rows and 91.9 % of
2,470 golden ones were right, with nothing wrong but luck (p = 0.002)."""

FAITHFUL = 0.95
"""A student that answers more than one in twenty of its own training rows otherwise than their target has not learned
them: that alone is more than a bar's usual margin of three or four points."""

SMALLEST_GAP = 0.02
"""A smaller loss from training rows to new ones is none worth a cure. Every model loses a little; two points are half
of a bar's usual margin."""


TEACHER = "the teacher"
"""Whose answers a student learns, unless they are those of its parent in a chain."""


class FitRegime(StrEnum):
    """How a student generalises."""

    UNDERFIT = "underfit"
    """It does not give the answers that it was trained to give."""
    OVERFIT = "overfit"
    """It gives them on the rows that it learned from, and clearly fewer on new rows."""
    LEAK = "leak"
    """It is better on held-out rows than a student that has not seen them can be."""
    GOOD = "good"


class Share(Record):
    """How many of so many rows."""

    hits: int = Field(ge=0, description="Rows of which it is true.")
    rows: int = Field(ge=0, description="All rows asked.")

    @property
    def value(self) -> float | None:
        """As a fraction; None of no rows."""
        return self.hits / self.rows if self.rows else None

    @property
    def counts(self) -> tuple[int, int]:
        """As the statistics take it."""
        return self.hits, self.rows

    def __str__(self) -> str:
        """For a sentence."""
        return "none" if self.value is None else f"{percent(self.value)} of {self.rows:,}"


class Counts(Record):
    """What one student says to rows that it learned from and to rows that it did not.

    Of one that learned from its parent in a chain, the parent is meant where it agrees with a teacher.
    """

    training_agreement: Share = Field(description="Rows it learned from that it answers as the teacher does.")
    training_accuracy: Share = Field(description="The same rows, as far as their label is known, answered right.")
    validation_agreement: Share = Field(description="Validation rows that it answers as the teacher does.")
    comparable_agreement: Share = Field(
        description="The same, of validation rows that could have been learned from: the teacher gives their label. "
        "Training rows were chosen like that, so nothing else compares with them."
    )
    validation_accuracy: Share = Field(description="Validation rows that it answers right in the form that ships.")
    golden_accuracy: Share = Field(description="Golden rows that it answers right in the form that ships.")


class Generalisation(Record):
    """The counts and what they mean."""

    counts: Counts
    gap: float | None = Field(
        description="Agreement with the teacher on training rows minus that on comparable validation rows; null where "
        "there are none."
    )
    regime: FitRegime
    sentence: str


def generalisation(counts: Counts, *, learned_from: str = TEACHER) -> Generalisation:
    """Name the regime of a student from what it answers, each by a test and none by eye.

    A leak goes first, because with one no other number means anything: validation rows, which only chance tells from
    golden ones, are answered right more often than those, or as the teacher does more often than the rows that were
    learned from. Then a student either does not fit its own rows (underfit), loses too much from them to new ones
    (overfit), or both, and then the larger of the two is named, since it is the one to cure first. Rows are taken to
    stand alone; where they come in groups, chance allows more than these tests do.

    Args:
        counts: of one student.
        learned_from: whose answers it was to give.
    """
    training, comparable = counts.training_agreement, counts.comparable_agreement
    fit = training.value
    unfit = 0.0 if fit is None else 1 - fit
    gap = None if fit is None or comparable.value is None else fit - comparable.value
    underfit = wilson_interval(*training.counts, 2 * ALPHA)[1] < FAITHFUL
    overfit = _above(training, comparable, SMALLEST_GAP)
    above_golden = _above(counts.validation_accuracy, counts.golden_accuracy, alpha=LEAK_ALPHA)
    if above_golden or _above(counts.validation_agreement, training, alpha=LEAK_ALPHA):
        regime = FitRegime.LEAK
    elif underfit and not (overfit and gap is not None and gap > unfit):
        regime = FitRegime.UNDERFIT
    else:
        regime = FitRegime.OVERFIT if overfit else FitRegime.GOOD
    sentence = (
        f"{regime}: answers as {learned_from} does on {training} rows that it learned from and on {comparable} "
        f"validation rows of the same kind; right on {counts.validation_accuracy} validation rows and on "
        f"{counts.golden_accuracy} golden rows"
    )
    return Generalisation(counts=counts, gap=gap, regime=regime, sentence=sentence)


def _above(first: Share, second: Share, by: float = 0.0, alpha: float = ALPHA) -> bool:
    """Whether a share is shown to be larger than another one by more than so much."""
    if not (first.rows and second.rows):
        return False
    return least_difference(Part("", first.hits, first.rows), Part("", second.hits, second.rows), alpha) > by
