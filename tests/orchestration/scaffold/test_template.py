"""What the text of a new recipe says: every value as it was given, whatever YAML makes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from checks.contract import a_pain_is_declared, licences_are_named, terms_allow_training_on_outputs
from checks.gate import Gate
from orchestration.scaffold.open_questions import AnsweredQuestions
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.suggestions import Suggestion
from orchestration.scaffold.template import recipe_text
from orchestration.scaffold.weights import Weights
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import parse_recipe
from stillhouse.recipe.teacher import TeacherKind
from tests.checks.hand_made import FAIL, PASS, answer_of

VALUES = {
    "task": "Give a text the right one of its labels.", "owner": "team:mine", "data": "rows.csv", "text": "body",
    "label": "queue", "key": "mine",
}  # fmt: skip
SUGGESTED = Suggestion(
    golden_share=0.3, validation_share=0.1, golden_rows=30, metric="accuracy", margin=0.04, provable=0.02,
    majority_share=0.25, minimum_accuracy=0.5, slices=(), classes=2, thin_classes=(),
    labels_a_class=17.0,
)  # fmt: skip

SIZES = {"num_hidden_layers": 6, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 1536}
ENCODER = Weights(
    "models/theirs", "of 2026", "0" * 64, Path("theirs"), TeacherKind.ENCODER, {"model_type": "bert", **SIZES}, "MIT"
)


def written_text(values: dict[str, str | float], **changes: Any) -> str:
    known: dict[str, Any] = {
        "answers": AnsweredQuestions(), "suggested": SUGGESTED, "max_tokens": 64, "seen": ["all of 100 rows are used"],
        "rows": 100, "labels": ["a", "b"], "cut_from": ENCODER,
    }  # fmt: skip
    return recipe_text(values, [], **{**known, **changes})


ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("a: b.csv", "no", "[red] #3")
@example("two\nlines.csv", "1e3", "'\"$key ${text}")
@example("\x00\x1b[2J.csv", "\u2028", "---\nx: 1")
def test_each_value_reads_back_as_it_was_given(data: str, text: str, label: str) -> None:
    written = written_text({**VALUES, "data": data, "text": text, "label": label})
    found = parse_recipe(written.encode(), Path("/nowhere/mine/defs.yaml")).recipe.data
    assert Path(found.source).name == Path(data).name and (found.text, found.label) == (text, label)


def parsed(text: str) -> Recipe:
    return parse_recipe(text.encode(), Path("/nowhere/mine/defs.yaml")).recipe


@pytest.mark.parametrize(
    ("gate", "answers"),
    [
        (a_pain_is_declared, AnsweredQuestions(pain=("latency",))),
        (licences_are_named, AnsweredQuestions(licence="our own: #1")),
        (terms_allow_training_on_outputs, AnsweredQuestions(outputs_may_train=True)),
    ],
)
def test_what_only_a_person_can_say_stays_open_and_its_gate_asks(gate: Gate, answers: AnsweredQuestions) -> None:
    assert answer_of(gate, recipe=parsed(written_text(VALUES)))[0] is FAIL
    assert answer_of(gate, recipe=parsed(written_text(VALUES, answers=answers)))[0] is PASS
    assert len(AnsweredQuestions().open) == 3 and len(answers.open) == 2


def test_what_is_open_is_marked_with_its_question() -> None:
    lines = written_text(VALUES).splitlines()
    marked = [line for line in lines if "# OPEN: " in line]
    assert [line.split(":")[0].strip() for line in marked] == ["pain", "training_on_outputs", "licence"]


def test_slices_and_numbers_that_follow_from_the_rows_are_written() -> None:
    spec = SliceSpec(name="a or #b", column="label", values=("a: 1", "#b"), critical=False)
    made = SUGGESTED.__class__(**{**vars(SUGGESTED), "slices": (spec,), "metric": "macro_f1", "margin": 0.055})
    recipe = parsed(written_text(VALUES, suggested=made))
    assert (recipe.slices, recipe.bar.metric, recipe.bar.margin) == ((spec,), "macro_f1", 0.055)
    assert recipe.kept_columns == (), "a slice of classes asks for no further column"
    assert recipe.shortest_reading == recipe.teacher.training.max_tokens == 64


def test_with_few_labels_a_contrast_is_suggested_that_can_be_taken_as_it_is_written() -> None:
    few = replace(SUGGESTED, labels_a_class=8.4)
    lines = written_text(VALUES, suggested=few).splitlines()
    (at,) = (number for number, line in enumerate(lines) if "contrast_weight" in line)
    assert "About 8 labels of a class" in lines[at - 3] and lines[at - 4].lstrip().startswith("training: ")
    as_written = parsed("\n".join(lines)).teacher.training
    assert as_written.contrast_weight == 0, "it is suggested and not set"
    taken = [*lines[: at - 4], lines[at].replace("# ", "", 1), *lines[at + 1 :]]
    assert parsed("\n".join(taken)).teacher.training == as_written.model_copy(update={"contrast_weight": 1.0})


@pytest.mark.parametrize("labels_a_class", [16.1, 155.0, 0.0])
def test_with_more_labels_or_none_no_contrast_is_suggested(labels_a_class: float) -> None:
    assert "contrast" not in written_text(VALUES, suggested=replace(SUGGESTED, labels_a_class=labels_a_class))


def test_who_is_not_trained_here_is_suggested_no_contrast() -> None:
    few = replace(SUGGESTED, labels_a_class=8.0)
    assert "contrast" in written_text(VALUES, suggested=few)
    assert "contrast" not in written_text(VALUES, suggested=few, stored="answers.csv")
    assert "contrast" not in written_text(VALUES, suggested=few, taught=False, golden="golden.csv", stored="a.csv")


def test_each_student_has_a_control_of_its_shape() -> None:
    students = parsed(written_text(VALUES)).students
    shapes = {
        learns: {(each.layers, each.feed_forward) for each in students if each.learns_from == learns}
        for learns in ("teacher", "labels")
    }
    assert shapes["teacher"] == shapes["labels"] and len(shapes["teacher"]) == 2


AMOUNTS = {25.0: "25", 0.2: "0.2", 1e-7: "0.0000001", 0.0: "0", 100.0: "100"}


@pytest.mark.parametrize(("usd", "written"), AMOUNTS.items())
def test_an_amount_is_written_as_a_number_that_yaml_reads(usd: float, written: str) -> None:
    server = TeacherServer("http://127.0.0.1:9/v1", "large", usd, usd, usd_at_most=usd or 1)
    text = written_text(VALUES, server=server, answers=AnsweredQuestions(teacher_may_see=("internal",)))
    assert f"usd_per_million_in: {written}\n" in text
    recipe = parsed(text)
    budget, endpoint = recipe.budget, recipe.teacher.endpoint
    assert (budget.latency_ms_at_most, budget.size_mb_at_most) == (80, 100), "of twice the width"
    assert endpoint is not None and endpoint.usd_per_million_out == usd
