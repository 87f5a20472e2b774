"""What a file of weights holds, number by number, before anything loads it.

Belongs here: shapes, how many weights there are, whether each is finite. Without torch: to load that takes longer than
the look itself, in every round in which nothing has changed.
Does not: which files make a model, and whether they belong together (weights.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.errors import StillhouseError

_EXPONENTS: dict[str, tuple[np.dtype[np.unsignedinteger], int]] = {
    "F64": (np.dtype("<u8"), 0x7FF0_0000_0000_0000),
    "F32": (np.dtype("<u4"), 0x7F80_0000),
    "F16": (np.dtype("<u2"), 0x7C00),
    "BF16": (np.dtype("<u2"), 0x7F80),
}
"""Of each type of weights, as which integers they are read, and the bits of the exponent: NaN and infinity alone have
all of them (IEEE 754; numpy has no bfloat16)."""


@dataclass(frozen=True)
class Tensors:
    """What was found in a file.

    Attributes:
        shapes: of each tensor, by its name.
        parameters: how many weights there are; integers are none.
    """

    shapes: dict[str, tuple[int, ...]]
    parameters: int


def tensors_in(path: Path) -> Tensors:
    """Read every number of a safetensors file, once in a process while nobody writes to it.

    Raises:
        StillhouseError: if it is absent, cut short or corrupt, holds a weight that is not finite, or is quantised.
    """
    seen = path.stat() if path.exists() else None
    identity = () if seen is None else (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return _read(_File(path, identity))


def corrupt(path: Path, error: Exception) -> StillhouseError:
    """Say of a file that it cannot be read."""
    reason = " ".join(str(error).split())[:200]
    return StillhouseError(
        f"truncated or corrupt ({reason})",
        where=str(path),
        expected="a complete file",
        do="Fetch the file again.",
    )


@dataclass(frozen=True)
class _File:
    """A file, the same as long as nobody writes to it: the kept weights of a recipe are looked at by several stages."""

    path: Path = field(compare=False)
    identity: tuple[int, ...]


@lru_cache(maxsize=8)
def _read(file: _File) -> Tensors:
    from safetensors import SafetensorError, safe_open

    shapes, parameters = dict[str, tuple[int, ...]](), 0
    try:
        with safe_open(file.path, framework="np"):  # refuses a header that does not fit the file
            pass
    except (SafetensorError, FileNotFoundError) as error:
        raise corrupt(file.path, error) from error
    for name, kind, shape, content in _tensors_of(file.path):
        shapes[name] = shape
        if kind.startswith(("F", "BF")):
            parameters += _count_finite(name, kind, content, file.path)
    return Tensors(shapes, parameters)


def _tensors_of(path: Path) -> Iterator[tuple[str, str, tuple[int, ...], npt.NDArray[np.uint8]]]:
    """Name, type, shape and bytes of each tensor, under a header that is sound; nothing is copied."""
    content = np.memmap(path, np.uint8, mode="r")
    begin = 8 + int.from_bytes(content[:8].tobytes(), "little")
    for name, tensor in json.loads(content[8:begin].tobytes()).items():
        if name != "__metadata__":
            start, end = (begin + offset for offset in tensor["data_offsets"])
            yield name, tensor["dtype"], tuple(tensor["shape"]), content[start:end]


def _count_finite(name: str, kind: str, content: npt.NDArray[np.uint8], path: Path) -> int:
    if kind not in _EXPONENTS:
        raise StillhouseError(
            f"{name} is of type {kind}",
            where=str(path),
            expected=f"weights of type {', '.join(_EXPONENTS)}",
            do="Fetch the weights as they were before they were quantised.",
        )
    integers, exponent = _EXPONENTS[kind]
    bits = content.view(integers)
    if ((bits & bits.dtype.type(exponent)) == exponent).any():
        raise StillhouseError(
            f"{name} holds NaN or infinity",
            where=str(path),
            expected="finite weights",
            do="Fetch the weights again from a source you trust.",
        )
    return len(bits)
