"""The rounds of a recipe: what each came to, and how many more may start without a person, and when.

Belongs here: reading them from the ledger, what they cost, and the limits of a recipe's `refresh` on those that start
by themselves.
Does not: what a recipe needs (orchestration/dispatcher.py), finding out how a round ended (orchestration/outcomes.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from stillhouse.economics import Book, amount
from stillhouse.recipe.refresh import RefreshSpec
from stillhouse.records.corrections import corrected_usd
from stillhouse.records.events import Event, EventKind
from stillhouse.records.ledger import Entry, Ledger

MONTH = timedelta(days=30)
LABELS = "labels"
"""The fact of an event of matured feedback that says how many truths are known."""
EVENTS_QUIET = timedelta(minutes=1)
"""How long after the last event a round starts for it at the earliest, so that a storm of them is one round."""


class Ending(StrEnum):
    """What a round came to."""

    PROMOTED = "promoted"
    KEPT = "kept"
    TAKEN_IN = "taken in"
    CLOSED = "closed"
    BROKE = "broke"

    @property
    def answers_events(self) -> bool:
        """Whether what it was started by has had its round: not while it was only on its way, or could not work."""
        return self in (Ending.PROMOTED, Ending.KEPT, Ending.CLOSED)


def rounds_to_the_champion(ledger: Ledger, recipe: str) -> list[Entry]:
    """The entry of each round that was to reach the champion, the oldest first; one that took a batch in was not."""
    return [entry for entry in ledger.entries(recipe, "round") if entry.body["ending"] != Ending.TAKEN_IN]


def held_back(
    ledger: Ledger, recipe: str, refresh: RefreshSpec, *, paid_usd: float = 0.0, events: Sequence[Event] = ()
) -> str | None:
    """Why no round of a recipe may start by itself now, and until when; None if one may.

    Rounds that a person started count too, and are never held back: `stillhouse run` does not ask here.

    Args:
        ledger: with the rounds that ended and the batches that were taken in.
        recipe: its name.
        refresh: its limits.
        paid_usd: what a server was paid in the last 30 days for the teacher's answers.
        events: those that the round would be for, if it is for any.
    """
    now = ledger.now()
    return (
        budget_used_up(ledger, recipe, refresh, paid_usd=paid_usd)
        or _too_soon(ledger, recipe, refresh, now)
        or _still_arriving(ledger, recipe, refresh, now)
        or _still_happening(refresh, now, events)
    )


def budget_used_up(ledger: Ledger, recipe: str, refresh: RefreshSpec, *, paid_usd: float) -> str | None:
    """Why the rounds or the money of 30 days are used up, and until when; None where some of both is left.

    Args:
        ledger: with the rounds that ended.
        recipe: its name.
        refresh: its limits.
        paid_usd: what a server was paid in the last 30 days for the teacher's answers.
    """
    now = ledger.now()
    return _too_many(ledger, recipe, refresh, now) or _too_dear(ledger, recipe, refresh, now, paid_usd)


def _too_many(ledger: Ledger, recipe: str, refresh: RefreshSpec, now: datetime) -> str | None:
    if refresh.rounds_per_month is None:
        return None
    recent = [ended for ended in _rounds(ledger, recipe) if now - ended < MONTH]
    if len(recent) < refresh.rounds_per_month:
        return None
    free = recent[-refresh.rounds_per_month] + MONTH
    return (
        f"{len(recent)} rounds in 30 days, and refresh.rounds_per_month is {refresh.rounds_per_month}: the next may "
        f"start by itself {_at(free)}; `stillhouse run {recipe}` starts one now"
    )


def starts_a_round(refresh: RefreshSpec, event: Event) -> bool:
    """Whether a recipe wants rounds for events of its kind; for what a person asks there always is one."""
    return event.kind is EventKind.PERSON or event.kind.value in refresh.start


def starting(refresh: RefreshSpec, waiting: Sequence[Event]) -> list[Event]:
    """Those of the events that no round has answered which start one now: labels once enough of them have come."""
    wanted = [event for event in waiting if starts_a_round(refresh, event)]
    counts = (event.facts.get(LABELS) for event in wanted if event.kind is EventKind.LABELS)
    if sum(count for count in counts if isinstance(count, int)) >= refresh.labels_at_least:
        return wanted
    return [event for event in wanted if event.kind is not EventKind.LABELS]


def compute_usd(ledger: Ledger, recipe: str, since: datetime) -> float:
    """What the compute of a recipe has cost since a moment, with what led to nothing and what people have corrected."""
    return computed_usd(ledger, recipe, since) + corrected_usd(ledger, recipe, Book.COMPUTE, since=since)


def computed_usd(ledger: Ledger, recipe: str, since: datetime, until: datetime | None = None) -> float:
    """What is booked for the compute of a recipe after a moment, up to another one if it is given."""
    made = [(entry.moment, entry.body) for entry in ledger.entries(recipe, "materialization")]
    return sum(float(body["cost_usd"]) for at, body in made if at > since and (until is None or at < until))


def _too_dear(ledger: Ledger, recipe: str, refresh: RefreshSpec, now: datetime, paid_usd: float) -> str | None:
    if refresh.usd_per_month is None:
        return None
    spent = compute_usd(ledger, recipe, now - MONTH) + paid_usd
    if spent < refresh.usd_per_month:
        return None
    return (
        f"{amount(spent)} USD spent in 30 days, and refresh.usd_per_month is {refresh.usd_per_month:g}: the next round "
        f"may start by itself when enough of that is older; `stillhouse run {recipe}` starts one now"
    )


def _too_soon(ledger: Ledger, recipe: str, refresh: RefreshSpec, now: datetime) -> str | None:
    pause = timedelta(hours=refresh.hours_between_rounds)
    rounds = _rounds(ledger, recipe) if pause else []
    if not rounds or now - rounds[-1] >= pause:
        return None
    return (
        f"the last round ended {_at(rounds[-1])}, and refresh.hours_between_rounds is "
        f"{refresh.hours_between_rounds:g}: the next may start by itself {_at(rounds[-1] + pause)}"
    )


def _still_arriving(ledger: Ledger, recipe: str, refresh: RefreshSpec, now: datetime) -> str | None:
    """While files go on arriving a round is put off; the first that waits is not put off for ever."""
    quiet, longest = timedelta(minutes=refresh.quiet_minutes), timedelta(hours=refresh.wait_hours_at_most)
    if not quiet:
        return None
    rounds = _rounds(ledger, recipe)
    batches = [entry.moment for entry in ledger.entries(recipe, "batch")]
    waiting = [at for at in batches if not rounds or at > rounds[-1]]
    if not waiting:
        return None
    due = min(waiting[-1] + quiet, waiting[0] + longest)
    return None if now >= due else _until(due, f"{len(waiting)} new batches", waiting[-1])


def _still_happening(refresh: RefreshSpec, now: datetime, events: Sequence[Event]) -> str | None:
    """Likewise of events; one that only happens again is nothing new."""
    if not events:
        return None
    quiet = max(timedelta(minutes=refresh.quiet_minutes), EVENTS_QUIET)
    times = sorted(event.first_seen for event in events)
    due = min(times[-1] + quiet, times[0] + timedelta(hours=refresh.wait_hours_at_most))
    return None if now >= due else _until(due, f"{len(events)} events", times[-1])


def _until(due: datetime, what: str, last: datetime) -> str:
    return f"{what}, the last of {_at(last)}: a round starts {_at(due)}, or later where more arrive"


def _rounds(ledger: Ledger, recipe: str) -> list[datetime]:
    """When each of them ended."""
    return [entry.moment for entry in rounds_to_the_champion(ledger, recipe)]


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
