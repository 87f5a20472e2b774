"""Counting needs its place on the disk before the first row comes: where it has none, a server says so and ends."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from stillhouse.errors import MachineError
from stillhouse.serving.counts import Counts, counted

LIFE = b"0123456789abcdef"
DAY = 20_000


def test_what_was_counted_is_read_back_by_day(tmp_path: Path) -> None:
    counts = Counts(tmp_path / "counts", LIFE)
    for day in (DAY, DAY + 1, DAY):
        counts.received(day)
    counts.dropped(DAY)
    counts.close()
    assert counted(tmp_path / "counts", LIFE) == {DAY: (2, 1), DAY + 1: (1, 0)}
    assert counted(tmp_path / "counts", b"another process.") is None


def test_a_disk_without_room_for_the_counts_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*about: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MachineError, match="no space left on the disk") as caught:
        Counts(tmp_path / "counts", LIFE)
    assert str(tmp_path / "counts") in str(caught.value)


def test_on_a_real_disk_that_is_too_small_no_count_is_begun(tmp_path: Path) -> None:
    """Regression: the file was a hole, so that a full disk ended the server at a row, with a SIGBUS and no word."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(MachineError, match="no space left on the disk"):
            Counts(disk / "counts", LIFE)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
