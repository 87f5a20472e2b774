"""Whom the teacher is asked about, and what its answers say of all."""

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.baseline import AgreementScale, golden_reference
from stillhouse.live.estimate import AskedFrom, by_budget, drawn, heard_of, plan_of, together
from stillhouse.statistics.live_agreement import debiased_disagreement, is_asked
from tests.stillhouse.live.made import NOON, reference, rows

KEY = b"secret"
SCALE = reference().agreement


def texts_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("replica", "number", "id", pl.format("text {}", "id").alias("text"))


def test_a_reference_counts_what_a_release_says_to_its_golden_rows() -> None:
    found = golden_reference(
        "r", ["x", "y", "z"], ["a", "bb", "ccc", "dddd", "eeeee"], ["x", "x", "y", "x", "y"],
        [0.5, 0.6, 0.7, 0.8, 0.9], teacher=["x", "y", None, "x", "y"], truth=["x", "x", "x", None, "y"],
    )  # fmt: skip
    assert found.labels == {"x": 3, "y": 2, "z": 0}
    assert (found.rows, sum(found.lengths), found.labelled, found.wrong) == (5, 5, 4, 1)
    assert found.unsure_below == pytest.approx(0.54) and found.unsure == 1
    assert found.agreement is not None
    assert (sum(found.agreement.rows), found.agreement.disagreed) == (4, 1)


def test_how_good_answers_are_is_counted_over_what_the_student_answers_by_itself() -> None:
    found = golden_reference(
        "r", ["x", "y"], ["a", "bb", "ccc", "dddd"], ["x", "x", "y", "y"], [0.5, 0.6, 0.7, 0.8],
        teacher=["y", "y", "y", "x"], truth=["y", "x", None, "x"], handed_on=[True, False, False, False],
    )  # fmt: skip
    assert (found.handed_on, found.labelled, found.wrong) == ((1, 4), 2, 1)
    assert found.agreement is not None and (sum(found.agreement.rows), found.agreement.disagreed) == (3, 2)
    assert (found.rows, found.labels, found.unsure_below) == (4, {"x": 2, "y": 2}, pytest.approx(0.53))
    everything = golden_reference("r", ["x"], ["a"], ["x"], [0.5], teacher=["x"], truth=["x"], handed_on=[True])
    assert (everything.agreement, everything.labelled, everything.handed_on) == (None, 0, (1, 1))


def test_chances_of_agreement_follow_confidence_and_are_never_certain() -> None:
    assert SCALE is not None
    np.testing.assert_allclose(
        SCALE.chance([0.1, 0.7, 0.89, 0.9, 1.0]), [141 / 202, 271 / 302, 271 / 302, *[491 / 502] * 2]
    )


def test_anybody_who_has_the_key_draws_the_same_answers() -> None:
    plan = plan_of(SCALE, 0.05)
    assert plan is not None
    frame = rows(4000)
    found = drawn(frame, texts_of(frame), plan, KEY)
    again = [is_asked(id, float(chance), key=KEY) for id, chance in zip(found.rows["id"], found.chance, strict=True)]
    assert found.asked.tolist() == again
    assert found.asked.sum() == pytest.approx(200, rel=0.25)
    other = drawn(frame, texts_of(frame), plan, b"another")
    assert other.asked.tolist() != again


def test_answers_without_a_text_of_the_teacher_or_without_a_label_are_left_out() -> None:
    plan = plan_of(SCALE, 0.05)
    assert plan is not None
    away = rows(10, first=31, degraded=True, student_label="place")  # the teacher's, had it been there
    taught = rows(10, first=11, source="teacher")
    frame = pl.concat([rows(10), taught, rows(10, first=21, status=500, label=None), away])
    found = drawn(frame, texts_of(frame).filter(pl.col("number") != 3), plan, KEY)
    assert found.rows.height == 9


def test_each_row_is_drawn_by_the_budget_that_was_in_force_when_it_arrived() -> None:
    frame = pl.concat([rows(5, at=at, first=5 * place + 1) for place, at in enumerate((0.0, 10.0, 20.0, 30.0))])
    parts = by_budget(frame, [AskedFrom(after=5.0, share=0.05), AskedFrom(after=20.0, share=0.5)])
    assert [(budget.share, some["at"].unique().sort().to_list()) for budget, some in parts] == [
        (0.05, [10.0, 20.0]),
        (0.5, [30.0]),
    ]


@pytest.mark.long
def test_the_debiased_agreement_is_right_where_confidence_is_wrong_and_silence_is_as_if_nobody_was_asked() -> None:
    frame = rows(20_000)
    truth = np.random.default_rng(1).random(20_000) < 0.7  # confidence promises 0.9
    agreed = {id: bool(yes) for id, yes in zip(prompt_ids(texts_of(frame)["text"]), truth, strict=True)}
    label = dict(zip(prompt_ids(texts_of(frame)["text"]), frame["label"], strict=True))

    def ask(texts: object) -> pl.DataFrame:
        ids = prompt_ids(pl.Series(texts, dtype=pl.String)).to_list()  # type: ignore[call-overload]
        answers = [label[id] if agreed[id] else "another" for id in ids]
        return pl.DataFrame({"prompt_id": ids, "answer": [None, *answers[1:]]})

    budgets = [AskedFrom(after=0.0, share=0.2)]
    ((_, heard),) = heard_of(frame, texts_of(frame), SCALE, budgets, KEY, ask)
    found = heard.estimate
    assert found is not None
    assert found.label_free == pytest.approx(0.9, abs=0.01)
    assert abs(found.debiased - 0.7) < 1.5 * found.half_width
    assert found.gap - found.gap_half_width > 0.15


def test_no_value_is_below_the_lowest_that_a_plan_allows() -> None:
    for share in (0.01, 0.05, 0.5, 1.0):
        plan = plan_of(SCALE, share)
        assert plan is not None
        frame = rows(2000)
        found = drawn(frame, texts_of(frame), plan, KEY)
        everybody = found.heard(pl.DataFrame({"prompt_id": found.rows["prompt_id"], "answer": found.rows["label"]}))
        assert everybody.disagreement.min() >= plan.lowest
    assert plan_of(SCALE, 0.0) is None and plan_of(None, 0.5) is None


def test_a_bin_that_no_golden_row_is_in_has_its_lowest_value_too() -> None:
    """A live answer may fall into it: ties of the lowest confidence leave the first bin empty."""
    scale = AgreementScale(edges=(0.41, 0.9), rows=(0, 400, 100), agreed=(0, 360, 100))
    plan = plan_of(scale, 0.05)
    assert plan is not None
    agreement = scale.chance([0.4])
    chance = plan.plan.chance(agreement)
    value = debiased_disagreement(agreement, chance, np.array([True]), np.array([True]))
    assert value[0] < -1 and plan.lowest <= value[0]


def test_of_no_answers_nothing_is_estimated() -> None:
    empty = together([])
    assert len(empty) == 0 and empty.estimate is None
    assert (
        heard_of(rows(0, at=NOON), texts_of(rows(0)), SCALE, [AskedFrom(after=0.0, share=0.5)], KEY, lambda _: 1 / 0)
        == []
    )  # type: ignore[arg-type,return-value]
