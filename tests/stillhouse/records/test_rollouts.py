"""The way of a challenger in the ledger: each step, what each is refused, and that of two at once one wins."""

import threading
from datetime import timedelta

import pytest

import stillhouse.records.ledger
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.records.champions import promoted, serves_on, withdrawal_of
from stillhouse.records.deployments import Quarantine, Stage, deployment_of, desired
from stillhouse.records.ledger import Ledger, OvertakenError
from stillhouse.records.promotion import bring_in, hold, resume
from stillhouse.records.rollouts import (
    BY_ITSELF,
    Offer,
    counting,
    keep_back,
    move_on,
    offer,
    quarantine,
    take_over,
    withdraw,
)
from stillhouse.records.witness import Witness
from tests.promotions import back, model_of, named, seen, serve

BY, WHY = "Ann Lee <ann@example.org>", "it answers in the wrong language"


class Found(Record):
    rows: int


SEEN = Found(rows=1_200)


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    serve(ledger, "a1")
    return ledger


def offered(ledger: Ledger, release: str) -> Offer:
    return offer(
        ledger, "r", named(release), seen=seen(ledger), export=model_of(release), run_id="run", relied_on=()
    )  # fmt: skip


def takes_over(ledger: Ledger) -> None:
    take_over(ledger, Witness.from_environment(), "r", seen(ledger), evidence=SEEN)


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries("r")]


def test_an_offer_leaves_the_champion_and_is_made_once(ledger: Ledger) -> None:
    first = offered(ledger, "b1")
    assert first.is_it and first.changed
    now = seen(ledger)
    assert (now.champion, now.because, now.challenger) == (named("a1"), "offer", first.challenger)
    assert (first.challenger.stage, first.challenger.share) == (Stage.SHADOW, 0.0)
    again = offered(ledger, "b1")
    assert (again.challenger, again.changed) == (first.challenger, False)
    assert kinds(ledger) == ["promotion", "deployment", "deployment"]


def test_a_newer_release_waits_until_the_one_on_its_way_is_stuck(ledger: Ledger) -> None:
    offered(ledger, "b1")
    waits = offered(ledger, "c1")
    assert (waits.is_it, waits.challenger.deployed) == (False, named("b1"))
    keep_back(ledger, "r", seen(ledger), missing="500 more requests", evidence=SEEN)
    assert not offered(ledger, "b1").changed, "a stuck one is not begun again by the next round"
    assert offered(ledger, "c1").is_it
    assert withdrawal_of(ledger, "r", release="b1", export="b") is None, "it was not found wanting"


def test_from_shadow_to_champion_each_step_says_what_it_rests_on(ledger: Ledger) -> None:
    salt = offered(ledger, "b1").challenger.salt
    for share in (0.05, 0.25):
        entry = move_on(ledger, "r", seen(ledger), share=share, evidence=SEEN)
        challenger = deployment_of(entry).challenger
        assert challenger is not None
        assert (challenger.stage, challenger.share, challenger.salt) == (Stage.CANARY, share, salt)
        assert entry.body["evidence"] == {"rows": 1_200}
    with pytest.raises(StillhouseError, match=r"it answers 0\.25 of the callers already"):
        move_on(ledger, "r", seen(ledger), share=0.25, evidence=SEEN)
    assert promoted(ledger, "r")[0].release == "a1", "a share of the callers is not the champion"
    takes_over(ledger)
    now = seen(ledger)
    assert (now.champion, now.challenger, now.because) == (named("b1"), None, "rollout")
    newest = promoted(ledger, "r")[0]
    assert (newest.release, newest.because, newest.decided_by) == ("b1", "rollout", None)
    assert ledger.entries("r", "promotion")[-1].body["evidence"] == {"rows": 1_200}
    before = kinds(ledger)
    serve(ledger, "b1")
    assert kinds(ledger) == before, "the next round finds it promoted by the gates that it relied on"


def test_what_is_withdrawn_is_offered_no_more_and_the_champion_serves_on(ledger: Ledger) -> None:
    offered(ledger, "b1")
    move_on(ledger, "r", seen(ledger), share=0.05, evidence=SEEN)
    withdraw(ledger, "r", seen(ledger), by=BY_ITSELF, reason="20 of 300 callers were failed", evidence=SEEN)
    now = seen(ledger)
    assert (now.champion, now.challenger) == (named("a1"), None)
    for same_model in ("b1", "b2"):
        with pytest.raises(StillhouseError, match=f"{same_model} was withdrawn .* by rollout: 20 of 300"):
            offered(ledger, same_model)
    assert serves_on(ledger, "r", "a1", "b1") and not serves_on(ledger, "r", "a1", "c1")
    assert offered(ledger, "c1").is_it


def test_a_withdrawn_release_moves_nowhere_whoever_withdrew_it(ledger: Ledger) -> None:
    offered(ledger, "b1")
    now = seen(ledger)
    ledger.append("withdrawal", "r", {"release": "b2", "export": "b", "by": BY, "reason": WHY, "account": "ann"})
    with pytest.raises(StillhouseError, match="was withdrawn"):
        move_on(ledger, "r", now, share=0.05, evidence=SEEN)
    with pytest.raises(StillhouseError, match="was withdrawn"):
        takes_over(ledger)


def test_a_hold_stops_every_step_but_withdrawing(ledger: Ledger) -> None:
    offered(ledger, "b1")
    hold(ledger, "r", by=BY, reason="month-end close")
    assert seen(ledger).challenger is not None
    with pytest.raises(StillhouseError, match="holds a1"):
        move_on(ledger, "r", seen(ledger), share=0.05, evidence=SEEN)
    with pytest.raises(StillhouseError, match="holds a1"):
        takes_over(ledger)
    withdraw(ledger, "r", seen(ledger), by=BY_ITSELF, reason="it fails on long texts")
    assert seen(ledger).challenger is None and seen(ledger).hold is not None


def test_one_that_is_stuck_goes_on_when_a_person_says_so(ledger: Ledger) -> None:
    offered(ledger, "b1")
    keep_back(ledger, "r", seen(ledger), missing="500 more requests", evidence=SEEN)
    with pytest.raises(StillhouseError, match="b1 is held: 500 more requests"):
        move_on(ledger, "r", seen(ledger), share=0.05, evidence=SEEN)
    resume(ledger, "r", by=BY, reason="next month is busier")
    challenger = seen(ledger).challenger
    assert challenger is not None and challenger.stuck is None
    move_on(ledger, "r", seen(ledger), share=0.05, evidence=SEEN)


def test_who_lets_a_challenger_go_on_ends_nobodys_hold(ledger: Ledger) -> None:
    offered(ledger, "b1")
    keep_back(ledger, "r", seen(ledger), missing="500 more requests", evidence=SEEN)
    hold(ledger, "r", by="Ann Lee", reason="no change before the holidays")
    resume(ledger, "r", by=BY, reason="next month is busier")
    now = seen(ledger)
    assert now.challenger is not None and now.challenger.stuck is None
    assert now.hold is not None and now.hold.by == "Ann Lee"
    resume(ledger, "r", by="Ann Lee", reason="they are over")
    assert seen(ledger).hold is None


def test_with_the_champion_goes_the_challenger_that_was_compared_with_it(ledger: Ledger) -> None:
    serve(ledger, "b1")
    offered(ledger, "c1")
    back(ledger, "a1", by=BY, reason=WHY)
    assert seen(ledger).challenger is None
    assert offered(ledger, "c1").changed, "it was not withdrawn"
    bring_in(ledger, "r", seen(ledger), named("d1"), export="d", by=BY, reason="asked for by the board")
    assert seen(ledger).challenger is None


def test_nothing_moves_without_a_challenger(ledger: Ledger) -> None:
    now = seen(ledger)
    with pytest.raises(StillhouseError, match="no release is on its way"):
        move_on(ledger, "r", now, share=0.05, evidence=SEEN)
    with pytest.raises(StillhouseError, match="no release is on its way"):
        takes_over(ledger)
    with pytest.raises(StillhouseError, match="no release is on its way"):
        withdraw(ledger, "r", now, by=BY, reason=WHY)


@pytest.mark.long
def test_of_a_sensor_and_a_person_who_decide_at_once_one_wins(ledger: Ledger) -> None:
    """The sensor moves on, the person withdraws, both having seen the same deployment."""
    for turn in range(40):
        release = f"{chr(98 + turn % 20)}{turn}"
        serve(ledger, f"a{turn + 2}")
        offer(
            ledger, "r", named(release), seen=seen(ledger), export=release, run_id="run", relied_on=()
        )  # fmt: skip
        now, begin, lost = seen(ledger), threading.Barrier(2), list[str]()

        def moves(now=now, begin=begin, lost=lost) -> None:  # type: ignore[no-untyped-def]
            begin.wait()
            try:
                move_on(ledger, "r", now, share=0.05, evidence=SEEN)
            except StillhouseError:  # overtaken, or refused since the withdrawal was there before it looked
                lost.append("sensor")

        def ends(now=now, begin=begin, lost=lost) -> None:  # type: ignore[no-untyped-def]
            begin.wait()
            try:
                withdraw(ledger, "r", now, by=BY, reason=WHY)
            except OvertakenError:
                lost.append("person")

        before = len(ledger.entries("r"))
        threads = [threading.Thread(target=each) for each in (moves, ends)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(lost) == 1
        assert len(ledger.entries("r")) - before == (2 if lost == ["sensor"] else 1)
        assert (seen(ledger).challenger is None) == (lost == ["sensor"])
    assert ledger.problems() == []


def test_a_step_that_is_killed_half_way_has_not_happened(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    offered(ledger, "b1")
    now, before = seen(ledger), kinds(ledger)
    real, written = stillhouse.records.ledger._next_entry, []

    def dies_at_the_second(*about: object) -> object:
        written.append(about)
        if len(written) == 2:
            raise KeyboardInterrupt
        return real(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(stillhouse.records.ledger, "_next_entry", dies_at_the_second)
    for step in (takes_over, lambda ledger: withdraw(ledger, "r", now, by=BY, reason=WHY)):
        written.clear()
        with pytest.raises(KeyboardInterrupt):
            step(ledger)
        assert kinds(ledger) == before and seen(ledger) == now


def wanted(ledger: Ledger, days: int, slice: str = "people", by: str = BY) -> Quarantine:
    until = ledger.now().date() + timedelta(days=days)
    return Quarantine(
        slice=slice, labels=("HUM",), instead=named("z1"), by=by, reason=WHY, since="", until=until
    )  # fmt: skip


def test_a_quarantine_counts_to_its_last_day_and_for_this_champion(ledger: Ledger) -> None:
    given = quarantine(ledger, "r", wanted(ledger, 3), days_at_most=30)
    today = ledger.now().date()
    assert given.since and counting(seen(ledger), today) == (given,)
    assert counting(seen(ledger), given.until) == (given,)
    assert counting(seen(ledger), given.until + timedelta(days=1)) == ()
    offered(ledger, "b1")
    hold(ledger, "r", by=BY, reason="month-end close")
    assert counting(seen(ledger), today) == (given,), "other decisions leave it"
    resume(ledger, "r", by=BY, reason="the month is closed")
    longer = quarantine(ledger, "r", wanted(ledger, 5), days_at_most=30)
    other = quarantine(ledger, "r", wanted(ledger, 1, slice="long"), days_at_most=30)
    assert counting(seen(ledger), today) == (longer, other)
    assert seen(ledger).challenger is not None
    takes_over(ledger)
    assert seen(ledger).quarantine == (), "it was said of another champion"


@pytest.mark.parametrize(("days", "why"), [(-1, "has passed"), (31, "is too far away")])
def test_a_quarantine_needs_a_last_day_that_is_near(ledger: Ledger, days: int, why: str) -> None:
    before = kinds(ledger)
    with pytest.raises(StillhouseError, match=why):
        quarantine(ledger, "r", wanted(ledger, days), days_at_most=30)
    with pytest.raises(StillhouseError, match="--by"):
        quarantine(ledger, "r", wanted(ledger, 1, by=""), days_at_most=30)
    assert kinds(ledger) == before


def test_a_deployment_of_an_earlier_version_is_read_and_one_of_no_version_refused(ledger: Ledger) -> None:
    body = {"champion": named("a1").model_dump(), "hold": None, "because": "round", "replaces": 2}
    entry = ledger.append("deployment", "r", body)
    assert (deployment_of(entry).challenger, deployment_of(entry).quarantine) == (None, ())
    ledger.append("deployment", "r", {**body, "challenger": {"stage": "moon"}})
    with pytest.raises(StillhouseError, match="it is not a deployment"):
        desired(ledger, "r")
