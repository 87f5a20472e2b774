"""A field of records is judged by itself: its own rows are right, and it shares an error rate with critical slices."""

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.against_champion import Answers, compare_with_champion
from stillhouse.evaluation.claims import Claim, ClaimKind
from stillhouse.evaluation.data_requests import data_requests
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.planning import plan
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.evaluation.slices.declared import slice_masks
from stillhouse.evaluation.slices.slice_gap import slice_gap
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
from stillhouse.recipe.plays import undecided
from stillhouse.recipe.record import RecordSpec
from stillhouse.report.document import report_html
from stillhouse.statistics.accuracy_test import paired_non_inferiority, rows_needed_for
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.evaluation.conftest import make_golden, prompt_id
from tests.stillhouse.evaluation.test_against_champion import RIVAL

ROWS = 1200
LOST = range(0, ROWS, 25)
"""48 of them, on both sides of the slice."""
FIELDS = {"due": {"kind": "verbatim", "words_at_most": 1}, "unit": {"kind": "choice", "of": ["EUR", "USD"]}}
TASK = Extraction(RecordSpec.model_validate({"words": 4, "fields": FIELDS}))
APP = SliceSpec(name="app", column="channel", values=("app",), critical=True, margin=0.1)
BUDGET = BudgetSpec(size_ratio_at_least=2)
BINDS, REPORTED = {"critical": True}, {"critical": False}


def records(due: Collection[int] = (), unit: Collection[int] = (), rows: int = ROWS) -> pl.Series:
    """Records that are right but in the rows given, field by field."""
    return pl.Series(
        [
            json.dumps({"due": [row % 3 + (row in due), 1], "unit": "USD" if row in unit else "EUR"}).replace(" ", "")
            for row in range(rows)
        ]
    )


def golden(rows: int = ROWS) -> pl.DataFrame:
    return make_golden(rows).with_columns(records(rows=rows).alias("label"))


def model(kind: ModelKind, said: pl.Series) -> EvaluatedModel:
    logits = TASK.stated(TASK.targets(said), 0.99)
    ids = [prompt_id(row) for row in range(len(said))]
    size = 400_000_000 if kind is ModelKind.TEACHER else 10_000_000
    return EvaluatedModel(kind.value, kind, pl.DataFrame({"prompt_id": ids, "logits": logits.tolist()}), size)


def judged(
    said: pl.Series,
    taught: pl.Series | None = None,
    *,
    slices: tuple[SliceSpec, ...] = (APP,),
    groups: str | None = None,
    rows: pl.DataFrame | None = None,
    **bar: Any,
) -> Evaluation:
    return evaluate(
        model(ModelKind.STUDENT, said),
        model(ModelKind.TEACHER, records(rows=len(said)) if taught is None else taught),
        golden(len(said)) if rows is None else rows,
        Terms(bar=BarSpec.model_validate({"margin": 0.1, **bar}), budget=BUDGET, slices=slices),
        task=TASK,
        groups=groups,
    )


def claim(evaluation: Evaluation, name: str) -> Claim:
    return next(each for each in evaluation.claims if each.name == name)


def test_a_critical_field_that_is_lost_fails_a_student_whose_records_hold_and_one_that_holds_passes() -> None:
    """48 of 1,200 units are lost: of whole records and of the unit a drop of 4 points, of the other field none."""
    fields = {"unit": {**BINDS, "margin": 0.02}, "due": {**BINDS, "margin": 0.02, "floor": 0.98}}
    found = judged(records(unit=LOST), fields=fields)
    assert found.verdict is Verdict.FAIL and found.non_inferiority.verdict is Verdict.PASS
    assert [each.name for each in found.open_claims] == ["field/unit"]
    lost = claim(found, "field/unit")
    assert (lost.kind, lost.subject, lost.group, lost.binding) == (ClaimKind.FIELD, "unit", "slices", True)
    assert lost.sentence.startswith("accuracy of 'unit' not within 2.0 points of the teacher: drop 4.0")
    assert found.summary.startswith("student misses the bar: accuracy of 'unit' not within")
    assert claim(found, "field/due").verdict is claim(found, "field_floor/due").verdict is Verdict.PASS
    holds = judged(records(due=LOST), fields={"unit": fields["unit"]})
    assert holds.verdict is Verdict.PASS and smallest_that_clears([holds]).winner == "student"


def test_a_floor_of_a_field_is_asked_whatever_the_teacher_does() -> None:
    wrong = records(unit=range(120))
    found = judged(wrong, wrong, slices=(), fields={"unit": {**BINDS, "floor": 0.95}})
    assert claim(found, "field/unit").verdict is Verdict.PASS
    assert (
        claim(found, "field_floor/unit").sentence
        == "accuracy of 'unit' is under the floor of 95.0%: 90.0% on 1,200 rows"
    )
    assert found.verdict is Verdict.FAIL


def test_a_field_that_is_not_critical_is_reported_only() -> None:
    found = judged(records(unit=LOST), slices=(), fields={"unit": {**REPORTED, "margin": 0.02}})
    assert claim(found, "field/unit").verdict is Verdict.FAIL and found.verdict is Verdict.PASS
    assert undecided(found.terms) == [
        "the field unit is not critical: give it `critical: true`, or leave it out"
    ]  # fmt: skip


def test_too_few_rows_are_no_pass_of_a_field() -> None:
    found = judged(records(rows=60), slices=(), fields={"unit": {**BINDS, "margin": 0.02}})
    assert claim(found, "field/unit").verdict is Verdict.INCONCLUSIVE and found.verdict is Verdict.INCONCLUSIVE
    (asked,) = data_requests(found, {})
    assert (asked.name, asked.is_field, asked.rows) == ("unit", True, 60)
    assert asked.sentence == (
        f"the field 'unit' cannot be judged by 60 rows: {asked.rows_needed} more rows are needed that people labelled, "
        "to judge by"
    )


def test_fields_and_slices_that_bind_share_one_error_rate_and_the_field_s_test_is_the_paired_one() -> None:
    taught, said = records(unit=range(30)), records(unit=range(20, 60))
    fields = {"unit": {**BINDS, "margin": 0.02}, "due": BINDS}
    found = judged(said, taught, fields=fields)
    app, due, unit = found.slices
    assert [(each.name, each.is_field, each.rows) for each in found.slices] == [
        ("app", False, 600), ("due", True, ROWS), ("unit", True, ROWS),
    ]  # fmt: skip
    levels = sorted(each.non_inferiority.alpha for each in found.slices if each.non_inferiority)
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    assert unit.teacher_accuracy == pytest.approx(1 - 30 / ROWS) and unit.student_accuracy == pytest.approx(
        1 - 40 / ROWS
    )
    rows = np.arange(ROWS)
    expected = paired_non_inferiority(rows >= 30, (rows < 20) | (rows >= 60), margin=0.02, alpha=0.05)
    assert unit.non_inferiority == expected, "the last of three by Holm"
    assert app.student_accuracy == pytest.approx(1 - 40 / 600) and due.student_accuracy == 1.0


def test_rows_of_a_group_stand_together_in_a_field_too() -> None:
    rows = golden(400).with_columns(customer=pl.int_range(400) // 20)
    wrong = records(unit=range(20), rows=400)
    by_group = judged(wrong, rows=rows, groups="customer", slices=(), fields={"unit": BINDS, "due": BINDS})
    lost = {each.name: each.non_inferiority_verdict for each in by_group.slices}
    assert lost == {"unit": Verdict.INCONCLUSIVE, "due": Verdict.INCONCLUSIVE}, "20 groups prove no 10 points"
    alone = judged(wrong, slices=(), fields={"unit": BINDS, "due": BINDS})
    assert {each.non_inferiority_verdict for each in alone.slices} == {Verdict.PASS}


def test_the_gap_is_between_slices_and_not_between_fields() -> None:
    phone = APP.model_copy(update={"name": "phone", "values": ("phone",)})
    slices = judged(records(), slices=(APP, phone), fields={"unit": BINDS}).slices
    masks, right = slice_masks(golden(), (APP, phone)), np.arange(ROWS) >= 30
    alone = [each for each in slices if not each.is_field]
    assert len(alone) == 2 < len(slices)
    assert slice_gap(slices, masks, right, limit=0.1) == slice_gap(alone, masks, right, limit=0.1)


RARE = Extraction(
    RecordSpec.model_validate({"words": 4, "fields": {**FIELDS, "due": {**FIELDS["due"], "optional": True}}})
)


def rare(found: Collection[int] = (), invented: Collection[int] = (), rows: int = ROWS) -> pl.Series:
    """Records in which one row in twenty has a date, that is found in these rows; and which invent one in others."""
    dates = [row in found or row in invented for row in range(rows)]
    return pl.Series([f'{{"due":{"[1,1]" if there else "null"},"unit":"EUR"}}' for there in dates])


DATED = range(0, ROWS, 20)


def judged_on_dates(said: pl.Series, truth: pl.Series, taught: pl.Series, **due: Any) -> Evaluation:
    def of(kind: ModelKind, answers: pl.Series) -> EvaluatedModel:
        outputs = RARE.stated(RARE.targets(answers), 0.99).tolist()
        return replace(model(kind, records()), outputs=pl.DataFrame({"prompt_id": IDS, "logits": outputs}))

    terms = Terms(bar=BarSpec.model_validate({"margin": 0.1, "fields": {"due": {**BINDS, **due}}}), budget=BUDGET)
    rows = golden().with_columns(truth.alias("label"))
    return evaluate(of(ModelKind.STUDENT, said), of(ModelKind.TEACHER, taught), rows, terms, task=RARE)


IDS = [prompt_id(row) for row in range(ROWS)]


def test_a_field_that_no_row_has_proves_nothing() -> None:
    """Regression: a field without a value in any golden row held every floor, with 100 % of the rows right."""
    found = judged_on_dates(rare(), rare(), rare(), floor=0.9)
    assert [(each.rows, each.verdict) for each in found.slices] == [(0, Verdict.INCONCLUSIVE)]
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_field_that_few_rows_have_is_judged_on_those_and_not_by_leaving_it_out() -> None:
    """Regression: who never answered a field that one row in twenty has was right in 95 % of all rows."""
    never = judged_on_dates(rare(), rare(DATED), rare(DATED), floor=0.9)
    assert (never.slices[0].rows, never.slices[0].student_accuracy) == (len(DATED), 0.0)
    assert never.slices[0].verdict is never.verdict is Verdict.FAIL and never.non_inferiority.verdict is Verdict.PASS
    always = judged_on_dates(rare(DATED), rare(DATED), rare(DATED), floor=0.9)
    assert always.slices[0].rows == len(DATED) and always.verdict is Verdict.PASS


def test_a_value_that_is_invented_counts_whoever_invents_it() -> None:
    others = range(1, ROWS, 40)
    found = judged_on_dates(rare(DATED, others), rare(DATED), rare(DATED), floor=0.9)
    assert found.slices[0].rows == len(DATED) + len(others)
    assert found.slices[0].student_accuracy == len(DATED) / (len(DATED) + len(others))
    assert found.slices[0].verdict is Verdict.FAIL
    taught = judged_on_dates(rare(DATED), rare(DATED), rare(DATED, others))
    assert taught.slices[0].teacher_accuracy == len(DATED) / (len(DATED) + len(others)) < 1.0
    assert taught.slices[0].student_accuracy == 1.0


def test_a_plan_counts_the_rows_that_have_the_field() -> None:
    rows = golden().with_columns(rare(DATED).alias("label"))
    bar = BarSpec.model_validate({"margin": 0.1, "fields": {"due": BINDS, "unit": BINDS}})
    assert {each.name: each.rows for each in plan(rows, bar, ()).claims} == {
        "all golden rows": ROWS, "field due": len(DATED), "field unit": ROWS,
    }  # fmt: skip


def test_a_challenger_that_loses_a_critical_field_of_the_champion_is_held_back() -> None:
    def answers(said: pl.Series) -> Answers:
        return Answers(TASK.stated(TASK.targets(said), 0.99), TASK.names)

    def met(**fields: Any) -> Any:
        terms = Terms(bar=BarSpec.model_validate({"margin": 0.1, "fields": fields}), budget=BUDGET)
        right, worse = answers(records()), answers(records(unit=LOST))
        return compare_with_champion(RIVAL, right, worse, golden(), terms, task=TASK)

    lost = met(unit={**BINDS, "margin": 0.02, "floor": 0.999})
    assert lost.verdict is Verdict.FAIL and [each.name for each in lost.claims] == ["champion", "champion_field/unit"]
    assert lost.sentence.startswith("accuracy of 'unit' not within 2.0 points of the champion")
    assert met(due={**BINDS, "margin": 0.02}, unit=REPORTED).verdict is Verdict.PASS


def test_a_plan_says_of_a_field_how_many_rows_it_needs_beside_the_critical_slices() -> None:
    bar = BarSpec.model_validate({"margin": 0.1, "fields": {"unit": {**BINDS, "margin": 0.02}, "due": REPORTED}})
    planned = {each.name: each for each in plan(golden(300), bar, [APP], discordance=0.05).claims}
    unit, app, due = planned["field unit"], planned["app"], planned["field due"]
    assert (unit.rows, unit.rows_needed, unit.binding) == (300, rows_needed_for(0.02, 0.05, 0.025), True)
    assert (app.alpha, unit.alpha, due.alpha, due.binding) == (0.025, 0.025, 0.05, False)


def test_the_page_has_fields_among_the_slices() -> None:
    page = report_html(judged(records(unit=LOST), fields={"unit": {**BINDS, "margin": 0.02}}))
    assert "field unit <small>critical</small>" in page and "Critical slices and fields bind" in page
    assert "fields bind" not in report_html(judged(records()))


@pytest.mark.parametrize(
    ("task", "says"), [(TASK, "bar.fields.total: .*expected one of due, unit"), (SingleLabel(("a", "b")), "no records")]
)
def test_a_field_that_answers_do_not_have_is_refused(task: Any, says: str) -> None:
    terms = Terms(bar=BarSpec.model_validate({"margin": 0.1, "fields": {"total": BINDS}}), budget=BUDGET)
    said = records()
    with pytest.raises(StillhouseError, match=says):
        evaluate(model(ModelKind.STUDENT, said), model(ModelKind.TEACHER, said), golden(), terms, task=task)


def test_a_bar_without_fields_is_written_as_it_was() -> None:
    assert "fields" not in BarSpec(margin=0.1).model_dump(mode="json")
    slices = judged(records()).model_dump(mode="json")["slices"]
    assert "is_field" not in slices[0]
