"""How much memory training will take, estimated before anything is spent.

Belongs here: the estimate and the machine's own memory.
Does not: measuring a training (the manifest), deciding (checks/contract.py).
"""

import json
import os
from pathlib import Path

# Weights, gradients and the two moments of Adam, four bytes each.
_BYTES_PER_PARAMETER = 16
_BYTES_PER_ACTIVATION = 4


def training_memory_gb(model: Path, parameters: int, *, batch_size: int, tokens: int) -> float:
    """Estimate the memory that fine-tuning an encoder in fp32 with Adam takes.

    Activations of a layer by Korthikanti et al. 2022 (arXiv:2205.05198, equation 1): s b h (34 + 5 a s / h) bytes in
    half precision, twice as many here; and the float32 embeddings and logits are small beside them.

    Args:
        model: folder with config.json.
        parameters: number of weights.
        batch_size: texts in a step.
        tokens: longest text.

    Returns:
        GB of 1e9 bytes.
    """
    config = json.loads((model / "config.json").read_text())
    hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    activations = tokens * batch_size * hidden * (34 + 5 * heads * tokens / hidden) * layers
    return float(parameters * _BYTES_PER_PARAMETER + activations * _BYTES_PER_ACTIVATION / 2) / 1e9


def machine_memory_gb() -> float:
    """Memory of this machine in GB of 1e9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
