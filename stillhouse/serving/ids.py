"""Ids of answers, which any replica knows for its own, and keys of callers, which none keeps.

Belongs here: the secret that replicas of one installation share, and what is made with it.
Does not: joining feedback to answers (the traffic log does), tokens (tokens.py).
"""

import hmac
import os
import secrets
import tempfile
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from contextlib import suppress
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, plain_disk_errors, sync_folder
from stillhouse.live.purposes import Purpose

_SECRET_BYTES = 32
_TIME_BYTES, _RANDOM_BYTES, _TAG_BYTES = 6, 7, 8
_ID_BYTES = _TIME_BYTES + _RANDOM_BYTES + _TAG_BYTES
_ID_CHARACTERS = _ID_BYTES * 4 // 3
_MADE_AT_ONCE, _AHEAD_MILLISECONDS = 16, 1000
"""After a model has run none of this code is in the processor's cache: sixteen ids then cost what two cost alone."""
_OF_AN_ID, _OF_A_KEY, _OF_A_KEY_LIKE_A_PURPOSE = b"id", b"key", b"caller"
"""Said before what is signed, so that no signature of one is a signature of the other. Keys of draws are said to be
keys, as they always were; so a caller's key that reads like a purpose is said to be something else."""
_PURPOSES = frozenset(each.value for each in Purpose)


class RequestIds:
    """Issues ids, and knows those that any replica of this installation issued.

    Milliseconds since 1970, 56 random bits and 64 bits of an HMAC, in 28 characters of URL-safe Base64: nobody else
    makes one that counts as ours in fewer than some 2^63 attempts.

    Args:
        secret: shared by the replicas of one installation.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._ahead: list[str] = []
        self._made_at = 0

    @classmethod
    def of(cls, folder: Path) -> "RequestIds":
        """Read the secret of an installation, or make it; of several replicas that start at once one makes it.

        Args:
            folder: where it lies, readable by this account alone.

        Raises:
            StillhouseError: if it is not what was written there, or the disk refuses.
        """
        path = folder / "secret"
        with plain_disk_errors(path):
            if not path.exists():
                _make_secret(path)
            secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise StillhouseError(
                f"it has {len(secret)} bytes",
                where=str(path),
                expected=f"{_SECRET_BYTES} random bytes",
                do="Restore it, or remove it: feedback to answers that were given before is then refused.",
            )
        return cls(secret)

    @classmethod
    def known(cls, folder: Path) -> "RequestIds":
        """Read the secret of an installation, for whoever looks for what was made with it: a new one finds nothing.

        Args:
            folder: where it lies.

        Raises:
            StillhouseError: if there is none, or it is not what was written there.
        """
        path = folder / "secret"
        if not path.exists():
            raise StillhouseError(
                "there is no secret of servers here, by which ids and keys are known",
                where=str(path),
                expected="the one with which the servers of this installation answer",
                do="Copy it from the machine that serves, or give the command there.",
            )
        return cls.of(folder)

    def issue(self) -> str:
        """A new id; it may have been made up to a second ahead, together with others."""
        now = time.time_ns() // 1_000_000
        if not self._ahead or not 0 <= now - self._made_at < _AHEAD_MILLISECONDS:
            self._ahead, self._made_at = [self._made(now) for _ in range(_MADE_AT_ONCE)], now
        return self._ahead.pop()

    def _made(self, moment: int) -> str:
        content = moment.to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
        return urlsafe_b64encode(content + self._tag(content)).decode()

    def is_ours(self, id: str) -> bool:
        """Whether a replica of this installation issued an id."""
        if len(id) != _ID_CHARACTERS:
            return False
        try:
            raw = urlsafe_b64decode(id.encode("ascii"))
        except (NotBase64, UnicodeEncodeError):
            return False
        content, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        # The decoder skips what is outside the alphabet and knows a second one, in which no answer has this id.
        return urlsafe_b64encode(raw).decode() == id and hmac.compare_digest(tag, self._tag(content))

    def keyed(self, key: str) -> str:
        """Stand-in for a caller's key: the same for the same key, and useless to whoever has not the secret."""
        # The traffic log has stand-ins, and whoever reads it must not know by which key answers are drawn.
        return self._signed(_OF_A_KEY_LIKE_A_PURPOSE if key in _PURPOSES else _OF_A_KEY, key)

    def drawing_key(self, purpose: Purpose) -> bytes:
        """By which answers are drawn for a purpose; whoever has the secret can draw them again."""
        return self._signed(_OF_A_KEY, purpose).encode()

    def _signed(self, kind: bytes, text: str) -> str:
        return hmac.digest(self._secret, kind + text.encode(), "sha256").hex()[:32]

    def _tag(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, _OF_AN_ID + content, "sha256")[:_TAG_BYTES]


def issued_at(id: str) -> float:
    """When an id that is ours was issued, in seconds since 1970."""
    return int.from_bytes(urlsafe_b64decode(id)[:_TIME_BYTES], "big") / 1000


def _make_secret(path: Path) -> None:
    make_folder(path.parent)
    handle, written = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another replica was faster; a link is made whole or not at all
            os.link(written, path)
        sync_folder(path.parent)
    finally:
        os.unlink(written)
