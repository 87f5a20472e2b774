"""A kill rule that is met closes a recipe to rounds until a person resumes it; then it counts from the beginning."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.plays import PlaySpec
from stillhouse.records.events import EventKind, note
from stillhouse.records.ledger import Ledger
from stillhouse.records.plays import BesideTheLedger, Closure, Prices, ServedDay, closure_of, measured, reopen
from stillhouse.records.plays import close_where_met as close

BY = {"by": "Ada Lovelace", "reason": "the rows of May were put right"}


def play(kill: str, name: str = "drift") -> PlaySpec:
    fields = {"name": name, "on": ["agreement"], "owner": "team:a", "do": "look at the rows", "cadence": "weekly"}
    return PlaySpec.model_validate({**fields, "kill": kill})


def rounds(ledger: Ledger, *endings: str) -> None:
    for ending in endings:
        ledger.append("round", "small", {"run_id": "r", "ending": ending, "because": ""})


class Beside:
    """What is known beside the ledger: payments for answers, days of traffic, and prices."""

    def __init__(self, prices: Prices | None = None, paid: dict[datetime, float] | None = None) -> None:
        self.days: dict[date, ServedDay] = {}
        self.known = BesideTheLedger(
            paid_usd=lambda since: sum(usd for at, usd in (paid or {}).items() if at >= since),
            served=self.days.get,
            prices=lambda: prices,
        )


NOTHING = Beside().known


def close_where_met(
    ledger: Ledger, recipe: str, plays: Sequence[PlaySpec], beside: BesideTheLedger = NOTHING
) -> Closure | None:
    return close(ledger, recipe, plays, beside)


def asked(ledger: Ledger, rule: str, beside: BesideTheLedger = NOTHING, since: datetime | None = None) -> float | None:
    return measured(ledger, "small", play(rule), since, beside)


def value(ledger: Ledger, fact: str, since: datetime | None = None) -> float | None:
    return asked(ledger, f"{fact} >= 1", since=since)


def test_rounds_are_counted_since_the_last_promotion_and_those_that_took_a_batch_in_are_none(ledger: Ledger) -> None:
    rounds(ledger, "kept", "promoted", "closed", "taken in", "kept", "broke")
    assert value(ledger, "rounds_without_promotion") == 3
    assert [value(ledger, fact) for fact in ("rounds", "closed_rounds", "broken_rounds")] == [5, 1, 1]
    rounds(ledger, "promoted")
    assert value(ledger, "rounds_without_promotion") == 0


def test_a_release_that_took_over_by_its_rollout_was_promoted_though_its_round_kept_the_champion(
    ledger: Ledger,
) -> None:
    """Regression: with a rollout no round promotes, and a recipe that got on well was closed."""
    rounds(ledger, "promoted", "kept", "kept")
    ledger.append("promotion", "small", {"digest": "d", "because": "rollout"})
    assert value(ledger, "rounds_without_promotion") == 0
    rounds(ledger, "kept")
    assert value(ledger, "rounds_without_promotion") == 1


def test_days_money_and_events_are_counted(ledger: Ledger) -> None:
    assert value(ledger, "days_without_promotion") == 0, "nothing has been promoted yet"
    promoted = ledger.append("promotion", "small", {"digest": "d"})
    made = {"asset": "small/x", "digest": "d", "manifest": "m", "run_id": "r", "cost_usd": 1.25}
    ledger.append("materialization", "small", made)
    ledger.append("materialization", "small", made)
    now = datetime.fromisoformat(promoted.at) + timedelta(days=10)
    for days, kind in ((1, EventKind.AGREEMENT), (3, EventKind.AGREEMENT), (2, EventKind.INPUTS)):
        for _ in range(2):
            note(ledger, "small", kind, f"{days}", "fell", at=now - timedelta(days=days))
    ledger = Ledger(ledger.url, clock=lambda: now)
    assert value(ledger, "days_without_promotion") == pytest.approx(10)
    assert (value(ledger, "events"), asked(ledger, "events > 1 in 2 days")) == (2, 1)
    assert (value(ledger, "usd"), asked(ledger, "usd > 1 in 9 days")) == (2.5, 0)


def test_a_met_rule_closes_until_a_person_resumes_and_then_counts_from_there(ledger: Ledger) -> None:
    plays = [play("broken_rounds >= 9", "other"), play("rounds_without_promotion >= 3")]
    rounds(ledger, "kept", "closed")
    assert close_where_met(ledger, "small", plays) is None and closure_of(ledger, "small") is None
    rounds(ledger, "kept")
    closure = close_where_met(ledger, "small", plays)
    assert closure is not None and closure.play == "drift"
    assert closure.sentence == (
        "rounds_without_promotion is 3, and the play 'drift' is given up at rounds_without_promotion >= 3"
    )
    assert close_where_met(ledger, "small", plays) == closure and len(ledger.entries("small", "closure")) == 1
    rounds(ledger, "promoted")
    assert closure_of(ledger, "small") == closure, "whatever the facts are later"
    assert close_where_met(ledger, "small", []) == closure
    assert closure_of(ledger, "other") is None
    entry = reopen(ledger, "small", **BY)
    assert (entry.body["by"], entry.body["play"]) == ("Ada Lovelace", "drift")
    assert close_where_met(ledger, "small", plays) is None and closure_of(ledger, "small") is None
    rounds(ledger, "kept", "kept")
    assert close_where_met(ledger, "small", plays) is None, "what was before is not counted again"
    rounds(ledger, "kept")
    assert close_where_met(ledger, "small", plays) is not None


def test_what_is_counted_over_days_begins_where_a_person_has_resumed_too(ledger: Ledger) -> None:
    plays = [play("closed_rounds >= 2")]
    rounds(ledger, "closed", "closed")
    assert close_where_met(ledger, "small", plays) is not None
    reopen(ledger, "small", **BY)
    assert close_where_met(ledger, "small", plays) is None
    rounds(ledger, "closed", "closed")
    assert close_where_met(ledger, "small", plays) is not None


def test_only_a_named_person_opens_what_is_closed(ledger: Ledger) -> None:
    with pytest.raises(StillhouseError, match="no play has closed it"):
        reopen(ledger, "small", **BY)
    rounds(ledger, "kept")
    assert close_where_met(ledger, "small", [play("rounds >= 1")]) is not None
    with pytest.raises(StillhouseError):
        reopen(ledger, "small", by="", reason="")
    assert closure_of(ledger, "small") is not None
    assert datetime.fromisoformat(ledger.entries("small", "closure")[0].at).tzinfo == UTC


def test_usd_counts_what_the_budget_of_a_month_counts(ledger: Ledger) -> None:
    """Regression: it was compute alone, and the bill of a teacher behind a server closed nothing."""
    ledger.append("materialization", "small", {
        "asset": "small/x", "digest": "d", "manifest": "m", "run_id": "r", "cost_usd": 1.25,
    })  # fmt: skip
    now = ledger.now()
    paid = Beside(paid={now - timedelta(days=1): 20.0, now - timedelta(days=40): 500.0}).known
    assert (asked(ledger, "usd > 1", paid), asked(ledger, "usd > 1 in 50 days", paid)) == (21.25, 521.25)
    assert close_where_met(ledger, "small", [play("usd > 20")]) is None
    assert close_where_met(ledger, "small", [play("usd > 20")], paid) is not None


NOON = datetime(2027, 3, 31, 12, tzinfo=UTC)


def serves_since(ledger: Ledger, days: int) -> Ledger:
    """A release serves since the morning of a day so long before the one on which the ledger is."""
    began = NOON - timedelta(days=days, hours=12)
    Ledger(ledger.url, clock=lambda: began).append("promotion", "small", {"digest": "d"})
    return Ledger(ledger.url, clock=lambda: NOON)


def with_shares(*shares: float | None, prices: Prices | None = None) -> Beside:
    """The last whole days, the newest last: of 1,000 answers so many are the teacher's; None: not summed up."""
    beside = Beside(prices)
    for back, share in enumerate(reversed(shares), 1):
        if share is not None:
            beside.days[NOON.date() - timedelta(days=back)] = ServedDay(1000.0, 1000 * share)
    return beside


def test_what_has_to_be_so_on_each_of_some_days_is_not_met_by_their_mean(ledger: Ledger) -> None:
    ledger = serves_since(ledger, 30)
    rule = play("fallback_share > 0.4 for 3 days")
    for shares in ((0.9, 0.9, 0.4), (0.9, 0.1, 0.9), (None, 0.9, 0.9), (0.9, 0.9, None)):
        assert close_where_met(ledger, "small", [rule], with_shares(*shares).known) is None, shares
    assert asked(ledger, "fallback_share > 0.4 in 3 days", with_shares(0.9, 0.1, 0.9).known) == pytest.approx(1.9 / 3)
    closure = close_where_met(ledger, "small", [rule], with_shares(0.1, 0.9, 0.5, 0.7).known)
    assert closure is not None and closure.sentence == (
        "fallback_share is 0.5 on one of 3 days and beyond it on all, and the play 'drift' is given up at "
        "fallback_share > 0.4 for 3 days"
    )
    reopen(ledger, "small", **BY)
    assert close_where_met(ledger, "small", [rule], with_shares(0.9, 0.9, 0.9).known) is None, "these days are over"


def test_below_a_limit_the_largest_of_the_days_decides(ledger: Ledger) -> None:
    ledger = serves_since(ledger, 30)
    days = with_shares(0.1, 0.3, 0.2).known
    assert asked(ledger, "fallback_share < 0.4 for 3 days", days) == 0.3


def test_days_before_anything_served_and_days_without_answers_meet_nothing(ledger: Ledger) -> None:
    days = with_shares(0.9, 0.9, 0.9)
    assert asked(ledger, "fallback_share > 0.4 for 3 days", days.known) is None
    ledger = serves_since(ledger, 2)
    assert asked(ledger, "fallback_share > 0.4 for 3 days", days.known) is None
    assert asked(ledger, "fallback_share > 0.4 for 2 days", days.known) == 0.9
    days.days[NOON.date() - timedelta(days=1)] = ServedDay(0.0, 0.0)
    assert asked(ledger, "fallback_share > 0.4 for 2 days", days.known) is None


def test_what_is_saved_is_the_teacher_that_was_not_asked_less_all_that_was_spent(ledger: Ledger) -> None:
    """By hand: 2 x 1,000 answers, 300 of them the teacher's at 10 USD a thousand: 17 saved, 2 for the student."""
    ledger = serves_since(ledger, 30)
    prices = Prices(teacher=10.0, student=1.0)
    days = with_shares(0.1, 0.2, prices=prices)
    assert asked(ledger, "saving_usd < 0 in 2 days", days.known) == pytest.approx(15.0)
    made = {"asset": "small/x", "digest": "d", "manifest": "m", "run_id": "r"}
    yesterday = Ledger(ledger.url, clock=lambda: NOON - timedelta(days=1))
    yesterday.append("materialization", "small", {**made, "cost_usd": 18.0})
    ledger.append("materialization", "small", {**made, "cost_usd": 400.0})  # today, which is not over
    rule = play("saving_usd < 0 in 2 days")
    assert asked(ledger, str(rule.kill), days.known) == pytest.approx(-3.0)
    assert asked(ledger, "saving_usd < 0 for 2 days", days.known) == pytest.approx(8.0), "the day before it saved"
    assert asked(ledger, "saving_usd < 0 in 3 days", days.known) is None, "of a day nobody knows what was saved"
    assert asked(ledger, "saving_usd < 0 in 2 days", with_shares(0.1, 0.2).known) is None, "nor without prices"
    closure = close_where_met(ledger, "small", [rule], days.known)
    assert closure is not None
    assert closure.sentence.startswith("saving_usd is -3, and the play 'drift' is given up at saving_usd < 0 in 2 days")
