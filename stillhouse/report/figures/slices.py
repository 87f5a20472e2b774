"""Accuracy of teacher and student on every slice.

Belongs here: that picture. Does not: which slices there are (stillhouse/evaluation/slices/).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.report.figures.drawing import PALETTES, Palette, Theme, bare_figure, legend, percent_axis, png
from stillhouse.report.figures.label_placement import short
from stillhouse.report.figures.material import Material, ReportFigure, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def slice_bars(slices: Sequence[SliceResult], *, theme: Theme = "light") -> bytes:
    """Teacher against student on every slice, with 95 % intervals, floors and verdicts.

    Args:
        slices: what the harness found; empty slices are named without a mark.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=1.25 + 0.46 * max(1, len(slices)))
    for row, result in enumerate(slices):
        _slice_row(axes, row, result, palette)
    axes.set_ylim(len(slices) - 0.4, -0.6)
    axes.set_yticks(range(len(slices)), [_slice_name(result) for result in slices])
    shown = [
        limit for result in slices if result.rows for limit in (*result.teacher_interval, *result.student_interval)
    ]
    shown += [result.floor.floor for result in slices if result.floor]
    low = max(0.0, min(shown, default=0.0) - 0.03)
    axes.set_xlim(low, 1.0 + 0.004)
    percent_axis(axes.xaxis)
    axes.grid(axis="x", color=palette.line, linewidth=0.7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy, with 95% interval", color=palette.muted)
    _slice_legend(axes, palette, floors=any(result.floor for result in slices))
    return png(figure)


def _slice_row(axes: "Axes", row: int, result: SliceResult, palette: Palette) -> None:
    axes.text(
        1.012,
        row,
        result.verdict.value,
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=9,
        color=palette.verdict(result.verdict),
    )
    if result.teacher_accuracy is None or result.student_accuracy is None:
        axes.text(
            0.5,
            row,
            "no rows",
            transform=axes.get_yaxis_transform(),
            ha="center",
            va="center",
            color=palette.muted,
        )
        return
    marks = (
        (row - 0.13, result.teacher_accuracy, result.teacher_interval, palette.teacher),
        (row + 0.13, result.student_accuracy, result.student_interval, palette.student),
    )
    for height, accuracy, (low, high), colour in marks:
        axes.plot([low, high], [height, height], color=colour, linewidth=2.4, alpha=0.45, solid_capstyle="round")
        axes.plot(accuracy, height, marker="o", markersize=7, color=colour, markeredgecolor=palette.background)
    if result.floor:
        axes.plot([result.floor.floor] * 2, [row - 0.34, row + 0.34], color=palette.failed, linewidth=2)


def _slice_name(result: SliceResult) -> str:
    star = " *" if result.critical else ""
    field = "field " if result.is_field else ""
    return f"{field}{short(result.name, 26)}{star}  ({result.rows:,})"


def _slice_legend(axes: "Axes", palette: Palette, *, floors: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=palette.teacher, marker="o", markersize=7, label="teacher"),
        Line2D([], [], color=palette.student, marker="o", markersize=7, label="student"),
    ]
    if floors:
        handles.append(Line2D([], [], color=palette.failed, linewidth=2, label="floor"))
    handles.append(Line2D([], [], linestyle="none", marker="$*$", color=palette.text, markersize=5, label="critical"))
    legend(axes, handles, palette)


def _draw(about: Material, theme: Theme) -> bytes | None:
    return slice_bars(about.evaluation.slices, theme=theme) if about.evaluation.slices else None


FIGURE = ReportFigure(
    Section.SLICES, "Accuracy of teacher and student on every slice, with intervals and floors", _draw
)
