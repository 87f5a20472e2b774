"""What the gates of a cascade find, on a student, a teacher and rows made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from checks.cascade import (
    cascades_are_judged_within_the_limit,
    the_cascade_holds_every_critical_slice,
    the_cascade_holds_its_margin,
    the_cascade_is_of_what_ships,
    the_teacher_is_asked_within_its_share,
    the_threshold_was_found_by_other_rows,
)
from stillhouse.evaluation.harness import evaluate, write_evaluations
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.golden_set_usage import log_golden_read
from stillhouse.records.ledger import Ledger
from stillhouse.release.cascade import CASCADE as FILE
from stillhouse.release.cascade import Cascade, Rule, TeacherOnCall
from stillhouse.stages.cascade import GOLDEN, ROWS, CascadeFacts, terms_of
from stillhouse.stages.names import CASCADE, RELEASE
from stillhouse.statistics.fixed_sequence import cascade_threshold
from stillhouse.tasks.single_label import SingleLabel
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, measured, recipe
from tests.faults.bench import Fault
from tests.faults.cascade import (
    BOTH,
    CRITICAL,
    answers_of_another_class,
    golden_rows_as_validation,
    judged_twice,
    made,
    of_another_teacher,
    with_a_cascade,
)

TASK = SingleLabel(("a", "b"))
SLICES = [{"name": "by_post", "column": "channel", "values": ["post"], "critical": True, "margin": 0.1}]
ASKED = recipe(
    slices=SLICES, bar={"margin": 0.05}, behaviour=[], stress=None,
    cascade={"margin": 0.02, "share_at_most": 0.3, "delta": 0.1},
)  # fmt: skip
GOLDEN_ROWS, CALIBRATING = 1000, 500


def rows(number: int, prefix: str, *, lost: int = 0) -> pl.DataFrame:
    """Rows of which the student has lost the first few, and of which a fifth goes to the teacher."""
    student = np.arange(number) >= lost
    to_teacher = np.arange(number) % 5 == 4
    return pl.DataFrame(
        {
            "prompt_id": [f"{prefix}{n:04}" for n in range(number)],
            "answer": "a",
            "confidence": np.where(to_teacher, 0.001, 0.9),
            "student_right": student,
            "teacher_right": True,
            "protected": False,
            "to_teacher": to_teacher,
        }
    )


def looked_at(
    folder: Path, *, asked: Recipe = ASKED, lost: int = 0, lost_of_post: int = 0, facts: dict[str, Any] | None = None
) -> Any:
    """A cascade that loses some golden rows, and some of those by post."""
    calibrating, golden = rows(CALIBRATING, "v"), rows(GOLDEN_ROWS, "g", lost=lost)
    found = cascade_threshold(
        calibrating["confidence"].to_numpy(), np.ones(CALIBRATING, bool), np.ones(CALIBRATING, bool),
        margin=0.02, delta=0.1,
    )  # fmt: skip
    teacher = TeacherOnCall(
        kind=TeacherKind.ENCODER, artifact="teacher", fingerprint="f", answer="single_label", labels=TASK.names,
        temperature=1.0, accuracy=None, asking=None,
    )  # fmt: skip
    rule = Rule(threshold=found, protected=())
    cascade = Cascade(rule=rule, golden_share=0.2, teacher=teacher)
    (folder / FILE).write_text(cascade.model_dump_json())
    by_post = np.arange(GOLDEN_ROWS) >= GOLDEN_ROWS - 200
    wrong = (np.arange(GOLDEN_ROWS) < lost) | (np.arange(GOLDEN_ROWS) >= GOLDEN_ROWS - lost_of_post)
    channel = pl.Series("channel", np.where(by_post, "post", "app"))
    judges = golden.select("prompt_id", pl.col("prompt_id").alias("text"), pl.lit("a").alias("label"), channel)

    def model(name: str, kind: ModelKind, mistakes: Any) -> EvaluatedModel:
        logits = [[0.0, 3.0] if each else [3.0, 0.0] for each in mistakes]
        return EvaluatedModel(name, kind, dict(zip(judges["prompt_id"], logits, strict=True)), 1000)

    judged = evaluate(
        model("both", ModelKind.STUDENT, wrong), model("teacher", ModelKind.TEACHER, [False] * GOLDEN_ROWS),
        judges, terms_of(asked, rule), task=TASK,
    )  # fmt: skip
    write_evaluations(folder, [judged])
    known = {
        "student": "one", "export": "export", "threshold": found.threshold, "calibration_rows": CALIBRATING,
        "unanswered_rows": 0, "calibration_share": 0.2, "golden_rows": GOLDEN_ROWS, "golden_to_teacher": 200,
        "protected": (), "failing": (), "teacher_usd_per_1000_calls": 1.0, "cascade_usd_per_1000_calls": 0.3,
    }  # fmt: skip
    frames = {ROWS: calibrating, GOLDEN: golden}
    return artifact(CascadeFacts(**{**known, **(facts or {})}), frames, stage="cascade", batch=None, folder=folder)


@pytest.mark.parametrize(("lost", "verdict"), [(0, PASS), (5, PASS), (15, INCONCLUSIVE), (60, FAIL)])
def test_the_margin_is_shown_by_golden_rows(tmp_path: Path, lost: int, verdict: object) -> None:
    found, sentence = answer_of(the_cascade_holds_its_margin, looked_at(tmp_path, lost=lost), recipe=ASKED)
    assert found is verdict and "within 2.0 points of the teacher" in sentence
    assert measured(the_cascade_holds_its_margin, looked_at(tmp_path, lost=lost), recipe=ASKED) == (
        pytest.approx(lost / GOLDEN_ROWS), 0.02,
    )  # fmt: skip


@pytest.mark.parametrize(("lost", "verdict"), [(0, PASS), (16, INCONCLUSIVE), (80, FAIL)])
def test_a_critical_slice_holds_its_own_margin(tmp_path: Path, lost: int, verdict: object) -> None:
    found, sentence = answer_of(
        the_cascade_holds_every_critical_slice, looked_at(tmp_path, lost_of_post=lost), recipe=ASKED
    )  # fmt: skip
    assert found is verdict and "accuracy on 'by_post'" in sentence and "10.0 points of the teacher" in sentence


def test_a_critical_slice_that_fails_and_that_nobody_can_tell_closes_its_gate(tmp_path: Path) -> None:
    found, sentence = answer_of(
        the_cascade_holds_every_critical_slice, looked_at(tmp_path, facts={"failing": ("by_post",)}), recipe=ASKED
    )
    assert found is FAIL and "no server can tell" in sentence and "cascade.request_columns" in sentence
    free = ASKED.model_copy(update={"slices": (ASKED.slices[0].model_copy(update={"critical": False}),)})
    other = looked_at(tmp_path, asked=free, facts={"failing": ("by_post",), "protected": ("others",)})
    assert answer_of(the_cascade_holds_every_critical_slice, other, recipe=free) == (
        PASS, "no critical slice is the student's; always the teacher: others",
    )  # fmt: skip


@pytest.mark.parametrize(("asked", "verdict"), [(300, PASS), (301, INCONCLUSIVE), (400, FAIL)])
def test_the_teacher_answers_no_more_than_was_allowed(tmp_path: Path, asked: int, verdict: object) -> None:
    looked = looked_at(tmp_path, facts={"golden_to_teacher": asked})
    found, sentence = answer_of(the_teacher_is_asked_within_its_share, looked, recipe=ASKED)
    assert found is verdict
    assert "at most 30.0% allowed; 1,000 calls cost 0.3" in sentence and "with the teacher alone" in sentence


def test_without_a_threshold_the_teacher_answers_always_and_that_is_too_much(tmp_path: Path) -> None:
    looked = looked_at(tmp_path, facts={"golden_to_teacher": GOLDEN_ROWS, "threshold": None})
    found, sentence = answer_of(the_teacher_is_asked_within_its_share, looked, recipe=ASKED)
    assert found is FAIL and "no threshold was proven by 500 rows" in sentence


def validation(ids: list[str]) -> Any:
    prompts = pl.DataFrame({"prompt_id": ids, "split": "validation"})
    return artifact(None, {"prompts": prompts})


def test_the_rows_that_calibrated_are_validation_rows_and_give_the_threshold_again(tmp_path: Path) -> None:
    gate, looked = the_threshold_was_found_by_other_rows, looked_at(tmp_path)
    ids = looked.frame(ROWS)["prompt_id"].to_list()
    made_from = {"prompts": validation(ids)}
    found, sentence = answer_of(gate, looked, recipe=ASKED, made_from=made_from)
    assert found is PASS and sentence.startswith("500 validation rows give 0.")
    found, sentence = answer_of(gate, looked, recipe=ASKED, made_from={"prompts": validation(ids[7:])})
    assert (found, sentence) == (FAIL, "7 of 500 rows are not validation rows, or a row counts twice")
    wider = recipe(**{"slices": SLICES, "cascade": {"margin": 0.02, "delta": 0.00001}})
    assert answer_of(gate, looked, recipe=wider, made_from=made_from)[0] is FAIL, "another delta, another threshold"


def test_of_a_protected_row_no_confidence_counts(tmp_path: Path) -> None:
    looked = looked_at(tmp_path)
    sure = looked.frame(ROWS).with_columns(
        protected="to_teacher", confidence=pl.when("to_teacher").then(0.99).otherwise("confidence"),
        student_right=~pl.col("to_teacher"),
    )  # fmt: skip
    frames = {ROWS: sure, GOLDEN: looked.frame(GOLDEN)}
    other = artifact(looked.facts(None), frames, stage="cascade", batch=None, folder=tmp_path)
    made_from = {"prompts": validation(sure["prompt_id"].to_list())}
    assert answer_of(the_threshold_was_found_by_other_rows, other, recipe=ASKED, made_from=made_from)[0] is PASS


def test_student_and_teacher_are_those_that_ship(tmp_path: Path) -> None:
    gate, looked = the_cascade_is_of_what_ships, looked_at(tmp_path)
    ships = {"exports/one": SimpleNamespace(digest="export"), "teacher": SimpleNamespace(digest="teacher")}
    assert answer_of(gate, looked, recipe=ASKED, made_from=ships) == (PASS, "one and its teacher")
    for stage, what in (("exports/one", "student"), ("teacher", "teacher")):
        other = {**ships, stage: SimpleNamespace(digest="another")}
        assert answer_of(gate, looked, recipe=ASKED, made_from=other) == (FAIL, f"not those that ship: {what}")
    miscounted = looked_at(tmp_path, facts={"golden_to_teacher": 199})
    assert answer_of(gate, miscounted, recipe=ASKED, made_from=ships) == (FAIL, "not those that ship: golden rows")


def test_cascades_are_counted_against_the_limit_of_rounds_by_themselves(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    prompts = artifact(SimpleNamespace(golden_digest="g" * 64), config={"split": {"key": "k"}})
    asked: dict[str, Any] = {"made_from": {"prompts": prompts}, "ledger": ledger}
    looked = artifact(stage="cascade", batch=None)
    one = recipe(split__golden_rounds_at_most=1)
    for number, reader in enumerate(("evaluation", "evaluation", "cascade")):
        log_golden_read(ledger, "small", golden="g" * 64, split_key="k", reader=reader, run_id=f"run {number}")
    assert answer_of(cascades_are_judged_within_the_limit, looked, recipe=one, **asked)[0] is PASS
    log_golden_read(ledger, "small", golden="g" * 64, split_key="k", reader="cascade", run_id="run 3")
    verdict, sentence = answer_of(cascades_are_judged_within_the_limit, looked, recipe=one, **asked)
    assert verdict is FAIL and sentence.startswith("2 of at most 1 rounds judged by golden rows of key 'k': ")
    assert answer_of(cascades_are_judged_within_the_limit, looked, **asked) == (PASS, "the recipe sets no limit")


FAULTS = [
    Fault(
        "a cascade that gives other answers than student and teacher", CASCADE, "the_cascade_holds_its_margin",
        made("Both.outputs", answers_of_another_class), "not within 5.0 points of the teacher", refuses=RELEASE,
    ),
    Fault(
        "a critical slice on which the student fails, and that no caller names", CASCADE,
        "the_cascade_holds_every_critical_slice",
        made("_failing_slices", lambda real: lambda *_: ["people"], slices=CRITICAL),
        "the student fails on people, and no server can tell",
    ),
    Fault(
        "a cascade in which the teacher answers more than was allowed", CASCADE,
        "the_teacher_is_asked_within_its_share",
        lambda bench: with_a_cascade(bench, {**BOTH, "share_at_most": 0.001}), "at most 0.1% allowed",
    ),
    Fault(
        "a threshold that golden rows have found", CASCADE, "the_threshold_was_found_by_other_rows",
        made("labelled_rows", golden_rows_as_validation), "rows are not validation rows",
    ),
    Fault(
        "golden rows for one round judge a second cascade", CASCADE, "cascades_are_judged_within_the_limit",
        judged_twice, "2 of at most 1 rounds judged by golden rows of key 'small'",
    ),
    Fault(
        "a threshold of another teacher", CASCADE, "the_cascade_is_of_what_ships",
        made("_on_call", of_another_teacher), "not those that ship: teacher",
    ),
]  # fmt: skip
