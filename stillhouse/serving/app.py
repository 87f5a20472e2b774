"""The server: endpoints, limits, and the response where there is no answer.

Belongs here: which endpoint answers, in which order limits are asked, how each end of a request is counted and logged.
Does not: reading a request and sending a response (http.py), what is asked and answered (answer.py), who may ask
(tokens.py), following the ledger (desired.py).

One process, one thread: the student holds the event loop for less than a thread pool would cost. A request that has
been read waits one turn of the loop before it is worked on, so that all that came at the same moment are counted first.

No text, key or other word of a caller is in any log or error: an exception is known by its type, the place in our code
and the request's id.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from stillhouse.data.one_text import spelled
from stillhouse.live.feedback import is_wanted
from stillhouse.live.purposes import Purpose
from stillhouse.serving.answer import Answer, Answers, Given, Serving, WhoServes, read_question, read_truth, texts_of
from stillhouse.serving.desired import Slot
from stillhouse.serving.failures import known_by
from stillhouse.serving.handing_on import Final, handed_on, why_handed_on
from stillhouse.serving.http import JSON, AtOnce, Header, Request, Response, json_response, text_response
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.metrics import CONTENT_TYPE, NOT_SERVED, Metrics
from stillhouse.serving.refused import Refusal, RefusedError
from stillhouse.serving.requests import Feedback, Log, ServedRequest
from stillhouse.serving.routing import Arm
from stillhouse.serving.shadowing import Shadowing
from stillhouse.serving.tokens import Access, Scope
from stillhouse.tasks.label_sets import names_of

LOG = logging.getLogger("stillhouse.serving")

_COME_AGAIN_SECONDS = "1"
_LATE_SECONDS = 10.0
"""After which a ledger that does not answer is spoken of; it is looked at every second."""

Endpoint = Callable[[Request, str], Awaitable[Response]]


class Server:
    """The endpoints of one process, as an ASGI application.

    Args:
        slots: what is served, by recipe.
        ids: issues ids, and knows its own.
        access: who may ask.
        logs: keep what was answered, by recipe; a recipe without one takes no feedback.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        ids: RequestIds,
        access: Access,
        logs: Mapping[str, Log] = MappingProxyType({}),
    ) -> None:
        self._slots, self._ids, self._access, self._logs = slots, ids, access, logs
        self._metrics = Metrics(slots, logs)
        self._draws_by = ids.drawing_key(Purpose.TRUTH_IS_ASKED_FOR)
        self._compares_by = ids.drawing_key(Purpose.WORDS_ARE_COMPARED)
        self._shadowing = Shadowing(slots, self._metrics, self._draws_by, compares_by=self._compares_by)
        # A router by itself: an application's middleware would look after exceptions, of which none comes so far. It
        # sends nobody elsewhere, as behind a proxy with TLS that would be to where a token is in the clear.
        self._router: ASGIApp = Router(
            [
                *self._routes("POST", "/v1/{recipe}/predict", self._predict, Scope.PREDICT),
                *self._routes("POST", "/v1/{recipe}/feedback", self._feedback, Scope.FEEDBACK),
                *self._routes("GET", "/v1/{recipe}", self._who_serves, Scope.PREDICT),
                *self._routes("GET", "/openapi.json", self._describe, Scope.PREDICT),
                *self._routes("GET", "/metrics", self._show_metrics, Scope.METRICS),
                *self._routes("GET", "/healthz", self._healthy, None),
                *self._routes("GET", "/readyz", self._ready, None),
            ],
            redirect_slashes=False,
            default=_Answered(self, self._nothing_there, None, NOT_SERVED),
        )
        self._questions = {f"/v1/{name}/predict".encode(): slot for name, slot in slots.items()}

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer a request that a connection has not had answered `at_once`."""
        await self._router(scope, receive, send)

    def _routes(self, method: str, path: str, endpoint: Endpoint, scope: Scope | None) -> tuple[Route, Route]:
        """By the method that it answers, and by any other, to say so as everything is said."""

        async def refuse(request: Request, id: str) -> Response:
            raise RefusedError(405, "the method is another", method, allow=method)

        name = path.rpartition("/")[2].strip("{}")
        asked = Route(path, _Answered(self, endpoint, scope, name), methods=[method])
        return asked, Route(path, _Answered(self, refuse, None, name))

    async def _nothing_there(self, request: Request, id: str) -> Response:
        raise RefusedError(404, "there is nothing of this address", "an address that GET /openapi.json names")

    def at_once(self, address: bytes, headers: Sequence[Header]) -> AtOnce | None:
        """How a request is answered once its body is there, where nothing but the model is waited for.

        Such a request needs none of what a web server makes of one that waits for others (connections.py).

        Args:
            address: that a POST names.
            headers: of the request.

        Returns:
            None where it is no question, or a teacher may be asked.
        """
        slot = self._questions.get(address)
        serving = None if slot is None else slot.serving
        if slot is None or serving is None or serving.may_ask_a_teacher:
            return None
        recipe, predict = slot.name, partial(self._predict, by=serving)  # what serves next may have a teacher
        return lambda body: self.respond(Request(headers, recipe, body), predict, Scope.PREDICT, "predict")

    async def respond(
        self, request: Request, endpoint: Endpoint, scope: Scope | None, name: str
    ) -> tuple[Response, str]:
        """Ask an endpoint; an exception is a response too, and logged without what it says.

        Returns:
            The response, and the id of the request.
        """
        id = self._ids.issue()
        try:
            if scope is not None:
                self._access.require(request.headers, scope)
            response = await endpoint(request, id)
        except RefusedError as refused:
            response = json_response(
                Refusal(error=refused.what, expected=refused.expected, id=id), refused.status, *refused.headers
            )
        except ClientDisconnect:
            response = Response(400)  # nobody reads it
        except Exception as error:
            LOG.error("request %s failed: %s", id, known_by(error))
            response = json_response(
                Refusal(error="the server has failed", expected="an answer; its log has this id", id=id), 500
            )
        self._metrics.ended(request.recipe if request.recipe in self._slots else NOT_SERVED, name, response.status)
        return response, id

    async def _predict(self, request: Request, id: str, by: Serving | None = None) -> Response:
        """Answer by what was said to serve, or else by what serves now."""
        arrived, at = time.perf_counter(), time.time()
        slot = self._slot(request)
        _require_room(slot)
        question = read_question(await request.body(slot.limits.body_bytes), texts_at_most=slot.limits.texts)
        serving = by or slot.serving
        if serving is None:
            raise _come_again("nothing is served yet")
        texts, sent_key, deadline = texts_of(question), question.get("key"), question.get("deadline_ms")
        key = None if sent_key is None else self._ids.keyed(sent_key)
        clean = [_usable(text, serving.champion) for text in texts]
        until = None if deadline is None else arrived + deadline / 1000
        log = self._logs.get(slot.name)
        asked = _Asked(
            slot, serving, log, serving.arm(key or id), key, question.get("columns", {}), until, arrived, at,
            self._compares_by,
        )  # fmt: skip
        _require_room(slot)  # once more: others came while the body was read
        slot.waiting += 1
        try:
            answers, rows = list[Answer](), list[ServedRequest | None]()
            for index, (sent, text) in enumerate(zip(texts, clean, strict=True)):
                await _GIVE_WAY
                if until is not None and time.perf_counter() > until:
                    raise RefusedError(504, "the deadline has passed", "a later one")
                answer, row = await self._answer(asked, id if index == 0 else self._ids.issue(), sent, text)
                answers.append(answer)
                rows.append(row)
        finally:
            slot.waiting -= 1
        for row in rows:  # now that nothing can fail: of a request that fails nobody has received the answers before
            asked.keep(row)
        self._metrics.answered(slot.name, answers, time.perf_counter() - arrived)
        said = answers[0] if question.get("text") is not None else Answers(answers=answers)
        response = Response(
            200, to_json(said, inf_nan_mode="null"), ((b"x-stillhouse-release", answers[0]["release"].encode()), JSON)
        )
        questions = self._shadowing.questions(slot, serving, log, zip(clean, rows, strict=True))
        return response._replace(afterwards=partial(self._shadowing.ask, questions)) if questions else response

    async def _answer(self, asked: "_Asked", id: str, sent: str, clean: str) -> tuple[Answer, ServedRequest | None]:
        """Answer one text, and say what is to be kept of it; where it fails that is kept at once."""

        def failed(error: Exception) -> None:
            LOG.error("request %s: %s", id, known_by(error))
            self._metrics.failed(asked.slot.name, asked.arm)

        given: Given | None = None
        final: Final | None = None
        status = 500
        try:
            given = asked.serving.say(asked.arm, clean, asked.columns, asked.at, failed)
            why = why_handed_on(given, asked.columns)
            if why is None:
                final = Final(given.said.label, given.said.confidence)
            else:
                final = await handed_on(given, why, clean, asked.seconds_left)
                self._metrics.handed_on(asked.slot.name, final)
                if final.away is not None and asked.slot.limits.teacher_away == "refuse":
                    status = 503
                    raise _come_again("the teacher is to answer this, and cannot be asked")
        except BaseException:
            asked.keep(asked.row(id, sent, clean, given, final, status))
            raise
        answer = Answer(
            id=id,
            label=final.label,
            confidence=final.confidence,
            source=final.source,
            release=given.release.release,
            deployment=asked.serving.deployment,
            degraded=given.degraded or final.away is not None,
        )
        if given.release.gives_sets:
            answer["labels"] = names_of(final.label)
        if given.release.gives_records:
            answer["record"] = json.loads(final.label)
        if asked.slot.feedback_share is not None:
            answer["feedback_wanted"] = is_wanted(id, asked.slot.feedback_share, key=self._draws_by)
        return answer, asked.row(id, sent, clean, given, final, 200)

    async def _feedback(self, request: Request, id: str) -> Response:
        slot = self._slot(request)
        log = self._logs.get(slot.name)
        if log is None:
            raise RefusedError(501, "no traffic of it is kept", "a recipe with `traffic:`")
        truth = read_truth(await request.body(slot.limits.body_bytes))
        if not self._ids.is_ours(truth.id):
            raise RefusedError(422, "id: no answer of this installation has it", "the id of an answer")
        if slot.serving is None:  # nothing says yet what can be true; whoever comes again loses nothing
            raise _come_again("nothing is served yet")
        answer = slot.serving.who_answer
        as_kept = (each.truth_as_kept(truth.truth, key=self._compares_by, id=truth.id) for each in answer)
        said = next((each for each in as_kept if each is not None), None)
        if said is None:
            wanted = "; or ".join(dict.fromkeys(each.what_can_be_true for each in answer))
            raise RefusedError(422, "truth: it is no answer of this recipe", wanted)
        log.put(Feedback(truth.id, time.time(), slot.name, said, truth.by))
        return Response(202)

    async def _who_serves(self, request: Request, id: str) -> Response:
        slot = self._slot(request)
        serving = slot.serving
        if serving is None:
            raise _come_again("nothing is served yet")
        champion = serving.champion
        shown = WhoServes(
            recipe=slot.name,
            student=champion.record.student,
            release=champion.release,
            deployment=serving.deployment,
            since=serving.at,
            labels=champion.what_it_names,
            **champion.ends,
            threshold=None if champion.cascade is None else champion.cascade.rule.threshold.threshold,
            to_teacher=() if champion.cascade is None else tuple(each.name for each in champion.cascade.rule.protected),
            challenger=None if serving.challenger is None else serving.challenger.release.release,
            share=0.0 if serving.challenger is None else serving.challenger.share,
            quarantine=tuple(each.quarantine.slice for each in serving.taken),
        )
        return json_response(shown, 200)

    async def _describe(self, request: Request, id: str) -> Response:
        from stillhouse.serving.openapi import described

        found = described(self._slots, tokens_are_asked_for=self._access.asks_for_tokens)
        return Response(200, json.dumps(found).encode(), (JSON,))

    async def _show_metrics(self, request: Request, id: str) -> Response:
        return Response(200, self._metrics.shown(), ((b"content-type", CONTENT_TYPE),))

    async def _healthy(self, request: Request, id: str) -> Response:
        return text_response("ok\n")

    async def _ready(self, request: Request, id: str) -> Response:
        missing = sorted(name for name, slot in self._slots.items() if slot.serving is None)
        if missing:
            raise _come_again(f"nothing is served yet for {', '.join(missing)}")
        full = sorted(name for name, log in self._logs.items() if not log.is_writable)
        if full:
            raise _come_again(f"the traffic log cannot be written for {', '.join(full)}")
        return text_response("\n".join(["ready", *self._in_the_way()]) + "\n")

    def _in_the_way(self) -> Iterable[str]:
        """What a server that answers has to say all the same, one line each."""
        for name, slot in self._slots.items():
            if not slot.ledger_age < _LATE_SECONDS:
                since = "it began" if slot.ledger_seen is None else f"{slot.ledger_age:.0f} s ago"
                yield f"{name}: the ledger has not answered since {since}; what served last goes on"
            if slot.refused is not None:
                yield f"{name}: deployment {slot.refused} should serve and cannot; what served last goes on"
        for name, log in self._logs.items():
            if log.problem is not None:
                yield f"{name}: {log.problem}; its rows of traffic wait on this disk"

    def _slot(self, request: Request) -> Slot:
        slot = self._slots.get(request.recipe)
        if slot is None:
            raise RefusedError(404, "no such recipe is served here", f"one of: {', '.join(self._slots)}")
        return slot


@dataclass(frozen=True, slots=True)
class _Answered:
    """An endpoint as ASGI has it; as a function Starlette would wrap it twice more, once a request."""

    server: Server
    endpoint: Endpoint
    scope: Scope | None
    name: str

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope["headers"], scope.get("path_params", {}).get("recipe", ""), receive)
        response, id = await self.server.respond(request, self.endpoint, self.scope, self.name)
        await response.send(send, id)


class _Asked(NamedTuple):
    """What the texts of one request have in common."""

    slot: Slot
    serving: Serving
    log: Log | None
    arm: Arm
    key: str | None
    columns: Mapping[str, str]
    by: float | None
    arrived: float
    at: float
    compares_by: bytes

    @property
    def seconds_left(self) -> float | None:
        """Until the caller's deadline; None where there is none."""
        return None if self.by is None else max(self.by - time.perf_counter(), 0.001)

    def keep(self, row: ServedRequest | None) -> None:
        """Hand a row to the log."""
        if row is not None and self.log is not None:
            self.log.put(row)

    def row(
        self, id: str, sent: str, clean: str, given: Given | None, final: Final | None, status: int
    ) -> ServedRequest | None:
        """What is kept of one text, if anything is; without what was said the champion has failed."""
        if self.log is None:
            return None
        said = None if given is None else given.said
        to_teacher = None if final is None or final.why is None else said
        answer = None if status == 503 else final

        def kept(label: str) -> str:
            return label if given is None else given.release.as_kept(label, key=self.compares_by, id=id)

        return ServedRequest(
            id=id,
            at=self.at,
            recipe=self.slot.name,
            release=self.serving.champion.release if given is None else given.release.release,
            deployment=self.serving.deployment,
            source="student" if answer is None else answer.source,
            label=None if answer is None else kept(answer.label),
            confidence=None if answer is None else answer.confidence,
            degraded=given is not None and answer is not None and (given.degraded or answer.away is not None),
            status=status,
            latency_ms=(time.perf_counter() - self.arrived) * 1000,
            characters=len(clean),
            tokens=None if said is None else said.tokens,
            key=self.key,
            text=sent,
            arm=self.arm if given is None else given.arm,
            student_label=None if to_teacher is None else kept(to_teacher.label),
            student_confidence=None if to_teacher is None else to_teacher.confidence,
            wanted_share=self.slot.feedback_share if status == 200 else None,  # nobody was asked about a failure
            columns=self.columns,
        )


class _GiveWay:
    """What `asyncio.sleep(0)` does: the loop turns once before the code behind it goes on."""

    def __await__(self) -> Generator[None]:
        yield


_GIVE_WAY = _GiveWay()


def _require_room(slot: Slot) -> None:
    if slot.waiting >= slot.limits.concurrency:
        raise _come_again(f"{slot.waiting} requests are waiting")


def _usable(text: str, release: LoadedRelease) -> str:
    """A text in its one spelling, which training would have taken, too."""
    clean = spelled(text)
    if not clean:
        raise RefusedError(422, "text: nothing in it can be seen", "at least one character that can be seen")
    if len(clean) > release.max_characters:
        raise RefusedError(422, f"text: {len(clean)} characters", f"at most {release.max_characters}")
    return clean


def _come_again(what: str) -> RefusedError:
    return RefusedError(503, what, "another moment", retry_after=_COME_AGAIN_SECONDS)
