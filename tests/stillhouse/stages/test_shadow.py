"""Which answers a shadow takes for right: the teacher's, or truth that may decide."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import stillhouse.stages.shadow
from stillhouse.live.feedback import with_wanted
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.records.builds import BuildStore
from stillhouse.records.rollouts import offer
from stillhouse.stages.shadow import Replay
from tests.promotions import model_of, named, seen, serve
from tests.small import small_recipe
from tests.stillhouse.live.made import put, rows

KEY = b"which answers the truth is asked for"


@pytest.fixture
def asked(builds: BuildStore) -> pl.DataFrame:
    """400 answers since the offer, of a quarter of which the truth was asked for."""
    serve(builds.ledger, "a")
    seen_now = seen(builds.ledger)
    offer(builds.ledger, "r", named("b"), seen=seen_now, export=model_of("b"), run_id="run", relied_on=())
    at = builds.ledger.now().timestamp() + 60
    frame = rows(400, at=at, release="a", wanted_share=0.25)
    put(TrafficStore(builds.home.artifacts, "r"), frame)
    return with_wanted(frame, KEY).with_columns(day=pl.lit(day_at(at)))


def say(builds: BuildStore, of: pl.DataFrame) -> None:
    said = of.select(
        "replica", pl.int_range(1_001, 1_001 + pl.len(), dtype=pl.Int64).alias("number"), "id", "at",
        pl.lit("number").alias("truth"), pl.lit(None, pl.String).alias("by"),
    )  # fmt: skip
    TrafficStore(builds.home.artifacts, "r").put(of["day"][0], "feedback", sealed(said))


def right(builds: BuildStore, folder: Path, asked: pl.DataFrame, feedback: str, patches: pytest.MonkeyPatch) -> Any:
    """The ids of the replayed rows that truth judges."""
    file = small_recipe(
        folder, rows=100, name="r", traffic={"feedback": feedback}, rollout={"shadow": {"judge_by": "truth"}}
    )
    patches.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    at = builds.ledger.now().timestamp() + 9 * SECONDS_A_DAY
    replay = Replay.of(file, builds, seen(builds.ledger), None, key=lambda purpose: purpose, at=at)
    two = {"champion": "number", "challenger": "place", "champion_asks": False, "challenger_asks": False}
    replayed = asked.select("replica", "day", "number", "id", pl.lit("who ?").alias("text")).with_columns(
        **{name: pl.lit(value) for name, value in two.items()}
    )
    judged, _ = replay.right(replayed)
    return {*judged["id"]}


def test_of_a_sample_only_truths_that_were_asked_for_judge(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(builds, asked)
    wanted = {*asked.filter("wanted")["id"]}
    assert right(builds, tmp_path, asked, "sample", monkeypatch) == wanted
    assert 50 < len(wanted) < 150
    assert right(builds, tmp_path, asked, "complete", monkeypatch) == {*asked["id"]}


def test_of_a_day_of_which_too_little_came_no_truth_judges(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked.filter("wanted")
    say(builds, wanted.head(int(0.7 * wanted.height)))
    assert right(builds, tmp_path, asked, "sample", monkeypatch) == set()
