"""Perturbations that depend on the text alone, and what they cost, counted by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.claims import stress_claims
from stillhouse.evaluation.measures.stress import StressResult, perturb, stress_test, truncated, with_typos
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.bar import StressSpec
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("a", "b")
SENTENCE = "please tell me where the nearest open station with a working lift is"


def edits(one: str, other: str) -> int:
    """Levenshtein distance with swaps of neighbours, the textbook table."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            best = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (one[i - 1] != other[j - 1]))
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 1] + other[j - 2]:
                best = min(best, table[i - 2, j - 2] + 1)
            table[i, j] = best
    return int(table[-1, -1])


def test_one_word_in_five_has_one_typo() -> None:
    # 12 words have two letters or more, and 12 / 5 rounds to 2
    assert edits(SENTENCE, with_typos(SENTENCE)) == 2
    assert edits("why", with_typos("why")) == 1


def test_typos_stay_what_they_were_recorded_to_be() -> None:
    """The record of an older student has to compare with that of a newer one."""
    assert with_typos("Who wrote Hamlet ?") == "Who wrote Haamlet ?"


@given(st.text(alphabet="abc de1 .é漢", max_size=60))
def test_a_typo_is_one_edit_of_a_word_and_the_same_each_time(text: str) -> None:
    changed = with_typos(text)
    words = [word for word in text.split(" ") if any(a.isalpha() and b.isalpha() for a, b in pairwise(word))]
    assert changed == with_typos(text)
    assert (changed != text) == bool(words)
    assert changed.count(" ") == text.count(" ")


@pytest.mark.parametrize(
    ("text", "left"), [("one", "one"), ("one two", "one two"), ("one two three", "one two"), ("a b c d e f", "a b c d")]
)
def test_the_last_third_of_the_words_is_cut(text: str, left: str) -> None:
    assert truncated(text) == left


def test_case_and_templates() -> None:
    assert perturb("case", "Who?") == "WHO?"
    assert perturb("tell me, {text}", "who {x}?") == "tell me, who {x}?"


def world(rows: int = 40):
    """Golden rows of class 'a' whose ids do not follow their texts."""
    ids = [f"{(7 * row) % rows:04d}" for row in range(rows)]
    return pl.DataFrame({"prompt_id": ids, "text": [f"text {row}" for row in range(rows)], "label": ["a"] * rows})


def model(
    golden, wrong=(), wrong_in_upper_case=(), kind=ModelKind.STUDENT, can_be_asked: bool = True
) -> EvaluatedModel:
    """Answers 'a', but 'b' to some texts, by their number, as they are or in upper case."""

    def logits(text: str) -> list[float]:
        missed = wrong_in_upper_case if text.isupper() else wrong
        return [0.0, 1.0] if int(text.split()[-1]) in missed else [1.0, 0.0]

    outputs = {row["prompt_id"]: logits(row["text"]) for row in golden.to_dicts()}
    return EvaluatedModel(
        "m",
        kind,
        outputs,
        1,
        predict_logits=(lambda texts: np.array(list(map(logits, texts)))) if can_be_asked else None,
    )


CASE = {"perturbations": ["case"]}


def stressed(student: EvaluatedModel, teacher: EvaluatedModel, golden, groups: np.ndarray | None = None, **spec):
    task = SingleLabel(tuple(CLASSES))
    results = stress_test(StressSpec.model_validate(spec), student, teacher, golden, task, alpha=0.05, groups=groups)
    return results if len(results) > 1 else results[0]


def test_what_it_costs_is_counted_against_the_model_itself_and_against_the_teacher() -> None:
    golden = world()
    # Under stress the student loses rows 0 to 9 and wins 12; row 13 is wrong either way.
    student = model(golden, [12, 13], [*range(10), 13])
    teacher = model(golden, [], [0, 1, 2, 3, 20], ModelKind.TEACHER)
    result = stressed(student, teacher, golden, **CASE)
    assert result.student.clean_accuracy == pytest.approx(38 / 40)
    assert result.student.accuracy == pytest.approx(29 / 40)
    assert result.student.drop == pytest.approx(9 / 40)
    assert result.student.answers_changed == 11
    assert result.teacher.drop == pytest.approx(5 / 40)
    against = result.against_teacher
    assert against.further_drop == pytest.approx(4 / 40)
    # More: rows 4 to 9. Less: 20, which only the teacher loses, and 12, which the student wins.
    assert (against.hurt_more, against.hurt_less) == (6, 2)
    assert against.p_value == pytest.approx(binomtest(6, 8).pvalue)
    assert (result.rows, result.golden_rows, result.texts_changed) == (40, 40, 40)
    assert result.test is None and result.verdict is None


@pytest.mark.parametrize(
    ("lost", "limit", "verdict"),
    [(0, 0.1, Verdict.PASS), (12, 0.5, Verdict.PASS), (40, 0.1, Verdict.FAIL), (3, 0.1, Verdict.INCONCLUSIVE)],
)
def test_a_limit_is_proven_and_not_just_measured(lost: int, limit: float, verdict: Verdict) -> None:
    golden = world()
    teacher = model(golden, kind=ModelKind.TEACHER)
    result = stressed(model(golden, [], range(lost)), teacher, golden, **CASE, drop_at_most=limit)
    assert result.verdict is verdict
    assert result.test.drop == pytest.approx(lost / 40)


def test_a_perturbation_that_changes_no_text_shows_nothing() -> None:
    """Of a script without case upper case is the same text, on which no accuracy can be lost."""
    golden = world().with_columns(text=pl.lit("東京はどこですか"))
    outputs = {i: [1.0, 0.0] for i in golden["prompt_id"]}
    same = {"predict_logits": lambda texts: np.tile([1.0, 0.0], (len(texts), 1))}
    student, teacher = (
        EvaluatedModel(kind, kind, outputs, 1, **same) for kind in (ModelKind.STUDENT, ModelKind.TEACHER)
    )
    result = stressed(student, teacher, golden, **CASE, drop_at_most=0.1)
    assert (result.texts_changed, result.verdict) == (0, Verdict.INCONCLUSIVE)


def test_the_first_rows_by_id_are_asked_whatever_their_order() -> None:
    golden = world()
    first = golden.sort("prompt_id").head(10)["text"].to_list()
    asked: list[str] = []
    outputs = {i: [1.0, 0.0] for i in golden["prompt_id"]}

    def predict(texts):
        asked.extend(texts)
        return np.tile([1.0, 0.0], (len(texts), 1))

    student = EvaluatedModel("s", ModelKind.STUDENT, outputs, 1, predict_logits=predict)
    teacher = model(golden, kind=ModelKind.TEACHER)
    result = stressed(student, teacher, golden.reverse(), templates=["so {text}"], perturbations=[], rows_at_most=10)
    assert asked == [f"so {text}" for text in first]
    assert (result.rows, result.golden_rows) == (10, 40)


def test_who_cannot_be_asked_is_not_shown_to_hold_a_limit() -> None:
    golden = world()
    mute = {"can_be_asked": False}
    student, teacher = model(golden), model(golden, kind=ModelKind.TEACHER, **mute)
    result = stressed(model(golden, **mute), teacher, golden, **CASE, drop_at_most=0.1)
    assert (result.verdict, result.student, result.against_teacher) == (Verdict.INCONCLUSIVE, None, None)
    result = stressed(student, teacher, golden, **CASE, drop_at_most=0.1)
    assert result.student is not None and result.teacher is None and result.test is not None


def test_golden_rows_without_texts_cannot_be_perturbed() -> None:
    golden = world()
    with pytest.raises(StillhouseError, match="no column 'text'"):
        stressed(model(golden), model(golden, kind=ModelKind.TEACHER), golden.drop("text"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"perturbations": []}, "leave stress out"),
        ({"perturbations": ["case", "case"]}, "named twice"),
        ({"templates": ["tell me"]}, "once and something around it"),
        ({"templates": ["{text}"]}, "once and something around it"),
        ({"templates": ["{text} {text}"]}, "once and something around it"),
        ({"perturbations": ["rhyme"]}, "typos"),
    ],
)
def test_a_stress_that_is_none_is_refused(spec: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StressSpec.model_validate(spec)


def test_a_teacher_that_was_asked_before_is_not_asked_again_and_what_it_has_not_said_is_left_out() -> None:
    golden = world()
    student = model(golden, [], range(10))
    teacher = model(golden, [], [], ModelKind.TEACHER, can_be_asked=False)
    in_order = golden.sort("prompt_id")["text"].to_list()
    said = np.array([[0.0, 1.0] if int(text.split()[-1]) in (0, 1, 20) else [1.0, 0.0] for text in in_order])
    heard_all = stressed(student, replace(teacher, perturbed={"case": said}), golden, **CASE)
    assert (heard_all.teacher.drop, heard_all.teacher_unheard) == (pytest.approx(3 / 40), 0)
    # More: rows 2 to 9. Less: 20.
    assert (heard_all.against_teacher.hurt_more, heard_all.against_teacher.hurt_less) == (8, 1)
    assert "teacher_unheard" not in heard_all.model_dump(), "a test in which all is known is written as it was"

    silent = said.copy()
    silent[[in_order.index(f"text {row}") for row in (1, 2, 3, 30)]] = np.nan
    some = stressed(student, replace(teacher, perturbed={"case": silent}), golden, **CASE)
    assert (some.teacher.drop, some.teacher_unheard) == (pytest.approx(2 / 36), 4)
    assert (some.against_teacher.hurt_more, some.against_teacher.hurt_less) == (6, 1)
    assert some.student == heard_all.student, "of the student everything is known"
    nothing = stressed(student, replace(teacher, perturbed={"case": np.full((40, 2), np.nan)}), golden, **CASE)
    assert nothing.teacher is nothing.against_teacher is None and nothing.teacher_unheard == 40


def test_rows_that_stand_and_fall_together_prove_less_under_stress() -> None:
    """Of 60 customers with ten rows each, in the order of ids, two lose all of theirs in upper case."""
    golden = world(600)
    of_ids = golden["prompt_id"].cast(pl.Int64).to_numpy() // 10
    lost = [row for row, customer in enumerate(of_ids) if customer in (3, 40)]
    student, teacher = model(golden, [], lost), model(golden, kind=ModelKind.TEACHER)
    limited = {**CASE, "drop_at_most": 0.06, "rows_at_most": 600}
    alone = stressed(student, teacher, golden, **limited)
    whole = stressed(student, teacher, golden, groups=of_ids, **limited)
    assert [alone.test.drop, whole.test.drop] == pytest.approx([20 / 600, 20 / 600])
    assert (alone.verdict, whole.verdict, whole.test.groups) == (Verdict.PASS, Verdict.INCONCLUSIVE, 60)
    (claim,) = stress_claims([whole])
    assert claim.verdict is Verdict.INCONCLUSIVE and " on 600 rows in 60 groups; about" in claim.sentence
    assert StressResult.model_validate_json(whole.model_dump_json()) == whole

    # Of those that are asked, the first by id, only: they are in as few groups as these are.
    few = stressed(student, teacher, golden, groups=of_ids, **{**limited, "rows_at_most": 190})
    assert (few.verdict, few.test.groups, few.test.has_too_few_groups) == (Verdict.INCONCLUSIVE, 19, True)
    assert "in only 19 groups" in stress_claims([few])[0].sentence
