"""Events start one round, however many they are, and say so; each is found out once, whoever looks how often."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, get_args

import dagster as dg
import polars as pl
import pytest

import orchestration.outcomes
from assets.keys import CALLS, outside
from orchestration import dispatcher, new_events
from orchestration.dispatcher import Ask, Wait, next_step
from orchestration.event_list import events_of
from orchestration.jobs import distil_job, ingest_job
from orchestration.new_events import note_calls, note_changes, note_labels, note_overdue
from orchestration.outcomes import RoundOutcome, outcome_recorded
from orchestration.runs import ATTEMPT_TAG, EVENTS_TAG, OUTCOME_TAG, RECIPE_TAG, STATE_TAG
from orchestration.schedules import refresh_schedule
from orchestration.sensors import rounds_sensor
from orchestration.stages_now import stages_now
from stillhouse.digests import digest_of
from stillhouse.live.segments import REQUEST_COLUMNS, TrafficStore, columns_of, sealed
from stillhouse.recipe.events import Startable
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import Event, EventKind, history, note, pending
from stillhouse.records.ledger import Ledger
from stillhouse.records.rounds import Ending
from tests.command import stillhouse
from tests.conftest import Run
from tests.small import small_recipe

LONG_AGO = timedelta(minutes=2)


def recipe(folder: Path, *, start: tuple[str, ...] = ("webhook", "agreement"), **changes: Any) -> RecipeFile:
    """A recipe that waits for a person at its first gate, so that events alone ask for anything."""
    fields = {"slices": [], "teacher__training_on_outputs": "unknown", "refresh__start": list(start), **changes}
    return small_recipe(folder, rows=100, **fields)


@pytest.fixture
def file(tmp_path: Path, run: Run) -> RecipeFile:
    file = recipe(tmp_path)
    assert not run(file, "contract").success
    return file


def happened(builds: BuildStore, *keys: str, kind: EventKind = EventKind.WEBHOOK) -> None:
    for key in keys:
        facts = {"labels": 100} if kind is EventKind.LABELS else {}
        note(builds.ledger, "small", kind, key, f"somebody asked for {key}", facts, at=builds.ledger.now() - LONG_AGO)


def step(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> Ask | Wait:
    return next_step(instance, builds, file, ["base"])


def asked(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> Ask:
    found = step(instance, builds, file)
    assert isinstance(found, Ask), found
    return found


def waits(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> str:
    found = step(instance, builds, file)
    assert isinstance(found, Wait), found
    return found.sentence


def ended(instance: dg.DagsterInstance, ask: Ask, status: dg.DagsterRunStatus, **tags: str) -> None:
    """Pretend that the run that was asked for has been, and how it ended."""

    @dg.job
    def empty() -> None: ...

    of_ours = {RECIPE_TAG: "small", "dagster/partition": "base"}
    instance.create_run_for_job(empty, status=status, tags={**ask.tags, **of_ours, **tags})


def test_a_storm_is_one_round_that_says_what_started_it(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    happened(builds, *(f"{number:03}" for number in range(500)))
    ask = asked(instance, builds, file)
    assert [(each.job, each.batch) for each in ask.rounds] == [("distil_small", "base")]
    first = "webhook: somebody asked for 000; webhook: somebody asked for 001; webhook: somebody asked for 002"
    assert ask.because == f"{first} and 497 more events"
    assert ask.tags[EVENTS_TAG] == "webhook:000, webhook:001, webhook:002 and 497 more"
    assert asked(instance, builds, file).tags == ask.tags, "a tick that died asks for the same run"
    names = [event.name for event in pending(builds.ledger, "small")]
    builds.ledger.append("round", "small", {"run_id": "r", "ending": "closed", "because": "", "events": names})
    assert "A person has to decide" in waits(instance, builds, file)


STARTING = {*get_args(Startable), EventKind.PERSON}


@pytest.mark.parametrize(
    "kinds", [*([kind] for kind in EventKind), [*EventKind]], ids=lambda kinds: kinds[0] if len(kinds) == 1 else "all"
)
def test_of_any_kind_and_of_all_at_once_fifty_events_are_one_round_that_answers_each_once(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch,
    kinds: list[EventKind],
) -> None:  # fmt: skip
    file = recipe(tmp_path, start=get_args(Startable))
    assert not run(file, "contract").success
    monkeypatch.setattr(orchestration.outcomes, "_outcome", lambda *_: RoundOutcome(Ending.KEPT, "champion kept"))
    for number in range(50):
        happened(builds, f"{number}", kind=kinds[number % len(kinds)])
    if STARTING.isdisjoint(kinds):
        assert tick(instance, file) == [], "it waits for a round that something else starts"
        happened(builds, "somebody asks", kind=EventKind.PERSON)
    (request,) = tick(instance, file)
    assert [each.run_key for each in tick(instance, file)] == [request.run_key], "Dagster starts one run for one key"
    assert (request.job_name, request.partition_key) == ("distil_small", "base")
    tags = {**request.tags, RECIPE_TAG: "small", "dagster/partition": "base"}
    started = dg.DagsterRun(job_name="distil_small", tags=tags, status=dg.DagsterRunStatus.STARTED)
    round_of_all = instance.add_run(started)
    with outcome_recorded(instance, builds, round_of_all, lambda line: None):
        assert tick(instance, file) == [], "one is under way"
    instance.report_dagster_event(succeeded(round_of_all), run_id=round_of_all.run_id)
    assert tick(instance, file) == [] and pending(builds.ledger, "small") == []
    answered = Counter(name for entry in builds.ledger.entries("small", "round") for name in entry.body["events"])
    assert set(answered.values()) == {1}
    assert set(answered) == {noted.event.name for noted in history(builds.ledger, "small")} and len(answered) >= 50


def tick(instance: dg.DagsterInstance, file: RecipeFile) -> list[dg.RunRequest]:
    """What one look of the sensor asks for."""
    answer = rounds_sensor(file, [ingest_job(file), distil_job(file)])(dg.build_sensor_context(instance=instance))
    return list(answer.run_requests or []) if isinstance(answer, dg.SensorResult) else []


def test_an_event_that_the_recipe_does_not_name_starts_nothing_and_is_taken_by_the_next_round(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    happened(builds, "a", kind=EventKind.INPUTS)
    happened(builds, "b", kind=EventKind.OVERDUE)
    assert "A person has to decide" in waits(instance, builds, file)
    happened(builds, "c", kind=EventKind.PERSON)
    ask = asked(instance, builds, file)
    assert ask.because == "person: somebody asked for c"
    assert set(ask.events) == {"inputs:a", "overdue:b", "person:c"}


def test_events_that_go_on_happening_are_waited_for_and_not_for_ever(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(tmp_path, refresh__quiet_minutes=10, refresh__wait_hours_at_most=1)
    assert not run(file, "contract").success
    began = builds.ledger.now()
    for minutes in range(0, 60, 9):
        now = began + timedelta(minutes=minutes)
        monkeypatch.setattr(Ledger, "now", lambda ledger, now=now: now)
        note(builds.ledger, "small", EventKind.WEBHOOK, f"{minutes}", "asked")
        note(builds.ledger, "small", EventKind.WEBHOOK, "always the same", "asked")
        assert "a round starts" in waits(instance, builds, file), minutes
    at = began + timedelta(minutes=61)
    monkeypatch.setattr(Ledger, "now", lambda ledger: at)
    assert len(asked(instance, builds, file).events) == 8


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ({"refresh__rounds_per_month": 1}, "refresh.rounds_per_month is 1"),
        ({"refresh__hours_between_rounds": 5}, "refresh.hours_between_rounds is 5"),
        ({"refresh__usd_per_month": 1}, "2 USD spent in 30 days, and refresh.usd_per_month is 1"),
    ],
)
def test_the_limits_on_rounds_hold_for_events_too(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore, limit: dict[str, float], why: str
) -> None:
    file = recipe(tmp_path, **limit)
    assert not run(file, "contract").success
    happened(builds, "a")
    assert asked(instance, builds, file)
    builds.ledger.append("round", "small", {"run_id": "r", "ending": "kept", "because": "", "events": []})
    made = {"asset": "small/x", "digest": digest_of("x"), "manifest": digest_of("m"), "run_id": "r", "cost_usd": 2.0}
    builds.ledger.append("materialization", "small", made)
    assert why in waits(instance, builds, file)


def test_rounds_that_break_or_are_killed_are_repeated_and_then_given_up_and_another_event_is_tried_again(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "PAUSES", (0.0, 0.0))
    happened(builds, "a")
    failed = dg.DagsterRunStatus.FAILURE
    ended(instance, asked(instance, builds, file), failed)
    for _ in range(3):
        ask = asked(instance, builds, file)
        ended(instance, ask, failed, **{OUTCOME_TAG: "no space left"})
    assert ask.tags[ATTEMPT_TAG] == "4"
    assert "4 attempts changed nothing, the last: no space left" in waits(instance, builds, file)
    happened(builds, "b")
    again = asked(instance, builds, file)
    assert again.tags[ATTEMPT_TAG] == "1" and again.tags[STATE_TAG] != ask.tags[STATE_TAG]
    assert set(again.events) == {"webhook:a", "webhook:b"}


def test_a_person_who_cancels_stops_the_events_too_and_one_who_asks_goes_on(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    happened(builds, "a")
    ended(instance, asked(instance, builds, file), dg.DagsterRunStatus.CANCELED)
    happened(builds, "b")
    assert "was cancelled" in waits(instance, builds, file)
    note(builds.ledger, "small", EventKind.PERSON, "go on", "go on", at=datetime.now(UTC) + timedelta(seconds=1))
    assert "a round starts" in waits(instance, builds, file), "which it does after a minute"


def test_wherever_something_is_killed_no_event_is_lost_and_none_is_answered_twice(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks and runs are killed at any point while events go on arriving; each time one run at last is not."""
    monkeypatch.setattr(dispatcher, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(orchestration.outcomes, "_outcome", lambda *_: RoundOutcome(Ending.KEPT, "champion kept"))
    for seed in range(20):
        chance = Random(seed)
        for number in range(4):
            happened(builds, *(f"{seed} {number} {each}" for each in range(chance.randrange(3))))
            found = step(instance, builds, file)
            killed = chance.choice(["the tick", "the run", "nothing"])
            if isinstance(found, Wait) or killed == "the tick":
                continue  # before what it asked for was stored: nothing has happened
            run = a_run(instance, found)
            work = outcome_recorded(instance, builds, run, lambda line: None)
            work.__enter__()
            happened(builds, f"{seed} {number} while it works")
            if killed == "the run":
                instance.report_run_failed(run)
            else:
                work.__exit__(None, None, None)
                instance.report_dagster_event(succeeded(run), run_id=run.run_id)
        while isinstance(found := step(instance, builds, file), Ask):
            run = a_run(instance, found)
            with outcome_recorded(instance, builds, run, lambda line: None):
                pass
            instance.report_dagster_event(succeeded(run), run_id=run.run_id)
    answered = Counter(name for entry in builds.ledger.entries("small", "round") for name in entry.body["events"])
    assert len(answered) > 60 and set(answered.values()) == {1}
    assert set(answered) == {noted.event.name for noted in history(builds.ledger, "small")}


def a_run(instance: dg.DagsterInstance, ask: Ask) -> dg.DagsterRun:
    tags = {**ask.tags, RECIPE_TAG: "small", "dagster/partition": "base"}
    return instance.add_run(dg.DagsterRun(job_name="distil_small", tags=tags, status=dg.DagsterRunStatus.STARTED))


def succeeded(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)


def test_a_call_from_outside_is_one_event_however_often_somebody_looks(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore, tmp_path: Path
) -> None:
    def call(description: str | None, **metadata: str) -> None:
        key = outside("small", CALLS)
        instance.report_runless_asset_event(dg.AssetMaterialization(key, description=description, metadata=metadata))

    def noted() -> list[tuple[str, int]]:
        note_calls(instance, builds.ledger, file)
        return [(event.sentence, event.times) for event in of_kind(builds, EventKind.WEBHOOK)]

    call("prices have changed", by="erp")
    call("prices have changed", by="erp")
    call("prices have changed", by="shop")
    assert noted() == [("prices have changed", 2), ("prices have changed", 1)]
    assert noted() == [("prices have changed", 2), ("prices have changed", 1)]
    call(None)
    assert noted()[2:] == [("a call from outside", 1)]
    call("prices have changed", by="erp")
    assert noted() == [("prices have changed", 3), ("prices have changed", 1), ("a call from outside", 1)]
    (tmp_path / "deaf").mkdir()
    note_calls(instance, builds.ledger, recipe(tmp_path / "deaf", start=()))
    assert len(of_kind(builds, EventKind.WEBHOOK)) == 3


def test_calls_are_noted_after_dagsters_storage_began_afresh_and_name_nobody(
    file: RecipeFile, instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    def call(where: dg.DagsterInstance, description: str) -> None:
        where.report_runless_asset_event(dg.AssetMaterialization(outside("small", CALLS), description=description))

    for number in range(3):
        call(instance, f"call {number}")
    note_calls(instance, builds.ledger, file)
    with dg.DagsterInstance.ephemeral() as afresh:
        note_calls(afresh, builds.ledger, file)
        call(afresh, "ticket 4711 of jane.doe@example.com")
        for _ in range(3):
            note_calls(afresh, builds.ledger, file)
        noted = {event.sentence: event.times for event in of_kind(builds, EventKind.WEBHOOK)}
    assert noted == {"call 0": 1, "call 1": 1, "call 2": 1, "ticket 4711 of [EMAIL]": 1}


def of_kind(builds: BuildStore, kind: EventKind) -> list[Event]:
    return [noted.event for noted in history(builds.ledger, "small") if noted.event.kind is kind]


def test_a_champion_that_no_round_decides_about_is_overdue_once_and_again_after_the_next_decision(
    tmp_path: Path, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(tmp_path, refresh__max_age_days=30)
    note_overdue(builds.ledger, file)
    made = {"asset": "small/champion", "digest": digest_of("c"), "manifest": digest_of("m"), "run_id": "r"}
    decided = builds.ledger.append("materialization", "small", made)
    for days, known in ((29.9, 0), (30.1, 1), (40, 1)):
        now = datetime.fromisoformat(decided.at) + timedelta(days=days)
        monkeypatch.setattr(Ledger, "now", lambda ledger, now=now: now)
        note_overdue(builds.ledger, file)
        assert len(of_kind(builds, EventKind.OVERDUE)) == known, days
    (event,) = of_kind(builds, EventKind.OVERDUE)
    assert event.times == 1 and f"since {decided.at[:10]}, and 30 days are allowed" in event.sentence


def answered(store: TrafficStore, day: str, *ids: str) -> None:
    at = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()
    rows = [
        tuple(
            {"number": number, "id": id, "at": at, "release": "r", "kept_share": 1.0}.get(name)
            for name in REQUEST_COLUMNS
        )
        for number, id in enumerate(ids, 1)
    ]
    store.put(day, "requests", sealed(columns_of("requests", "one", rows)))


def said(store: TrafficStore, day: str, *ids: str) -> None:
    rows = [(100 + number, id, 0.0, "LOC", None) for number, id in enumerate(ids)]
    store.put(day, "feedback", sealed(columns_of("feedback", "one", rows)))


def test_feedback_of_a_day_is_one_event_when_it_has_matured(tmp_path: Path, builds: BuildStore) -> None:
    file = recipe(tmp_path, traffic={"matures_after_days": 7, "feedback": "sample"})
    store = TrafficStore(builds.home.artifacts, "small")
    answered(store, "2026-03-01", "a", "b", "c")
    answered(store, "2026-03-02", "d")
    said(store, "2026-03-04", "a", "c", "of no answer")
    note_labels(builds, file, date(2026, 3, 8))
    assert of_kind(builds, EventKind.LABELS) == [], "an answer at the end of the day has not matured"
    for _ in range(2):
        note_labels(builds, file, date(2026, 3, 9))
    note_labels(builds, file, date(2026, 3, 20))
    (event,) = of_kind(builds, EventKind.LABELS)
    assert event.sentence == "2 of 3 answers of 2026-03-01 have their truth"
    assert event.facts == {"day": "2026-03-01", "labels": 2, "answers": 3, "selection": "sample"} and event.times == 1


def labels_of(builds: BuildStore) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in of_kind(builds, EventKind.LABELS):
        assert event.times == 1
        found.setdefault(str(event.facts["day"]), []).append(event.facts["labels"])
    return found


def test_truth_that_comes_late_counts_once_whatever_the_order_and_whenever_somebody_looks(
    tmp_path: Path, builds: BuildStore
) -> None:
    """Regression: what came after a day had matured was never counted."""
    file, store = recipe(tmp_path, traffic={"matures_after_days": 7}), TrafficStore(builds.home.artifacts, "small")
    answered(store, "2026-03-01", "a", "b", "c", "d")
    answered(store, "2026-03-02", "e", "f")
    answered(store, "2026-03-03", "g")
    said(store, "2026-03-04", "a", "e")
    note_labels(builds, file, date(2026, 3, 11))
    assert labels_of(builds) == {"2026-03-01": [1], "2026-03-02": [1]}
    said(store, "2026-03-12", "f", "b")  # the later day first, and of a day that nobody had said anything of: nothing
    said(store, "2026-03-12", "a", "b")  # again, which is no news
    for _ in range(2):  # as after a restart: there is nothing but the log and what was noted
        note_labels(BuildStore(builds.home), file, date(2026, 3, 13))
    assert labels_of(builds) == {"2026-03-01": [1, 1], "2026-03-02": [1, 1]}
    said(store, "2026-03-20", "g", "c")
    said(store, "2026-03-05", "d")  # by a replica whose log was sealed late
    note_labels(builds, file, date(2026, 3, 21))
    assert labels_of(builds) == {"2026-03-01": [1, 1, 2], "2026-03-02": [1, 1], "2026-03-03": [1]}
    *_, last = [event for event in of_kind(builds, EventKind.LABELS) if event.facts["day"] == "2026-03-01"]
    assert last.sentence == "4 of 4 answers of 2026-03-01 have their truth, 2 since this was noted before"


@pytest.mark.parametrize("seed", range(6))
def test_the_truths_that_are_noted_of_a_day_add_up_to_those_that_are_known(
    tmp_path: Path, builds: BuildStore, seed: int
) -> None:
    """Three days of four answers: truths come in any order, on any later day, and somebody looks in between."""
    file = recipe(tmp_path, traffic={"matures_after_days": 0})
    store, days = TrafficStore(builds.home.artifacts, "small"), ("2026-03-01", "2026-03-02", "2026-03-03")
    for number, day in enumerate(days):
        answered(store, day, *(f"{4 * number + each}" for each in range(4)))
    chance = Random(seed)
    for each in chance.sample(range(12), 12):
        for _ in range(chance.randrange(3)):
            note_labels(BuildStore(builds.home), file, date(2026, 3, 10))
        said(store, f"2026-03-0{chance.randrange(each // 4 + 1, 9)}", f"{each}")
    note_labels(builds, file, date(2026, 3, 10))
    assert {day: sum(found) for day, found in labels_of(builds).items()} == dict.fromkeys(days, 4)


def test_of_two_that_look_at_once_one_counts(
    tmp_path: Path, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, store = recipe(tmp_path, traffic={"matures_after_days": 0}), TrafficStore(builds.home.artifacts, "small")
    answered(store, "2026-03-01", "a", "b", "c")
    said(store, "2026-03-02", "a")
    real = new_events.truths

    def and_somebody_else_looks(store: TrafficStore, *, since: str) -> pl.DataFrame:
        monkeypatch.setattr(new_events, "truths", real)
        said(store, "2026-03-03", "b")
        note_labels(builds, file, date(2026, 3, 10))
        assert labels_of(builds) == {"2026-03-01": [2]}
        said(store, "2026-03-04", "c")
        return real(store, since=since)

    monkeypatch.setattr(new_events, "truths", and_somebody_else_looks)
    note_labels(builds, file, date(2026, 3, 10))
    assert labels_of(builds) == {"2026-03-01": [2]}
    note_labels(builds, file, date(2026, 3, 10))
    assert labels_of(builds) == {"2026-03-01": [2, 1]}


def test_days_that_an_earlier_version_has_noted_are_not_counted_again(tmp_path: Path, builds: BuildStore) -> None:
    file, store = recipe(tmp_path, traffic={"matures_after_days": 0}), TrafficStore(builds.home.artifacts, "small")
    answered(store, "2026-03-01", "a", "b", "c")
    said(store, "2026-03-01", "a", "b")
    facts = {"day": "2026-03-01", "labels": 2, "answers": 3, "selection": "unknown"}
    note(builds.ledger, "small", EventKind.LABELS, f"2026-03-01 {digest_of('x')[:32]}", "2 of 3", facts)
    note_labels(builds, file, date(2026, 3, 10))
    assert labels_of(builds) == {"2026-03-01": [2]}
    said(store, "2026-03-05", "c")
    note_labels(builds, file, date(2026, 3, 10))
    assert labels_of(builds) == {"2026-03-01": [2, 1]}


def test_feedback_of_the_day_of_its_answer_is_an_event_though_nobody_says_anything_later(
    tmp_path: Path, builds: BuildStore
) -> None:
    file, store = recipe(tmp_path, traffic={"matures_after_days": 7}), TrafficStore(builds.home.artifacts, "small")
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        answered(store, day, day)
    said(store, "2026-03-02", "2026-03-02")
    note_labels(builds, file, date(2026, 3, 20))
    (event,) = of_kind(builds, EventKind.LABELS)
    assert event.facts["day"] == "2026-03-02"


def test_labels_of_several_days_start_one_round_when_enough_have_come(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: one piece of feedback a day was a round a day."""
    monkeypatch.setattr("stillhouse.records.rounds.EVENTS_QUIET", timedelta())
    file = recipe(tmp_path, start=("labels",), traffic={"matures_after_days": 0}, refresh__labels_at_least=5)
    assert not run(file, "contract").success
    store = TrafficStore(builds.home.artifacts, "small")

    def a_day(number: int, labels: int) -> None:
        day = f"2026-03-{number:02}"
        ids = [f"{day} {each}" for each in range(labels)]
        answered(store, day, *ids, f"{day} of which nobody knows")
        said(store, day, *ids)
        note_labels(builds, file, date(2026, 3, number + 1))

    for number in (1, 2, 3, 4):
        a_day(number, 1)
        assert tick(instance, file) == [], number
    assert [each.starts_a_round for each in events_of(builds.ledger, file).events] == [False] * 4
    a_day(5, 2)
    assert [each.starts_a_round for each in events_of(builds.ledger, file).events] == [True] * 5
    (request,) = tick(instance, file)
    assert request.tags[EVENTS_TAG].count("labels:2026-03-") == 3 and request.tags[EVENTS_TAG].endswith("and 2 more")
    names = [event.name for event in pending(builds.ledger, "small")]
    builds.ledger.append("round", "small", {"run_id": "r", "ending": "closed", "because": "", "events": names})
    a_day(6, 4)
    assert tick(instance, file) == [], "those that a round has answered count no more"
    said(store, "2026-03-08", "2026-03-05 of which nobody knows")
    note_labels(builds, file, date(2026, 3, 9))
    assert len(tick(instance, file)) == 1, "of a day that a round has answered the truth that came late is news"
    assert [event.facts["labels"] for event in pending(builds.ledger, "small")] == [4, 1]


PLAY = {
    "name": "drift", "on": ["webhook"], "owner": "team:a", "do": "label two hundred rows", "cadence": "weekly",
    "kill": "closed_rounds >= 2",
}  # fmt: skip


def test_a_play_that_is_given_up_closes_the_recipe_until_a_person_resumes_it(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    file = recipe(tmp_path, plays=[PLAY])
    assert not run(file, "contract").success
    happened(builds, "a")
    rounds = rounds_sensor(file, [ingest_job(file), distil_job(file)])
    for ended_so_far in range(2):
        answer = rounds(dg.build_sensor_context(instance=instance))
        assert isinstance(answer, dg.SensorResult) and len(answer.run_requests or ()) == 1, ended_so_far
        body = {"run_id": "r", "ending": "closed", "because": "", "sentence": "closed", "events": []}
        builds.ledger.append("round", "small", body)
    why = "closed_rounds is 2, and the play 'drift' is given up at closed_rounds >= 2 in 30 days"
    answer = rounds(dg.build_sensor_context(instance=instance))
    assert isinstance(answer, dg.SkipReason) and why in str(answer.skip_message)
    clock = refresh_schedule(file, distil_job(file)).evaluate_tick(
        dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
    )
    assert not clock.run_requests and why in str(clock.skip_message)
    shown = json.loads(stillhouse("fleet", "--json").stdout)["recipes"]["small"]
    assert shown["closed"] and why in shown["next"] and "`stillhouse resume small`" in shown["next"]
    assert why in " ".join(stillhouse("status", "small").stdout.split())
    said = stillhouse("resume", "small", "--by", "Ada Lovelace", "--reason", "the rows were put right")
    assert said.returncode == 0 and "may start by themselves again" in said.stdout, said
    assert isinstance(rounds(dg.build_sensor_context(instance=instance)), dg.SensorResult)


def test_a_person_notes_what_has_happened_and_is_shown_it(
    file: RecipeFile, tmp_path: Path, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    assert "nothing has happened to small yet" in stillhouse("events", "small").stdout
    note_it = ("events", "small", "--note", "two queues were renamed", "--reason", "the labels are others")
    nobody = stillhouse(*note_it)
    assert nobody.returncode == 2 and "--by" in nobody.stderr and pending(builds.ledger, "small") == []
    assert "noted: a round starts for it" in stillhouse(*note_it, "--by", "Ada Lovelace").stdout
    assert "noted today already" in stillhouse(*note_it, "--by", "Ada Lovelace").stdout
    (shown,) = json.loads(stillhouse("events", "small", "--json").stdout)["events"]
    assert (shown["kind"], shown["times"], shown["starts_a_round"], shown["answered_by"]) == ("person", 2, True, None)
    assert shown["sentence"] == "Ada Lovelace: two queues were renamed"
    assert shown["facts"]["reason"] == "the labels are others" and shown["facts"]["account"]
    assert "two queues were renamed (starts a round)" in " ".join(stillhouse("status", "small").stdout.split())


def test_another_recipe_is_noted_once_however_often_it_is_asked_for(
    tmp_path: Path, run: Run, instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    file = recipe(tmp_path)
    assert not run(file, "contract").success
    note_changes(builds, file, stages_now(builds, file, ["base"]))
    assert pending(builds.ledger, "small") == []
    changed = recipe(tmp_path, bar={"margin": 0.2})
    for _ in range(2):
        note_changes(builds, changed, stages_now(builds, changed, ["base"]))
    (event,) = pending(builds.ledger, "small")
    assert (event.name, event.times) == (f"recipe:{changed.recipe.digest}", 1)
