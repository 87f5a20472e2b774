"""How often student and teacher agree on live requests, of which the teacher sees few.

Belongs here: which requests the teacher is asked about, and the estimates from its answers.
Does not: asking it, the alarm when agreement falls (detector.py), how confidence is calibrated (calibration.py).
"""

import hmac
import math
from hashlib import sha256

import numpy as np
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.digests import uniform_of
from stillhouse.statistics import score_test
from stillhouse.statistics.verdicts import check_alpha

FLOOR = 0.2
"""The part of the budget that every request gets, however sure the student is: the rest looks where it is unsure."""


class AskingPlan(Record):
    """With what chance the teacher is asked about a request, given the chance that it agrees with the student."""

    threshold: float = Field(
        ge=0,
        le=1,
        description="Below this chance of agreement the teacher answers anyway, as in a cascade; 0 for none.",
    )
    budget: float = Field(gt=0, le=1, description="Share of the other requests that the teacher is asked about.")
    scale: float = Field(ge=0, description="Times the standard deviation of agreement: what a request is asked with.")

    @property
    def floor(self) -> float:
        """Chance with which any request is asked about."""
        return FLOOR * self.budget

    def chance(self, agreement: FloatArray) -> FloatArray:
        """Chance of asking the teacher, of the same shape as the calibrated chances that it agrees."""
        above = _clipped(self.scale * _spread(agreement), self.floor)
        return np.where(agreement < self.threshold, 1.0, above)

    @property
    def lowest_disagreement(self) -> float:
        """A bound, known beforehand, of what one request adds to the debiased disagreement, for a `Detector` of it.

        One that was asked about and agrees counts as 1 - p - (1 - p) / chance, where p is the chance of agreement. From
        the threshold t on (1 - p) / chance is at most (1 - t) / floor, and sqrt((1 - t) / t) / scale if that is less.
        """
        odds = (1 - self.threshold) / self.threshold if self.threshold else math.inf
        by_spread = math.sqrt(odds) / self.scale if self.scale else math.inf
        return -max(1 - self.threshold, min(by_spread, (1 - self.threshold) / self.floor))


def plan_asking(agreement: FloatArray, *, threshold: float, budget: float) -> AskingPlan:
    """Spend a budget of teacher answers where they tell most about the agreement.

    The variance of the estimate is least where the chance of asking goes with sqrt(p (1 - p)), the standard deviation
    of an agreement of chance p (active inference: Zrnic and Candès 2024, ICML).

    Args:
        agreement: shape (n,), calibrated chances of agreement on requests like those to come.
        threshold: below it the teacher answers anyway, which costs nothing of the budget.
        budget: share of the requests from the threshold on.

    Returns:
        The plan, whose scale makes the mean chance the budget. Where too few requests are uncertain for that, each of
        these is asked about and some budget is left over.

    Raises:
        ValueError: if a chance is not a probability, an argument is out of range, or no request is above the threshold.
    """
    if not ((agreement >= 0) & (agreement <= 1)).all():
        raise ValueError("a chance of agreement is not a probability")
    if not 0.0 <= threshold <= 1.0 or not 0.0 < budget <= 1.0:
        raise ValueError(f"threshold and budget must be fractions, not {threshold} and {budget}")
    spread = _spread(agreement[agreement >= threshold])
    if not spread.size:
        raise ValueError(f"no request has a chance of agreement of {threshold} or more")
    low, high = 0.0, 1 / float(spread[spread > 0].min(initial=math.inf))
    for _ in range(100):
        middle = (low + high) / 2
        too_much = _clipped(middle * spread, FLOOR * budget).mean() > budget
        low, high = (low, middle) if too_much else (middle, high)
    return AskingPlan(threshold=threshold, budget=budget, scale=low)


def is_asked(request: str, chance: float, *, key: bytes) -> bool:
    """Whether the teacher is asked about a request: any replica and any auditor who has the key finds the same.

    Args:
        request: its id.
        chance: in (0, 1], which is to be recorded with the request.
        key: a secret, so that nobody who sees ids can tell which requests are looked at.

    Returns:
        True with that chance over ids: the first 53 bits of an HMAC-SHA256 are a number in [0, 1).

    Raises:
        ValueError: if the chance is out of range.
    """
    if not 0.0 < chance <= 1.0:
        raise ValueError(f"the chance must be in (0, 1], not {chance}")
    # The key may sign other things, too; what is signed here begins like none of them.
    drawn = hmac.digest(key, b"ask the teacher about " + request.encode(), sha256)
    return uniform_of(drawn) < chance


class LiveAgreement(Record):
    """How often student and teacher agree: as the confidences have it, and as the teacher's answers correct it."""

    requests: int
    asked: int = Field(description="Of them, those that the teacher answered, too.")
    alpha: float = Field(description="Two-sided error rate of both half-widths.")
    label_free: float = Field(description="Mean calibrated chance of agreement; blind to a change in what is right.")
    debiased: float = Field(description="The same, corrected by the teacher's answers: unbiased whatever has changed.")
    half_width: float = Field(description="Half of the 1 - alpha interval around the debiased estimate.")
    gap: float = Field(description="Label-free minus debiased: by how much the confidences promise too much.")
    gap_half_width: float = Field(description="Half of the 1 - alpha interval around the gap.")


def live_agreement(
    agreement: FloatArray, chance: FloatArray, asked: BoolArray, agreed: BoolArray, *, alpha: float = 0.05
) -> LiveAgreement:
    """Estimate how often student and teacher agree, from few answers of the teacher.

    The mean of p + asked (agreed - p) / chance: the augmented inverse-probability-weighted estimate, which is unbiased
    because the chances are known and not estimated (Robins, Rotnitzky and Zhao 1994, JASA 89:846; Zrnic and Candès
    2024, ICML). The half-widths are those of the normal distribution, so a few hundred answers are due.

    Args:
        agreement: shape (n,), the calibrated chance p that student and teacher agree.
        chance: shape (n,), with which the teacher was asked, as recorded.
        asked: shape (n,), whether it was.
        agreed: shape (n,), whether it agreed; not looked at where it was not asked.
        alpha: two-sided error rate.

    Returns:
        Both estimates and their gap.

    Raises:
        ValueError: if the shapes differ, there are fewer than two requests, or a number is out of range.
    """
    check_alpha(alpha)
    correction = _correction(agreement, chance, asked, agreed)
    if agreement.size < 2:
        raise ValueError("one request says nothing of the spread between them")
    z = score_test.normal_quantile(1 - alpha / 2) / math.sqrt(agreement.size)
    label_free, gap = float(agreement.mean()), -float(correction.mean())
    return LiveAgreement(
        requests=agreement.size,
        asked=int(asked.sum()),
        alpha=alpha,
        label_free=label_free,
        debiased=label_free - gap,
        half_width=z * float((agreement + correction).std(ddof=1)),
        gap=gap,
        gap_half_width=z * float(correction.std(ddof=1)),
    )


def debiased_disagreement(agreement: FloatArray, chance: FloatArray, asked: BoolArray, agreed: BoolArray) -> FloatArray:
    """What each request adds to the debiased disagreement, shape (n,): the values that a `Detector` watches.

    Its limit is 1 minus the lowest acceptable agreement, its lowest value the plan's `lowest_disagreement`. Arguments
    and errors are those of `live_agreement`.
    """
    return 1 - agreement - _correction(agreement, chance, asked, agreed)


def _correction(agreement: FloatArray, chance: FloatArray, asked: BoolArray, agreed: BoolArray) -> FloatArray:
    if not agreement.shape == chance.shape == asked.shape == agreed.shape == (agreement.size,):
        shapes = (agreement.shape, chance.shape, asked.shape, agreed.shape)
        raise ValueError(f"need four vectors of one length, not shapes {shapes}")
    if not ((agreement >= 0) & (agreement <= 1) & (chance > 0) & (chance <= 1)).all():
        raise ValueError("a chance is not a probability, or a request had no chance to be asked about")
    return np.where(asked, (agreed - agreement) / chance, 0.0)


def _spread(agreement: FloatArray) -> FloatArray:
    return np.sqrt(agreement * (1 - agreement))


def _clipped(chance: FloatArray, floor: float) -> FloatArray:
    return np.clip(chance, floor, 1.0)
