"""The watch acts on what it finds: with releases that are names in a ledger, and rows made by hand.

A real release, its real teacher and Dagster are in test_live.py.
"""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
from rich.console import Console

import orchestration.watch
import orchestration.watch_actions
import orchestration.watch_sensor
from orchestration.commands.live import Watching
from orchestration.jobs import live_report_job
from orchestration.live import live_screen, release_lines
from orchestration.notices import look_and_send
from orchestration.recipe_check import load_mistakes
from orchestration.tables.live import live_table
from orchestration.watch import Looked, accept, look
from orchestration.watch_findings import hand_on
from orchestration.watch_sensor import matured_reports_due, reports_due, watch_sensor
from stillhouse.errors import StillhouseError
from stillhouse.live.baseline import CascadeReference, Reference
from stillhouse.live.feedback import LATE_TRUTH_DAYS, with_wanted
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.state import WatchBook
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.records.deployments import Deployment, desired
from stillhouse.records.events import EventKind, history
from stillhouse.records.ledger import Entry
from stillhouse.records.outbox import Outbox
from stillhouse.records.promotion import bring_in, go_back, hold
from stillhouse.records.replicas import AWAY_AFTER, Heartbeat
from stillhouse.records.rollouts import move_on, offer
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.names import LIVE_REPORT
from tests.clock import midday
from tests.heartbeats import beat_ago
from tests.killing import KilledError, killed_before, raise_killed
from tests.promotions import model_of, named, seen, serve
from tests.small import small_recipe
from tests.stillhouse.live.made import AGREEMENT, put, reference, rows
from tests.warm import WarmParent, warm_parent


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeFile:
    """A recipe with a watch that asks nobody; the releases of its ledger are names, without artifacts behind them."""
    small_recipe(
        tmp_path, rows=100, name="r", traffic={"feedback": "complete"}, watch={"ask_teacher": 0.0},
        notify=["${NOBODY_HAS_SET_THIS}"],
    )  # fmt: skip
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    let_releases_be_names(monkeypatch)
    return read_recipe(tmp_path / "recipes" / "r" / "defs.yaml")


def let_releases_be_names(patches: pytest.MonkeyPatch) -> None:
    """Go back to a release, and measure traffic against one, of which there is a name alone."""

    def take_back(builds: BuildStore, recipe: str, seen: Deployment, *, by: str, reason: str) -> Entry:
        exports = model_of(seen.champion.release), "a"
        return go_back(builds.ledger, recipe, seen, named("a"), exports=exports, by=by, reason=reason)

    patches.setattr(orchestration.watch_actions, "take_back", take_back)
    patches.setattr(orchestration.watch, "reference_of", lambda builds, file, release: reference(release.release))


@pytest.fixture
def now(builds: BuildStore) -> Iterator[float]:
    """Releases a and b were promoted; it is the middle of the day."""
    with midday():
        serve(builds.ledger, "a")
        serve(builds.ledger, "b")
        yield builds.ledger.now().timestamp()


def answered(
    builds: BuildStore, many: int, *, at: float, release: str = "b", first: int = 1, **columns: object
) -> None:
    put(TrafficStore(builds.home.artifacts, "r"), rows(many, at=at, release=release, first=first, **columns))


def serving(builds: BuildStore) -> str:
    found = desired(builds.ledger, "r")
    assert found is not None
    return found.champion.release


def begun(builds: BuildStore, file: RecipeFile, at: float) -> Looked:
    """The watch has looked at the champion before anything was answered."""
    return look(builds, file, at=at)


def test_no_traffic_and_nothing_that_serves_are_no_findings(builds: BuildStore, file: RecipeFile) -> None:
    assert look(builds, file, at=0.0).sentence == "nothing serves yet"
    serve(builds.ledger, "a")
    now = builds.ledger.now().timestamp()
    for day in range(40):
        assert not look(builds, file, at=now + day * SECONDS_A_DAY).findings
    assert builds.ledger.entries("r", "baseline") == []
    assert reports_due(WatchBook(builds.ledger.url, "r").read().state, now + 39 * SECONDS_A_DAY) == []


def test_a_release_that_fails_is_taken_back_first_and_then_people_hear_of_it(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    answered(builds, 200, at=now, status=500, label=None, confidence=None)
    (finding,) = look(builds, file, at=now + 60).findings
    assert (finding.kind, finding.action, finding.release) == (FoundKind.ERRORS, Action.ROLL_BACK, "b")
    assert serving(builds) == "a"
    withdrawal = builds.ledger.newest("r", "withdrawal")
    assert withdrawal is not None
    assert (withdrawal.body["by"], withdrawal.body["reason"]) == (BY, finding.sentence)
    assert f"entry {withdrawal.sequence}" in finding.because
    (said,) = release_lines(builds, file)
    assert said == f"b was withdrawn on {withdrawal.at[:10]} by {BY}: {finding.sentence}"
    serve(builds.ledger, "c")
    assert release_lines(builds, file) == (), "a later round has another release serve"
    (line,) = hand_on(builds, file)
    assert "NOBODY_HAS_SET_THIS is not set" in line
    assert hand_on(builds, file) == [], "once"
    (noted,) = history(builds.ledger, "r")
    assert (noted.event.kind, noted.event.times) == (EventKind.SERVICE, 1)
    later = builds.ledger.now() + timedelta(hours=1)
    due = Outbox(builds.ledger.url).take_due("r", file.recipe.notify, remind=timedelta(days=3), at=later)
    assert [each.notice.title for each in due] == ["r: errors of b, the release was taken back"]


def test_of_a_release_that_a_person_has_brought_back_no_withdrawal_is_said(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    """Regression: `diagnose` said of the release that serves that it was withdrawn."""
    begun(builds, file, now)
    answered(builds, 200, at=now, status=500, label=None, confidence=None)
    look(builds, file, at=now + 60)
    assert any("b was withdrawn on" in line for line in release_lines(builds, file))
    why = "it was the network and not the release"
    bring_in(builds.ledger, "r", seen(builds.ledger), named("b"), export=model_of("b"), by="Ann Lee", reason=why)
    assert serving(builds) == "b"
    assert not any("was withdrawn" in line for line in release_lines(builds, file))


def test_the_release_that_was_brought_back_is_not_taken_back_for_the_same(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    serve(builds.ledger, "c")
    begun(builds, file, now)
    answered(builds, 200, at=now, release="c", latency_ms=99.0)
    look(builds, file, at=now + 60)
    assert serving(builds) == "a"
    answered(builds, 200, at=now + 120, release="a", first=201, latency_ms=99.0)
    (finding,) = look(builds, file, at=now + 180).findings
    assert (finding.action, finding.release) == (Action.PERSON, "a")
    assert serving(builds) == "a"
    withdrawn, of_it = release_lines(builds, file)
    assert withdrawn.startswith("c was withdrawn on")
    assert of_it == f"{day_at(finding.at)}: {finding.sentence}: {finding.action}, {finding.because}"


def test_what_stands_is_said_once_until_a_whole_day_is_within_its_limit(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    hold(builds.ledger, "r", by="Ann Lee", reason="the month is being closed")
    begun(builds, file, now)
    found = []
    for day, slow in enumerate((99.0, 99.0, 99.0, 1.0, 1.0, 99.0)):
        at = now + day * SECONDS_A_DAY
        answered(builds, 200, at=at, first=200 * day + 1, latency_ms=slow)
        found.append(len(look(builds, file, at=at + 1).findings))
    assert found == [1, 0, 0, 0, 0, 1]


@pytest.fixture
def limited(file: RecipeFile) -> RecipeFile:
    """The same recipe, whose servers may hold 300 MB."""
    said = file.path.read_text()
    file.path.write_text(said.replace("    ask_teacher: 0.0\n", "    ask_teacher: 0.0\n    memory_mb_at_most: 300\n"))
    return read_recipe(file.path)


def holds(
    builds: BuildStore,
    held_mb: float | None,
    *,
    at: float,
    replica: str = "one",
    deployment: int | None = None,
    ago: float = 0.0,
) -> None:
    """A server says what its process holds, 900 MB at this moment."""
    if deployment is None:
        deployment = seen(builds.ledger).number
    said = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    heartbeat = Heartbeat(replica, "r", deployment, serving(builds), None, said, 900.0, held_mb)
    beat_ago(builds.ledger.url, heartbeat, ago=ago)


def test_a_release_whose_servers_hold_too_much_is_taken_back_and_the_evidence_is_kept(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    begun(builds, limited, now)
    holds(builds, None, at=now)
    holds(builds, 290.0, at=now, replica="two")
    assert not look(builds, limited, at=now + 10).findings, "900 MB at one heartbeat is no finding"
    holds(builds, 310.0, at=now + 60)
    holds(builds, 290.0, at=now + 60, replica="two")
    looked = look(builds, limited, at=now + 70)
    (finding,) = looked.findings
    assert (finding.kind, finding.action, finding.release) == (FoundKind.MEMORY, Action.ROLL_BACK, "b")
    assert finding.memory is not None and finding.memory.held_mb == {"one": 310.0}
    assert (finding.memory.limit_mb, finding.memory.servers) == (300.0, 2)
    assert serving(builds) == "a" and "withdrew it" in finding.because
    withdrawal = builds.ledger.newest("r", "withdrawal")
    assert withdrawal is not None and withdrawal.body["reason"] == finding.sentence
    hand_on(builds, limited)
    (noted,) = history(builds.ledger, "r")
    assert noted.event.kind is EventKind.SERVICE
    assert not look(builds, limited, at=now + 80).findings
    (kept,) = WatchBook(builds.ledger.url, "r").findings()
    assert kept == finding


def test_the_release_that_was_brought_back_is_not_blamed_for_memory_that_it_finds(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    begun(builds, limited, now)
    holds(builds, 310.0, at=now)
    look(builds, limited, at=now + 10)
    holds(builds, 310.0, at=now + 200)
    (finding,) = look(builds, limited, at=now + 210).findings
    assert (finding.action, finding.release, serving(builds)) == (Action.PERSON, "a", "a")
    for minute in range(5):  # it stands: people have heard of it
        holds(builds, 320.0 if minute % 2 else 280.0, at=now + 300 + 60 * minute)
        assert not look(builds, limited, at=now + 310 + 60 * minute).findings
    holds(builds, 280.0, at=now + SECONDS_A_DAY)
    assert not look(builds, limited, at=now + SECONDS_A_DAY).findings
    holds(builds, 320.0, at=now + SECONDS_A_DAY + 60)
    assert len(look(builds, limited, at=now + SECONDS_A_DAY + 60).findings) == 1, "a later day is another time"


def test_a_server_that_was_restarted_says_nothing_yet_and_is_not_within_the_limit(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    hold(builds.ledger, "r", by="Ann Lee", reason="the month is being closed")
    begun(builds, limited, now)
    holds(builds, 310.0, at=now)
    assert len(look(builds, limited, at=now + 10).findings) == 1
    tomorrow = now + SECONDS_A_DAY
    holds(builds, 280.0, at=tomorrow, replica="two")
    for minute, held in enumerate((None, None, 310.0)):  # restarted, as each night
        holds(builds, held, at=tomorrow + 60 * minute)
        holds(builds, 280.0, at=tomorrow + 60 * minute, replica="two")
        assert not look(builds, limited, at=tomorrow + 60 * minute + 1).findings, "it stands, and is known"


def test_servers_that_are_gone_or_serve_something_else_blame_nobody(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    begun(builds, limited, now)
    holds(builds, 900.0, at=now, replica="gone", ago=AWAY_AFTER.total_seconds())
    holds(builds, 900.0, at=now, replica="late", deployment=seen(builds.ledger).number - 1)
    assert not look(builds, limited, at=now + 1).findings
    assert serving(builds) == "b"


@pytest.mark.parametrize("clock_ahead", [-3_600.0, 3_600.0])
def test_memory_of_a_server_whose_clock_is_off_is_watched(
    builds: BuildStore, limited: RecipeFile, now: float, clock_ahead: float
) -> None:
    begun(builds, limited, now)
    holds(builds, 310.0, at=now + clock_ahead)
    (finding,) = look(builds, limited, at=now + 1).findings
    assert finding.memory is not None and finding.memory.held_mb == {"one": 310.0}


def test_without_a_limit_memory_is_shown_and_no_finding(builds: BuildStore, file: RecipeFile, now: float) -> None:
    begun(builds, file, now)
    for minute, held in enumerate((280.0, 5_000.0, 290.0)):
        holds(builds, held, at=now + 60 * minute)
        assert not look(builds, file, at=now + 60 * minute).findings
    answered(builds, 50, at=now)
    look(builds, file, at=now + 200)
    shown = live_screen(builds, file, day_at(now), at=now + 300).day
    assert shown.memory is not None and (shown.memory.most_mb, shown.memory.limit_mb) == (5_000.0, None)
    reported = shown.model_copy(update={"answers": 50})
    order = BuildRequest("r", LIVE_REPORT, "run", "1", {}, batch=day_at(now))
    builds.make(order, lambda folder: (folder / "x").touch() or reported)  # type: ignore[func-returns-value]
    later = now + 60 * SECONDS_A_DAY
    holds(builds, 290.0, at=now, ago=AWAY_AFTER.total_seconds())
    look(builds, file, at=later)
    state = WatchBook(builds.ledger.url, "r").read().state
    assert state is not None and len(state.memory_mb) == 0, "days that are long gone are forgotten"
    assert live_screen(builds, file, day_at(now), at=later).day.memory == shown.memory


def test_while_a_challenger_answers_the_champion_is_not_blamed(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    begun(builds, limited, now)
    offer(
        builds.ledger, "r", named("c"), seen=seen(builds.ledger), export=model_of("c"), run_id="run", relied_on=()
    )  # fmt: skip
    move_on(builds.ledger, "r", seen(builds.ledger), share=0.05, evidence=named("c"))
    holds(builds, 900.0, at=now)
    assert not look(builds, limited, at=now + 10).findings
    assert serving(builds) == "b"


def test_while_servers_ask_a_challenger_in_the_shadow_the_champion_is_not_blamed_for_what_that_takes(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    offered = {"export": model_of("c"), "run_id": "run", "relied_on": ()}
    begun(builds, limited, now)
    offer(builds.ledger, "r", named("c"), seen=seen(builds.ledger), **offered)  # type: ignore[arg-type]
    holds(builds, 900.0, at=now)
    shadow = "  rollout:\n    shadow: {mode: live, judge_by: truth}\n"
    limited.path.write_text(limited.path.read_text() + shadow)
    assert not look(builds, read_recipe(limited.path), at=now + 10).findings and serving(builds) == "b"
    limited.path.write_text(limited.path.read_text().replace(shadow, "  rollout: {}\n"))
    assert len(look(builds, read_recipe(limited.path), at=now + 20).findings) == 1, (
        "where it is replayed it is not there"
    )


def test_killed_between_going_back_for_memory_and_noting_it_the_next_look_notes_it(
    builds: BuildStore, limited: RecipeFile, now: float
) -> None:
    """The servers hold the earlier release by then, and say nothing of the one that was taken back."""
    begun(builds, limited, now)
    holds(builds, 310.0, at=now)
    for number in range(1, WRITES + 1):
        before = serving(builds)
        with killed_before(number, raise_killed), suppress(KilledError):
            look(builds, limited, at=now + number)
        if before == "b" and serving(builds) == "a":
            break
    holds(builds, None, at=now + 60)
    look(builds, limited, at=now + 70)
    (finding,) = WatchBook(builds.ledger.url, "r").findings()
    assert (finding.release, finding.action, finding.kind) == ("b", Action.ROLL_BACK, FoundKind.MEMORY)
    assert [entry.body["digest"] for entry in builds.ledger.entries("r", "promotion")] == ["a", "b", "a"]


def test_nobody_takes_back_what_a_person_holds(builds: BuildStore, file: RecipeFile, now: float) -> None:
    hold(builds.ledger, "r", by="Ann Lee", reason="the month is being closed")
    begun(builds, file, now)
    answered(builds, 200, at=now, latency_ms=99.0)
    (finding,) = look(builds, file, at=now + 60).findings
    assert finding.action is Action.PERSON and "Ann Lee" in finding.because
    assert serving(builds) == "b"


def test_drift_asks_the_teacher_more_and_disturbs_nobody(builds: BuildStore, file: RecipeFile, now: float) -> None:
    begun(builds, file, now)
    answered(builds, 400, at=now, shares=(0.1, 0.1, 0.8))
    findings = look(builds, file, at=now + 60).findings
    assert {finding.action for finding in findings} == {Action.ASK_MORE}
    assert hand_on(builds, file) == [] and look_and_send(builds, file) == []
    assert WatchBook(builds.ledger.url, "r").findings(waiting=True) == []
    assert serving(builds) == "b"


def test_a_watch_that_begins_again_writes_its_alarms_down_beside_the_earlier_ones(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    answered(builds, 400, at=now, shares=(0.1, 0.1, 0.8))
    first = look(builds, file, at=now + 60).findings
    with sa.create_engine(builds.ledger.url).begin() as connection:  # as advised where another version wrote the state
        connection.execute(sa.text("DELETE FROM watch_states"))
    again = look(builds, file, at=now + 120).findings
    assert first and [each.watch for each in again] == [each.watch for each in first]
    assert len(WatchBook(builds.ledger.url, "r").findings()) == 2 * len(first)


def test_truth_that_matured_is_counted_once_and_takes_a_young_release_back(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    answered(builds, 400, at=now)
    store = TrafficStore(builds.home.artifacts, "r")
    frame = store.frame(day_at(now), "requests")
    said = frame.select(
        "replica",
        pl.col("number") + 1000,
        "id",
        "at",
        pl.lit("another").alias("truth"),
        pl.lit(None, pl.String).alias("by"),
    )
    store.put(day_at(now), "feedback", sealed(said))
    assert not look(builds, file, at=now + 60).findings
    (finding,) = look(builds, file, at=now + 9 * SECONDS_A_DAY).findings
    assert (finding.kind, finding.action) == (FoundKind.TRUTH, Action.ROLL_BACK)
    assert finding.evidence is not None and finding.evidence.rows == 400
    assert not look(builds, file, at=now + 9 * SECONDS_A_DAY + 60).findings


@pytest.fixture
def sampled(file: RecipeFile) -> RecipeFile:
    """The same recipe, which asks for the truth of a fifth of the answers."""
    said = file.path.read_text()
    file.path.write_text(said.replace("    feedback: complete\n", "    feedback: sample\n    feedback_share: 0.2\n"))
    return read_recipe(file.path)


def drawn_of(builds: BuildStore, at: float) -> pl.DataFrame:
    """The answers of a day, and of which the truth was asked for."""
    key = RequestIds.of(builds.home.serving).drawing_key(Purpose.TRUTH_IS_ASKED_FOR)
    return with_wanted(TrafficStore(builds.home.artifacts, "r").frame(day_at(at), "requests"), key)


def said_that(builds: BuildStore, at: float, about: pl.DataFrame, *, right: bool, first: int = 10_000) -> None:
    numbers = pl.int_range(first, first + pl.len(), dtype=pl.Int64)
    truth = pl.col("label") if right else pl.lit("another")
    said = about.select(
        "replica", numbers.alias("number"), "id", "at", truth.alias("truth"), pl.lit(None, pl.String).alias("by")
    )
    TrafficStore(builds.home.artifacts, "r").put(day_at(at), "feedback", sealed(said))


def test_truth_that_was_asked_for_takes_a_release_back_and_what_others_say_does_not(
    builds: BuildStore, sampled: RecipeFile, now: float
) -> None:
    begun(builds, sampled, now)
    answered(builds, 2_000, at=now, wanted_share=0.2)
    drawn = drawn_of(builds, now)
    said_that(builds, now, drawn.filter("wanted"), right=True)
    said_that(builds, now, drawn.filter(~pl.col("wanted")), right=False, first=20_000)
    ripe = now + 9 * SECONDS_A_DAY
    looked = look(builds, sampled, at=ripe)
    assert not looked.findings and serving(builds) == "b", "those who complain are no sample"
    assert looked.state is not None and looked.state.bets["truth"].rows == drawn["wanted"].sum()
    truth = live_screen(builds, sampled, day_at(now), at=ripe).day.truth
    assert truth.sample is not None and (truth.sample.right, truth.sample.missing) == (1.0, 0)
    assert truth.known == 2_000 and truth.right == truth.sample.returned, "and what they say is shown"
    later = now + 3 * SECONDS_A_DAY
    answered(builds, 2_000, at=later, wanted_share=0.2, first=3_001)
    again = drawn_of(builds, later)
    said_that(builds, later, again.filter("wanted"), right=False, first=30_000)
    said_that(builds, later, again.filter(~pl.col("wanted")), right=True, first=40_000)
    (finding,) = look(builds, sampled, at=later + 9 * SECONDS_A_DAY).findings
    assert (finding.kind, finding.action) == (FoundKind.TRUTH, Action.ROLL_BACK)


def test_too_little_of_the_truth_that_was_asked_for_says_nothing_and_that_is_said(
    builds: BuildStore, sampled: RecipeFile, now: float
) -> None:
    begun(builds, sampled, now)
    answered(builds, 2_000, at=now, wanted_share=0.2)
    wanted = drawn_of(builds, now).filter("wanted")
    some = wanted.head(wanted.height // 2)
    said_that(builds, now, some, right=False)
    ripe = now + 9 * SECONDS_A_DAY
    looked = look(builds, sampled, at=ripe)
    assert not looked.findings and looked.state is not None and looked.state.bets["truth"].rows == 0
    came = f"{some.height:,} of {wanted.height:,} truths that were asked for came"
    assert came in looked.sentence and "at least 80% are needed" in looked.sentence
    truth = live_screen(builds, sampled, day_at(now), at=ripe).day.truth
    assert truth.sample is not None and truth.sample.missing == wanted.height - some.height
    assert not truth.sample.is_enough


def test_truth_that_comes_after_its_day_had_matured_with_too_little_of_it_counts_once(
    builds: BuildStore, sampled: RecipeFile, now: float
) -> None:
    begun(builds, sampled, now)
    answered(builds, 2_000, at=now, wanted_share=0.2)
    wanted = drawn_of(builds, now).filter("wanted")
    said_that(builds, now, wanted.head(wanted.height // 2), right=True)
    ripe = now + 9 * SECONDS_A_DAY
    assert "truths that were asked for came" in look(builds, sampled, at=ripe).sentence
    said_that(builds, now, wanted.tail(wanted.height - wanted.height // 2), right=True, first=20_000)
    state = look(builds, sampled, at=ripe + 60).state
    assert state is not None and state.bets["truth"].rows == 0, "files are read for it once a day"
    for days in (1, 2, LATE_TRUTH_DAYS + 1):
        looked = look(builds, sampled, at=ripe + days * SECONDS_A_DAY)
        assert looked.state is not None and looked.state.bets["truth"].rows == wanted.height
        assert looked.state.waiting == {} and "truth says nothing" not in looked.sentence


def test_wrong_answers_of_which_the_truth_comes_late_take_a_release_back(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    answered(builds, 400, at=now)
    ripe = now + 9 * SECONDS_A_DAY
    assert not look(builds, file, at=ripe).findings, "nobody has said anything"
    said_that(builds, now, drawn_of(builds, now), right=False)
    (finding,) = look(builds, file, at=ripe + SECONDS_A_DAY).findings
    assert (finding.kind, finding.action) == (FoundKind.TRUTH, Action.ROLL_BACK)


CASCADE = CascadeReference(margin=0.02, threshold=0.9, rows=1000, differ=45, lost=25, won=10, wrong=50)


@pytest.fixture
def behind(file: RecipeFile, monkeypatch: pytest.MonkeyPatch) -> RecipeFile:
    """The same recipe, whose releases have a teacher behind them; of what they keep much may be wrong."""
    update = {"handed_on": (300, 1000), "labelled": 700, "wrong": 400, "cascade": CASCADE}
    monkeypatch.setattr(
        orchestration.watch, "reference_of",
        lambda builds, file, release: reference(release.release).model_copy(update=update),
    )  # fmt: skip
    return file


def answered_with_a_teacher(builds: BuildStore, at: float, *, wrong: int) -> None:
    """Of 600 answers 180 are the teacher's, all of which turn out wrong, as so many of the student's do."""
    answered(builds, 420, at=at)
    answered(
        builds, 180, at=at, first=1_001, source="teacher", student_label="person", student_confidence=0.4
    )  # fmt: skip
    frame = TrafficStore(builds.home.artifacts, "r").frame(day_at(at), "requests")
    kept, of_the_teacher = frame.filter(pl.col("number") <= 420), frame.filter(pl.col("number") > 420)
    said_that(builds, at, pl.concat([kept.head(wrong), of_the_teacher]), right=False)
    said_that(builds, at, kept.tail(420 - wrong), right=True, first=20_000)


def test_what_a_student_keeps_from_its_teacher_and_gets_wrong_takes_a_release_back(
    builds: BuildStore, behind: RecipeFile, now: float
) -> None:
    begun(builds, behind, now)
    answered_with_a_teacher(builds, now, wrong=120)
    ripe = now + 9 * SECONDS_A_DAY
    shown = live_screen(builds, behind, day_at(now), at=ripe)
    kept = shown.day.cascade
    assert kept is not None and (kept.truth.known, kept.truth.right) == (600, 480), "the teacher's are no loss"
    assert kept.wrong_limit is not None and (kept.margin, kept.threshold, kept.differ_limit) == (0.02, 0.9, None)
    (finding,) = look(builds, behind, at=ripe).findings
    assert (finding.kind, finding.action, finding.release) == (FoundKind.CASCADE_TRUTH, Action.ROLL_BACK, "b")
    assert finding.evidence is not None and finding.evidence.cascade == CASCADE
    assert (finding.evidence.events, finding.evidence.rows) == (120, 600)
    assert finding.evidence.limit == kept.wrong_limit
    for said in ("margin of 2.0 points", "confidence of 0.900", f"at most {kept.wrong_limit:.1%}", "120 of 600"):
        assert said in finding.sentence
    assert serving(builds) == "a"
    assert finding.sentence in release_lines(builds, behind)[0]
    hand_on(builds, behind)
    (noted,) = history(builds.ledger, "r")
    assert (noted.event.kind, noted.event.sentence) == (EventKind.AGREEMENT, finding.sentence)
    later = builds.ledger.now() + timedelta(hours=1)
    (due,) = Outbox(builds.ledger.url).take_due("r", behind.recipe.notify, remind=timedelta(days=3), at=later)
    assert due.notice.title == "r: cascade_truth of b, the release was taken back"
    assert not look(builds, behind, at=ripe + 60).findings, "once"
    screen = Console(width=400, record=True, file=StringIO())
    screen.print(*live_table(shown.model_copy(update={"findings": (finding,)})))
    printed = screen.export_text()
    assert "kept and wrong" in printed and "margin 2.0 points" in printed and finding.sentence in printed


def test_a_cascade_within_its_margin_is_no_finding_though_its_teacher_is_wrong(
    builds: BuildStore, behind: RecipeFile, now: float
) -> None:
    begun(builds, behind, now)
    answered_with_a_teacher(builds, now, wrong=30)
    looked = look(builds, behind, at=now + 9 * SECONDS_A_DAY)
    assert not looked.findings and looked.state is not None
    assert (looked.state.bets["cascade_truth"].events, looked.state.bets["cascade_truth"].rows) == (30, 600)
    assert (looked.state.bets["truth"].events, looked.state.bets["truth"].rows) == (30, 420)


def test_an_old_release_with_a_broken_margin_asks_for_a_round(
    builds: BuildStore, behind: RecipeFile, now: float
) -> None:
    old = now + 20 * SECONDS_A_DAY
    begun(builds, behind, old)
    answered_with_a_teacher(builds, old, wrong=120)
    (finding,) = look(builds, behind, at=old + 9 * SECONDS_A_DAY).findings
    assert (finding.kind, finding.action) == (FoundKind.CASCADE_TRUTH, Action.ROUND_BY_HAND)
    assert serving(builds) == "b"


def test_a_cascade_that_an_earlier_version_watched_is_held_to_its_margin_from_the_next_look_on(
    builds: BuildStore, behind: RecipeFile, now: float
) -> None:
    begun(builds, behind, now)
    book = WatchBook(builds.ledger.url, "r")
    read = book.read()
    assert read.state is not None
    bets = {name: each for name, each in read.state.bets.items() if name != "cascade_truth"}
    without = read.state.reference.model_copy(update={"cascade": None})
    assert "cascade" not in without.model_dump(mode="json")
    assert book.write(read, read.state.model_copy(update={"reference": without, "bets": bets}), [])
    state = look(builds, behind, at=now + 60).state
    assert state is not None and state.reference.cascade == CASCADE and "cascade_truth" in state.bets


def test_truth_is_waited_for_no_longer_than_its_report_is_drawn_up_again(
    builds: BuildStore, sampled: RecipeFile, now: float
) -> None:
    begun(builds, sampled, now)
    answered(builds, 2_000, at=now, wanted_share=0.2)
    ripe = now + 9 * SECONDS_A_DAY
    state = look(builds, sampled, at=ripe).state
    assert state is not None and [*state.waiting] == [day_at(now)]
    state = look(builds, sampled, at=ripe + LATE_TRUTH_DAYS * SECONDS_A_DAY).state
    said_that(builds, now, drawn_of(builds, now).filter("wanted"), right=False)
    for days in (1, 2):
        later = look(builds, sampled, at=ripe + (LATE_TRUTH_DAYS + days) * SECONDS_A_DAY)
        assert not later.findings and later.state is not None and later.state.waiting == {}


def test_answers_of_a_time_when_nothing_was_drawn_decide_nothing(
    builds: BuildStore, sampled: RecipeFile, now: float
) -> None:
    begun(builds, sampled, now)
    answered(builds, 400, at=now)
    said_that(builds, now, drawn_of(builds, now), right=False)
    looked = look(builds, sampled, at=now + 9 * SECONDS_A_DAY)
    assert not looked.findings and looked.state is not None and looked.state.short is None


def test_killed_between_going_back_and_noting_it_the_next_look_notes_what_was_done(
    builds: BuildStore, file: RecipeFile, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(builds, file, now)
    answered(builds, 200, at=now, latency_ms=99.0)
    with monkeypatch.context() as patches:
        patches.setattr(WatchBook, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            look(builds, file, at=now + 60)
    assert serving(builds) == "a"
    promotions = len(builds.ledger.entries("r", "promotion"))
    (finding,) = look(builds, file, at=now + 120).findings
    assert (finding.release, finding.action) == ("b", Action.ROLL_BACK)
    assert "withdrew it" in finding.because
    assert len(builds.ledger.entries("r", "promotion")) == promotions, "nobody went back twice"
    state = WatchBook(builds.ledger.url, "r").read().state
    assert state is not None and state.release == "a"


def killed(*_: object) -> bool:
    raise KeyboardInterrupt


def test_killed_before_people_hear_of_it_they_still_do_once(
    builds: BuildStore, file: RecipeFile, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(builds, file, now)
    answered(builds, 200, at=now, latency_ms=99.0)
    look(builds, file, at=now + 60)
    with monkeypatch.context() as patches:
        patches.setattr(WatchBook, "handed_on", killed)
        with pytest.raises(KeyboardInterrupt):
            hand_on(builds, file)
    hand_on(builds, file)
    assert WatchBook(builds.ledger.url, "r").findings(waiting=True) == []


WRITES = 24
"""And commits of a look that takes a release back and sends a notice of it: fewer would end before the last kill."""


A_LOOK = """
    import sys
    from pathlib import Path
    import pytest
    from orchestration.watch_findings import hand_on
    from orchestration.watch import look
    from stillhouse.home import Home
    from stillhouse.recipe.reading import read_recipe
    from stillhouse.records.builds import BuildStore
    from tests.killing import killed_before
    from tests.orchestration.test_watch import let_releases_be_names

    recipe, number, at = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    builds, file = BuildStore(Home.from_environment()), read_recipe(recipe)
    let_releases_be_names(pytest.MonkeyPatch())
    with killed_before(number):
        look(builds, file, at=at)
        hand_on(builds, file)
"""


@pytest.fixture(scope="module")
def parent() -> Iterator[WarmParent]:
    """Runs looks that are killed."""
    with warm_parent(["tests.orchestration.test_watch"]) as parent:
        yield parent


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_watch_killed_before_any_write_goes_back_once_and_people_are_sent_one_notice(
    builds: BuildStore, file: RecipeFile, now: float, number: int, parent: WarmParent
) -> None:
    begun(builds, file, now)
    answered(builds, 200, at=now, latency_ms=99.0)
    killed_there = parent.run(A_LOOK, file.path, number, now + 60)
    assert killed_there.returncode == -signal.SIGKILL, killed_there.stderr
    for at in (now + 120, now + 180):
        done = parent.run(A_LOOK, file.path, 0, at)
        assert done.returncode == 0, done.stderr
    assert [entry.body["digest"] for entry in builds.ledger.entries("r", "promotion")] == ["a", "b", "a"]
    assert len(builds.ledger.entries("r", "withdrawal")) == 1
    (finding,) = WatchBook(builds.ledger.url, "r").findings()
    assert (finding.release, finding.action) == ("b", Action.ROLL_BACK)
    assert len(history(builds.ledger, "r")) == 1
    later = builds.ledger.now() + timedelta(hours=1)
    due = Outbox(builds.ledger.url).take_due("r", file.recipe.notify, remind=timedelta(days=3), at=later)
    assert len(due) == 1


def test_two_watches_at_once_go_back_once_and_note_it_once(builds: BuildStore, file: RecipeFile, now: float) -> None:
    begun(builds, file, now)
    answered(builds, 200, at=now, latency_ms=99.0)
    start, failed = threading.Barrier(4), []

    def watching() -> None:
        own = BuildStore(builds.home)
        start.wait()
        try:
            look(own, file, at=now + 60)
        except Exception as error:
            failed.append(error)

    all_of_them(watching, 4)
    assert failed == []
    assert [entry.body["digest"] for entry in builds.ledger.entries("r", "promotion")] == ["a", "b", "a"]
    assert len(builds.ledger.entries("r", "withdrawal")) == 1
    (finding,) = WatchBook(builds.ledger.url, "r").findings()
    assert finding.action is Action.ROLL_BACK


def all_of_them(work: Callable[[], None], many: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_rows_of_a_clock_that_is_ahead_and_looks_of_one_that_was_set_back_count_once(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    answered(builds, 50, at=now + 1.5 * SECONDS_A_DAY)
    look(builds, file, at=now + 60)
    look(builds, file, at=now - 2 * SECONDS_A_DAY)
    found = look(builds, file, at=now + 120)
    assert found.state is not None
    assert [day.counts["latency"] for day in found.state.days] == [(0, 50)]


def test_a_person_accepts_a_new_normal_by_name_and_reason(builds: BuildStore, file: RecipeFile, now: float) -> None:
    with pytest.raises(StillhouseError, match="nothing was watched yet"):
        accept(builds, file, days=1, by="Ann Lee", reason="the autumn campaign", at=now)
    begun(builds, file, now)
    for day in range(3):
        at = now + day * SECONDS_A_DAY
        answered(builds, 400, at=at, first=400 * day + 1, shares=(0.1, 0.1, 0.8), seed=day)
        look(builds, file, at=at)
    with pytest.raises(StillhouseError, match="reason"):
        accept(builds, file, days=2, by="Ann Lee", reason="", at=now)
    found = accept(builds, file, days=2, by="Ann Lee", reason="the autumn campaign", at=now)
    assert (found.origin, found.rows) == ("live", 800)
    entry = builds.ledger.newest("r", "baseline", content="b")
    assert entry is not None and (entry.body["by"], entry.body["reason"]) == ("Ann Lee", "the autumn campaign")
    state = WatchBook(builds.ledger.url, "r").read().state
    assert state is not None and not state.drifting


def test_what_goes_by_the_weekday_is_accepted_by_weekday_and_everybody_says_so(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    begun(builds, file, now)
    for day in range(15):
        at = now + day * SECONDS_A_DAY
        weekend = datetime.fromtimestamp(at, UTC).weekday() >= 5
        shares = (0.1, 0.1, 0.8) if weekend else (0.6, 0.3, 0.1)
        answered(builds, 400, at=at, first=400 * day + 1, shares=shares, seed=day)
        look(builds, file, at=at)
    found = accept(builds, file, days=14, by="Ann Lee", reason="weekends are for travel", at=at)
    assert "label place" in found.weekly and not any(name.startswith("length") for name in found.weekly)
    entry = builds.ledger.newest("r", "baseline", content="b")
    assert entry is not None and Reference.model_validate(entry.body["reference"]) == found
    looked = look(builds, file, at=at)
    assert "nothing found; limits differ by weekday: label number" in looked.sentence
    shown = live_screen(builds, file, day_at(at), at=at)
    weekday = datetime.fromtimestamp(at, UTC).strftime("%A")
    (line,) = [str(each) for each in live_table(shown) if "differ by weekday" in str(each)]
    assert line.endswith(f"and these are of {weekday}s")
    allowed = {each.name: each.allowed for each in shown.day.shares}
    assert allowed["label place rises"].endswith(f" on {weekday}s") and "day" not in allowed["length 0 rises"]


def test_a_report_is_asked_for_each_hour_and_of_a_whole_day_once(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    midnight = (now // SECONDS_A_DAY + 1) * SECONDS_A_DAY
    serve(builds.ledger, "b")
    begun(builds, file, midnight)
    answered(builds, 50, at=midnight + 10)
    state = look(builds, file, at=midnight + 20).state
    day, next_day = day_at(midnight), day_at(midnight + SECONDS_A_DAY)
    assert reports_due(state, midnight + 3 * 3600 + 5) == [(f"{day} 03", day)]
    answered(builds, 50, at=midnight + SECONDS_A_DAY, first=51)
    state = look(builds, file, at=midnight + SECONDS_A_DAY + 20).state
    assert reports_due(state, midnight + SECONDS_A_DAY + 60) == [(f"{next_day} 00", next_day)]
    assert reports_due(state, midnight + SECONDS_A_DAY + 3700) == [
        (f"{next_day} 01", next_day),
        (f"{day} whole", day),
    ]


def said_of(builds: BuildStore, of: float, at: float, ids: slice, first: int) -> None:
    """Say on a day what was true of some answers of another day."""
    store = TrafficStore(builds.home.artifacts, "r")
    some = store.frame(day_at(of), "requests")[ids]
    numbers = pl.int_range(first, first + pl.len(), dtype=pl.Int64)
    truths = {"at": pl.lit(at), "truth": pl.col("label"), "by": pl.lit(None, pl.String)}
    said = some.select("replica", numbers.alias("number"), "id", **truths)
    store.put(day_at(at), "feedback", sealed(said))


def test_a_day_is_reported_on_when_its_truth_has_matured_and_when_more_of_it_came_and_then_no_more(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    midnight = (now // SECONDS_A_DAY + 1) * SECONDS_A_DAY
    state, day = begun(builds, file, midnight).state, day_at(midnight)
    answered(builds, 50, at=midnight + 10)
    said_of(builds, midnight, midnight + 2 * SECONDS_A_DAY, slice(0, 10), 1001)
    for later, many in ((9, 10), (12, 5)):  # beyond the seven days of waiting
        said_of(
            builds,
            midnight,
            midnight + later * SECONDS_A_DAY + 60,
            slice(10 + later, 10 + later + many),
            1001 + later * 100,
        )
    asked, by_day = set[str](), {}
    for later in range(40):
        at = midnight + later * SECONDS_A_DAY + 3700
        due = matured_reports_due(builds, file, state, at)
        assert {each for _, each in due} <= {day}
        fresh = {key for key, _ in due} - asked
        asked |= fresh
        if fresh:
            by_day[later] = fresh
    assert by_day == {
        8: {f"{day} matured, 10 said"},
        10: {f"{day} matured, 20 said"},
        13: {f"{day} matured, 25 said"},
    }
    assert not matured_reports_due(builds, file, state, midnight + (9 + LATE_TRUTH_DAYS) * SECONDS_A_DAY + 3700)
    assert not matured_reports_due(builds, file, None, midnight + 8 * SECONDS_A_DAY + 3700)


def test_the_sensor_asks_once_a_day_for_reports_on_matured_truth(
    builds: BuildStore, file: RecipeFile, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(builds, 50, at=now)
    sensor = watch_sensor(file, live_report_job(file))
    noon = (now // SECONDS_A_DAY + 8.5) * SECONDS_A_DAY
    monkeypatch.setattr(time, "time", lambda: noon)
    monkeypatch.setattr(orchestration.watch_sensor, "name_what_serves_if_free", lambda *_: None)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=day_at(noon - SECONDS_A_DAY))
        asked = sensor(context)
        assert isinstance(asked, dg.SensorResult) and asked.run_requests is not None
        (request,) = asked.run_requests
        assert (request.partition_key, request.run_key) == (day_at(now), f"{day_at(now)} matured, 0 said")
        assert context.cursor == day_at(noon)
        assert isinstance(sensor(context), dg.SkipReason)


def test_the_screen_of_an_old_day_keeps_what_its_report_says_of_the_teacher(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    """By then its texts may be gone and the teacher another one."""
    begun(builds, file, now)
    answered(builds, 50, at=now)
    look(builds, file, at=now + 60)
    day, nine_days_later = day_at(now), now + 9 * SECONDS_A_DAY
    drawn_up_again = live_screen(builds, file, day, at=nine_days_later).day
    assert (drawn_up_again.answers, drawn_up_again.agreement) == (50, None)
    reported = drawn_up_again.model_copy(update={"agreement": AGREEMENT, "silent": 3})
    order = BuildRequest("r", LIVE_REPORT, "run", "1", {}, batch=day)
    builds.make(order, lambda folder: (folder / "x").touch() or reported)  # type: ignore[func-returns-value]
    assert live_screen(builds, file, day, at=nine_days_later).day == reported


def test_the_first_release_is_left_to_people(builds: BuildStore, file: RecipeFile) -> None:
    serve(builds.ledger, "a")
    now = builds.ledger.now().timestamp()
    begun(builds, file, now)
    answered(builds, 200, at=now, release="a", latency_ms=99.0)
    (finding,) = look(builds, file, at=now + 60).findings
    assert (finding.action, finding.because) == (Action.PERSON, "nothing served before it")


def without_watch(recipe: str) -> str:
    return re.sub("(?m)^  watch:.*\n(    .*\n)*", "", recipe)


def test_a_watch_that_runs_reads_its_recipe_again_and_ends_when_its_service_is_stopped(
    builds: BuildStore, file: RecipeFile
) -> None:
    with_a_watch = file.path.read_text()
    file.path.write_text(without_watch(with_a_watch))
    command = [str(Path(sys.executable).with_name("stillhouse")), "watch", "r", "--every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "it is not watched" in running.stdout.readline()
        file.path.write_text(with_a_watch)
        assert running.stdout.readline() == "nothing serves yet\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0


def test_a_watch_that_runs_says_once_that_there_is_nothing_to_watch_and_looks_again(
    builds: BuildStore, file: RecipeFile, now: float
) -> None:
    """A service that ended for it would be started again and again."""
    with_a_watch = file.path.read_text()
    without = without_watch(with_a_watch)
    watching = Watching("r", builds)

    def look_at(recipe: str, minute: int) -> list[str]:
        file.path.write_text(recipe)
        return watching.look(at=now + 60 * minute)

    (said,) = look_at(without, 0)
    assert "it is not watched" in said
    assert look_at(without, 1) == []
    assert "nothing found" in look_at(with_a_watch, 2)[0]
    assert look_at(without, 3) == [said], "anew, since it has had one"
    assert "not readable" in look_at("[", 4)[0]
    assert look_at(without, 5) == []


def test_a_watch_needs_traffic_and_is_part_of_the_contract(tmp_path: Path) -> None:
    (mistake,) = load_mistakes(small_recipe(tmp_path, rows=100, watch={}))
    assert "watch: there is no traffic to watch" in mistake
    plain = small_recipe(tmp_path, rows=100, traffic={}).recipe
    assert "watch" not in plain.model_dump()
    watched = small_recipe(tmp_path, rows=100, traffic={}, watch={}).recipe
    assert Recipe.model_validate_json(watched.model_dump_json()).digest == watched.digest, "as runs are handed it"
    other = small_recipe(tmp_path, rows=100, traffic={}, watch={"errors": 0.1}).recipe
    assert len({plain.digest, watched.digest, other.digest}) == 3
