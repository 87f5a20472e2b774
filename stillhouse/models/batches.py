"""Token ids on the device that reads them, and the batches cut out of them.

Belongs here: texts of many lengths in one piece of memory, padding them where they lie.
Does not: encoding and what runs without torch (tokenization.py), the order that rows are learned in (training.py).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from stillhouse.arrays import IntArray
from stillhouse.device import CPU, Device


class TokenTable:
    """The token ids of n texts, one after the other, which take the memory of their tokens and of no padding.

    Args:
        ids: of each text.
        pad_id: what batches are filled up with.
        longest: tokens of the widest batch.
        device: where they are read.
    """

    def __init__(self, ids: Sequence[Sequence[int]], pad_id: int, longest: int, device: Device = CPU) -> None:
        self.lengths = np.array([len(row) for row in ids], np.int64)
        self.device, self.longest = device, longest
        self._pad_id = pad_id
        flat = np.fromiter(chain.from_iterable(ids), np.int64, count=int(self.lengths.sum()))
        starts = np.cumsum(self.lengths) - self.lengths
        self._flat, self._starts, self._lengths, self._places = (
            torch.from_numpy(array).to(device.name) for array in (flat, starts, self.lengths, np.arange(longest))
        )

    def width(self, rows: IntArray) -> int:
        """Tokens of the longest of some rows."""
        return int(self.lengths[rows].max())

    def padded(self, rows: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Cut out rows and fill them up.

        Args:
            rows: shape (k,), on the device.
            width: tokens of the batch, at least those of its longest row.

        Returns:
            Token ids and attention mask, each of shape (k, width), int64.
        """
        places = self._places[:width]
        inside = places < self._lengths[rows].unsqueeze(1)
        at = (self._starts[rows].unsqueeze(1) + places).clamp_(max=len(self._flat) - 1)
        return torch.where(inside, self._flat[at], self._pad_id), inside.long()
