"""Who serves, who is compared with whom, and what a person went back behind: as functions of what the ledger holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.records.champions import (
    Served,
    line_of_champions,
    promoted,
    rival_of,
    was_chosen,
    withdrawal_of,
)
from stillhouse.records.ledger import Ledger
from stillhouse.records.promotion import bring_in
from tests.promotions import back, named, seen, serve

BY, WHY = "Ann Lee <ann@example.org>", "it answers in the wrong language"

# In these tests a release is named by its model and a number: "b2" is the second release of model b.
releases = st.tuples(st.sampled_from("abc"), st.sampled_from("12")).map("".join)
histories = st.lists(st.tuples(releases, st.booleans()), max_size=8)


def served(release: str, brought_back: bool = False) -> Served:
    return Served(
        release, f"m{release}", "one", "2026-01-01",
        because="rollback" if brought_back else "round", decided_by=BY if brought_back else None,
    )  # fmt: skip


def model_of(release: Served) -> str:
    return release.release[0]


def line(history: list[tuple[str, bool]]) -> list[Served]:
    """The line of champions of promotions that are given the oldest first, each with whether a person decided it."""
    return line_of_champions([served(*each) for each in reversed(history)])


@pytest.mark.long
@given(histories, releases)
def test_a_student_that_is_promoted_keeps_its_rival(history: list[tuple[str, bool]], challenger: str) -> None:
    """So a round in which nothing changed finds its selection again."""
    before = rival_of(line(history), challenger[0], model_of)
    after = rival_of(line([*history, (challenger, False)]), challenger[0], model_of)
    assert (before and before.release) == (after and after.release)


@pytest.mark.long
@given(histories, releases)
def test_the_rival_is_what_serves_unless_that_is_the_student_itself(
    history: list[tuple[str, bool]], challenger: str
) -> None:
    serving = next(iter(line(history)), None)
    rival = rival_of(line(history), challenger[0], model_of)
    if serving is None:
        assert rival is None
    elif model_of(serving) != challenger[0]:
        assert rival == serving
    else:
        assert rival is None or model_of(rival) != challenger[0]


@pytest.mark.long
@given(histories)
def test_the_newest_promotion_serves(history: list[tuple[str, bool]]) -> None:
    assert [each.release for each in line(history)[:1]] == [release for release, _ in history[-1:]]


def test_each_release_stands_on_the_one_that_it_replaced() -> None:
    assert [each.release for each in line([("a1", False), ("b1", False), ("c1", False)])] == ["c1", "b1", "a1"]
    assert line([]) == []


def test_what_a_person_went_back_behind_is_no_rival_of_anybody() -> None:
    history = [("a1", False), ("b1", False), ("c1", False), ("a1", True)]
    assert [each.release for each in line(history)] == ["a1"]
    rivals = {model: rival_of(line(history), model, model_of) for model in "abc"}
    assert rivals == {"a": None, "b": served("a1", True), "c": served("a1", True)}


def test_a_withdrawn_release_that_comes_back_replaces_what_it_replaced_before() -> None:
    history = [("a1", False), ("b1", False), ("a1", True), ("b1", True)]
    assert [each.release for each in line(history)] == ["b1", "a1"]


def withdrawn(ledger: Ledger, release: str) -> bool:
    return withdrawal_of(ledger, "r", release=release, export=release[0]) is not None


def test_going_back_withdraws_what_served_under_any_release_of_the_same_model(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    assert not withdrawn(ledger, "b1") and not was_chosen(ledger, "r", "a1")
    back(ledger, "a1", by=BY, reason=WHY)
    assert [withdrawn(ledger, release) for release in ("a1", "b1", "b2", "c1")] == [False, True, True, False]
    assert was_chosen(ledger, "r", "a1") and not was_chosen(ledger, "r", "b1")
    (entry,) = ledger.entries("r", "withdrawal")
    assert entry.body.items() >= {"release": "b1", "export": "b", "by": BY, "reason": WHY}.items()
    champion = ledger.champion("r")
    assert champion is not None
    assert champion.items() >= {"digest": "a1", "before": "b1", "because": "rollback", "by": BY}.items()
    serves = promoted(ledger, "r")[0]
    assert (serves.release, serves.because, serves.decided_by, serves.reason) == ("a1", "rollback", BY, WHY)
    assert withdrawal_of(ledger, "other", release="b1", export="b") is None


def test_a_round_lifts_no_withdrawal_and_a_person_does(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    back(ledger, "a1", by=BY, reason=WHY)
    serve(ledger, "c1")
    assert withdrawn(ledger, "b1")
    back(ledger, "b1", by=BY, reason=WHY)
    assert [withdrawn(ledger, release) for release in ("b1", "c1")] == [False, True]


def test_a_release_that_a_person_brings_in_lifts_its_withdrawal_and_withdraws_nothing(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    back(ledger, "a1", by=BY, reason=WHY)
    bring_in(ledger, "r", seen(ledger), named("b1"), export="b", by=BY, reason="the fault was elsewhere")
    assert not withdrawn(ledger, "b1") and not withdrawn(ledger, "a1")
    serves = promoted(ledger, "r")[0]
    assert (serves.release, serves.because, serves.decided_by) == ("b1", "promote", BY)
    assert [each.release for each in line_of_champions(promoted(ledger, "r"))] == ["b1", "a1"]
