"""A process is known for good: neither a reused number nor another boot is taken for it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse import processes
from stillhouse.processes import Life, ProcessName, QuietClock


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def name_of(process: subprocess.Popen[bytes]) -> ProcessName:
    return replace(ProcessName.of_this_process(), pid=process.pid, started=processes._started(process.pid))


def test_a_process_is_alive_until_it_is_killed_even_before_its_parent_asks(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of(sleeper)
    assert ProcessName.parse(str(name)) == name
    assert name.life() is Life.ALIVE
    sleeper.kill()
    while sleeper.poll() is None and processes._started(sleeper.pid):
        pass
    assert name.life() is Life.GONE
    sleeper.wait()
    assert name.life() is Life.GONE


def test_neither_a_reused_number_nor_another_boot_is_the_same_process(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of(sleeper)
    assert replace(name, started="1").life() is Life.GONE
    assert replace(name, boot="another/1").life() is Life.GONE
    assert replace(name, boot="another/1", host="elsewhere").life() is Life.ELSEWHERE


@pytest.mark.parametrize("text", ["", "4711", "host boot pid started", "a b 1"])
def test_what_is_no_name_of_a_process_is_none(text: str) -> None:
    assert ProcessName.parse(text) is None


def count(proc: Path, **threads: tuple[int, int]) -> None:
    """What a kernel says of the threads of this process: nanoseconds that each ran, and that it waited."""
    for thread, (ran, waited) in threads.items():
        folder = proc / "self" / "task" / thread.removeprefix("t")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"{ran} {waited} 7\n")


def test_the_time_that_others_took_is_no_time_of_a_quiet_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a forecast that was timed beside other work was four times too long."""
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    count(tmp_path, t1=(5_000, 9_000), t2=(100, 0))
    with QuietClock() as clock:
        count(tmp_path, t1=(5_300, 9_500), t2=(200, 150), t3=(100, 850))
    # 300 + 100 + 100 of 500 that they ran and 500 + 150 + 850 that they waited.
    assert clock.share == pytest.approx(500 / 2000)
    assert clock.seconds == pytest.approx(clock.wall / 4) and clock.wall > 0


@pytest.mark.parametrize("after", [{}, {"t1": (5_000, 9_000)}])
def test_where_nothing_is_counted_nothing_is_taken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: dict[str, tuple[int, int]]
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    count(tmp_path, **after)
    with QuietClock() as clock:
        pass
    assert (clock.share, clock.seconds) == (1.0, clock.wall)


def test_a_thread_that_has_ended_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    count(tmp_path, t1=(0, 0), t2=(0, 0))
    with QuietClock() as clock:
        count(tmp_path, t1=(300, 100))
        shutil.rmtree(tmp_path / "self" / "task" / "2")
    assert clock.share == 0.75


def test_this_machine_is_asked_of_its_own_threads() -> None:
    with QuietClock() as clock:
        sum(number * number for number in range(200_000))
    assert 0 < clock.share <= 1 and 0 < clock.seconds <= clock.wall
