"""Whether the ledger points at the release that serves, and the bundle is whole."""

from types import SimpleNamespace

import pytest

import checks.champion
from checks.champion import the_ledger_names_this_release, the_serving_bundle_is_whole
from tests.checks.hand_made import FAIL, PASS, artifact, told

SERVES = artifact(SimpleNamespace(release="a" * 64), stage="champion", batch=None)


def test_the_newest_promotion_has_to_be_of_the_release_that_the_asset_names() -> None:
    def look(promoted: str | None) -> object:
        ledger = SimpleNamespace(champion=lambda recipe: promoted and {"digest": promoted})
        return told(the_ledger_names_this_release, SERVES, ledger=ledger)

    assert look("a" * 64) == (PASS, f"promoted {'a' * 12}, champion {'a' * 12}")
    assert look("b" * 64) == (FAIL, f"promoted {'b' * 12}, champion {'a' * 12}")
    assert look(None) == (FAIL, f"promoted nothing, champion {'a' * 12}")


def test_a_bundle_with_a_problem_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str] = []
    monkeypatch.setattr(checks.champion, "bundle_problems", lambda folder: problems)
    release = {"release": artifact(stage="release")}
    whole = (PASS, "every file is there and as listed")
    assert told(the_serving_bundle_is_whole, SERVES, made_from=release) == whole
    problems += ["a is missing", "b was altered"]
    assert told(the_serving_bundle_is_whole, SERVES, made_from=release) == (FAIL, "a is missing; b was altered")
