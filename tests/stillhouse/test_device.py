"""The device of an installation: how it is spelled, what is said where there is none, and what a manifest calls it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stillhouse.device import CPU, Device, device_of, setting_of
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (None, "cpu"),
        ("", "cpu"),
        (" CPU ", "cpu"),
        ("auto", "auto"),
        ("cuda", "cuda"),
        ("cuda:1", "cuda:1"),
        ("mps", "mps"),
    ],
)
def test_a_device_is_spelled_as_torch_spells_it(text: str | None, setting: str) -> None:
    assert setting_of(text) == setting


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cpu:1", "cuda 1", "0"])
def test_another_spelling_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(StillhouseError, match="expected auto, cpu, cuda, cuda:1 or mps"):
        setting_of(text)


@without_gpu
@pytest.mark.parametrize("setting", ["cuda", "cuda:3", "mps"])
def test_a_device_that_is_not_there_is_not_replaced_in_silence(setting: str) -> None:
    with pytest.raises(StillhouseError, match=f"finds no {setting} here; expected one of cpu"):
        device_of(setting)


@without_gpu
def test_auto_takes_the_cpu_where_there_is_nothing_else() -> None:
    assert device_of("auto") == device_of("cpu") == CPU


def test_the_installation_says_which_and_its_processes_inherit_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("STILLHOUSE_DEVICE", raising=False)
    assert BuildStore(Home.from_environment()).device == CPU
    monkeypatch.setenv("STILLHOUSE_DEVICE", "CUDA:7")
    home = Home.from_environment()
    assert home.device == home.environment()["STILLHOUSE_DEVICE"] == "cuda:7"
    monkeypatch.setenv("STILLHOUSE_DEVICE", "gpu")
    with pytest.raises(StillhouseError, match="STILLHOUSE_DEVICE: there is no device 'gpu'"):
        Home.from_environment()


def test_a_manifest_says_nothing_of_torch_for_a_cpu() -> None:
    assert CPU.machine == f"{platform.machine()} {platform.system()} python {platform.python_version()}"
    assert (Device("cuda:1").kind, Device("mps").kind, CPU.kind) == ("cuda", "mps", "cpu")


def test_a_cpu_is_found_without_importing_torch() -> None:
    code = (
        "import sys; from stillhouse.device import device_of; print(device_of('cpu').machine, 'torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert shown.stdout.strip() == f"{CPU.machine} False"
