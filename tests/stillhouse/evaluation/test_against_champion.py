"""A challenger meets the champion on the same golden rows: counts by hand, p-values by scipy, margins and slices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from stillhouse.evaluation.against_champion import AgainstChampion, Answers, compare_with_champion
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
from stillhouse.records.champions import Served
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json

CLASSES = ("balance", "block", "travel")
RIVAL = Served("0123456789abcdef", "m", "five_layers", "2026-01-01")
BUDGET = BudgetSpec(latency_ratio_at_least=1, size_ratio_at_least=1)


def answers(rows: int, wrong: Sequence[int], labels: Sequence[str] = CLASSES) -> Answers:
    """Right everywhere but on the rows given, where the next class is answered; `labels` in the order of the logits."""
    said = [CLASSES[(row + (row in set(wrong))) % 3] for row in range(rows)]
    return Answers(np.array([[3.0 if name == answer else 0.0 for name in labels] for answer in said]), labels)


def compared(
    golden: pl.DataFrame,
    champion_wrong: Sequence[int],
    challenger_wrong: Sequence[int],
    *,
    slices: Sequence[SliceSpec] = (),
    bar: dict[str, Any] | None = None,
    **how: Any,
) -> AgainstChampion:
    terms = Terms(bar=BarSpec(**{"margin": 0.04, **(bar or {})}), budget=BUDGET, slices=tuple(slices))
    rows = golden.height
    return compare_with_champion(
        RIVAL,
        answers(rows, champion_wrong),
        answers(rows, challenger_wrong),
        golden,
        terms,
        task=SingleLabel(tuple(CLASSES)),
        **how,
    )


def test_counts_and_accuracies_are_those_counted_by_hand(golden) -> None:
    """The champion misses rows 0 to 19, the challenger 10 to 39: ten are won, twenty lost, of 1,000."""
    result = compared(golden(1000), range(20), range(10, 40))
    assert (result.champion_accuracy, result.challenger_accuracy) == (0.98, 0.97)
    assert result.test is not None and result.test.drop == pytest.approx(0.01)
    assert "only the champion right on 20 and only the challenger on 10 of 1,000 rows" in result.sentence
    assert result.verdict is Verdict.PASS
    assert result.sentence.startswith(
        "accuracy within 4.0 points of the champion five_layers 0123456789ab: drop 1.0, 95% bound "
    )


def test_where_the_champion_is_never_wrong_alone_the_p_value_is_that_of_scipy(golden) -> None:
    """No row won: the exact score test then orders samples by the rows lost alone, a binomial count (scipy)."""
    rows, lost, margin = 200, 2, 0.05
    result = compared(golden(rows), [], range(lost), bar={"margin": margin})
    by_scipy = stats.binomtest(lost, rows, margin, alternative="less").pvalue
    assert result.test is not None and result.verdict is Verdict.PASS
    assert result.test.p_value == pytest.approx(by_scipy, abs=0.002)  # the exact test adds 0.0001, searches a grid


@pytest.mark.parametrize(
    ("challenger_wrong", "verdict", "says"),
    [
        (range(0), Verdict.PASS, "accuracy within 4.0 points of the champion"),
        (range(100), Verdict.FAIL, "accuracy not within 4.0 points of the champion"),
        (range(35), Verdict.INCONCLUSIVE, "cannot tell whether accuracy is within 4.0 points of the champion"),
    ],
)
def test_only_proof_lets_a_challenger_through(golden, challenger_wrong: range, verdict: Verdict, says: str) -> None:
    result = compared(golden(1000), [], challenger_wrong)
    assert result.verdict is verdict
    assert result.sentence.startswith(says)


def test_few_rows_are_no_pass_even_for_an_equal_model(golden) -> None:
    result = compared(golden(40), [], [])
    assert result.verdict is Verdict.INCONCLUSIVE and "rows would settle it" in result.sentence


def test_the_margin_is_the_champions_own_where_the_bar_has_one(golden) -> None:
    rows = golden(1000)
    assert compared(rows, [], range(20), bar={"champion_margin": 0.02}).verdict is Verdict.FAIL
    assert compared(rows, [], range(20), bar={"champion_margin": 0.04}).verdict is Verdict.PASS
    assert compared(rows, [], range(20), bar={"margin": 0.9, "champion_margin": 0.02}).verdict is Verdict.FAIL


APP = {"name": "app", "column": "channel", "values": ("app",)}


def test_a_critical_slice_that_is_lost_closes_though_the_average_holds(golden) -> None:
    """All of the 30 lost rows are among the 500 of one channel: 3 points of all, 6 of that slice."""
    rows = golden(1000)
    lax = compared(rows, [], range(30), slices=[SliceSpec(**APP, critical=False)], bar={"margin": 0.05})
    assert lax.verdict is Verdict.PASS and len(lax.claims) == 1
    bound = compared(rows, [], range(30), slices=[SliceSpec(**APP, critical=True)], bar={"margin": 0.05})
    assert bound.verdict is Verdict.FAIL
    assert bound.sentence.startswith("accuracy on 'app' not within 5.0 points of the champion")
    own = SliceSpec(**APP, critical=True, margin=0.1, floor=0.999)
    assert compared(rows, [], range(30), slices=[own], bar={"margin": 0.05}).verdict is Verdict.PASS


def test_critical_slices_share_one_error_rate(golden) -> None:
    """Holm: of two, the one with the smaller p-value is judged at half of the error rate."""
    phone = SliceSpec(name="phone", column="channel", values=("phone",), critical=True)
    result = compared(golden(1000), [], range(5), slices=[SliceSpec(**APP, critical=True), phone])
    assert [claim.name for claim in result.claims] == ["champion", "champion_slice/app", "champion_slice/phone"]
    assert sorted("97.5% bound" in claim.sentence for claim in result.claims) == [False, False, True]


def test_an_empty_critical_slice_proves_nothing(golden) -> None:
    nobody = SliceSpec(name="post", column="channel", values=("post",), critical=True)
    result = compared(golden(1000), [], [], slices=[nobody])
    assert result.verdict is Verdict.INCONCLUSIVE and "no golden row is in the slice 'post'" in result.sentence


def test_answers_are_compared_by_name_though_the_champion_knew_other_classes(golden) -> None:
    """Its labels come in another order, one is gone since and one is new to it: rows of the new one it gets wrong."""
    rows = 900
    champion = answers(rows, [], labels=("travel", "old", "balance"))
    result = compare_with_champion(
        RIVAL,
        champion,
        answers(rows, []),
        golden(rows),
        Terms(bar=BarSpec(margin=0.04), budget=BUDGET),
        task=SingleLabel(tuple(CLASSES)),
    )
    assert (result.champion_accuracy, result.challenger_accuracy) == (pytest.approx(2 / 3), 1.0)


def test_golden_rows_that_the_champion_learned_from_are_left_out_for_both(golden) -> None:
    """On the first 500 it is perfect, having seen them; the challenger is right on the others alone."""
    rows = golden(1000)
    seen = rows["prompt_id"][:500].to_list()
    assert compared(rows, [], range(500)).verdict is Verdict.FAIL
    fair = compared(rows, [], range(500), learned=seen)
    assert (fair.verdict, fair.rows, fair.learned_rows) == (Verdict.PASS, 500, 500)
    assert "500 golden rows that it learned from are left out" in fair.sentence
    none_left = compared(rows, [], [], learned=rows["prompt_id"].to_list())
    assert none_left.verdict is Verdict.INCONCLUSIVE and "learned from all 1,000 of them" in none_left.sentence


def test_rows_of_one_group_are_one_piece_of_evidence(golden) -> None:
    """Ten groups are fewer than a bootstrap can tell anything from, however many rows they hold."""
    rows = golden(1000).with_columns(customer=(pl.int_range(pl.len()) % 10).cast(pl.String))
    assert compared(rows, [], []).verdict is Verdict.PASS
    assert compared(rows, [], [], groups="customer").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("metric", "says"),
    [("macro_f1", "macro F1 not within"), ("ndcg", "nDCG not within"), ("recall", "recall of 'travel'")],
)
def test_the_metric_is_that_of_the_bar(golden, metric: str, says: str) -> None:
    wrong = [row for row in range(600) if row % 3 == 2][:150]
    bar = {"metric": metric, **({"metric_class": "travel"} if metric == "recall" else {})}
    result = compared(golden(600), [], wrong, bar=bar)
    assert result.verdict is Verdict.FAIL and result.sentence.startswith(says)


@pytest.mark.long
def test_the_report_shows_it_to_people_and_machines(run, golden) -> None:
    evaluation = run()
    against = compared(golden(1000), [], range(100), slices=[SliceSpec(**APP, critical=True)])
    shown = report_json(evaluation, against_champion=against)["against_champion"]
    assert shown["verdict"] == "fail" and shown["release"] == RIVAL.release and len(shown["claims"]) == 2
    page = report_html(evaluation, ReportContext(against_champion=against))
    assert ">Against the champion</h2>" in page and "Accuracy not within 4.0 points of the champion" in page
    assert "Against the champion" not in report_html(evaluation)
