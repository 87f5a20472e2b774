"""Writing local files so that a kill, a power cut or a full disk leaves the old state or the new one.

Belongs here: atomic writes, folders whose entries survive a power cut, setting a bad file aside, disk errors in words,
locks between processes of one machine.
Does not: what is written (records/artifacts.py, teachers/signal.py, models/checkpoint.py), digests (digests.py).

A rename is only as durable as the folder that holds the name: on ext4 and XFS it may be lost with the power until the
folder itself has been synced (man 2 fsync). Every rename here is therefore followed by `sync_folder`.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from stillhouse import progress
from stillhouse.errors import MachineError, StillhouseError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_NOT_USABLE = frozenset(
    {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)
"""Something stands where a folder belongs, a name is too long, a disk or its server is broken, too much is open."""
_FULL_BELOW_BYTES = 64 * 1024

SET_ASIDE = "set_aside"


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Have the bytes of a file survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; each new one is synced into the folder above it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def move_into_place(source: Path, target: Path) -> None:
    """Rename a finished file or folder, and have the new name survive a power cut."""
    source.replace(target)
    sync_folder(target.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, a kill or a power cut sees all of it or none of it.

    Raises:
        StillhouseError: if the disk is full or not writable; the old content is still there.
    """
    with plain_disk_errors(path):
        make_folder(path.parent)
        partial = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            move_into_place(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def one_process_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until no other process of this machine is inside such a block with the same file.

    Raises:
        StillhouseError: if the file cannot be made.
    """
    with plain_disk_errors(lock):
        make_folder(lock.parent)
        file = lock.open("w")
    with file:  # the kernel lets go of it when the process dies
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def set_aside(path: Path, why: str, *, where: Path | None = None, name: str | None = None) -> Path:
    """Move a file or folder that cannot be used out of the way, and say so in one line.

    Args:
        path: what to move; it may be gone already.
        why: what is wrong with it, as a clause.
        where: the folder to move it to; `set_aside/` beside it when None.
        name: what to call it there, with a few letters added; its own name when None.

    Returns:
        Where it is now.
    """
    folder = where or path.parent / SET_ASIDE
    with plain_disk_errors(folder):
        make_folder(folder)
        target = folder / f"{name or path.name}.{uuid4().hex[:8]}"
        try:
            move_into_place(path, target)
        except FileNotFoundError:  # another process was faster
            return target
        sync_folder(path.parent)
    progress.remark(f"{path} {why}: moved to {target}, made again")
    return target


def require_room(folder: Path, size_bytes: int) -> None:
    """Refuse to begin a file that the disk has no room for, for writers that remove what they could not finish.

    Raises:
        MachineError: if there is less space left.
    """
    if shutil.disk_usage(folder).free < size_bytes:
        raise _no_space(folder)


@contextmanager
def plain_full_disk(where: Path) -> Iterator[None]:
    """Translate a full disk into one line; any other error stays what it is.

    Libraries such as polars have no error of their own for a full disk, so after theirs the disk itself is asked.

    Raises:
        MachineError: if there is no space left.
    """
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:
        said_so = isinstance(error, OSError) and error.errno in _NO_SPACE
        if not said_so and shutil.disk_usage(_nearest_folder(where)).free >= _FULL_BELOW_BYTES:
            raise
        raise _no_space(where) from error


@contextmanager
def plain_disk_errors(where: Path) -> Iterator[None]:
    """Translate a disk that is full, read-only or not usable into one line, around writes of our own."""
    try:
        with plain_full_disk(where):
            yield
    except OSError as error:
        plain = plain_disk_error(error, where)
        if plain is None:
            raise
        raise plain from error


def plain_disk_error(error: OSError, where: Path) -> MachineError | None:
    """Say in one line what the system's error means; None for any error that is not about disk, rights or names.

    Args:
        error: what was raised.
        where: what is named where the error names no file.
    """
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else where
    if error.errno in _NO_SPACE:
        return _no_space(place)
    if error.errno not in _NOT_WRITABLE | _NOT_USABLE:
        return None
    refused = error.errno in _NOT_WRITABLE
    what = "written" if error.errno == errno.EROFS else "read or written" if refused else "used"
    return MachineError(
        f"cannot be {what} ({error.strerror})",
        where=str(place),
        expected="a place that this account may write to" if refused else "a file or folder that can be used",
        do=f"{'Give this account the right to write there' if refused else 'See what is there'}, or point "
        "STILLHOUSE_HOME at another folder.",
    )


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _no_space(where: Path) -> MachineError:
    return MachineError(
        "no space left on the disk",
        where=str(where),
        expected="room to write; nothing was published and nothing half-written was kept",
        do="Free space or point STILLHOUSE_HOME at a larger disk, then run again.",
    )
