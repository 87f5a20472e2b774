"""Labels that are many different numbers, and so are learned as numbers.

Belongs here: telling them from classes whose names are numbers, and what a first recipe says of them.
Does not: what a number is (stillhouse/tasks/), the sentence about it for a person (remarks.py).
"""

from collections.abc import Mapping

from stillhouse.recipe.data import LARGEST_NUMBER, LEAST_SPAN, ScoreSpec
from stillhouse.tasks.numbers import DIGITS, SLACK, number_in, written_number

MANY_NUMBERS = 20
"""Different ones: of fewer, such as one to five stars, each may be a class."""
_NUMBERS_AT_LEAST = 0.95
"""Of the labelled rows; the others are left out, with the reason."""
_PARTS_WITHIN = 10
"""Parts of what lies between the ends, one of which is the tolerance that a person is asked to look at."""


def scale_of(counts: Mapping[str, int], *, taught_numbers: bool = False) -> ScoreSpec | None:
    """What a recipe says of labels that are numbers; None where they are classes.

    Whole numbers of which none between the first and the last is missing are taken for codes of classes.

    Args:
        counts: rows of each label.
        taught_numbers: the teacher answers with a number, so that labels which are numbers are no classes, however few.
    """
    read = {label: value for label in counts if (value := number_in(label)) is not None}
    numbers = {label: value for label, value in read.items() if abs(value) <= LARGEST_NUMBER}
    values = {*numbers.values()}
    if sum(counts[label] for label in numbers) < _NUMBERS_AT_LEAST * sum(counts.values()):
        return None
    if not values or (not taught_numbers and (len(values) < MANY_NUMBERS or _are_codes(values))):
        return None
    lowest, highest = -_at_least(-min(values)), _at_least(max(values))
    if highest - lowest < LEAST_SPAN:
        return None
    within = float(written_number((highest - lowest) / _PARTS_WITHIN))
    return ScoreSpec(lowest=lowest, highest=highest, tolerance=within)


def _are_codes(values: set[float]) -> bool:
    return all(value.is_integer() for value in values) and max(values) - min(values) < len(values)


def _at_least(value: float) -> float:
    """The least number of so many digits as labels have that is not below."""
    rounded = round(value, DIGITS)
    return rounded if rounded >= value else round(rounded + SLACK, DIGITS)
