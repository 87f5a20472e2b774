"""When a student has paid for itself, against sums done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.economics import account, actual, amount, forecast, usd_per_1000_calls
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.recipe.economics import EconomicsSpec


def spec(**changes: float) -> EconomicsSpec:
    return EconomicsSpec(
        **{
            "calls_per_month": 1_000_000, "teacher_usd_per_1000_calls": 2.0, "engineering_hours": 50,
            "engineering_usd_per_hour": 100, "labelling_usd": 900, "compute_usd": 100, **changes,
        }
    )  # fmt: skip


def test_by_hand() -> None:
    # 50 h x 100 + 900 + 100 = 6,000 USD; 8 times cheaper: 2.00 - 0.25 = 1.75 saved; 6,000 / 1.75 x 1,000 calls
    said = forecast(spec(), BudgetSpec(latency_ratio_at_least=8), machine_usd_per_hour=0.1)
    assert said.upfront_usd == 6000 and said.student_usd_per_1000_calls == 0.25
    assert said.saving_usd_per_1000_calls == 1.75
    assert said.break_even_calls == pytest.approx(3_428_571.43)
    assert said.payback_months == pytest.approx(3.43, abs=0.005)
    assert said.decision == "fund"
    assert said.sentence == "fund: 6,000 USD to make, 1.75 USD saved per 1,000 calls, 3.4 months (3,428,571 calls)"


def test_at_low_volume_it_is_not_worth_beginning() -> None:
    said = forecast(spec(calls_per_month=10_000), BudgetSpec(latency_ratio_at_least=8), machine_usd_per_hour=0.1)
    assert said.payback_months == pytest.approx(342.9, abs=0.05) and said.decision == "do not fund"


def test_a_share_that_falls_back_is_paid_twice_and_can_undo_it() -> None:
    # 0.25 + 0.5 x 2.00 = 1.25: 0.75 saved, 8,000,000 calls
    half = forecast(spec(fallback_share=0.5), BudgetSpec(latency_ratio_at_least=8), machine_usd_per_hour=0.1)
    assert half.cascade_usd_per_1000_calls == 1.25 and half.break_even_calls == 8_000_000
    nearly_all = forecast(spec(fallback_share=0.9), BudgetSpec(latency_ratio_at_least=8), machine_usd_per_hour=0.1)
    assert nearly_all.saving_usd_per_1000_calls == pytest.approx(-0.05)
    assert nearly_all.break_even_calls is None and nearly_all.payback_months is None
    assert nearly_all.sentence == (
        "do not fund: 6,000 USD to make, and each 1,000 calls cost 0.05 USD more than with the teacher"
    )


def test_a_ratio_to_a_teacher_on_a_gpu_is_no_ratio_of_costs() -> None:
    # 36 ms at 1 USD an hour: 1,000 calls are 36 s, 0.01 USD
    budget = BudgetSpec(latency_ratio_at_least=0.5, latency_ms_at_most=36, teacher_serves_on="cuda")
    said = forecast(spec(), budget, machine_usd_per_hour=1.0)
    assert said.student_usd_per_1000_calls == pytest.approx(0.01)


def test_what_was_spent_and_measured_takes_the_place_of_what_was_expected() -> None:
    # 36 ms at 1 USD an hour: 1,000 calls are 36 s, 0.01 USD
    said = actual(spec(), {"training": 30.0, "evaluation": 10.0}, student_ms=36, machine_usd_per_hour=1.0)
    assert said.upfront == {"engineering": 5000, "labelling": 900, "training": 30, "evaluation": 10}
    assert said.student_usd_per_1000_calls == pytest.approx(0.01)
    assert said.saving_usd_per_1000_calls == pytest.approx(1.99)


def test_a_thousand_calls_of_a_millisecond_cost_a_second_of_the_machine() -> None:
    assert usd_per_1000_calls(1.0, 0.36) == pytest.approx(0.0001)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (0.0000216, "0.000022"), (0.021, "0.021"), (2.13, "2.1"), (1234.5, "1,234.50")],
)
def test_money_is_never_said_as_a_power_of_ten(value: float, said: str) -> None:
    assert amount(value) == said


def test_what_costs_nothing_to_make_pays_at_once_if_it_saves_anything() -> None:
    assert account(spec(), {}, student_usd_per_1000_calls=1.0).payback_months == 0
    assert account(spec(), {}, student_usd_per_1000_calls=2.0).payback_months is None


@pytest.mark.long
@given(st.floats(1, 1e9), st.floats(0, 0.99), st.floats(1.01, 1000))
def test_more_calls_and_less_fallback_never_make_it_later(calls: float, fallback: float, faster: float) -> None:
    def months(**changes: float) -> float:
        found = forecast(
            spec(**changes), BudgetSpec(latency_ratio_at_least=faster), machine_usd_per_hour=0.1
        ).payback_months
        return float("inf") if found is None else found

    assert months(calls_per_month=2 * calls) <= months(calls_per_month=calls)
    assert months(fallback_share=fallback / 2) <= months(fallback_share=fallback)
