"""A place is asked each time, and files reach it whole."""

from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from stillhouse.stores import fetch, place_at, send

pytestmark = pytest.mark.long


@pytest.fixture
def address() -> str:
    return f"memory://{uuid4().hex}"


@pytest.mark.parametrize("address", ["/tmp/store", "relative/store", "file:///tmp/store"])
def test_a_place_of_this_machine_stays_one(address: str) -> None:
    assert place_at(address).protocol in ("", "file")


def test_what_is_listed_is_asked_for_each_time(address: str) -> None:
    """s3fs remembers listings for as long as its process lives; a daemon never saw a file that was dropped later."""
    assert place_at(address).fs.dircache.use_listings_cache is False
    assert (place_at(address) / "below").fs.dircache.use_listings_cache is False
    assert fsspec.filesystem("memory").dircache.use_listings_cache is True, "else this shows nothing"


def test_a_file_goes_there_and_back(address: str, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"1" * 70_000)
    send(tmp_path / "here", place_at(address) / "folder" / "there")
    fetch(place_at(address) / "folder" / "there", tmp_path / "below" / "back")
    assert (tmp_path / "below" / "back").read_bytes() == b"1" * 70_000
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["back"]


def test_what_cannot_be_fetched_leaves_nothing(address: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fetch(place_at(address) / "absent", tmp_path / "back")
    assert not list(tmp_path.iterdir())
