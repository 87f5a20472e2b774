"""The append-only, hash-chained record of everything that happened.

Belongs here: appending, reading and verifying entries in a SQL table.
Does not: deciding anything; the ledger remembers what assets, gates and people did, and outlives Dagster's event log.

Each entry's digest covers the digest before it, and no two entries may name the same predecessor: the database itself
refuses a fork, on SQLite and on Postgres alike, so that a writer that lost a race reads the new head and tries again.

What is asked of the ledger (of which asset, by which gate, about which content) stands in columns of its own with an
index each, so that a look costs the same however long the ledger is. The columns repeat the body, and `problems`
compares the two.
"""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.records.databases import add_column, engine_of, make_table
from stillhouse.records.keys import Signature

Kind = Literal[
    "materialization",
    "verdict",
    "promotion",
    "withdrawal",
    "waiver",
    "approval",
    "sign_off",
    "amendment",
    "golden_read",
    "signal_shard",
    "batch",
    "round_begun",
    "round",
    "erasure",
    "harvest",
    "deployment",
    "baseline",
    "closure",
    "reopening",
    "correction",
]

GENESIS = "0" * 64
ASKED_AT_ONCE = 100
"""For the newest entries of so many subjects by one statement: a database takes no statement of any length."""

CLOCKS_DIFFER_AT_MOST = timedelta(minutes=5)
"""Of machines that write to one ledger; more than that is a clock that is wrong."""

_metadata = sa.MetaData()
_entries = sa.Table(
    "ledger",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("recipe", sa.String(200), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("subject", sa.Text),
    sa.Column("gate", sa.Text),
    sa.Column("content", sa.String(64)),
)
_INDEXES = (
    sa.Index("ledger_by_subject", *(_entries.c[name] for name in ("recipe", "kind", "subject", "sequence"))),
    sa.Index("ledger_by_content", *(_entries.c[name] for name in ("recipe", "kind", "content", "sequence"))),
    # Made last: where it exists, the columns of all entries are filled.
    sa.Index("ledger_by_gate", *(_entries.c[name] for name in ("recipe", "kind", "subject", "gate", "sequence"))),
)
_signatures = sa.Table(
    "ledger_signatures",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("value", sa.String(200), nullable=False),
)
"""A table of its own: an entry is whole without a signature, and gets none while there is no key."""

Sign = Callable[[int, str], Signature | None]


@dataclass(frozen=True)
class EntrySubject:
    """What an entry is about, as far as it can be asked for.

    Args:
        subject: address of the asset, with its batch in brackets; of a deployment the challenger's release, of a
            correction the book.
        gate: name of the gate.
        content: digest of what it is about: an artifact, a release, a bar.
    """

    subject: str | None = None
    gate: str | None = None
    content: str | None = None


@dataclass(frozen=True)
class Expected:
    """What the newest entry of a recipe has to be for others to be added after it: the one that their writer saw.

    Args:
        kinds: of which kinds it may be.
        sequence: its number, None where there has to be none.
    """

    kinds: tuple[Kind, ...]
    sequence: int | None


class OvertakenError(StillhouseError):
    """Somebody else has written since; nothing was added."""


@dataclass(frozen=True)
class Head:
    """The newest entry of the ledger: sequence 0 and the digest GENESIS while it is empty."""

    sequence: int
    digest: str


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    sequence: int
    at: str
    kind: str
    recipe: str
    body: dict[str, Any]
    previous: str
    digest: str

    @property
    def moment(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromisoformat(self.at)

    def expected_digest(self) -> str:
        """Digest this entry's content together with the entry before it."""
        return _digest(self.sequence, self.at, self.kind, self.recipe, self.body, self.previous)


class Ledger:
    """The ledger behind one SQLAlchemy URL.

    Args:
        url: of the database.
        sign: signs a head, or gives None while there is no key.
        before_writing: raises where its user may write nothing more.
        clock: says what time it is, in UTC.
    """

    def __init__(
        self,
        url: str,
        sign: Sign | None = None,
        before_writing: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.url = url
        self._sign = sign
        self._before_writing = before_writing
        self._clock = clock
        self._engine = _engine(url)

    def append(self, kind: Kind, recipe: str, body: dict[str, Any]) -> Entry:
        """Add one entry, whole or not at all.

        Args:
            kind: what sort of thing happened.
            recipe: the recipe it happened to.
            body: its content, JSON values only.
        """
        return self.append_all(recipe, [(kind, body)])[0]

    def append_all(
        self, recipe: str, happened: Sequence[tuple[Kind, dict[str, Any]]], *, expected: Expected | None = None
    ) -> list[Entry]:
        """Add entries that belong together, in their order: all of them or none.

        Args:
            recipe: the recipe it happened to.
            happened: kind and body of each.
            expected: what they are written in place of; of two writers who saw the same entry one wins.

        Raises:
            OvertakenError: if the newest entry is no longer the expected one.
        """
        while True:
            self._before_writing()
            entries: list[Entry] = []
            try:
                with self._engine.begin() as connection:
                    for kind, body in happened:
                        entry = _next_entry(connection, self._clock(), kind, recipe, body)
                        if expected is not None and not entries:
                            # After the head was read: what is written between the two makes the insertion fail.
                            _refuse_if_overtaken(connection, recipe, expected)
                        entries.append(entry)
                        row = {**entry.__dict__, "body": json.dumps(entry.body, sort_keys=True)}
                        connection.execute(_entries.insert().values(**row, **_asked(kind, recipe, body).__dict__))
                        signature = self._sign(entry.sequence, entry.digest) if self._sign else None
                        if signature is not None:
                            signed = {"sequence": entry.sequence, "key": signature.key, "value": signature.value}
                            connection.execute(_signatures.insert().values(**signed))
                return entries
            except sa.exc.IntegrityError:
                if not self._taken(entries[0].previous):
                    raise

    def _taken(self, previous: str) -> bool:
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(_entries.c.sequence).where(_entries.c.previous == previous))
            return found.first() is not None

    def entries(
        self,
        recipe: str | None = None,
        kind: Kind | None = None,
        *,
        subject: str | None = None,
        gate: str | None = None,
        content: str | None = None,
        after: int | None = None,
    ) -> list[Entry]:
        """Entries in the order in which they happened; each argument that is given narrows them.

        Args:
            recipe: of this recipe only.
            kind: of this kind only.
            subject: about this asset or batch of an asset, by address.
            gate: of this gate.
            content: about this content, by digest.
            after: written after the entry of this number.
        """
        wanted = _wanted(recipe, kind, EntrySubject(subject, gate, content))
        statement = _in_order(tuple(wanted))
        if after is not None:
            statement = statement.where(_entries.c.sequence > after)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement, wanted)]

    def newest(
        self,
        recipe: str,
        kind: Kind,
        *,
        subject: str | None = None,
        gate: str | None = None,
        content: str | None = None,
        before: int | None = None,
    ) -> Entry | None:
        """The newest of the entries that `entries` would give, in a time that does not depend on how many there are.

        Args:
            recipe: as for `entries`, likewise those that follow.
            kind: of which kind.
            subject: about this asset or batch of an asset.
            gate: of this gate.
            content: about this content.
            before: written before the entry of this number.
        """
        wanted = _wanted(recipe, kind, EntrySubject(subject, gate, content))
        statement = _newest(tuple(wanted))
        if before is not None:
            statement = statement.where(_entries.c.sequence < before)
        with self._engine.connect() as connection:
            row = connection.execute(statement, wanted).first()
        return None if row is None else _entry(row)

    def subjects(self, recipe: str, kind: Kind) -> list[str]:
        """What the entries of a kind are about, each once: such as every asset that a recipe has ever made.

        Read from an index alone, so that no entry is opened for it.
        """
        wanted = {"recipe": recipe, "kind": kind}
        statement = _in_order(tuple(wanted)).with_only_columns(_entries.c.subject).distinct().order_by(None)
        with self._engine.connect() as connection:
            return sorted(subject for (subject,) in connection.execute(statement, wanted) if subject is not None)

    def newest_verdicts(self, recipe: str, subject: str, gates: Sequence[str]) -> dict[str, Entry]:
        """The newest verdict of each of some gates on one asset or batch of an asset, of those that have one.

        One statement for all of them: a walk along the lineage asks for some thousand.
        """
        wanted = {"recipe": recipe, "kind": "verdict", "subject": subject}
        return {entry.body["gate"]: entry for entry in self._newest_of_each(wanted, "gate", gates)}

    def newest_verdicts_of(self, recipe: str, subjects: Sequence[str], gate: str) -> dict[str, Entry]:
        """The newest verdict of one gate on each of some assets or batches of an asset, of those that have one."""
        wanted = {"recipe": recipe, "kind": "verdict", "gate": gate}
        return {entry.body["asset"]: entry for entry in self._newest_in_parts(wanted, subjects)}

    def newest_materializations(self, recipe: str, subjects: Sequence[str]) -> dict[str, Entry]:
        """The newest materialization of each of some assets or batches of assets, of those that have one.

        One statement for a hundred of them: what is made of all batches is made of some hundred.
        """
        wanted = {"recipe": recipe, "kind": "materialization"}
        return {entry.body["asset"]: entry for entry in self._newest_in_parts(wanted, subjects)}

    def _newest_in_parts(self, wanted: dict[str, str], subjects: Sequence[str]) -> Iterator[Entry]:
        """The newest entry about each of some subjects, a hundred of them by one statement."""
        for start in range(0, len(subjects), ASKED_AT_ONCE):
            yield from self._newest_of_each(wanted, "subject", subjects[start : start + ASKED_AT_ONCE])

    def _newest_of_each(self, wanted: dict[str, str], column: str, values: Sequence[str]) -> list[Entry]:
        """Of the entries with the wanted values the newest with each of some values in one more column."""
        if not values:
            return []
        named = {f"{column}_{index}": value for index, value in enumerate(values)}
        statement = _newest_of_each(tuple(wanted), column, len(values))
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement, wanted | named)]

    def head(self) -> Head:
        """The newest entry of all."""
        with self._engine.connect() as connection:
            return _head(connection)

    def beginning(self) -> str:
        """Digest of the first entry, by which a ledger is known wherever it is copied to."""
        with self._engine.connect() as connection:
            first = connection.execute(sa.select(_entries.c.digest).where(_entries.c.sequence == 1)).first()
        return first.digest if first else GENESIS

    def now(self) -> datetime:
        """The later of this machine's clock and the newest entry, in UTC: in a ledger time never runs backwards."""
        with self._engine.connect() as connection:
            return _not_before(_newest_time(connection), self._clock())

    def ahead_of_the_clock(self) -> str | None:
        """That the newest entry bears a time which this machine's clock has not reached, and what that means.

        Returns:
            One line; None where clock and ledger agree within what the clocks of several machines may differ.
        """
        with self._engine.connect() as connection:
            newest, now = _newest_time(connection), self._clock()
        ahead = _not_before(newest, now) - now
        if ahead <= CLOCKS_DIFFER_AT_MOST:
            return None
        by = f"{ahead.days:,} days" if ahead >= timedelta(days=2) else f"{ahead / timedelta(hours=1):.1f} hours"
        return (
            f"the newest ledger entry is of {now + ahead:%Y-%m-%d %H:%M} UTC, {by} after this machine's clock. Until "
            "the clock has come that far each new entry bears that time, and waivers, quarantines, rollouts and limits "
            "on rounds count by it: set the clock if it is wrong; if the entry is, only a copy of ledger and artifacts "
            "from before it helps"
        )

    def signatures(self) -> dict[int, Signature]:
        """The signature of each entry that was signed, by sequence."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_signatures))
            return {row.sequence: Signature(row.key, row.value) for row in rows}

    def champion(self, recipe: str) -> dict[str, Any] | None:
        """The newest promotion of a recipe: the release that serves."""
        promotion = self.newest(recipe, "promotion", subject=f"{recipe}/champion")
        return None if promotion is None else promotion.body

    def problems(self) -> list[str]:
        """Walk the chain from its beginning and say, one line each, where it does not hold."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_entries).order_by(_entries.c.sequence)).all()
        found, previous, at = [], GENESIS, datetime.min.replace(tzinfo=UTC)
        for position, row in enumerate(rows, start=1):
            entry = _entry(row)
            if entry.sequence != position:
                found.append(f"ledger entry {position} is missing: the next one is numbered {entry.sequence}")
                return found
            if entry.previous != previous:
                found.append(f"ledger entry {entry.sequence} does not follow the entry before it")
            if entry.expected_digest() != entry.digest:
                found.append(f"ledger entry {entry.sequence} ({entry.kind} of {entry.recipe}) was altered")
            if _asked(entry.kind, entry.recipe, entry.body) != EntrySubject(row.subject, row.gate, row.content):
                found.append(
                    f"ledger entry {entry.sequence} ({entry.kind} of {entry.recipe}): its columns were altered"
                )
            moment = _moment(entry.at)
            if moment is None:
                found.append(f"ledger entry {entry.sequence} has no time: {entry.at!r}")
            elif moment < at:
                found.append(f"ledger entry {entry.sequence} is of {entry.at}, before the entry that it follows")
            previous, at = entry.digest, moment or at
        return found


@functools.cache
def _engine(url: str) -> sa.Engine:
    engine = engine_of(url)
    _make_ready(engine)
    return engine


def _make_ready(engine: sa.Engine) -> None:
    """Make the table, or give one of version 0.1.0 the columns that it lacks; no entry's digest covers them."""
    make_table(engine, _signatures)
    if _has_all_indexes(engine):
        return
    make_table(engine, _entries)
    for column in (_entries.c.subject, _entries.c.gate, _entries.c.content):
        add_column(engine, column)
    try:
        _fill_and_index(engine)
    except sa.exc.DBAPIError:  # another process may have done it at the same moment
        if not _has_all_indexes(engine):
            raise


def _fill_and_index(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        rows = connection.execute(sa.select(_entries.c.sequence, _entries.c.kind, _entries.c.recipe, _entries.c.body))
        filled = [{"of": r.sequence, **_asked(r.kind, r.recipe, json.loads(r.body)).__dict__} for r in rows]
        if filled:
            values: dict[str, Any] = {name: sa.bindparam(name) for name in ("subject", "gate", "content")}
            connection.execute(
                _entries.update().where(_entries.c.sequence == sa.bindparam("of")).values(values), filled
            )
        for index in _INDEXES:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _has_all_indexes(engine: sa.Engine) -> bool:
    inspector = sa.inspect(engine)
    if not inspector.has_table(_entries.name):
        return False
    known = {index["name"] for index in inspector.get_indexes(_entries.name)}
    return {index.name for index in _INDEXES} <= known


def _wanted(recipe: str | None, kind: str | None, asked: EntrySubject) -> dict[str, str]:
    wanted = {"recipe": recipe, "kind": kind, **asked.__dict__}
    return {column: value for column, value in wanted.items() if value is not None}


# A walk along the lineage asks some hundred times, and most of each time went into writing the same statement again.
@functools.cache
def _in_order(columns: tuple[str, ...]) -> sa.Select[Any]:
    narrowed = (_entries.c[column] == sa.bindparam(column) for column in columns)
    return sa.select(_entries).where(*narrowed).order_by(_entries.c.sequence)


@functools.cache
def _newest(columns: tuple[str, ...]) -> sa.Select[Any]:
    return _in_order(columns).order_by(None).order_by(_entries.c.sequence.desc()).limit(1)


@functools.cache
def _newest_of_each(columns: tuple[str, ...], column: str, values: int) -> sa.Select[Any]:
    numbers = [
        _newest(columns)
        .with_only_columns(_entries.c.sequence)
        .correlate(None)
        .where(_entries.c[column] == sa.bindparam(f"{column}_{index}"))
        .scalar_subquery()
        for index in range(values)
    ]
    return sa.select(_entries).where(_entries.c.sequence.in_(numbers))


def _of_asset(recipe: str, body: dict[str, Any]) -> EntrySubject:
    return EntrySubject(subject=body["asset"], content=body["digest"])


def _of_gate(recipe: str, body: dict[str, Any]) -> EntrySubject:
    return EntrySubject(subject=body["asset"], gate=body["gate"], content=body["digest"])


def _of_waived_gate(recipe: str, body: dict[str, Any]) -> EntrySubject:
    subject, _, gate = body["gate"].rpartition(":")
    return EntrySubject(subject, gate, body.get("digest"))


_ASKED: dict[str, Callable[[str, dict[str, Any]], EntrySubject]] = {
    "materialization": _of_asset,
    "verdict": _of_gate,
    "promotion": lambda recipe, body: EntrySubject(subject=f"{recipe}/champion", content=body["digest"]),
    "withdrawal": lambda recipe, body: EntrySubject(subject=f"{recipe}/champion", content=body["release"]),
    "waiver": _of_waived_gate,
    "approval": lambda recipe, body: EntrySubject(content=body["release"]),
    "sign_off": lambda recipe, body: EntrySubject(content=body["contract"]),
    "amendment": lambda recipe, body: EntrySubject(content=body["bar"]),
    "golden_read": lambda recipe, body: EntrySubject(),
    "signal_shard": lambda recipe, body: EntrySubject(subject=body["fingerprint"], content=body["digest"]),
    "batch": lambda recipe, body: EntrySubject(subject=body["batch"]),
    "round_begun": lambda recipe, body: EntrySubject(subject=body["run_id"]),
    "round": lambda recipe, body: EntrySubject(subject=body["run_id"]),
    "deployment": lambda recipe, body: EntrySubject(
        subject=body["challenger"]["deployed"]["release"] if "challenger" in body else None,
        content=body["champion"]["release"],
    ),
    "erasure": lambda recipe, body: EntrySubject(),
    "harvest": lambda recipe, body: EntrySubject(content=body["digest"]),
    "baseline": lambda recipe, body: EntrySubject(content=body["release"]),
    "closure": lambda recipe, body: EntrySubject(),
    "reopening": lambda recipe, body: EntrySubject(),
    "correction": lambda recipe, body: EntrySubject(subject=body["book"]),
}
"""What can be asked of each kind of entry."""


def _asked(kind: str, recipe: str, body: dict[str, Any]) -> EntrySubject:
    """What an entry is about; nothing for a body of another shape than its kind has, or a kind of a later version."""
    try:
        return _ASKED[kind](recipe, body)
    except (KeyError, TypeError):
        return EntrySubject()


def _head(connection: sa.Connection) -> Head:
    row = connection.execute(
        sa.select(_entries.c.sequence, _entries.c.digest).order_by(_entries.c.sequence.desc()).limit(1)
    ).first()
    return Head(row.sequence, row.digest) if row else Head(0, GENESIS)


def _next_entry(connection: sa.Connection, now: datetime, kind: str, recipe: str, body: dict[str, Any]) -> Entry:
    head = _head(connection)
    sequence, previous = head.sequence + 1, head.digest
    at = _not_before(_newest_time(connection), now).isoformat(timespec="milliseconds")
    return Entry(sequence, at, kind, recipe, body, previous, _digest(sequence, at, kind, recipe, body, previous))


def _refuse_if_overtaken(connection: sa.Connection, recipe: str, expected: Expected) -> None:
    newest = [
        row.sequence
        for kind in expected.kinds
        if (row := connection.execute(_newest(("recipe", "kind")), {"recipe": recipe, "kind": kind}).first())
    ]
    found = max(newest, default=None)
    if found != expected.sequence:
        raise OvertakenError(
            f"ledger entry {found} was written meanwhile by somebody else; nothing was done",
            where=recipe,
            expected=f"ledger entry {expected.sequence} as the newest {' or '.join(expected.kinds)}"
            if expected.sequence
            else f"no {' or '.join(expected.kinds)} yet",
            do=f"`stillhouse status {recipe}` shows what serves now; decide again.",
        )


def _newest_time(connection: sa.Connection) -> str | None:
    newest = connection.execute(sa.select(_entries.c.at).order_by(_entries.c.sequence.desc()).limit(1)).first()
    return newest.at if newest else None


def _not_before(at: str | None, now: datetime) -> datetime:
    newest = None if at is None else _moment(at)
    return now if newest is None else max(now, newest)


def _moment(at: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _digest(sequence: int, at: str, kind: str, recipe: str, body: dict[str, Any], previous: str) -> str:
    return digest_of([sequence, at, kind, recipe, body, previous])


def _entry(row: Any) -> Entry:
    """Read one row back.

    Raises:
        StillhouseError: if its body is not what `append` writes.
    """
    try:
        body = json.loads(row.body)
    except ValueError as error:
        raise StillhouseError(
            "the body is not JSON",
            where=f"ledger entry {row.sequence} ({row.kind} of {row.recipe})",
            expected="an entry as it was written",
            do="Put back a copy of the ledger from before it was altered; `stillhouse audit` compares it.",
        ) from error
    return Entry(row.sequence, row.at, row.kind, row.recipe, body, row.previous, row.digest)
