"""What stored logits say: the answer of each row and how sure the teacher is of it.

Belongs here: reading rows of the signal as numbers and as labels.
Does not: storing them (signal.py), deciding what may be learned from (verification.py).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.statistics.calibration import log_softmax
from stillhouse.tasks import single_label


def logits_of(rows: pl.DataFrame) -> npt.NDArray[np.float32]:
    """Stack the logits of signal rows, shape (rows, classes)."""
    return np.array(rows["logits"].to_list(), dtype=np.float32)


def with_answers(rows: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Add `answer`, the label with the largest logit, and `confidence`, its probability in (0, 1].

    Args:
        rows: with `logits`; may be empty.
        labels: class names in the order of the logits.

    Raises:
        StillhouseError: if an answer has more or fewer logits than there are labels.
    """
    widths = rows["logits"].list.len().unique().sort().to_list()
    if widths not in ([], [len(labels)]):
        raise StillhouseError(
            f"answers of {' and '.join(map(str, widths))} classes",
            where="the teacher's signal",
            expected=f"one logit for each of the teacher's {len(labels)} labels",
            do="Ask the teacher again: what is stored is of another model.",
        )
    logits = logits_of(rows).astype(np.float64).reshape(rows.height, len(labels))
    return rows.with_columns(
        pl.Series("answer", [labels[place] for place in single_label.answers(logits)], dtype=pl.String),
        pl.Series("confidence", np.exp(log_softmax(logits).max(axis=1)), dtype=pl.Float64),
    )
