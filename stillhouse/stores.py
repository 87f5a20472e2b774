"""A folder of this machine or any fsspec address, as a place that other processes write to as well.

Belongs here: opening such an address, and moving whole files there and back.
Does not: what is kept there (records/, live/), credentials in an address (addresses.py).
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from stillhouse.addresses import without_credentials
from stillhouse.errors import MachineError
from stillhouse.files import (
    make_folder,
    move_into_place,
    plain_disk_errors,
    plain_full_disk,
    sync_file,
    write_atomically,
)

if TYPE_CHECKING:
    from upath import UPath


def place_at(address: str) -> "UPath":
    """The place at an address, of which everything is asked for when it is asked about.

    Left to itself, fsspec remembers what it once listed for as long as its process lives: a daemon would never see
    another file in a bucket, nor that one is gone.

    Raises:
        ValueError: if no installed package knows its scheme.
        ImportError: if the package that does is not installed.
    """
    from upath import UPath  # fifty milliseconds, and most commands read no other place than this machine's

    return UPath(address, use_listings_cache=False) if "://" in address else UPath(address)


def is_local(place: "UPath") -> bool:
    """Whether a place is on a disk of this machine."""
    return place.protocol in ("", "file")


def write_at(place: "UPath", content: bytes) -> None:
    """Write a file of which whoever looks sees all or none: an object store has no half ones."""
    if is_local(place):
        write_atomically(Path(str(place)), content)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def send(source: Path, target: "UPath") -> None:
    """Copy a local file to a place, piece by piece: it may be larger than this machine's memory."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.fs.put_file(str(source), target.path)


def fetch(source: "UPath", target: Path) -> None:
    """Copy a file from a place to this machine; whoever looks sees all of it or none.

    Raises:
        MachineError: if this machine has no room for it, or may not write there.
    """
    with plain_disk_errors(target):
        make_folder(target.parent)
    partial = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        with plain_full_disk(target):  # other errors may be of the place
            source.fs.get_file(source.path, str(partial))
        with plain_disk_errors(target):
            sync_file(partial)
            move_into_place(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def plain_store_error(error: BaseException, where: str) -> MachineError | None:
    """Say in one line what the driver of S3 means by an error; None for any other error.

    Args:
        error: what was raised; s3fs lets what is no answer of the server through as botocore has it.
        where: address of the store.
    """
    raised = sys.modules.get("botocore.exceptions")  # not loaded: it has raised nothing
    if raised is None or not isinstance(error, raised.BotoCoreError | raised.ClientError):
        return None
    return MachineError(
        f"the store cannot be used ({type(error).__name__}: {without_credentials(' '.join(str(error).split()))})",
        where=without_credentials(where),
        expected="a store that answers, and a key that may read and write there",
        do="See to AWS_ENDPOINT_URL, to key and region, and to the network; then run again.",
    )
