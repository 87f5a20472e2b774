"""How many days it takes to see agreement fall, by how many answers of the teacher a day are paid for, and their price.

Belongs here: playing the watch of a release on days to come, and reckoning what its questions cost in them.
Does not: the watch itself (watch.py), what golden rows can prove (stillhouse/evaluation/planning.py).
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.base import Record
from stillhouse.economics import amount
from stillhouse.live.baseline import AgreementScale
from stillhouse.live.estimate import AgreementPlan, plan_of
from stillhouse.live.watches import Watch
from stillhouse.recipe.watch import WatchSpec
from stillhouse.statistics.betting import BETS, log_growth, log_total
from stillhouse.statistics.detector import alarm_threshold
from stillhouse.statistics.live_agreement import debiased_disagreement

DAYS_A_MONTH = 30
_LIVES, _DAYS_AT_MOST, _SEED = 200, 400, 20261128
FALLS = (0.04, 0.06, 0.10, 0.20)
ANSWERS_A_DAY = (20, 50, 200, 500)


class DaysToSee(Record):
    """One budget, and how long a fall goes unseen under it."""

    answers_a_day: int = Field(description="Of the teacher, about answers that the student gave.")
    share: float = Field(description="Of the requests, as `watch.ask_teacher` has it.")
    fall: float = Field(description="By how much agreement falls, as a fraction.")
    days: int | None = Field(description="Until half of such falls are found; null if beyond 400, or within the limit.")
    usd_a_month: float | None = Field(
        None, description="What these answers and the canary are expected to cost in 30 days at most; null of no price."
    )


class AnswersPrice(Record):
    """What the answers of a teacher cost that is paid for each."""

    usd_an_answer: float = Field(description="By the upper 95 % bound of what the pilot's cost; of all members.")
    canary_a_day: int = Field(description="Prompts that are asked again each day, to see whether the teacher changed.")

    def usd_a_month(self, answers_a_day: float) -> float:
        """What so many answers a day, and the canary, are expected to cost in 30 days at most."""
        return DAYS_A_MONTH * (answers_a_day + self.canary_a_day) * self.usd_an_answer


class AnswersCost(AnswersPrice):
    """The same of the recipe as it is, and what limits it."""

    usd_usually: float = Field(description="In 30 days with `watch.ask_teacher`, and the canary.")
    usd_when_drifting: float = Field(description="In 30 days with `watch.ask_when_drifting`, if inputs drift on each.")
    usd_left: float = Field(description="Of `usd_at_most`, which all calls of runs share: the watch asks no more then.")
    rounds_usd_a_month: float | None = Field(
        description="`refresh.usd_per_month`, in which these answers count: beyond it no round starts by itself."
    )

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a person, the recipe's own share first."""
        usual, drifting = amount(self.usd_usually), amount(self.usd_when_drifting)
        found = (
            f"as the recipe has it, answers are expected to cost up to {usual} USD in 30 days, up to {drifting} USD "
            f"if inputs drift on all of them ({self.canary_a_day:,} canary prompts a day included)",
            f"{amount(max(self.usd_left, 0.0))} USD are left of usd_at_most; without them the watch asks nobody",
        )
        if self.rounds_usd_a_month is None:
            return found
        limit = f"refresh.usd_per_month ({self.rounds_usd_a_month:g} USD)"
        return (*found, f"they count in {limit}: beyond it no round starts by itself")


class LivePlan(Record):
    """What each budget of teacher answers buys."""

    requests_a_day: int
    agreement: float = Field(description="Of the release with its teacher on golden rows.")
    limit: float = Field(description="Disagreement from which on the watch bets.")
    table: tuple[DaysToSee, ...]
    cost: AnswersCost | None = Field(None, description="Null of a teacher that is not paid for its answers.")


def live_plan(
    scale: AgreementScale,
    watch: Watch,
    watches: int,
    spec: WatchSpec,
    *,
    requests_a_day: int,
    price: AnswersPrice | None = None,
) -> LivePlan:
    """Play days with agreement that fell, 200 times for each budget, and take the median.

    Args:
        scale: chance of agreement by confidence, of the release.
        watch: of agreement.
        watches: that share the yearly budget of false alarms.
        spec: with that budget.
        requests_a_day: that the student answers.
        price: of the teacher's answers; None where they cost nothing.
    """
    budgets = [each for each in ANSWERS_A_DAY if each <= requests_a_day]
    threshold = alarm_threshold(watches=watches, false_alarms_per_year=spec.false_alarms_per_year)
    table = []
    for answers in budgets:
        plan = plan_of(scale, answers / requests_a_day)
        assert plan is not None, "some are asked about"
        for fall in FALLS:
            days = _median_days(plan, watch.limit, threshold, fall, requests_a_day)
            usd = None if price is None else price.usd_a_month(answers)
            share = answers / requests_a_day
            table.append(DaysToSee(answers_a_day=answers, share=share, fall=fall, days=days, usd_a_month=usd))
    return LivePlan(
        requests_a_day=requests_a_day, agreement=1 - scale.disagreed / sum(scale.rows), limit=watch.limit,
        table=tuple(table),
    )  # fmt: skip


def _median_days(plan: AgreementPlan, limit: float, threshold: float, fall: float, requests: int) -> int | None:
    generator = np.random.default_rng(_SEED)
    p, rows = np.unique(plan.scale.of_golden_rows, return_counts=True)
    chance, weight = plan.plan.chance(p), rows / rows.sum()
    true = p * max(0.0, 1 - fall / float(p @ weight))
    if 1 - float(true @ weight) <= limit:
        return None  # so few golden rows prove so little that such a fall is within the limit
    no, yes = np.zeros(len(p), bool), np.ones(len(p), bool)
    kinds = ((no, no, 1 - chance), (yes, yes, chance * true), (yes, no, chance * (1 - true)))
    values = np.concatenate([debiased_disagreement(p, chance, asked, agreed) for asked, agreed, _ in kinds])
    rates = np.concatenate([weight * rate for *_, rate in kinds])
    growth = log_growth(values, mean_at_most=limit, lowest=plan.lowest)
    capital, found = np.full((_LIVES, BETS), -np.inf), np.zeros(_LIVES, bool)
    for day in range(1, _DAYS_AT_MOST + 1):
        counts = generator.multinomial(requests, rates / rates.sum(), size=_LIVES)
        capital = np.logaddexp(capital, -math.log(BETS)) + counts @ growth
        found |= log_total(capital) >= math.log(threshold)
        if found.mean() >= 0.5:
            return day
    return None
