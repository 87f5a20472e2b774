"""The pictures of an evaluation, as PNG bytes.

Belongs here: figures drawn from evaluation records, in one palette, light or dark.
Does not: computing what they show, laying out a page (document.py), all options in one picture (frontier.py).
Matplotlib is loaded only when a figure is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stillhouse.error_analysis.data_scaling import SAID, RowsCurve
from stillhouse.evaluation.harness import Evaluation, Score
from stillhouse.evaluation.measures.confusions import ConfusedPair
from stillhouse.evaluation.measures.metrics import ConfusionCell
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.report.drawing import PALETTES, Palette, Theme, bare_figure, legend, percent_axis, png
from stillhouse.report.mark_names import short
from stillhouse.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES_IN_A_MATRIX = 12
"""A matrix of more classes than this cannot be read on a phone, and is nearly empty: the worst pairs are drawn."""


NORMAL_95 = 1.96
"""Standard errors to either side of a mean of some hundred rows that make a 95 % interval."""

SMALLEST_FULL_ERROR = 0.1
"""Share of a label's rows that, given one wrong class, is drawn in full colour, if no share is larger."""


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


def confusion(evaluation: Evaluation, *, theme: Theme = "light") -> bytes:
    """What was taken for what: the whole matrix of a few classes, the worst pairs of many.

    Args:
        evaluation: of one model.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    if len(evaluation.classes) <= CLASSES_IN_A_MATRIX:
        return confusion_matrix(evaluation.confusion, evaluation.classes, theme=theme)
    return pair_bars(evaluation.worst_pairs, theme=theme)


def pair_bars(pairs: Sequence[ConfusedPair], *, theme: Theme = "light") -> bytes:
    """How many rows of a label were given another, the model above its teacher.

    Args:
        pairs: worst first.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=1.3 + 0.5 * max(1, len(pairs)))
    for row, pair in enumerate(pairs):
        bars = [(-0.19, pair.rows, palette.student), (0.19, pair.teacher_rows, palette.teacher)]
        for offset, rows, colour in bars:
            if rows is not None:
                axes.barh(row + offset, rows, height=0.34, color=colour)
                axes.annotate(
                    f"{rows:,}", (rows, row + offset), xytext=(4, 0), textcoords="offset points", va="center",
                    fontsize=8, color=palette.text,
                )  # fmt: skip
    if not pairs:
        axes.text(0.5, 0.5, "no label is taken for another", transform=axes.transAxes, ha="center", color=palette.muted)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_yticks(range(len(pairs)), [f"{short(p.label)} → {short(p.answered)}" for p in pairs])
    axes.set_xlim(0, 1.08 * max((max(p.rows, p.teacher_rows or 0) for p in pairs), default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", color=palette.line, linewidth=0.7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("golden rows of the label that are given the other answer", color=palette.muted)
    handles = [Patch(color=palette.student, label="student")]
    if any(pair.teacher_rows is not None for pair in pairs):
        handles.append(Patch(color=palette.teacher, label="teacher"))
    legend(axes, handles, palette)
    return png(figure)


def confusion_matrix(cells: Sequence[ConfusionCell], classes: Sequence[str], *, theme: Theme = "light") -> bytes:
    """What was taken for what, as counts on a scale of each label's rows.

    Args:
        cells: the non-empty cells.
        classes: all class names, in order; at most about a dozen can be read.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    from matplotlib.colors import LinearSegmentedColormap

    palette = PALETTES[theme]
    place = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for cell in cells:
        counts[place[cell.label], place[cell.predicted]] = cell.rows
    shares = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    side = 0.36 * len(classes)
    figure, axes = bare_figure(palette, height=max(3.2, min(8.0, 1.9 + side)))
    right = np.eye(len(classes), dtype=np.bool_)
    worst_share = max(SMALLEST_FULL_ERROR, float(np.max(shares, where=~right, initial=0.0)))
    for part, strength, full in (
        (right, shares, palette.student),
        (~right, shares / worst_share, palette.failed),
    ):
        heat = LinearSegmentedColormap.from_list("heat", [palette.empty_cell, full])
        axes.imshow(np.ma.masked_where(~part, strength), cmap=heat, vmin=0, vmax=1, aspect="equal")
    for row, column in zip(*np.nonzero(counts), strict=True):
        strong = shares[row, column] / (1 if row == column else worst_share) > 0.55
        # On a filled cell the ground colour reads best: white in light, near black in dark.
        colour = palette.background if strong else palette.text
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7.5, color=colour)
    names = [short(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(classes)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.set_xlabel("answered", color=palette.muted)
    axes.set_ylabel("label", color=palette.muted)
    return png(figure)


def learning_curve(
    train: Sequence[float], validation: Sequence[float], *, measure: str = "loss", theme: Theme = "light"
) -> bytes:
    """A measure on training and validation rows by epoch, with the best validation epoch marked.

    Args:
        train: one value per epoch.
        validation: one value per epoch, same length.
        measure: what the values are; "loss" is best when lowest, anything else when highest.
        theme: light or dark.

    Returns:
        PNG bytes.

    Raises:
        ValueError: if there are no epochs or the lengths differ.
    """
    if not train or len(train) != len(validation):
        raise ValueError(f"need one value per epoch for both, not {len(train)} and {len(validation)}")
    from matplotlib.ticker import MaxNLocator

    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=3.6)
    epochs = np.arange(1, len(train) + 1)
    best = int(np.argmin(validation) if measure.endswith("loss") else np.argmax(validation))
    for values, name, colour in (
        (train, "training", palette.teacher),
        (validation, "validation", palette.student),
    ):
        axes.plot(epochs, values, color=colour, linewidth=2, marker="o" if len(train) < 15 else None, markersize=4)
        axes.annotate(
            name,
            (epochs[-1], values[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    axes.plot(
        epochs[best],
        validation[best],
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgewidth=1.6,
        color=palette.text,
    )
    axes.set_title(
        f"best validation {measure} {validation[best]:.4g} at epoch {epochs[best]}",
        loc="left",
        fontsize=9,
        color=palette.muted,
    )
    axes.set_xlim(1 - 0.02 * len(train), len(train) * 1.14 + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=palette.line, linewidth=0.7)
    axes.set_xlabel("epoch", color=palette.muted)
    axes.set_ylabel(measure, color=palette.muted)
    return png(figure)


def curve_by_rows(curve: RowsCurve, *, theme: Theme = "light") -> bytes:
    """How far a student is from its teacher by how many rows it learned from, with what it gets right beside.

    Args:
        curve: the learning curve by rows.
        theme: light or dark.

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
    axes.set_ylabel("KL to the teacher, nats, 95% interval", color=palette.muted)
    return png(figure)


def reliability(teacher: Score, student: Score, *, theme: Theme = "light") -> bytes:
    """How often each model is right when it is so sure: on the diagonal a confidence means what it says.

    Args:
        teacher: its bins are drawn first.
        student: its bins are drawn on top; areas are rows.
        theme: light or dark.

    Returns:
        PNG bytes.
    """
    palette = PALETTES[theme]
    figure, axes = bare_figure(palette, height=4.2)
    axes.plot([0, 1], [0, 1], color=palette.line, linewidth=1.2, zorder=0)
    handles = []
    for score, colour in ((teacher, palette.teacher), (student, palette.student)):
        bins = score.calibration.reliability
        rows = np.array([each.rows for each in bins])
        handles.append(
            axes.scatter(
                [each.confidence for each in bins],
                [each.accuracy for each in bins],
                s=20 + 600 * rows / rows.sum(),
                color=colour,
                alpha=0.75,
                linewidths=0,
                label=f"{score.name}, calibration error {100 * score.calibration.expected_calibration_error:.1f}%",
            )
        )
    least = min(each.confidence for score in (teacher, student) for each in score.calibration.reliability)
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
    return f"{short(result.name, 26)}{star}  ({result.rows:,})"


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
