"""What people decide counts while it should, with a name and a reason."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import stillhouse.governance
from stillhouse.errors import StillhouseError
from stillhouse.governance import (
    Waiver,
    amend,
    amendment_to,
    approval_of,
    approve,
    same_person,
    valid_waivers,
    waive,
)
from stillhouse.ledger import Ledger

GATE = "questions/prompts[base]:every_slice_has_golden_rows"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def waiver(until: date = TODAY, by: str = "Ann", reason: str = "the slice is filled next week") -> Waiver:
    return Waiver(GATE, by, reason, until)


def test_a_waiver_counts_up_to_its_last_day_and_not_after(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    waive(ledger, "questions", waiver(TODAY + timedelta(days=2)))
    for days, counts in ((0, True), (2, True), (3, False)):
        monkeypatch.setattr(stillhouse.governance, "_today", lambda days=days: TODAY + timedelta(days=days))
        assert (GATE in valid_waivers(ledger, "questions")) is counts
    assert valid_waivers(ledger, "other") == {}
    assert ledger.problems() == []


def test_the_newest_waiver_of_a_gate_counts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    waive(ledger, "questions", waiver(TODAY + timedelta(days=9)))
    waive(ledger, "questions", waiver(TODAY, by="Bob"))
    assert valid_waivers(ledger, "questions")[GATE].by == "Bob"
    monkeypatch.setattr(stillhouse.governance, "_today", lambda: TODAY + timedelta(days=1))
    assert valid_waivers(ledger, "questions") == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (waiver(TODAY - timedelta(days=1)), "has passed; expected today or a later day"),
        (waiver(by=" "), "--by: ' ' says too little"),
        (waiver(reason="because"), "--reason: 'because' says too little"),
    ],
)
def test_a_waiver_without_name_reason_or_time_is_refused(ledger: Ledger, wrong: Waiver, message: str) -> None:
    with pytest.raises(StillhouseError, match=message):
        waive(ledger, "questions", wrong)
    assert ledger.entries() == []


@pytest.mark.parametrize("by", ["Ann Lee <ann@example.org>", "ann lee", " Ann  LEE", "A. Lee (ann@example.org)"])
def test_nobody_approves_their_own_recipe(ledger: Ledger, by: str) -> None:
    author = "Ann Lee <ann@example.org>" if "@" in by else "Ann Lee"
    with pytest.raises(StillhouseError, match="wrote the recipe"):
        approve(ledger, "questions", release="d" * 64, author=author, by=by, reason="looks good to me")
    assert approval_of(ledger, "questions", "d" * 64) is None


def test_an_approval_is_of_one_release_and_no_other(ledger: Ledger) -> None:
    approve(ledger, "questions", release="d" * 64, author="Ann", by="Bob", reason="read the report and the slices")
    assert approval_of(ledger, "questions", "d" * 64) == {
        "release": "d" * 64,
        "by": "Bob",
        "reason": "read the report and the slices",
    }
    assert approval_of(ledger, "questions", "e" * 64) is None
    assert approval_of(ledger, "other", "d" * 64) is None


def test_an_amendment_is_of_one_bar(ledger: Ledger) -> None:
    amend(ledger, "questions", bar="b" * 64, by="Ann", reason="support agreed to five points")
    found = amendment_to(ledger, "questions", "b" * 64)
    assert found is not None and found["by"] == "Ann"
    assert amendment_to(ledger, "questions", "c" * 64) is None


def test_two_people_of_one_surname_are_two() -> None:
    assert not same_person("Ann Lee <ann@example.org>", "Bob Lee <bob@example.org>")
    assert not same_person("Ann Lee", "Bob Lee")
