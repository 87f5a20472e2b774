"""A teacher behind an API that speaks OpenAI's protocol: asked over the network, each request paid for once.

Belongs here: making calls, again where it helps, at most as many at a time and as much money as the recipe allows.
Does not: what was paid (calls.py), how fast (pace.py), what is asked (requests.py), what replies mean (replies.py).
"""

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.packages import how_to_install
from stillhouse.recipe.asking import EndpointSpec
from stillhouse.tasks.task import Task
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import CallLog, CapReachedError, Reply
from stillhouse.teachers.columns import ANSWER_SCHEMA, TOOK, columns_of_calls, further_columns
from stillhouse.teachers.pace import Pace, pace_of, tokens_of
from stillhouse.teachers.protocol import reply_in
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.requests import body_of
from stillhouse.teachers.stored import Failure, StoredTeacher

if TYPE_CHECKING:
    from openai import OpenAI

_AGAIN = (408, 409, 425, 429)
"""Statuses beside those of 500 and more that another attempt may change."""
_OF_THE_TEXT = (400, 422)
"""Statuses that another text may change; any other below 500 ends the run."""
_SLOWEST_S, _FIRST_S = 60.0, 0.5
_JITTER = random.Random()
"""Of its own: how long somebody waits decides no training."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks OpenAI's protocol: one call, and what it costs.

    Args:
        url: where it is, ending in /v1.
        limits: with prices, key and timeout.
        asking: what is asked of each text.
        quotes: whether what it says in an error may be repeated: some repeat the text there.
    """

    url: str
    limits: EndpointSpec
    asking: Asking
    quotes: bool = True

    def attempt(self, body: dict[str, Any]) -> "Reply | Refusal":
        """Make one call; whatever can come of it is a value, and only a mistake of our own is an exception."""
        import httpx2
        from openai import APIConnectionError, APIStatusError

        settings = {name: value for name, value in body.items() if name not in ("model", "messages")}
        begun = time.perf_counter()
        try:
            raw = self.client.chat.completions.with_raw_response.create(
                model=body["model"], messages=body["messages"], extra_body=settings
            )
            text, took = raw.http_response.text, 1000 * (time.perf_counter() - begun)
            return _read(text, took) or Refusal(f"a reply that is none of the protocol: {self._in_short(text)}")
        except APIStatusError as error:
            status, spoken = error.status_code, self._in_short(error.response.text)
            return Refusal(
                f"status {status}, {spoken}",
                _seconds(error.response.headers),
                is_final=status < 500 and status not in (*_AGAIN, *_OF_THE_TEXT),
                is_of_this_text=status in _OF_THE_TEXT,
                is_free=status < 500 and status != 408,  # refused before anything was read
            )
        except APIConnectionError as error:
            cause = error.__cause__ or error
            never_sent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol)
            return Refusal(f"{type(cause).__name__}: {self._in_short(str(cause))}", is_free=never_sent)

    def shut_down_on(self) -> str | None:
        """The day on which the server says that the model ends; None where it says none.

        Raises:
            StillhouseError: if the server cannot be asked now.
        """
        from openai import APIConnectionError, APIStatusError

        try:
            said = getattr(self.client.models.retrieve(self.asking.model), "shutdown_date", None)
        except ValueError:  # a page in the place of a reply
            return None
        except (APIStatusError, APIConnectionError) as error:
            # Many servers have no list of their models, and many keys may not read it; calls show whether it answers.
            status = error.status_code if isinstance(error, APIStatusError) else 503
            if status == 501 or (status < 500 and status not in _AGAIN):
                return None
            raise StillhouseError(
                f"the server does not say what its model is: {self._in_short(str(error))}",
                where=self.url,
                expected=f"an answer to GET /models/{self.asking.model}",
                do="Look at the server, and at what the recipe says of its address, model and key.",
            ) from error
        return None if said is None else str(said)

    def most(self, body: dict[str, Any]) -> float:
        """USD that a call can cost at the most."""
        return self.usd(*self.most_tokens(body))

    def most_tokens(self, body: dict[str, Any]) -> tuple[int, int]:
        """Tokens that a call can read and write at the most: no token is shorter than a byte."""
        read = len(json.dumps(body["messages"], ensure_ascii=False).encode()) + self.limits.tokens_around
        return read, self.asking.longest_answer

    def cost(self, reply: Reply, most: float) -> float:
        """What a reply cost by the server's own count; at the most where it does not count."""
        return self.usd(reply.tokens_in, reply.tokens_out) if reply.tokens_in else most

    def usd(self, read: int, written: int) -> float:
        """What so many tokens cost that were read, and written."""
        return (read * self.limits.usd_per_million_in + written * self.limits.usd_per_million_out) / _MILLION

    @property
    def _key(self) -> str:
        variable = self.limits.api_key_env
        return "" if variable is None else os.environ.get(variable, "").strip()

    def _in_short(self, text: str) -> str:
        """The beginning of what a server said, without the key, which some repeat."""
        if not self.quotes:
            return "what it says is not repeated, since that may hold the text"
        return " ".join((text.replace(self._key, "***") if self._key else text).split())[:200]

    @cached_property
    def client(self) -> "OpenAI":
        """What makes the calls.

        Raises:
            StillhouseError: if the package or the key is missing.
        """
        try:
            from openai import DefaultHttpxClient, OpenAI
        except ImportError as error:
            raise StillhouseError(
                "the package openai is not installed", where="teacher.kind: endpoint",
                expected="the extra `endpoint`", do=how_to_install("endpoint"),
            ) from error  # fmt: skip
        key, variable = self._key, self.limits.api_key_env
        if variable is not None and not re.fullmatch("[!-~]+", key):
            raise StillhouseError(
                f"the variable {variable} {'holds what is no key' if key else 'is not set'}",
                where=f"{self.url}: api_key_env", expected="the key of the server, without blanks",
                do=f"Set {variable} where Stillhouse runs.",
            )  # fmt: skip
        # Its own retries would spend outside the cap, and a redirect would take the texts to somebody else.
        http = DefaultHttpxClient(follow_redirects=False)
        timeout = self.limits.timeout_s
        client = OpenAI(base_url=self.url, api_key=key or "none", max_retries=0, timeout=timeout, http_client=http)
        client.organization = client.project = None  # those of the environment are for another server
        return client


@dataclass(frozen=True)
class EndpointTeacher:
    """A model that is asked over the network.

    Args:
        url: where the server is, ending in /v1.
        limits: what the recipe allows.
        asking: what is asked of each text.
        recipe: its name; calls are counted for it.
        calls: where they are written down.
        task: what an answer is.
        pilot: its answers to validation rows and how many of them are right; None while they are not known.
        sleep: waits so many seconds, for tests; None waits, and stops to where the run is broken off.
        is_in_confidence: whether no error may repeat what the server says.
    """

    url: str
    limits: EndpointSpec
    asking: Asking
    recipe: str
    calls: CallLog
    task: Task
    pilot: StoredTeacher | None = None
    sleep: Callable[[float], object] | None = None
    is_in_confidence: bool = False
    _open_calls: "_OpenCalls" = field(default_factory=lambda: _OpenCalls(), compare=False, repr=False)

    @cached_property
    def endpoint(self) -> Endpoint:
        """The server, and what a call of it costs."""
        return Endpoint(self.url, self.limits, self.asking, quotes=not self.is_in_confidence)

    @property
    def _pace(self) -> Pace:
        return pace_of(self.url, self.asking.model)

    def in_confidence(self) -> "EndpointTeacher":
        """The same teacher for texts that may have to be erased: of them and of its replies nothing is written down."""
        return replace(self, calls=self.calls.in_passing(), is_in_confidence=True)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides what is asked, and of what the pilot said to it; not of server, key or price."""
        assert self.pilot is not None
        return digest_of({"asking": self.asking.digest, "pilot": self.pilot.fingerprint})

    def verify(self) -> None:
        """The server cannot be looked into; that another model answers is seen from what it says of itself."""

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """The answer to each prompt as outputs, or why there is none.

        Raises:
            StillhouseError: if the server refuses for good, or the cap is reached; what was answered is kept.
        """
        return self.answers(self.replies(prompts), prompts)

    def answers(self, replies: Replies, prompts: pl.DataFrame) -> pl.DataFrame:
        """Replies as a row of `ANSWER_SCHEMA` for each of these prompts, with `TOOK`, `error` and `SAID`.

        If that is asked for with `rationale`, too.
        """
        assert self.pilot is not None
        answers = replace(self.pilot, answers=replies.answers).ask(prompts)
        sure = replies.outputs(self.pilot.accuracy)
        if sure is not None:
            answers = answers.drop("logits").join(sure, on="prompt_id", how="left", maintain_order="left")
        answers = answers.drop("tokens", "latency_ms", "observed").join(
            replies.counts, on="prompt_id", maintain_order="left"
        )
        for more in (replies.in_place_of_answers, replies.as_said):
            answers = answers.join(more, on="prompt_id", how="left", maintain_order="left")
        requests = {name: [*self.requests_of(text)] for name, text in prompts.select("prompt_id", "text").iter_rows()}
        booked = self.calls.booked(digest for each in requests.values() for digest in each)
        paid = [sum(booked[digest] for digest in requests[name]) for name in answers["prompt_id"]]
        took = pl.col("latency_ms").cast(TOOK["seconds"]) / 1000
        answers = answers.with_columns(
            pl.Series("usd", paid, dtype=TOOK["usd"]),
            # Nothing where a text was refused before anything was read.
            pl.when(took > 0).then(took).alias("seconds"),
            pl.lit(self.fingerprint).alias("fingerprint"),
        )
        return answers.select(*ANSWER_SCHEMA, *further_columns(answers), *columns_of_calls(answers))

    def shut_down_on(self) -> str | None:
        """See `Endpoint.shut_down_on`."""
        return self.endpoint.shut_down_on()

    def costs(self, replies: Replies, prompts: pl.DataFrame) -> list[float]:
        """USD that the replies to each of these prompts cost."""
        texts = dict(prompts.select("prompt_id", "text").iter_rows())
        most = {name: self.endpoint.most(body_of(self.asking, texts[name])) for name in replies.said}
        return [sum(self.endpoint.cost(reply, most[name]) for reply in each) for name, each in replies.said.items()]

    def unasked(self, prompts: pl.DataFrame, occasion: str | None = None) -> float:
        """How many of these prompts have no reply yet, and are still to be paid for; some have a part of theirs.

        Args:
            prompts: columns prompt_id and text.
            occasion: see `replies`.
        """
        requests = self.requests(prompts, occasion)
        return (len(requests) - len(self.calls.replies(requests))) / self.asking.samples

    def requests(self, prompts: pl.DataFrame, occasion: str | None = None) -> dict[str, dict[str, Any]]:
        """What is sent for all of these prompts; see `requests_of`."""
        return {digest: body for text in prompts["text"] for digest, body in self.requests_of(text, occasion).items()}

    def requests_of(self, text: str, occasion: str | None = None) -> dict[str, dict[str, Any]]:
        """What is sent for a text, as often as it is asked, by the digests that the log has its replies by."""
        body = body_of(self.asking, text)
        return {self._digest(body, sample, occasion): body for sample in range(self.asking.samples)}

    def _digest(self, body: dict[str, Any], sample: int, occasion: str | None = None) -> str:
        # What is said to be another revision is asked again, though it bears the same name.
        own = [*([sample] if sample else []), *([occasion] if occasion else [])]
        return digest_of([body, self.asking.revision, *own])

    def replies(self, prompts: pl.DataFrame, occasion: str | None = None) -> Replies:
        """What the server said to each prompt, by its id, as often as it is asked; only what is missing is asked.

        Args:
            prompts: columns prompt_id and text.
            occasion: for which they are asked again, whatever was said before; once for each.
        """
        texts = dict(prompts.select("prompt_id", "text").iter_rows())
        bodies = {name: body_of(self.asking, text) for name, text in texts.items()}
        samples = range(self.asking.samples)
        digests = {name: [self._digest(body, sample, occasion) for sample in samples] for name, body in bodies.items()}
        with self.calls.one_at_a_time(self.asking.digest):
            known = self.calls.replies(digest for each in digests.values() for digest in each)
            wanted = {digest: bodies[name] for name, each in digests.items() for digest in each}
            missing = {digest: body for digest, body in wanted.items() if digest not in known}
            if missing:
                known |= self._ask_all(missing)
        said = {name: [known[digest] for digest in each] for name, each in digests.items()}
        return Replies(said, self.asking, self.task, texts)

    def _ask_all(self, bodies: Mapping[str, dict[str, Any]]) -> dict[str, Reply]:
        over = threading.Event()
        _ = self.endpoint.client  # made before threads want it, and before a call is written down
        first: list[BaseException] = []

        def ask(digest: str) -> tuple[str, Reply] | None:
            if over.is_set():
                return None
            try:
                return digest, self._call(digest, bodies[digest], over)
            except Exception as error:
                if not over.is_set():  # what other threads say after it follows from it
                    first.append(error)
                over.set()
                return None

        with ThreadPoolExecutor(self.limits.concurrency) as pool:
            try:
                asked = [pool.submit(ask, digest) for digest in bodies]
                wait(asked)
            finally:  # by Ctrl-C, too: what has not begun is not begun, and what is paid is waited for
                over.set()
        if first:
            raise first[0]
        return dict(filter(None, (each.result() for each in asked)))

    def _call(self, digest: str, body: dict[str, Any], over: threading.Event) -> Reply:
        most, refused = self.endpoint.most(body), "the run was broken off"
        for attempt in range(self.limits.attempts):
            answer = self._attempt_in_its_turn(digest, body, most, over)
            if answer is None:
                break
            if isinstance(answer, Reply):
                return answer
            if answer.is_of_this_text:
                # Not kept as a reply: a server that is put right may answer it.
                return Reply(answer.what, Failure.TURNED_AWAY, None, 0, 0, 0.0)
            refused = answer.what
            if answer.is_final:
                break
            backoff = _JITTER.uniform(0.5, 1) * min(_SLOWEST_S, _FIRST_S * 2 ** (attempt + 1))
            self._pace.hold(answer.retry_after if answer.retry_after is not None else backoff)
        raise StillhouseError(
            f"the server did not answer: {refused}",
            where=self.url,
            expected=f"an answer within {self.limits.attempts} attempts",
            do="Look at the server, and at what the recipe says of its address, model and key, and run again: what was "
            "answered is kept and is not asked again.",
        )

    def _attempt_in_its_turn(
        self, digest: str, body: dict[str, Any], most: float, over: threading.Event
    ) -> "Reply | Refusal | None":
        """Make one call when the server takes one more; None where the run is over before that."""
        sleep, tokens = self.sleep or over.wait, tokens_of(self.url, self.asking.model)
        reserved = sum(self.endpoint.most_tokens(body))
        with tokens.counted(reserved, self.limits.tokens_per_minute, sleep, over=over.is_set) as call:
            self._pace.wait(self.limits.requests_per_minute, sleep)
            if over.is_set():
                call.tokens = 0  # none was made
                return None
            answer = self._attempt(digest, body, most, over)
            if isinstance(answer, Reply) and answer.tokens_in:
                call.tokens = answer.tokens_in + answer.tokens_out
            return answer

    def _attempt(self, digest: str, body: dict[str, Any], most: float, over: threading.Event) -> "Reply | Refusal":
        """Make one call, with its cost in the log before and after."""
        call = self._reserve(digest, most, over)
        try:
            answer = self.endpoint.attempt(body)
            if isinstance(answer, Refusal):
                if answer.is_free:
                    self.calls.settle(call, usd=0.0, reply=None)
                return answer
            cost = self.endpoint.cost(answer, most)
            tells_too_little = (
                self.asking.codes and answer.alternatives is None and answer.failure in (None, Failure.CUT_OFF)
            )
            # Beyond what was reserved, too: it has been billed.
            self.calls.settle(call, usd=cost, reply=None if tells_too_little else answer)
        finally:
            self._open_calls.ended()
        if tells_too_little:
            raise self._tells_no_probabilities()
        if cost > most:
            raise self._counts_more(answer)
        return answer

    def _reserve(self, digest: str, most: float, over: threading.Event) -> int:
        """Reserve a call; near the cap once the calls that are open have ended, as most cost less than they can."""
        while True:
            ended = self._open_calls.begun()
            try:
                return self.calls.reserve(digest, self.recipe, usd=most, usd_at_most=self.limits.usd_at_most)
            except CapReachedError:
                if not self._open_calls.another_has_ended(since=ended) or over.is_set():
                    raise
            except BaseException:
                self._open_calls.ended()
                raise

    def _tells_no_probabilities(self) -> StillhouseError:
        return StillhouseError(
            "the server gives an answer and no log-probabilities with it",
            where=f"{self.url}: soft_labels",
            expected="`logprobs` in its reply, with the alternatives of the first token",
            do="Set `by: samples`, or leave soft_labels out: many models do not tell them.",
        )

    def _counts_more(self, reply: Reply) -> StillhouseError:
        return StillhouseError(
            f"the server counts {reply.tokens_in:,} tokens read and {reply.tokens_out:,} written for one text, more "
            "than was reserved for it",
            where=self.url,
            expected=f"at most a token for each byte and {self.limits.tokens_around:,} around it, and "
            f"{self.asking.longest_answer:,} written",
            do="Raise `teacher.endpoint.tokens_around` if its template is that long; else do not trust this server.",
        )


@dataclass(frozen=True)
class Refusal:
    """A call that gave no reply.

    Args:
        what: happened.
        retry_after: seconds that the server asks to wait.
        is_final: whether another attempt would end alike.
        is_of_this_text: whether another text may be answered all the same.
        is_free: whether it certainly cost nothing.
    """

    what: str
    retry_after: float | None = None
    is_final: bool = False
    is_of_this_text: bool = False
    is_free: bool = False


class _OpenCalls:
    """The calls whose cost is not known yet, whichever thread makes them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = self._ended = 0

    def begun(self) -> int:
        """Count one more, and say how many have ended."""
        with self._changed:
            self._open += 1
            return self._ended

    def ended(self) -> None:
        """Count one less."""
        with self._changed:
            self._open, self._ended = self._open - 1, self._ended + 1
            self._changed.notify_all()

    def another_has_ended(self, *, since: int) -> bool:
        """Take one back that was not made, and wait for one that is; False where there is none to wait for."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended > since or not self._open)
            return self._ended > since


def _read(text: str, took: float) -> Reply | None:
    """What a reply of status 200 says; None of a proxy's page in its place, or of an error of a server behind it."""
    try:
        return reply_in(json.loads(text), took)
    except (ValueError, RecursionError):
        return None


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait; None where it says none, or a date."""
    try:
        if "retry-after-ms" in headers:
            return min(max(float(headers["retry-after-ms"]) / 1000, 0.0), _SLOWEST_S)
        return min(max(float(headers["retry-after"]), 0.0), _SLOWEST_S) if "retry-after" in headers else None
    except ValueError:
        return None
