"""The challenger in the shadow, asked once a caller has been answered: nobody waits for it, and nobody hears of it.

Belongs here: which answers are followed by such a question, the questions that wait, one at a time, what is kept.
Does not: who is in the shadow (desired.py), what its answers prove (stillhouse/live/shadow.py).

A question waits until no request does, and is put in a thread, so that the event loop goes on however slow the
challenger is. Where more of them wait than there is room for, a further one is skipped and counted: a server that is
busy all the time answers its callers and asks the challenger nothing. Texts are held in memory alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from stillhouse.live.feedback import is_wanted
from stillhouse.serving.answer import Serving
from stillhouse.serving.desired import Slot
from stillhouse.serving.failures import known_by
from stillhouse.serving.metrics import Metrics
from stillhouse.serving.requests import Log, ServedRequest, Shadowed
from stillhouse.serving.routing import ServedChallenger

LOG = logging.getLogger("stillhouse.serving")

ROOM = 64
"""Questions that wait at most."""
_LOOK_AGAIN_SECONDS = 0.002

Outcome = Literal["answered", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class ShadowQuestion:
    """A text that the champion has answered.

    Args:
        recipe: who was asked.
        id: of the answer.
        at: when the request arrived, in seconds since 1970.
        text: in its one spelling.
        challenger: who is asked now.
        log: keeps what it says.
    """

    recipe: str
    id: str
    at: float
    text: str
    challenger: ServedChallenger
    log: Log


class Shadowing:
    """The questions of one process; of its event loop alone.

    Args:
        slots: what is served, by recipe; as long as a request waits in any of them nothing is asked.
        metrics: count how each ends.
        key: by which answers are drawn whose truth is asked for (feedback.py), and these with them.
        compares_by: the key by which words of records are kept as digests.
        room: questions that wait at most.
    """

    def __init__(
        self, slots: Mapping[str, Slot], metrics: Metrics, key: bytes, *, compares_by: bytes, room: int = ROOM
    ) -> None:
        self._slots, self._metrics, self._key, self._room = slots, metrics, key, room
        self._compares_by = compares_by
        self._waiting: deque[ShadowQuestion] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._task: asyncio.Task[None] | None = None

    def questions(
        self, slot: Slot, serving: Serving, log: Log | None, answered: Iterable[tuple[str, ServedRequest | None]]
    ) -> Sequence[ShadowQuestion]:
        """Those of the texts of a request that the challenger is asked about, too.

        What is in quarantine is left out: not the champion has answered it.

        Args:
            slot: that was asked.
            serving: that has answered.
            log: of the recipe.
            answered: texts in their one spelling, and what is kept of each.
        """
        share, challenger = slot.shadow_share, serving.challenger
        if share is None or log is None or challenger is None or not challenger.is_asked_in_the_shadow:
            return ()
        return [
            ShadowQuestion(slot.name, row.id, row.at, text, challenger, log)
            for text, row in answered
            if row is not None and row.arm == "champion" and is_wanted(row.id, share, key=self._key)
        ]

    def ask(self, questions: Sequence[ShadowQuestion]) -> None:
        """Take questions whose answers were sent, without waiting or raising."""
        for each in questions:
            if len(self._waiting) < self._room:
                self._waiting.append(each)
            else:
                self._count(each, "skipped")
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._ask_all())

    async def _ask_all(self) -> None:
        """Ask until nothing waits; what is left where the process ends is skipped."""
        try:
            while self._waiting:
                while any(slot.waiting for slot in self._slots.values()):
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                if self._waiting[0].challenger.is_asked_in_the_shadow:
                    await self._ask(self._waiting[0])
                else:  # it has failed too often meanwhile
                    self._count(self._waiting[0], "skipped")
                self._waiting.popleft()
        finally:
            if self._waiting:
                LOG.info("%d questions to a challenger in the shadow were skipped at the end", len(self._waiting))
            for each in self._waiting:
                self._count(each, "skipped")
            self._waiting.clear()

    async def _ask(self, question: ShadowQuestion) -> None:
        challenger = question.challenger
        asking = asyncio.get_running_loop().run_in_executor(self._thread, challenger.release.say, question.text)
        try:
            said = await asking
        except Exception as error:  # whatever it is, it is the challenger's, and the caller was answered
            LOG.error("request %s, in the shadow: %s", question.id, known_by(error))
            challenger.breaker.failed()
            label, confidence = None, None
        else:
            challenger.breaker.answered()
            label = challenger.release.as_kept(said.label, key=self._compares_by, id=question.id)
            confidence = said.confidence
        self._count(question, "failed" if label is None else "answered")
        rollout, release = challenger.salt, challenger.release.release
        question.log.put(Shadowed(question.id, question.at, question.recipe, rollout, release, label, confidence))

    def _count(self, question: ShadowQuestion, outcome: Outcome) -> None:
        self._metrics.in_the_shadow(question.recipe, outcome)
