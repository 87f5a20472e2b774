"""What an encoder forgets while it is fine-tuned: which texts it finds alike, before and after.

Belongs here: the pairs of texts, and how many of them the fine-tuned encoder still finds alike.
Does not: training it (stillhouse/models/training.py), how much may be forgotten (checks/teacher.py).

Fine-tuning draws the texts of a class together; whoever searches, clusters or removes near duplicates with the same
encoder afterwards loses what it distinguished within a class. Pairs come from the recipe's own texts, so that no other
data is needed: each text and the one that the encoder as published finds most alike.
"""

import numpy as np
from pydantic import Field

from stillhouse.arrays import Float32Array, FloatArray
from stillhouse.base import Record

NEAREST = 10
"""Among how many of the fine-tuned encoder's nearest texts the neighbour has to be, so that a near tie is no loss."""
TEXTS = 500
"""Asked at most: the 95 % interval of a share is then at most 0.09 wide."""
FEWEST = 5 * NEAREST
"""Texts below which so many are among the nearest by chance that the share says nothing."""


class NeighboursKept(Record):
    """How many texts have their neighbour near them after fine-tuning."""

    texts: int = Field(description="Texts that were asked before and after.")
    kept: int = Field(description=f"Of these whose nearest before is among the {NEAREST} nearest after.")


def neighbours_kept(before: Float32Array, after: Float32Array) -> NeighboursKept:
    """Count the texts whose nearest neighbour before is still near.

    Args:
        before: pooled states of the encoder as published, shape (texts, width).
        after: those of the fine-tuned one, shape (texts, width).

    Returns:
        The counts. By chance a neighbour is kept in `NEAREST` of `texts - 1` cases.
    """
    alike = _cosines(before)
    neighbour = alike.argmax(axis=1)
    alike = _cosines(after)
    # What is as near counts as nearer: an encoder to which all texts are one has kept nobody's neighbour.
    nearer = (alike >= np.take_along_axis(alike, neighbour[:, None], axis=1)).sum(axis=1) - 1
    return NeighboursKept(texts=len(before), kept=int((nearer < NEAREST).sum()))


def _cosines(states: Float32Array) -> FloatArray:
    """Shape (texts, texts); a text is not its own neighbour."""
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    directions = np.asarray(states, np.float64) / np.where(lengths > 0, lengths, 1)
    alike = np.asarray(directions @ directions.T)
    np.fill_diagonal(alike, -np.inf)
    return alike
