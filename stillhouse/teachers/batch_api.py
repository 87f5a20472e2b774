"""What a teacher behind a server is asked, and what it replies, in the files of a batch API.

Belongs here: the lines that ask, putting the lines that answer into the log of calls, and why one is left out.
Does not: what is asked (requests.py), the log (calls.py), which prompts there are (orchestration/asking.py), the file
of a stored teacher (stored_answers.py).

A request is called by the digest that the log has its reply by, so a reply is the same whichever way it came.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.teachers.calls import BatchLine, Reply
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.protocol import counted_tokens, reply_in
from stillhouse.teachers.requests import request_line
from stillhouse.teachers.stored import Failure

_AT_ONCE = 500
"""Replies that are put into the log together, or not at all."""
_SHOWN = 3
_OURS = re.compile("[0-9a-f]{64}")
"""What a request is called that was written here; of any other nobody knows who has to pay."""
_VERSION = re.compile(r"[-@:](\d{3,}[\d-]*|latest)")
"""What a server adds to the name of a model to say which one of that name has answered, and to no other model's."""


class LeftOut(StrEnum):
    """Why the reply of a line is not put into the log."""

    UNREADABLE = "not readable as a reply of a batch"
    FAILED = "a request that failed"
    UNKNOWN = "no request of the recipe as it is now"
    OTHER_MODEL = "a reply of another model than was asked"
    NO_PROBABILITIES = "a reply without the log-probabilities that were asked for"
    TWICE = "one more reply to a request"


_DO = {
    LeftOut.FAILED: "It is asked again by the next run, or by the next file of requests.",
    LeftOut.UNKNOWN: "The prompt, labels, settings, model or revision have changed, or the text is no row any more.",
    LeftOut.OTHER_MODEL: "If that is the model that was asked, read the file again with `--answered-by` and this name.",
    LeftOut.NO_PROBABILITIES: "Set `by: samples`, or leave soft_labels out: many models do not tell them.",
}
"""What a person can do about it, where that is not plain."""


class LinesLeftOut(Record):
    """Lines of a file whose replies are not put into the log, for one reason."""

    why: str = Field(description=f"One of: {'; '.join(LeftOut)}.")
    lines: int = Field(description="How many.")
    first: tuple[str, ...] = Field(description=f"At most {_SHOWN} of them: the number of the line, and what it says.")
    do: str = Field(description="What to do about them; empty where that is plain.")


class BatchRead(Record):
    """What became of the lines of a file of replies."""

    replies: int = Field(description="Lines of the file that are not blank.")
    taken: int = Field(description="Replies that are new in the log of calls.")
    there_already: int = Field(description="Replies to requests that had one in the log; the log keeps that one.")
    failures: dict[str, int] = Field(
        description="Of those taken, how many are no answers, by reason; they are paid for and not asked again."
    )
    over_counted: int = Field(
        description="Of those taken, for how many the server counts more tokens than a call can take."
    )
    usd: float = Field(description="What those taken cost by their usage, at the prices of the recipe.")
    left_out: tuple[LinesLeftOut, ...] = Field(description="Lines that are not taken.")
    booked_beside: int = Field(
        description="Lines whose reply is not used, and whose usage the provider has counted: billed all the same, and "
        "booked now with the reason. A line is booked once, however often it is read."
    )
    usd_beside: float = Field(description="What those cost by their usage, at the prices of the recipe.")
    missing: int = Field(description="Requests that have no reply yet.")
    usd_spent: float = Field(description="What all calls of the recipe have cost by now.")
    usd_at_most: float = Field(description="That they may cost together.")

    @property
    def is_beyond_the_cap(self) -> bool:
        """Whether more is spent than the recipe allows."""
        return self.usd_spent > self.usd_at_most

    @property
    def all_is_well(self) -> bool:
        """Whether nobody has to look at it."""
        return not (self.left_out or self.over_counted or self.is_beyond_the_cap)


def batch_lines(requests: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Write a line for each request, by its digest; see `EndpointTeacher.requests`."""
    return (request_line(digest, body) for digest, body in requests.items())


def read_batch(
    teacher: EndpointTeacher, prompts: pl.DataFrame, path: Path, *, answered_by: str | None = None
) -> BatchRead:
    """Put the replies of a batch into the log of calls, each once, as if calls from here had brought them.

    Args:
        teacher: who was asked; it is not asked anything.
        prompts: all that it may have been asked: columns prompt_id and text.
        path: what the batch API gave: a line of JSON for each reply.
        answered_by: a further name of the model, as replies say it.

    Raises:
        StillhouseError: if the file cannot be read, or no line of it is a reply of a batch.
    """
    requests = teacher.requests(prompts)
    # Whoever asks the same now has written its replies first, and asks the next with these in the log.
    with teacher.calls.one_at_a_time(teacher.asking.digest):
        known = teacher.calls.replies(requests)
        models = {answered_by, *(each.model for each in known.values())}
        taking = _Taking(teacher, requests, frozenset(known), frozenset(filter(None, models)))
        for number, line in _lines(path):
            taking.take(number, line)
        taking.write()
    if taking.left_out[LeftOut.UNREADABLE] == taking.replies:
        first = next(iter(taking.first[LeftOut.UNREADABLE]), "it has no lines")
        raise StillhouseError(
            f"no line of it is a reply of a batch: {first}",
            where=str(path),
            expected='{"custom_id": ..., "response": {"status_code": 200, "body": ...}, "error": null} on each line',
            do="Name the file of results that the batch API gave, unpacked.",
        )
    return taking.found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    try:
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except OSError as error:
        raise StillhouseError(
            f"the replies cannot be read: {error.strerror}",
            where=str(path),
            expected="a file of results of a batch API",
            do="Correct the path.",
        ) from error


@dataclass(frozen=True)
class _Said:
    """A line that says which request it is about.

    Args:
        digest: of the line, however it is written.
        request: that it names.
        tokens: read and written, as far as it counts both; else none.
        reply: of a completion; None where it holds none.
    """

    digest: str
    request: str
    tokens: tuple[int, int]
    reply: Reply | None


@dataclass(frozen=True)
class _Unusable:
    """A line that holds no reply to a request, and what can be read of it all the same."""

    why: LeftOut
    what: str
    said: _Said | None = None


class _Taking:
    """The state of reading one file."""

    def __init__(
        self,
        teacher: EndpointTeacher,
        requests: Mapping[str, dict[str, Any]],
        known: frozenset[str],
        models: frozenset[str],
    ) -> None:
        self.teacher, self.requests, self.known, self.models = teacher, requests, known, models
        self.replies = 0
        self.left_out: Counter[LeftOut] = Counter()
        self.first: defaultdict[LeftOut, list[str]] = defaultdict(list)
        self._there_already, self._over_counted, self._usd = 0, 0, 0.0
        self._seen, self._taken = set[str](), set[str]()
        self._failures: Counter[str] = Counter()
        self._beside: list[float] = []
        self._waiting: list[BatchLine] = []

    def take(self, number: int, line: bytes) -> None:
        """Put a line beside those that are written next, or say why not."""
        self.replies += 1
        found = _reply_of(line)
        why = found if isinstance(found, _Unusable) else self._why_not(found)
        if why is not None:
            self.left_out[why.why] += 1
            if self.left_out[why.why] <= _SHOWN:
                self.first[why.why].append(f"line {number}: {why.what}" if why.what else f"line {number}")
        said = found.said if isinstance(found, _Unusable) else found
        if said is None or (why is not None and not _OURS.fullmatch(said.request)):
            return
        if why is None:
            assert said.reply is not None
            self._seen.add(said.request)
            usd = self.teacher.endpoint.cost(said.reply, self.teacher.endpoint.most(self.requests[said.request]))
        else:
            usd = self.teacher.endpoint.usd(*said.tokens)
        self._waiting.append(
            BatchLine(said.digest, said.request, usd, said.reply, None if why is None else why.why.value)
        )
        if len(self._waiting) == _AT_ONCE:
            self.write()

    def write(self) -> None:
        """Put what was taken into the log."""
        waiting, self._waiting = self._waiting, []
        recorded = self.teacher.calls.record(waiting, self.teacher.recipe, twice=LeftOut.TWICE.value)
        self._taken |= recorded.requests
        self._beside += recorded.beside
        for line in (each for each in waiting if each.why is None):
            reply = line.reply
            if line.request not in recorded.requests or reply is None:
                self._there_already += 1
                continue
            self._usd += line.usd
            self._over_counted += line.usd > self.teacher.endpoint.most(self.requests[line.request])
            if reply.failure is not None and not (self.teacher.asking.codes and reply.failure == Failure.CUT_OFF):
                self._failures[str(reply.failure)] += 1

    def _why_not(self, said: _Said) -> _Unusable | None:
        asking, request, reply = self.teacher.asking, said.request, said.reply
        assert reply is not None
        if request not in self.requests:
            return _Unusable(LeftOut.UNKNOWN, f"custom_id {_in_short(request)}")
        if request in self._seen:
            return _Unusable(LeftOut.TWICE, f"custom_id {request}")
        if not _may_be(reply.model, asking.model) and reply.model not in self.models:
            return _Unusable(LeftOut.OTHER_MODEL, _in_short(str(reply.model)))
        # A letter alone may be called cut off.
        if asking.codes and reply.alternatives is None and reply.failure in (None, Failure.CUT_OFF):
            return _Unusable(LeftOut.NO_PROBABILITIES, "")
        return None

    @property
    def found(self) -> BatchRead:
        return BatchRead(
            replies=self.replies,
            taken=len(self._taken),
            there_already=self._there_already,
            failures=dict(self._failures),
            over_counted=self._over_counted,
            usd=self._usd,
            left_out=tuple(
                LinesLeftOut(why=why, lines=lines, first=tuple(self.first[why]), do=_DO.get(why, ""))
                for why, lines in self.left_out.items()
            ),
            booked_beside=len(self._beside),
            usd_beside=sum(self._beside),
            missing=len(self.requests) - len(self.known | self._seen),
            usd_spent=self.teacher.calls.spent(self.teacher.recipe),
            usd_at_most=self.teacher.limits.usd_at_most,
        )


def _reply_of(line: bytes) -> _Said | _Unusable:
    """The request that a line answers, and what it says."""
    try:
        said = json.loads(line)
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError):
        return _Unusable(LeftOut.UNREADABLE, "no JSON, or cut off")
    if not isinstance(said, dict) or not isinstance(said.get("custom_id"), str):
        return _Unusable(LeftOut.UNREADABLE, "no custom_id")
    response, error = said.get("response"), said.get("error")
    status, body = (response.get(name) for name in ("status_code", "body")) if isinstance(response, dict) else (0, None)
    tokens = counted_tokens(body.get("usage")) if isinstance(body, dict) else (0, 0)
    reply = reply_in(body, None) if status == 200 and not error else None
    found = _Said(digest, said["custom_id"], tokens, reply)
    if error:
        return _Unusable(LeftOut.FAILED, _in_short(json.dumps(error)), found)
    if not isinstance(response, dict):
        return _Unusable(LeftOut.UNREADABLE, "neither a response nor an error", found)
    if status != 200:
        return _Unusable(LeftOut.FAILED, f"status {status}, {_in_short(json.dumps(body))}", found)
    if reply is None:
        return _Unusable(LeftOut.FAILED, f"a reply that is none of the protocol: {_in_short(json.dumps(body))}", found)
    return found


def _may_be(named: str | None, asked: str) -> bool:
    """Whether a server that names this model, or none, has been asked for that one."""
    if named is None or named == asked:
        return True
    return named.startswith(asked) and _VERSION.fullmatch(named[len(asked) :]) is not None


def _in_short(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]
