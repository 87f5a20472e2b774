"""The installation of the month: one recipe, its server in this process, its teacher, and a clock of its own.

Belongs here: what is as it is on every day. Does not: the days (story.py).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import time_machine
from starlette.types import ASGIApp, Message

from stillhouse.data.privacy import redact_text
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.serving import TeacherCallsSpec
from stillhouse.records.deployments import Deployment, serving_now
from stillhouse.release.cascade import TeacherOnCall
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.teacher import Away, AwayError, ServingTeacher, TeacherSaid
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.asking import teacher_of
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.live_teacher import teacher_behind
from stillhouse.teachers.answers import with_answers
from tests.conftest import Place
from tests.month.callers import ROWS, Callers, Request
from tests.month.daemon import Daemon
from tests.small import small_recipe, students_after

FIRST_DAY = datetime(2027, 3, 1, tzinfo=UTC)
"""A Monday, on which the refresh is due: so are days 8, 15, 22 and 29."""
NAME, REPLICA = "small", "here-8080"
LONG = 60
"""Characters of a text on which a broken release fails."""


def day_of(at: datetime) -> int:
    """The day of the month; 0 and less are before it."""
    return (at - FIRST_DAY).days + 1


def recipe(folder: Path, *, epochs: int, with_teacher: bool = True) -> RecipeFile:
    """Students that differ in how much they learned, under a bar that any of them clears, with or without a cascade."""
    cascade = {"cascade": {"margin": 0.05, "share_at_most": 0.95}} if with_teacher else {}
    return small_recipe(
        folder,
        name=NAME,
        rows=ROWS,
        students=students_after(epochs),
        bar={"margin": 0.6, "champion_margin": 0.5},
        slices=[],
        traffic={"days": 40, "text_days": 20},
        **cascade,
        watch={"ask_teacher": 0.05, "ask_when_drifting": 0.5, "latency_ms": 2_000.0, "blame_days": 7},
        rollout={
            "shadow": {"margin": 0.04, "days_at_most": 5},
            "canary": {"shares": [0.05, 0.25, 0.5], "hours_at_least": 10, "slow_ms": 4_000},
        },
        refresh={"cron": "0 3 * * 1", "start": ["agreement", "fallback"], "quiet_minutes": 1},
        data__wrong_labels_at_most=0.99,
        # A student that learned for one epoch is unsure, so that int8 gives one answer in thirty another label.
        limits={"int8_agreement_at_least": 0.9},
    )


@dataclass
class TeacherHere:
    """The teacher of a release in this process."""

    world: "World"
    on_call: TeacherOnCall
    seen_usd = 0.0

    def is_ready(self) -> bool:
        return True

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        if self.world.teacher_is_away:
            raise AwayError(Away.FAILED)
        return self.world.teachers(self.on_call).says(text)

    def close(self) -> None:
        """Nothing is held."""


class AskedOnce:
    """A teacher that is a network, and what it has said: it says the same to the same text.

    Args:
        world: whose ledger says behind which release it is.
        on_call: which teacher.
    """

    def __init__(self, world: "World", on_call: TeacherOnCall) -> None:
        builds, serves = world.place.builds, world.now
        on_its_way = [] if serves.challenger is None else [serves.challenger.deployed]
        instead = [each.instead for each in serves.quarantine if each.instead is not None]
        behind = (teacher_behind(builds, each) for each in [serves.champion, *on_its_way, *instead])
        artifact = next(each for each in behind if each.digest == on_call.artifact)
        self._task, self._temperature = artifact.facts(TeacherFacts).task, on_call.temperature
        self._teacher = teacher_of(artifact, world.file.recipe.teacher, builds)
        self._known: dict[str, TeacherSaid] = {}

    def hears(self, texts: Collection[str]) -> None:
        """Answer texts at once, which costs a fifth of answering them one by one."""
        new = pl.Series([*dict.fromkeys(text for text in texts if text not in self._known)], dtype=pl.String)
        if new.is_empty():
            return
        said = self._teacher.ask(pl.DataFrame({"prompt_id": new, "text": new}))
        sure = self._task.confidence(np.array(said["logits"].to_list()), self._temperature)
        assert sure is not None
        answers = with_answers(said, self._task)["answer"]
        self._known |= {
            text: TeacherSaid(answer, float(each)) for text, answer, each in zip(new, answers, sure, strict=True)
        }

    def says(self, text: str) -> TeacherSaid:
        """What it answers."""
        self.hears([text])
        return self._known[text]


class World:
    """All that is there while the month goes on.

    Args:
        clock: by which this process lives; it stands still while something is done.
        file: the recipe to begin with.
        a_day: how many questions are asked.
    """

    def __init__(self, place: Place, clock: time_machine.Traveller, file: RecipeFile, a_day: int) -> None:
        self.place, self._clock, self.file = place, clock, file
        self.callers = Callers(a_day)
        self.daemon = Daemon(place.instance, file, datetime.now(UTC))
        self.answers: Counter[str] = Counter()
        self.degraded: Counter[int] = Counter()
        self._teachers: dict[tuple[str, bool], AskedOnce] = {}
        self.teacher_is_away = False
        self.teacher_has_changed = False
        self.next_one_crashes = False
        """Whether the next release that is offered fails on long texts."""

    @property
    def now(self) -> Deployment:
        """What serves and what is on its way."""
        return serving_now(self.place.builds.ledger, NAME)

    def goes_on_at(self, moment: datetime) -> None:
        """Let it be a later moment."""
        self._clock.move_to(moment)

    def change(self, file: RecipeFile) -> None:
        """Have the code location load another recipe."""
        self.file = self.daemon.file = file

    def teachers(self, on_call: TeacherOnCall) -> AskedOnce:
        """The teacher that a release was judged with; another one while it has changed."""
        which = on_call.artifact, self.teacher_has_changed
        if which not in self._teachers:
            self._teachers[which] = AskedOnce(self, on_call)
        return self._teachers[which]

    def serve(self, requests: Iterable[Request], day: datetime) -> None:
        """Answer some requests, each at its moment, by a server that has started before the first one."""
        some = [*requests]
        with self._a_server([redact_text(request.text) for request in some]) as app:
            asyncio.run(self._answer(app, some, day))

    async def _answer(self, app: ASGIApp, requests: Iterable[Request], day: datetime) -> None:
        for request in requests:
            self.goes_on_at(day + timedelta(seconds=request.moment))
            status, said = await post(app, f"/v1/{NAME}/predict", {"text": request.text, "key": request.key})
            self.answers[str(status)] += 1
            if status == 200 and said["degraded"]:
                self.degraded[day_of(datetime.now(UTC))] += 1

    @contextmanager
    def _a_server(self, texts: Collection[str]) -> Iterator[ASGIApp]:
        """The app as `stillhouse serve` has it, for some texts; its rows are sealed when it ends."""
        home, slot, tokens = self.place.home, self._slot(texts), Tokens(self.place.home.serving)
        Follower(self.place.builds, {NAME: slot}, tokens, REPLICA).look()
        log = log_of(home, self.file, REPLICA)
        self._break_what_crashes(slot)
        server = Server({NAME: slot}, RequestIds.of(home.serving), Access(tokens, "127.0.0.1"), {NAME: log})
        try:
            yield server
        finally:
            log.close()
            for teacher in slot.teachers.values():
                teacher.close()

    def _slot(self, texts: Collection[str]) -> Slot:
        def opened(on_call: TeacherOnCall) -> ServingTeacher:
            self.teachers(on_call).hears(texts)
            return ServingTeacher(TeacherHere(self, on_call), TeacherCallsSpec(deadline_ms=20_000))

        return Slot(NAME, self.file.recipe.serving, open_teacher=opened)

    def _break_what_crashes(self, slot: Slot) -> None:
        """Let the network of a release fail on long texts, as one exported with too few positions would."""
        assert slot.serving is not None
        challenger = slot.serving.challenger
        if challenger is None or not self.next_one_crashes:
            return
        say = challenger.release.say

        def failing(clean: str) -> Any:
            if len(clean) > LONG:
                raise RuntimeError("a position beyond the last one")
            return say(clean)

        challenger.release.say = failing  # type: ignore[method-assign]


async def post(app: ASGIApp, path: str, body: Mapping[str, str]) -> tuple[int, Any]:
    """What the app responds to a request, without a network between."""
    content, status = b"", 0

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Message) -> None:
        nonlocal content, status
        status = message.get("status", status)
        content += message.get("body", b"")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    await app(scope, receive, send)
    return status, json.loads(content)
