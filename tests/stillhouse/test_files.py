"""What is written survives a kill and a power cut, and a full or read-only disk is told in one line."""

import errno
import os
from pathlib import Path

import pytest

from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.files import SET_ASIDE, make_folder, plain_disk_errors, require_room, set_aside, write_atomically


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every path whose descriptor was synced, in order."""
    paths: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


@pytest.mark.experiment("C13")
def test_a_new_name_is_synced_into_its_folder_and_each_new_folder_into_its_parent(
    tmp_path: Path, synced: list[Path]
) -> None:
    write_atomically(tmp_path / "a" / "b" / "file", b"content")
    assert synced[:2] == [tmp_path, tmp_path / "a"]
    assert synced[2].parent == tmp_path / "a" / "b" and synced[2].name.startswith(".file."), "the content comes first"
    assert synced[3:] == [tmp_path / "a" / "b"]


def test_a_folder_that_is_there_is_not_synced_again(tmp_path: Path, synced: list[Path]) -> None:
    make_folder(tmp_path)
    assert synced == []


def test_what_is_set_aside_is_kept_and_named_in_one_line(tmp_path: Path) -> None:
    heard: list[progress.News] = []
    (tmp_path / "bad").write_text("content")
    with progress.listening(heard.append):
        moved = set_aside(tmp_path / "bad", "is cut")
    assert not (tmp_path / "bad").exists()
    assert moved.parent == tmp_path / SET_ASIDE and moved.read_text() == "content"
    assert heard == [progress.Remark(f"{tmp_path / 'bad'} is cut: moved to {moved}, made again")]


def test_two_bad_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    for content in ("one", "two"):
        (tmp_path / "bad").write_text(content)
        set_aside(tmp_path / "bad", "is cut")
    assert sorted(item.read_text() for item in (tmp_path / SET_ASIDE).iterdir()) == ["one", "two"]


def test_setting_aside_what_another_process_took_is_no_error(tmp_path: Path) -> None:
    heard: list[progress.News] = []
    with progress.listening(heard.append):
        set_aside(tmp_path / "gone", "is cut")
    assert heard == [], "whoever took it has said so"


def test_without_a_listener_a_remark_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    progress.remark("a shard is cut")
    assert caplog.messages == ["a shard is cut"]


@pytest.mark.experiment("C4", "C12")
@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be read or written"),
    ],
)
def test_a_full_or_read_only_disk_is_said_in_one_line(tmp_path: Path, number: int, what: str) -> None:
    with pytest.raises(StillhouseError, match=what) as caught, plain_disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "\n" not in str(caught.value)


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), plain_disk_errors(tmp_path):
        (tmp_path).write_text("")


def test_a_file_larger_than_the_disk_is_not_begun(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(StillhouseError, match="no space left"):
        require_room(tmp_path, 1 << 60)
