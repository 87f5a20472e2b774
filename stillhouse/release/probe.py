"""What a released model said to a few texts where it was judged, so that a server can see whether it says it there too.

Belongs here: choosing the texts, their answers, and holding a model against them.
Does not: when a server asks (stillhouse/serving/), whether a text may travel (stages/release.py).

An int8 model may answer otherwise on another processor: its kernels round at other places, and older ones saturate.
"""

from collections.abc import Callable, Sequence

import numpy as np

from stillhouse.arrays import BoolArray, Float32Array
from stillhouse.base import Record
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task

PROBE = "probe.json"
"""Its name in a bundle."""
TEXTS = 64
TOLERANCE = 0.05
"""Of a logit: more moves a probability by over 1.25 points (at temperature 1). Beside other texts in one batch, which
nobody calls another model, a logit of an int8 student moved by 0.006."""


class Probe(Record):
    """Texts and the answers to them.

    Args:
        texts: n of them, in their one spelling.
        labels: the answer to each.
        logits: shape (n, classes).
        tolerance: by how much a logit may differ.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    logits: tuple[tuple[float, ...], ...]
    tolerance: float


def probe_of(texts: Sequence[str], logits: Float32Array, task: Task) -> Probe:
    """The first texts that the model is sure enough of: a tie within the tolerance may fall either way elsewhere.

    Args:
        texts: n of them.
        logits: shape (n, classes), what the released model said to them.
        task: what an answer is.
    """
    chosen = np.flatnonzero(_stands(logits, task))[:TEXTS]
    return Probe(
        texts=tuple(texts[index] for index in chosen),
        labels=tuple(task.written(task.answers(logits[chosen]))),
        logits=tuple(tuple(float(value) for value in row) for row in logits[chosen]),
        tolerance=TOLERANCE,
    )


def _stands(logits: Float32Array, task: Task) -> BoolArray:
    """Which answers stay what they are where a logit, or two against each other, move by the tolerance."""
    if logits.shape[1] < 2:
        return np.ones(len(logits), bool)
    if isinstance(task, Extraction):
        return np.asarray(task.margin(logits) > 2 * TOLERANCE)
    moves = 2 * TOLERANCE * np.concatenate([each * np.eye(logits.shape[1], dtype=np.float32) for each in (1, -1)])
    return np.asarray(np.all([task.agree(logits, logits + move) for move in moves], axis=0))


def probe_problems(probe: Probe, ask: Callable[[str], Float32Array], task: Task) -> list[str]:
    """Ask a model the texts of a probe, and say in a line each what differs; nothing where nothing does.

    Args:
        probe: what was said where it was judged.
        ask: from a text to logits of shape (1, classes).
        task: what an answer is.
    """
    if not probe.texts:
        return []
    said = np.concatenate([ask(text) for text in probe.texts])
    labels = task.written(task.answers(said))
    differ = np.array([label != expected for label, expected in zip(labels, probe.labels, strict=True)])
    # Of a number each digit differs elsewhere, and by how much is asked of the output.
    if isinstance(task, NumericScore):
        differ &= ~task.agree(said, np.asarray(probe.logits))
    others = int(differ.sum())
    largest = float(np.abs(said - np.asarray(probe.logits)).max())
    found = []
    if others:
        found.append(f"{others} of {len(labels)} texts of its probe are answered otherwise than where it was judged")
    # Not the other way round: a logit that is no number is beyond any tolerance.
    if not largest <= probe.tolerance:
        found.append(f"a logit differs by {largest:.2g} from where it was judged, more than {probe.tolerance}")
    return found
