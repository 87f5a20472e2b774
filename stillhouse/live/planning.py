"""How many days it takes to see agreement fall, by how many answers of the teacher a day are paid for.

Belongs here: playing the watch of a release on days to come.
Does not: the watch itself (watch.py), what golden rows can prove (stillhouse/evaluation/planning.py).
"""

import math

import numpy as np
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.baseline import AgreementScale
from stillhouse.live.estimate import AgreementPlan, plan_of
from stillhouse.live.watches import Watch
from stillhouse.recipe.watch import WatchSpec
from stillhouse.statistics.betting import BETS, log_growth, log_total
from stillhouse.statistics.detector import alarm_threshold
from stillhouse.statistics.live_agreement import debiased_disagreement

_LIVES, _DAYS_AT_MOST, _SEED = 200, 400, 20261128
FALLS = (0.04, 0.06, 0.10, 0.20)
ANSWERS_A_DAY = (20, 50, 200, 500)


class DaysToSee(Record):
    """One budget, and how long a fall goes unseen under it."""

    answers_a_day: int = Field(description="Of the teacher, about answers that the student gave.")
    share: float = Field(description="Of the requests, as `watch.ask_teacher` has it.")
    fall: float = Field(description="By how much agreement falls, as a fraction.")
    days: int | None = Field(description="Until half of such falls are found; null if beyond 400, or within the limit.")


class LivePlan(Record):
    """What each budget of teacher answers buys."""

    requests_a_day: int
    agreement: float = Field(description="Of the release with its teacher on golden rows.")
    limit: float = Field(description="Disagreement from which on the watch bets.")
    table: tuple[DaysToSee, ...]


def live_plan(scale: AgreementScale, watch: Watch, watches: int, spec: WatchSpec, *, requests_a_day: int) -> LivePlan:
    """Play days with agreement that fell, 200 times for each budget, and take the median.

    Args:
        scale: chance of agreement by confidence, of the release.
        watch: of agreement.
        watches: that share the yearly budget of false alarms.
        spec: with that budget.
        requests_a_day: that the student answers.
    """
    budgets = [each for each in ANSWERS_A_DAY if each <= requests_a_day]
    threshold = alarm_threshold(watches=watches, false_alarms_per_year=spec.false_alarms_per_year)
    table = []
    for answers in budgets:
        plan = plan_of(scale, answers / requests_a_day)
        assert plan is not None, "some are asked about"
        for fall in FALLS:
            days = _median_days(plan, watch.limit, threshold, fall, requests_a_day)
            table.append(DaysToSee(answers_a_day=answers, share=answers / requests_a_day, fall=fall, days=days))
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
