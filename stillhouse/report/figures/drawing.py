"""What every figure shares: the palette in light and dark, the bare axes, the way to PNG bytes.

Belongs here: colours, axes without junk, legend and percent axis.
Does not: any particular figure.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stillhouse.statistics.verdicts import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

DOTS_PER_INCH = 160
WIDTH_INCHES = 8.0


@dataclass(frozen=True)
class Palette:
    """Colours of one theme; verdicts also differ in lightness and are always named in words."""

    background: str
    text: str
    muted: str
    line: str
    teacher: str
    student: str
    passed: str
    failed: str
    inconclusive: str
    empty_cell: str

    def verdict(self, verdict: Verdict) -> str:
        """The colour of a verdict."""
        return {
            Verdict.PASS: self.passed,
            Verdict.FAIL: self.failed,
            Verdict.INCONCLUSIVE: self.inconclusive,
        }[verdict]


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        background="#ffffff",
        text="#1c2430",
        muted="#5b6675",
        line="#d9dee6",
        teacher="#7a8699",
        student="#2f5fd0",
        passed="#1f8a5b",
        failed="#c4362f",
        inconclusive="#b87a12",
        empty_cell="#f4f6fa",
    ),
    "dark": Palette(
        background="#171c24",
        text="#e6eaf0",
        muted="#98a3b3",
        line="#333c49",
        teacher="#97a3b6",
        student="#7ea2ff",
        passed="#4cc38a",
        failed="#ff7b72",
        inconclusive="#e3a83c",
        empty_cell="#1f2631",
    ),
}


def bare_figure(palette: Palette, *, height: float) -> "tuple[Figure, Axes]":
    """One axes on the palette's ground, with nothing but a base line."""
    # Figure and not pyplot: pyplot keeps global state, and Dagster draws from many threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height), facecolor=palette.background, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor(palette.background)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.line)
    axes.tick_params(colors=palette.text, labelsize=9, color=palette.line)
    return figure, axes


def png(figure: "Figure") -> bytes:
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    # No version or date inside, so that the same evaluation gives the same bytes.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def legend(axes: "Axes", handles: Sequence[Any], palette: Palette) -> None:
    """A legend in one line above the axes."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=palette.text,
        handletextpad=0.5,
        columnspacing=1.6,
        borderaxespad=0.2,
    )


def percent_axis(axis: Any) -> None:
    """Fractions as percentages, with a decimal at ticks between whole points."""

    def text(value: float, _: Any) -> str:
        points = 100 * value
        return f"{points:.{0 if abs(points - round(points)) < 1e-6 else 1}f}%" if value <= 1.0001 else ""

    axis.set_major_formatter(text)
