"""What a figure of the report is, and what it is drawn from.

Belongs here: the parts of the page that figures stand in. Does not: a figure (a module for each beside this one).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stillhouse.error_analysis.rules import ErrorAnalysis
from stillhouse.evaluation.harness import Evaluation
from stillhouse.report.figures.drawing import Theme

Curve = tuple[Sequence[float], Sequence[float]]
"""Training and validation loss, one value for each epoch."""


class Section(StrEnum):
    """The parts of the page that have figures."""

    ERROR_ANALYSIS = "error_analysis"
    OPTIONS = "options"
    SLICES = "slices"
    CALIBRATION = "calibration"
    TRAINING = "training"
    CONFUSION = "confusion"


@dataclass(frozen=True)
class Material:
    """What a report is about.

    Args:
        evaluation: of its model.
        candidates: everything that was judged, the model among them, in the order of the options.
        curve: of its training, where it was trained.
        analysis: why it is as good as it is, where that was asked.
        teacher_is_sure: whether the teacher says how sure it is, and not only what it answers.
    """

    evaluation: Evaluation
    candidates: Sequence[Evaluation]
    curve: Curve | None = None
    analysis: ErrorAnalysis | None = None
    teacher_is_sure: bool = True


@dataclass(frozen=True)
class ReportFigure:
    """One figure of the report.

    Args:
        section: where it stands.
        alt: what it shows, for who cannot see it.
        draw: gives PNG bytes, or None where there is nothing to show.
    """

    section: Section
    alt: str
    draw: Callable[[Material, Theme], bytes | None]
