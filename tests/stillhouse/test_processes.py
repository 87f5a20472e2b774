"""A process is known for good: neither a reused number nor another boot is taken for it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stillhouse import processes
from stillhouse.processes import Life, ProcessName


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
