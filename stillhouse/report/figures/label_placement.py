"""Names beside the marks of a scatter plot, none on top of another.

Belongs here: the placing of names around marks.
Does not: drawing the marks (frontier.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox


@dataclass(frozen=True)
class Mark:
    """One mark and the name it should carry."""

    name: str
    megabytes: float
    accuracy: float
    radius_points: float
    colour: str


def short(name: str, length: int = 22) -> str:
    """The name, cut to a length that fits."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def label_without_overlap(axes: "Axes", marks: Sequence[Mark], line: Sequence[tuple[float, float]]) -> None:
    """Names beside the marks: each takes the first place around its mark that is free, or else the first.

    Args:
        axes: where the marks are drawn.
        marks: what to name.
        line: corners of a line of horizontal and vertical pieces that no name should lie on, in data coordinates.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    limits, scale = axes.get_window_extent(), figure.dpi / 72
    taken: list[Any] = [_box(axes, mark, scale) for mark in marks]
    taken += [_piece(axes, *ends) for ends in pairwise(line)]
    for mark in marks:
        tried = [_label(axes, mark, place) for place in _places(mark.radius_points)]
        boxes = [text.get_window_extent() for text in tried]
        free = [
            index
            for index, box in enumerate(boxes)
            if box.x0 >= limits.x0 and box.x1 <= limits.x1 and not any(box.overlaps(other) for other in taken)
        ]
        kept = free[0] if free else 0
        taken.append(boxes[kept])
        for index, text in enumerate(tried):
            if index != kept:
                text.remove()


def _places(radius: float) -> list[tuple[float, float, str]]:
    gap = radius + 5
    beside = [(gap, 0.0, "left"), (-gap, 0.0, "right")]
    return beside + [
        (x, y, align)
        for distance in (gap + 4, gap + 16, gap + 28)
        for y in (distance, -distance)
        for x, align in ((0.0, "center"), (gap, "left"), (-gap, "right"))
    ]


def _label(axes: "Axes", mark: Mark, place: tuple[float, float, str]) -> "Annotation":
    x, y, align = place
    return axes.annotate(
        short(mark.name, 44),
        (mark.megabytes, mark.accuracy),
        xytext=(x, y),
        textcoords="offset points",
        ha=align,
        va="center",
        fontsize=8.5,
        color=mark.colour,
        bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
    )


def _box(axes: "Axes", mark: Mark, scale: float) -> "Bbox":
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((mark.megabytes, mark.accuracy))
    radius = mark.radius_points * scale
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _piece(axes: "Axes", one: tuple[float, float], other: tuple[float, float]) -> "Bbox":
    from matplotlib.transforms import Bbox

    (x0, y0), (x1, y1) = axes.transData.transform([one, other])
    # A pixel wide each way: a box without area overlaps nothing.
    return Bbox.from_extents(min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1)
