"""A server shows how long nobody has looked after its recipe, since Dagster notices no daemon that died."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stillhouse.records.looks import LookKind, looked
from stillhouse.records.outbox import Notice, Outbox, Tone
from stillhouse.serving import desired
from tests.stillhouse.serving.conftest import RECIPE, Served

OWNER = "json://host/owner"
AGES = ("rounds_look_age_seconds", "watch_look_age_seconds", "unsent_notice_age_seconds")


def ages(served: Served) -> list[float]:
    """The three gauges, after another look of the server."""
    served.follower.look()
    families = {each.name: each for each in text_string_to_metric_families(served.client.get("/metrics").text)}
    return [families[f"stillhouse_{name}"].samples[0].value for name in AGES]


@pytest.fixture(autouse=True)
def hears_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired, "HEARTBEAT_SECONDS", 0.0)


@pytest.mark.long
def test_before_any_look_the_ages_are_no_numbers_so_that_no_rule_is_met(served: Served) -> None:
    rounds, watch, unsent = ages(served)
    assert math.isnan(rounds) and math.isnan(watch) and unsent == 0


@pytest.mark.long
def test_the_age_of_each_look_is_shown_and_grows_until_the_next(served: Served) -> None:
    url, now = served.installation.builds.home.ledger_url, datetime.now(UTC)
    looked(url, RECIPE, LookKind.ROUNDS, now - timedelta(hours=2))
    looked(url, RECIPE, LookKind.WATCH, now - timedelta(minutes=1))
    looked(url, "another", LookKind.ROUNDS, now)
    rounds, watch, _ = ages(served)
    assert 7_200 <= rounds < 7_260 and math.isnan(watch), "of a recipe that is watched no more"
    served.slot.watched = True
    rounds, watch, _ = ages(served)
    assert 7_200 <= rounds < 7_260 and 60 <= watch < 120
    looked(url, RECIPE, LookKind.ROUNDS, datetime.now(UTC) + timedelta(seconds=30))  # by a clock that is ahead
    assert ages(served)[0] == 0


@pytest.mark.long
def test_a_notice_that_nobody_was_sent_is_shown_until_it_was(served: Served) -> None:
    served.slot.notify = (OWNER,)
    outbox, since = Outbox(served.installation.builds.home.ledger_url), datetime.now(UTC) - timedelta(hours=1)
    outbox.put(RECIPE, "round", "closed", Notice("closed", "a gate", Tone.LOOK), to=[OWNER, "json://left"], at=since)
    assert 3_600 <= ages(served)[2] < 3_660
    (due, *_) = outbox.take_due(RECIPE, [OWNER], remind=timedelta(days=1), at=datetime.now(UTC))
    outbox.sent(due, OWNER, datetime.now(UTC))
    assert ages(served)[2] == 0, "one for an address that the recipe has no more waits for nobody"
