"""A challenger that is asked once callers were answered: its answers are kept, and no caller waits for it."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from stillhouse.home import Home
from stillhouse.live.feedback import is_wanted
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import arithmetic
from stillhouse.records.builds import Artifact
from stillhouse.records.deployments import Stage
from stillhouse.serving.app import Server
from stillhouse.serving.breaker import FAILURES_IN_A_ROW
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.metrics import Metrics
from stillhouse.serving.requests import ServedRequest, Shadowed
from stillhouse.serving.shadowing import ROOM, Shadowing, ShadowQuestion
from stillhouse.serving.spool import SpoolLimits, TrafficLog
from stillhouse.serving.tokens import Access
from tests.stillhouse.serving.cascades import cascade
from tests.stillhouse.serving.conftest import BOTH_WAYS, RECIPE, KeptRows, Served
from tests.stillhouse.serving.test_routing import challenger_of, says, taken_from

pytestmark = pytest.mark.long

TEXT, SECRET = "who is the king ?", "jane.doe@example.org"


def until(holds: Callable[[], bool]) -> None:
    by = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < by
        time.sleep(0.002)


def shadowed(served: Served) -> list[Shadowed]:
    return [row for row in list(served.kept) if isinstance(row, Shadowed)]


def counted(served: Served, outcome: str) -> int:
    name = f'stillhouse_shadow_texts_total{{outcome="{outcome}",recipe="{RECIPE}"}} '
    shown = served.client.get("/metrics").text
    return next((int(float(line.removeprefix(name))) for line in shown.splitlines() if line.startswith(name)), 0)


@pytest.fixture
def other(served: Served) -> Artifact:
    """A release in the shadow, that is asked after each answer."""
    champion, other = served.installation.release(0), served.installation.release(1)
    served.slot.shadow_share = 1.0
    says(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    return other


@pytest.fixture
def held(other: Artifact, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The challenger does not answer until this is set."""
    real, goes_on = LoadedRelease.say, threading.Event()

    def says_late(self: LoadedRelease, clean: str) -> object:
        if self.release == other.digest:
            assert goes_on.wait(60)
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", says_late)
    yield goes_on
    goes_on.set()


@BOTH_WAYS
def test_it_is_asked_what_the_champion_was_and_its_answer_is_kept_beside_that(served: Served, other: Artifact) -> None:
    said = served.predict(texts=[TEXT, "where is Spain ?"]).json()["answers"]
    until(lambda: len(shadowed(served)) == 2)
    expected = served.installation.expected(1, [TEXT, "where is Spain ?"])
    champion = served.installation.release(0)
    assert {each["release"] for each in said} == {champion.digest}, "callers get the champion's"
    rows = {row.id: row for row in served.kept if isinstance(row, ServedRequest)}
    for row, answer, (label, confidence) in zip(shadowed(served), said, expected, strict=True):
        assert (row.id, row.at) == (answer["id"], rows[row.id].at), "of the same day as the answer"
        assert (row.release, row.label, row.confidence) == (other.digest, label, confidence)
        assert row.rollout == challenger_of(other).salt
    assert counted(served, "answered") == 2 and counted(served, "skipped") == 0
    shown = served.client.get(f"/v1/{RECIPE}").json()
    assert (shown["release"], shown["challenger"], shown["share"]) == (champion.digest, other.digest, 0.0)


@BOTH_WAYS
def test_of_a_share_the_answers_are_drawn_whose_truth_is_drawn(served: Served, other: Artifact, home: Home) -> None:
    served.slot.feedback_share = served.slot.shadow_share = 0.3
    said = served.predict(texts=[f"who is king {number} ?" for number in range(60)]).json()["answers"]
    wanted = [each["id"] for each in said if each["feedback_wanted"]]
    assert 0 < len(wanted) < 60
    until(lambda: len(shadowed(served)) == len(wanted))
    assert [row.id for row in shadowed(served)] == wanted
    key = RequestIds.of(home.serving).drawing_key(Purpose.TRUTH_IS_ASKED_FOR)
    assert all(is_wanted(id, 0.3, key=key) for id in wanted)


@BOTH_WAYS
def test_without_such_a_recipe_and_once_it_answers_callers_it_is_not_asked(served: Served, other: Artifact) -> None:
    champion, served.slot.shadow_share = served.installation.release(0), None
    served.predict(text=TEXT)
    served.slot.shadow_share = 1.0
    says(served, champion, challenger=challenger_of(other, share=0.01))
    assert champion.digest in {served.predict(text=TEXT).json()["release"] for _ in range(5)}
    says(served, champion, quarantine=(taken_from(other, characters=(1, None)),),
         challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))  # fmt: skip
    assert served.predict(text=TEXT).json()["release"] == other.digest
    says(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    asked = served.predict(text=TEXT).json()["id"]
    until(lambda: bool(shadowed(served)))
    assert [row.id for row in shadowed(served)] == [asked], "questions are asked in turn, so no other one is to come"


@BOTH_WAYS
def test_of_what_is_not_answered_it_is_not_asked(
    served: Served, other: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LoadedRelease.say

    def fails(self: LoadedRelease, clean: str) -> object:
        if "fails" in clean:
            raise ValueError(SECRET)
        return real(self, clean)

    with monkeypatch.context() as patches:
        patches.setattr(LoadedRelease, "say", fails)
        assert served.predict(texts=[TEXT, "this fails"]).status_code == 500
    assert served.predict(text="").status_code == 422
    asked = served.predict(text=TEXT).json()["id"]
    until(lambda: bool(shadowed(served)))
    assert [row.id for row in shadowed(served)] == [asked]


@BOTH_WAYS
def test_one_that_raises_is_wrong_is_asked_no_more_and_no_caller_sees_it(
    served: Served, other: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = LoadedRelease.say

    def raises(self: LoadedRelease, clean: str) -> object:
        if self.release == other.digest:
            raise ValueError(SECRET)
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", raises)
    responses = [served.predict(text=f"{TEXT} {SECRET}") for _ in range(FAILURES_IN_A_ROW)]
    until(lambda: len(shadowed(served)) == FAILURES_IN_A_ROW)
    responses += [served.predict(text=TEXT) for _ in range(3)]
    champion = served.installation.release(0).digest
    assert {(each.status_code, each.json()["release"]) for each in responses} == {(200, champion)}
    assert not any(each.json()["degraded"] for each in responses)
    assert {(row.label, row.confidence) for row in shadowed(served)} == {(None, None)}
    assert counted(served, "failed") == len(shadowed(served)) == FAILURES_IN_A_ROW
    assert f'stillhouse_challenger_stopped{{recipe="{RECIPE}"}} 1.0' in served.client.get("/metrics").text
    assert "ValueError at" in caplog.text and SECRET not in caplog.text
    says(served, served.installation.release(0), challenger=challenger_of(other, share=0.99))
    assert served.predict(text=TEXT).json()["release"] == champion, "nor does it answer callers here"


@BOTH_WAYS
def test_nobody_waits_for_one_that_is_slow_and_what_finds_no_room_is_skipped_and_counted(
    served: Served, held: threading.Event
) -> None:
    responses = [served.predict(text=TEXT) for _ in range(ROOM + 3)]
    assert {each.status_code for each in responses} == {200}
    assert counted(served, "skipped") == 3 and not shadowed(served)
    held.set()
    until(lambda: len(shadowed(served)) == ROOM)
    assert [row.id for row in shadowed(served)] == [each.json()["id"] for each in responses[:ROOM]]
    served.predict(text=TEXT)
    until(lambda: len(shadowed(served)) == ROOM + 1)
    assert counted(served, "skipped") == 3


@BOTH_WAYS
def test_as_long_as_a_request_waits_nothing_is_asked(served: Served, other: Artifact) -> None:
    served.slot.waiting = 1
    for _ in range(20):
        assert served.predict(text=TEXT).status_code == 200
    assert not shadowed(served)
    served.slot.waiting = 0
    until(lambda: len(shadowed(served)) == 20)


@BOTH_WAYS
def test_it_is_asked_after_the_response_was_sent(served: Served, other: Artifact, home: Home) -> None:
    """By the order in which both happen in one event loop: a question that was put before would be asked first."""
    happened, kept = list[str](), KeptRows()
    server = Server({RECIPE: served.slot}, RequestIds.of(home.serving), Access(served.tokens, "127.0.0.1"),
                    {RECIPE: kept})  # fmt: skip
    body = b'{"text": "who ?"}'
    scope = {
        "type": "http", "method": "POST", "path": f"/v1/{RECIPE}/predict",
        "headers": [(b"content-type", b"application/json"), (b"host", b"127.0.0.1:8080")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        for _ in range(50):  # a caller whose network is slow; anything that could be asked would be
            await asyncio.sleep(0.002)
        happened.append(f"{message['type']}, {len(kept) - 1} asked")

    async def one_request() -> None:
        await server(scope, receive, send)
        while not any(isinstance(row, Shadowed) for row in kept):
            await asyncio.sleep(0.002)

    asyncio.run(one_request())
    assert happened == ["http.response.start, 0 asked", "http.response.body, 0 asked"]


@BOTH_WAYS
def test_one_that_hands_texts_on_is_not_asked_and_the_log_says_so(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    champion, other = served.installation.release(0), served.installation.release(1, cascade=cascade())
    served.slot.shadow_share = 1.0
    says(served, champion, challenger=challenger_of(other, share=0.0, stage=Stage.SHADOW))
    assert "hands texts on to its teacher, and is not asked in the shadow" in caplog.text
    served.predict(text=TEXT)
    third = served.installation.release(2)
    says(served, champion, challenger=challenger_of(third, share=0.0, stage=Stage.SHADOW, salt="the next"))
    served.predict(text=TEXT)
    until(lambda: bool(shadowed(served)))
    assert [row.release for row in shadowed(served)] == [third.digest]


@BOTH_WAYS
def test_what_waits_when_the_process_ends_is_skipped_and_counted(
    served: Served, held: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert served.slot.serving is not None and served.slot.serving.challenger is not None
    metrics, kept = Metrics({RECIPE: served.slot}, {}), KeptRows()
    shadowing = Shadowing({RECIPE: served.slot}, metrics, b"key", compares_by=b"words")
    questions = [ShadowQuestion(RECIPE, f"id{n}", 0.0, TEXT, served.slot.serving.challenger, kept) for n in range(4)]

    async def ends_while_one_is_asked() -> None:
        shadowing.ask(questions)
        await asyncio.sleep(0.02)

    asyncio.run(ends_while_one_is_asked())
    assert b'stillhouse_shadow_texts_total{outcome="skipped",recipe="small"} 4.0' in metrics.shown()
    assert "4 questions to a challenger in the shadow were skipped at the end" in caplog.text and not kept


@BOTH_WAYS
def test_no_text_touches_the_disk_because_of_it(served: Served, other: Artifact, home: Home, tmp_path: Path) -> None:
    store = TrafficStore(str(tmp_path / "store"), RECIPE)
    log = TrafficLog(tmp_path / "spool", "r1", store, keep_texts=False, limits=SpoolLimits(write_seconds=0.01))
    server = Server({RECIPE: served.slot}, RequestIds.of(home.serving), Access(served.tokens, "127.0.0.1"),
                    {RECIPE: log})  # fmt: skip
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:
        asked = {"texts": [f"write to {SECRET} {number}" for number in range(9)], "key": SECRET}
        said = client.post(f"/v1/{RECIPE}/predict", json=asked).json()["answers"]
        until(lambda: log.received == 18)
    log.close()
    (day,) = store.days()
    answers, of_challenger = store.frame(day, "requests"), store.frame(day, "shadow")
    assert of_challenger["id"].to_list() == answers["id"].to_list() == [each["id"] for each in said]
    assert of_challenger["release"].unique().to_list() == [other.digest] and store.frame(day, "texts").is_empty()
    assert [each.problems for each in arithmetic(store, day)] == [[]]
    assert store.tallies(day)[0].shadow == 9
    for path in (*(tmp_path / "spool").rglob("*"), *(tmp_path / "store").rglob("*")):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    for frame in (answers, of_challenger):
        assert SECRET not in str(frame.to_dicts())
