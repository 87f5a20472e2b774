"""How much memory training or asking a model will take, estimated before anything is spent.

Belongs here: the estimates, and the memory that there is.
Does not: measuring what serving takes (evaluation/measures/footprint.py), deciding (checks/contract.py).
"""

import json
import os
from pathlib import Path

from stillhouse.device import Device
from stillhouse.models.family import sizes_of

# Weights, gradients and the two moments of Adam, four bytes each.
_BYTES_PER_PARAMETER = 16
_BYTES_PER_ACTIVATION = 4
_RUNTIME_GB = 0.45
"""Python with torch, transformers and our own code, before any weights; measured, as resident memory."""
CONTEXT_BYTES = 1 << 30
"""Keys, values and logits of one pass of a language model on a CPU: as many texts are read at once as they hold."""


def training_memory_gb(model: Path, parameters: int, *, batch_size: int, tokens: int) -> float:
    """Estimate the memory that fine-tuning an encoder in fp32 with Adam takes.

    Activations of a layer by Korthikanti et al. 2022 (arXiv:2205.05198, equation 1): s b h (34 + 5 a s / h) bytes in
    half precision, twice as many here; and the float32 embeddings and logits are small beside them. Of MiniLM-L6 with
    16 to 32 texts of 64 to 256 tokens, trained with and without its embeddings, the peak that was measured is 0.92 to
    1.14 times this; tests/stillhouse/models/test_memory.py measures one of them.

    Args:
        model: folder with config.json.
        parameters: number of weights.
        batch_size: texts in a step.
        tokens: longest text.

    Returns:
        GB of 1e9 bytes.
    """
    path = model / "config.json"
    sizes = sizes_of(json.loads(path.read_text("utf-8")), str(path))
    for_each_layer = tokens * batch_size * sizes.width * (34 + 5 * sizes.heads * tokens / sizes.width)
    activations = for_each_layer * sizes.layers
    return _RUNTIME_GB + float(parameters * _BYTES_PER_PARAMETER + activations * _BYTES_PER_ACTIVATION / 2) / 1e9


def asking_memory_gb(parameters: int, *, bytes_a_weight: int) -> float:
    """Estimate the memory that asking a model on a CPU takes, what a language model keeps of its texts included.

    Args:
        parameters: number of weights.
        bytes_a_weight: 4 in float32, 2 in bfloat16.

    Returns:
        GB of 1e9 bytes.
    """
    return _RUNTIME_GB + (parameters * bytes_a_weight + CONTEXT_BYTES) / 1e9


def states_gb(rows: int, layers: int, width: int) -> float:
    """Memory that the states of texts after some layers take in a training, in GB of 1e9 bytes.

    Three copies are there at one time: as they are asked, as rows, and as what is learned from.

    Args:
        rows: number of texts.
        layers: number of layers.
        width: numbers in a state.
    """
    return 3 * 4 * rows * layers * width / 1e9


def memory_gb(device: Device) -> float:
    """Memory that a training on a device can have, in GB of 1e9 bytes.

    Args:
        device: of a CUDA device what is free of the card now, and what this process holds of it; else all of the
            machine's, which a CPU and `mps` share.
    """
    if device.kind != "cuda":
        return machine_memory_gb()
    import torch

    free, _ = torch.cuda.mem_get_info(device.name)
    return float(free + torch.cuda.memory_reserved(device.name)) / 1e9


def machine_memory_gb() -> float:
    """Memory of this machine in GB of 1e9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
