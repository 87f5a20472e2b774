"""What is known of a request after it was answered: the rows of the traffic log.

Belongs here: the records, and what a server asks of whatever keeps them.
Does not: writing them down (writing.py), answering (answer.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from stillhouse.live.segments import SECONDS_A_DAY


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One text of one request.

    Args:
        id: as the caller was given it.
        at: when it arrived, in seconds since 1970, UTC.
        recipe: who was asked.
        release: digest of the release that answered.
        deployment: number of the deployment by which it did.
        source: who gave the answer.
        label: the answer; None where there was none.
        confidence: calibrated probability that it is right; None where answers have none.
        degraded: whether another release, or the teacher, should have answered.
        status: of HTTP.
        latency_ms: from arrival to the answer, without the network.
        characters: of the text in its one spelling, as the golden texts are counted that it is held against.
        tokens: that the student read, special ones included.
        key: HMAC of the caller's key; never the key.
        text: as the caller sent it; whoever writes it down redacts it first.
        arm: whose it was (routing.py); of a challenger that failed, so that the champion answered, `challenger`.
        student_label: what the student said to a text that the teacher was to answer, whether that did or not; None
            where the student was to answer.
        student_confidence: likewise.
        wanted_share: the chance with which its truth was asked for; None where nothing was drawn.
        columns: as the caller sent them; whoever writes them down keeps the values that the recipe names.
    """

    id: str
    at: float
    recipe: str
    release: str
    deployment: int
    source: Literal["student", "teacher"]
    label: str | None
    confidence: float | None
    degraded: bool
    status: int
    latency_ms: float
    characters: int
    tokens: int | None
    key: str | None
    text: str | None
    arm: str = "champion"
    student_label: str | None = None
    student_confidence: float | None = None
    wanted_share: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What turned out to be true of an answer.

    Args:
        id: of the answer.
        at: when it came, in seconds since 1970, UTC.
        recipe: who had answered.
        truth: the label that is right.
        by: which system or desk says so; None where it did not say.
    """

    id: str
    at: float
    recipe: str
    truth: str
    by: str | None


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a challenger in the shadow said to a text, after the champion had answered it.

    Args:
        id: of the champion's answer.
        at: when the request arrived, in seconds since 1970, UTC: of one day with the answer.
        recipe: who was asked.
        rollout: the salt of the rollout.
        release: digest of the challenger.
        label: what it said; None where it failed.
        confidence: calibrated probability that this is right; None where answers have none.
    """

    id: str
    at: float
    recipe: str
    rollout: str
    release: str
    label: str | None
    confidence: float | None


Row = ServedRequest | Feedback | Shadowed


def day_of(row: Row) -> int:
    """The day of a row, numbered from 1970-01-01."""
    return int(row.at // SECONDS_A_DAY)


class Log(Protocol):
    """Keeps the rows of one recipe."""

    received: int
    stored: int
    dropped: int

    @property
    def thinned(self) -> int:
        """Rows that had been stored and were let go."""
        ...

    @property
    def kept_share(self) -> float:
        """By which answers were kept when rows were sealed last."""
        ...

    @property
    def depth(self) -> int:
        """Rows that wait in memory."""
        ...

    @property
    def problem(self) -> str | None:
        """Why rows cannot be written or moved at the moment; None where all is well."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether rows that come now will be stored."""
        ...

    def put(self, row: Row) -> None:
        """Take a row; it never waits and never raises."""
        ...
