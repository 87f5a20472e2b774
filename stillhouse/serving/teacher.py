"""The teacher behind a student: asked for one text within a deadline, a month's money and what it can take.

Belongs here: asking, and why there is no answer.
Does not: which texts are handed on (stillhouse/release/cascade.py), a teacher in a process of its own
(teacher_process.py), what the server says then (app.py).

The event loop waits for a thread that asks. Nothing of a text is in any log: of what a server of the teacher says in
an error, only the kind is kept.
"""

import asyncio
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from stillhouse.data.privacy import redact_text
from stillhouse.economics import Book
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.serving import TeacherCallsSpec
from stillhouse.records import spending
from stillhouse.records.builds import BuildStore
from stillhouse.records.corrections import corrected_usd
from stillhouse.records.ledger import Ledger
from stillhouse.release.cascade import TeacherOnCall
from stillhouse.serving.breaker import TeacherBreaker
from stillhouse.serving.teacher_process import EndedError, TeacherProcess
from stillhouse.stages.names import MODEL
from stillhouse.tasks import task_of
from stillhouse.teachers.calls import Reply
from stillhouse.teachers.endpoint import Endpoint
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.requests import body_of

LOG = logging.getLogger("stillhouse.serving")


class Away(StrEnum):
    """Why the teacher gives no answer to a text."""

    STARTING = "starting"
    BUSY = "busy"
    DEADLINE = "deadline"
    BREAKER = "breaker"
    BUDGET = "budget"
    UNCOUNTED = "uncounted"
    """Where money is counted cannot be reached, and nothing is spent uncounted."""
    NO_LABEL = "no_label"
    """It answered, and with none of the labels."""
    FAILED = "failed"


class AwayError(Exception):
    """There is no answer.

    Args:
        why: in one word.
    """

    def __init__(self, why: Away) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class TeacherSaid:
    """What a teacher says to one text.

    Args:
        label: the answer.
        confidence: probability that it is right.
    """

    label: str
    confidence: float | None


class AskedInThread(Protocol):
    """Something that can be asked in a thread."""

    @property
    def seen_usd(self) -> float:
        """USD of this month, spent or taken, as this process last saw; 0 of a teacher that costs none."""
        ...

    def is_ready(self) -> bool:
        """Whether it can be asked now."""
        ...

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        """Answer a text that is redacted.

        Raises:
            AwayError: if there is no answer.
        """
        ...

    def close(self) -> None:
        """Let go of all it holds."""
        ...


class ServingTeacher:
    """The teacher of one recipe in one process; asked from its event loop alone.

    Args:
        asked: who answers.
        calls: what the recipe says of calls.
    """

    def __init__(self, asked: AskedInThread, calls: TeacherCallsSpec) -> None:
        self._asked, self._calls = asked, calls
        self._pool = ThreadPoolExecutor(calls.concurrency, thread_name_prefix="teacher")
        self._under_way = 0
        self.breaker = TeacherBreaker()

    async def answer(self, clean: str, seconds: float | None = None) -> TeacherSaid | Away:
        """Ask about a text, for no longer than the deadline.

        Args:
            clean: the text in its one spelling; the teacher gets it without personal data, as it did in training.
            seconds: that the caller waits at most; None for as long as the recipe says.
        """
        own = self._calls.deadline_ms / 1000
        seconds = own if seconds is None else min(own, seconds)
        # That a caller waits no longer says nothing of the teacher.
        outcomes = {Away.FAILED: True, Away.NO_LABEL: False, **({Away.DEADLINE: True} if seconds == own else {})}
        if not self._asked.is_ready():
            return Away.STARTING
        if self._under_way >= self._calls.concurrency:
            return Away.BUSY
        if not self.breaker.lets_through():
            return Away.BREAKER
        failed: bool | None = None
        try:
            asking = self._begin(redact_text(clean), seconds)
            said = await asyncio.wait_for(asyncio.wrap_future(asking), seconds)
            failed = False
            return said
        except TimeoutError:
            failed = outcomes.get(Away.DEADLINE)
            return Away.DEADLINE
        except AwayError as error:
            failed = outcomes.get(error.why)
            return error.why
        except Exception as error:  # whatever it is, the student answers
            LOG.error("the teacher failed (%s)", type(error).__name__)
            failed = True
            return Away.FAILED
        finally:
            self.breaker.ended(failed=failed)

    def _begin(self, text: str, seconds: float) -> Future[TeacherSaid]:
        loop = asyncio.get_running_loop()
        asking = self._pool.submit(self._asked.ask, text, seconds)
        self._under_way += 1

        def ended(_: Future[TeacherSaid]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody asks any more
                loop.call_soon_threadsafe(self._one_less)

        asking.add_done_callback(ended)
        return asking

    def _one_less(self) -> None:
        self._under_way -= 1

    @property
    def usd_this_month(self) -> float:
        """USD that are spent or taken, as this process last saw; 0 of a teacher that costs no money."""
        return self._asked.seen_usd

    @property
    def usd_per_month(self) -> float | None:
        """USD that calls of a month may cost; None of a teacher that costs no money."""
        return self._calls.usd_per_month

    def close(self) -> None:
        """Ask no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._asked.close()


class OwnProcess:
    """A teacher that is a network, in a process of its own on this machine.

    Args:
        on_call: which teacher.
        builds: with its artifact.
    """

    seen_usd = 0.0

    def __init__(self, on_call: TeacherOnCall, builds: BuildStore) -> None:
        self._task = task_of(on_call.answer, on_call.labels)
        self._temperature = on_call.temperature
        self._process = TeacherProcess(lambda: builds.store.open(on_call.artifact) / MODEL)

    def is_ready(self) -> bool:
        """Whether it has started."""
        return self._process.is_ready()

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        """Answer a text."""
        try:
            logits = np.array([self._process.ask(text, seconds)])
        except TimeoutError as error:
            raise AwayError(Away.DEADLINE) from error
        except EndedError as error:
            raise AwayError(Away.FAILED) from error
        confidence = self._task.confidence(logits, self._temperature)
        (label,) = self._task.written(self._task.answers(logits))
        return TeacherSaid(label, None if confidence is None else float(confidence[0]))

    def close(self) -> None:
        """End the process."""
        self._process.close()


class PaidEndpoint:
    """A teacher behind an API, each call of which is counted before it is made.

    Args:
        on_call: which teacher.
        endpoint: of its server.
        recipe: who pays.
        ledger_url: of the database in which spending is counted.
        usd_per_month: that may be spent; None where calls cost nothing.
    """

    def __init__(
        self, on_call: TeacherOnCall, endpoint: Endpoint, recipe: str, ledger_url: str, usd_per_month: float | None
    ) -> None:
        self._on_call, self._endpoint, self._recipe = on_call, endpoint, recipe
        self._ledger_url, self._usd_per_month = ledger_url, usd_per_month
        self._task = task_of(on_call.answer, on_call.labels)
        self._seen = "", 0.0
        """The month in which a call was last counted, and what was spent or taken then."""

    @property
    def seen_usd(self) -> float:
        """USD of this month, spent or taken, as this process last saw; of a month without a call none."""
        month, usd = self._seen
        return usd if month == spending.month_now() else 0.0

    def is_ready(self) -> bool:
        """Always: what it takes to reach it is part of asking."""
        return True

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        """Answer a text by as many calls as there were of each when it was judged."""
        body, until = body_of(self._endpoint.asking, text), time.perf_counter() + seconds
        replies = []
        for _ in range(self._endpoint.asking.samples):
            if time.perf_counter() > until:
                raise AwayError(Away.DEADLINE)
            replies.append(self._call(body))
        read = Replies({"text": replies}, self._endpoint.asking, self._task)
        (answer,) = read.answers["answer"]
        if answer is None:
            raise AwayError(Away.NO_LABEL)
        assert self._on_call.accuracy is not None, "a teacher that gives answers alone was tried on validation rows"
        sure = read.outputs(self._on_call.accuracy)
        if sure is None:
            return TeacherSaid(answer, self._on_call.accuracy)
        confidence = self._task.confidence(np.array(sure["logits"].to_list()), self._on_call.temperature)
        return TeacherSaid(answer, None if confidence is None else float(confidence[0]))

    def _call(self, body: dict[str, object]) -> Reply:
        most, month = self._endpoint.most(body), spending.month_now()
        if most > 0:
            self._reserve(most, month)
        try:
            answer = self._endpoint.attempt(body)
        except StillhouseError as error:  # nothing was sent: there is no key, or no package
            self._settle(most, 0.0, month)
            raise AwayError(Away.FAILED) from error
        if isinstance(answer, Reply):
            self._settle(most, self._endpoint.cost(answer, most), month)
            return answer
        if answer.is_free:
            self._settle(most, 0.0, month)
        raise AwayError(Away.NO_LABEL if answer.is_of_this_text else Away.FAILED)

    def _reserve(self, usd: float, month: str) -> None:
        if self._usd_per_month is None:  # the recipe has changed since, and allows nothing
            raise AwayError(Away.BUDGET)
        try:
            corrected = corrected_usd(Ledger(self._ledger_url), self._recipe, Book.SERVING, month=month)
            usd_at_most = self._usd_per_month - corrected
            seen = spending.reserve(self._ledger_url, self._recipe, month, usd=usd, usd_at_most=usd_at_most)
        except (StillhouseError, SQLAlchemyError, OSError) as error:
            raise AwayError(Away.UNCOUNTED) from error
        if seen is None:
            raise AwayError(Away.BUDGET)
        self._seen = month, seen + corrected

    def _settle(self, reserved: float, cost: float, month: str) -> None:
        """Put what a call cost in the place of what was reserved, which stays where that fails."""
        if reserved != cost:
            try:
                spending.settle(self._ledger_url, self._recipe, month, reserved=reserved, cost=cost)
            except (StillhouseError, SQLAlchemyError, OSError) as error:
                LOG.warning("%s: the cost of a call was not booked (%s)", self._recipe, type(error).__name__)
            else:
                seen_in, seen = self._seen
                if seen_in == month:
                    self._seen = month, seen - (reserved - cost)

    def close(self) -> None:
        """Nothing is held."""


def open_teacher(file: RecipeFile, builds: BuildStore, on_call: TeacherOnCall) -> ServingTeacher:
    """The teacher that a release names, asked as the recipe says now.

    Raises:
        StillhouseError: if the recipe says it no more.
    """
    spec, calls = file.recipe.teacher, file.recipe.serving.teacher
    if on_call.asking is None:
        return ServingTeacher(OwnProcess(on_call, builds), calls)
    if spec.endpoint is None:
        raise StillhouseError(
            "the recipe says no more how the teacher behind this release is asked, which is a server",
            where=f"{file.path}: teacher",
            expected=on_call.kind,
            do="Its student answers alone until another release serves; put the teacher back and start the server "
            "again, or have `stillhouse run` make a release with the one that the recipe names now.",
        )
    # A thread is given up where nobody waits for it any more; it ends soon after.
    limits = spec.endpoint.model_copy(update={"timeout_s": min(spec.endpoint.timeout_s, calls.deadline_ms / 1000)})
    endpoint = Endpoint(calls.endpoint or spec.source, limits, on_call.asking)
    try:
        _ = endpoint.client  # made now, since its packages take longer to load than an answer may
    except StillhouseError as error:
        LOG.error("%s: the teacher cannot be asked: %s", file.name, error)
    return ServingTeacher(
        PaidEndpoint(on_call, endpoint, file.name, builds.home.ledger_url, calls.usd_per_month), calls
    )
