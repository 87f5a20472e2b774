"""Whether a student is needed at all: every option measured, and none that clears the bar by itself."""

from types import SimpleNamespace
from typing import Any

import pytest

import checks.baselines
from checks.baselines import every_option_was_measured, no_baseline_clears_the_bar
from stillhouse.stages.baselines import OPTIONS
from tests.checks.hand_made import DEMO, FAIL, INCONCLUSIVE, PASS, artifact, recipe, told

FORMS = artifact(SimpleNamespace(as_students={"int8 teacher": "{name: int8_teacher}"}))


def judged(monkeypatch: pytest.MonkeyPatch, *options: Any) -> None:
    monkeypatch.setattr(checks.baselines, "read_evaluations", lambda folder: list(options))


def option(name: str, verdict: Any = FAIL, accuracy: float = 0.5, latency: object = "measured") -> Any:
    return SimpleNamespace(
        name=name, verdict=verdict, latency=latency, score=SimpleNamespace(accuracy=accuracy), summary=f"{name} misses."
    )


def test_each_option_has_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, *map(option, OPTIONS))
    assert told(every_option_was_measured) == (PASS, f"measured: {', '.join(OPTIONS)}")
    judged(monkeypatch, *map(option, OPTIONS[1:]))
    assert told(every_option_was_measured) == (FAIL, "not measured: majority class")
    judged(monkeypatch, *map(option, OPTIONS[:-1]), option("pruned teacher", latency=None))
    assert told(every_option_was_measured) == (FAIL, "not measured: pruned teacher")


def test_where_no_option_clears_the_bar_the_most_accurate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, option("a", accuracy=0.6), option("b", INCONCLUSIVE, 0.7), option("c", accuracy=0.1))
    assert told(no_baseline_clears_the_bar) == (PASS, "the best misses: b misses.")


@pytest.mark.parametrize(
    ("clearing", "sentence"),
    [
        (
            ["int8 teacher"],
            "take the baseline: int8 teacher clears the bar. To release it through the same gates, put "
            "{name: int8_teacher} among the recipe's students",
        ),
        (
            ["majority class"],
            "take the baseline: majority class clears the bar. Stillhouse does not release majority class: "
            "fit it where it is used",
        ),
        (
            ["majority class", "linear probe", "int8 teacher"],
            "take the baseline: majority class, linear probe and int8 teacher clear the bar. To release it through "
            "the same gates, put {name: int8_teacher} among the recipe's students. Stillhouse does not release "
            "majority class or linear probe: fit it where it is used",
        ),
    ],
)
def test_an_option_that_clears_the_bar_closes_and_says_how_it_is_released(
    monkeypatch: pytest.MonkeyPatch, clearing: list[str], sentence: str
) -> None:
    judged(monkeypatch, option("b"), *(option(name, PASS) for name in clearing))
    assert told(no_baseline_clears_the_bar, FORMS) == (FAIL, sentence)


def test_a_recipe_that_names_an_option_lets_it_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, option("int8 teacher", PASS))
    as_it_is = {"name": "int8_teacher", "layers": [0, 1], "learns_from": "nothing"}
    named = recipe(students=[*DEMO.model_dump()["students"], as_it_is])
    verdict, sentence = told(no_baseline_clears_the_bar, FORMS, recipe=named)
    assert verdict is PASS
    assert sentence.startswith("int8 teacher clears the bar, and the recipe names int8_teacher, which learns from noth")
