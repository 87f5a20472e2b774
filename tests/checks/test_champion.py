"""Whether the ledger points at the release that serves, and the bundle is whole."""

import secrets
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import checks.champion
from checks.champion import the_ledger_names_this_release, the_serving_bundle_is_whole
from stillhouse.records.ledger import Ledger
from stillhouse.records.rollouts import offer
from stillhouse.stages.names import CHAMPION
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact
from tests.faults.bench import Fault
from tests.faults.release import broken_and_waived, promoted_by_hand
from tests.promotions import named, seen, serve

SERVES = artifact(SimpleNamespace(release="a" * 64, offered=None), stage="champion", batch=None)
OFFERED = artifact(SimpleNamespace(release="a" * 64, offered="b" * 64), stage="champion", batch=None)


Look = Callable[..., object]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """The gate's answer, where one release serves and another one is on its way."""

    def answer(asset: Any, serves: str | None, challenger: str | None = None) -> object:
        return _look(Ledger(f"sqlite:///{tmp_path / f'{secrets.token_hex(4)}.db'}"), asset, serves, challenger)

    return answer


def _look(ledger: Ledger, asset: Any, serves: str | None, challenger: str | None) -> object:
    if serves is not None:
        serve(ledger, serves, recipe="small")
    if challenger is not None:
        now = seen(ledger, "small")
        offer(ledger, "small", named(challenger), seen=now, export=challenger, run_id="run", relied_on=())
    return answer_of(the_ledger_names_this_release, asset, ledger=ledger)


def test_the_newest_promotion_has_to_be_of_the_release_that_the_asset_names(look: Look) -> None:
    assert look(SERVES, "a" * 64) == (PASS, f"promoted {'a' * 12}, champion {'a' * 12}")
    assert look(SERVES, "b" * 64) == (FAIL, f"promoted {'b' * 12}, champion {'a' * 12}")
    assert look(SERVES, None) == (FAIL, f"promoted nothing, champion {'a' * 12}")


def test_a_release_that_was_decided_upon_is_on_its_way_or_waits(look: Look) -> None:
    named_right = f"promoted {'a' * 12}, champion {'a' * 12}"
    assert look(OFFERED, "a" * 64, "b" * 64) == (PASS, f"{named_right}; {'b' * 12} is in shadow")
    waits = f"{named_right}; {'c' * 12} is in shadow, {'b' * 12} waits for it"
    assert look(OFFERED, "a" * 64, "c" * 64) == (PASS, waits)
    gone = (FAIL, f"{named_right}; {'b' * 12} is not on its way to take over")
    assert look(OFFERED, "a" * 64) == gone
    assert look(OFFERED, "b" * 64) == (FAIL, f"promoted {'b' * 12}, champion {'a' * 12}")


def test_a_bundle_with_a_problem_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str] = []
    monkeypatch.setattr(checks.champion, "bundle_problems", lambda folder: problems)
    release = {"release": artifact(stage="release")}
    whole = (PASS, "every file is there and as listed")
    assert answer_of(the_serving_bundle_is_whole, SERVES, made_from=release) == whole
    problems += ["a is missing", "b was altered"]
    assert answer_of(the_serving_bundle_is_whole, SERVES, made_from=release) == (FAIL, "a is missing; b was altered")


FAULTS = [
    Fault(
        "another release was promoted by hand", CHAMPION, "the_ledger_names_this_release", promoted_by_hand,
        "promoted 000000000000", look_only=True,
    ),
    Fault(
        "a broken bundle was waived and promoted", CHAMPION, "the_serving_bundle_is_whole", broken_and_waived,
        "optimizer.pt is not part of the release",
    ),
]  # fmt: skip
