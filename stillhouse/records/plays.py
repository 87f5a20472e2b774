"""What the kill rules of a recipe's plays find in the ledger and beside it, and that a recipe is closed to rounds.

Belongs here: measuring the facts, closing, opening again; which risks are due.
Does not: the rules (stillhouse/recipe/plays.py), reading what is kept beside the ledger (orchestration/kill_rules.py),
holding rounds back (orchestration/dispatcher.py).

A recipe that was closed stays so, whatever the facts are later, until a person resumes it; from then on they are
counted from the beginning. The champion serves on all the while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from stillhouse.errors import StillhouseError
from stillhouse.recipe.plays import KillFact, KillRule, PlaySpec, RiskSpec
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


def closed_by_a_play(ledger: Ledger, recipe: str) -> str | None:
    """Why a play lets no round of a recipe start by itself, and what a person can do; None where none does."""
    closure = closure_of(ledger, recipe)
    if closure is None:
        return None
    return (
        f"no round starts by itself since {closure.since[:10]}: {closure.sentence}. The champion serves on; "
        f"`stillhouse resume {recipe}` lets rounds start again"
    )


def risks_to_review(ledger: Ledger, risks: Sequence[RiskSpec]) -> list[RiskSpec]:
    """The risks whose day of review has come."""
    today = ledger.now().date()
    return [risk for risk in risks if risk.review <= today]


@dataclass(frozen=True)
class ServedDay:
    """What servers answered on a day.

    Args:
        answers: how many.
        handed_on: those that the teacher gave, or should have given.
    """

    answers: float
    handed_on: float


@dataclass(frozen=True)
class Prices:
    """What 1,000 calls cost, in US dollars.

    Args:
        teacher: of the teacher, all in.
        student: of the student that serves.
    """

    teacher: float
    student: float


@dataclass(frozen=True)
class BesideTheLedger:
    """What facts are measured by that does not stand in the ledger.

    Args:
        paid_usd: what was paid for answers of runs since a moment.
        served: what servers answered on a day, UTC; None where that was not summed up.
        prices: what calls cost; None where that is not known.
    """

    paid_usd: Callable[[datetime], float]
    served: Callable[[date], ServedDay | None]
    prices: Callable[[], Prices | None]


def close_where_met(ledger: Ledger, recipe: str, plays: Sequence[PlaySpec], beside: BesideTheLedger) -> Closure | None:
    """Close a recipe to rounds if the kill rule of one of its plays is met; return what closes it, new or not."""
    newest = _newest(ledger, recipe)
    if newest is not None and newest.kind == "closure":
        return closure_of(ledger, recipe)
    for play in plays:
        rule = play.rule
        if rule is None:
            continue
        since = None if newest is None else newest.moment
        value = measured(ledger, recipe, play, since, beside)
        if value is not None and rule.is_met(value):
            what = f"{rule.fact} is {value:g}" + (f" on one of {rule.days} days and beyond it on all" * rule.each_day)
            sentence = f"{what}, and the play '{play.name}' is given up at {rule}"
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


def measured(
    ledger: Ledger, recipe: str, play: PlaySpec, since: datetime | None, beside: BesideTheLedger
) -> float | None:
    """The fact that a play's kill rule is about.

    Args:
        ledger: of the recipe.
        recipe: its name.
        play: with a kill rule.
        since: when a person has resumed the recipe; nothing before counts.
        beside: what does not stand in the ledger.

    Returns:
        None where it is not known. Of what has to be so on each of some days, the value nearest to not being so.
    """
    rule, now = play.rule, ledger.now()
    assert rule is not None
    first = since or datetime.min.replace(tzinfo=now.tzinfo)
    if rule.fact.is_of_traffic:
        return _of_traffic(ledger, recipe, rule, since, beside)
    if rule.days is not None:
        first = max(first, now - timedelta(days=rule.days)) if since else now - timedelta(days=rule.days)
    if rule.fact is KillFact.USD:
        return compute_usd(ledger, recipe, first) + beside.paid_usd(first)
    return _FACTS[rule.fact](ledger, recipe, play, first, now)


def _of_traffic(
    ledger: Ledger, recipe: str, rule: KillRule, since: datetime | None, beside: BesideTheLedger
) -> float | None:
    """A fact of the last whole days in UTC, all of which count: since the recipe serves, and was resumed."""
    assert rule.days is not None, "what is of traffic is counted over days"
    today = ledger.now().astimezone(UTC).date()
    days = [today - timedelta(days=each) for each in range(rule.days, 0, -1)]
    begun = [entry.moment for entry in ledger.entries(recipe, "promotion")[:1]]
    if not begun or _beginning(days[0]) < max([*begun, *([] if since is None else [since])]):
        return None
    if not rule.each_day:
        return _TRAFFIC_FACTS[rule.fact](ledger, recipe, days, beside)
    values = [_TRAFFIC_FACTS[rule.fact](ledger, recipe, [day], beside) for day in days]
    known = [each for each in values if each is not None]
    if len(known) < len(days):
        return None
    return min(known) if rule.compared in (">", ">=") else max(known)


def _fallback_share(ledger: Ledger, recipe: str, days: Sequence[date], beside: BesideTheLedger) -> float | None:
    served = [found for day in days if (found := beside.served(day)) is not None]
    answers = sum(each.answers for each in served)
    return sum(each.handed_on for each in served) / answers if answers else None


def _saving_usd(ledger: Ledger, recipe: str, days: Sequence[date], beside: BesideTheLedger) -> float | None:
    """What the teacher would have cost for all answers, less what was spent: on its own, the student's, and rounds."""
    prices, served = beside.prices(), [found for day in days if (found := beside.served(day)) is not None]
    if prices is None or len(served) < len(days):
        return None
    first, end = _beginning(days[0]), _beginning(days[-1] + timedelta(days=1))
    answers, handed_on = sum(each.answers for each in served), sum(each.handed_on for each in served)
    saved = ((answers - handed_on) * prices.teacher - answers * prices.student) / 1000
    paid = beside.paid_usd(first) - beside.paid_usd(end)
    computed = compute_usd(ledger, recipe, first) - compute_usd(ledger, recipe, end)
    return saved - paid - computed


def _beginning(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _newest(ledger: Ledger, recipe: str) -> Entry | None:
    found = [entry for kind in _KINDS if (entry := ledger.newest(recipe, kind)) is not None]
    return max(found, key=lambda entry: entry.sequence, default=None)


def _after(entries: Sequence[Entry], first: datetime) -> list[Entry]:
    return [entry for entry in entries if entry.moment >= first]


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
    return (now - max(first, newest.moment)) / timedelta(days=1)


def _ended(*endings: Ending) -> "Measure":
    def count(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
        return sum(entry.body["ending"] in endings for entry in _after(rounds_to_the_champion(ledger, recipe), first))

    return count


def _events(ledger: Ledger, recipe: str, play: PlaySpec, first: datetime, now: datetime) -> float:
    """Events of the kinds that the play is for, each once."""
    kept = [noted.event for noted in history(ledger, recipe)]
    return sum(event.kind in play.on and event.first_seen >= first for event in kept)


Measure = Callable[[Ledger, str, PlaySpec, datetime, datetime], float]
_FACTS: dict[KillFact, Measure] = {
    KillFact.ROUNDS_WITHOUT_PROMOTION: _rounds_without_promotion,
    KillFact.DAYS_WITHOUT_PROMOTION: _days_without_promotion,
    KillFact.ROUNDS: _ended(*(ending for ending in Ending if ending is not Ending.TAKEN_IN)),
    KillFact.BROKEN_ROUNDS: _ended(Ending.BROKE),
    KillFact.CLOSED_ROUNDS: _ended(Ending.CLOSED),
    KillFact.EVENTS: _events,
}
_TRAFFIC_FACTS: dict[KillFact, Callable[[Ledger, str, Sequence[date], BesideTheLedger], float | None]] = {
    KillFact.FALLBACK_SHARE: _fallback_share,
    KillFact.SAVING_USD: _saving_usd,
}
