"""What stored logits say: the answer of each row and how sure the teacher is of it.

Belongs here: reading rows of the signal as numbers and as labels.
Does not: storing them (signal.py), deciding what may be learned from (verification.py).
"""

import numpy as np
import polars as pl

from stillhouse.arrays import Float32Array, FloatArray
from stillhouse.errors import StillhouseError
from stillhouse.tasks.task import Task


def logits_of(rows: pl.DataFrame) -> Float32Array:
    """Stack the outputs of signal rows, shape (rows, outputs)."""
    return np.array(rows["logits"].to_list(), dtype=np.float32)


def outputs_for(rows: pl.DataFrame, task: Task) -> FloatArray:
    """The outputs of signal rows, which have to be those of a task.

    Args:
        rows: with `logits`; may be empty.
        task: what the outputs answer.

    Returns:
        Shape (rows, outputs).

    Raises:
        StillhouseError: if an answer has more or fewer outputs than the task has.
    """
    widths = rows["logits"].list.len().unique().sort().to_list()
    if widths not in ([], [len(task.names)]):
        raise StillhouseError(
            f"answers of {' and '.join(map(str, widths))} outputs",
            where="the teacher's signal",
            expected=f"one for each of the teacher's {len(task.names)}",
            do="Ask the teacher again: what is stored is of another model.",
        )
    return logits_of(rows).astype(np.float64).reshape(rows.height, len(task.names))


def with_answers(rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Add `answer`, as a label is written, and `confidence`, its probability in (0, 1]; null where there is none.

    Args:
        rows: with `logits`, null where a prompt was not answered; may be empty.
        task: what the outputs answer.

    Raises:
        StillhouseError: if an answer has more or fewer outputs than the task has.
    """
    answered = rows.with_row_index("row").filter(pl.col("logits").is_not_null())
    logits = outputs_for(answered, task)
    sure = task.confidence(logits)
    said = answered.select(
        "row",
        pl.Series("answer", task.written(task.answers(logits)), dtype=pl.String),
        pl.Series("confidence", [None] * len(logits) if sure is None else sure, dtype=pl.Float64),
    )
    return rows.with_row_index("row").join(said, on="row", how="left", maintain_order="left").drop("row")
