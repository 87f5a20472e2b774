"""The checkpoint of a training under way, from which a killed run goes on to the same bits.

Belongs here: what a checkpoint holds, writing it atomically, telling whose it is and whether it is whole.
Does not: the loop (training.py), finished models (network.py).

The header holds a SHA-256 of everything else. A checkpoint that does not fit it (cut, edited, of version 0.1.0) counts
as absent: it is set aside, and the training starts from its beginning. The digest finds accidents; whoever may write to
the state folder could write another one.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.device import Device
from stillhouse.files import make_folder, move_into_place, plain_disk_errors, require_room, set_aside, sync_file

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
    folder: Path,
    run: str,
    state: Progress,
    trained: dict[str, Any],
    optimizer: "torch.optim.Optimizer",
    device: Device,
) -> None:
    """Write everything a resumed run needs into one safetensors file (its JSON rides in the header), atomically.

    Raises:
        StillhouseError: if the disk is full or not writable; the checkpoint before this one is still there.
    """
    from safetensors.torch import save_file

    tensors = device.random_states()
    for name, weight in trained.items():
        moments = optimizer.state[weight]
        tensors |= {f"weight.{name}": weight.detach().cpu()}
        tensors |= {f"{key}.{name}": moments[key].cpu() for key in ("exp_avg", "exp_avg_sq", "step")}
    epochs = [
        [epoch.epoch, epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy] for epoch in state.epochs
    ]
    written = {"run": run, "step": state.step, "epoch_loss": state.epoch_loss, "epochs": epochs}
    state_text = json.dumps(written)
    temporary = folder / f".{_FILE}.tmp"
    with plain_disk_errors(folder):
        make_folder(folder)
        require_room(folder, sum(tensor.nbytes for tensor in tensors.values()))
        save_file(tensors, temporary, metadata={"state": state_text, "digest": _digest(state_text, tensors)})
        sync_file(temporary)
        move_into_place(temporary, folder / _FILE)


def resume(
    folder: Path, run: str, trained: dict[str, Any], optimizer: "torch.optim.Optimizer", device: Device
) -> Progress:
    """Continue from the folder's checkpoint if it is whole and of this very run, else start from the beginning."""
    path = folder / _FILE
    if not path.is_file():
        return Progress()
    found = _read(path)
    if found is None:
        set_aside(path, "is not the checkpoint that was written")
        return Progress()
    written, tensors = found
    if written["run"] != run:
        return Progress()
    for name, weight in trained.items():
        weight.data.copy_(tensors[f"weight.{name}"])
        moments = {key: tensors[f"{key}.{name}"].to(weight.device) for key in ("step", "exp_avg", "exp_avg_sq")}
        optimizer.state[weight] = moments
    device.restore_random_states(tensors)
    return Progress(written["step"], written["epoch_loss"], [EpochReport(*epoch) for epoch in written["epochs"]])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, "torch.Tensor"]] | None:
    """State and tensors of a checkpoint, or None if they are not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError:
        return None
    if header.get("digest") != _digest(header.get("state", ""), tensors):
        return None
    return json.loads(header["state"]), tensors


def _digest(state: str, tensors: dict[str, "torch.Tensor"]) -> str:
    """Digest the state and the name, type, shape and bytes of every tensor."""
    import torch

    digest = hashlib.sha256(state.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def discard_checkpoint(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    for name in (_FILE, f".{_FILE}.tmp"):
        (folder / name).unlink(missing_ok=True)
