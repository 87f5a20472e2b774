"""Whether weights are the pinned ones: by the recipe, by the first round, or by nobody yet."""

from typing import Any

import pytest

import checks.pinning
from checks.gate import Finding
from checks.pinning import are_the_pinned_weights
from stillhouse.teachers.pinning import Pin
from tests.checks.hand_made import DEMO, FAIL, INCONCLUSIVE, PASS, context, language_model_recipe

ONE, OTHER = "1" * 64, "2" * 64


def look(monkeypatch: pytest.MonkeyPatch, pin: Pin | None, fingerprint: str | None = ONE) -> Finding:
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *asked: pin)
    return are_the_pinned_weights(context(), {"teacher": fingerprint})


def test_weights_that_were_refused_are_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, Pin(ONE), None).verdict is INCONCLUSIVE


def test_the_first_weights_are_trusted_where_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(monkeypatch, None)
    assert found.verdict is PASS and found.sentence.startswith("trusted on first use")
    assert found.sentence.endswith(f"later rounds are held to {ONE[:12]}")


@pytest.mark.parametrize(
    ("pin", "source"),
    [
        (Pin(ONE), "the recipe pins weights"),
        (
            Pin(ONE, trusted_since="2026-01-02"),
            "the recipe has no teacher.fingerprint; trusted since their first use on 2026-01-02 are weights",
        ),
    ],
)
def test_other_weights_than_the_pinned_ones_close(monkeypatch: pytest.MonkeyPatch, pin: Pin, source: str) -> None:
    same: Any = look(monkeypatch, pin)
    assert (same.verdict, same.sentence) == (PASS, f"{source} {ONE[:12]}, and these are they")
    exchanged = look(monkeypatch, pin, OTHER)
    assert exchanged.verdict is FAIL
    assert exchanged.sentence.startswith(f"{source} {ONE[:12]}, but {DEMO.teacher.address} holds {OTHER[:12]}: put the")


def test_of_two_models_the_one_that_is_another_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *about: Pin({"base": ONE, "teacher": OTHER}[about[-1]]))
    both = are_the_pinned_weights(context(recipe=language_model_recipe()), {"base": ONE, "teacher": OTHER})
    assert both.verdict is PASS and both.sentence.startswith("base: the recipe pins weights 111")
    assert "; teacher: the recipe pins weights 222" in both.sentence
    exchanged = are_the_pinned_weights(context(recipe=language_model_recipe()), {"base": ONE, "teacher": ONE})
    assert exchanged.verdict is FAIL and "lm@1 holds 111" in exchanged.sentence
