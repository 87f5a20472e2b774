"""What was sent to a paid server, what it answered, and what that cost: written down before and after each call.

Belongs here: the log, and the cap that is reserved from it.
Does not: making a call (endpoint.py), reading the replies of a batch (batch_api.py), what an answer means (stored.py).

A call is in the log before it is made, at the most that it can cost, and gets its real cost with its reply. A process
that dies leaves its open calls at the most that they can cost, so that no kill lets more be spent than the cap. A reply
that is in the log is never paid for again, whatever became of who asked. Lines of a batch, which were paid for
elsewhere, are in it from when they are read: their replies, and of those that are no use what they cost and why.

Of calls about live texts, which have to be forgotten one day, the log has the money alone (`CallsInPassing`).
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stillhouse.economics import Book
from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, one_process_at_a_time, plain_disk_errors
from stillhouse.records.corrections import corrected_usd
from stillhouse.records.ledger import Ledger

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    recipe TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    usd REAL NOT NULL,
    reply TEXT
);
CREATE INDEX IF NOT EXISTS calls_of_request ON calls (request, usd);
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (recipe, sent_at, usd);
CREATE TABLE IF NOT EXISTS batch_lines (line TEXT PRIMARY KEY, call INTEGER NOT NULL, why TEXT) WITHOUT ROWID;
DROP INDEX IF EXISTS calls_by_request;
DROP INDEX IF EXISTS calls_by_recipe;
"""
"""What a recipe has spent, in all or of late, is asked before each call, and what a request has cost with each answer:
by an index that holds all that the sum needs, since beside it in the rows are the replies. Those that went before held
no time, and only calls with a reply. A line of a batch is booked as a call, and known by its digest from then on; `why`
says why its reply is not the one of the request. Lines that were read before there was this table are in none."""
_AT_ONCE = 500
"""Requests looked up by one statement."""
_REPLIED = "SELECT id, reply FROM calls WHERE request = ? AND reply IS NOT NULL ORDER BY id DESC"
_BOOK = "INSERT INTO calls (request, recipe, sent_at, usd, reply) VALUES (?, ?, ?, ?, ?)"


class CapReachedError(StillhouseError):
    """One call more could cost more than the recipe allows."""


@dataclass(frozen=True)
class Reply:
    """What a server said to one request.

    Args:
        content: the text of the answer, or what was said in the place of one; None where nothing was said.
        failure: why it does not count, in the words of `Failure`; None where it may.
        model: what the server says has answered.
        tokens_in: that it read, by its own count.
        tokens_out: that it wrote, by its own count.
        milliseconds: that the call took; None of a batch.
        alternatives: tokens that might have come first, with their log-probabilities; None where the server named none.
    """

    content: str | None
    failure: str | None
    model: str | None
    tokens_in: int
    tokens_out: int
    milliseconds: float | None
    alternatives: Sequence[tuple[str, float]] | None = None


@dataclass(frozen=True)
class BatchLine:
    """A line of a batch, which came by no call from here.

    Args:
        digest: of the line, by which it is known when it is read again.
        request: digest of what it answers.
        usd: what it cost; 0 where nobody counted that, and the line is no use.
        reply: what was said; None where it cannot be read.
        why: the reply is not that of the request; None where it is.
    """

    digest: str
    request: str
    usd: float
    reply: Reply | None
    why: str | None


@dataclass(frozen=True)
class Recorded:
    """What is new in the log.

    Args:
        requests: whose replies are new.
        beside: what each line has cost whose reply is not used.
    """

    requests: frozenset[str]
    beside: tuple[float, ...]


class CallLog:
    """The calls of an installation, in one file; threads and processes may share it.

    Args:
        path: of the file, made when first written to.
        ledger: with what people have corrected, which counts in what is spent; None where nobody can have.
    """

    def __init__(self, path: Path, ledger: Ledger | None = None) -> None:
        self.path, self._ledger = path, ledger
        self._lock = threading.Lock()

    def replies(self, requests: Iterable[str]) -> dict[str, Reply]:
        """The newest reply to each of these requests that has one, by the request's digest."""
        asked = "SELECT request, reply FROM calls WHERE reply IS NOT NULL AND request IN ({}) ORDER BY id"
        return {request: Reply(**json.loads(reply)) for request, reply in self._of(requests, asked)}

    def booked(self, requests: Iterable[str]) -> dict[str, float]:
        """USD that all calls of each of these requests have cost, whoever made them, by the request's digest.

        With those that failed; those without a reply count at the most that they can cost, as in `spent`.
        """
        asked = "SELECT request, SUM(usd) FROM calls WHERE request IN ({}) GROUP BY request"
        return {request: float(usd) for request, usd in self._of(requests, asked)}

    def _of(self, requests: Iterable[str], statement: str) -> Iterator[tuple[str, Any]]:
        """The rows that a statement gives of these requests, whose places are left open in it."""
        asked = list(requests)
        with self._open() as connection:
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                yield from connection.execute(statement.format(",".join("?" * len(some))), some)

    def spent(self, recipe: str, *, since: datetime | None = None) -> float:
        """USD that the calls of a recipe have cost, those without a reply at the most that they can.

        With what people have corrected: what was paid, as far as anybody knows.

        Args:
            recipe: who pays.
            since: from when on, in UTC; from the first call when left out.
        """
        return self.booked_between(recipe, since) + self._corrected(recipe, since)

    def booked_between(self, recipe: str, since: datetime | None, until: datetime | None = None) -> float:
        """The same as the log has it, without corrections, up to another moment if it is given."""
        if not self.path.exists():
            return 0.0
        with self._open() as connection:
            return _spent(connection, recipe, since, until)

    def _corrected(self, recipe: str, since: datetime | None = None) -> float:
        return 0.0 if self._ledger is None else corrected_usd(self._ledger, recipe, Book.ANSWERS, since=since)

    def reserve(self, request: str, recipe: str, *, usd: float, usd_at_most: float) -> int:
        """Write down that a call is going to be made.

        Args:
            request: digest of what is asked.
            recipe: who pays.
            usd: the most that it can cost.
            usd_at_most: that all calls of the recipe may cost together.

        Returns:
            The number of the call.

        Raises:
            CapReachedError: if it could go beyond the cap; it is not written down then.
        """
        corrected = self._corrected(recipe)
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            before = _spent(connection, recipe) + corrected
            if before + usd > usd_at_most:
                connection.rollback()
                raise CapReachedError(
                    f"{before:.4f} USD are spent or reserved, and one call more can cost {usd:.4f}",
                    where=f"{recipe}: teacher.endpoint.usd_at_most",
                    expected=f"at most {usd_at_most:g} USD",
                    do="What was answered is kept. Raise usd_at_most, ask for fewer rows, or lower max_tokens.",
                )
            call = connection.execute(
                "INSERT INTO calls (request, recipe, sent_at, usd) VALUES (?, ?, ?, ?)", (request, recipe, _now(), usd)
            ).lastrowid
            connection.commit()
        assert call is not None
        return call

    def settle(self, call: int, *, usd: float, reply: Reply | None) -> None:
        """Write down what came of a call.

        Args:
            call: its number.
            usd: what it cost.
            reply: what was said; None where the call was refused, and is to be made again.
        """
        said = None if reply is None else _written(reply)
        with self._open() as connection:
            connection.execute("UPDATE calls SET usd = ?, reply = ? WHERE id = ?", (usd, said, call))
            connection.commit()

    def record(self, lines: Sequence[BatchLine], recipe: str, *, twice: str) -> Recorded:
        """Write down lines that came by no call from here, each once; a request that has a reply keeps the one it has.

        They are written beyond the cap, too, since they have been billed. A line that was no use when it was read, and
        now is, is not booked again: its reply is put to what is booked.

        Args:
            lines: of one batch.
            recipe: who pays.
            twice: why a second reply to a request is not used.
        """
        at, new, beside = _now(), set[str](), list[float]()
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for line in lines:
                booked = connection.execute("SELECT call FROM batch_lines WHERE line = ?", (line.digest,)).fetchone()
                replied = connection.execute(_REPLIED, (line.request,)).fetchone()
                is_used = line.reply is not None and line.why is None and replied is None
                if is_used:
                    new.add(line.request)
                if booked is not None:
                    if is_used:
                        _put_reply(connection, line, booked[0], recipe)
                elif not is_used and (same := _read_before(connection, line, replied)) is not None:
                    _remember(connection, line, same, None)
                elif is_used or line.usd:
                    why = None if is_used else line.why or twice
                    said = _written(line.reply) if is_used and line.reply else None
                    call = connection.execute(_BOOK, (line.request, recipe, at, line.usd, said)).lastrowid
                    assert call is not None
                    _remember(connection, line, call, why)
                    if not is_used:
                        beside.append(line.usd)
            connection.commit()
        return Recorded(frozenset(new), tuple(beside))

    def in_passing(self) -> "CallsInPassing":
        """The same log, for calls of which nothing but their cost is to be kept."""
        return CallsInPassing(self.path, self._ledger)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock, plain_disk_errors(self.path), self._plain_errors():
            make_folder(self.path.parent)
            connection = sqlite3.connect(self.path, timeout=60)
            try:
                connection.executescript(_SCHEMA)
                yield connection
            finally:
                connection.close()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StillhouseError(
                f"the log of paid calls cannot be used: {error}",
                where=str(self.path),
                expected="a file that can be read and written",
                do="Put it back from a copy. Without it nobody knows what was paid for, so nothing more is asked.",
            ) from error

    @contextmanager
    def one_at_a_time(self, asking: str) -> Iterator[None]:
        """Let one process ask the same things at once: another one finds the replies.

        Args:
            asking: digest of what is asked.
        """
        with one_process_at_a_time(self.path.with_name(f"{asking[:16]}.lock")):
            yield


class CallsInPassing(CallLog):
    """The log of an installation for calls about texts that may have to be erased at any time.

    A reply may quote its text, and the digest of a request shows to whoever has a text that it was asked about. So of
    these calls neither is ever written: there is nothing to erase, also after a kill. What was asked and said is with
    whoever asks; the money is booked, capped and corrected as that of any other call. Replies that the log has of
    other calls, such as those about rows, are found.
    """

    def __init__(self, path: Path, ledger: Ledger | None = None) -> None:
        super().__init__(path, ledger)
        self._made: dict[int, tuple[str, float]] = {}
        """What calls from here were about, and what they cost, by their numbers; known to this process alone."""

    def booked(self, requests: Iterable[str]) -> dict[str, float]:
        """See `CallLog.booked`; of calls in passing only those that were made from here."""
        asked = {*requests}
        found = super().booked(asked)
        for request, usd in [*self._made.values()]:
            if request in asked:
                found[request] = found.get(request, 0.0) + usd
        return found

    def reserve(self, request: str, recipe: str, *, usd: float, usd_at_most: float) -> int:
        """See `CallLog.reserve`; which request it is, is not written down."""
        call = super().reserve("", recipe, usd=usd, usd_at_most=usd_at_most)
        self._made[call] = request, usd
        return call

    def settle(self, call: int, *, usd: float, reply: Reply | None) -> None:
        """See `CallLog.settle`; what was said is not written down."""
        super().settle(call, usd=usd, reply=None)
        request, _ = self._made[call]
        self._made[call] = request, usd


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _written(reply: Reply) -> str:
    return json.dumps(reply.__dict__)


def _remember(connection: sqlite3.Connection, line: BatchLine, call: int, why: str | None) -> None:
    """Know a line from now on, as which call it is booked, and why its reply is not used."""
    connection.execute("INSERT OR REPLACE INTO batch_lines VALUES (?, ?, ?)", (line.digest, call, why))


def _put_reply(connection: sqlite3.Connection, line: BatchLine, call: int, recipe: str) -> None:
    """Put the reply of a line that is booked to what is booked, for whoever uses it."""
    assert line.reply is not None
    connection.execute("UPDATE calls SET reply = ?, recipe = ? WHERE id = ?", (_written(line.reply), recipe, call))
    _remember(connection, line, call, None)


def _read_before(connection: sqlite3.Connection, line: BatchLine, replied: tuple[int, str] | None) -> int | None:
    """The call as which a line was booked before lines were known by their digests; None where it was not."""
    if replied is None or line.reply is None or replied[1] != _written(line.reply):
        return None
    is_known = connection.execute("SELECT 1 FROM batch_lines WHERE call = ?", (replied[0],)).fetchone()
    return None if is_known else replied[0]


def _spent(
    connection: sqlite3.Connection, recipe: str, since: datetime | None = None, until: datetime | None = None
) -> float:
    first = "" if since is None else since.isoformat(timespec="milliseconds")
    last = "~" if until is None else until.isoformat(timespec="milliseconds")  # after all digits
    asked = "SELECT COALESCE(SUM(usd), 0) FROM calls WHERE recipe = ? AND sent_at >= ? AND sent_at < ?"
    (usd,) = connection.execute(asked, (recipe, first, last)).fetchone()
    return float(usd)
