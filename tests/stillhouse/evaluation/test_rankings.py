"""Rankings before the golden harness: nDCG over queries binds where the bar names it, and is reported elsewhere."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.planning import plan
from stillhouse.recipe.bar import BarSpec, BudgetSpec, Terms
from stillhouse.report.document import report_html
from stillhouse.report.record import report_of
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.numbers import written_number
from stillhouse.tasks.score import NumericScore

TASK = NumericScore(0, 3, 0.5)
DOCUMENTS = 6


def golden(queries: int) -> pl.DataFrame:
    rows = queries * DOCUMENTS
    labels = np.random.default_rng(0).integers(0, 4, rows)
    return pl.DataFrame(
        {
            "prompt_id": [f"p{number:05}" for number in range(rows)],
            "text": [f"text {number}" for number in range(rows)],
            "label": [written_number(each) for each in labels],
            "query": [f"q{number // DOCUMENTS}" for number in range(rows)],
        }
    )


def model(kind: ModelKind, rows: pl.DataFrame, noise: float, *, shift: float = 0.0, seed: int = 0) -> EvaluatedModel:
    random = np.random.default_rng([seed, list(ModelKind).index(kind)])
    outputs = TASK.targets(rows["label"]) + random.normal(0, noise, rows.height) + shift
    frame = pl.DataFrame({"prompt_id": rows["prompt_id"], "logits": pl.Series(outputs[:, None].tolist())})
    return EvaluatedModel(str(kind), kind, frame, 1_000_000 if kind is ModelKind.TEACHER else 1_000)


def judged(
    noise: float,
    *,
    queries: int = 150,
    groups: str | None = "query",
    shift: float = 0.0,
    taught: float = 0.2,
    **bar: Any,
) -> Evaluation:
    rows = golden(queries)
    terms = Terms(bar=BarSpec(**{"metric": "ndcg", "margin": 0.05, **bar}), budget=BudgetSpec(size_ratio_at_least=1))
    teacher = model(ModelKind.TEACHER, rows, taught)
    return evaluate(model(ModelKind.STUDENT, rows, noise, shift=shift), teacher, rows, terms, task=TASK, groups=groups)


def quality(result: Evaluation) -> tuple[Verdict, str]:
    first = result.claims[0]
    return first.verdict, first.sentence


def test_a_student_that_ranks_as_its_teacher_passes_though_its_numbers_are_all_too_high() -> None:
    """By the tolerance not one of them is right."""
    found = judged(0.2, shift=5.0)
    assert quality(found)[0] is Verdict.PASS and quality(found)[1].startswith("nDCG within 5.0 points of the teacher")
    assert found.score.accuracy == 0 < found.teacher.accuracy
    assert found.metric_test is not None and found.metric_test.groups == 150
    assert quality(judged(0.2, shift=5.0, metric="accuracy"))[0] is Verdict.FAIL, "which asks something else"


def test_a_student_that_ranks_worse_fails() -> None:
    found = judged(2.0)
    assert quality(found)[0] is Verdict.FAIL and found.of_ranking is not None
    assert found.of_ranking.ndcg < found.of_ranking.teacher_ndcg - 0.05


def test_few_queries_are_no_pass_however_many_rows_they_have() -> None:
    verdict, sentence = quality(judged(0.2, queries=19))
    assert verdict is Verdict.INCONCLUSIVE
    assert sentence.endswith("on 114 rows in only 19 groups; at least 20 groups are needed")
    verdict, sentence = quality(judged(0.2, queries=22))
    assert verdict is Verdict.INCONCLUSIVE and "in 22 groups; " in sentence


def test_rankings_are_reported_wherever_numbers_are_in_groups() -> None:
    found = judged(0.3, metric="accuracy", ndcg_at=3)
    assert found.of_ranking is not None and found.of_ranking.at == 3
    assert (found.of_ranking.queries, found.of_ranking.other_queries) == (150, 0)
    assert found.of_ranking.ndcg == pytest.approx(judged(0.3, ndcg_at=3).metric_test.student)  # type: ignore[union-attr]
    assert judged(0.3, metric="accuracy", groups=None).of_ranking is None


def test_ndcg_without_queries_is_refused() -> None:
    with pytest.raises(StillhouseError, match=r"bar\.metric: ndcg"):
        judged(0.2, groups=None)


def test_the_report_says_it_to_machines_and_people() -> None:
    found = judged(0.3)
    written = report_of(found).model_dump(mode="json")
    assert written["of_ranking"]["ndcg"] == found.of_ranking.ndcg  # type: ignore[union-attr]
    page = report_html(found, title="t", task="Rank documents for a query.")
    assert "How well does it rank?" in page and "Over 150 queries" in page


def test_queries_are_the_evidence_that_is_planned_with() -> None:
    rows = golden(100).with_columns(
        label=pl.when(pl.col("query") == "q0").then(pl.lit("3")).otherwise("label"),
        query=pl.when(pl.int_range(pl.len()) >= 590).then(None).otherwise("query"),
    )
    (claim,) = plan(rows, BarSpec(metric="ndcg", margin=0.05), (), queries="query").claims
    assert (claim.name, claim.rows) == ("queries of golden rows", 98), (
        "one has no order, and one is of rows without any"
    )
    (claim,) = plan(rows, BarSpec(margin=0.05), ()).claims
    assert claim.rows == 600
