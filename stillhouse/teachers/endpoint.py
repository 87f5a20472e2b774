"""A teacher behind an API that speaks OpenAI's protocol: asked over the network, each request paid for once.

Belongs here: making calls, again where it helps, at most as many at a time and as much money as the recipe allows.
Does not: what was paid (calls.py), what is asked (requests.py), what students learn from the answers (stored.py).
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.recipe.teacher import EndpointSpec
from stillhouse.tasks.task import Task
from stillhouse.teachers.calls import CallLog, Reply
from stillhouse.teachers.requests import Asking
from stillhouse.teachers.stored import Failure, StoredTeacher, held_to

if TYPE_CHECKING:
    from openai import OpenAI

_AGAIN = (408, 409, 429)
"""Statuses beside those of 500 and more that the protocol's clients try again."""
_OF_THE_RECIPE = (401, 403, 404)
"""Statuses that no other text would change."""
_FREE = (429,)
"""Statuses of requests that no provider bills."""
_SLOWEST_S, _FIRST_S = 60.0, 0.5
_JITTER = random.Random()
"""Of its own: how long somebody waits decides no training."""
_OVERHEAD_TOKENS = 64
"""What a server may add to each prompt by its chat template, counted as read."""
_MILLION = 1_000_000


def fingerprint_of_asking(asking: Asking, accuracy: float) -> str:
    """Digest of what a teacher is asked and how right it is; 64 hex digits."""
    return digest_of({"asking": asking.digest, "accuracy": accuracy})


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
        accuracy: share of its answers that are right, in (0, 1); None while that is not known.
        sleep: waits so many seconds, for tests; None waits, and stops to where the run is broken off.
    """

    url: str
    limits: EndpointSpec
    asking: Asking
    recipe: str
    calls: CallLog
    task: Task
    accuracy: float | None = None
    sleep: Callable[[float], object] | None = None
    _pace: "_Pace" = field(default_factory=lambda: _Pace(), compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides what is asked, and of how right the answers are; not of server, key or price."""
        assert self.accuracy is not None
        return fingerprint_of_asking(self.asking, self.accuracy)

    def verify(self) -> None:
        """The server cannot be looked into; that another model answers is seen from what it says of itself."""

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """The answer to each prompt as outputs, or why there is none.

        Raises:
            StillhouseError: if the server refuses for good, or the cap is reached; what was answered is kept.
        """
        assert self.accuracy is not None
        replies = self.replies(prompts)
        said = StoredTeacher(self._answers(replies), self.accuracy, self.task).ask(prompts)
        known = pl.DataFrame(
            [(name, each.tokens_in, each.milliseconds, each.model) for name, each in replies.items()],
            schema={"prompt_id": pl.String, "tokens": pl.Int32, "latency_ms": pl.Float32, "observed": pl.String},
            orient="row",
        )
        columns = said.columns
        said = said.drop("tokens", "latency_ms", "observed").join(known, on="prompt_id", maintain_order="left")
        return said.with_columns(pl.lit(self.fingerprint).alias("fingerprint")).select(columns)

    def costs(self, prompts: pl.DataFrame) -> list[float]:
        """USD that the answer to each prompt cost, asked now where it was not."""
        replies, texts = self.replies(prompts), dict(prompts.select("prompt_id", "text").iter_rows())
        return [self._cost(reply, self._most(self.asking.body(texts[name]))) for name, reply in replies.items()]

    def answers_to(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """`prompt_id`, `answer`, and `failure` where there is none; see `ask` for what it raises."""
        return self._answers(self.replies(prompts))

    def _answers(self, replies: Mapping[str, Reply]) -> pl.DataFrame:
        rows = [
            (name, self.asking.answer_in(each.content) if each.content and not each.failure else None, each.failure)
            for name, each in replies.items()
        ]
        schema = {"prompt_id": pl.String, "answer": pl.String, "failure": pl.String}
        found = pl.DataFrame(rows, schema=schema, orient="row").sort("prompt_id")
        silent = pl.col("answer").is_null() & pl.col("failure").is_null()
        empty = pl.when(silent).then(pl.lit(Failure.EMPTY.value)).otherwise("failure").alias("failure")
        return held_to(found.with_columns(empty), self.task.names)

    def replies(self, prompts: pl.DataFrame) -> dict[str, Reply]:
        """What the server said to each prompt, by its id; only what it was never asked is asked."""
        bodies = {name: self.asking.body(text) for name, text in prompts.select("prompt_id", "text").iter_rows()}
        # What is said to be another revision is asked again, though it bears the same name.
        digests = {name: digest_of([body, self.asking.revision]) for name, body in bodies.items()}
        known = self.calls.replies(digests.values())
        missing = {digests[name]: body for name, body in bodies.items() if digests[name] not in known}
        if missing:
            known |= self._ask_all(missing)
        return {name: known[digest] for name, digest in digests.items()}

    def _ask_all(self, bodies: Mapping[str, dict[str, Any]]) -> dict[str, Reply]:
        over, _ = threading.Event(), self._client  # made before threads want it, and before a call is written down

        def ask(digest: str) -> tuple[str, Reply] | None:
            if over.is_set():
                return None
            try:
                return digest, self._call(digest, bodies[digest], over)
            except BaseException:
                over.set()
                raise

        with ThreadPoolExecutor(self.limits.concurrency) as pool:
            try:
                return dict(filter(None, pool.map(ask, bodies)))
            finally:  # by Ctrl-C, too: what has not begun is not begun
                over.set()

    def _call(self, digest: str, body: dict[str, Any], over: threading.Event) -> Reply:
        most, refused = self._most(body), "the run was broken off"
        for attempt in range(self.limits.attempts):
            self._pace.wait(self.limits.requests_per_minute, self.sleep or over.wait)
            if over.is_set():
                break
            call = self.calls.reserve(digest, self.recipe, usd=most, usd_at_most=self.limits.usd_at_most)
            answer = self._attempt(body)
            if isinstance(answer, Reply):
                self.calls.settle(call, usd=self._cost(answer, most), reply=answer)
                return answer
            if answer.is_of_this_text:
                # Not kept as a reply: a server that is put right may answer it.
                return Reply(None, Failure.REFUSED, None, 0, 0, 0.0)
            refused = answer.what
            if answer.is_free:
                self.calls.settle(call, usd=0.0, reply=None)
            if answer.is_final:
                break
            backoff = _JITTER.uniform(0, min(_SLOWEST_S, _FIRST_S * 2**attempt))
            self._pace.hold(answer.retry_after if answer.retry_after is not None else backoff)
        raise StillhouseError(
            f"the server did not answer: {refused}",
            where=self.url,
            expected=f"an answer within {self.limits.attempts} attempts",
            do="Look at the server, the recipe's `teacher.source`, `teacher.ask.model` and key, and run again: what "
            "was answered is kept and is not asked again.",
        )

    def _attempt(self, body: dict[str, Any]) -> "Reply | _Refusal":
        """Make one call; whatever can come of it is a value, and only a mistake of our own is an exception."""
        from openai import APIConnectionError, APIStatusError

        settings = {name: value for name, value in body.items() if name not in ("model", "messages")}
        begun = time.perf_counter()
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                model=body["model"], messages=body["messages"], extra_body=settings
            )
            text, took = raw.http_response.text, 1000 * (time.perf_counter() - begun)
            return _read(text, took) or _Refusal(f"a reply that is none of the protocol: {self._in_short(text)}")
        except APIStatusError as error:
            status, spoken = error.status_code, self._in_short(error.response.text)
            return _Refusal(
                f"status {status}, {spoken}", _seconds(error.response.headers.get("retry-after")),
                is_final=status in _OF_THE_RECIPE,
                is_of_this_text=status < 500 and status not in (*_AGAIN, *_OF_THE_RECIPE),
                is_free=status in (*_FREE, *_OF_THE_RECIPE),
            )  # fmt: skip
        except APIConnectionError as error:
            cause = error.__cause__ or error
            return _Refusal(f"{type(cause).__name__}: {self._in_short(str(cause))}")

    def _most(self, body: dict[str, Any]) -> float:
        """USD that a call can cost at the most: no token is shorter than a byte."""
        read = len(json.dumps(body["messages"], ensure_ascii=False).encode()) + _OVERHEAD_TOKENS
        return self._usd(read, self.asking.longest_answer)

    def _cost(self, reply: Reply, most: float) -> float:
        """What a reply cost by the server's own count; at the most where it does not count."""
        return self._usd(reply.tokens_in, reply.tokens_out) if reply.tokens_in else most

    def _usd(self, read: int, written: int) -> float:
        return (read * self.limits.usd_per_million_in + written * self.limits.usd_per_million_out) / _MILLION

    @property
    def _key(self) -> str:
        variable = self.limits.api_key_env
        return "none" if variable is None else os.environ.get(variable, "")

    def _in_short(self, text: str) -> str:
        """The beginning of what a server said, without the key, which some repeat."""
        return " ".join(text.replace(self._key, "***").split())[:200]

    @cached_property
    def _client(self) -> "OpenAI":
        try:
            from openai import OpenAI
        except ImportError as error:
            raise StillhouseError(
                "the package openai is not installed", where="teacher.kind: endpoint",
                expected="the extra `endpoint`", do="pip install 'stillhouse[endpoint]'",
            ) from error  # fmt: skip
        if not self._key:
            raise StillhouseError(
                f"the variable {self.limits.api_key_env} is not set", where="teacher.endpoint.api_key_env",
                expected="the key of the server", do=f"Set {self.limits.api_key_env} where Stillhouse runs.",
            )  # fmt: skip
        # Its own retries would spend outside the cap.
        return OpenAI(base_url=self.url, api_key=self._key, max_retries=0, timeout=self.limits.timeout_s)


@dataclass(frozen=True)
class _Refusal:
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


class _Pace:
    """When the next call may be made, whichever thread makes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._not_before = 0.0

    def wait(self, per_minute: int | None, sleep: Callable[[float], object]) -> None:
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._not_before)
            self._not_before = mine + (60 / per_minute if per_minute else 0.0)
        if mine > now:
            sleep(mine - now)

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)


def _read(text: str, took: float) -> Reply | None:
    """What a reply of status 200 says; None of a page of a proxy in its place."""
    try:
        reply = json.loads(text)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        content, reason = choice["message"].get("content"), choice.get("finish_reason")
        model = reply.get("model")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    refused = choice["message"].get("refusal") or reason == "content_filter"
    failure = Failure.REFUSED if refused else Failure.CUT_OFF if reason == "length" else None
    return Reply(
        content if isinstance(content, str) else None,
        failure,
        model if isinstance(model, str) else None,
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
        took,
    )


def _seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header; None where it has a date, or is not there."""
    try:
        return None if header is None else min(max(float(header), 0.0), _SLOWEST_S)
    except ValueError:
        return None
