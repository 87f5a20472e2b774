"""What people say was really paid, where that is not what is booked.

Belongs here: their corrections, and what these add to the sums of a recipe.
Does not: the books themselves, which are never written again (stillhouse/teachers/calls.py, spending.py, the ledger's
own costs), asking people (orchestration/commands/).

Costs are booked by the prices of a recipe, and the prices may be wrong, or an invoice says otherwise. A correction is
of a month of one book. Where days are counted back from now, nobody knows on which day of the month it belongs, so it
counts where no limit can be passed by it: what a month's corrections add together at its end, or at the moment of the
last of them if that was before, and what they take off at its beginning, with which all that they were taken off from
is still counted.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import Field

from stillhouse.base import Record
from stillhouse.economics import Book, amount
from stillhouse.errors import StillhouseError
from stillhouse.records.governance import signed
from stillhouse.records.ledger import Entry, Expected, Ledger

_SMALLEST_USD = 1e-9
"""What a float may be off by once it is a sum of many."""
_MOST_USD = 1e9
"""Of one correction: it is never taken out of the ledger, and a sum of such as came by a slip has no number."""


class Correction(Record):
    """What a person says has to be added to what is booked."""

    book: Book
    month: str = Field(description="In which it was paid, UTC, such as 2026-11.")
    usd: float = Field(description="Added to the sum; negative where too much is booked.")
    by: str
    reason: str
    at: str = Field(description="When it was given, ISO 8601, UTC.")

    @property
    def sentence(self) -> str:
        """What was corrected, by whom and why."""
        sign = "-" if self.usd < 0 else "+"
        return f"{self.book} of {self.month}: {sign}{amount(abs(self.usd))} USD by {self.by}, because {self.reason}"


def correct(
    ledger: Ledger, recipe: str, *, book: Book, month: str, usd: float, booked: float, by: str, reason: str
) -> Correction:
    """Record a correction; of two people who correct a recipe at once one is asked to look again.

    Args:
        ledger: where it is recorded.
        recipe: whose sum.
        book: which sum.
        month: of which month, such as 2026-11.
        usd: to be added.
        booked: USD that the book says of that month, without corrections.
        by: who says so.
        reason: why.

    Raises:
        StillhouseError: if nobody or no reason is named, the month is none or to come, less than nothing would be left
            of what is booked, or nobody has so much.
        OvertakenError: if somebody else was quicker.
    """
    first, _ = bounds_of_month(month)
    if first > ledger.now():
        raise StillhouseError(
            f"{month} has not begun", where="--month", expected=f"at most {ledger.now():%Y-%m}", do="Name another."
        )
    newest = ledger.newest(recipe, "correction")
    there = booked + corrected_usd(ledger, recipe, book, month=month)
    if not 0 < abs(usd) <= _MOST_USD or there + usd < -_SMALLEST_USD:
        raise StillhouseError(
            f"{there:.4f} USD are booked for {book} of {month}, with what was corrected before",
            where=f"--usd {usd:g}",
            expected=f"what to add to that, at most {_MOST_USD:,.0f}; a negative number takes off, at most all of it",
            do="Give the difference between what was paid and what is booked, of this month alone.",
        )
    body = {"book": book.value, "month": month, "usd": usd, **signed(by, reason)}
    expected = Expected(("correction",), None if newest is None else newest.sequence)
    (entry,) = ledger.append_all(recipe, [("correction", body)], expected=expected)
    return _read(entry)


def corrections(ledger: Ledger, recipe: str, book: Book | None = None) -> list[Correction]:
    """The corrections of a recipe in the order in which they were given, of one book if it is named."""
    return [_read(entry) for entry in ledger.entries(recipe, "correction", subject=book and book.value)]


def corrected_usd(
    ledger: Ledger, recipe: str, book: Book, *, month: str | None = None, since: datetime | None = None
) -> float:
    """What corrections add to a sum.

    Args:
        ledger: where they are recorded.
        recipe: whose sum.
        book: which sum.
        month: of this month alone.
        since: of those that count from this moment on.
    """
    of_month: dict[str, list[Correction]] = {}
    for each in corrections(ledger, recipe, book):
        if month is None or each.month == month:
            of_month.setdefault(each.month, []).append(each)
    sums = [(_counts_at(given), math.fsum(each.usd for each in given)) for given in of_month.values()]
    return math.fsum(usd for counts_at, usd in sums if since is None or counts_at >= since)


def _counts_at(given: Sequence[Correction]) -> datetime:
    """The moment at which the corrections of one month count where days are counted back from now."""
    first, after = bounds_of_month(given[0].month)
    adds = math.fsum(each.usd for each in given) > 0
    return min(after, datetime.fromisoformat(given[-1].at)) if adds else first


def bounds_of_month(month: str) -> tuple[datetime, datetime]:
    """When a month begins, and when the next one does, UTC.

    Raises:
        StillhouseError: if it is none.
    """
    found = re.fullmatch(r"(2\d{3})-(0[1-9]|1[0-2])", month, re.ASCII)
    if found is None:
        raise StillhouseError(
            "that is not a month", where=f"--month {month!r}", expected="year and month, such as 2026-11",
            do="Name the month that was paid for.",
        )  # fmt: skip
    first = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _read(entry: Entry) -> Correction:
    said = {name: entry.body[name] for name in ("book", "month", "usd", "by", "reason")}
    return Correction(**said, at=entry.at)
