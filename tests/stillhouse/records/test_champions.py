"""Who serves, who is compared with whom, and what a person went back behind: as functions of what the ledger holds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.records.champions import (
    ROLLBACK,
    Served,
    go_back,
    line_of_champions,
    promoted,
    rival_of,
    went_back_to,
    withdrawal_of,
)
from stillhouse.records.ledger import Ledger

BY, WHY = "Ann Lee <ann@example.org>", "it answers in the wrong language"

# In these tests a release is named by its model and a number: "b2" is the second release of model b.
releases = st.tuples(st.sampled_from("abc"), st.sampled_from("12")).map("".join)
histories = st.lists(st.tuples(releases, st.booleans()), max_size=8)


def served(release: str, brought_back: bool = False) -> Served:
    return Served(release, f"m{release}", "one", "2026-01-01", BY if brought_back else None)


def model_of(release: Served) -> str:
    return release.release[0]


def line(history: list[tuple[str, bool]]) -> list[Served]:
    """The line of champions of promotions that are given the oldest first, each with whether a person decided it."""
    return line_of_champions([served(*each) for each in reversed(history)])


@given(histories, releases)
def test_a_student_that_is_promoted_keeps_its_rival(history: list[tuple[str, bool]], challenger: str) -> None:
    """So a round in which nothing changed finds its selection again."""
    before = rival_of(line(history), challenger[0], model_of)
    after = rival_of(line([*history, (challenger, False)]), challenger[0], model_of)
    assert (before and before.release) == (after and after.release)


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


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def promote(ledger: Ledger, release: str) -> Served:
    before = ledger.champion("r")
    body = {"digest": release, "manifest": f"m{release}", "student": "one"}
    ledger.append("promotion", "r", {**body, "before": before["digest"] if before else None})
    return promoted(ledger, "r")[0]


def back(ledger: Ledger, serving: Served, target: Served) -> None:
    go_back(
        ledger, "r", serving, target, exports=(serving.release[0], target.release[0]), by=BY, reason=WHY
    )  # fmt: skip


def withdrawn(ledger: Ledger, release: str) -> bool:
    return withdrawal_of(ledger, "r", release=release, export=release[0]) is not None


def test_going_back_withdraws_what_served_under_any_release_of_the_same_model(ledger: Ledger) -> None:
    first, second = promote(ledger, "a1"), promote(ledger, "b1")
    assert not withdrawn(ledger, "b1") and not went_back_to(ledger, "r", "a1")
    back(ledger, second, first)
    assert [withdrawn(ledger, release) for release in ("a1", "b1", "b2", "c1")] == [False, True, True, False]
    assert went_back_to(ledger, "r", "a1") and not went_back_to(ledger, "r", "b1")
    (entry,) = ledger.entries("r", "withdrawal")
    assert entry.body.items() >= {"release": "b1", "export": "b", "by": BY, "reason": WHY}.items()
    champion = ledger.champion("r")
    assert champion is not None
    assert champion.items() >= {"digest": "a1", "before": "b1", "because": ROLLBACK, "by": BY}.items()
    serves = promoted(ledger, "r")[0]
    assert (serves.release, serves.brought_back_by, serves.reason) == ("a1", BY, WHY)
    assert withdrawal_of(ledger, "other", release="b1", export="b") is None


def test_a_round_lifts_no_withdrawal_and_a_person_does(ledger: Ledger) -> None:
    first, second = promote(ledger, "a1"), promote(ledger, "b1")
    back(ledger, second, first)
    promote(ledger, "c1")
    assert withdrawn(ledger, "b1")
    back(ledger, promoted(ledger, "r")[0], second)
    assert [withdrawn(ledger, release) for release in ("b1", "c1")] == [False, True]


def test_going_back_to_the_same_model_is_refused_and_leaves_no_entry(ledger: Ledger) -> None:
    first, second = promote(ledger, "a1"), promote(ledger, "a2")
    with pytest.raises(StillhouseError, match="holds the very model that serves"):
        back(ledger, second, first)
    assert len(ledger.entries()) == 2


@pytest.mark.parametrize(("by", "reason"), [("", WHY), (BY, "no")])
def test_nobody_goes_back_without_name_and_reason(ledger: Ledger, by: str, reason: str) -> None:
    first, second = promote(ledger, "a1"), promote(ledger, "b1")
    with pytest.raises(StillhouseError):
        go_back(ledger, "r", second, first, exports=("b", "a"), by=by, reason=reason)
    assert len(ledger.entries()) == 2


def test_both_entries_are_written_or_neither(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = promote(ledger, "a1"), promote(ledger, "b1")
    import stillhouse.records.ledger

    real, written = stillhouse.records.ledger._next_entry, []

    def dies_at_the_second(*about: object) -> object:
        written.append(about)
        if len(written) == 2:
            raise KeyboardInterrupt
        return real(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(stillhouse.records.ledger, "_next_entry", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        back(ledger, second, first)
    assert len(written) == 2 and ledger.entries("r", "withdrawal") == [] and len(ledger.entries()) == 2
    assert ledger.problems() == []
