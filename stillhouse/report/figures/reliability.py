"""How often each model is right when it is so sure.

Belongs here: that picture. Does not: measuring calibration (stillhouse/statistics/calibration.py).
"""

import numpy as np

from stillhouse.evaluation.measures.score import Score
from stillhouse.report.figures.drawing import PALETTES, Theme, bare_figure, legend, percent_axis, png
from stillhouse.report.figures.material import Material, ReportFigure, Section
from stillhouse.statistics.calibration import Calibration


def _calibration_of(score: Score) -> Calibration:
    assert score.calibration is not None
    return score.calibration


def reliability(teacher: Score | None, student: Score, *, theme: Theme = "light") -> bytes:
    """How often each model is right when it is so sure: on the diagonal a confidence means what it says.

    Args:
        teacher: its bins are drawn first; None of one that does not say how sure it is.
        student: its bins are drawn on top; areas are rows. Answers of both have a probability.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=4.2)
    axes.plot([0, 1], [0, 1], color=palette.line, linewidth=1.2, zorder=0)
    handles = []
    drawn = [(student, palette.student)]
    if teacher is not None:
        drawn.insert(0, (teacher, palette.teacher))
    for score, colour in drawn:
        calibration = _calibration_of(score)
        bins = calibration.reliability
        rows = np.array([each.rows for each in bins])
        handles.append(
            axes.scatter(
                [each.confidence for each in bins],
                [each.accuracy for each in bins],
                s=20 + 600 * rows / rows.sum(),
                color=colour,
                alpha=0.75,
                linewidths=0,
                label=f"{score.name}, calibration error {100 * calibration.expected_calibration_error:.1f}%",
            )
        )
    least = min(each.confidence for score, _ in drawn for each in _calibration_of(score).reliability)
    low = max(0.0, least - 0.05)
    axes.set_xlim(low, 1.02)
    axes.set_ylim(-0.04, 1.06)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    axes.grid(axis="y", color=palette.line, linewidth=0.7)
    axes.set_xlabel("probability of its own answer", color=palette.muted)
    axes.set_ylabel("right", color=palette.muted)
    legend(axes, handles, palette)
    return png(figure)


def _draw(about: Material, theme: Theme) -> bytes | None:
    judged = about.evaluation
    if judged.score.calibration is None:
        return None
    return reliability(judged.teacher if about.teacher_is_sure else None, judged.score, theme=theme)


FIGURE = ReportFigure(Section.CALIBRATION, "Reliability: how often each model is right against how sure it is", _draw)
