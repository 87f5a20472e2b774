"""The model card: what a released model is for, how good it is, where it comes from, and the lines that load it.

Belongs here: filling the card's template.
Does not: what else is in a bundle (bundle.py) or in a folder that is handed over (standalone.py).
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from stillhouse.release.bundle import ReleaseRecord
from stillhouse.wording import MEGABYTE, percent

CARD = "README.md"


def model_card(
    recipe: dict[str, Any],
    report: dict[str, Any],
    record: ReleaseRecord,
    labels: Sequence[str],
    *,
    max_tokens: int,
    exported_from: str | None = None,
) -> str:
    """Write the card, as Markdown.

    Args:
        recipe: the content of recipe.json.
        report: the content of report.json.
        record: what the release resolves to.
        labels: all that the model answers.
        max_tokens: after which it cuts a text.
        exported_from: digest of the release, for the folder that runs without Stillhouse; None for the bundle itself,
            whose digest covers the card.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= {"percent": percent, "share": _share, "cell": _cell}
    template = files("stillhouse.release").joinpath("model_card.md.j2").read_text("utf-8")
    return environment.from_string(template).render(
        record=record,
        release=exported_from,
        labels=labels,
        recipe=recipe,
        report=report,
        max_tokens=max_tokens,
        megabyte=MEGABYTE,
    )


def _share(of_rows: float | None) -> str:
    """A share of rows; of none there is none, as where a slice is empty and somebody has waived that."""
    return "no rows" if of_rows is None else percent(of_rows)


def _cell(text: str) -> str:
    """A text of somebody else's as one cell of a table: no line breaks, nothing that Markdown or HTML obeys."""
    escaped = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in r"\`*_[]|#" else letter for letter in escaped)
