"""The checkpoint of a training under way, from which a killed run goes on to the same bits.

Belongs here: what a checkpoint holds, writing it atomically, telling whose it is.
Does not: the loop (training.py), finished models (network.py).
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One pass: mean training loss per example, and the validation part (None when there is none)."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    validation_accuracy: float | None


@dataclass
class Progress:
    """Where a run is; everything a resumed run needs beside weights, moments and the random state."""

    step: int = 0
    epoch_loss: float = 0.0
    epochs: list[EpochReport] = field(default_factory=list)


def save_checkpoint(
    folder: Path, run: str, state: Progress, trained: dict[str, Any], optimizer: "torch.optim.Optimizer"
) -> None:
    """Write everything a resumed run needs into one safetensors file (its JSON rides in the header), atomically."""
    import torch
    from safetensors.torch import save_file

    tensors = {"random_state": torch.get_rng_state()}
    for name, weight in trained.items():
        moments = optimizer.state[weight]
        tensors |= {f"weight.{name}": weight.detach()}
        tensors |= {f"{key}.{name}": moments[key] for key in ("exp_avg", "exp_avg_sq", "step")}
    epochs = [
        [epoch.epoch, epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy] for epoch in state.epochs
    ]
    written = {"run": run, "step": state.step, "epoch_loss": state.epoch_loss, "epochs": epochs}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_FILE}.tmp"
    save_file(tensors, temporary, metadata={"state": json.dumps(written)})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(folder / _FILE)


def resume(folder: Path, run: str, trained: dict[str, Any], optimizer: "torch.optim.Optimizer") -> Progress:
    """Continue from the folder's checkpoint if it belongs to this very run, else start anew."""
    import torch
    from safetensors import safe_open

    path = folder / _FILE
    if not path.is_file():
        return Progress()
    with safe_open(path, framework="pt") as file:
        written = json.loads(file.metadata()["state"])
        if written["run"] != run:
            return Progress()
        for name, weight in trained.items():
            weight.data.copy_(file.get_tensor(f"weight.{name}"))
            optimizer.state[weight] = {
                key: file.get_tensor(f"{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")
            }
        torch.set_rng_state(file.get_tensor("random_state"))
    return Progress(written["step"], written["epoch_loss"], [EpochReport(*epoch) for epoch in written["epochs"]])


def discard_checkpoint(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    for name in (_FILE, f".{_FILE}.tmp"):
        (folder / name).unlink(missing_ok=True)
