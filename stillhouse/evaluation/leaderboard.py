"""All candidates of a recipe side by side, as far as they compare.

Belongs here: which evaluations may stand on one board, their order, and what their numbers cannot tell apart.
Does not: finding them (orchestration/leaderboard.py), choosing one to release (selection.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import name_of_metric
from stillhouse.statistics.verdicts import Verdict

DIGITS_SHOWN = 12


@dataclass(frozen=True)
class JudgedRound:
    """One evaluation, and the round in which it was made.

    Args:
        evaluation: of a student, control or baseline.
        at: when it was judged, ISO 8601.
        run_id: the run that judged it.
    """

    evaluation: Evaluation
    at: str
    run_id: str


class Row(Record):
    """One model on the board."""

    best_rank: int = Field(description="One more than the models whose whole accuracy interval is above this one's.")
    worst_rank: int = Field(description="All models but those whose whole accuracy interval is below this one's.")
    model: str
    kind: ModelKind
    digest: str | None = Field(description="Content digest of the artifact judged; null for baselines.")
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(description="95 % Wilson interval.")
    metric: str = Field(description="What its bar compares with the teacher, and drop and bound are of.")
    drop: float = Field(description="Teacher minus model, as a fraction; negative when the model is better.")
    drop_upper_bound: float = Field(description="One-sided upper bound of the drop.")
    size_bytes: int | None = Field(description="Null of a model behind a server.")
    latency_ratio: float | None = Field(description="Times faster than its teacher; null when it was not measured.")
    by_wall_time: bool = Field(
        description="Whether that is of wall time, as of 0.1.0 and of a teacher on a GPU, and not of CPU time."
    )
    verdict: Verdict
    other_terms: bool = Field(description="Whether something else was asked of it than of the newest.")
    another_teacher: bool = Field(description="Whether drop and latency ratio are against another teacher.")
    at: str = Field(description="When it was judged, ISO 8601, UTC.")
    run_id: str
    champion: bool = Field(description="Whether this very artifact serves.")


class Leaderboard(Record):
    """Models that were judged by one golden set, the most accurate first."""

    golden_digest: str
    golden_rows: int
    grouped: bool = Field(description="Rows come in groups, of which intervals know nothing: all share one rank.")
    rows: tuple[Row, ...]


def leaderboard(judged: Sequence[JudgedRound], *, champion: str | None = None) -> Leaderboard:
    """Rank models by accuracy on one golden set.

    Of several evaluations of one artifact the newest counts; of baselines, which are no artifacts, the newest of their
    name. Accuracy compares under any bar; a verdict is marked when it is of other terms than the newest one.

    Ranks are ranges, since answers are not kept with an evaluation and no two models can be tested against each other
    pair by pair: two whose intervals overlap share their ranks. Intervals that do not overlap differ at 5 % however the
    mistakes of the two go together; of those that overlap, a paired test would tell many apart.

    Args:
        judged: oldest first; at least one.
        champion: content digest of the artifact that serves.

    Raises:
        StillhouseError: if there are none, or they are of different golden sets.
    """
    if not judged:
        raise StillhouseError(
            "nothing was evaluated yet", where="leaderboard", expected="an evaluation", do="Run the recipe first."
        )
    _refuse_mixed(judged)
    newest = {(each.evaluation.score.digest or each.evaluation.name): each for each in judged}
    board = sorted(newest.values(), key=_place)
    last = judged[-1].evaluation
    grouped = any(each.evaluation.metric_test and each.evaluation.metric_test.groups for each in board)
    intervals = [(0.0, 1.0) if grouped else each.evaluation.score.accuracy_interval for each in board]
    return Leaderboard(
        golden_digest=last.golden_digest,
        golden_rows=last.golden_rows,
        grouped=grouped,
        rows=tuple(
            _row(each, _ranks(interval, intervals), last, champion)
            for each, interval in zip(board, intervals, strict=True)
        ),
    )


def _refuse_mixed(judged: Sequence[JudgedRound]) -> None:
    digests = list(dict.fromkeys(each.evaluation.golden_digest for each in judged))
    if len(digests) > 1:
        raise StillhouseError(
            f"the evaluations are of {len(digests)} golden sets: {', '.join(name[:DIGITS_SHOWN] for name in digests)}",
            where="leaderboard",
            expected="one golden digest, since numbers on other rows compare with nothing",
            do="Show each golden set on a board of its own, or judge the older candidates again.",
        )


def _place(judged: JudgedRound) -> tuple[float, float, str]:
    evaluation = judged.evaluation
    size = evaluation.score.size_bytes
    return -evaluation.score.accuracy, math.inf if size is None else size, evaluation.name


def _ranks(interval: tuple[float, float], all_of_them: Sequence[tuple[float, float]]) -> tuple[int, int]:
    low, high = interval
    above = sum(other > high for other, _ in all_of_them)
    below = sum(other < low for _, other in all_of_them)
    return 1 + above, len(all_of_them) - below


def _row(judged: JudgedRound, ranks: tuple[int, int], last: Evaluation, champion: str | None) -> Row:
    evaluation = judged.evaluation
    score, test = evaluation.score, evaluation.metric_test or evaluation.non_inferiority
    return Row(
        best_rank=ranks[0],
        worst_rank=ranks[1],
        model=score.name,
        kind=score.kind,
        digest=score.digest,
        accuracy=score.accuracy,
        accuracy_interval=score.accuracy_interval,
        metric=name_of_metric(evaluation.bar.metric, evaluation.bar.metric_class),
        drop=test.drop,
        drop_upper_bound=test.drop_upper_bound,
        size_bytes=score.size_bytes,
        latency_ratio=evaluation.latency_ratio,
        by_wall_time=evaluation.latency is not None
        and (evaluation.latency.cpu is None or evaluation.latency.teacher_device is not None),
        verdict=evaluation.verdict,
        other_terms=evaluation.terms != last.terms,
        another_teacher=evaluation.teacher.digest != last.teacher.digest,
        at=judged.at,
        run_id=judged.run_id,
        champion=champion is not None and score.digest == champion,
    )
