"""The Ed25519 key that signs the ledger's heads, and the public keys that an audit trusts.

Belongs here: making a key, signing a head and checking a signature.
Does not: storing signatures (ledger.py), judging what is unsigned (audit/).

Keys live outside the state, so that a copy of the state, or write access to it, is not enough to sign: `signing.pem` is
the private one, readable by its owner alone, and every `*.pub` beside it is trusted. A machine that audits needs only
the `*.pub`. Heads are signed as soon as there is a key, and by nobody before.
"""

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from stillhouse.errors import StillhouseError
from stillhouse.files import plain_disk_errors, sync_folder, write_atomically
from stillhouse.home import setting

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PRIVATE = "signing.pem"


@dataclass(frozen=True)
class Signature:
    """A signature of one head.

    Args:
        key: fingerprint of the public key.
        value: the signature, base64.
    """

    key: str
    value: str


class Keys:
    """The keys in one folder.

    Args:
        folder: where they are; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def from_environment(cls) -> "Keys":
        """Those in STILLHOUSE_KEYS, or in the user's configuration folder."""
        default = platformdirs.user_config_path("stillhouse", appauthor=False) / "keys"
        return cls(Path(setting("STILLHOUSE_KEYS") or default).expanduser().absolute())

    def make(self, state: Path) -> str:
        """Make a key and return its fingerprint.

        Args:
            state: the folder of the state, in which no key may be.

        Raises:
            StillhouseError: if there is a key already, or the folder is inside the state.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        if self.folder.resolve().is_relative_to(state.resolve()):
            raise StillhouseError(
                "keys inside the state protect nothing: whoever changes the state could sign the change",
                where=str(self.folder),
                expected=f"a folder outside {state}",
                do="Point STILLHOUSE_KEYS elsewhere.",
            )
        private = self.folder / PRIVATE
        if private.exists():
            raise _is_there(private)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = Ed25519PrivateKey.generate()
        public = key.public_key()
        name = _fingerprint(public)
        proves = self.folder / f"{name}.pub"
        with plain_disk_errors(self.folder):
            handle, written = tempfile.mkstemp(dir=self.folder)  # readable by its owner alone
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
                    file.flush()
                    os.fsync(file.fileno())
                # Before anything is signed, so that nothing is that nobody can prove. A key that is cut short would let
                # nothing into the ledger any more.
                write_atomically(proves, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
                os.link(written, private)
                sync_folder(self.folder)
            except FileExistsError as error:  # another process was faster
                proves.unlink()
                raise _is_there(private) from error
            finally:
                os.unlink(written)
        return name

    def sign(self, sequence: int, digest: str) -> Signature | None:
        """Sign a head of the ledger; None while this machine has no private key.

        Raises:
            StillhouseError: if others can read the key, or it is not an Ed25519 key.
        """
        path = self.folder / PRIVATE
        if not path.is_file():
            return None
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if path.stat().st_mode & 0o077:
            raise StillhouseError(
                "others can read the signing key", where=str(path), expected="mode 600", do=f"chmod 600 {path}"
            )
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except ValueError as error:
            raise _no_key(path) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key(path)
        value = base64.b64encode(key.sign(_statement(sequence, digest))).decode()
        return Signature(_fingerprint(key.public_key()), value)

    def trusted(self) -> "TrustedKeys":
        """Every public key in the folder.

        Raises:
            StillhouseError: if a `*.pub` is not an Ed25519 key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        found = {}
        for path in sorted(self.folder.glob("*.pub")):
            try:
                key = load_pem_public_key(path.read_bytes())
            except ValueError as error:
                raise _no_key(path) from error
            if not isinstance(key, Ed25519PublicKey):
                raise _no_key(path)
            found[_fingerprint(key)] = key
        return TrustedKeys(self.folder, found)


@dataclass(frozen=True)
class TrustedKeys:
    """The public keys that an audit trusts.

    Args:
        folder: where they are, for messages.
        keys: by fingerprint.
    """

    folder: Path
    keys: "dict[str, Ed25519PublicKey]"

    def signed(self, sequence: int, digest: str, signature: Signature) -> bool:
        """Whether a trusted key signed this head."""
        from cryptography.exceptions import InvalidSignature

        key = self.keys.get(signature.key)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(signature.value, validate=True), _statement(sequence, digest))
        except (InvalidSignature, ValueError):  # ValueError: not base64
            return False
        return True


def _statement(sequence: int, digest: str) -> bytes:
    return f"stillhouse ledger head\n{sequence}\n{digest}".encode()


def _fingerprint(key: "Ed25519PublicKey") -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def _is_there(private: Path) -> StillhouseError:
    return StillhouseError(
        "there is a key already",
        where=str(private),
        expected="no key",
        do="To use a new one, move this file away and keep the *.pub beside it: it proves what was signed.",
    )


def _no_key(path: Path) -> StillhouseError:
    return StillhouseError(
        "this is not an Ed25519 key",
        where=str(path),
        expected="a key in PEM",
        do="Restore it from a copy; or move it away, and `stillhouse keys init` makes another.",
    )
