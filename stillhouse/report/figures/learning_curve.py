"""A measure on training and validation rows by epoch.

Belongs here: that picture. Does not: the training (stillhouse/models/training.py).
"""

from collections.abc import Sequence

import numpy as np

from stillhouse.report.figures.drawing import PALETTES, Theme, bare_figure, png
from stillhouse.report.figures.material import Material, ReportFigure, Section


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


def _draw(about: Material, theme: Theme) -> bytes | None:
    return None if about.curve is None else learning_curve(*about.curve, theme=theme)


FIGURE = ReportFigure(Section.TRAINING, "Training and validation loss by epoch", _draw)
