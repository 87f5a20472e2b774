"""Correcting what is booked for a recipe.

Belongs here: what each book says of a month.
Does not: what a correction is and where it counts (stillhouse/records/corrections.py).
"""

from stillhouse.economics import Book
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records import spending
from stillhouse.records.builds import BuildStore
from stillhouse.records.corrections import Correction, bounds_of_month, correct, corrected_usd
from stillhouse.records.rounds import computed_usd
from stillhouse.stages.asking import call_log


def correct_month(
    builds: BuildStore, file: RecipeFile, *, book: Book, month: str, usd: float, by: str, reason: str
) -> tuple[Correction, float]:
    """Add to what is booked for a recipe in a month; see `correct`.

    Returns:
        The correction, and the sum of the month with it.
    """
    booked = booked_in(builds, file.name, book, month)
    given = correct(builds.ledger, file.name, book=book, month=month, usd=usd, booked=booked, by=by, reason=reason)
    return given, booked + corrected_usd(builds.ledger, file.name, book, month=month)


def booked_in(builds: BuildStore, recipe: str, book: Book, month: str) -> float:
    """USD that a book says of a month, without corrections.

    Raises:
        StillhouseError: if that is no month.
    """
    first, after = bounds_of_month(month)
    match book:
        case Book.ANSWERS:
            return call_log(builds.home).booked_between(recipe, first, after)
        case Book.SERVING:
            return spending.spent(builds.home.ledger_url, recipe, month)
        case Book.COMPUTE:
            return computed_usd(builds.ledger, recipe, first, after)
