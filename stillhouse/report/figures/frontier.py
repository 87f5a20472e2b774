"""The picture of the options: size, quality and latency of every model, and which of them no other beats.

Belongs here: that picture, as PNG bytes, and the frontier.
Does not: pictures of one model (beside it), which of the options to take (evaluation/selection.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.score import Score
from stillhouse.evaluation.models import ModelKind
from stillhouse.report.figures.drawing import PALETTES, Palette, Theme, bare_figure, legend, percent_axis, png
from stillhouse.report.figures.label_placement import Mark, label_without_overlap, short
from stillhouse.report.figures.material import Material, ReportFigure, Section
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, percent, points, times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FAR_BELOW, FAR_BELOW_MARGINS = 0.2, 5
"""A model this far under the teacher is named and not drawn: it would squeeze the others onto one line."""


def size_quality(evaluations: Sequence[Evaluation], *, theme: Theme = "light") -> bytes:
    """Size against accuracy of every model, beside the teacher and the line it may not fall under.

    Args:
        evaluations: of one golden set; at least one.
        theme: light or dark.

    Returns:
        PNG bytes. Beside each name is how many times faster than the teacher it is, where that was measured; the area
        of its bubble is the time of a call. Steps are the frontier: the best accuracy that was reached at each size or
        below. Ratios, because baselines and students were timed beside the teacher at different times, and milliseconds
        of different times do not compare.

    Raises:
        ValueError: if there are no evaluations.
    """
    if not evaluations:
        raise ValueError("there are no evaluations to draw")
    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=4.4)
    teacher, margin = evaluations[0].teacher, evaluations[0].bar.margin
    lowest = teacher.accuracy - max(FAR_BELOW_MARGINS * margin, FAR_BELOW)
    weighed = [each for each in evaluations if each.score.size_bytes is not None]
    shown = [each for each in weighed if each.score.accuracy >= lowest] or weighed
    axes.axhline(teacher.accuracy, color=palette.teacher, linewidth=1)
    marks = []
    if teacher.size_bytes is not None:
        name = teacher.name if teacher.name == teacher.kind else f"{teacher.name} ({teacher.kind})"
        timed = 1.0 if any(each.latency for each in evaluations) else None
        marks.append(_bubble(axes, teacher, name, timed, palette.teacher))
    for each in shown:
        marks.append(_bubble(axes, each.score, each.name, each.latency_ratio, palette.verdict(each.verdict)))
    _size_quality_limits(axes, marks, teacher.accuracy - margin)
    steps = _frontier_line(axes, marks, palette)
    if evaluations[0].bar.metric == "accuracy":
        _margin_line(axes, teacher.accuracy - margin, f"{points(margin)} points under the teacher", palette)
    percent_axis(axes.yaxis)
    axes.grid(color=palette.line, linewidth=0.7)
    axes.set_ylabel("accuracy on the golden set", color=palette.muted)
    left_out = [f"{each.name}, {percent(each.score.accuracy)}" for each in weighed if each not in shown]
    note = f"\nfar below and not drawn: {'; '.join(left_out)}" if left_out else ""
    marked = "filled: student; ring: baseline or control; area: time of a call"
    axes.set_xlabel(f"size in MB, log scale ({marked}){note}", color=palette.muted)
    _verdict_legend(axes, palette, {each.verdict for each in shown})
    label_without_overlap(axes, marks, steps)
    return png(figure)


def frontier(sizes: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Which models no other beats: none is as small and more accurate, or smaller and as accurate.

    Args:
        sizes: of each model.
        accuracies: of the same models.

    Returns:
        Their positions, the smallest first.
    """
    pairs = list(zip(sizes, accuracies, strict=True))
    kept = [
        index
        for index, (size, accuracy) in enumerate(pairs)
        if not any(
            other_size <= size and other >= accuracy and (other_size, other) != (size, accuracy)
            for other_size, other in pairs
        )
    ]
    return sorted(kept, key=lambda index: pairs[index])


def _margin_line(axes: "Axes", height: float, words: str, palette: Palette) -> None:
    axes.axhline(height, color=palette.failed, linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        words,
        (0.01, height),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -4),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=palette.failed,
    )


def _verdict_legend(axes: "Axes", palette: Palette, verdicts: set[Verdict]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=palette.text, alpha=0.55, linewidth=1.4, label="most accurate of its size or below"),
        *_verdict_handles(palette, verdicts),
    ]
    legend(axes, handles, palette)


def _verdict_handles(palette: Palette, verdicts: set[Verdict]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=7,
            color=palette.verdict(verdict),
            label=verdict.value,
        )
        for verdict in Verdict
        if verdict in verdicts
    ]


def _bubble(axes: "Axes", score: Score, name: str, times_faster: float | None, colour: str) -> Mark:
    area = 90.0 if times_faster is None else min(900.0, 60.0 + 240.0 / float(np.sqrt(times_faster)))
    filled = score.kind in (ModelKind.STUDENT, ModelKind.TEACHER)
    assert score.size_bytes is not None
    megabytes = score.size_bytes / MEGABYTE
    axes.scatter(
        megabytes,
        score.accuracy,
        s=area,
        facecolors=colour if filled else "none",
        edgecolors=colour,
        linewidths=2,
        alpha=0.9,
        zorder=3,
    )
    if times_faster is None or score.kind is ModelKind.TEACHER:
        label = name
    else:
        label = f"{short(name, 32)}, {times(times_faster)} faster"
    return Mark(label, megabytes, score.accuracy, float(np.sqrt(area)) / 2, colour)


def _frontier_line(axes: "Axes", marks: Sequence[Mark], palette: Palette) -> list[tuple[float, float]]:
    best = [marks[index] for index in frontier([m.megabytes for m in marks], [m.accuracy for m in marks])]
    ends = [*(mark.megabytes for mark in best[1:]), axes.get_xlim()[1]]
    steps = [
        corner
        for mark, end in zip(best, ends, strict=True)
        for corner in ((mark.megabytes, mark.accuracy), (end, mark.accuracy))
    ]
    axes.plot(*zip(*steps, strict=True), color=palette.text, linewidth=1.4, alpha=0.55, zorder=2)
    return steps


def _size_quality_limits(axes: "Axes", marks: Sequence[Mark], line: float) -> None:
    axes.set_xscale("log")
    sizes, heights = [mark.megabytes for mark in marks], [*(mark.accuracy for mark in marks), line]
    axes.set_xlim(min(sizes) / 2.5, max(sizes) * 2.5)
    padding = 0.16 * (max(heights) - min(heights))
    axes.set_ylim(min(heights) - padding, max(heights) + padding)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.tick_params(axis="x", which="minor", length=0)


def _draw(about: Material, theme: Theme) -> bytes | None:
    return size_quality(about.candidates, theme=theme)


FIGURE = ReportFigure(
    Section.OPTIONS,
    "Size against accuracy and speed of every model, with the teacher, the margin under it and the best of each size",
    _draw,
)
