"""Live answers that are numbers: what is watched of them, who is right, and which of two releases is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.baseline import Reference, golden_reference
from stillhouse.live.estimate import AskedFrom, heard_of, together
from stillhouse.live.feedback import sampled_truth
from stillhouse.live.planning import live_plan
from stillhouse.live.segments import SECONDS_A_DAY, day_at
from stillhouse.live.slices import LiveSlice
from stillhouse.live.watch import WatchState, WatchTerms, accepted, begin, with_rows
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.data import ScoreSpec
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.deployments import DeployedRelease
from stillhouse.stages.live_report import LiveDay, Watched, report
from stillhouse.tasks.numbers import written_number
from tests.stillhouse.live.made import NOON, RELEASE, rows, terms

STARS = ScoreSpec(lowest=1, highest=5, tolerance=0.5)
GOLDEN = [written_number(number) for number in np.linspace(1, 5, 1_000)]


def reference(**changes: Any) -> Reference:
    """1,000 golden rows: the student answers each number as often, is right in 90 %, and agrees in 80 %."""
    far = [written_number((float(each) + 2) % 4) for each in GOLDEN]
    truth = [other if place % 10 == 0 else each for place, (each, other) in enumerate(zip(GOLDEN, far, strict=True))]
    taught = [other if place % 5 == 0 else each for place, (each, other) in enumerate(zip(GOLDEN, far, strict=True))]
    given: dict[str, Any] = {"teacher": taught, "truth": truth, "tolerance": 0.5, **changes}
    texts = ["a" * (1 + place % 90) for place in range(1_000)]
    return golden_reference(RELEASE, ["score"], texts, GOLDEN, [None] * 1_000, **given)


def numbers(many: int, low: float, high: float, *, seed: int = 0) -> list[str]:
    return [written_number(each) for each in np.random.default_rng(seed).uniform(low, high, many)]


def days(state: WatchState, how: WatchTerms, many: int, *, low: float = 1, high: float = 5, after: int = 0) -> Any:
    """Days of 400 answers between two numbers, with what they alarm."""
    alarms = []
    for day in range(after, after + many):
        at = NOON + day * SECONDS_A_DAY
        of_day = rows(400, at=at, seed=day, label=numbers(400, low, high, seed=day), confidence=None)
        state, found = with_rows(state, how, of_day.with_columns(characters=pl.col("number") % 90 + 1), at=at)
        alarms += found
    return state, alarms


def test_a_reference_of_numbers_counts_fifths_of_them_and_is_right_within_the_tolerance() -> None:
    found = reference()
    assert found.labels == {} and found.numbers == (200,) * 5 and found.tolerance == 0.5
    assert found.number_bins == ("below 1.8", "1.8 to 2.6", "2.6 to 3.4", "3.4 to 4.2", "4.2 and above")
    assert (found.labelled, found.wrong, found.unsure_below) == (1_000, 100, None)
    assert found.agreement is not None and (found.agreement.rows, found.agreement.disagreed) == ((1_000,), 200)
    near = [written_number(float(each) + 0.5) for each in GOLDEN]
    assert reference(truth=near).wrong == 0 and reference(truth=near, tolerance=0.49).wrong == 1_000


def test_a_student_that_says_one_number_has_a_reference_all_the_same() -> None:
    found = golden_reference("r", ["score"], ["a"] * 9, ["3"] * 9, [None] * 9, teacher=["3"] * 9, truth=[None] * 9,
                             tolerance=0.5)  # fmt: skip
    assert (found.number_bins, found.numbers) == (("below 3", "3 and above"), (0, 9))


def test_a_reference_of_labels_is_written_as_it_was() -> None:
    said = golden_reference("r", ["x"], ["a"], ["x"], [0.9], teacher=["x"], truth=["x"]).model_dump()
    assert not {"number_edges", "numbers", "tolerance"} & said.keys()


def test_numbers_like_the_golden_ones_are_no_finding_and_others_are_drift_of_inputs() -> None:
    state = begin(terms(), reference(), since=NOON, at=NOON, before=None)
    assert not [name for name in state.bets if name.startswith(("label", "unsure"))]
    state, alarms = days(state, terms(), 5)
    assert alarms == [] and not state.drifting
    state, alarms = days(state, terms(), 3, low=3.4, after=5)
    assert {each.watch.name for each in alarms} >= {"number 4.2 and above rises", "number 3.4 to 4.2 rises"}
    assert state.share_asked == terms().spec.ask_when_drifting
    rises = next(each for each in alarms if each.watch.name == "number 4.2 and above rises")
    assert "% of answers are 4.2 and above; at most" in rises.watch.in_words(rises.share)


def test_what_a_person_accepts_as_normal_has_the_bins_of_the_release_and_its_tolerance() -> None:
    state, _ = days(begin(terms(), reference(), since=NOON, at=NOON, before=None), terms(), 8, low=3.4)
    live = accepted(state, terms(), days=7).reference
    assert live.origin == "live" and live.number_bins == reference().number_bins and live.tolerance == 0.5
    assert live.rows == 7 * 400 and live.numbers[0] == live.numbers[1] == live.numbers[2] == 0
    assert live.numbers[3] + live.numbers[4] == live.rows


def test_the_teacher_agrees_within_the_tolerance_and_its_sample_is_drawn_evenly() -> None:
    """A teacher that is 0.4 above agrees everywhere; one that is 0.6 above nowhere."""
    of_day = rows(2_000, label=numbers(2_000, 1, 4), confidence=None)
    texts = of_day.select("replica", "number", "id", pl.format("text {}", "id").alias("text"))
    known = dict(zip(texts["text"], of_day["label"], strict=True))
    scale = reference().agreement
    for above, agrees in ((0.4, True), (0.6, False)):

        def ask(some: Sequence[str], above: float = above) -> pl.DataFrame:
            said = [written_number(float(known[text]) + above) for text in some]
            return pl.DataFrame({"answer": said}).with_columns(prompt_ids(pl.Series(list(some), dtype=pl.String)))

        ((_, heard),) = heard_of(of_day, texts, scale, [AskedFrom(after=0, share=0.2)], b"key", ask, tolerance=0.5)
        assert np.unique(heard.chance).tolist() == pytest.approx([0.2], abs=1e-6), "no number is surer than another"
        assert heard.asked.sum() == pytest.approx(400, rel=0.25) and heard.agreed[heard.asked].all() == agrees
        assert heard.estimate is not None and heard.estimate.label_free == pytest.approx(0.8, abs=0.01)
        assert heard.estimate.debiased == pytest.approx(1.0 if agrees else 0.0, abs=0.15)


def test_truth_that_was_asked_for_is_met_within_the_tolerance() -> None:
    drawn = pl.DataFrame(
        {"label": ["3", "3", "3", "3"], "truth": ["3.5", "2.5", "3.6", None], "wanted_share": [0.5] * 4},
        schema_overrides={"truth": pl.String},
    ).with_columns(wanted=pl.lit(True))
    found = sampled_truth(drawn, 0.7, 0.5)
    assert (found.wanted, found.returned, found.right) == (4, 3, pytest.approx(2 / 3))


def test_a_day_is_reported_by_the_rule_of_the_release(tmp_path: Path) -> None:
    said = rows(100, label=["3"] * 100, confidence=None).with_columns(day=pl.lit("2024-10-04"), matured=pl.lit(True))
    truths = ["3.5"] * 80 + ["3.51"] * 15 + [None] * 5
    of_day = said.with_columns(truth=pl.Series(truths, dtype=pl.String), wanted=pl.lit(False))
    champion = DeployedRelease(release=RELEASE, manifest="m", student="one")
    held = Watched(champion, "2024-01-01", terms(truth_binds=True), reference(), [], None, {}, {})
    live = LiveDay(day_at(NOON), [], of_day, together([]), 0)
    facts = report(live, held, traffic=TrafficSpec(feedback="complete"))
    assert (facts.truth.known, facts.truth.right) == (95, 80)
    shares = {each.subject: each.events for each in facts.shares if each.kind == "number"}
    assert shares["number 2.6 to 3.4"] == 100 and sum(shares.values()) == 100


def test_a_slice_of_a_column_is_as_right_as_its_numbers_are() -> None:
    sent = ['{"channel":"post"}' if place % 4 == 0 else None for place in range(1_000)]
    post = LiveSlice(name="post", column="channel", values=("post",), critical=True, margin=0.1)
    (found,) = reference(slices=[post], columns=sent).slices
    assert (found.labelled, found.wrong, found.heard, found.disagreed) == (250, 50, 250, 50)


def test_what_answers_of_the_teacher_buy_is_planned_without_any_confidence() -> None:
    watches, scale = terms().watches(reference()), reference().agreement
    (watch,) = (each for each in watches if each.kind is WatchKind.AGREEMENT)
    assert scale is not None
    found = live_plan(scale, watch, len(watches), terms().spec, requests_a_day=1_000)
    days = {(each.answers_a_day, each.fall): each.days or 401 for each in found.table}
    assert found.agreement == pytest.approx(0.8) and days[500, 0.2] < days[50, 0.2] < 401
