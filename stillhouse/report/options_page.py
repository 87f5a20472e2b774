"""The page about the option to take, where something that exists already clears the bar and no student is made.

Belongs here: which option the page is about, and where it is.
Does not: the page itself (document.py), the page about a student (stages/selection.py).
"""

import math
from collections.abc import Sequence
from pathlib import Path

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.lost_classes import clearing_options
from stillhouse.home import Home
from stillhouse.recipe.losses import Gives
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html


def page_to_take(
    evaluations: Sequence[Evaluation], *, title: str, task: str, gives: Gives = Gives.LOGITS
) -> str | None:
    """The report of the smallest option that clears the bar, one that finds every class before others.

    One behind a server comes after all that need none.

    Args:
        evaluations: of all options.
        title: the recipe's name.
        task: the recipe's task sentence.
        gives: how much the teacher says of each answer.

    Returns:
        HTML text; None where none clears the bar.
    """
    keeping, losing = clearing_options(evaluations)
    taken = min(keeping or losing, key=lambda each: math.inf if each.hosted else each.size_bytes, default=None)
    if taken is None:
        return None
    others = [each for each in evaluations if each.name != taken.name]
    return report_html(taken, ReportContext(others=others, gives=gives), title=title, task=task)


def path_of_page(home: Home, recipe: str) -> Path:
    """Where the page is; the report of a student that serves stays beside it."""
    return home.reports / f"{recipe}.baselines.html"
