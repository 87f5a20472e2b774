"""The columns of what a teacher said.

Belongs here: their names and types. Does not: who says it (teacher.py), keeping it (signal.py).
"""

import polars as pl

SIGNAL_SCHEMA: dict[str, pl.DataType] = {
    "prompt_id": pl.String(),
    "fingerprint": pl.String(),
    "logits": pl.List(pl.Float32()),
    "embedding": pl.List(pl.Float32()),
    "failure": pl.String(),
    "observed": pl.String(),
    "tokens": pl.Int32(),
}
"""What a teacher said of a prompt: outputs, or why there are none; a state and read tokens where it has such, and which
model a server says has answered."""
ANSWER_SCHEMA: dict[str, pl.DataType] = {**SIGNAL_SCHEMA, "latency_ms": pl.Float32()}
DISAGREEMENT = "disagreement"
"""A further column that ensembles alone have: the share of members that answer otherwise than all together, of
numbers further from that of all together than the tolerance."""
UNHEARD = "unheard"
"""A column that the store alone sees, of ensembles a server of which turned a text away: whether a row is one of those,
and is to be put together again once that member answers."""
RATIONALE = "rationale"
"""A further column that answers from elsewhere may have: why the teacher answered so, in its words."""

PROBABILITIES = "probabilities"
"""Of answers from a file, where it says them: of each label in the task's order, null of those that it does not name.
No column of the signal, which has outputs made of them."""

FLAW = "flaw"
"""Of records in a file: why a reply is none of its text. No column of the signal, which says it in `failure`."""
RECORD = "record"
"""Of records in a file: the words that a reply has. Where they are is asked of each prompt itself: a text with dots and
one with an ellipsis are one prompt, and do not have the same words."""

TOOK: dict[str, pl.DataType] = {"tokens_out": pl.Int64(), "usd": pl.Float64(), "seconds": pl.Float64()}
"""Further columns of teachers that are paid or asked by calls: tokens that were written, what all attempts have cost,
those that failed too, and how long the calls took that answered. Each is there where the teacher has such a thing."""
RAW, MASS, VOTES = "raw", "mass", "votes"
SAID: dict[str, pl.DataType] = {RAW: pl.List(pl.String()), MASS: pl.Float32(), VOTES: pl.List(pl.Int32())}
"""Further columns of what an answer was read from, each where the teacher has such a thing: every reply to the prompt,
with single blanks and without personal data; the probability that was on labels before it was spread over them alone;
of a prompt that was asked several times, how often each label was answered, in the task's order."""
ERROR = "error"
"""A further column of teachers that are asked by calls: of a prompt without an answer, what was said in its place."""


def further_columns(rows: pl.DataFrame) -> list[str]:
    """Which of the columns are there that only some teachers have, and that students or their rows are chosen by."""
    return [name for name in (DISAGREEMENT, RATIONALE) if name in rows.columns]


def columns_of_calls(rows: pl.DataFrame) -> list[str]:
    """Which of the columns are there that say what answers took, what they were read from, and what came in place."""
    return [name for name in (*TOOK, ERROR, *SAID) if name in rows.columns]
