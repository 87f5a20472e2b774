"""Who does something when something happens to a recipe, when that is given up, and which risks are looked at again.

Belongs here: plays, their kill rules and risks, as a recipe says them, and what of a recipe decides nothing.
Does not: what a rule finds (stillhouse/records/plays.py), telling anybody (orchestration/notices.py).

A kill rule is one comparison: a fact, `>=`, `>`, `<=` or `<`, a number, and for facts that are counted over some time
`in N days`, which are 30 when left out. Of live traffic it may be asked that it is so `for N days`: on each of the last
whole days by itself.

    rounds_without_promotion >= 3
    usd > 20 in 7 days
    fallback_share > 0.4 for 14 days
    saving_usd < 0 in 30 days
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from operator import ge, gt, le, lt
from typing import Annotated, Literal

from pydantic import Field, field_validator

from stillhouse.recipe.bar import Terms
from stillhouse.recipe.events import EventKind
from stillhouse.recipe.fields import Name, Part, Sentence


class KillFact(StrEnum):
    """What a kill rule can ask for; of the time since a person has last resumed the recipe."""

    ROUNDS_WITHOUT_PROMOTION = "rounds_without_promotion"
    DAYS_WITHOUT_PROMOTION = "days_without_promotion"
    ROUNDS = "rounds"
    BROKEN_ROUNDS = "broken_rounds"
    CLOSED_ROUNDS = "closed_rounds"
    EVENTS = "events"
    USD = "usd"
    FALLBACK_SHARE = "fallback_share"
    SAVING_USD = "saving_usd"

    @property
    def is_of_traffic(self) -> bool:
        """Whether it is of what servers answer, so that it can be counted day by day."""
        return self in (KillFact.FALLBACK_SHARE, KillFact.SAVING_USD)

    @property
    def is_counted_over_days(self) -> bool:
        """Whether it is of some last days, and not of all that has followed something."""
        return self not in (KillFact.ROUNDS_WITHOUT_PROMOTION, KillFact.DAYS_WITHOUT_PROMOTION)


USUAL_DAYS = 30
_RULE = re.compile(r"([a-z_]+)\s*(>=|<=|>|<)\s*(-?[0-9]+(?:\.[0-9]+)?)(?:\s+(in|for)\s+([0-9]+)\s+days?)?")
_COMPARES: dict[str, Callable[[float, float], bool]] = {">=": ge, ">": gt, "<=": le, "<": lt}


@dataclass(frozen=True)
class KillRule:
    """When a play is given up.

    Args:
        fact: what is looked at.
        compared: by which sign.
        limit: with which number.
        days: over how many days it is counted; None for a fact that is not counted over days.
        each_day: whether it has to be so on each of them, and not over all of them together.
    """

    fact: KillFact
    compared: str
    limit: float
    days: int | None
    each_day: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a play is given up at this value of the fact."""
        return _COMPARES[self.compared](value, self.limit)

    def __str__(self) -> str:
        which = "for" if self.each_day else "in"
        over = "" if self.days is None else f" {which} {self.days} day{'s' * (self.days > 1)}"
        return f"{self.fact} {self.compared} {Decimal(f'{self.limit}').normalize():f}{over}"


def parse_rule(text: str) -> KillRule:
    """Read a kill rule.

    Raises:
        ValueError: if it is none; says what is.
    """
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            "a kill rule is a fact, >=, >, <= or <, and a number, such as rounds_without_promotion >= 3, "
            "usd > 20 in 7 days or fallback_share > 0.4 for 14 days"
        )
    name, compared, limit, which, days = match.groups()
    if name not in list(KillFact):
        raise ValueError(f"there is no fact {name}, only {', '.join(KillFact)}")
    fact = KillFact(name)
    if days is not None and not fact.is_counted_over_days:
        raise ValueError(f"{name} is not counted over days: leave out what follows the number")
    if which == "for" and not fact.is_of_traffic:
        raise ValueError(f"{name} is not counted day by day: write `in {days} days`")
    if days is not None and int(days) == 0:
        raise ValueError("in 0 days nothing can be counted")
    over = int(days or USUAL_DAYS) if fact.is_counted_over_days else None
    return KillRule(fact, compared, float(limit), over, each_day=which == "for")


Cadence = Literal["daily", "weekly", "monthly"]
PERIODS: dict[Cadence, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}
Owner = Annotated[str, Field(min_length=3, description="e-mail address or team:<name> of who answers for it")]


class PlaySpec(Part):
    """What is done when something happens: who is sent a notice, how often, and when it is given up."""

    name: Name = Field(description="what events, status and notices call it")
    on: Annotated[tuple[EventKind, ...], Field(min_length=1)] = Field(
        description="kinds of events that it is for (docs/events.md)"
    )
    owner: Owner
    do: Sentence = Field(description="what its owner does then, in a sentence")
    cadence: Cadence = Field(description="how often its owner is sent a notice at most")
    kill: str | None = Field(
        None,
        description="when the recipe is closed to rounds, such as rounds_without_promotion >= 3; the champion serves "
        "on, and a person opens it again by `stillhouse resume`; never when left out",
    )

    @field_validator("kill")
    @classmethod
    def _is_a_rule(cls, text: str | None) -> str | None:
        return None if text is None else str(parse_rule(text))

    @property
    def rule(self) -> KillRule | None:
        """The kill rule, read."""
        return None if self.kill is None else parse_rule(self.kill)


class RiskSpec(Part):
    """Something that may go wrong, and when somebody looks at it again."""

    name: Name = Field(description="what notices call it")
    what: Sentence = Field(description="what may go wrong, in a sentence")
    owner: Owner
    review: date = Field(
        description="day on which it is looked at again at the latest; its owner is sent a notice from then on"
    )

    @property
    def in_words(self) -> str:
        """That it is to be looked at again."""
        return f"the risk '{self.name}' was to be looked at by {self.review} by {self.owner}: {self.what}"


def undecided(terms: Terms) -> list[str]:
    """What is measured of a recipe's models and decides nothing, and what would have it decide, in a sentence each."""
    found = [f"the slice {each.name} is not critical" for each in terms.slices if not each.critical]
    found += [f"the field {each.name} is not critical" for each in terms.bar.judged_fields if not each.critical]
    found += [f"the behavioural test {each.name} is not critical" for each in terms.behaviour if not each.critical]
    lines = [f"{each}: give it `critical: true`, or leave it out" for each in found]
    found = [f"the sensitive column {each.column}" for each in terms.sensitive if each.gap_at_most is None]
    lines += [f"{each} has no limit: give it `gap_at_most`, or leave it out" for each in found]
    if terms.stress is not None and terms.stress.drop_at_most is None:
        lines.append("the stress test has no limit: give it `drop_at_most`, or leave it out")
    return lines
