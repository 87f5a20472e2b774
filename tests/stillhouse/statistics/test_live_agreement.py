"""Agreement on live requests from few answers: by hand, unbiased by enumeration, and who is asked."""

import hmac
import itertools
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.statistics.live_agreement import (
    AskingPlan,
    debiased_disagreement,
    is_asked,
    live_agreement,
    plan_asking,
)

SURE = np.random.default_rng(14).beta(2.5, 0.24, 20_000)
"""Calibrated chances of agreement with a mean of 0.912."""


def test_four_requests_by_hand() -> None:
    """0.9 + 0.1 / 0.5, 0.8, 0.6 - 0.6 and 0.5 + 0.5: 1.1, 0.8, 0 and 1."""
    p, chance = np.array([0.9, 0.8, 0.6, 0.5]), np.array([0.5, 0.25, 1.0, 1.0])
    asked, agreed = np.array([True, False, True, True]), np.array([True, False, False, True])
    found = live_agreement(p, chance, asked, agreed)
    assert (found.requests, found.asked) == (4, 3)
    assert found.label_free == pytest.approx(0.7) and found.debiased == pytest.approx(0.725)
    assert found.gap == pytest.approx(-0.025)
    assert found.half_width == pytest.approx(1.959964 * np.std([1.1, 0.8, 0.0, 1.0], ddof=1) / 2)
    assert found.gap_half_width == pytest.approx(1.959964 * np.std([0.2, 0.0, -0.6, 0.5], ddof=1) / 2)
    assert debiased_disagreement(p, chance, asked, agreed) == pytest.approx([-0.1, 0.2, 1.0, 0.0])


def test_where_everything_was_asked_it_is_the_share_that_agreed() -> None:
    agreed = SURE > 0.8
    ones = np.ones_like(SURE)
    assert live_agreement(SURE, ones, ones > 0, agreed).debiased == pytest.approx(agreed.mean())


@pytest.mark.long
@given(
    p=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    chance=st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    agreed=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_whatever_the_confidences_say_the_debiased_estimate_is_right_on_average(
    p: list[float], chance: list[float], agreed: list[bool]
) -> None:
    """All ways of asking three requests, each as often as it happens."""
    mean, chances = 0.0, np.array(chance)
    for asked in itertools.product([True, False], repeat=3):
        often = np.where(asked, chances, 1 - chances).prod()
        mean += often * live_agreement(np.array(p), chances, np.array(asked), np.array(agreed)).debiased
    assert mean == pytest.approx(np.mean(agreed))


def test_a_fall_that_confidence_does_not_see_is_seen_by_the_debiased_estimate() -> None:
    """A change of six points in what is right: the mean confidence stays at 0.912, the truth is 0.852."""
    random, covered = np.random.default_rng(14), 0
    plan = plan_asking(SURE, threshold=0.7, budget=0.05)
    for _ in range(100):
        agreed, asked = (
            random.random(SURE.size) < SURE * (1 - 0.06 / 0.912),
            random.random(SURE.size) < plan.chance(SURE),
        )
        found = live_agreement(SURE, plan.chance(SURE), asked, agreed)
        assert found.label_free == pytest.approx(0.912, abs=0.003)
        assert found.gap > found.gap_half_width
        covered += abs(found.debiased - agreed.mean()) < found.half_width
    assert covered >= 90 and found.half_width < 0.04


def test_the_plan_spends_its_budget_where_the_student_is_unsure() -> None:
    plan = plan_asking(SURE, threshold=0.7, budget=0.05)
    above = SURE[SURE >= 0.7]
    chance = plan.chance(above)
    assert chance.mean() == pytest.approx(0.05) and chance.min() == pytest.approx(plan.floor) == pytest.approx(0.01)
    assert plan.chance(np.array([0.69, 0.1])).tolist() == [1.0, 1.0]
    unsure, sure = plan.chance(np.array([0.75, 0.95]))
    assert unsure / sure == pytest.approx(np.sqrt(0.75 * 0.25 / (0.95 * 0.05)))
    assert AskingPlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_budget_that_cannot_be_spent_is_left_over() -> None:
    p = np.array([1.0] * 9 + [0.9])
    plan = plan_asking(p, threshold=0.5, budget=0.5)
    assert plan.chance(p) == pytest.approx([0.1] * 9 + [1.0]), "what is certain gets its floor, what is not is asked"
    certain = plan_asking(np.ones(5), threshold=0.5, budget=0.5)
    assert certain.chance(np.ones(5)) == pytest.approx([0.1] * 5)
    everything = plan_asking(SURE, threshold=0.0, budget=1.0)
    assert everything.chance(SURE[SURE < 1]).mean() > 0.95


@pytest.mark.long
@given(
    threshold=st.floats(0, 1),
    budget=st.floats(0.001, 1),
    scale=st.floats(0, 5),
    p=st.floats(0, 1),
    agreed=st.booleans(),
)
def test_no_request_adds_less_to_the_disagreement_than_the_bound(
    threshold: float, budget: float, scale: float, p: float, agreed: bool
) -> None:
    plan = AskingPlan(threshold=threshold, budget=budget, scale=scale)
    one = np.array([p])
    value = debiased_disagreement(one, plan.chance(one), np.array([True]), np.array([agreed]))
    assert value[0] >= plan.lowest_disagreement - 1e-9


def test_asking_where_it_is_unsure_tells_more() -> None:
    """Half-widths over 20,000 requests with 1,000 answers. The design lists 1.75, 1.52, 1.24 and, in a cascade, 0.91
    points, of chances of agreement that it does not name; with these the last two are 1.15 and 0.94."""
    even = np.full_like(SURE, 0.05)
    active, cascade = (plan_asking(SURE, threshold=below, budget=0.05).chance(SURE) for below in (0.0, 0.7))
    sampled = 1.96 * np.sqrt(0.912 * 0.088 / 1000)
    widths = [1.96 * np.sqrt(_variance(chance) / SURE.size) for chance in (even, active, cascade)]
    assert [sampled, *widths] == pytest.approx([0.0175, 0.0152, 0.0115, 0.0094], abs=0.0003)


def _variance(chance: np.ndarray) -> float:
    return float(SURE.var() + (SURE * (1 - SURE) / chance).mean())


def test_every_replica_and_an_auditor_ask_about_the_same_requests() -> None:
    key, ids = b"a secret of one installation", [f"request-{number}" for number in range(4000)]
    asked = [is_asked(each, 0.25, key=key) for each in ids]
    assert np.mean(asked) == pytest.approx(0.25, abs=0.02)
    assert asked == [is_asked(each, 0.25, key=key) for each in ids]
    assert all(is_asked(each, 0.5, key=key) for each, was in zip(ids, asked, strict=True) if was)
    assert all(is_asked(each, 1.0, key=key) for each in ids)
    others = [is_asked(each, 0.25, key=b"another secret") for each in ids]
    assert np.mean([a and b for a, b in zip(asked, others, strict=True)]) == pytest.approx(1 / 16, abs=0.02)


def test_what_an_auditor_computes_is_the_first_part_of_an_hmac() -> None:
    key, message = b"key", b"ask the teacher about 018f-77"
    place = int(hmac.new(key, message, sha256).hexdigest()[:16], 16) / 2**64
    assert not is_asked("018f-77", place - 1e-9, key=key) and is_asked("018f-77", place + 1e-9, key=key)


def test_what_makes_no_sense_is_refused() -> None:
    two, yes = np.array([0.5, 0.5]), np.array([True, True])
    for p, chance, message in (
        (np.array([0.5]), two, "one length"),
        (np.array([0.5, 1.5]), two, "is not a probability"),
        (two, np.array([0.5, 0.0]), "no chance"),
    ):
        with pytest.raises(ValueError, match=message):
            live_agreement(p, chance, yes, yes)
    with pytest.raises(ValueError, match="spread"):
        live_agreement(two[:1], two[:1], yes[:1], yes[:1])
    with pytest.raises(ValueError, match="alpha"):
        live_agreement(two, two, yes, yes, alpha=0.0)
    for p, threshold, budget, message in (
        (np.array([1.2]), 0.5, 0.1, "is not a probability"),
        (two, 1.5, 0.1, "fractions"),
        (two, 0.1, 0.0, "fractions"),
        (two, 0.9, 0.1, "no request"),
    ):
        with pytest.raises(ValueError, match=message):
            plan_asking(p, threshold=threshold, budget=budget)
    for chance in (0.0, 1.1):
        with pytest.raises(ValueError, match="chance must be"):
            is_asked("id", chance, key=b"key")
