"""The teacher behind a student: a server that speaks the real protocol, and a real network in a process of its own."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stillhouse.serving.teacher
from stillhouse.economics import Book
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.models.predictor import TorchClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.serving import TeacherCallsSpec
from stillhouse.recipe.teacher import EndpointSpec, TeacherKind
from stillhouse.records import spending
from stillhouse.records.builds import BuildStore
from stillhouse.records.corrections import correct
from stillhouse.records.ledger import Ledger
from stillhouse.release.cascade import TeacherOnCall
from stillhouse.serving.breaker import FAILURES_IN_A_ROW
from stillhouse.serving.teacher import (
    Away,
    AwayError,
    OwnProcess,
    PaidEndpoint,
    ServingTeacher,
    TeacherSaid,
    open_teacher,
)
from stillhouse.serving.teacher_process import EndedError, TeacherProcess
from stillhouse.tasks.label_sets import written_set
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.endpoint import Endpoint
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import small_recipe
from tests.stillhouse.conftest import LABELS

ASKING = Asking("large", "Kind of: {text}", {"temperature": 0, "max_tokens": 4}, None, {}, "October")
ON_CALL = TeacherOnCall(
    kind=TeacherKind.ENDPOINT, artifact="a" * 64, fingerprint="f" * 64, answer="single_label", labels=tuple(LABELS),
    temperature=1.0, accuracy=0.9, asking=None,
)  # fmt: skip
PRICES = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0}


def answer(text: str) -> str:
    return "person" if "who" in text else "place"


def behind(server: Server, home: Home, *, asking: Asking = ASKING, usd: float = 1.0, **calls: Any) -> ServingTeacher:
    spec = TeacherCallsSpec(**{"deadline_ms": 60_000, "usd_per_month": usd, **calls})
    limits = EndpointSpec(**PRICES, timeout_s=spec.deadline_ms / 1000)
    endpoint = Endpoint(server.url, limits, asking)
    return ServingTeacher(PaidEndpoint(ON_CALL, endpoint, "small", home.ledger_url, usd), spec)


def said(teacher: ServingTeacher, *texts: str) -> list[TeacherSaid | Away]:
    async def all_of_them() -> list[TeacherSaid | Away]:
        return [await teacher.answer(text) for text in texts]

    return asyncio.run(all_of_them())


@pytest.mark.long
def test_it_answers_for_what_the_server_bills_and_sees_no_personal_data(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer)) as server:
        teacher = behind(server, home)
        assert said(teacher, "who is ann.lee@example.org ?", "where is it ?") == [
            TeacherSaid("person", 0.9), TeacherSaid("place", 0.9),
        ]  # fmt: skip
        assert set(server.asked) == {"Kind of: who is [EMAIL] ?", "Kind of: where is it ?"}
        spent = spending.spent(home.ledger_url, "small", spending.month_now())
        assert spent == pytest.approx(server.usd) == pytest.approx(teacher.usd_this_month) and spent > 0
        monkeypatch.setattr(spending, "month_now", lambda: "2099-01")
        assert (teacher.usd_this_month, teacher.usd_per_month) == (0.0, 1.0), "of a month in which nobody asked"
        teacher.close()


@pytest.mark.long
def test_beyond_the_months_money_nobody_is_asked(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer)) as server:
        asked = said(behind(server, home, usd=1e-6), "who ?")
        assert asked == [Away.BUDGET] and server.calls == 0


@pytest.mark.long
def test_what_a_person_corrects_counts_in_the_month_that_it_is_of(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    month, ledger = spending.month_now(), Ledger(home.ledger_url)

    def add(usd: float, month: str = month) -> None:
        correct(ledger, "small", book=Book.SERVING, month=month, usd=usd, booked=1.0, by="Ada", reason="by invoice 117")

    with serving(Server(answer)) as server:
        teacher = behind(server, home)
        add(5.0, "2026-01")
        assert said(teacher, "who ?") == [TeacherSaid("person", 0.9)]
        add(1.0)
        assert said(teacher, "where ?") == [Away.BUDGET] and server.calls == 1
        add(-0.75)
        assert said(teacher, "where ?") == [TeacherSaid("place", 0.9)], "counted at once"
        assert teacher.usd_this_month == pytest.approx(server.usd + 0.25)
        assert spending.spent(home.ledger_url, "small", month) == pytest.approx(server.usd), "as it was booked"
        teacher.close()


@pytest.mark.long
def test_what_a_server_counts_beyond_what_was_reserved_is_booked(home: Home) -> None:
    """Regression: the month's money held, by the books, while the server billed more."""
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer, faults={0: "lies"})) as server:
        assert said(behind(server, home), "who ?", "where ?") == [TeacherSaid("person", 0.9), Away.BUDGET]
        spent = spending.spent(home.ledger_url, "small", spending.month_now())
        assert spent == pytest.approx(USD_IN + USD_OUT / 1e6) and server.calls == 1


@pytest.mark.long
def test_where_money_cannot_be_counted_nobody_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> float:
        raise OSError

    monkeypatch.setattr(stillhouse.serving.teacher.spending, "reserve", away)
    with serving(Server(answer)) as server:
        assert said(behind(server, home), "who ?") == [Away.UNCOUNTED] and server.calls == 0


@pytest.mark.long
def test_an_answer_that_comes_too_late_is_not_waited_for_and_is_paid(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer, takes=1.0)) as server:
        teacher = behind(server, home, deadline_ms=100)
        assert said(teacher, "who ?") == [Away.DEADLINE]
        assert spending.spent(home.ledger_url, "small", spending.month_now()) > 0, "nobody knows that it cost nothing"


@pytest.mark.long
@pytest.mark.parametrize(("fault", "why"), [("503", Away.FAILED), ("cut", Away.FAILED), ("page", Away.FAILED)])
def test_a_server_that_fails_is_left_alone_after_a_few_texts(home: Home, fault: str, why: Away) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer, faults=dict.fromkeys(range(50), fault))) as server:
        teacher = behind(server, home)
        asked = said(teacher, *["who ?"] * (FAILURES_IN_A_ROW + 3))
        assert asked == [why] * FAILURES_IN_A_ROW + [Away.BREAKER] * 3
        assert server.calls == FAILURES_IN_A_ROW and teacher.breaker.is_open


@pytest.mark.long
@pytest.mark.parametrize("fault", ["outside", "refusal", "null", "422"])
def test_an_answer_without_a_label_is_none_and_no_failure_of_the_server(home: Home, fault: str) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with serving(Server(answer, faults=dict.fromkeys(range(50), fault))) as server:
        teacher = behind(server, home)
        assert said(teacher, *["who ?"] * 8) == [Away.NO_LABEL] * 8 and not teacher.breaker.is_open


@pytest.mark.long
def test_it_is_asked_as_often_as_when_it_was_judged(home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    answers = iter(["person", "place", "person"])
    asking = Asking(**{**ASKING.__dict__, "samples": 3})
    with serving(Server(lambda text: next(answers))) as server:
        (found,) = said(behind(server, home, asking=asking), "who ?")
        assert isinstance(found, TeacherSaid) and found.label == "person" and server.calls == 3
        assert found.confidence is not None and 0.4 < found.confidence < 0.9


@pytest.mark.long
@pytest.mark.parametrize("samples", [1, 3])
def test_a_set_of_labels_is_read_out_of_each_reply_and_is_as_sure_as_its_votes(home: Home, samples: int) -> None:
    """Three labels with 0.9 each are 0.729; one that two of three replies have is worth 0.633."""
    home.root.mkdir(parents=True, exist_ok=True)
    labels = tuple(LABELS[:3])
    on_call = ON_CALL.model_copy(update={"answer": "multi_label", "labels": labels, "accuracy": 0.729})
    asking = replace(ASKING, samples=samples, answer="multi_label", choices=labels)
    replies = iter([labels[0], labels[1], ""])

    def answer(text: str) -> str:
        if "nothing" in text:
            return "I cannot say."
        return json.dumps({"labels": [labels[0], *filter(None, [next(replies) if samples > 1 else labels[1]])]})

    with serving(Server(answer)) as server:
        endpoint = Endpoint(server.url, EndpointSpec(**PRICES), asking)
        teacher = ServingTeacher(
            PaidEndpoint(on_call, endpoint, "small", home.ledger_url, 1.0), TeacherCallsSpec(deadline_ms=60_000)
        )
        found, none = said(teacher, "who ?", "nothing ?")
        assert none is Away.NO_LABEL and server.calls == 2 * samples and not teacher.breaker.is_open
        assert spending.spent(home.ledger_url, "small", spending.month_now()) == pytest.approx(server.usd)
    assert isinstance(found, TeacherSaid)
    if samples == 1:
        assert (found.label, found.confidence) == (written_set(labels[:2]), 0.729)
    else:
        assert found.label == written_set(labels[:1])
        assert found.confidence == pytest.approx(0.9 * (0.5 + 0.8 / 6) * 0.9)


class Stuck:
    """Answers when it may."""

    seen_usd = 0.0

    def __init__(self) -> None:
        self.may = threading.Event()

    def is_ready(self) -> bool:
        return True

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        self.may.wait(30)
        return TeacherSaid("place", 0.5)

    def close(self) -> None:
        self.may.set()


def test_more_texts_at_one_time_than_it_takes_do_not_wait() -> None:
    stuck = Stuck()
    teacher = ServingTeacher(stuck, TeacherCallsSpec(concurrency=2, deadline_ms=20_000))

    async def asked() -> list[Any]:
        waiting = [asyncio.create_task(teacher.answer(f"{n}")) for n in range(2)]
        await asyncio.sleep(0)
        late = await teacher.answer("late")
        stuck.may.set()
        return [late, *await asyncio.gather(*waiting), await teacher.answer("after")]

    answered = TeacherSaid("place", 0.5)
    assert asyncio.run(asked()) == [Away.BUSY, answered, answered, answered]
    teacher.close()


def test_a_caller_that_waits_no_longer_is_no_failure_of_the_teacher() -> None:
    impatient, slow = (
        ServingTeacher(Stuck(), TeacherCallsSpec(concurrency=256, deadline_ms=each)) for each in (20_000, 1)
    )

    async def asked(teacher: ServingTeacher, seconds: float | None) -> list[TeacherSaid | Away]:
        return [await teacher.answer("who ?", seconds) for _ in range(FAILURES_IN_A_ROW)]

    assert set(asyncio.run(asked(impatient, 0.001))) == {Away.DEADLINE} and not impatient.breaker.is_open
    assert set(asyncio.run(asked(slow, 0.5))) == {Away.DEADLINE} and slow.breaker.is_open
    impatient.close()
    slow.close()


@pytest.fixture
def process(classifier: Path) -> Iterator[TeacherProcess]:
    started = TeacherProcess(lambda: classifier)
    yield started
    started.close()


def wait_until_ready(process: TeacherProcess) -> None:
    deadline = time.monotonic() + 120
    while not process.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.long
def test_a_network_answers_in_a_process_of_its_own_and_is_started_again_after_a_kill(
    process: TeacherProcess, classifier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not process.is_ready(), "it begins when it is first asked"
    wait_until_ready(process)
    texts = ["who is the king ?", "where\nis it ?", "é"]
    expected = TorchClassifier(classifier).logits(texts)
    for text, row in zip(texts, expected, strict=True):
        np.testing.assert_allclose(process.ask(text, 60), row, atol=1e-5)
    assert process.running is not None
    os.kill(process.running, signal.SIGKILL)
    with pytest.raises((EndedError, TimeoutError)):
        for _ in range(100):
            process.ask("who ?", 10)
    wait_until_ready(process)
    np.testing.assert_allclose(process.ask(texts[0], 60), expected[0], atol=1e-5)
    left = process.running
    process.close()
    assert left is not None and not Path(f"/proc/{left}").exists() and not process.is_ready()
    assert caplog.text.count("has ended with code -9") == 1, "an end that was asked for is no error"


def test_a_network_that_cannot_be_opened_is_away(tmp_path: Path) -> None:
    def lost() -> Path:
        raise FileNotFoundError

    process = TeacherProcess(lost)
    assert not process.is_ready()
    with pytest.raises(EndedError):
        process.ask("who ?", 1)
    process.close()


def test_what_a_network_says_is_read_at_its_own_temperature(home: Home) -> None:
    asked = OwnProcess(ON_CALL.model_copy(update={"temperature": 2.0}), BuildStore(home))

    class Logits:
        def ask(self, text: str, seconds: float) -> list[float]:
            if text == "late":
                raise TimeoutError
            return [0.0, 2.0, 1.0]

    asked._process = Logits()  # type: ignore[assignment]
    expected = SingleLabel(tuple(LABELS)).confidence(np.array([[0.0, 1.0, 0.5]]))[0]
    assert asked.ask("text", 1) == TeacherSaid(LABELS[1], pytest.approx(expected))
    with pytest.raises(AwayError):
        asked.ask("late", 1)


def paid_recipe(folder: Path, teacher: dict[str, Any] | None = None, **calls: Any) -> RecipeFile:
    """A recipe with a cascade whose teacher is an endpoint."""
    spec = {
        "kind": "endpoint", "source": "http://127.0.0.1:9/v1", "revision": "1", "licence": "its terms",
        "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.5,
        "ask": {"model": "large", "settings": {"max_tokens": 4}}, "endpoint": {**PRICES, **(teacher or {})},
    }  # fmt: skip
    return small_recipe(
        folder, rows=60, teacher=spec, base={"source": "base", "revision": "1", "licence": "MIT"},
        budget={"latency_ms_at_most": 50}, students=[{"name": "one", "layers": [0], "training": {"loss": "kl"}}],
        cascade={"margin": 0.05}, data__provenance={"teacher_may_see": ["internal"]}, serving={"teacher": calls},
    )  # fmt: skip


@pytest.mark.long
def test_an_endpoint_is_opened_as_the_recipe_says_now_and_without_its_key_all_is_degraded(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("KEY_OF_TEACHER", raising=False)
    home.root.mkdir(parents=True, exist_ok=True)
    on_call = ON_CALL.model_copy(update={"asking": ASKING})
    with serving(Server(answer, key="secret")) as server:
        calls = {"endpoint": server.url, "usd_per_month": 1, "deadline_ms": 5_000}
        file = paid_recipe(tmp_path, {"api_key_env": "KEY_OF_TEACHER"}, **calls)
        assert said(open_teacher(file, BuildStore(home), on_call), "who ?") == [Away.FAILED]
        assert "the variable KEY_OF_TEACHER is not set" in caplog.text and server.calls == 0
        monkeypatch.setenv("KEY_OF_TEACHER", "secret")
        opened = open_teacher(file, BuildStore(home), on_call)
        assert spending.spent(home.ledger_url, "small", spending.month_now()) == 0
        assert said(opened, "who ?") == [TeacherSaid("person", 0.9)] and server.calls == 1
        assert spending.spent(home.ledger_url, "small", spending.month_now()) == pytest.approx(server.usd)


@pytest.mark.long
def test_a_server_that_the_recipe_names_no_more_is_said(home: Home, tmp_path: Path) -> None:
    """Regression: of a release from before the teacher was exchanged an assertion failed, and it did not serve."""
    file, on_call = small_recipe(tmp_path, rows=60), ON_CALL.model_copy(update={"asking": ASKING})
    with pytest.raises(StillhouseError, match="says no more how the teacher behind this release is asked"):
        open_teacher(file, BuildStore(home), on_call)


def test_a_paid_teacher_needs_a_limit_of_a_month(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="usd_per_month must be given where calls of the teacher cost money"):
        paid_recipe(tmp_path)
    paid_recipe(tmp_path, {"usd_per_million_in": 0, "usd_per_million_out": 0})
