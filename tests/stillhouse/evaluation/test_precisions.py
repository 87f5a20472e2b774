"""What is asked of a student in several precisions, beside the bar."""

from typing import Any

import pytest

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.precisions import KeptAnswers, holds_quality, judged_in_order, standing_for
from stillhouse.evaluation.selection import smallest_that_clears
from stillhouse.recipe.students import StudentSpec
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from tests.reported import report_json

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
KEPT = KeptAnswers(agreement=0.99, texts=300)
SIZES = {"fp32": 60_000_000, "int8_static": 55_000_000, "int8": 8_000_000, "int4": 5_000_000}


def student(*precisions: str) -> StudentSpec:
    return StudentSpec.model_validate(
        {"name": "one", "layers": [0], "training": {"epochs": 1}, "precisions": precisions}
    )


def asked(
    run: Any, wrong: dict[str, range], *kept: KeptAnswers, rows: int = 1200
) -> tuple[StudentSpec, list[Evaluation]]:
    """A student in precisions that are wrong on these golden rows."""
    spec = student(*wrong)
    judged = [
        run(rows, name=form.name, wrong=wrong[form.precision], size_bytes=SIZES[form.precision]) for form in spec.forms
    ]
    return spec, judged_in_order(spec, judged, kept or [KEPT] * len(judged), agreement_at_least=0.97)


def test_a_student_in_one_precision_is_asked_nothing_more(run: Any) -> None:
    judged = [run(name="one")]
    assert judged_in_order(student("int8"), judged, [KeptAnswers(0.5, 300)], agreement_at_least=0.97) == judged


def test_a_precision_counts_only_where_those_before_it_hold_the_quality(run: Any) -> None:
    """By luck int4 is wrong on nothing: tested alone it would be a third chance of a student that is at the margin."""
    _, judged = asked(run, {"fp32": range(2), "int8": range(80), "int4": range(0)})
    assert [each.verdict for each in judged] == [FAIL, FAIL, INCONCLUSIVE], "fp32 is too large, int8 too bad"
    assert holds_quality(judged[0]) is PASS, "so that it does not stop int8 by its size"
    (claim,) = judged[2].open_claims
    assert claim.name == "precision_order"
    assert claim.sentence == "the quality does not hold in int8, which the recipe names before it"
    assert smallest_that_clears(judged).winner is None


def test_what_is_not_shown_stops_the_rest_of_the_order_as_well(run: Any) -> None:
    _, judged = asked(run, {"int8": range(0), "fp32": range(0), "int4": range(0)}, rows=60)
    assert [holds_quality(each) for each in judged] == [INCONCLUSIVE] * 3
    assert (
        judged[2].open_claims[-1].sentence
        == "the quality is not shown to hold in fp32, which the recipe names before it"
    )


def test_a_precision_that_changes_the_answers_is_not_chosen_and_stops_no_finer_one(run: Any) -> None:
    _, judged = asked(run, {"int8": range(2), "int4": range(2)}, KEPT, KeptAnswers(0.953, 300))
    assert [each.verdict for each in judged] == [PASS, FAIL]
    (claim,) = judged[1].open_claims
    said = "only 0.953 of the answers to 300 validation texts are those of the trained weights, at least 0.97 asked"
    assert (claim.name, claim.sentence) == ("same_answers", said)
    chosen = smallest_that_clears(judged)
    assert chosen.winner == "one" and chosen.next_smaller == "one_int4" and said in chosen.reason


def test_exactly_as_many_answers_as_are_asked_are_enough(run: Any) -> None:
    _, judged = asked(run, {"fp32": range(0), "int8": range(0)}, KEPT, KeptAnswers(0.97, 300))
    assert judged[1].verdict is PASS


@pytest.mark.long
def test_the_smallest_that_clears_stands_for_a_student_else_what_only_the_budget_is_in_the_way_of(run: Any) -> None:
    def name(**wrong: range) -> str:
        spec, judged = asked(run, wrong)
        return standing_for(spec, {each.name: each for each in judged}).name

    assert name(fp32=range(2), int8=range(2), int4=range(2)) == "one_int4"
    assert name(fp32=range(2), int8=range(2), int4=range(80)) == "one"
    assert name(fp32=range(2), int8=range(80), int4=range(80)) == "one_fp32", "too large, and nothing else"
    assert name(fp32=range(2), int8_static=range(2), int8=range(80)) == "one_int8_static", (
        "the last of which that is true"
    )
    assert name(int8=range(80), int4=range(80)) == "one", "the first, which has lost least"


@pytest.mark.long
@pytest.mark.figures
def test_the_report_shows_which_slice_the_next_smaller_precision_lost(run: Any) -> None:
    spec, judged = asked(run, {"int8": range(2), "int4": range(34)})  # the first 600 rows are the slice 'app'
    by_precision = dict(zip(spec.precisions, judged, strict=True))
    rows = report_json(judged[0], precisions=by_precision)["precisions"]
    assert [(row["precision"], row["verdict"]) for row in rows] == [("int8", "pass"), ("int4", "fail")]
    assert rows[0]["does_not_hold"] == [] and "slice 'app'" in rows[1]["does_not_hold"]
    assert rows[1]["drop"] == pytest.approx(34 / 1200) and rows[1]["size_bytes"] == 5_000_000
    page = report_html(judged[0], ReportContext(precisions=by_precision))
    assert "In each precision" in page and "slice &#39;app&#39;" in page
    assert "In each precision" not in report_html(judged[0])
