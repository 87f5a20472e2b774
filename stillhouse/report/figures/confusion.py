"""What is taken for what.

Belongs here: the matrix of a few classes, the worst pairs of many. Does not: counting them
(stillhouse/evaluation/measures/).
"""

from collections.abc import Sequence

import numpy as np

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.confusions import ConfusedPair
from stillhouse.evaluation.measures.metrics import ConfusionCell
from stillhouse.report.figures.drawing import PALETTES, Theme, bare_figure, legend, png
from stillhouse.report.figures.label_placement import short
from stillhouse.report.figures.material import Material, ReportFigure, Section

CLASSES_IN_A_MATRIX = 12
"""A matrix of more classes than this cannot be read on a phone, and is nearly empty: the worst pairs are drawn."""

SMALLEST_FULL_ERROR = 0.1
"""Share of a label's rows that, given one wrong class, is drawn in full colour, if no share is larger."""


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
    index_of = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for cell in cells:
        counts[index_of[cell.label], index_of[cell.predicted]] = cell.rows
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


def _draw(about: Material, theme: Theme) -> bytes | None:
    return confusion(about.evaluation, theme=theme) if about.evaluation.confusion else None


FIGURE = ReportFigure(Section.CONFUSION, "Which labels are taken for which, with counts of golden rows", _draw)
