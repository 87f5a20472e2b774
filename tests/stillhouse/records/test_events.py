"""An event is kept once for ever, counted when it happens again, and waits until a round has answered it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.records.events import EventKind, Noted, history, note, pending
from stillhouse.records.ledger import Ledger
from tests.postgres import PG_CTL, postgres

RECIPES = count()
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def names(ledger: Ledger, recipe: str = "small") -> list[str]:
    return [event.name for event in pending(ledger, recipe)]


def a_round(ledger: Ledger, run_id: str, *events: str, recipe: str = "small") -> None:
    ledger.append("round", recipe, {"run_id": run_id, "ending": "kept", "events": list(events)})


def test_the_same_again_is_counted_and_is_no_news_and_says_what_is_the_case_now(ledger: Ledger) -> None:
    assert note(ledger, "small", EventKind.AGREEMENT, "watch 1", "agreement 0.86", {"agreement": 0.86}, at=START)
    later = START + timedelta(hours=1)
    assert not note(ledger, "small", EventKind.AGREEMENT, "watch 1", "agreement 0.84", {"agreement": 0.84}, at=later)
    (event,) = pending(ledger, "small")
    assert (event.first_seen, event.last_seen, event.times) == (START, later, 2)
    assert (event.sentence, event.facts) == ("agreement 0.84", {"agreement": 0.84})
    assert (event.kind, event.key, event.name) == (EventKind.AGREEMENT, "watch 1", "agreement:watch 1")


def test_another_key_kind_or_recipe_is_another_event_and_the_oldest_comes_first(ledger: Ledger) -> None:
    for minute, (recipe, kind, key) in enumerate(
        [("small", EventKind.WEBHOOK, "b"), ("small", EventKind.PERSON, "a"), ("small", EventKind.WEBHOOK, "a"),
         ("other", EventKind.WEBHOOK, "b")]
    ):  # fmt: skip
        assert note(ledger, recipe, kind, key, "somebody asked", at=START + timedelta(minutes=minute))
    assert names(ledger) == ["webhook:b", "person:a", "webhook:a"]
    assert names(ledger, "other") == ["webhook:b"]


def test_a_round_answers_what_it_names_once_for_ever_and_nothing_else(ledger: Ledger) -> None:
    for key in "abc":
        note(ledger, "small", EventKind.WEBHOOK, key, "somebody asked")
    a_round(ledger, "one", "webhook:a", "webhook:c")
    a_round(ledger, "of another", "webhook:b", recipe="other")
    assert names(ledger) == ["webhook:b"]
    assert not note(ledger, "small", EventKind.WEBHOOK, "a", "somebody asked again")
    a_round(ledger, "two", "webhook:a")
    assert names(ledger) == ["webhook:b"], "the same key starts nothing again"
    by = {noted.event.key: noted.answered_by for noted in history(ledger, "small")}
    assert by == {"a": "one", "b": None, "c": "one"}


def test_rounds_of_earlier_versions_that_name_no_events_answer_none(ledger: Ledger) -> None:
    note(ledger, "small", EventKind.PERSON, "a", "asked")
    ledger.append("round", "small", {"run_id": "old", "ending": "kept"})
    assert names(ledger) == ["person:a"]


@pytest.mark.parametrize("key", ["", "x" * 301])
def test_a_key_that_is_none_or_too_long_is_refused_and_nothing_is_kept(ledger: Ledger, key: str) -> None:
    with pytest.raises(StillhouseError, match="event webhook of small"):
        note(ledger, "small", EventKind.WEBHOOK, key, "somebody asked")
    assert pending(ledger, "small") == []


@pytest.mark.long
def test_who_note_the_same_at_one_moment_are_all_counted_and_one_of_them_is_news(ledger: Ledger) -> None:
    def noted(number: int) -> bool:
        return note(ledger, "small", EventKind.INPUTS, f"key {number % 4}", "drifted", at=START)

    with ThreadPoolExecutor(8) as threads:
        news = list(threads.map(noted, range(80)))
    assert sum(news) == 4
    assert [event.times for event in pending(ledger, "small")] == [20, 20, 20, 20]


@pytest.mark.long
@settings(max_examples=30)
@given(
    st.lists(st.one_of(st.sampled_from("abcde"), st.sets(st.sampled_from("abcde")).map(frozenset[str])), max_size=12)
)
def test_nothing_is_lost_and_nothing_waits_twice(happened: list[str | frozenset[str]]) -> None:
    """A letter is noted, a set is answered by a round: what waits is what was noted and was not answered."""
    ledger, recipe = Ledger("sqlite://"), f"recipe {next(RECIPES)}"
    times, answered = Counter[str](), set[str]()
    for number, each in enumerate(happened):
        if isinstance(each, str):
            assert note(ledger, recipe, EventKind.PERSON, each, "asked") == (each not in times)
            times[each] += 1
        else:
            a_round(ledger, f"run {number}", *(f"person:{key}" for key in each), recipe=recipe)
            answered |= each
    kept: list[Noted] = history(ledger, recipe)
    assert {noted.event.key: noted.event.times for noted in kept} == dict(times)
    assert {event.key for event in pending(ledger, recipe)} == set(times) - answered


@pytest.mark.long
def test_it_is_the_same_on_postgres() -> None:
    if PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() as url:
        ledger = Ledger(url)
        test_who_note_the_same_at_one_moment_are_all_counted_and_one_of_them_is_news(ledger)
        a_round(ledger, "one", "inputs:key 0", "inputs:key 3")
        assert names(ledger) == ["inputs:key 1", "inputs:key 2"]
