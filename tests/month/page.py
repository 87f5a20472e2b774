"""The month as a table of docs/events.md, which `make month` writes anew under STILLHOUSE_WRITE_DOCS=1.

Belongs here: that part of the page. Does not: what it says (story.py, chronicle.py).
"""

from collections.abc import Sequence
from itertools import groupby

from stillhouse.home import CHECKOUT
from tests.month.chronicle import Line
from tests.month.story import MONTH, Day
from tests.month.world import day_of

PAGE = CHECKOUT / "docs" / "events.md"
_BEGIN, _END = "<!-- what `make month` has seen -->\n", "<!-- to here -->\n"


def write(lines: Sequence[Line]) -> None:
    """Put what came of the month in the place of what the page has."""
    before, _, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}{table(lines)}{_END}{after}", "utf-8")


def table(lines: Sequence[Line]) -> str:
    """A row for each day on which anything was otherwise or anything came of it."""
    came = {day: [*some] for day, some in groupby(lines, key=lambda line: day_of(line.at))}
    rows = [
        f"| {day} | {MONTH.get(day, Day()).what} | {'; '.join(_in_short(line) for line in came.get(day, ()))} |\n"
        for day in sorted({*MONTH, *came})
    ]
    return "| day | what happens | what comes of it |\n|--|--|--|\n" + "".join(rows)


def _in_short(line: Line) -> str:
    more = line.more.split(" (drawn by key")[0].replace("|", "/")
    return f"{line.what} ({more})" if more and not line.what.startswith("a round") else line.what
