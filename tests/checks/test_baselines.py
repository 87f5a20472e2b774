"""Whether a student is needed at all: every option measured, and none that clears the bar by itself."""

from types import SimpleNamespace
from typing import Any

import pytest

import checks.baselines
from checks.baselines import (
    every_option_was_measured,
    no_baseline_clears_the_bar,
    the_bar_notices_a_lost_class,
)
from stillhouse.stages.baselines import OPTIONS, OPTIONS_ELSEWHERE
from stillhouse.stages.names import BASELINES, TEACHER_SIGNAL
from stillhouse.statistics.verdicts import Verdict
from tests.checks.hand_made import DEMO, FAIL, INCONCLUSIVE, PASS, answer_of, artifact, recipe, stored_recipe
from tests.faults.bench import Fault
from tests.faults.teacher import easy_bar, judged_before

FORMS = artifact(SimpleNamespace(as_students={"int8 teacher": "{name: int8_teacher}"}))


def judged(monkeypatch: pytest.MonkeyPatch, *options: Any) -> None:
    monkeypatch.setattr(checks.baselines, "read_evaluations", lambda folder: list(options))


def option(
    name: str, verdict: Any = FAIL, accuracy: float = 0.5, latency: object = "measured", hosted: object = None
) -> Any:
    return SimpleNamespace(
        name=name,
        hosted=hosted,
        verdict=verdict,
        latency=latency,
        score=SimpleNamespace(accuracy=accuracy, quality=accuracy),
        summary=f"{name} misses.",
        per_class=(),
        teacher_confusion=(),
        of_labels=None,
    )


def losing(name: str, found: int, rows: int = 100, teacher: int = 90) -> Any:
    """An option that clears the bar and finds so many rows of a class, of which the teacher finds most."""
    one = option(name, PASS)
    one.per_class = (SimpleNamespace(label="fraud", rows=rows, recall=found / rows),)
    one.teacher_confusion = (
        SimpleNamespace(label="fraud", predicted="fraud", rows=teacher),
        SimpleNamespace(label="fraud", predicted="other", rows=rows - teacher),
    )
    return one


def test_each_option_has_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, *map(option, OPTIONS))
    assert answer_of(every_option_was_measured) == (PASS, f"measured: {', '.join(OPTIONS)}")
    judged(monkeypatch, *map(option, OPTIONS[1:]))
    assert answer_of(every_option_was_measured) == (FAIL, "not measured: majority class")
    judged(monkeypatch, *map(option, OPTIONS[:-1]), option("pruned teacher", latency=None))
    assert answer_of(every_option_was_measured) == (FAIL, "not measured: pruned teacher")


def test_of_a_teacher_that_runs_elsewhere_no_smaller_form_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, *map(option, OPTIONS_ELSEWHERE))
    assert answer_of(every_option_was_measured, recipe=stored_recipe())[0] is PASS
    judged(monkeypatch, *map(option, OPTIONS_ELSEWHERE[:-1]))
    found = answer_of(every_option_was_measured, recipe=stored_recipe())
    assert found == (FAIL, "not measured: static embeddings of the base")


def test_where_no_option_clears_the_bar_the_most_accurate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, option("a", accuracy=0.6), option("b", INCONCLUSIVE, 0.7), option("c", accuracy=0.1))
    assert answer_of(no_baseline_clears_the_bar) == (PASS, "the best misses: b misses.")


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
    assert answer_of(no_baseline_clears_the_bar, FORMS) == (FAIL, sentence)


def test_a_recipe_that_names_an_option_lets_it_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, option("int8 teacher", PASS))
    as_it_is = {"name": "int8_teacher", "layers": [0, 1], "learns_from": "nothing"}
    named = recipe(students=[*DEMO.model_dump()["students"], as_it_is])
    verdict, sentence = answer_of(no_baseline_clears_the_bar, FORMS, recipe=named)
    assert verdict is PASS
    assert sentence.startswith("int8 teacher clears the bar, and the recipe names int8_teacher, which learns from noth")


def test_a_bar_that_is_cleared_without_a_class_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: "take the baseline" recommended a model that found 5 of 103 rows of the class that mattered."""
    gate = the_bar_notices_a_lost_class
    judged(monkeypatch, option("b"), losing("TF-IDF", 5))
    verdict, sentence = answer_of(gate)
    assert verdict is FAIL
    assert sentence.startswith(
        "the bar is cleared without a class: TF-IDF finds 5 of 100 rows of 'fraud', the teacher 90. Set `bar.metric:"
    )
    judged(monkeypatch, option("b"))
    assert answer_of(gate) == (PASS, "no option clears the bar")


def test_an_option_that_finds_every_class_goes_before_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, losing("TF-IDF", 5), losing("int8 teacher", 80))
    assert answer_of(the_bar_notices_a_lost_class) == (PASS, "every class is found by int8 teacher")
    assert answer_of(no_baseline_clears_the_bar, FORMS)[1].startswith("take the baseline: int8 teacher clears the bar.")


@pytest.mark.parametrize(
    ("found", "rows", "teacher", "is_lost"),
    [
        (34, 100, 90, True),  # 25.5 to 43.7 %, of 45
        (36, 100, 90, False),  # 27.3 to 45.8 %
        (0, 3, 3, False),  # 0 to 56.1 %: a handful of rows proves nothing
        (0, 5, 5, True),  # 0 to 43.4 %, of 50
        (0, 100, 5, False),  # 0 to 3.7 %, of 2.5: the teacher does not find it either
    ],
)
def test_a_class_is_lost_where_less_than_half_is_shown_to_be_found(
    monkeypatch: pytest.MonkeyPatch, found: int, rows: int, teacher: int, is_lost: bool
) -> None:
    judged(monkeypatch, losing("a", found, rows, teacher))
    assert answer_of(the_bar_notices_a_lost_class)[0] is (FAIL if is_lost else PASS)


def test_an_alternative_behind_a_server_is_an_option_that_needs_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = {"usd_per_million_in": 1, "usd_per_million_out": 1}
    asked = {"kind": "endpoint", "source": "https://host/v1", "ask": {"model": "m"},
             "endpoint": {**prices, "usd_at_most": 5}, "alternatives": [{"model": "s", **prices}]}  # fmt: skip
    terms = {"revision": "1", "licence": "terms", "training_on_outputs": "allowed", "reason": "It answers today."}
    own = stored_recipe(
        teacher={**asked, **terms, "minimum_accuracy": 0.8}, data__provenance={"teacher_may_see": ["internal"]}
    )
    judged(monkeypatch, *map(option, OPTIONS_ELSEWHERE))
    assert answer_of(every_option_was_measured, recipe=own) == (FAIL, "not measured: prompted s")
    prompted = option("prompted s", PASS, latency=None, hosted="its bill")
    judged(monkeypatch, *map(option, OPTIONS_ELSEWHERE), prompted)
    assert answer_of(every_option_was_measured, recipe=own)[0] is PASS
    assert answer_of(no_baseline_clears_the_bar, FORMS, recipe=own) == (
        FAIL,
        "take the baseline: prompted s clears the bar. prompted s needs no release: ask its server as it was asked "
        "here",
    )


FAULTS = [
    Fault(
        "a baseline clears the bar", BASELINES, "no_baseline_clears_the_bar", easy_bar, "take the baseline",
        refuses=TEACHER_SIGNAL,
    ),
    Fault(
        "an option that finds one class clears the bar", BASELINES, "the_bar_notices_a_lost_class",
        judged_before(lambda one: one.model_copy(update={"verdict": Verdict.PASS})),
        "the bar is cleared without a class: majority class finds 0 of", also=("no_baseline_clears_the_bar",),
        refuses=TEACHER_SIGNAL,
    ),
    Fault(
        "the speed of one option was not measured", BASELINES, "every_option_was_measured",
        judged_before(lambda one: one.model_copy(update={"latency": None, "verdict": Verdict.INCONCLUSIVE})),
        "not measured: majority class",
    ),
]  # fmt: skip
