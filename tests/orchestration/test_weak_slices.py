"""A slice that is weak on live answers asks its owners for rows: once, until they have come.

The releases are names in a ledger, and rows are made by hand; how a slice is found weak is in
tests/stillhouse/live/test_slices.py.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

import orchestration.watch
import orchestration.watch_actions
from assets.keys import key_of
from assets.requested_rows import requested_rows
from orchestration.build import definitions
from orchestration.fleet import fleet
from orchestration.live import live_screen, release_lines
from orchestration.notices import look_and_send
from orchestration.tables.live import live_table
from orchestration.watch import ask, look
from orchestration.watch_findings import hand_on
from stillhouse.data.cleaning import prompt_ids
from stillhouse.home import Home
from stillhouse.live.findings import Action, FoundKind, LiveFinding
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.slices import slices_of
from stillhouse.live.watch import TeacherHealth
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.records.batches import Batch, BatchFile, record
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.records.deployments import Deployment
from stillhouse.records.events import EventKind, history, pending
from stillhouse.records.ledger import Entry
from stillhouse.records.outbox import Outbox
from stillhouse.records.promotion import go_back
from stillhouse.records.rounds import starts_a_round
from stillhouse.stages.names import BASE, LIVE_REPORT, PROMPTS
from stillhouse.statistics.accuracy_test import rows_needed_for
from tests.promotions import named, serve
from tests.small import Measured, small_recipe
from tests.stillhouse.live.made import LABELS, by_label, put, reference, rows

ROWS = {"number": 600, "person": 300, "place": 100}
BY_POST = '{"channel":"post"}'
POST = {
    "slices": [{"name": "by_post", "column": "channel", "values": ["post"], "critical": True, "margin": 0.1}],
    "serving": {"request_columns": ["channel"]},
}


def recipe(folder: Path, *, critical: bool = True, **changes: object) -> RecipeFile:
    """A slice for each label; feedback for every answer."""
    slices = [{"name": f"of_{each}", "column": "label", "values": [each], "critical": critical} for each in LABELS]
    small_recipe(
        folder, rows=100, name="r", bar={"margin": 0.1}, notify=["${NOBODY_HAS_SET_THIS}"],
        **{"slices": slices, "traffic": {"feedback": "complete"}, "watch": {"ask_teacher": 0.0},
           "refresh": {"cron": "0 3 * * 1", "start": ["weak_slice"]}, **changes},
    )  # fmt: skip
    return read_recipe(folder / "recipes" / "r" / "defs.yaml")


@pytest.fixture
def builds(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildStore:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))

    def reference_of(builds: object, file: RecipeFile, release: object) -> object:
        counted = [
            by_label("any", ROWS[each.labels[0]] if each.labels else 200).model_copy(update={"slice": each})
            for each in slices_of(file.recipe)
        ]
        return reference(release.release, counted)  # type: ignore[attr-defined]

    monkeypatch.setattr(orchestration.watch, "reference_of", reference_of)
    return BuildStore(home)


@pytest.fixture
def now(builds: BuildStore) -> float:
    serve(builds.ledger, "a")
    serve(builds.ledger, "b")
    return builds.ledger.now().timestamp()


def days_of(
    builds: BuildStore,
    file: RecipeFile,
    at: float,
    wrong: dict[str, float],
    *,
    days: int,
    short: float = 0.0,
    by_post: float = 0.0,
) -> list[LiveFinding]:
    """Days of answers of which it turned out how many were wrong, and a look at them once all have matured.

    One caller in ten says that its text came by post.

    Args:
        builds: with ledger and traffic.
        file: the recipe.
        at: the first day.
        wrong: share by label.
        days: how many.
        short: share of short texts, if that is more.
        by_post: share of those that came by post, likewise.
    """
    look(builds, file, at=at)
    store = TrafficStore(builds.home.artifacts, "r")
    for day in range(days):
        moment = at + day * SECONDS_A_DAY
        sent = np.random.default_rng((1, day)).choice([BY_POST, '{"channel":null}', "{}"], 1000, p=[0.1, 0.8, 0.1])
        frame = rows(1000, at=moment, seed=day, first=2000 * day + 1, release="b", columns=sent.tolist())
        put(store, frame)
        share = pl.max_horizontal(
            pl.col("label").replace_strict(wrong),
            pl.when(pl.col("characters") <= 20).then(short),
            pl.when(pl.col("columns") == BY_POST).then(by_post),
        )
        is_wrong = pl.col("number") % 100 < 100 * share
        truth = pl.when(is_wrong).then(pl.lit("another")).otherwise("label").alias("truth")
        said = frame.select("replica", pl.col("number") + 1000, "id", "at", truth, pl.lit(None, pl.String).alias("by"))
        store.put(day_at(moment), "feedback", sealed(said))
    return [*look(builds, file, at=at + (days + 8) * SECONDS_A_DAY).findings]


WELL = dict.fromkeys(LABELS, 0.12)
FELL = {**WELL, "place": 0.5}


def test_a_stable_month_asks_for_nothing(builds: BuildStore, tmp_path: Path, now: float) -> None:
    file = recipe(tmp_path)
    assert days_of(builds, file, now, WELL, days=28) == []
    assert history(builds.ledger, "r") == [] and requested_rows(builds, file) == ()


def test_a_fall_in_one_slice_asks_for_rows_of_it_once_and_starts_one_round_at_most(
    builds: BuildStore, tmp_path: Path, now: float, instance: dg.DagsterInstance
) -> None:
    file = recipe(tmp_path)
    (finding,) = days_of(builds, file, now, FELL, days=14)
    needed = rows_needed_for(0.1, 0.1, file.recipe.bar.alpha)
    assert (finding.kind, finding.action) == (FoundKind.WEAK_SLICE, Action.ASK_FOR_ROWS)
    assert finding.because.startswith(
        f"{needed:,} more with labels; rows with labels show whether it holds the bar; it starts when the limits of "
        "`refresh` allow; the release answers the slice on: the release serves for 22 days"
    )
    assert hand_on(builds, file) == [], "owners are asked for rows, and not sent the finding beside it"
    (event,) = pending(builds.ledger, "r")
    assert (event.kind, event.facts["name"], event.times) == (EventKind.WEAK_SLICE, "of_place", 1)
    assert starts_a_round(file.recipe.refresh, event)
    (asked,) = requested_rows(builds, file)
    assert (asked.slice, asked.rows_needed, asked.critical) == ("of_place", needed, True)
    assert asked.sentence == f"{finding.sentence}: {needed:,} more rows of it with labels are needed"
    assert fleet(instance, builds, [file]).recipes["r"].requested_rows == 1
    shown = live_screen(builds, file, day_at(now), at=now + 30 * SECONDS_A_DAY)
    assert shown.requested_rows == (asked,)
    assert f"rows wanted: {asked.sentence}" in [str(each) for each in live_table(shown)]
    assert any(finding.sentence in line for line in release_lines(builds, file))

    builds.ledger.append("round", "r", {"run_id": "x", "events": [event.name]})
    assert pending(builds.ledger, "r") == [], "a round has answered it"
    assert requested_rows(builds, file) == (asked,), "and its rows have not come"
    later = now + 40 * SECONDS_A_DAY
    store = TrafficStore(builds.home.artifacts, "r")
    put(store, rows(400, at=later, seed=99, first=90_001, release="b"))
    assert not look(builds, file, at=later + 60).findings and hand_on(builds, file) == []
    assert pending(builds.ledger, "r") == []


def test_where_the_whole_fell_and_the_release_is_taken_back_no_slice_asks_for_rows(
    builds: BuildStore, tmp_path: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_back(builds: BuildStore, recipe: str, seen: Deployment, *, by: str, reason: str) -> Entry:
        return go_back(builds.ledger, recipe, seen, named("a"), exports=("b", "a"), by=by, reason=reason)

    monkeypatch.setattr(orchestration.watch_actions, "take_back", take_back)
    file = recipe(tmp_path)
    (finding,) = days_of(builds, file, now, dict.fromkeys(LABELS, 0.6), days=1)
    assert (finding.kind, finding.action) == (FoundKind.TRUTH, Action.ROLL_BACK)
    hand_on(builds, file)
    assert [each.kind for each in pending(builds.ledger, "r")] == [EventKind.AGREEMENT]
    assert requested_rows(builds, file) == ()


def test_the_owner_is_asked_once_and_reminded_until_the_rows_have_come(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    file = recipe(tmp_path)
    days_of(builds, file, now, FELL, days=14)
    hand_on(builds, file)
    outbox, moment = Outbox(builds.ledger.url), builds.ledger.now()

    def due(hours: float) -> list[str]:
        look_and_send(builds, file)
        at = moment + timedelta(hours=hours)
        found = outbox.take_due("r", file.recipe.notify, remind=timedelta(days=3), at=at)
        for each in found:
            outbox.sent(each, file.recipe.notify[each.address], at)
        return [each.notice.title for each in found]

    assert due(1) == ["r: rows of 'of_place' are needed"]
    assert due(2) == []
    assert due(74) == ["r: rows of 'of_place' are needed"]
    delivered(builds, BASE, 1000)
    assert due(200) == []


def test_of_a_slice_that_is_not_critical_rows_are_asked_for_in_reports_alone(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    file = recipe(tmp_path, critical=False)
    days_of(builds, file, now, FELL, days=14)
    assert hand_on(builds, file) == [] and look_and_send(builds, file) == []
    (asked,) = requested_rows(builds, file)
    assert not asked.critical


def delivered(
    builds: BuildStore, batch: str, places: int, others: int = 0, unlabelled: int = 0, channel: str | None = None
) -> None:
    """The prompts of a batch, made from rows of the slice and others, which may all have come by a channel."""
    labels = ["place"] * places + ["person"] * others + [None] * unlabelled
    frame = pl.DataFrame({"text": [f"{batch} {each}" for each in range(len(labels))], "label": labels})

    if channel is not None:
        frame = frame.with_columns(channel=pl.lit(channel))

    def build(folder: Path) -> Measured:
        frame.write_parquet(folder / "prompts.parquet")
        return Measured({})

    depends_on = {"places": places, "others": others, "unlabelled": unlabelled, "channel": channel}
    builds.make(BuildRequest("r", PROMPTS, "run", "1", depends_on, batch=batch), build)


def test_a_request_ends_when_as_many_rows_of_the_slice_have_come(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    file = recipe(tmp_path)
    delivered(builds, BASE, 500)
    days_of(builds, file, now, FELL, days=14)
    hand_on(builds, file)
    (asked,) = requested_rows(builds, file)
    needed = asked.rows_needed
    assert needed is not None
    delivered(builds, BASE, 500)
    assert requested_rows(builds, file) == (asked,), "the same rows again"
    delivered(builds, BASE, 510, others=1000, unlabelled=1000)
    assert requested_rows(builds, file) == (asked,), "rows of others, and rows without a label, are not of it"
    record(
        builds.ledger, "r", Batch(batch="more", files=(BatchFile(name="x", digest="x", size=1),), because="new file")
    )
    delivered(builds, "more", needed - 11)
    assert requested_rows(builds, file) == (asked,)
    delivered(builds, "more", needed - 10)
    assert requested_rows(builds, file) == ()


def test_of_a_length_any_row_with_a_label_is_delivered_whose_text_is_so_long(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    watch = {"ask_teacher": 0.0, "lengths": ["length=0-20"]}
    file = recipe(tmp_path, watch=watch, slices=[])
    days_of(builds, file, now, dict.fromkeys(LABELS, 0.12), days=14, short=0.5)
    hand_on(builds, file)
    (asked,) = requested_rows(builds, file)
    assert (asked.slice, asked.critical) == ("length=0-20", True)
    needed = asked.rows_needed
    assert needed is not None
    delivered(builds, BASE, 1, others=needed - 2, unlabelled=1000)
    assert requested_rows(builds, file) == (asked,)
    delivered(builds, BASE, 1, others=needed - 1)
    assert requested_rows(builds, file) == ()


def test_a_slice_of_a_column_that_callers_send_is_found_weak_and_asks_for_rows_that_have_its_value(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    file = recipe(tmp_path, **POST)
    (finding,) = days_of(builds, file, now, WELL, days=14, by_post=0.5)
    assert (finding.kind, finding.watch) == (FoundKind.WEAK_SLICE, "slice_truth by_post")
    hand_on(builds, file)
    (asked,) = requested_rows(builds, file)
    assert (asked.slice, asked.critical) == ("by_post", True)
    shown = live_screen(builds, file, day_at(now), at=now + 30 * SECONDS_A_DAY)
    assert f"rows wanted: {asked.sentence}" in [str(each) for each in live_table(shown)]
    needed = asked.rows_needed
    assert needed is not None
    delivered(builds, BASE, needed)
    assert requested_rows(builds, file) == (asked,), "rows of a source that has no such column"
    delivered(builds, BASE, needed - 1, others=1, unlabelled=1000, channel="app")
    assert requested_rows(builds, file) == (asked,)
    delivered(builds, BASE, needed - 2, others=1, unlabelled=1000, channel="post")
    assert requested_rows(builds, file) == (asked,)
    delivered(builds, BASE, needed - 2, others=2, channel="post")
    assert requested_rows(builds, file) == ()


def test_without_such_a_slice_the_same_fall_is_in_none(builds: BuildStore, tmp_path: Path, now: float) -> None:
    assert days_of(builds, recipe(tmp_path), now, WELL, days=14, by_post=0.5) == []
    not_sent = recipe(tmp_path, slices=POST["slices"])
    assert slices_of(not_sent.recipe) == ()


def test_a_column_that_callers_send_from_now_on_is_watched_without_another_release(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    before = look(builds, recipe(tmp_path, slices=POST["slices"]), at=now).state
    file = recipe(tmp_path, **POST)
    (finding,) = days_of(builds, file, now, WELL, days=14, by_post=0.5)
    assert finding.watch == "slice_truth by_post"
    after = look(builds, file, at=now + 23 * SECONDS_A_DAY).state
    assert before is not None and after is not None and after.release == before.release
    assert [each.slice.name for each in after.reference.slices] == ["by_post"] and before.reference.slices == ()
    back = look(builds, recipe(tmp_path, slices=POST["slices"]), at=now + 24 * SECONDS_A_DAY).state
    assert back is not None and back.reference.slices == () and back.bets.keys() == before.bets.keys()


def test_a_watch_that_begins_again_finds_the_same_and_asks_for_nothing_more(
    builds: BuildStore, tmp_path: Path, now: float
) -> None:
    file = recipe(tmp_path)
    days_of(builds, file, now, FELL, days=14)
    hand_on(builds, file)
    (event,) = pending(builds.ledger, "r")
    with sa.create_engine(builds.ledger.url).begin() as connection:  # as advised where another version wrote the state
        connection.execute(sa.text("DELETE FROM watch_states"))
    (finding,) = look(builds, file, at=now + 23 * SECONDS_A_DAY).findings
    assert finding.kind is FoundKind.WEAK_SLICE
    hand_on(builds, file)
    (again,) = pending(builds.ledger, "r")
    assert (again.key, again.times) == (event.key, 2)
    assert len(requested_rows(builds, file)) == 1


def test_a_request_ends_with_its_release(builds: BuildStore, tmp_path: Path, now: float) -> None:
    file = recipe(tmp_path)
    days_of(builds, file, now, FELL, days=14)
    hand_on(builds, file)
    assert len(requested_rows(builds, file)) == 1
    serve(builds.ledger, "c")
    assert requested_rows(builds, file) == ()


@pytest.mark.parametrize(("others", "weak"), [({}, "of_place"), (POST, "by_post")])
def test_the_teacher_finds_a_slice_weak_and_is_asked_about_each_text_once(
    builds: BuildStore, tmp_path: Path, now: float, monkeypatch: pytest.MonkeyPatch, others: dict[str, Any], weak: str
) -> None:
    """Callers say of places that they came by post."""
    file = recipe(tmp_path, **{"traffic": {}, "watch": {"ask_teacher": 1.0, "ask_when_drifting": 1.0}, **others})
    label, asked = dict[str, str](), list[str]()

    def answers(_: object, __: object, ___: object, texts: Sequence[str], *, at: float) -> pl.DataFrame:
        asked.extend(texts)
        ids = prompt_ids(pl.Series(texts, dtype=pl.String)).to_list()
        said = [
            label[text] if number % 10 and (label[text] != "place" or number % 2) else "another"
            for number, text in enumerate(texts)
        ]
        return pl.DataFrame({"prompt_id": ids, "answer": said}, schema={"prompt_id": pl.String, "answer": pl.String})

    well = TeacherHealth(at=now, day=0, as_recorded=True, sentence="as before")
    of_no_records = SimpleNamespace(facts=lambda kind: SimpleNamespace(record=None))
    monkeypatch.setattr(orchestration.watch, "teacher_behind", lambda *_: of_no_records)
    monkeypatch.setattr(orchestration.watch, "ask_live", answers)
    monkeypatch.setattr(orchestration.watch, "canary", lambda *_, day, **__: well.model_copy(update={"day": day}))
    look(builds, file, at=now)
    found: list[LiveFinding] = []
    for day in range(4):
        at = now + day * SECONDS_A_DAY
        frame = rows(600, at=at + 1, seed=day, first=1000 * day + 1, release="b")
        by_post = pl.when(pl.col("label") == "place").then(pl.lit(BY_POST)).otherwise(pl.lit("{}"))
        frame = frame.with_columns(columns=by_post)
        texts = [f"text {id}" for id in frame["id"]]
        label |= dict(zip(texts, frame["label"], strict=True))
        put(TrafficStore(builds.home.artifacts, "r"), frame, texts=texts)
        found += ask(builds, file, at=at + 60).findings
    assert len(asked) == len(set(asked)) == len(label), "each once, whatever it is in"
    (finding,) = found
    assert (finding.kind, finding.watch) == (FoundKind.WEAK_SLICE, f"slice_agreement {weak}")
    assert finding.asks is not None and finding.evidence is not None
    share = finding.evidence.events / finding.evidence.rows
    assert finding.asks.rows_needed == rows_needed_for(0.1, share, file.recipe.bar.alpha)


def test_the_report_of_a_day_says_which_rows_are_wanted(
    builds: BuildStore, tmp_path: Path, now: float, instance: dg.DagsterInstance
) -> None:
    file = recipe(tmp_path)
    look(builds, file, at=now)
    job = dg.define_asset_job("some", dg.AssetSelection.assets(key_of("r", LIVE_REPORT)).without_checks())
    some = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[job])).resolve_job_def("some")

    def metadata() -> dict[str, object]:
        result = some.execute_in_process(instance=instance, partition_key=day_at(now))
        (event,) = result.asset_materializations_for_node(result.get_asset_materialization_events()[0].node_name)
        return {name: value.value for name, value in event.metadata.items()}

    assert "rows_wanted" not in metadata()
    days_of(builds, file, now, FELL, days=14)
    hand_on(builds, file)
    (asked,) = requested_rows(builds, file)
    assert metadata()["rows_wanted"] == asked.sentence
