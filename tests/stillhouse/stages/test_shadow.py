"""Which answers a shadow takes for right, and which requests it replays where there are more than one look takes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import stillhouse.live.shadow
import stillhouse.stages.shadow
from stillhouse.live.feedback import with_wanted
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.shadow import Word
from stillhouse.recipe.record import RecordSpec
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.rollouts import offer
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import Replay, ShadowFacts, _counts_on, plan
from stillhouse.statistics.verdicts import Verdict
from stillhouse.summaries import shadow as summary
from stillhouse.tasks.records import record_in_cell, without_words
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


def say(builds: BuildStore, of: pl.DataFrame, first: int = 1_001, truths: Sequence[str] = ()) -> None:
    said = of.select(
        "replica", pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("number"), "id", "at",
        pl.Series("truth", truths or ["number"] * of.height), pl.lit(None, pl.String).alias("by"),
    )  # fmt: skip
    TrafficStore(builds.home.artifacts, "r").put(of["day"][0], "feedback", sealed(said))


def judged_by_truth(builds: BuildStore, folder: Path, feedback: str) -> Replay:
    """What is replayed when all that was asked has matured."""
    file = small_recipe(
        folder, rows=100, name="r", traffic={"feedback": feedback}, rollout={"shadow": {"judge_by": "truth"}}
    )
    at = builds.ledger.now().timestamp() + 9 * SECONDS_A_DAY
    return Replay.of(file, builds, seen(builds.ledger), None, key=str.encode, at=at)


def right(builds: BuildStore, folder: Path, asked: pl.DataFrame, feedback: str, patches: pytest.MonkeyPatch) -> Any:
    """The ids of the replayed rows that truth judges."""
    patches.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    replay = judged_by_truth(builds, folder, feedback)
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


def test_a_truth_that_was_kept_when_a_field_was_words_judges_no_number(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: it was like neither answer, so that a challenger lost nothing whatever it said."""
    monkeypatch.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    training = {"epochs": 1, "loss": "labels", "max_tokens": 32}
    file = small_recipe(
        tmp_path, rows=100, name="r", traffic={"feedback": "complete"}, rollout={"shadow": {"judge_by": "truth"}},
        data__answer="fields", data__fields={"total": {"kind": "number"}}, slices=[],
        students=[{"name": "one", "layers": [0], "training": {**training, "loss": "kl"}}],
    )  # fmt: skip
    at = builds.ledger.now().timestamp() + 9 * SECONDS_A_DAY
    spec = file.recipe.data.record
    assert spec is not None
    words = RecordSpec.model_validate({"words": 64, "fields": {"total": {"kind": "verbatim"}}})
    for kept_under, judged in ((words, 0), (spec, asked.height)):
        replay = Replay.of(file, builds, seen(builds.ledger), None, key=str.encode, at=at)
        key = replay.key(Purpose.WORDS_ARE_COMPARED)
        record = record_in_cell('{"total":"1,931.50"}', kept_under)
        truths = [without_words(record, kept_under, key=key, id=id) for id in asked["id"]]
        say(builds, asked, first=1_001 if kept_under is words else 5_001, truths=truths)
        replayed = asked.select("replica", "day", "number", "id", pl.lit("1,931.50").alias("text")).with_columns(
            champion=pl.lit('{"total":"1,931.50"}'), challenger=pl.lit('{"total":1931.5}'),
            champion_asks=False, challenger_asks=False,
        )  # fmt: skip
        found, _ = replay.right(replayed)
        assert found.height == judged
    assert found.select(pl.col("champion", "challenger") == pl.col("right")).min().row(0) == (True, True)


def test_of_a_day_of_which_too_little_came_no_truth_judges(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked.filter("wanted")
    say(builds, wanted.head(int(0.7 * wanted.height)))
    assert right(builds, tmp_path, asked, "sample", monkeypatch) == set()


@pytest.mark.parametrize("feedback", ["sample", "complete"])
def test_requests_of_a_day_wait_until_enough_of_its_truth_has_come_however_late(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, feedback: str
) -> None:
    day, wanted = asked["day"][0], asked.filter("wanted")
    texts = asked.select("replica", "number", "id", pl.lit("who ?").alias("text"))
    TrafficStore(builds.home.artifacts, "r").put(day, "texts", sealed(texts))
    early = wanted.head(int(0.7 * wanted.height) if feedback == "sample" else 0)
    if not early.is_empty():
        say(builds, early)
    first = judged_by_truth(builds, tmp_path, feedback)
    assert first.days == [] and first.due().is_empty(), "once they are seen they count no more"
    say(builds, wanted.tail(wanted.height - early.height), first=2_001)
    later = judged_by_truth(builds, tmp_path, feedback)
    assert later.days == [day] and later.due().height == asked.height


LIVE = {"shadow": {"mode": "live", "judge_by": "truth"}, "canary": {"memory_mb_at_most": 300}}
NUMBERS = {"name": "numbers", "column": "label", "values": ["number"], "critical": True}


def look(builds: BuildStore, folder: Path, newest: Artifact | None = None, **changes: Any) -> Artifact:
    """The shadow of a recipe that keeps no text, once all truth has matured."""
    wanted = {"traffic": {"keep_texts": False, "feedback": "sample"}, "rollout": LIVE, "slices": [NUMBERS], **changes}
    file = small_recipe(folder, rows=100, name="r", **wanted)
    at = builds.ledger.now().timestamp() + 9 * SECONDS_A_DAY
    planned = plan(Replay.of(file, builds, seen(builds.ledger), newest, key=str.encode, at=at))
    return builds.make(BuildRequest("r", SHADOW, "run", "1", dict(planned.depends_on)), planned.build)


def tell(builds: BuildStore, of: pl.DataFrame, *, salt: str | None = None, first: int = 2_001) -> None:
    """The challenger says something else than the champion to each number, and fails at each place."""
    challenger = seen(builds.ledger).challenger
    assert challenger is not None
    other = pl.col("label").replace_strict({"number": "person", "person": "person", "place": None})
    of_challenger = of.select(
        "replica", pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("number"), "id", "at",
        pl.lit(salt or challenger.salt).alias("rollout"), pl.lit("b").alias("release"), other.alias("label"),
        pl.lit(0.5).alias("confidence"),
    )  # fmt: skip
    TrafficStore(builds.home.artifacts, "r").put(of["day"][0], "shadow", sealed(of_challenger))


def test_what_servers_have_heard_is_judged_by_the_truths_that_were_asked_for(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame
) -> None:
    """All truths are `number`: the challenger loses each of them, and where the champion is wrong, too, neither does.

    What it says of another rollout counts for none, and what only it or only the champion answered is no pair.
    """
    wanted = asked.filter("wanted")
    say(builds, asked)
    tell(builds, asked.head(300))
    tell(builds, asked.tail(100), salt="of another rollout", first=3_001)
    heard = wanted.join(asked.head(300), on="id", how="semi")
    found = look(builds, tmp_path)
    facts = found.facts(ShadowFacts)
    numbers = heard.filter(label="number").height
    assert (facts.mode, facts.judge, facts.asked, facts.left_out, facts.whole) == ("live", "truth", 0, 0, ())
    assert (facts.overall.rows, facts.overall.lost, facts.overall.won) == (heard.height, numbers, 0)
    assert facts.overall.differ == heard.filter(pl.col("label") != "person").height
    assert (facts.parts["numbers"].rows, facts.parts["numbers"].lost) == (numbers, numbers)
    assert facts.overall.test.verdict is facts.parts["numbers"].test.verdict is Verdict.FAIL
    assert sum(facts.parts[name].rows for name in stillhouse.live.shadow.LENGTHS) == heard.height
    again = look(builds, tmp_path, found).facts(ShadowFacts)
    assert again.parts == facts.parts, "nothing is counted twice"
    assert summary.headline(facts).startswith(f"{heard.height} requests compared")


def test_where_too_little_truth_came_of_what_servers_have_heard_nothing_is_judged(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame
) -> None:
    wanted = asked.filter("wanted")
    say(builds, wanted.head(int(0.7 * wanted.height)))
    tell(builds, asked)
    facts = look(builds, tmp_path).facts(ShadowFacts)
    assert facts.overall.rows == 0 and facts.overall.test.verdict is Verdict.INCONCLUSIVE


def test_a_recipe_that_takes_up_asking_live_does_not_count_what_was_replayed_before(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    monkeypatch.setattr(stillhouse.stages.shadow, "_says", lambda *about: lambda text, _: Word("number"))
    put(TrafficStore(builds.home.artifacts, "r"), asked.select(pl.exclude("wanted", "day")), texts=["who ?"] * 400)
    say(builds, asked)
    complete = {"feedback": "complete"}
    replayed = look(builds, tmp_path, traffic=complete, rollout={"shadow": {"judge_by": "truth"}})
    assert replayed.facts(ShadowFacts).overall.rows == 400 and "mode" not in replayed.manifest.facts
    tell(builds, asked.head(10))
    facts = look(builds, tmp_path, replayed, traffic=complete).facts(ShadowFacts)
    assert (facts.mode, facts.overall.rows) == ("live", 10)


def test_a_rare_slice_is_counted_whole_over_several_looks(
    builds: BuildStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(builds.ledger, "a")
    offer(builds.ledger, "r", named("b"), seen=seen(builds.ledger), export=model_of("b"), run_id="run", relied_on=())
    place = {"name": "places", "column": "label", "values": ["place"], "critical": True}
    file = small_recipe(tmp_path, rows=100, name="r", traffic={}, rollout={}, slices=[place])
    store, at = TrafficStore(builds.home.artifacts, "r"), builds.ledger.now().timestamp() + 60
    few = partial(stillhouse.live.shadow.draw, at_most=200, whole_at_most=50)
    monkeypatch.setattr(stillhouse.live.shadow, "draw", few)
    monkeypatch.setattr(stillhouse.stages.shadow, "_says", lambda *about: lambda text, _: Word(text.partition(" ")[0]))
    monkeypatch.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    newest = None
    for look, shares in enumerate([(0.6, 0.38, 0.02), (0.6, 0.38, 0.02), (0.5, 0.3, 0.2)]):
        many = 100 if look == 2 else 1_000
        frame = rows(many, at=at, release="a", first=1 + 1_000 * look, shares=shares, seed=look)
        put(store, frame, texts=[f"{label} {number}" for label, number in frame.select("label", "number").rows()])
        replay = Replay.of(file, builds, seen(builds.ledger), newest, key=str.encode, at=at + 60)
        planned = plan(replay)
        order = BuildRequest("r", SHADOW, "run", "1", dict(planned.depends_on))
        newest = builds.make(order, planned.build)
    assert newest is not None
    facts = newest.facts(ShadowFacts)
    labels = store.frame(day_at(at), "requests").sort("number")["label"]
    rare = [int((labels.slice(1_000 * look, 1_000) == "place").sum()) for look in (0, 1)]
    assert facts.whole == ("places",) and facts.parts["places"].rows == (labels == "place").sum()
    assert facts.overall.rows == (200 - rare[0]) + (200 - rare[1]) + 100, "of all requests the sample counts"
    assert 2_100 - facts.left_out <= 500, "and none more was replayed than without"


@pytest.fixture
def two(builds: BuildStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The champion calls each text a number, the challenger each that ends with an x a place; who asked the teacher."""
    asked_of_it = list[str]()

    def says(of: BuildStore, release: Any) -> Any:
        champion = release.release == "a"
        return lambda text, _: Word("place" if text.endswith("x") and not champion else "number")

    def ask(builds: BuildStore, file: Any, teacher: Any, texts: list[str], *, at: float) -> pl.DataFrame:
        asked_of_it.extend(texts)
        return pl.DataFrame({"answer": ["place"] * len(texts)}, schema={"answer": pl.String})

    monkeypatch.setattr(stillhouse.stages.shadow, "teacher_behind", lambda *_: SimpleNamespace(digest="t"))
    monkeypatch.setattr(stillhouse.stages.shadow, "_says", says)
    monkeypatch.setattr(stillhouse.stages.shadow, "ask_live", ask)
    return asked_of_it


def keep_texts(builds: BuildStore, asked: pl.DataFrame) -> None:
    """Of each 10 texts the two differ on one."""
    texts = pl.Series("text", [f"what is {n} ?{'x' if n % 10 == 0 else ''}" for n in range(asked.height)])
    sealed_texts = sealed(asked.select("replica", "number", "id", texts))
    TrafficStore(builds.home.artifacts, "r").put(asked["day"][0], "texts", sealed_texts)


def beside(
    builds: BuildStore, folder: Path, feedback: str, newest: Artifact | None = None, days: float = 9
) -> Artifact:
    """The shadow that the teacher judges, some days after what was asked."""
    file = small_recipe(folder, rows=100, name="r", traffic={"feedback": feedback}, rollout={}, slices=[NUMBERS])
    at = builds.ledger.now().timestamp() + days * SECONDS_A_DAY
    planned = plan(Replay.of(file, builds, seen(builds.ledger), newest, key=str.encode, at=at))
    return builds.make(BuildRequest("r", SHADOW, "run", "1", dict(planned.depends_on)), planned.build)


def test_what_people_said_is_shown_beside_the_teacher_once_it_has_matured_and_binds_nobody(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str]
) -> None:
    """The teacher is for the challenger wherever they differ, and people are for the champion."""
    keep_texts(builds, asked)
    wanted = asked.filter("wanted")
    say(builds, asked)
    early = beside(builds, tmp_path, "sample", days=1)
    facts = early.facts(ShadowFacts)
    assert facts.truth is not None and facts.truth.parts[stillhouse.live.shadow.ALL].rows == 0
    assert (facts.truth.waiting, facts.overall.won) == (1, 40)
    said = str(summary.truth(facts))
    assert said.startswith("nothing that people said has matured; of 1 days no truth counts yet")
    asked_once = len(two)
    assert asked_once == 40

    later = beside(builds, tmp_path, "sample", early)
    facts = later.facts(ShadowFacts)
    assert facts.truth is not None and len(two) == asked_once, "truth needs no teacher"
    found = facts.truth.parts[stillhouse.live.shadow.ALL]
    differ = wanted.filter((pl.col("number") - 1) % 10 == 0).height
    assert (found.rows, found.lost, found.won, found.differ) == (wanted.height, differ, 0, differ)
    assert (found.champion_right, found.challenger_right) == (wanted.height, wanted.height - differ)
    assert (facts.overall.rows, facts.overall.lost, facts.overall.won) == (400, 0, 40), "the teacher's word stands"
    assert facts.overall.test.verdict is Verdict.PASS and found.test.verdict is not Verdict.PASS
    said = str(summary.truth(facts))
    assert f"of {wanted.height} requests with their truth the champion has 100.0% right" in said
    assert f"{differ} lost, 0 won" in said and said.endswith("shown beside the teacher, which judges")
    by_part = {row["part"]: row for row in summary.parts_by_truth(facts)}
    assert by_part["numbers"]["champion right"] == "100.0%" and by_part["numbers"]["lost"] == differ
    assert "reported only" in str(by_part["numbers"]["verdict"])

    again = beside(builds, tmp_path, "sample", later, days=10).facts(ShadowFacts)
    assert again.truth == facts.truth, "nothing is counted twice"


@pytest.mark.parametrize("judge", ["teacher", "truth"])
def test_of_more_requests_than_a_look_replays_those_whose_truth_is_known_are_not_crowded_out(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str], monkeypatch: pytest.MonkeyPatch, judge: str
) -> None:
    keep_texts(builds, asked)
    say(builds, asked.filter("wanted"))
    few = partial(stillhouse.live.shadow.draw, at_most=150)
    monkeypatch.setattr(stillhouse.live.shadow, "draw", few)
    shadow = {"traffic": {"feedback": "sample"}, "rollout": {"shadow": {"judge_by": judge}}}
    facts = look(builds, tmp_path, **shadow).facts(ShadowFacts)
    known = asked.filter("wanted").height
    assert facts.by_truth is not None and facts.by_truth[stillhouse.live.shadow.ALL].rows == known < 150
    left_out = facts.left_out if judge == "truth" else facts.truth and facts.truth.left_out
    assert left_out == 0, "of these no sample was needed"


def test_where_too_little_truth_came_for_a_verdict_it_says_how_much_is_missing_and_never_that_it_holds(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str]
) -> None:
    keep_texts(builds, asked)
    say(builds, asked.head(30))
    facts = beside(builds, tmp_path, "complete").facts(ShadowFacts)
    assert facts.truth is not None
    test = facts.truth.parts[stillhouse.live.shadow.ALL].test
    assert test.verdict is Verdict.INCONCLUSIVE and test.rows_needed is not None
    said = str(summary.truth(facts))
    assert "not enough to tell" in said and f"about {test.rows_needed - 30:,} more requests are needed" in said
    assert "within the margin" not in said and "of 30 requests" in said


def test_feedback_of_whoever_cares_to_is_shown_as_that_and_without_any_nothing_is_written(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str]
) -> None:
    keep_texts(builds, asked)
    silent = beside(builds, tmp_path, "unknown")
    assert "truth" not in silent.manifest.facts and summary.truth(silent.facts(ShadowFacts)) is None
    assert {path.name for path in silent.folder.glob("*.parquet")} == {"seen.parquet", "tally.parquet"}
    say(builds, asked.head(20))
    facts = beside(builds, tmp_path, "unknown", silent).facts(ShadowFacts)
    assert facts.truth is not None and facts.truth.parts[stillhouse.live.shadow.ALL].rows == 20
    assert "said by whoever cared to, which is not a sample" in str(summary.truth(facts))


def test_a_shadow_that_takes_up_truth_as_its_judge_counts_nothing_that_the_teacher_said(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str]
) -> None:
    """People are for the champion wherever they differ: what passed by the teacher fails by truth."""
    keep_texts(builds, asked)
    say(builds, asked)
    by_teacher = beside(builds, tmp_path, "complete", days=1)
    assert by_teacher.facts(ShadowFacts).overall.won == 40
    asked_once = len(two)
    truth = {"traffic": {"feedback": "complete"}, "rollout": {"shadow": {"judge_by": "truth"}}}
    made = look(builds, tmp_path, by_teacher, **truth)
    facts = made.facts(ShadowFacts)
    assert (facts.judge, facts.overall.rows, facts.overall.lost, facts.overall.won) == ("truth", 400, 40, 0)
    assert facts.overall.test.verdict is Verdict.FAIL and facts.truth is None and len(two) == asked_once
    assert facts.overall.champion_right == 400 and str(summary.truth(facts)).endswith("truth judges")


def test_counts_by_truth_of_an_earlier_version_go_on_without_accuracies(
    builds: BuildStore, tmp_path: Path, asked: pl.DataFrame, two: list[str]
) -> None:
    keep_texts(builds, asked)
    say(builds, asked)
    truth = {"traffic": {"feedback": "complete"}, "rollout": {"shadow": {"judge_by": "truth"}}}
    made = look(builds, tmp_path, **truth)
    before = made.frame("tally").drop(stillhouse.live.shadow.BOTH)
    tallies = [before, made.frame("tally")]
    total = stillhouse.live.shadow.added(tallies)
    assert stillhouse.live.shadow.BOTH not in total.columns and total["rows"][0] == 800
    rollout = small_recipe(tmp_path, rows=100, name="r", rollout={}, traffic={}).recipe.rollout
    assert rollout is not None
    parts = stillhouse.live.shadow.judged(total, [], rollout.shadow)
    facts = made.facts(ShadowFacts).model_copy(update={"parts": parts})
    assert str(summary.truth(facts)).startswith("800 requests with their truth, 80 lost, 0 won")


@pytest.mark.parametrize(
    ("counted", "now", "go_on"), [(None, None, True), (0.5, 0.5, True), (0.5, 0.25, False), (None, 0.5, False)]
)
def test_counts_go_on_as_long_as_numbers_are_right_by_one_tolerance(
    counted: float | None, now: float | None, go_on: bool
) -> None:
    facts = {"rollout": "salt", "judge": "teacher"} | ({} if counted is None else {"tolerance": counted})
    newest: Any = SimpleNamespace(manifest=SimpleNamespace(facts=facts))
    assert _counts_on(newest, "salt", "replay", "teacher", now) is go_on
