"""A bar on F1 over the values of fields: what it decides, what goes on counting whole records, where it is shown."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.against_champion import Answers, compare_with_champion
from stillhouse.evaluation.harness import evaluate, scores_of
from stillhouse.evaluation.measures.bar_metric import bar_metric_of, bar_metric_test
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.planning import plan
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.recipe.bar import BarSpec, Terms
from stillhouse.recipe.record import RecordSpec
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json
from tests.stillhouse.evaluation.test_against_champion import RIVAL
from tests.stillhouse.evaluation.test_fields import (
    BUDGET,
    DATED,
    IDS,
    LOST,
    RARE,
    ROWS,
    TASK,
    claim,
    golden,
    judged,
    model,
    rare,
    records,
)

F1: dict[str, Any] = {"metric": "field_f1", "margin": 0.03}


def test_a_student_that_loses_one_field_of_two_loses_half_as_much_of_field_f1() -> None:
    """48 of 1,200 units are lost: 48 whole records, which is 4 points, and 48 of 2,400 values, which is 2."""
    of_records = judged(records(unit=LOST), slices=(), margin=0.03)
    of_values = judged(records(unit=LOST), slices=(), **F1)
    assert of_records.verdict is Verdict.FAIL and of_values.verdict is Verdict.PASS
    assert of_values.claims[0].sentence.startswith("field F1 within 3.0 points of the teacher: drop 2.0, 95% bound")
    test = of_values.metric_test
    assert test is not None and of_values.of_fields is not None
    assert (test.metric, test.rows, test.rows_that_count, test.groups) == ("field_f1", ROWS, ROWS, None)
    assert test.student == of_values.of_fields.micro_f1 == of_values.score.of_bar == pytest.approx(1 - 48 / 2400)
    assert test.teacher == of_values.teacher.of_bar == 1.0
    assert of_records.metric_test is None and of_records.score.of_bar is None
    assert "of_bar" not in of_records.model_dump(mode="json")["score"], "else a record of accuracy is another one"


def test_slices_fields_and_floors_go_on_counting_what_they_count() -> None:
    found = judged(records(unit=LOST), **F1, floor=0.95, fields={"unit": {"critical": True, "margin": 0.1}})
    app, unit = found.slices
    assert app.student_accuracy == pytest.approx(1 - 24 / 600), "whole records"
    assert unit.student_accuracy == pytest.approx(1 - 48 / ROWS)
    assert claim(found, "floor").sentence.startswith("cannot tell whether accuracy holds the floor of 95.0%: 96.0%")


def test_an_answer_that_is_missing_counts_against_the_model() -> None:
    truth = TASK.targets(records())
    said = TASK.stated(truth, 0.99)
    silent = np.arange(ROWS) < 120
    gone = np.where(silent[:, None], TASK.unanswered(truth, right=False), said)
    bar = BarSpec.model_validate(F1)
    assert bar_metric_of(bar, TASK, truth, said) == 1.0
    assert bar_metric_of(bar, TASK, truth, gone) == pytest.approx(0.9)
    how: dict[str, Any] = {"groups": None, "margin": 0.03}
    assert bar_metric_test(bar, TASK, truth, said, gone, **how).verdict is Verdict.FAIL
    known = np.where(silent[:, None], TASK.unanswered(truth, right=True), said)
    assert bar_metric_test(bar, TASK, truth, known, said, **how).drop == 0.0, "what is not known of a teacher is no win"


def dated(said: pl.Series, taught: pl.Series, **bar: Any) -> Any:
    def of(kind: ModelKind, answers: pl.Series) -> EvaluatedModel:
        outputs = RARE.stated(RARE.targets(answers), 0.99).tolist()
        return replace(model(kind, records()), outputs=pl.DataFrame({"prompt_id": IDS, "logits": outputs}))

    rows = golden().with_columns(rare(DATED).alias("label"))
    terms = Terms(bar=BarSpec.model_validate({**F1, **bar}), budget=BUDGET)
    return evaluate(of(ModelKind.STUDENT, said), of(ModelKind.TEACHER, taught), rows, terms, task=RARE)


def test_values_that_are_left_out_and_values_that_are_invented_both_count() -> None:
    """Of 1,260 values 60 are dates: by hand, all of them left out, and as many invented in other rows."""
    others = range(1, ROWS, 20)
    silent, inventive = dated(rare(), rare(DATED)), dated(rare(DATED, others), rare(DATED))
    assert silent.score.of_bar == pytest.approx(2 * 1200 / (1260 + 1200))
    assert inventive.score.of_bar == pytest.approx(2 * 1260 / (1260 + 1320))


def test_an_option_is_judged_by_the_same_metric() -> None:
    """A do-nothing option that gives every row one record: with its unit, and so half of all values and more."""
    constant = replace(model(ModelKind.STUDENT, records(due=range(ROWS))), kind=ModelKind.BASELINE, name="one record")
    teacher, rows = model(ModelKind.TEACHER, records()), golden()
    for margin, verdict in ((0.45, Verdict.FAIL), (0.55, Verdict.PASS)):
        terms = Terms(bar=BarSpec(metric="field_f1", margin=margin), budget=BUDGET)
        found = evaluate(constant, teacher, rows, terms, task=TASK)
        assert found.score.accuracy == 0.0 and found.score.of_bar == pytest.approx(0.5)
        assert found.verdict is verdict
    assert smallest_that_clears([found]).winner == "one record"


def test_rows_of_a_group_stand_together() -> None:
    rows = golden(400).with_columns(customer=pl.int_range(400) // 20)
    by_group = judged(
        records(unit=range(20), rows=400), rows=rows, groups="customer", slices=(), **{**F1, "margin": 0.1}
    )
    assert by_group.metric_test is not None and by_group.metric_test.groups == 20
    assert by_group.verdict is Verdict.INCONCLUSIVE, "20 groups prove no 10 points"
    few = judged(records(rows=380), rows=rows.head(380), groups="customer", slices=(), **F1)
    assert "in only 19 groups; at least 20 groups are needed" in few.claims[0].sentence


def test_golden_rows_without_a_value_prove_nothing() -> None:
    """Where every field is optional and no row has one, nobody can lose any."""
    bar = BarSpec.model_validate(F1)
    optional = {"due": {"kind": "verbatim", "words_at_most": 1, "optional": True}}
    task = Extraction(RecordSpec.model_validate({"words": 4, "fields": optional}))
    said = pl.Series(['{"due":null}'] * 500)
    truth = task.targets(said)
    outputs = task.stated(truth, 0.99)
    found = bar_metric_test(bar, task, truth, outputs, outputs, groups=None, margin=0.03)
    assert found.verdict is Verdict.INCONCLUSIVE and found.rows_that_count == 0
    rows = golden(500).with_columns(said.alias("label"))
    ids = rows["prompt_id"]
    teacher, student = (
        replace(model(kind, records(rows=1)), outputs=pl.DataFrame({"prompt_id": ids, "logits": outputs.tolist()}))
        for kind in (ModelKind.TEACHER, ModelKind.STUDENT)
    )
    judged_so = evaluate(student, teacher, rows, Terms(bar=bar, budget=BUDGET), task=task)
    assert judged_so.claims[0].sentence.endswith("on 500 rows, none of which has a value")
    (claimed,) = plan(rows, bar, ()).claims
    assert (claimed.rows, claimed.supported) == (0, False)


def test_a_challenger_is_held_against_the_champion_by_the_bars_metric() -> None:
    def answers(said: pl.Series) -> Answers:
        return Answers(TASK.stated(TASK.targets(said), 0.99), TASK.names)

    def met(**bar: Any) -> Any:
        terms = Terms(bar=BarSpec.model_validate({"margin": 0.03, **bar}), budget=BUDGET)
        right, worse = answers(records()), answers(records(unit=LOST))
        return compare_with_champion(RIVAL, right, worse, golden(), terms, task=TASK)

    assert met().verdict is Verdict.FAIL and met(metric="field_f1").verdict is Verdict.PASS
    assert met(metric="field_f1", champion_margin=0.01).sentence.startswith("field F1 not within 1.0 points of the cha")


def test_a_plan_counts_rows_by_their_values() -> None:
    """By hand: 60 rows of two values and 1,140 of one are worth 1,260 squared / (60 * 4 + 1,140) = 1,150 rows."""
    bar = BarSpec.model_validate(F1)
    rows = golden().with_columns(rare(DATED).alias("label"))
    (one,) = plan(rows, bar, ()).claims
    assert (one.name, one.rows, one.binding) == ("all golden rows, as field F1 weighs them", 1150, True)
    assert plan(golden(), bar, ()).claims[0].rows == ROWS, "rows of as many values count in full"


def test_the_seeds_members_and_the_page_are_in_the_bars_metric() -> None:
    found = judged(records(unit=LOST), slices=(), **F1)
    page, written = report_html(found), report_json(found)
    assert "<b>98.0%</b><span>field F1, by which the bar goes; teacher 100.0%</span>" in page
    assert "; field F1 98.0%</small>" in page, "beside the accuracy of each option"
    assert (written["student"]["of_bar"], written["teacher"]["of_bar"]) == (pytest.approx(0.98), 1.0)
    (member,) = scores_of([model(ModelKind.TEACHER, records(due=LOST))], golden(), TASK, found.bar)
    assert member.of_bar == pytest.approx(0.98) and member.accuracy == pytest.approx(0.96)
    of_records = judged(records(unit=LOST), slices=())
    assert "field F1" not in report_html(of_records).split("Which fields are right?")[0]


@pytest.mark.parametrize(
    ("task", "says"),
    [(SingleLabel(("a", "b")), "classes and have no fields"), (NumericScore(0, 1, 0.1), "are not classes")],
)
def test_field_f1_of_answers_that_have_no_fields_is_refused(task: Any, says: str) -> None:
    terms = Terms(bar=BarSpec.model_validate(F1), budget=BUDGET)
    with pytest.raises(StillhouseError, match=says) as refused:
        evaluate(model(ModelKind.STUDENT, records()), model(ModelKind.TEACHER, records()), golden(), terms, task=task)
    assert "bar.metric: field_f1" in str(refused.value)
