"""A disk that fills up while something is made, and what is true once somebody has freed space.

The disk is real: a small file system in memory, which grows when a test says so. Where nobody may mount one, the tests
are skipped; what a full disk does to each part alone is asked elsewhere without one.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.data.drop_folder import look_at
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from stillhouse.stages.source import drop_folder
from tests.command import stillhouse
from tests.small import questions, small_recipe

FULL = "no space left on the disk"


class Disk:
    """A file system of its own, of so many kilobytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sized(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """An installation on a disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1024k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("nobody may mount a file system here")
    monkeypatch.setenv("STILLHOUSE_HOME", str(folder / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_run_on_a_full_disk_is_one_line_and_no_verdict_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Disk
) -> None:
    """Regression: weights that found no room were recorded as refused, which closed gates on the contract."""
    small_recipe(tmp_path, rows=100, teacher__training_on_outputs="unknown")  # so that it ends at the contract
    for kilobytes in (1_024, 2_048, 12_000, 24_000):
        disk.sized(kilobytes)
        ended = stillhouse("run", "small", recipes=tmp_path / "recipes")
        (*_, line) = ended.stderr.splitlines()  # Dagster's own complaints about its log may come before it
        assert ended.returncode == 2 and FULL in line and "Free space" in line, (kilobytes, ended)
        assert "Traceback" not in ended.stderr and "refused" not in ended.stdout, (kilobytes, ended)
    disk.sized(200_000)
    assert stillhouse("run", "small", recipes=tmp_path / "recipes").returncode == 1
    ledger = BuildStore(Home.from_environment()).ledger
    states = {entry.body["gate"]: entry.body["state"] for entry in ledger.entries("small", "verdict")}
    assert states.pop("terms_allow_training_on_outputs") == "failed"
    assert states["the_teachers_weights_are_safe"] == "passed" and {*states.values()} == {"passed"}
    assert ledger.problems() == []


def test_a_dropped_file_that_finds_no_room_is_taken_in_once_there_is_some(tmp_path: Path, disk: Disk) -> None:
    """Regression: it was left out for good, as a file that cannot be read is."""
    disk.sized(3_000)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    file = small_recipe(tmp_path, rows=100, data__drop_folder=str(inbox))
    builds = BuildStore(Home.from_environment())
    rows = [f"Who is number {number} of all of these ?,HUM,HUM:ind" for number in range(120_000)]
    (inbox / "large.csv").write_text("\n".join(["question,service,kind", *rows]))
    questions(20).write_csv(inbox / "small.csv")

    def look() -> tuple[list[str], list[str]]:
        found = look_at(builds, file, drop_folder(file, builds.home))
        return sorted(found.folder.ready), found.refused

    look()
    for _ in range(2):
        ready, (line,) = look()
        assert ready == ["small.csv"] and "large.csv" in line and FULL in line and "Free space" in line
    disk.sized(60_000)
    assert look() == (["large.csv", "small.csv"], [])
