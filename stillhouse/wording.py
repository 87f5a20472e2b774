"""How a number is written in a sentence.

Belongs here: shares, points, sizes and durations in words, with as many digits as tell a value from its limit.
Does not: the sentences (each where its number is made), tables on the terminal (orchestration/).
"""

MEGABYTE = 1_000_000


def points(fraction: float, *, against: float | None = None) -> str:
    """A fraction as percentage points: one decimal, more where that would hide its side of `against`."""
    return _decimals(100 * fraction, None if against is None else 100 * against)


def percent(fraction: float, *, against: float | None = None) -> str:
    """A fraction as a percentage, with the decimals `points` would give it."""
    return f"{points(fraction, against=against)}%"


def _decimals(value: float, against: float | None) -> str:
    digits = 1
    if against is not None and value != against:
        while digits < 4 and round(value, digits) == round(against, digits):
            digits += 1
    # "-0.0" would read as a loss.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def number(value: float) -> str:
    """A ratio or a measured value, with three figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """How many times smaller or faster something is, for a table or a label; a question mark where it is not known."""
    if ratio is None:
        return "?"
    return f"{ratio:.1f}x" if ratio < 1000 else ">1000x"


def in_minutes(seconds: float) -> str:
    """A duration as a person says it: seconds below two minutes, minutes below two hours, else hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
