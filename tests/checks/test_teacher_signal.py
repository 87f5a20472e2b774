"""Whether anything may be learned from what the teacher said: both sides of each limit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import checks.teacher_signal
from checks.teacher_signal import (
    GATES,
    a_person_accepts_a_sample,
    every_prompt_was_answered,
    few_labels_look_wrong,
    the_canary_answers_as_recorded,
    the_teacher_is_right_on_labelled_rows,
)
from stillhouse.device import CPU
from stillhouse.errors import StillhouseError
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.stages.names import TEACHER_SIGNAL
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.asked import Asking, LabelPrompt
from stillhouse.teachers.teacher import NetworkTeacher
from tests.checks.hand_made import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    answer_of,
    artifact,
    ask,
    ensemble_recipe,
    language_model_recipe,
    recipe,
    said_facts,
    stored_recipe,
    teacher_facts,
)
from tests.faults.bench import Fault
from tests.faults.plants import shuffled
from tests.faults.teacher import (
    first_behind_the_canaries,
    flipped_labels,
    reviewed_with_defects,
    store_gives,
    unreviewed,
    with_logits,
)

SURE = {"A": [8.0, 0.0], "B": [0.0, 8.0], "hardly B": [0.0, 2.0]}
LABELS = ("A", "B")


def prompts(split: str, labels: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "prompt_id": [f"{split}{n}" for n in range(len(labels))],
            "text": [f"text {n}" for n in range(len(labels))],
            "split": split,
            "label": labels,
        },
        schema_overrides={"label": pl.String},
    )


def signal(asked: pl.DataFrame, answers: list[str], batch: str = "base", **frames: pl.DataFrame) -> Any:
    logits = pl.Series("logits", [SURE.get(answer) for answer in answers], dtype=pl.List(pl.Float64))
    failures = [None if answer in SURE else answer for answer in answers]
    rows = asked.select("prompt_id").with_columns(logits, pl.Series("failure", failures, dtype=pl.String))
    return artifact(
        SimpleNamespace(labels=LABELS, task=SingleLabel(LABELS)),
        {"signal": rows, **frames},
        stage="teacher_signal",
        batch=batch,
    )


def made_from(*frames: pl.DataFrame, **teacher: Any) -> dict[str, Any]:
    return {
        "prompts": artifact(frames={"prompts": pl.concat(frames)}),
        "teacher": artifact(teacher_facts(**teacher), folder=Path("/teacher")),
    }


def test_each_prompt_has_an_answer() -> None:
    rows = prompts("train", [None] * 3)
    answered = signal(rows, ["A"] * 3)
    assert answer_of(every_prompt_was_answered, answered, made_from=made_from(rows)) == (
        PASS,
        "0 of 3 prompts have no answer",
    )
    found = ask(every_prompt_was_answered, signal(rows[1:], ["A"] * 2), made_from=made_from(rows))
    assert (found.verdict, found.sentence) == (FAIL, "1 of 3 prompts have no answer")
    assert found.evidence["missing"] == [{"prompt_id": "train0", "text": "text 0"}]


def test_a_record_that_is_wrong_is_shown_in_the_words_of_its_text() -> None:
    fields = {"payee": {"kind": "verbatim"}, "due": {"kind": "verbatim", "optional": True}}
    task = Extraction(RecordSpec.model_validate({"fields": fields, "words": 8}))
    truth, said = '{"due":null,"payee":[1,1]}', '{"due":[0,1],"payee":[1,1]}'
    rows = prompts("validation", [truth] * 2)  # their texts are `text 0` and so on
    outputs = [*task.stated(task.targets(pl.Series([said])), 0.9).tolist(), None]
    signal = rows.select(
        "prompt_id",
        pl.Series("logits", outputs, dtype=pl.List(pl.Float64)),
        failure=pl.Series([None, "invented"]),
    )
    facts = SimpleNamespace(labels=task.names, task=task)
    made = artifact(facts, {"signal": signal}, stage="teacher_signal", batch="base")
    found = ask(the_teacher_is_right_on_labelled_rows, made, made_from=made_from(rows), recipe=stored_recipe())
    assert [*found.evidence["wrong"]] == [
        {"prompt_id": "validation0", "label": '{"due":null,"payee":"0"}', "answer": '{"due":"text","payee":"0"}'},
        {"prompt_id": "validation1", "label": '{"due":null,"payee":"1"}', "answer": None},
    ]


@pytest.mark.parametrize(("silent", "verdict"), [(5, PASS), (6, FAIL)])
def test_a_few_prompts_may_be_without_a_stored_answer(silent: int, verdict: object) -> None:
    rows = prompts("train", [None] * 100)
    answers = ["not in the file of answers"] * (silent - 1) + ["answered in two ways"] + ["A"] * (100 - silent)
    found = ask(every_prompt_was_answered, signal(rows, answers), made_from=made_from(rows), recipe=stored_recipe())
    assert (found.verdict, found.sentence) == (
        verdict,
        f"{silent} of 100 prompts have no answer ({silent - 1} not in the file of answers, 1 answered in two ways): "
        f"{silent}.0%, limit 5%",
    )
    assert {row["failure"] for row in found.evidence["missing"]} == set(answers) - {"A"}
    assert "`limits.unanswered_prompts_at_most`" in GATES.remedies()["every_prompt_was_answered"]
    lost = ask(every_prompt_was_answered, signal(rows[1:], answers[1:]), made_from=made_from(rows))
    assert lost.verdict is FAIL, "a prompt without a row at all is a hole, whatever the share"


def test_what_was_said_in_the_place_of_an_answer_is_evidence() -> None:
    rows = prompts("train", [None] * 2)
    said = signal(rows, ["A", "the teacher refused to answer"]).frame("signal")
    errors = artifact(frames={"signal": said.with_columns(error=pl.Series([None, "status 400, too rude"]))})
    found = ask(every_prompt_was_answered, errors, made_from=made_from(rows), recipe=stored_recipe())
    assert [row["error"] for row in found.evidence["missing"]] == ["status 400, too rude"]


def test_a_prompt_without_an_answer_counts_as_a_wrong_one() -> None:
    rows = prompts("validation", ["A"] * 10)
    found = ask(
        the_teacher_is_right_on_labelled_rows, signal(rows, ["answered in two ways"] * 3 + ["A"] * 7),
        made_from=made_from(rows), recipe=stored_recipe(),
    )  # fmt: skip
    assert found.verdict is FAIL and found.sentence.startswith("0.700 of 10 rows right")
    assert found.evidence["wrong"][0] == {"prompt_id": "validation0", "label": "A", "answer": None}


def test_what_a_stored_teacher_cannot_show_is_said() -> None:
    rows = prompts("validation", ["A", "B"])
    stored = made_from(rows, kind=TeacherKind.STORED, said=said_facts())
    asked: dict[str, Any] = {"made_from": stored, "recipe": stored_recipe()}
    answered = signal(rows, ["B", "A"])
    canary = answer_of(the_canary_answers_as_recorded, answered, **asked)
    assert canary == (PASS, f"this teacher cannot be asked again: what it said is kept, as {'f' * 12}")
    verdict, sentence = answer_of(few_labels_look_wrong, answered, **asked)
    assert verdict is PASS and sentence.startswith("the errors of a teacher that answers elsewhere")
    assert sentence.endswith("the probabilities that it may give are not used")


@pytest.mark.parametrize(("change", "verdict"), [(1e-3, PASS), (1.1e-3, FAIL)])
def test_an_answer_may_move_by_a_thousandth(monkeypatch: pytest.MonkeyPatch, change: float, verdict: object) -> None:
    def largest_change(teacher: object, asked: pl.DataFrame) -> float:
        assert isinstance(teacher, NetworkTeacher) and asked.height == 16
        assert (teacher.folder, teacher.device) == (Path("/teacher/model"), CPU)
        return change

    monkeypatch.setattr(checks.teacher_signal, "largest_change", largest_change)
    rows = prompts("train", [None] * 20)
    found = ask(the_canary_answers_as_recorded, signal(rows, ["A"] * 20), made_from=made_from(rows))
    assert found.verdict is verdict
    assert found.sentence.startswith(f"largest change of a logit over 16 prompts {change:.2g}, limit 0.001 (drawn by")
    assert len(set(found.evidence["asked"])) == 16 and len(found.evidence["key"]) == 16


@pytest.mark.parametrize(
    ("dtype", "change", "verdict"), [("bfloat16", 1.0, PASS), ("bfloat16", 1.1, FAIL), ("float32", 0.1, FAIL)]
)
def test_in_bfloat16_an_answer_may_move_further(
    monkeypatch: pytest.MonkeyPatch, dtype: str, change: float, verdict: object
) -> None:
    monkeypatch.setattr(checks.teacher_signal, "largest_change", lambda teacher, asked: change)
    rows = prompts("train", [None] * 20)
    prompt = LabelPrompt("w" * 64, "Text: {text}", [" A", " B"], dtype, 32, False)
    teacher = made_from(rows, kind=TeacherKind.CAUSAL_LM, said=said_facts(asking=prompt))
    found = ask(
        the_canary_answers_as_recorded, signal(rows, ["A"] * 20), made_from=teacher, recipe=language_model_recipe()
    )
    assert found.verdict is verdict


def test_an_old_teacher_that_the_recipe_names_no_more_is_not_asked(tmp_path: Path) -> None:
    rows = prompts("train", [None] * 20)
    asked = Asking("m", "{text}", {}, None, {}, "June")
    server = made_from(rows, kind=TeacherKind.ENDPOINT, said=said_facts(asking=asked, asked_twice=20))
    with pytest.raises(StillhouseError, match="says no more how this teacher of kind endpoint is asked"):
        ask(the_canary_answers_as_recorded, signal(rows, ["A"] * 20), made_from=server, recipe=stored_recipe())


def test_without_an_answer_there_is_no_canary() -> None:
    rows = prompts("train", [None])
    found = answer_of(the_canary_answers_as_recorded, signal(rows[:0], []), made_from=made_from(rows))
    assert found == (PASS, "this batch has no answered prompts")


def test_the_teacher_is_asked_about_validation_rows_alone() -> None:
    gate, nine = the_teacher_is_right_on_labelled_rows, recipe(teacher__minimum_accuracy=0.9)
    rows, others = prompts("validation", ["A"] * 10), prompts("train", ["B"] * 90)
    asked: dict[str, Any] = {"made_from": made_from(rows, others), "recipe": nine}
    every = pl.concat([rows, others])
    found = ask(gate, signal(every, ["B"] * 1 + ["A"] * 99), **asked)
    assert found.verdict is PASS
    assert found.sentence.startswith("0.900 of 10 rows right (0.") and found.sentence.endswith("minimum 0.900")
    assert found.evidence["wrong"] == [{"prompt_id": "validation0", "label": "A", "answer": "B"}]
    assert answer_of(gate, signal(every, ["B"] * 2 + ["A"] * 98), **asked)[0] is FAIL
    for batch, verdict in (("base", FAIL), ("later", PASS)):
        none = answer_of(gate, signal(others, ["A"] * 90, batch=batch), made_from=made_from(others))
        assert none == (verdict, "there are no labelled validation rows")


def test_labels_that_look_wrong_are_counted_where_the_teacher_did_not_train() -> None:
    gate, limit = few_labels_look_wrong, recipe(data__wrong_labels_at_most=0.1)
    known, trained = prompts("validation", ["A", "B"] * 50), prompts("train", ["A", "B"] * 50)
    rows = pl.concat([known, trained])
    right = [*["A", "B"] * 49, "A", "hardly B"]
    wrong = ["B"] * 30 + right[30:]

    def look(validation: list[str], train: list[str], batch: str = "base") -> Any:
        return ask(
            gate, signal(rows, validation + train, batch=batch), made_from=made_from(known, trained), recipe=limit
        )

    fine = look(right, wrong)
    assert fine.verdict is PASS
    assert fine.sentence.startswith("0 of 100 known labels look wrong (0.0% to 3.7%), limit 10%")
    assert look(right, wrong, batch="later").sentence.startswith("15 of 200 known labels look wrong")
    many = look(wrong, right)
    assert (many.verdict, many.sentence[:60]) == (PASS, "15 of 100 known labels look wrong (9.3% to 23.3%), limit 10%")
    more = look(["B"] * 40 + right[40:], right)
    assert (more.verdict, more.sentence[:34]) == (FAIL, "20 of 100 known labels look wrong ")
    first = many.evidence["labels"][0]
    assert (first["label"], first["answer"]) == ("A", "B") and first["text"].startswith("text ")


def test_answers_that_are_no_classes_could_not_be_looked_at() -> None:
    rows = prompts("validation", ["A", "B"])
    task = SimpleNamespace(names=("score",), targets=list, decisions=lambda logits, targets: [])
    number = artifact(SimpleNamespace(task=task), stage="teacher_signal", batch="base")
    found = answer_of(few_labels_look_wrong, number, made_from=made_from(rows))
    assert found == (INCONCLUSIVE, "confident learning needs classes, and the answers are none")


def test_a_set_looks_wrong_where_one_of_its_labels_does_or_one_is_missing() -> None:
    """The teacher is as sure of all; of three rows a label is missing, and of two another one should not be there."""
    labels = ['["a"]', '["a","b"]', "[]", '["b"]'] * 25
    known = prompts("validation", labels)
    task = MultiLabel(("a", "b"))
    said = labels.copy()
    said[0], said[4], said[8], said[1], said[5] = '["a","b"]', '["a","b"]', '["a","b"]', '["a"]', '["a"]'
    outputs = task.stated(task.targets(pl.Series(said)), 0.95)
    rows = known.select("prompt_id").with_columns(
        pl.Series("logits", outputs.tolist()), pl.lit(None, pl.String).alias("failure")
    )
    facts = SimpleNamespace(labels=task.names, task=task)
    asked = artifact(facts, {"signal": rows}, stage="teacher_signal", batch="base")
    found = ask(few_labels_look_wrong, asked, made_from=made_from(known), recipe=recipe(data__wrong_labels_at_most=0.1))
    assert found.verdict is PASS and found.sentence.startswith("5 of 100 known labels look wrong (2.2% to 11.2%)")
    assert {(row["label"], row["answer"]) for row in found.evidence["labels"]} == {
        ('["a"]', '["a","b"]'), ('["a","b"]', '["a"]'),
    }  # fmt: skip
    right = answer_of(the_teacher_is_right_on_labelled_rows, asked, made_from=made_from(known), recipe=recipe())
    assert right[1].startswith("0.950 of 100 rows right")


def test_a_row_that_no_member_has_answered_says_nothing_of_its_label() -> None:
    """Regression: the gate ended with an error that called the answers those of another model."""
    probabilities = {"kind": "stored", "training": None, "answers": {"probabilities": "scores"}}
    known = prompts("validation", ["A", "B"] * 20)
    made = signal(known, ["not in the file of answers", *["B", "A"] * 19, "B"])
    found = ask(few_labels_look_wrong, made, made_from=made_from(known), recipe=ensemble_recipe(**probabilities))
    assert found.verdict is PASS and found.sentence.startswith("0 of 39 known labels look wrong")


def test_where_no_label_is_known_none_looks_wrong() -> None:
    rows = prompts("validation", [None, "a label that the teacher does not know"])
    found = answer_of(few_labels_look_wrong, signal(rows, ["A", "A"]), made_from=made_from(rows))
    assert found == (PASS, "no label of this batch can be held against the teacher")


def test_a_person_judges_a_sample_where_the_recipe_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, review = a_person_accepts_a_sample, recipe(teacher__review={"size": 20, "defect_limit": 0.2})
    monkeypatch.setattr(checks.teacher_signal, "review_path", lambda *asked: Path("/review.csv"))
    rows = prompts("train", [None] * 3)
    sample = rows.select("prompt_id", "text").with_columns(answer=pl.lit("A"))
    looked_at = signal(rows, ["A"] * 3, review=sample)
    home = SimpleNamespace(home=None)
    assert answer_of(gate, looked_at) == (PASS, "the recipe asks for no review")
    nothing = answer_of(gate, signal(rows, ["A"] * 3, review=sample[:0]), recipe=review)
    assert nothing == (PASS, "every answer of this batch can be checked by its label")

    def unread(path: Path, drawn: pl.DataFrame) -> pl.DataFrame:
        raise StillhouseError("not judged yet", where="f", expected="e", do="d")

    monkeypatch.setattr(checks.teacher_signal, "read_review", unread)
    assert ask(gate, looked_at, recipe=review, home=home).verdict is INCONCLUSIVE
    judged = sample.with_columns(correct=pl.Series([True, False, True]), reviewer=pl.lit("r"), note=pl.lit("n"))
    monkeypatch.setattr(checks.teacher_signal, "read_review", lambda path, drawn: judged)

    def judge(reviewed: pl.DataFrame, *, defect_limit: float) -> Any:
        assert defect_limit == 0.2
        return SimpleNamespace(verdict=FAIL, sentence="too many", interval=(0.21, 0.4))

    monkeypatch.setattr(checks.teacher_signal, "judge_review", judge)
    found = ask(gate, looked_at, recipe=review, home=home)
    assert (found.verdict, found.sentence) == (FAIL, "too many")
    assert (found.observed, found.limit) == (0.4, 0.2), "the highest share that the sample allows"
    assert [row["prompt_id"] for row in found.evidence["defects"]] == ["train1"]


FAULTS = [
    Fault(
        "answers are shuffled against their prompts", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(shuffled), "largest change",
        also=("the_teacher_is_right_on_labelled_rows", "few_labels_look_wrong"),
    ),
    Fault(
        "classes are in another order", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(lambda logits: logits[:, ::-1]), "largest change",
        also=("the_teacher_is_right_on_labelled_rows", "few_labels_look_wrong"),
    ),
    Fault(
        "a class is missing from the answers", TEACHER_SIGNAL, None,
        with_logits(lambda logits: logits[:, :-1]), "answers of 5 outputs",
    ),
    Fault(
        "the teacher changed in silence", TEACHER_SIGNAL, "the_canary_answers_as_recorded",
        with_logits(lambda logits: logits + np.float32(0.01)), "limit 0.001",
    ),
    Fault(
        "a prompt was skipped", TEACHER_SIGNAL, "every_prompt_was_answered", store_gives(lambda frame: frame[:-1]),
        "1 of",
    ),
    Fault(
        "an answer has lost its prompt", TEACHER_SIGNAL, "every_prompt_was_answered",
        first_behind_the_canaries("prompt_id", None), "1 of", also=("every_answer_has_its_prompt",),
    ),
    Fault(
        "a tenth of the labels is wrong", TEACHER_SIGNAL, "few_labels_look_wrong", flipped_labels(0.1),
        "known labels look wrong",
    ),
    Fault(
        "nobody has reviewed the sample", TEACHER_SIGNAL, "a_person_accepts_a_sample", unreviewed, "correct is empty",
        state="inconclusive",
    ),
    Fault(
        "half of the reviewed answers are wrong", TEACHER_SIGNAL, "a_person_accepts_a_sample", reviewed_with_defects,
        "so the limit is broken",
    ),
]  # fmt: skip
