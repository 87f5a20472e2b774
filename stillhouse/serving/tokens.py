"""Who may ask a server: bearer tokens, each for some of the endpoints.

Belongs here: making, listing and revoking tokens, and asking each request for one.
Does not: users or roles, of which there are none; encryption, for which a proxy stands in front.

A token is 256 random bits and shown once; what is kept is its SHA-256, which nobody can turn back, and compared in
constant time. Where there is no token at all, only a server that no other machine can reach answers.
"""

import hmac
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from pydantic import RootModel, ValidationError

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.files import one_process_at_a_time, write_atomically
from stillhouse.hosts import is_loopback
from stillhouse.serving.refused import RefusedError

_PREFIX = "stillhouse_"
"""So that whoever finds one in a log, or a scanner of secrets, knows what it is."""


_NAME = re.compile(r"[^\W_][\w .@:-]{0,99}")
"""In a list of one a line."""


class Scope(StrEnum):
    """What a token is for."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    METRICS = "metrics"


class Token(Record):
    """A token, without what lets somebody in."""

    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    made_at: str


class _Kept(RootModel[tuple[Token, ...]]):
    """The file of an installation."""


class Tokens:
    """The tokens of an installation.

    Args:
        folder: where the file lies.

    Raises:
        StillhouseError: if the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tokens.json"
        self._seen: object = None
        self.all: tuple[Token, ...] = ()
        self.are_asked_for = False
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed.

        Raises:
            StillhouseError: if it cannot be read; those that were known go on to count.
        """
        if not self._path.exists():
            self._seen, self.all = None, ()
            return
        self.are_asked_for = True  # from the first one on, also when the last one was taken back
        status = self._path.stat()
        seen = status.st_ino, status.st_mtime_ns, status.st_size
        if seen == self._seen:
            return
        try:
            self.all = _Kept.model_validate_json(self._path.read_bytes()).root
        except ValidationError as error:
            raise StillhouseError(
                "it is not a file of tokens",
                where=str(self._path),
                expected="what `stillhouse tokens new` wrote",
                do="Restore it, or remove it and make new tokens.",
            ) from error
        self._seen = seen

    def new(self, name: str, scopes: Collection[Scope]) -> str:
        """Make a token and return it; it cannot be shown again.

        Raises:
            StillhouseError: if there is one of this name, or it is no name.
        """
        if _NAME.fullmatch(name) is None:
            raise StillhouseError(
                f"{name[:100]!r} cannot be the name of a token",
                where="tokens new",
                expected="letters, digits, blanks and ._@:- in one line, at most 100 and the first a letter or digit",
                do="Choose another name.",
            )
        made = _PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._changing():
            if any(token.name == name for token in self.all):
                raise StillhouseError(
                    "there is a token of this name",
                    where=name,
                    expected="another name",
                    do=f"`stillhouse tokens revoke {name}` takes that one back.",
                )
            self._write(*self.all, Token(name=name, scopes=tuple(sorted(scopes)), sha256=_digest(made), made_at=now))
        return made

    def revoke(self, name: str) -> None:
        """Take a token back; servers refuse it within a second or two.

        Raises:
            StillhouseError: if there is none of this name.
        """
        with self._changing():
            if all(token.name != name for token in self.all):
                raise StillhouseError(
                    "no token of this name",
                    where=name,
                    expected=f"one of: {', '.join(token.name for token in self.all) or 'none yet'}",
                    do="`stillhouse tokens list` shows them.",
                )
            self._write(*(token for token in self.all if token.name != name))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change what the file has now, and not what it had: two at once would lose a token, or bring one back."""
        with one_process_at_a_time(self._path.with_name("tokens.lock")):
            self.refresh()
            yield

    def _write(self, *tokens: Token) -> None:
        write_atomically(self._path, _Kept(tokens).model_dump_json(indent=1).encode())
        self.refresh()


class Headers(Protocol):
    """What a request says of itself, by names in small letters."""

    def get(self, name: str, default: str, /) -> str:
        """The value of a name, or what stands for none."""
        ...


class Access:
    """Whether a request may be answered.

    Args:
        tokens: of the installation.
        host: where the server listens.

    Raises:
        StillhouseError: if other machines can reach it and there is no token.
    """

    def __init__(self, tokens: Tokens, host: str) -> None:
        self._tokens, self._alone = tokens, is_loopback(host)
        if not self._alone and not tokens.all:
            raise StillhouseError(
                "other machines can reach it, and there is no token that they would need",
                where=f"serve --host {host}",
                expected="a token, or an address of this machine alone",
                do="`stillhouse tokens new NAME` makes one; TLS is for a proxy in front.",
            )

    @property
    def asks_for_tokens(self) -> bool:
        """Whether a request without a token is refused."""
        return self._tokens.are_asked_for or not self._alone

    def require(self, headers: "Headers", scope: Scope) -> None:
        """Let a request pass.

        Raises:
            RefusedError: if it brings no token that counts here.
        """
        if not self.asks_for_tokens:
            # A page that points a name of its own at this machine is asked for by that name (DNS rebinding).
            if not _is_this_machine(headers.get("host", "")):
                raise RefusedError(421, "the host is another", "localhost or 127.0.0.1, where no token is asked for")
            return
        kind, _, brought = headers.get("authorization", "").partition(" ")
        digest = _digest(brought) if kind.lower() == "bearer" else ""
        # Each is compared, so that the time does not say which one it was.
        fitting = [token for token in self._tokens.all if hmac.compare_digest(token.sha256, digest)]
        if not fitting:
            expected = "authorization: Bearer, and a token"
            raise RefusedError(401, "no token that is known here", expected, www_authenticate="Bearer")
        if scope not in fitting[0].scopes:
            raise RefusedError(403, "the token is for something else", f"one for {scope}")


@lru_cache(maxsize=16)
def _is_this_machine(host: str) -> bool:
    """Whether an authority (name or address, and a port) names this machine alone; a server hears few of them."""
    name, _, port = host.rpartition(":")
    name = name if port.isdecimal() else host
    return is_loopback(name.strip("[]"))


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
