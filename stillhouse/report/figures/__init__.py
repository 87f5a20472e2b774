"""The figures of the report: a module for each, found by its `FIGURE`.

Belongs here: a picture from records to PNG bytes. Does not: computing what it shows, laying out the page (document.py).
Matplotlib is loaded only when a figure is drawn.
"""

from collections import defaultdict
from importlib import import_module
from pkgutil import iter_modules

from stillhouse.report.figures.drawing import Theme
from stillhouse.report.figures.material import Material, ReportFigure, Section

_MODULES = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
FIGURES: tuple[ReportFigure, ...] = tuple(each.FIGURE for each in _MODULES if hasattr(each, "FIGURE"))
"""In the order of the modules' names."""


def figures_of(about: Material) -> dict[Section, list[tuple[str, dict[Theme, bytes]]]]:
    """Every figure that has something to show: by section, what it shows, and its PNG bytes in both themes.

    In both, because a PNG cannot follow the reader's colour scheme by itself.
    """
    found: dict[Section, list[tuple[str, dict[Theme, bytes]]]] = defaultdict(list)
    for figure in FIGURES:
        light, dark = figure.draw(about, "light"), figure.draw(about, "dark")
        if light is not None and dark is not None:
            found[figure.section].append((figure.alt, {"light": light, "dark": dark}))
    return dict(found)
