"""Whether a student pays for itself.

Belongs here: the arithmetic of what it costs to make, what it saves per call, and when the one has paid for the other;
what costs are booked in.
Does not: what was measured or spent (orchestration/economics.py), whether it is asked for at all (checks/contract.py).
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from stillhouse.base import Record
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.recipe.economics import EconomicsSpec

HOUR_MS = 3_600_000


class Decision(StrEnum):
    """Whether a student is worth what it costs."""

    FUND = "fund"
    DO_NOT_FUND = "do not fund"


class Book(StrEnum):
    """What the costs of a recipe are booked in."""

    ANSWERS = "answers"
    """What calls and batches of runs cost, to a teacher and models behind servers: `teacher.endpoint.usd_at_most`."""
    SERVING = "serving"
    """What calls of servers cost, to the teacher behind a student: `serving.teacher.usd_per_month`."""
    COMPUTE = "compute"
    """What this machine cost while it made artifacts."""


class Economics(Record):
    """The account of one student. Money in US dollars."""

    upfront: dict[str, float] = Field(description="What it costs to make, by kind.")
    upfront_usd: float
    teacher_usd_per_1000_calls: float
    student_usd_per_1000_calls: float
    cascade_usd_per_1000_calls: float = Field(description="The student, and the teacher for what is passed to it.")
    saving_usd_per_1000_calls: float = Field(description="Negative when the student is dearer than its teacher.")
    break_even_calls: float | None = Field(description="Calls after which it has paid for itself; null if never.")
    payback_months: float | None = Field(description="The same in months; null if never.")
    decision: Decision

    @property
    def sentence(self) -> str:
        """The decision and why, in one line."""
        upfront = f"{self.upfront_usd:,.0f} USD to make"
        if self.payback_months is None or self.break_even_calls is None:
            saved = -self.saving_usd_per_1000_calls
            more = f"each 1,000 calls cost {saved:.4g} USD more than with the teacher"
            return f"{Decision.DO_NOT_FUND}: {upfront}, and {more}"
        months = f"{self.payback_months:,.1f} months ({self.break_even_calls:,.0f} calls)"
        return f"{self.decision}: {upfront}, {self.saving_usd_per_1000_calls:.4g} USD saved per 1,000 calls, {months}"


class RunningCost(Record):
    """What calls cost on the machine they were timed on: one stream, paid for the CPU time that it takes."""

    machine_usd_per_hour: float = Field(description="Price of the machine, from the recipe.")
    teacher_usd_per_1000_calls: float | None = Field(
        description="At its mean CPU time; by 0.1.0 at its median latency; null where it does not run here."
    )
    student_usd_per_1000_calls: float = Field(description="At its mean CPU time; by 0.1.0 at its median latency.")


def usd_per_1000_calls(milliseconds: float, machine_usd_per_hour: float) -> float:
    """What 1,000 calls cost, one after the other on a machine of their own.

    Args:
        milliseconds: of one call, while it has the processor.
        machine_usd_per_hour: price of the machine.
    """
    return 1000 * milliseconds / HOUR_MS * machine_usd_per_hour


def amount(usd: float) -> str:
    """Money of any size: cents from 10 USD on, else two significant digits, never as a power of ten."""
    return f"{usd:,.2f}" if usd >= 10 else f"{Decimal(f'{usd:.2g}'):f}"


def account(spec: EconomicsSpec, upfront: Mapping[str, float], *, student_usd_per_1000_calls: float) -> Economics:
    """Weigh what a student costs against what it saves.

    Args:
        spec: prices, volume and patience.
        upfront: what it costs to make by kind, in USD.
        student_usd_per_1000_calls: what the student costs to run.
    """
    total = sum(upfront.values())
    teacher = spec.teacher_usd_per_1000_calls
    cascade = student_usd_per_1000_calls + spec.fallback_share * teacher
    saving = teacher - cascade
    calls = 1000 * total / saving if saving > 0 else None
    months = None if calls is None else calls / spec.calls_per_month
    pays = months is not None and months <= spec.payback_months_at_most
    return Economics(
        upfront=dict(upfront),
        upfront_usd=total,
        teacher_usd_per_1000_calls=teacher,
        student_usd_per_1000_calls=student_usd_per_1000_calls,
        cascade_usd_per_1000_calls=cascade,
        saving_usd_per_1000_calls=saving,
        break_even_calls=calls,
        payback_months=months,
        decision=Decision.FUND if pays else Decision.DO_NOT_FUND,
    )


def forecast(spec: EconomicsSpec, budget: BudgetSpec, *, machine_usd_per_hour: float) -> Economics:
    """Weigh it before anything exists: a student that is as slow as the budget allows.

    Args:
        spec: prices, volume and patience.
        budget: how many times faster than the teacher it has to be on one device, or else how long a call may take.
        machine_usd_per_hour: price of the machine that serves.
    """
    if budget.latency_ratio_at_least is not None and budget.teacher_serves_on == "cpu":
        per_1000 = spec.teacher_usd_per_1000_calls / budget.latency_ratio_at_least
    else:
        assert budget.latency_ms_at_most is not None, "the recipe asks for one of the two"
        per_1000 = usd_per_1000_calls(budget.latency_ms_at_most, machine_usd_per_hour)
    people = spec.engineering_hours * spec.engineering_usd_per_hour
    upfront = {"engineering": people, "labelling": spec.labelling_usd, "compute": spec.compute_usd}
    return account(spec, upfront, student_usd_per_1000_calls=per_1000)


def actual(
    spec: EconomicsSpec, spent: Mapping[str, float], *, student_ms: float, machine_usd_per_hour: float
) -> Economics:
    """Weigh it with what was spent and measured.

    Args:
        spec: prices, volume and patience; its expected compute is replaced by what was spent.
        spent: compute by kind, in USD, from the ledger.
        student_ms: mean CPU time of one call.
        machine_usd_per_hour: price of the machine that serves.
    """
    people = {"engineering": spec.engineering_hours * spec.engineering_usd_per_hour, "labelling": spec.labelling_usd}
    per_1000 = usd_per_1000_calls(student_ms, machine_usd_per_hour)
    return account(spec, {**people, **spent}, student_usd_per_1000_calls=per_1000)
