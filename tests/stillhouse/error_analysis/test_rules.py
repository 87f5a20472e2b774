"""Every student that misses has one reason and one change, by rules that end."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.error_analysis.capacity import BatchTrial
from stillhouse.error_analysis.data_scaling import RowsCurve, rows_curve
from stillhouse.error_analysis.generalisation import Counts, FitRegime, Generalisation, Share
from stillhouse.error_analysis.rules import EPOCHS_ENOUGH, RULES, Cause, ErrorAnalysis, Facts, Made, conclude, facts_of
from stillhouse.evaluation.claims import Claim
from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe.bar import BarSpec, BudgetSpec
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from tests.reported import report_json

ABLE = BatchTrial(rows=32, steps=60, agreement=1.0, divergence_left=0.001)
UNABLE = BatchTrial(rows=32, steps=60, agreement=0.6, divergence_left=0.5)
MADE = Made(layers=2, teacher_layers=6, feed_forward=256, epochs=6, dropout=0.0, rows=1000)


def claim(name: str, verdict: Verdict = Verdict.FAIL) -> Claim:
    group = "budget" if name.startswith(("size", "latency")) else "slices" if "slice" in name else "quality"
    return Claim(name=name, group=group, verdict=verdict, sentence=f"{name} does not hold", binding=True)


QUALITY = (claim("non_inferiority"),)
FLOOR = (claim("slice_floor/people"), claim("floor"))


def branched(regime: FitRegime) -> Generalisation:
    share = Share(hits=9, rows=10)
    counts = Counts(**dict.fromkeys(Counts.model_fields, share))
    return Generalisation(counts=counts, gap=0.1, regime=regime, sentence=f"{regime}: as measured")


def curve(full: float, noise: float = 0.0) -> RowsCurve:
    base = np.linspace(0.5, 1.5, 200)
    spread = np.resize([noise, -noise], 200)
    return rows_curve((500, 1000), [base, full * base + spread], [0.8, 0.8])


CLIMBING, FLAT, UNCLEAR = curve(0.7), curve(1.0), curve(0.9, noise=2.0)


def facts(
    regime: FitRegime = FitRegime.GOOD,
    more_rows: RowsCurve | None = FLAT,
    capacity: BatchTrial | None = ABLE,
    *,
    missed: tuple[Claim, ...] = QUALITY,
    over_budget: tuple[Claim, ...] = (),
    as_good: bool = False,
    made: Made = MADE,
    parent_misses: str = "",
) -> Facts:
    return Facts(missed, over_budget, as_good, made, branched(regime), capacity, more_rows, parent_misses)


def made(**changes: object) -> Made:
    return MADE.model_copy(update=changes)


TABLE = {
    "leak": (facts(FitRegime.LEAK, CLIMBING), Cause.LEAK, "name it in data.group"),
    "leak_and_too_large": (facts(FitRegime.LEAK, missed=(), over_budget=(claim("size_ratio"),)), Cause.LEAK, "copies"),
    "too_large": (facts(missed=(), over_budget=(claim("size_ratio"),)), Cause.BUDGET, "one layer less"),
    "one_layer_too_large": (
        facts(missed=(), over_budget=(claim("size_ratio"),), made=made(layers=1)), Cause.BUDGET, "fewer feed-forward",
    ),
    "speed_not_shown": (
        facts(missed=(), over_budget=(claim("latency_ratio", Verdict.INCONCLUSIVE),)), Cause.BUDGET, "latency_rounds",
    ),
    "too_few_golden_rows": (facts(as_good=True), Cause.EVIDENCE, "split.golden_share"),
    "teacher_under_the_floor": (facts(missed=FLOOR), Cause.TEACHER, "give the teacher more labelled rows"),
    "fails_a_probe": (facts(missed=(claim("behaviour/names"), *FLOOR)), Cause.DATA, "of the kind on which it fails"),
    "too_sure": (facts(missed=(claim("calibration"),)), Cause.DATA, "raise split.validation_share"),
    "floor_and_margin": (facts(missed=(*FLOOR, *QUALITY)), Cause.CAPACITY, "keep 3"),
    "parent_misses_the_bar": (
        facts(made=made(learned_from="its parent middle"), parent_misses="drop 9.0"),
        Cause.TEACHER, "bring its parent middle to the bar first, or set learns_from: teacher",
    ),
    "does_not_do_as_its_parent_does": (
        facts(FitRegime.UNDERFIT, made=made(learned_from="its parent middle"), parent_misses="drop 9.0"),
        Cause.TRAINING, "for 12 epochs",
    ),
    "no_batch_memorised": (facts(FitRegime.UNDERFIT, CLIMBING, UNABLE), Cause.CAPACITY, "keep 3 of the teacher's 6"),
    "underfit": (facts(FitRegime.UNDERFIT, CLIMBING), Cause.TRAINING, "for 12 epochs instead of 6"),
    "underfit_after_long_training": (
        facts(FitRegime.UNDERFIT, CLIMBING, made=made(epochs=EPOCHS_ENOUGH)), Cause.CAPACITY, "keep 3",
    ),
    "climbing": (facts(more_rows=CLIMBING), Cause.DATA, "to 2,000"),
    "climbing_and_overfit": (facts(FitRegime.OVERFIT, CLIMBING), Cause.DATA, "to 2,000"),
    "plateau": (facts(), Cause.CAPACITY, "keep 3 of the teacher's 6 layers instead of 2"),
    "plateau_with_all_layers": (facts(made=made(layers=6)), Cause.CAPACITY, "more feed-forward units than 256"),
    "plateau_with_all_of_the_teacher": (
        facts(made=made(layers=6, feed_forward=None)), Cause.CAPACITY, "take a larger teacher",
    ),
    "overfit_on_a_plateau": (facts(FitRegime.OVERFIT), Cause.TRAINING, "dropout 0.1"),
    "overfit_with_dropout": (facts(FitRegime.OVERFIT, made=made(dropout=0.1)), Cause.CAPACITY, "keep 3"),
    "overfit_and_unclear": (facts(FitRegime.OVERFIT, UNCLEAR), Cause.DATA, "unlabelled rows are enough"),
    "unclear": (facts(more_rows=UNCLEAR), Cause.UNDECIDED, "split.validation_share"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_what_was_measured_leads_to_one_reason_and_one_change(name: str) -> None:
    measured, cause, change = TABLE[name]
    found = conclude(measured)
    assert found is not None
    assert found.cause is cause and change in found.change
    assert found.sentence == f"{cause}: {found.evidence}. Next: {found.change}."


def test_every_rule_is_needed() -> None:
    """Each is the first that applies to something, so none stands in the shadow of those above it."""
    first = {next(place for place, rule in enumerate(RULES) if rule.applies(each)) for each, _, _ in TABLE.values()}
    assert first == set(range(len(RULES)))


def test_a_student_that_misses_nothing_has_no_reason_to_look_for() -> None:
    clears = facts(missed=())
    assert conclude(clears) is None and not clears.training_is_asked


@pytest.mark.parametrize("name", TABLE)
def test_training_is_tried_only_where_it_can_be_the_reason(name: str) -> None:
    measured, cause, _ = TABLE[name]
    before = replace(measured, capacity=None, more_rows=None)
    elsewhere = cause in (Cause.LEAK, Cause.BUDGET, Cause.EVIDENCE, Cause.TEACHER)
    assert before.training_is_asked == (not elsewhere and name not in ("fails_a_probe", "too_sure"))


verdicts = st.sampled_from([Verdict.FAIL, Verdict.INCONCLUSIVE])
names = st.sampled_from(["non_inferiority", "floor", "slice/people", "slice_floor/people", "slice_gap", "stress/typos"])
some_claims = st.lists(st.builds(claim, names, verdicts), max_size=3).map(tuple)
some_budget = st.lists(st.builds(claim, st.sampled_from(["size_ratio", "latency_ratio"]), verdicts), max_size=2)
some_made = st.builds(
    Made,
    layers=st.integers(1, 6),
    teacher_layers=st.just(6),
    feed_forward=st.none() | st.integers(1, 1536),
    epochs=st.integers(1, 60),
    dropout=st.sampled_from([0.0, 0.1, 0.5]),
    rows=st.integers(1, 10**6),
)


@pytest.mark.long
@given(
    st.sampled_from(list(FitRegime)),
    st.sampled_from([CLIMBING, FLAT, UNCLEAR, None]),
    st.sampled_from([ABLE, UNABLE, None]),
    some_claims,
    some_budget.map(tuple),
    st.booleans(),
    some_made,
)
def test_whatever_was_measured_a_miss_is_never_the_last_word(
    regime, more_rows, capacity, missed, over_budget, as_good, how
) -> None:
    measured = facts(regime, more_rows, capacity, missed=missed, over_budget=over_budget, as_good=as_good, made=how)
    found = conclude(measured)
    assert (found is None) == (not missed and not over_budget)
    if found is not None:
        assert found.evidence and found.change and not found.evidence.endswith(".")


@pytest.mark.long
@given(some_made)
def test_training_longer_ends(how: Made) -> None:
    """Each round trains as the last one said; a student that still does not fit its rows is too small in the end."""
    rounds = 0
    while (found := conclude(facts(FitRegime.UNDERFIT, made=how))) is not None and found.cause is Cause.TRAINING:
        longer = int(found.change.split()[3])
        assert longer > how.epochs
        how = how.model_copy(update={"epochs": longer})
        rounds += 1
    assert found is not None and found.cause is Cause.CAPACITY
    assert rounds <= 5  # 1, 2, 4, 8, 16, 20


def of(evaluation: Evaluation) -> Facts:
    return facts_of(evaluation, MADE, branched(FitRegime.GOOD))


def test_of_an_evaluation_the_rules_see_what_binds_and_does_not_hold(run: Callable[..., Evaluation]) -> None:
    missed = of(run(wrong=range(0, 1200, 10), size_bytes=100_000_000))
    assert [each.name for each in missed.missed] == ["non_inferiority", "slice/app"]
    assert [each.name for each in missed.over_budget] == ["size_ratio"]
    assert not missed.as_good and missed.training_is_asked
    passed = of(run())
    assert (passed.missed, passed.over_budget) == ((), ()) and not passed.training_is_asked


def test_what_is_as_good_and_cannot_be_shown_lacks_evidence(run: Callable[..., Evaluation]) -> None:
    """Sixty rows, one of them lost: 1.7 points of drop are more than half of 3, and less than half of 5."""
    few = {"rows": 60, "wrong": [0], "slices": ()}
    assert of(run(**few, bar=BarSpec(margin=0.05))).as_good
    assert not of(run(**few, bar=BarSpec(margin=0.03))).as_good
    found = conclude(of(run(**few, bar=BarSpec(margin=0.05))))
    assert found is not None and found.cause is Cause.EVIDENCE and "rows would settle it" in found.evidence


def test_a_floor_above_the_teacher_is_the_teachers(run: Callable[..., Evaluation]) -> None:
    same = range(0, 1200, 5)
    evaluation = run(
        wrong=same, teacher_wrong=same, bar=BarSpec(margin=0.03, floor=0.85), slices=(),
        budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8),
    )  # fmt: skip
    found = conclude(of(evaluation))
    assert found is not None and found.cause is Cause.TEACHER
    assert "accuracy is under the floor of 85.0%" in found.evidence


def analysis_of(measured: Facts, name: str) -> ErrorAnalysis:
    """The record that the facts come from."""
    return ErrorAnalysis(
        student=name, candidate="0" * 64, made=measured.made, generalisation=measured.generalisation,
        capacity=measured.capacity, more_rows=measured.more_rows, conclusion=conclude(measured),
    )  # fmt: skip


def words(html: str) -> str:
    return " ".join(html.split())


@pytest.mark.long
@pytest.mark.figures
def test_the_report_says_why_and_what_next_of_each_student_that_misses(run: Callable[..., Evaluation]) -> None:
    lost, other = run(name="tiny", wrong=range(0, 1200, 10)), run(name="small", wrong=range(0, 1200, 11))
    analyses = {"tiny": analysis_of(facts(more_rows=CLIMBING), "tiny"), "small": analysis_of(facts(), "small")}
    page = words(report_html(lost, ReportContext(others=[other], analyses=analyses)))
    assert ">Why, and what next</h2>" in page and "<b>Data.</b> More data helps: from 500 to 1,000 rows" in page
    assert "<b>Change one thing:</b> double the training rows, to 2,000" in page
    assert "Learning curve by rows" in page and "memorises one batch of 32 answers, in 60 steps" in page
    assert "<b>Why small misses it</b>: capacity: it fits what it learned from" in page

    said = json.loads(json.dumps(report_json(lost, others=[other], analyses=analyses)))["error_analysis"]
    assert said["tiny"]["conclusion"]["cause"] == "data" and said["small"]["conclusion"]["cause"] == "capacity"
    assert said["tiny"]["sentence"] == analyses["tiny"].conclusion.sentence
    assert said["tiny"]["more_rows"]["points"][1]["rows"] == 1000


@pytest.mark.long
@pytest.mark.figures
def test_of_a_student_that_passes_the_report_says_only_how_it_generalises(run: Callable[..., Evaluation]) -> None:
    analyses = {"tiny": analysis_of(facts(missed=(), capacity=None, more_rows=None), "tiny")}
    page = words(report_html(run(name="tiny"), ReportContext(analyses=analyses)))
    assert ">Does it generalise?</h2>" in page and "of 10 golden rows: right" in page
    assert "Change one thing" not in page and "memorises" not in page and "Learning curve by rows" not in page
    assert report_json(run(name="tiny"), analyses=analyses)["error_analysis"]["tiny"]["sentence"] is None


@pytest.mark.long
def test_a_report_without_reasons_has_no_room_for_them(run: Callable[..., Evaluation]) -> None:
    assert "Does it generalise?" not in report_html(run()) and report_json(run())["error_analysis"] == {}
