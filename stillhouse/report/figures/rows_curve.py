"""Divergence from the teacher by the rows that a student learned from.

Belongs here: that picture. Does not: what follows from it (stillhouse/error_analysis/data_scaling.py).
"""

from stillhouse.error_analysis.data_scaling import SAID, RowsCurve
from stillhouse.report.figures.drawing import PALETTES, Theme, bare_figure, png
from stillhouse.report.figures.material import Material, ReportFigure, Section
from stillhouse.wording import percent

NORMAL_95 = 1.96
"""Standard errors to either side of a mean of some hundred rows that make a 95 % interval."""


def curve_by_rows(curve: RowsCurve, *, theme: Theme = "light", measure: str = "KL to the teacher, nats") -> bytes:
    """How far a student is from its teacher by how many rows it learned from, with what it gets right beside.

    Args:
        curve: the learning curve by rows.
        theme: light or dark.
        measure: of how far it is.

    Returns:
        PNG bytes.
    """
    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=3.4)
    rows, values = [point.rows for point in curve.points], [point.mean_kl for point in curve.points]
    reach = [NORMAL_95 * point.standard_error for point in curve.points]
    axes.errorbar(
        rows, values, yerr=reach, color=palette.student, linewidth=2, marker="o", markersize=7, elinewidth=2.4,
        ecolor=palette.muted,
    )  # fmt: skip
    for point, value in zip(curve.points, values, strict=True):
        axes.annotate(
            f"{percent(point.accuracy)} right", (point.rows, value), xytext=(7, 7), textcoords="offset points",
            fontsize=9, color=palette.text,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(rows, [f"{number:,}" for number in rows])
    axes.minorticks_off()
    axes.set_xlim(rows[0] / 1.15, rows[-1] * 1.4)
    axes.set_ylim(0, 1.15 * max(value + each for value, each in zip(values, reach, strict=True)))
    title = f"{SAID[curve.verdict]}: decided row by row, so intervals may overlap"
    axes.set_title(title, loc="left", fontsize=9, color=palette.muted)
    axes.grid(axis="y", color=palette.line, linewidth=0.7)
    axes.set_xlabel("rows learned from, each time twice as many", color=palette.muted)
    axes.set_ylabel(f"{measure}, 95% interval", color=palette.muted)
    return png(figure)


def _draw(about: Material, theme: Theme) -> bytes | None:
    curve = None if about.analysis is None else about.analysis.more_rows
    if curve is None:
        return None
    if about.evaluation.of_numbers is not None:
        return curve_by_rows(curve, theme=theme, measure="squared difference from the teacher's output")
    return curve_by_rows(curve, theme=theme)


FIGURE = ReportFigure(
    Section.ERROR_ANALYSIS, "Learning curve by rows: divergence from the teacher on validation rows", _draw
)
