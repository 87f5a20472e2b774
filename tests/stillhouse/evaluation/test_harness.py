"""One call judges any model, and its words say what its numbers do."""

import math

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.hosted import hosted
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.wording import percent, points
from tests.stillhouse.evaluation.conftest import BUDGET, CLASSES, answers_block, answers_rightly, make_outputs
from tests.stillhouse.work import lines_run


def claim(evaluation: Evaluation, name: str):
    return next(each for each in evaluation.claims if each.name == name)


def test_a_good_small_fast_student_passes(run) -> None:
    result = run(wrong=[1, 700], teacher_wrong=[5])
    assert result.verdict is Verdict.PASS
    assert result.open_claims == ()
    assert result.non_inferiority.drop == pytest.approx(1 / 1200)
    assert result.size_ratio == pytest.approx(40.0)
    assert result.agreement == pytest.approx(1197 / 1200)
    assert claim(result, "non_inferiority").sentence.startswith("accuracy within 3.0 points of the teacher: drop 0.1, ")
    assert result.summary.startswith("student clears the bar: accuracy within 3.0 points")


def test_outputs_in_another_order_give_the_same_report(run, subject, golden) -> None:
    """Regression guard: two other tools trained and judged on pairs shuffled against one another."""
    first = run(wrong=[1])
    teacher = subject(1200, [], name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    ordered = subject(1200, [1])
    again = evaluate(
        EvaluatedModel("student", ModelKind.STUDENT, ordered.outputs.sort("prompt_id"), 10_000_000),
        teacher, golden(1200).reverse(),
        first.terms,
        task=SingleLabel(first.classes), latency=first.latency,
    )  # fmt: skip
    for part in ("golden_digest", "non_inferiority", "slices", "confusion", "claims", "regressions", "verdict"):
        assert getattr(again, part) == getattr(first, part), part


def test_a_student_that_loses_too_much_fails_in_words(run) -> None:
    result = run(wrong=range(0, 1200, 10))
    assert result.verdict is Verdict.FAIL
    assert "accuracy not within 3.0 points of the teacher: drop 10.0" in result.summary


def test_a_golden_set_too_small_is_inconclusive_and_says_how_many_more(run) -> None:
    result = run(rows=60, slices=())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "60 rows; about 282 rows would settle it, 222 more" in claim(result, "non_inferiority").sentence


@pytest.mark.long
def test_a_failing_critical_slice_closes_and_a_failing_other_slice_is_reported(run) -> None:
    app_lost, phone_lost = run(rows=2400, wrong=range(0, 1200, 20)), run(rows=2400, wrong=range(1200, 2400, 20))
    assert claim(app_lost, "slice/app").verdict is Verdict.FAIL
    assert app_lost.verdict is Verdict.FAIL
    assert claim(phone_lost, "slice/phone").verdict is Verdict.FAIL
    assert not claim(phone_lost, "slice/phone").binding
    assert "slice/phone" not in {each.name for each in phone_lost.open_claims}


@pytest.mark.parametrize(("critical", "verdict"), [(True, Verdict.INCONCLUSIVE), (False, Verdict.PASS)])
def test_an_empty_slice_never_passes(run, critical: bool, verdict: Verdict) -> None:
    empty = SliceSpec(name="nobody", column="channel", values=("fax",), critical=critical)
    result = run(slices=[empty])
    assert claim(result, "slice/nobody").verdict is Verdict.INCONCLUSIVE
    assert result.verdict is verdict


def test_the_budget_is_part_of_the_bar(run, latency) -> None:
    for broken, name in (
        (run(size_bytes=100_000_000), "size_ratio"),
        (run(latency=latency(ratio=2.0)), "latency_ratio"),
        (run(budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8, size_mb_at_most=5)), "size_mb"),
        (run(budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8, latency_ms_at_most=6)), "latency_ms"),
    ):
        assert broken.verdict is Verdict.FAIL
        assert [each.name for each in broken.open_claims] == [name]


def test_a_latency_that_was_not_measured_or_straddles_the_budget_is_inconclusive(run, latency) -> None:
    assert run(latency=None).verdict is Verdict.INCONCLUSIVE
    assert run(latency=latency(ratio=4.1, spread=0.1)).verdict is Verdict.INCONCLUSIVE


def test_the_floor_holds_even_when_the_teacher_is_under_it(run) -> None:
    wrong = range(0, 1200, 4)
    result = run(wrong=wrong, teacher_wrong=wrong, bar=BarSpec(margin=0.03, floor=0.8), slices=())
    assert result.non_inferiority.verdict is Verdict.PASS
    assert claim(result, "floor").verdict is Verdict.FAIL
    assert result.verdict is Verdict.FAIL


def test_a_bar_on_macro_f1_binds_by_macro_f1(run) -> None:
    result = run(wrong=[1, 700], bar=BarSpec(margin=0.03, metric="macro_f1"), slices=())
    said = claim(result, "non_inferiority")
    assert result.verdict is Verdict.PASS and result.metric_test is not None
    assert said.sentence.startswith("macro F1 within 3.0 points of the teacher: drop 0.2, 95% bound ")
    assert result.metric_test.student == pytest.approx(result.score.macro_f1)
    assert result.metric_test.teacher == pytest.approx(result.teacher.macro_f1)


def test_a_bar_on_ndcg_binds_by_ndcg(run) -> None:
    """By hand: of three classes a wrong answer leaves the right class second or third, worth 0.63 or 0.5."""
    result = run(wrong=range(120), bar=BarSpec(margin=0.1, metric="ndcg"), slices=())
    assert result.metric_test is not None
    assert result.metric_test.teacher == pytest.approx(1.0)
    assert 0.1 * (1 - 1 / math.log2(3)) <= result.metric_test.drop <= 0.1 * 0.5
    assert claim(result, "non_inferiority").sentence.startswith("nDCG within 10.0 points of the teacher")


def test_a_class_that_is_lost_closes_a_bar_on_its_recall_and_not_one_on_accuracy(run) -> None:
    """Rows 0, 3, 6, ... are of class 'balance'; 60 of its 400 are 5 points of accuracy and 15 of recall."""
    wrong = range(0, 180, 3)
    recall = BarSpec(margin=0.07, metric="recall", metric_class="balance")
    assert run(wrong=wrong, bar=BarSpec(margin=0.07), slices=()).verdict is Verdict.PASS
    result = run(wrong=wrong, bar=recall, slices=())
    assert result.verdict is Verdict.FAIL
    assert "recall of 'balance' not within 7.0 points of the teacher: drop 15.0" in result.summary


def test_too_few_rows_of_a_class_are_inconclusive_and_say_how_many_more(run) -> None:
    bar = BarSpec(margin=0.03, metric="recall", metric_class="balance")
    sentence = claim(run(rows=150, bar=bar, slices=()), "non_inferiority").sentence
    # No loss in 50 rows of the class: 3 % of it can hide unless there are log(20) / 0.03 = 99.9 of them, of 300 rows.
    assert sentence == (
        "cannot tell whether recall of 'balance' is within 3.0 points of the teacher: drop 0.0, 95% bound 6.0 on 150 "
        "rows; about 300 rows would settle it, 150 more"
    )


def test_a_class_that_does_not_exist_is_refused_with_those_that_do(run) -> None:
    with pytest.raises(StillhouseError, match=r"no class 'fraud'.*one of balance, block, travel"):
        run(bar=BarSpec(margin=0.03, metric="recall", metric_class="fraud"))


@pytest.mark.long
@pytest.mark.parametrize(("group_rows", "verdict"), [(1, Verdict.PASS), (30, Verdict.INCONCLUSIVE)])
def test_rows_that_are_lost_together_are_less_evidence(subject, golden, group_rows: int, verdict: Verdict) -> None:
    rows = golden(3000).with_columns(customer=pl.int_range(pl.len()) // group_rows)
    teacher = subject(3000, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    budget = BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8)
    result = evaluate(
        subject(3000, wrong=range(60)), teacher, rows, Terms(bar=BarSpec(margin=0.04), budget=budget),
        task=SingleLabel(("balance", "block", "travel")), groups="customer",
    )  # fmt: skip
    assert claim(result, "non_inferiority").verdict is verdict
    assert result.metric_test is not None and result.metric_test.groups == 3000 // group_rows
    assert result.non_inferiority.verdict is Verdict.PASS


def test_too_few_groups_say_so(subject, golden) -> None:
    rows = golden(1200).with_columns(customer=pl.int_range(pl.len()) % 12)
    teacher = subject(1200, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    budget = BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8)
    result = evaluate(
        subject(1200), teacher, rows, Terms(bar=BarSpec(margin=0.03), budget=budget),
        task=SingleLabel(("balance", "block", "travel")), groups="customer",
    )  # fmt: skip
    assert result.verdict is Verdict.INCONCLUSIVE
    assert claim(result, "non_inferiority").sentence.endswith(
        "on 1,200 rows in only 12 groups; at least 20 groups are needed"
    )


@pytest.mark.long
def test_slices_and_floors_take_whole_groups_too_and_say_so(subject, golden) -> None:
    rows = golden(1200).with_columns(customer=pl.int_range(pl.len()) % 12)
    teacher = subject(1200, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
    app = SliceSpec(name="app", column="channel", values=("app",), critical=True, floor=0.8)
    result = evaluate(
        subject(1200), teacher, rows,
        Terms(
            bar=BarSpec(margin=0.03, floor=0.8), slices=(app,),
            budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8),
        ),
        task=SingleLabel(("balance", "block", "travel")), groups="customer",
    )  # fmt: skip
    for name in ("floor", "slice/app", "slice_floor/app"):
        assert claim(result, name).verdict is Verdict.INCONCLUSIVE
        assert claim(result, name).sentence.endswith("rows in only 12 groups; at least 20 groups are needed")
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_lost_rows_carry_their_text(run) -> None:
    result = run(wrong=[3, 4], teacher_wrong=[4])
    assert [(row.text, row.label, row.predicted) for row in result.regressions] == [
        ("text <b>3</b>", "balance", "block")
    ]


@pytest.mark.parametrize("bar", [BarSpec(margin=0.03), BarSpec(margin=0.03, metric="macro_f1")])
def test_the_record_survives_json(run, bar: BarSpec) -> None:
    result = run(bar=bar)
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_roles_are_not_mixed_up(subject, golden) -> None:
    student, teacher = subject(30), subject(30, name="t", kind=ModelKind.TEACHER)
    with pytest.raises(StillhouseError, match="against a teacher"):
        evaluate(
            teacher, student, golden(30),
            Terms(bar=BarSpec(margin=0.03), budget=BudgetSpec(latency_ratio_at_least=1, size_ratio_at_least=1)),
            task=SingleLabel(("balance", "block", "travel")),
        )  # fmt: skip


def test_rounding_never_puts_a_bound_on_the_wrong_side() -> None:
    assert points(0.0299, against=0.03) == "2.99"
    assert points(0.03001, against=0.03) == "3.001"
    assert points(-0.0001) == "0.0"
    assert percent(0.953) == "95.3%"


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_thousand_rows_are_judged_by_whole_columns() -> None:
    """Its key costs each row a line or two. A loop over the rows for each slice would cost it fifty.

    How long it takes is for `make bench-harness`.
    """
    classes = tuple(f"c{index:02d}" for index in range(20))
    specs = tuple(SliceSpec(name=f"s{k}", column="part", values=(f"s{k}",), critical=True) for k in range(50))
    terms = Terms(
        bar=BarSpec(margin=0.03), budget=BudgetSpec(latency_ratio_at_least=1, size_ratio_at_least=1), slices=specs
    )

    def judging(rows: int) -> int:
        labels = np.random.default_rng(0).integers(20, size=rows)
        ids = [f"{row:032x}" for row in range(rows)]
        golden = pl.DataFrame(
            {"prompt_id": ids, "label": [classes[k] for k in labels], "part": [f"s{k % 50}" for k in range(rows)]}
        )

        def outputs(seed: int) -> pl.DataFrame:
            logits = np.random.default_rng(seed).normal(size=(rows, 20)).astype(np.float32)
            logits[np.arange(rows), labels] += 4
            return pl.DataFrame({"prompt_id": ids, "logits": pl.Series(logits).cast(pl.List(pl.Float32))})

        student = EvaluatedModel("s", ModelKind.STUDENT, outputs(1), 1)
        teacher = EvaluatedModel("t", ModelKind.TEACHER, outputs(2), 10)
        results: list[Evaluation] = []
        lines = lines_run(lambda: results.append(evaluate(student, teacher, golden, terms, task=SingleLabel(classes))))
        assert [len(result.slices) for result in results] == [50]
        return lines

    assert judging(100_000) - judging(10_000) < 3 * 90_000


def test_a_student_that_behaves_and_bears_stress_passes(probed) -> None:
    result = probed(answers_rightly, drop_at_most=0.1)
    assert result.verdict is Verdict.PASS
    assert claim(result, "behaviour/plain words").sentence == "behaviour 'plain words' holds: 0 of 1 cases failed"
    # No row of 300 is lost: exactly, a drop of 10 points would show with all but 0.9^300 chance.
    said = claim(result, "stress/so: {text}").sentence
    assert said.startswith("accuracy on texts put as 'so: {text}' within 10.0 points of that on clean text: drop 0.0, ")


@pytest.mark.parametrize(("critical", "verdict"), [(True, Verdict.FAIL), (False, Verdict.PASS)])
def test_a_critical_behaviour_binds_and_another_is_reported(probed, critical, verdict) -> None:
    result = probed(answers_block, critical=critical)
    assert result.verdict is verdict
    assert claim(result, "behaviour/plain words").sentence == (
        "behaviour 'plain words' fails: 1 of 1 cases failed; 'where is my money' was answered block, not balance"
    )


def test_a_student_that_breaks_under_stress_fails_by_a_limit_and_without_one_is_reported(probed) -> None:
    """Two thirds of the rows are not 'block'."""
    result = probed(answers_block, critical=False, drop_at_most=0.1)
    assert result.verdict is Verdict.FAIL
    assert "not within 10.0 points of that on clean text: drop 66.7, and with 95% bound at least " in result.summary
    result = probed(answers_block, critical=False)
    assert result.verdict is Verdict.PASS and result.stress[0].student is not None
    assert not any(each.name.startswith("stress") for each in result.claims)


def test_a_student_that_cannot_be_asked_is_not_shown_to_behave(probed) -> None:
    result = probed(None, drop_at_most=0.1)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert [each.name for each in result.open_claims] == ["behaviour/plain words", "stress/so: {text}"]
    assert all("cannot be asked new texts" in each.sentence for each in result.open_claims)


def test_few_rows_under_stress_say_that_more_may_be_asked(probed) -> None:
    result = probed(answers_rightly, drop_at_most=0.02, rows_at_most=50)
    sentence = claim(result, "stress/so: {text}").sentence
    assert sentence.startswith("cannot tell whether accuracy on texts put as")
    assert sentence.endswith("; only 50 of 300 golden rows were asked (stress.rows_at_most)")


def test_the_record_of_a_probed_student_survives_json(probed) -> None:
    result = probed(answers_block, drop_at_most=0.1)
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def claim_of(evaluation: Evaluation, name: str) -> Claim:
    return next(claim for claim in evaluation.claims if claim.name == name)


def test_a_busy_machine_leaves_the_ratio_and_the_verdict_as_they_are_and_proves_nothing_by_wall_time(
    run, latency
) -> None:
    idle, busy = run(latency=latency()), run(latency=latency(wall_ratio=12, waiting_share=0.6))
    assert idle.latency_ratio == busy.latency_ratio == 8
    assert idle.verdict is busy.verdict is Verdict.PASS
    assert claim_of(idle, "latency_ratio_wall").verdict is Verdict.PASS
    by_wall = claim_of(busy, "latency_ratio_wall")
    assert by_wall.verdict is Verdict.INCONCLUSIVE and not by_wall.binding
    assert "on a busy machine, where models waited 60% of the time for a processor" in by_wall.sentence
    assert idle.running_cost == busy.running_cost


def test_the_sentence_on_speed_names_cpu_time_and_wall_time(run, latency) -> None:
    sentence = claim_of(run(latency=latency(wall_ratio=7.5)), "latency_ratio").sentence
    assert "8 times faster than the teacher in CPU time (95% interval 7.6 to 8.4)" in sentence
    assert "by wall time 7.5 times (7.12 to 7.88)" in sentence


def test_wall_time_alone_neither_passes_nor_fails_the_bar_on_speed(run, latency) -> None:
    slow, fast = latency(ratio=2.0, wall_ratio=12), latency(ratio=8.0, wall_ratio=2.0)
    assert claim_of(run(latency=slow), "latency_ratio").verdict is Verdict.FAIL
    assert claim_of(run(latency=fast), "latency_ratio").verdict is Verdict.PASS
    assert claim_of(run(latency=fast), "latency_ratio_wall").verdict is Verdict.FAIL
    only_wall = run(latency=latency().model_copy(update={"cpu": None}))
    assert claim_of(only_wall, "latency_ratio").verdict is Verdict.INCONCLUSIVE
    assert "CPU time was not measured" in claim_of(only_wall, "latency_ratio").sentence


@pytest.mark.parametrize("most", [6, 100])
def test_a_limit_in_milliseconds_that_holds_on_a_busy_machine_holds_and_is_not_failed_there(run, latency, most) -> None:
    budget = BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8, latency_ms_at_most=most)
    idle = run(budget=budget, latency=latency())  # 95 % within 7.5 ms
    assert claim_of(idle, "latency_ms").verdict is (Verdict.PASS if most == 100 else Verdict.FAIL)
    busy = claim_of(run(budget=budget, latency=latency(waiting_share=0.6)), "latency_ms")
    if most == 100:
        assert busy.verdict is Verdict.PASS and "on a busy machine, where models waited 60%" in busy.sentence
    else:
        assert busy.verdict is Verdict.INCONCLUSIVE and busy.sentence.endswith("rerun on an idle machine")


ON_A_GPU = BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8, teacher_serves_on="cuda")


def across(made: LatencyComparison) -> LatencyComparison:
    """The same wall times, of a teacher on a GPU."""
    assert made.cpu is not None
    nothing = dict.fromkeys(("teacher_ms", "ratio", "ratio_low", "ratio_high"))
    return made.model_copy(update={"cpu": made.cpu.model_copy(update=nothing), "teacher_device": "NVIDIA H200"})


@pytest.mark.parametrize(
    ("how", "verdict", "ends"),
    [
        ({}, Verdict.PASS, "(95% interval 7.6 to 8.4), at least 4 asked"),
        ({"ratio": 2.0}, Verdict.FAIL, "(95% interval 1.9 to 2.1), at least 4 asked"),
        ({"ratio": 4.1}, Verdict.INCONCLUSIVE, "or rerun on a machine that no other one shares"),
        ({"waiting_share": 0.6}, Verdict.INCONCLUSIVE, "60% of the time for a processor; rerun on an idle machine"),
        ({"shared_host": True}, Verdict.PASS, "6.61 to 9.66 allowing for neighbours on the host), at least 4 asked"),
    ],
)
def test_beside_a_teacher_on_a_gpu_wall_time_decides_and_both_devices_are_named(
    run, latency, how, verdict, ends
) -> None:
    judged = run(budget=ON_A_GPU, latency=across(latency(**how)))
    claim = claim_of(judged, "latency_ratio")
    assert (claim.verdict, claim.binding) == (verdict, True)
    assert "times faster on one thread of " in claim.sentence and "than the teacher on NVIDIA H200" in claim.sentence
    assert claim.sentence.endswith(ends)
    assert all(each.name != "latency_ratio_wall" for each in judged.claims), "it would say the same again"
    assert judged.latency_ratio == judged.latency.ratio
    page = report_html(judged)
    assert "the teacher on NVIDIA H200" in page


def test_a_teacher_that_was_timed_elsewhere_than_it_serves_proves_nothing(run, latency) -> None:
    for budget, timed in ((ON_A_GPU, latency()), (BUDGET, across(latency()))):
        claim = claim_of(run(budget=budget, latency=timed), "latency_ratio")
        assert claim.verdict is Verdict.INCONCLUSIVE and claim.sentence.startswith("the teacher was not timed on c")


def test_the_price_of_this_machine_does_not_tell_what_a_teacher_on_a_gpu_costs(run, latency) -> None:
    judged = run(budget=ON_A_GPU, latency=across(latency()), machine_usd_per_hour=0.1)
    assert judged.running_cost is not None and judged.running_cost.teacher_usd_per_1000_calls is None
    assert judged.running_cost.student_usd_per_1000_calls > 0


@pytest.mark.parametrize("ratio", [4.4, 3.5])
def test_near_the_bar_a_busy_machine_decides_nothing_since_load_moves_cpu_time_a_little(run, latency, ratio) -> None:
    assert run(latency=latency(ratio=ratio)).verdict is not Verdict.INCONCLUSIVE
    busy = claim_of(run(latency=latency(ratio=ratio, waiting_share=0.6)), "latency_ratio")
    assert busy.verdict is Verdict.INCONCLUSIVE
    assert "raise budget.latency_rounds (it is 5) or rerun on an idle machine" in busy.sentence
    assert "allowing for the load" in busy.sentence


@pytest.mark.long
@pytest.mark.parametrize("shared_host", [True, None])
def test_near_the_bar_a_machine_that_may_have_neighbours_decides_nothing(run, latency, shared_host) -> None:
    for ratio in (4.4, 3.7):
        own, shared = (run(latency=latency(ratio=ratio, shared_host=each)) for each in (False, shared_host))
        assert own.verdict is not Verdict.INCONCLUSIVE
        claim = claim_of(shared, "latency_ratio")
        assert claim.verdict is Verdict.INCONCLUSIVE
        assert "allowing for neighbours on the host" in claim.sentence
        assert claim.sentence.endswith("or rerun on a machine that no other one shares")
    assert claim_of(run(latency=latency(ratio=5, shared_host=shared_host)), "latency_ratio").verdict is Verdict.PASS
    assert claim_of(run(latency=latency(ratio=3, shared_host=shared_host)), "latency_ratio").verdict is Verdict.FAIL


def behind_a_server(usd: float, ms: float) -> EvaluatedModel:
    """A baseline of the small world that answers as well as the teacher; its teacher costs 2 USD for 1,000 calls."""
    seen = hosted([usd / 1000] * 4, [ms] * 4, teacher_usd=0.002, calls_at_once=8)
    return EvaluatedModel("prompted small", ModelKind.BASELINE, make_outputs(1200, range(3)), None, hosted=seen)


@pytest.mark.long
@pytest.mark.parametrize(
    ("usd", "ms", "budget", "verdict", "sentence"),
    [
        (0.5, 40, {}, Verdict.PASS, "0.5 USD for 1,000 calls, the teacher 2"),
        (2, 40, {}, Verdict.PASS, "2 USD for 1,000 calls, the teacher 2"),
        (2.5, 40, {}, Verdict.FAIL, "2.5 USD for 1,000 calls, more than the teacher, 2"),
        (0.5, 40, {"latency_ms_at_most": 50}, Verdict.PASS, "95% of answers within 40 ms, its server was asked 8 at a"),
        (0.5, 60, {"latency_ms_at_most": 50}, Verdict.FAIL, "within 60 ms, its server was asked 8 at a time, at most"),
        (0.5, 40, {"size_mb_at_most": 20}, Verdict.INCONCLUSIVE, "where budget.size_mb_at_most cannot be measured"),
        (0.5, 40, {"latency_ratio_at_least": 2}, Verdict.INCONCLUSIVE, "budget.latency_ratio_at_least cannot be"),
    ],
)
def test_a_model_behind_a_server_is_held_to_its_bill_and_to_what_it_took(
    subject, golden, usd: float, ms: float, budget: dict[str, float], verdict: Verdict, sentence: str
) -> None:
    teacher = subject(1200, name="teacher", kind=ModelKind.TEACHER)
    terms = Terms(bar=BarSpec(margin=0.05), budget=BudgetSpec(**budget))
    report = evaluate(behind_a_server(usd, ms), teacher, golden(1200), terms, task=SingleLabel(CLASSES))
    assert report.verdict is verdict and report.score.size_bytes is None and report.size_ratio is None
    assert any(sentence in claim.sentence for claim in report.claims), [claim.sentence for claim in report.claims]
    assert report.usd_per_1000_calls == pytest.approx(usd)
    assert Evaluation.model_validate_json(report.model_dump_json()) == report


def test_the_bill_and_the_time_of_a_server_by_hand() -> None:
    seen = hosted([0.001, 0.003], list(range(101)), teacher_usd=0.01, calls_at_once=2, observed="s-2026")
    assert (seen.usd_per_1000_calls, seen.teacher_usd_per_1000_calls) == (pytest.approx(2), pytest.approx(10))
    assert (seen.ms_p50, seen.ms_p95) == (pytest.approx(50), pytest.approx(95))


def test_a_model_without_a_size_is_behind_a_server() -> None:
    with pytest.raises(StillhouseError, match="its size is None bytes"):
        EvaluatedModel("probe", ModelKind.BASELINE, make_outputs(3, ()), None)
