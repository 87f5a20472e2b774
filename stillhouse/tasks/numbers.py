"""A number as text: one spelling of it.

Belongs here: reading and writing such a number.
Does not: what a model that answers with numbers is (score.py), which rows are left out (data/score_rows.py).

The one spelling is decimal, without an exponent, with at most six digits after the point and no zero at their end:
`4`, `4.5`, `-0.25`. In it rows, answers and reports have a number, so that two are alike where their texts are.
"""

import math
import re

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DIGITS = 6
"""After the point, at most."""
SPELLING = rf"^-?\d+(\.\d{{0,{DIGITS - 1}}}[1-9])?$"
"""What the one spelling of a number matches."""
SLACK = 10.0**-DIGITS
"""What rounding to the one spelling may add to a difference."""


def reach(tolerance: float) -> float:
    """How far apart two numbers are at most that count as one."""
    return tolerance + SLACK


def written_number(value: float) -> str:
    """The one spelling of a finite number."""
    rounded = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if rounded == "-0" else rounded


def number_in(text: str) -> float | None:
    """The number that a text is; None where it is none, such as `4,5`, `1 000`, `nan`, or more than a float holds."""
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped) is None:
        return None
    value = float(stripped)
    return value if math.isfinite(value) else None
