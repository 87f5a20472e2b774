"""A kill rule that is met closes a recipe to rounds until a person resumes it; from then on it counts anew."""

from datetime import UTC, datetime, timedelta

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.plays import PlaySpec
from stillhouse.records.events import EventKind, note
from stillhouse.records.ledger import Ledger
from stillhouse.records.plays import close_where_met, closure_of, measured, reopen

BY = {"by": "Ada Lovelace", "reason": "the rows of May were put right"}


def play(kill: str, name: str = "drift") -> PlaySpec:
    fields = {"name": name, "on": ["agreement"], "owner": "team:a", "do": "look at the rows", "cadence": "weekly"}
    return PlaySpec.model_validate({**fields, "kill": kill})


def rounds(ledger: Ledger, *endings: str) -> None:
    for ending in endings:
        ledger.append("round", "small", {"run_id": "r", "ending": ending, "because": ""})


def value(ledger: Ledger, fact: str, since: datetime | None = None) -> float:
    return measured(ledger, "small", play(f"{fact} >= 1"), since)


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
    assert (value(ledger, "events"), measured(ledger, "small", play("events > 1 in 2 days"), None)) == (2, 1)
    assert (value(ledger, "usd"), measured(ledger, "small", play("usd > 1 in 9 days"), None)) == (2.5, 0)


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
