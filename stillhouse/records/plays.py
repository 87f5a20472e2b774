"""What the kill rules of a recipe's plays find in the ledger, and that a recipe is closed to rounds.

Belongs here: measuring the facts, closing, opening again.
Does not: the rules (stillhouse/recipe/plays.py), holding rounds back (orchestration/dispatcher.py).

A recipe that was closed stays so, whatever the facts are later, until a person resumes it; from then on they are
counted from the beginning. The champion serves on all the while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stillhouse.errors import StillhouseError
from stillhouse.recipe.plays import LedgerFact, PlaySpec
from stillhouse.records.events import history
from stillhouse.records.governance import signed
from stillhouse.records.ledger import Entry, Expected, Kind, Ledger
from stillhouse.records.rounds import Ending, compute_usd, rounds_to_the_champion

_KINDS: tuple[Kind, ...] = ("closure", "reopening")


@dataclass(frozen=True)
class Closure:
    """That a recipe is closed to rounds.

    Args:
        play: whose kill rule was met.
        since: when it was found so, ISO 8601, UTC.
        sentence: what was found.
    """

    play: str
    since: str
    sentence: str


def closure_of(ledger: Ledger, recipe: str) -> Closure | None:
    """What closes a recipe to rounds now, or None."""
    newest = _newest(ledger, recipe)
    if newest is None or newest.kind != "closure":
        return None
    return Closure(newest.body["play"], newest.at, newest.body["sentence"])


def closed_in_words(recipe: str, closure: Closure) -> str:
    """That a recipe is closed, why, and what a person can do."""
    return (
        f"no round starts by itself since {closure.since[:10]}: {closure.sentence}. The champion serves on; "
        f"`stillhouse resume {recipe}` lets rounds start again"
    )


def close_where_met(ledger: Ledger, recipe: str, plays: Sequence[PlaySpec]) -> Closure | None:
    """Close a recipe to rounds if the kill rule of one of its plays is met; return what closes it, new or not."""
    newest = _newest(ledger, recipe)
    if newest is not None and newest.kind == "closure":
        return closure_of(ledger, recipe)
    for play in plays:
        rule = play.rule
        if rule is None:
            continue
        since = None if newest is None else datetime.fromisoformat(newest.at)
        value = measured(ledger, recipe, play, since)
        if rule.is_met(value):
            sentence = f"{rule.fact} is {value:g}, and the play '{play.name}' is given up at {rule}"
            body = {"play": play.name, "rule": str(rule), "value": value, "owner": play.owner, "sentence": sentence}
            expected = Expected(_KINDS, None if newest is None else newest.sequence)
            ledger.append_all(recipe, [("closure", body)], expected=expected)
            return closure_of(ledger, recipe)
    return None


def reopen(ledger: Ledger, recipe: str, *, by: str, reason: str) -> Entry:
    """Let rounds of a recipe start by themselves again.

    Raises:
        StillhouseError: if no play has closed it, or nobody or no reason is named.
        OvertakenError: if somebody else was quicker.
    """
    newest = _newest(ledger, recipe)
    if newest is None or newest.kind != "closure":
        raise StillhouseError(
            "no play has closed it to rounds", where=recipe, expected="a recipe that is closed",
            do=f"`stillhouse status {recipe}` says what it waits for.",
        )  # fmt: skip
    body = {"play": newest.body["play"], **signed(by, reason)}
    return ledger.append_all(recipe, [("reopening", body)], expected=Expected(_KINDS, newest.sequence))[0]


def measured(ledger: Ledger, recipe: str, play: PlaySpec, since: datetime | None) -> float:
    """The fact that a play's kill rule is about.

    Args:
        ledger: of the recipe.
        recipe: its name.
        play: with a kill rule.
        since: when a person has resumed the recipe; nothing before counts.
    """
    rule, now = play.rule, ledger.now()
    assert rule is not None
    first = since or datetime.min.replace(tzinfo=now.tzinfo)
    if rule.days is not None:
        first = max(first, now - timedelta(days=rule.days)) if since else now - timedelta(days=rule.days)
    return _FACTS[rule.fact](ledger, recipe, play, first, now)


def _newest(ledger: Ledger, recipe: str) -> Entry | None:
    found = [entry for kind in _KINDS if (entry := ledger.newest(recipe, kind)) is not None]
    return max(found, key=lambda entry: entry.sequence, default=None)


def _after(entries: Sequence[Entry], first: datetime) -> list[Entry]:
    return [entry for entry in entries if datetime.fromisoformat(entry.at) >= first]


def _rounds_without_promotion(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
    """Rounds since the last one that promoted, or since what an earlier one offered has taken over."""
    promotions = ledger.entries(recipe, "promotion")
    took_over = max((entry.sequence for entry in promotions if entry.body.get("because") == "rollout"), default=0)
    without = 0
    for entry in reversed(_after(rounds_to_the_champion(ledger, recipe), first)):
        if entry.body["ending"] == Ending.PROMOTED or entry.sequence < took_over:
            break
        without += 1
    return without


def _days_without_promotion(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
    """Days since the newest promotion, or a person's word after it; none while nothing was ever promoted."""
    newest = ledger.newest(recipe, "promotion")
    if newest is None:
        return 0.0
    return (now - max(first, datetime.fromisoformat(newest.at))) / timedelta(days=1)


def _ended(*endings: Ending) -> "Measure":
    def count(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
        return sum(entry.body["ending"] in endings for entry in _after(rounds_to_the_champion(ledger, recipe), first))

    return count


def _events(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
    """Events of the kinds that the play is for, each once."""
    kept = [noted.event for noted in history(ledger, recipe)]
    return sum(event.kind in play.on and event.first_seen >= first for event in kept)


def _usd(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
    return compute_usd(ledger, recipe, first)


Measure = Callable[[Ledger, str, PlaySpec, datetime, datetime], float]
_FACTS: dict[LedgerFact, Measure] = {
    LedgerFact.ROUNDS_WITHOUT_PROMOTION: _rounds_without_promotion,
    LedgerFact.DAYS_WITHOUT_PROMOTION: _days_without_promotion,
    LedgerFact.ROUNDS: _ended(*(ending for ending in Ending if ending is not Ending.TAKEN_IN)),
    LedgerFact.BROKEN_ROUNDS: _ended(Ending.BROKE),
    LedgerFact.CLOSED_ROUNDS: _ended(Ending.CLOSED),
    LedgerFact.EVENTS: _events,
    LedgerFact.USD: _usd,
}
