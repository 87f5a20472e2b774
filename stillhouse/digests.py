"""Content hashes: one way to name a value, a file and a folder by what is in it.

Belongs here: SHA-256 over canonical forms.
Does not: fingerprints of models (teachers/intake.py), which hash parsed weights and not only bytes.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def digest_of(value: Any) -> str:
    """Digest a JSON-like value, independent of key order and white space.

    Raises:
        TypeError: if the value holds something JSON cannot say, so that no `repr` ever gets into a digest.
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Digest the bytes of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_folder(folder: Path) -> str:
    """Digest names and bytes of every file below `folder`; times, owners and modes do not count."""
    return digest_of({str(path.relative_to(folder).as_posix()): digest_of_file(path) for path in files_below(folder)})


def files_below(folder: Path) -> Iterable[Path]:
    """Every file below `folder`, in one fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
