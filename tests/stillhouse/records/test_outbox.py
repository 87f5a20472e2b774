"""Notices are kept until they were sent, and the same is not sent again too soon; by a clock that the tests hold."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stillhouse.records.outbox import Due, Notice, Outbox, Tone
from tests.postgres import PG_CTL, postgres

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOSED = Notice("small: closed", "the licence does not say", Tone.LOOK)
KEPT = Notice("small: kept", "champion kept: one", Tone.PLAIN)
OWNERS = ("json://host/a", "json://host/b")
DAYS = timedelta(days=3)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(f"sqlite:///{tmp_path / 'ledger.db'}")


def after(**more: float) -> datetime:
    return START + timedelta(**more)


def put(outbox: Outbox, at: datetime = START, *, key: str = "closed gate", notice: Notice = CLOSED) -> None:
    outbox.put("small", "round", key, notice, to=OWNERS, at=at)


def due(outbox: Outbox, at: datetime, addresses: Sequence[str] = OWNERS) -> list[Due]:
    return outbox.take_due("small", addresses, remind=DAYS, at=at)


def send(outbox: Outbox, at: datetime) -> list[str]:
    """Send all that is due, to addresses that take everything."""
    found = due(outbox, at)
    for each in found:
        outbox.sent(each, OWNERS[each.address], at)
    return [f"{OWNERS[each.address][-1]}: {each.notice.text}" for each in found]


def test_each_address_is_sent_what_is_new_once(outbox: Outbox) -> None:
    put(outbox)
    assert send(outbox, START) == ["a: the licence does not say", "b: the licence does not say"]
    assert send(outbox, after(days=2)) == []


def test_the_same_again_is_no_news_and_something_else_is(outbox: Outbox) -> None:
    put(outbox)
    send(outbox, START)
    put(outbox, after(days=1))
    assert send(outbox, after(days=1)) == []
    put(outbox, after(days=1), key="kept", notice=KEPT)
    assert send(outbox, after(days=1)) == ["a: champion kept: one", "b: champion kept: one"]
    put(outbox, after(days=2))
    assert len(send(outbox, after(days=2))) == 2, "it was otherwise meanwhile"


def test_what_asks_for_a_person_is_sent_again_while_it_is_so_and_says_since_when(outbox: Outbox) -> None:
    put(outbox)
    send(outbox, START)
    reminders = [send(outbox, after(days=day)) for day in (2.9, 3, 5.9, 6)]
    again = "the licence does not say\nSo since 2026-03-01."
    assert reminders == [[], [f"a: {again}", f"b: {again}"], [], [f"a: {again}", f"b: {again}"]]


def test_what_asks_for_nobody_is_sent_again_only_if_it_has_happened_again(outbox: Outbox) -> None:
    put(outbox, key="kept", notice=KEPT)
    send(outbox, START)
    assert send(outbox, after(days=10)) == []
    put(outbox, after(days=11), key="kept", notice=KEPT)
    assert len(send(outbox, after(days=11))) == 2


@pytest.mark.long
def test_an_address_that_takes_nothing_is_tried_again_ever_later_and_the_other_is_not(outbox: Outbox) -> None:
    put(outbox)
    first, second = due(outbox, START)
    outbox.sent(first, OWNERS[0], START)
    outbox.not_taken(second, OWNERS[1], START)
    tried = []
    for minute in range(2, 24 * 60, 2):
        for each in due(outbox, after(minutes=minute)):
            assert each.address == 1
            tried.append(minute)
            outbox.not_taken(each, OWNERS[1], after(minutes=minute))
    assert tried == [2, 6, 14, 30, 62, 126, 254, 510, 870, 1230]
    assert len(send(outbox, after(days=1.5))) == 1 and send(outbox, after(days=1.6)) == []


@pytest.mark.long
def test_an_address_that_took_nothing_for_weeks_is_still_tried(outbox: Outbox) -> None:
    put(outbox)
    for hour in range(0, 24 * 30, 6):
        for each in due(outbox, after(hours=hour, minutes=1)):
            outbox.not_taken(each, OWNERS[each.address], after(hours=hour))
    assert {each.tries for each in due(outbox, after(days=31))} == {120}


def test_a_sender_that_is_killed_has_it_sent_by_the_next(outbox: Outbox) -> None:
    put(outbox)
    assert len(due(outbox, START)) == 2
    assert due(outbox, after(seconds=119)) == [], "it may still be sending"
    assert len(send(outbox, after(seconds=120))) == 2


def test_of_two_senders_one_has_it(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox)
    other = Outbox(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert sorted(each.address for each in [*due(outbox, START), *due(other, START)]) == [0, 1]


def test_an_end_of_sending_that_comes_late_says_nothing_of_what_took_its_place(outbox: Outbox) -> None:
    put(outbox)
    late = due(outbox, START)
    put(outbox, after(seconds=1), key="kept", notice=KEPT)
    for each in late:
        outbox.sent(each, OWNERS[each.address], after(seconds=2))
    assert len(send(outbox, after(seconds=3))) == 2


def test_an_address_that_the_recipe_no_longer_names_is_sent_nothing(outbox: Outbox) -> None:
    put(outbox)
    (only,) = due(outbox, START, addresses=["json://host/new", OWNERS[1]])
    assert only.address == 1


def test_a_cause_that_is_gone_is_news_when_it_comes_back(outbox: Outbox) -> None:
    def stands(at: datetime) -> list[str]:
        outbox.put("small", "standing:hold", "1", CLOSED, to=OWNERS, at=at)
        return send(outbox, at)

    assert len(stands(START)) == 2 and stands(after(hours=1)) == []
    outbox.settle("small", "standing:", {"standing:hold": OWNERS})
    assert stands(after(hours=2)) == []
    put(outbox, after(hours=2))
    outbox.settle("small", "standing:", {})
    assert len(send(outbox, after(hours=2))) == 2, "how the round ended is no standing thing"
    assert len(stands(after(hours=3))) == 2
    outbox.settle("small", "standing:", {"standing:hold": OWNERS[:1], "standing:other": OWNERS})
    assert len(stands(after(hours=4))) == 1, "of one address it is news, and not of the one that hears of it still"


@pytest.mark.long
def test_it_is_the_same_on_postgres() -> None:
    if PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() as url:
        outbox = Outbox(url)
        test_what_asks_for_a_person_is_sent_again_while_it_is_so_and_says_since_when(outbox)
        outbox.settle("small", "nothing begins so:", {"a": OWNERS})
        outbox.settle("small", "nothing begins so:", {})
        put(outbox, after(days=20), key="kept", notice=KEPT)
        assert sorted(each.address for each in [*due(outbox, after(days=20)), *due(Outbox(url), after(days=20))]) == [
            0,
            1,
        ]
