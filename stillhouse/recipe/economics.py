"""What a recipe says of money.

Belongs here: costs and what they have to bring. Does not: the account (stillhouse/economics.py).
"""

from pydantic import Field

from stillhouse.base import Record


class EconomicsSpec(Record):
    """What the teacher costs, what a student may cost to make, and how soon that has to come back."""

    calls_per_month: float = Field(gt=0, allow_inf_nan=False, description="calls in production, of all kinds")
    teacher_usd_per_1000_calls: float = Field(
        ge=0, allow_inf_nan=False, description="what the teacher costs to run today, all in"
    )
    engineering_hours: float = Field(ge=0, allow_inf_nan=False, description="until the student serves, of all people")
    engineering_usd_per_hour: float = Field(ge=0, allow_inf_nan=False, description="what one of these hours costs")
    labelling_usd: float = Field(0.0, ge=0, allow_inf_nan=False, description="people who label rows and review answers")
    compute_usd: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="expected for capture, training and evaluation; the ledger has the rest",
    )
    fallback_share: float = Field(
        0.0, ge=0, lt=1, description="share of calls that the student passes to the teacher, which are paid for twice"
    )
    payback_months_at_most: float = Field(12.0, gt=0, description="later than this is not worth beginning")
