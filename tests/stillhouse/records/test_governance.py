"""What people decide counts while it should, for what it was decided on, with a name and a reason.

Numbers such as B10 are of the experiments that version 0.1.0 was put to.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.names import account
from stillhouse.recipe.contract import Recipe
from stillhouse.records.governance import (
    Decision,
    Waiver,
    WaiverRules,
    amend,
    amendment_to,
    approval_of,
    approve,
    valid_waivers,
    waive,
    waivers_of_no_content,
)
from stillhouse.records.ledger import Ledger
from tests.stillhouse.forgery import alter

ASSET, NAME = "questions/prompts[base]", "every_slice_has_golden_rows"
GATE = f"{ASSET}:{NAME}"
CONTENT = "c" * 64
RULES = WaiverRules(frozenset({"no_personal_data_is_left"}), days_at_most=30)


def today() -> date:
    """Asked when it is needed: a suite may run over midnight."""
    return datetime.now(UTC).date()


def in_days(ledger: Ledger, days: int) -> Ledger:
    """The same ledger, read and written by a clock that is so many days ahead."""
    return Ledger(ledger.url, clock=lambda: datetime.now(UTC) + timedelta(days=days))


def waiver(until: date | None = None, by: str = "Ann", reason: str = "the slice is filled next week") -> Waiver:
    return Waiver(GATE, by, reason, until or today(), CONTENT)


def counts(ledger: Ledger, recipe: str = "questions", content: str = CONTENT, rules: WaiverRules = RULES) -> bool:
    return valid_waivers(ledger, recipe, rules).of(ASSET, NAME, content) is not None


@pytest.mark.experiment("B13")
def test_a_waiver_counts_up_to_its_last_day_and_not_after(ledger: Ledger) -> None:
    waive(ledger, "questions", waiver(today() + timedelta(days=2)), RULES)
    for days, expected in ((0, True), (2, True), (3, False)):
        assert counts(in_days(ledger, days)) is expected
    assert not counts(ledger, "other")
    assert ledger.problems() == []


@pytest.mark.experiment("B12")
def test_a_waiver_counts_for_the_content_that_it_was_given_for(ledger: Ledger) -> None:
    """B12: it counted for every later content of that gate, too."""
    waive(ledger, "questions", waiver(), RULES)
    assert counts(ledger) and not counts(ledger, content="d" * 64)


def test_a_waiver_of_0_1_0_which_names_no_content_counts_for_none(ledger: Ledger) -> None:
    body = {"gate": GATE, "by": "Ann", "reason": "the slice is filled next week", "until": today().isoformat()}
    ledger.append("waiver", "questions", body)
    assert valid_waivers(ledger, "questions", RULES).by_gate_and_content == {}


def test_a_waiver_of_0_1_0_is_named_while_it_would_run_and_until_it_is_given_again(ledger: Ledger) -> None:
    gate = waiver().gate
    old = {"gate": gate, "by": "Ann", "reason": "why not", "until": today().isoformat()}
    ledger.append("waiver", "questions", {**old, "gate": "questions/prompts[base]:old", "until": "2020-01-01"})
    ledger.append("waiver", "questions", old)
    assert waivers_of_no_content(ledger, "questions") == [Waiver(gate, "Ann", "why not", today(), content="")]
    waive(ledger, "questions", waiver(), RULES)
    assert waivers_of_no_content(ledger, "questions") == []


def test_the_newest_waiver_of_a_gate_counts(ledger: Ledger) -> None:
    waive(ledger, "questions", waiver(today() + timedelta(days=9)), RULES)
    waive(ledger, "questions", waiver(today(), by="Bob"), RULES)
    found = valid_waivers(ledger, "questions", RULES).of(ASSET, NAME, CONTENT)
    assert found is not None and found.by == "Bob"
    assert not counts(in_days(ledger, 1))


@pytest.mark.experiment("B12")
def test_a_waiver_lives_no_longer_than_the_recipe_lets_it(ledger: Ledger) -> None:
    """B12: until 9999. A longer one that was written into the ledger past the command is cut, too."""
    with pytest.raises(StillhouseError, match="9999-12-31 is too far away; expected a day from"):
        waive(ledger, "questions", waiver(date(9999, 12, 31)), RULES)
    body = {"gate": GATE, "digest": CONTENT, "by": "Ann", "reason": "for ever", "until": "9999-12-31"}
    ledger.append("waiver", "questions", body)
    assert counts(ledger)
    later = in_days(ledger, 31)
    assert not counts(later)
    assert counts(later, rules=WaiverRules(frozenset(), days_at_most=31))


@pytest.mark.experiment("B11")
def test_a_gate_that_nobody_can_waive_is_not_waived_by_an_entry(ledger: Ledger) -> None:
    """B11: recorded past the command, or while the recipe did not have the rule."""
    with pytest.raises(StillhouseError, match="no_personal_data_is_left cannot be waived"):
        wrong = Waiver(f"{ASSET}:no_personal_data_is_left", "Ann", "the slice is filled next week", today(), CONTENT)
        waive(ledger, "questions", wrong, RULES)
    waive(ledger, "questions", waiver(), RULES)
    assert not counts(ledger, rules=WaiverRules(frozenset({NAME}), 30))


def test_a_gate_goes_by_its_old_name_in_waivers_and_recipes_for_a_version(ledger: Ledger) -> None:
    asset, old, new = "questions/teacher", "it_is_worth_copying", "teacher_accuracy_reaches_the_minimum"
    given = Waiver(f"{asset}:{old}", "Ann", "the next teacher is in training", today(), CONTENT)
    waive(ledger, "questions", given, WaiverRules(frozenset(), 30))
    found = valid_waivers(ledger, "questions", WaiverRules(frozenset(), 30)).of(asset, new, CONTENT)
    assert found is not None and found.gate == f"{asset}:{new}"
    nobody = WaiverRules.of(cast(Recipe, SimpleNamespace(unwaivable=(old,), waiver_days_at_most=30)), {"another"})
    assert nobody.unwaivable == {new, "another"}
    assert valid_waivers(ledger, "questions", nobody).of(asset, new, CONTENT) is None
    with pytest.raises(StillhouseError, match=f"{new} cannot be waived"):
        waive(ledger, "questions", given, nobody)


@pytest.mark.experiment("B14")
def test_an_expired_waiver_stays_expired_when_the_clock_is_set_back(ledger: Ledger) -> None:
    """B14; and what is written then is not before what was written."""
    body = {
        "gate": GATE,
        "digest": CONTENT,
        "by": "Ann",
        "reason": "",
        "until": (today() - timedelta(days=3)).isoformat(),
    }
    ledger.append("waiver", "questions", body)
    set_back = in_days(ledger, -9)
    assert not counts(set_back)
    first, second = ledger.entries()[0], set_back.append("amendment", "questions", {"bar": "b" * 64})
    assert second.at >= first.at and ledger.problems() == []


def test_times_that_run_backwards_are_a_problem(ledger: Ledger, tmp_path: Path) -> None:
    from tests.stillhouse.forgery import rebuild

    for bar in "abc":
        amend(ledger, "questions", bar=bar * 64, by="Ann", reason="support agreed to five points")
    times = {1: "2026-01-02", 2: "2026-01-01", 3: "yesterday"}
    rebuild(tmp_path / "ledger.db", lambda row: {**row, "at": f"{times[row['sequence']]}T00:00:00.000+00:00"})
    assert ledger.problems() == [
        "ledger entry 2 is of 2026-01-01T00:00:00.000+00:00, before the entry that it follows",
        "ledger entry 3 has no time: 'yesterdayT00:00:00.000+00:00'",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (waiver(today() - timedelta(days=1)), "has passed; expected a day from"),
        (waiver(by=" "), "--by: ' ' says too little"),
        (waiver(reason="because"), "--reason: 'because' says too little"),
    ],
)
def test_a_waiver_without_name_reason_or_time_is_refused(ledger: Ledger, wrong: Waiver, message: str) -> None:
    with pytest.raises(StillhouseError, match=message):
        waive(ledger, "questions", wrong, RULES)
    assert ledger.entries() == []


@pytest.mark.parametrize("by", ["Ann Lee <ann@example.org>", "ann lee", " Ann  LEE", "A. Lee (ann@example.org)"])
def test_nobody_approves_their_own_recipe(ledger: Ledger, by: str) -> None:
    author = "Ann Lee <ann@example.org>" if "@" in by else "Ann Lee"
    with pytest.raises(StillhouseError, match="wrote the recipe"):
        approve(ledger, "questions", release="d" * 64, author=author, by=by, reason="looks good to me")
    assert approval_of(ledger, "questions", "d" * 64) is None


def test_an_approval_is_of_one_release_and_no_other(ledger: Ledger) -> None:
    approve(ledger, "questions", release="d" * 64, author="Ann", by="Bob", reason="read the report and the slices")
    written = {"by": "Bob", "reason": "read the report and the slices"}
    assert approval_of(ledger, "questions", "d" * 64) == Decision(**written)
    (entry,) = ledger.entries("questions", "approval")
    assert entry.body == {"release": "d" * 64, **written, "account": account()}
    assert approval_of(ledger, "questions", "e" * 64) is None
    assert approval_of(ledger, "other", "d" * 64) is None


@pytest.mark.experiment("B10")
def test_a_release_that_a_reason_mentions_is_not_approved(ledger: Ledger) -> None:
    """B10: "I refused DIGEST" approved that digest; amendments alike."""
    refused = "e" * 64
    approve(ledger, "questions", release="d" * 64, author="Ann", by="Bob", reason=f"I refused {refused}")
    amend(ledger, "questions", bar="b" * 64, by="Ann", reason=f"instead of {refused}")
    assert approval_of(ledger, "questions", refused) is None and amendment_to(ledger, "questions", refused) is None


def test_a_decision_that_only_its_column_names_counts_for_nothing(ledger: Ledger, tmp_path: Path) -> None:
    approve(ledger, "questions", release="d" * 64, author="Ann", by="Bob", reason="read the report and the slices")
    amend(ledger, "questions", bar="d" * 64, by="Ann", reason="support agreed to five points")
    alter(tmp_path / "ledger.db", f"UPDATE ledger SET content = '{'e' * 64}'")
    assert approval_of(ledger, "questions", "e" * 64) is None and amendment_to(ledger, "questions", "e" * 64) is None


def test_an_amendment_is_of_one_bar(ledger: Ledger) -> None:
    amend(ledger, "questions", bar="b" * 64, by="Ann", reason="support agreed to five points")
    found = amendment_to(ledger, "questions", "b" * 64)
    assert found == Decision("Ann", "support agreed to five points")
    assert amendment_to(ledger, "questions", "c" * 64) is None
