"""Content hashes: one way to name a value, a file and a folder by what is in it.

Belongs here: SHA-256 over canonical forms, and the number that a digest stands for in a draw.
Does not: fingerprints of models (models/weights.py), which hash parsed weights and not only bytes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_of(value: Any) -> str:
    """Digest a JSON-like value, independent of key order and white space.

    Raises:
        TypeError: if the value holds something JSON cannot say, so that no `repr` ever gets into a digest.
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def uniform_of(digest: bytes) -> float:
    """The number in [0, 1) that a digest stands for: of new contents one draw, of the same ones always the same.

    Args:
        digest: 8 bytes or more, of which the first 53 bits count: as many as a float holds exactly.
    """
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def digest_of_file(path: Path) -> str:
    """Digest the bytes of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_folder(folder: Path) -> str:
    """Digest names and bytes of every file below `folder`; times, owners and modes do not count.

    A link counts as a link and never as what it points to, whose bytes may change without a trace in the folder.
    """
    return digest_of({path.relative_to(folder).as_posix(): _digest_of_entry(path) for path in entries_below(folder)})


def files_below(folder: Path) -> list[Path]:
    """Every regular file below `folder`, in one fixed order; links are left out."""
    return [path for path in entries_below(folder) if path.is_file() and not path.is_symlink()]


def links_below(folder: Path) -> list[Path]:
    """Every link below `folder`, to a file, to a folder or to nothing."""
    return [path for path in entries_below(folder) if path.is_symlink()]


def entries_below(folder: Path) -> list[Path]:
    """Everything below `folder` that is no folder of its own: files, links, and what else a disk can hold."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _digest_of_entry(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return digest_of_file(path) if path.is_file() else "neither file nor folder"
