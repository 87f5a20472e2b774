"""Where tensors live: the device that an installation trains and asks its teachers on.

Belongs here: choosing it (STILLHOUSE_DEVICE), what a manifest calls it, the settings with which its sums come out in
one order. Does not: which work goes there (stillhouse/stages/), where a teacher is timed (stages/serving_device.py).

The same order gives the same bits on the same kind of CPU or CUDA device with the same driver, also when it was killed
and went on; between two kinds there is no such promise, and none for mps, which nobody has tried. Nothing here imports
torch for a CPU.
"""

import functools
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    import torch

SETTING = "STILLHOUSE_DEVICE"
DEFAULT = "cpu"
_SPELLING = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
# Without a workspace of one size of its own, cuBLAS adds up in whatever order its streams allow.
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True)
class Device:
    """One device that is there.

    Args:
        name: as torch calls it: `cpu`, `cuda:0`, `mps`.
    """

    name: str = "cpu"

    @property
    def kind(self) -> str:
        """`cpu`, `cuda` or `mps`."""
        return self.name.partition(":")[0]

    @property
    def texts_at_once(self) -> int:
        """Texts of one forward pass: a GPU that gets few of them waits for the next most of the time."""
        return 1024 if self.kind == "cuda" else 64

    @property
    def card(self) -> str:
        """What the maker of a CUDA device calls it."""
        import torch

        return torch.cuda.get_device_name(self.name)

    @property
    def machine(self) -> str:
        """What a manifest calls the machine and this device of it."""
        host = f"{platform.machine()} {platform.system()} python {platform.python_version()}"
        if self.kind == "cpu":
            return host
        import torch

        if self.kind == "mps":
            return f"{host}, mps, torch {torch.__version__}, bits not promised"
        return f"{host}, {self.card}, CUDA {torch.version.cuda}, torch {torch.__version__}"

    def random_states(self) -> "dict[str, torch.Tensor]":
        """The states of all generators that a training on this device draws from, on the CPU."""
        import torch

        states = {"random_state": torch.get_rng_state()}
        if self.kind == "cuda":
            states["random_state.cuda"] = torch.cuda.get_rng_state(self.name)
        return states

    def restore_random_states(self, states: "Mapping[str, torch.Tensor]") -> None:
        """Put the generators back to where `random_states` found them."""
        import torch

        torch.set_rng_state(states["random_state"])
        if self.kind == "cuda":
            torch.cuda.set_rng_state(states["random_state.cuda"], self.name)


CPU = Device()


def setting_of(text: str | None) -> str:
    """A spelling of STILLHOUSE_DEVICE; without one, the CPU.

    Raises:
        StillhouseError: if it is none that we know.
    """
    asked = (text or DEFAULT).strip().lower()
    if not _SPELLING.fullmatch(asked):
        raise StillhouseError(
            f"there is no device {text!r}",
            where=SETTING,
            expected="auto, cpu, cuda, cuda:1 or mps",
            do=f"Correct the variable, or unset it for {DEFAULT}.",
        )
    return asked


@functools.cache
def device_of(setting: str) -> Device:
    """The device that a setting means on this machine; `auto` takes the first CUDA device, else mps, else the CPU.

    Args:
        setting: what `setting_of` let through.

    Raises:
        StillhouseError: if there is no such device.
    """
    if setting == "cpu":
        return CPU
    os.environ.setdefault(*_CUBLAS)  # read when CUDA is first used
    import torch

    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    asked = {"auto": next(iter(found), "cpu"), "cuda": "cuda:0"}.get(setting, setting)
    if asked not in (*found, "cpu"):
        raise StillhouseError(
            f"torch {torch.__version__} finds no {setting} here",
            where=SETTING,
            expected=f"one of {', '.join(['cpu', *found])}",
            do="Install the driver and a build of torch for it, or set `auto` or `cpu`.",
        )
    return Device(asked)
