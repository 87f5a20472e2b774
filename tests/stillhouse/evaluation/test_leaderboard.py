"""Models stand on one board when the same golden rows judged them, and no better than their intervals tell."""

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.leaderboard import JudgedRound, leaderboard
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec


def judged(evaluation: Evaluation, digest: str | None = None, day: int = 1, teacher: str | None = None) -> JudgedRound:
    score = evaluation.score.model_copy(update={"digest": digest})
    its_teacher = evaluation.teacher.model_copy(update={"digest": teacher})
    return JudgedRound(
        evaluation.model_copy(update={"score": score, "teacher": its_teacher}), f"2026-01-0{day}", f"run {day}"
    )


def test_evaluations_of_two_golden_sets_are_refused_by_their_digests(run) -> None:
    one, other = run(rows=1200), run(rows=1201)
    with pytest.raises(StillhouseError, match="of 2 golden sets") as refused:
        leaderboard([judged(one), judged(other)])
    assert one.golden_digest[:12] in str(refused.value) and other.golden_digest[:12] in str(refused.value)
    assert "on a board of its own" in str(refused.value)
    with pytest.raises(StillhouseError, match="nothing was evaluated"):
        leaderboard([])


@pytest.mark.long
def test_the_most_accurate_is_first_and_of_equals_the_smaller(run) -> None:
    big = run(name="big", size_bytes=30_000_000, wrong=range(12))
    small = run(name="small", size_bytes=20_000_000, wrong=range(12))
    best = run(name="best", size_bytes=90_000_000, wrong=range(3))
    board = leaderboard([judged(big, "a"), judged(small, "b"), judged(best, "c")], champion="b")
    assert [row.model for row in board.rows] == ["best", "small", "big"]
    assert [row.champion for row in board.rows] == [False, True, False]
    assert (board.golden_rows, board.rows[0].drop, board.rows[0].latency_ratio) == (1200, pytest.approx(3 / 1200), 8)


@pytest.mark.long
def test_models_whose_intervals_overlap_share_their_ranks(run) -> None:
    """Wilson by hand, 1,200 rows: 1,170 right is 96.5 to 98.2 %, 1,155 is 95.0 to 97.3 %, 600 is 47.2 to 52.8 %."""
    models = {"good": range(30), "near": range(45), "majority": range(600)}
    board = leaderboard([judged(run(name=name, wrong=wrong), name) for name, wrong in models.items()])
    assert [(row.model, row.best_rank, row.worst_rank) for row in board.rows] == [
        ("good", 1, 2),
        ("near", 1, 2),
        ("majority", 3, 3),
    ]
    assert board.rows[0].accuracy_interval == pytest.approx((0.9645, 0.9824), abs=1e-4)


@pytest.mark.long
def test_the_newest_evaluation_of_an_artifact_counts_and_of_a_baseline_that_of_its_name(run) -> None:
    baseline = {"name": "probe", "kind": ModelKind.BASELINE}
    board = leaderboard(
        [
            judged(run(name="one", wrong=range(5)), "a", 1),
            judged(run(**baseline, wrong=range(9)), None, 1),
            judged(run(name="one", wrong=range(7)), "b", 2),
            judged(run(**baseline, wrong=range(8)), None, 2),
            judged(run(name="one", wrong=range(6)), "a", 3),
        ]
    )
    assert [(row.model, row.digest, row.at[-1], round(1200 * row.drop)) for row in board.rows] == [
        ("one", "a", "3", 6),
        ("one", "b", "2", 7),
        ("probe", None, "2", 8),
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    "older",
    [
        {"bar": BarSpec(margin=0.05)},
        {"budget": BudgetSpec(latency_ratio_at_least=2, size_ratio_at_least=8)},
        {"slices": [SliceSpec(name="app", column="channel", values=("app",), critical=False)]},
        {"slices": [SliceSpec(name="app", column="channel", values=("fax",), critical=True)]},
    ],
    ids=["bar", "budget", "role of a slice", "rows of a slice"],
)
def test_a_verdict_under_other_terms_is_marked_and_its_accuracy_compares(run, older) -> None:
    now = {"slices": [SliceSpec(name="app", column="channel", values=("app",), critical=True)]}
    first, second = judged(run(name="old", **{**now, **older}), "a"), judged(run(name="new", **now), "b")
    assert {row.model: row.other_terms for row in leaderboard([first, second]).rows} == {"old": True, "new": False}


def test_a_drop_from_another_teacher_is_marked(run) -> None:
    rows = leaderboard([judged(run(name="old"), "a", teacher="t1"), judged(run(name="new"), "b", teacher="t2")]).rows
    assert {row.model: row.another_teacher for row in rows} == {"old": True, "new": False}


def test_where_rows_come_in_groups_no_rank_is_said_apart(run) -> None:
    bar = BarSpec(margin=0.03, metric="macro_f1")
    good, bad = (run(name=name, wrong=wrong, bar=bar) for name, wrong in (("good", ()), ("bad", range(600))))
    assert [row.best_rank for row in leaderboard([judged(good, "a"), judged(bad, "b")]).rows] == [1, 2]
    assert good.metric_test is not None
    in_groups = good.model_copy(update={"metric_test": good.metric_test.model_copy(update={"groups": 40})})
    board = leaderboard([judged(in_groups, "a"), judged(bad, "b")])
    assert board.grouped and [(row.best_rank, row.worst_rank) for row in board.rows] == [(1, 2), (1, 2)]
    assert (board.rows[0].metric, board.rows[0].drop) == ("macro F1", good.metric_test.drop)


def test_a_speed_of_wall_time_alone_is_marked(run, latency) -> None:
    old = run(name="old", latency=latency(wall_ratio=12).model_copy(update={"cpu": None}))
    rows = leaderboard(
        [judged(old, "a"), judged(run(name="new"), "b"), judged(run(name="none", latency=None), "c")]
    ).rows
    assert {row.model: (row.latency_ratio, row.by_wall_time) for row in rows} == {
        "old": (12, True), "new": (8, False), "none": (None, False),
    }  # fmt: skip


def test_a_model_behind_a_server_has_no_size_and_stands_behind_equals_that_have_one(run) -> None:
    probe = run(name="probe", size_bytes=30_000_000, kind=ModelKind.BASELINE)
    score = probe.score.model_copy(update={"name": "prompted small", "size_bytes": None})
    board = leaderboard([judged(probe.model_copy(update={"score": score})), judged(probe)])
    assert [(row.model, row.size_bytes) for row in board.rows] == [("probe", 30_000_000), ("prompted small", None)]
