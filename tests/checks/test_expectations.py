"""What the Great Expectations suites close on: each gate is planted with rows of its own."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from checks.expectations import prompts, teacher_signal
from checks.expectations.suite import AskedExpectation, Expectation, ExpectationSuite, _finding, validate
from checks.gate import Finding, data_docs
from stillhouse.stages.names import PROMPTS, TEACHER_SIGNAL, TRANSFER_SET
from tests.checks.hand_made import FAIL, PASS, artifact, context, recipe
from tests.faults.bench import Fault
from tests.faults.plants import NOBODY, on
from tests.faults.prompts import as_they_are, careless, cleans_without_limit, hides_golden_labels, spoils_one
from tests.faults.teacher import behind_the_canaries, first_behind_the_canaries, store_gives

SHORT = recipe(data__max_characters=10, limits__training_rows_at_least=5)
GOOD_PROMPTS = pl.DataFrame({
    "prompt_id": list("abcde"), "text": ["who ?", "x", "t" * 10, "what ?", " why"],
    "split": ["train", "validation", "golden", "golden", "train"], "label": [None, None, "A", "B", "A"],
})  # fmt: skip
GOOD_SIGNAL = pl.DataFrame({
    "prompt_id": list("abc"), "fingerprint": ["f"] * 3, "observed": ["large", None, "large"],
    "logits": [[1.0, -2.0], [0.0, 1e-6], [700.0, -700.0]],
})  # fmt: skip


def look(
    suite: ExpectationSuite, folder: Path, name: str, frame: pl.DataFrame, batch: str = "base"
) -> dict[str, Finding]:
    facts = SimpleNamespace(fingerprint="f", observed="large")
    asked = context(artifact(facts, {name: frame}, batch=batch), recipe=SHORT, home=SimpleNamespace(reports=folder))
    found = suite.evaluate(asked)
    assert list(found) == list(suite.because)
    assert "<html" in data_docs(asked).read_text().lower()
    return found


def closed(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.sentence for name, finding in found.items() if finding.verdict is FAIL}


def changed(frame: pl.DataFrame, place: int, **values: Any) -> pl.DataFrame:
    rows = frame.to_dicts()
    rows[place] |= values
    return pl.DataFrame(rows, schema=frame.schema)


ONE_OF_FIVE, ONE_OF_THREE = "1 of 5 rows are unexpected", "1 of 3 rows are unexpected"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (GOOD_PROMPTS, {}),
        (changed(GOOD_PROMPTS, 0, prompt_id=None), {"every_prompt_has_an_id": ONE_OF_FIVE}),
        (changed(GOOD_PROMPTS, 0, prompt_id="b"), {"every_id_is_there_once": "2 of 5 rows are unexpected"}),
        (changed(GOOD_PROMPTS, 1, text="\t \n"), {"every_prompt_has_text": ONE_OF_FIVE}),
        (changed(GOOD_PROMPTS, 1, text="t" * 11), {"no_text_is_too_long": ONE_OF_FIVE}),
        (
            changed(GOOD_PROMPTS, 1, text=""),
            {"every_prompt_has_text": ONE_OF_FIVE, "no_text_is_too_long": ONE_OF_FIVE},
        ),
        (changed(GOOD_PROMPTS, 1, split="test"), {"every_split_is_known": ONE_OF_FIVE}),
        (changed(GOOD_PROMPTS, 2, label=None), {"every_golden_row_has_a_label": ONE_OF_FIVE}),
        (GOOD_PROMPTS[:4], {"there_are_enough_rows_to_train": "observed 4"}),
    ],
)
def test_each_gate_on_prompts_closes_on_its_own_fault(
    tmp_path: Path, frame: pl.DataFrame, expected: dict[str, str]
) -> None:
    found = look(prompts.SUITE, tmp_path, "prompts", frame)
    assert closed(found) == expected
    enough = found["there_are_enough_rows_to_train"]
    assert (enough.observed, enough.limit) == (frame.height, 5)
    unexpected = 2 if "2 of" in expected.get("every_id_is_there_once", "") else 0
    assert (found["every_id_is_there_once"].observed, found["every_id_is_there_once"].limit) == (unexpected, 0)


def test_a_later_batch_may_be_empty(tmp_path: Path) -> None:
    assert closed(look(prompts.SUITE, tmp_path, "prompts", GOOD_PROMPTS[:0], batch="later")) == {}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (GOOD_SIGNAL, {}),
        (changed(GOOD_SIGNAL, 0, prompt_id=None), {"every_answer_has_its_prompt": ONE_OF_THREE}),
        (changed(GOOD_SIGNAL, 0, prompt_id="b"), {"every_prompt_was_answered_once": "2 of 3 rows are unexpected"}),
        (changed(GOOD_SIGNAL, 0, fingerprint="g"), {"every_answer_is_of_one_teacher": ONE_OF_THREE}),
        (
            changed(GOOD_SIGNAL, 0, observed="small"),
            {"every_answer_is_of_one_teacher": f"{ONE_OF_THREE}: answered by large (1), small (1)"},
        ),
        (
            changed(GOOD_SIGNAL, 0, observed="large, small"),
            {"every_answer_is_of_one_teacher": f"{ONE_OF_THREE}: answered by large (2), small (1)"},
        ),
        (
            changed(GOOD_SIGNAL, 0, logits=[1.0, math.nan]),
            {"every_logit_is_finite": ONE_OF_THREE, "probabilities_sum_to_one": ONE_OF_THREE},
        ),
        (changed(GOOD_SIGNAL, 0, logits=[0.0, -0.0]), {"no_answer_is_all_zeros": ONE_OF_THREE}),
    ],
)
def test_each_gate_on_answers_closes_on_its_own_fault(
    tmp_path: Path, frame: pl.DataFrame, expected: dict[str, str]
) -> None:
    assert closed(look(teacher_signal.SUITE, tmp_path, "signal", frame)) == expected


def test_a_number_in_the_middle_of_those_that_there_are_is_no_missing_answer(tmp_path: Path) -> None:
    """Regression: three stars of one to five are the output 0, and a teacher that gave any closed the gate."""
    stars = GOOD_SIGNAL.with_columns(pl.Series("logits", [[0.0], [-1.0], [0.5]]))
    assert closed(look(teacher_signal.SUITE, tmp_path, "signal", stars)) == {}
    nowhere = GOOD_SIGNAL.with_columns(pl.Series("logits", [[math.nan], [-1.0], [0.5]]))
    assert "every_logit_is_finite" in closed(look(teacher_signal.SUITE, tmp_path, "signal", nowhere))


def test_probabilities_may_miss_one_by_rounding_alone() -> None:
    asked = context(artifact(SimpleNamespace(fingerprint="f", observed="large"), {"signal": GOOD_SIGNAL}))
    (last,) = [
        one.asked_of(asked) for one in teacher_signal.SUITE.expectations if one.name == "probabilities_sum_to_one"
    ]
    sums = pl.DataFrame({"probability": [1.0, 1.0 - 9e-6, 1.0 + 9e-6, 1.0 - 11e-6, 1.0 + 11e-6]})
    results, _ = validate(sums, [last])
    assert results[0].result["partial_unexpected_index_list"] == [3, 4]
    given = teacher_signal._table(asked).row(0, named=True)
    probability = pytest.approx(1.0)
    assert given == {"prompt_id": "a", "fingerprint": "f", "finite": True, "largest": 2.0, "probability": probability}


def test_the_rows_that_closed_a_gate_are_named_and_twenty_of_them_at_most(tmp_path: Path) -> None:
    many = pl.concat([GOOD_PROMPTS] * 6).with_columns(
        prompt_id=pl.format("p{}", pl.int_range(30)), split=pl.lit("elsewhere"), text=pl.lit("t")
    )
    found = look(prompts.SUITE, tmp_path, "prompts", many)
    assert closed(found)["every_split_is_known"] == "30 of 30 rows are unexpected"
    assert found["every_split_is_known"].evidence == {"prompt_ids": [f"p{n}" for n in range(20)]}
    assert found["every_id_is_there_once"].evidence == {}


def test_what_kept_an_expectation_from_being_decided_is_its_sentence() -> None:
    frame = pl.DataFrame({"prompt_id": ["a"]})
    missing = AskedExpectation("n", "ExpectColumnValuesToNotBeNull", {"column": "nowhere"})
    (result,), _ = validate(frame, [missing])
    found = _finding(missing, result, frame)
    assert found.verdict is FAIL and "nowhere" in found.sentence

    def said(exception: Any, success: bool = False) -> tuple[Any, str]:
        finding = _finding(missing, SimpleNamespace(result=None, exception_info=exception, success=success), frame)
        return finding.verdict, finding.sentence

    assert said({"exception_message": "it broke"}) == (FAIL, "it broke")
    assert said({"by metric": {"exception_message": "it broke"}, "raised": True}) == (FAIL, "it broke")
    assert said({"exception_message": None}, success=True) == (PASS, "observed None")
    assert said(None) == (FAIL, "observed None")


def test_a_suite_with_two_expectations_of_one_name_is_a_mistake() -> None:
    def named(*names: str) -> ExpectationSuite:
        expectations = [Expectation(name, "b", "ExpectColumnValuesToNotBeNull", lambda asked: {}) for name in names]
        return ExpectationSuite(lambda asked: GOOD_PROMPTS, expectations)

    assert named("a", "c").because == {"a": "b", "c": "b"}
    with pytest.raises(AssertionError, match="one gate for each expectation"):
        named("a", "a")


FAULTS = [
    Fault(
        "a row has no id", PROMPTS, "every_prompt_has_an_id",
        careless("hide_labels", spoils_one("prompt_id", None), as_they_are), "1 of",
    ),
    Fault(
        "a blank text is kept", PROMPTS, "every_prompt_has_text",
        careless("hide_labels", spoils_one("text", " "), as_they_are), "1 of",
    ),
    Fault(
        "texts of any length are kept", PROMPTS, "no_text_is_too_long",
        careless("clean", cleans_without_limit, as_they_are, data__max_characters=80), "rows are unexpected",
    ),
    Fault(
        "a row is on a side that nobody knows", PROMPTS, "every_split_is_known",
        careless("hide_labels", spoils_one("split", "test"), as_they_are), "1 of",
    ),
    Fault(
        "a golden row has no label", PROMPTS, "every_golden_row_has_a_label",
        careless("hide_labels", hides_golden_labels, as_they_are), "1 of",
    ),
    Fault(
        "there are fifteen rows", PROMPTS, "there_are_enough_rows_to_train",
        on(
            lambda frame: frame.filter(pl.col("service").is_in(["HUM", "LOC"]))[:15],
            limits={"thin_classes_at_most": 1.0},
        ),
        "observed 1",
    ),
    Fault(
        "the store was never written and reads as zeros", TEACHER_SIGNAL, "no_answer_is_all_zeros",
        behind_the_canaries(0.0, 5), "5 of", refuses=TRANSFER_SET,
    ),
    Fault(
        "a logit is not a number", TEACHER_SIGNAL, "every_logit_is_finite", behind_the_canaries(np.nan, 1), "1 of",
        also=("probabilities_sum_to_one",),
    ),
    Fault(
        "a prompt was answered twice", TEACHER_SIGNAL, "every_prompt_was_answered_once",
        store_gives(lambda frame: pl.concat([frame, frame[-1:]])), "2 of",
    ),
    Fault(
        "an answer is of another teacher", TEACHER_SIGNAL, "every_answer_is_of_one_teacher",
        first_behind_the_canaries("fingerprint", NOBODY), "1 of",
    ),
]  # fmt: skip
