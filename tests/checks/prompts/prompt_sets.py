"""Prompt sets that are made by hand, for gates to look at.

Belongs here: rows, the artifact of a batch, and what it was made from.
Does not: an artifact of any other stage (tests/checks/hand_made.py).
"""

from types import SimpleNamespace
from typing import Any

import polars as pl

from tests.checks.hand_made import artifact

KIND = {"name": "kind_a", "column": "kind", "values": ["a"], "critical": True}
OTHER_KIND = {"name": "kind_b", "column": "kind", "values": ["b", "c"], "critical": False}


def rows(texts: list[str], split: str | list[str] = "train", **columns: Any) -> pl.DataFrame:
    filled = {"label": None, "kind": "a", "batch": "base", **columns}
    ids = [text.casefold() for text in texts]
    frame = pl.DataFrame({"prompt_id": ids, "text": texts}, schema={"prompt_id": pl.String, "text": pl.String})
    columns_of = {name: value if isinstance(value, list) else pl.lit(value) for name, value in filled.items()}
    return frame.with_columns(
        split=pl.Series(split) if isinstance(split, list) else pl.lit(split),
        **{n: pl.Series(v) if isinstance(v, list) else v.cast(pl.String) for n, v in columns_of.items()},
    )


def many(count: int, split: str = "golden", letter: str = "t", **columns: Any) -> pl.DataFrame:
    return rows([f"{letter} {number}" for number in range(count)], split, **columns)


def prompts(frame: pl.DataFrame, *reasons: str, batch: str = "base", **facts: Any) -> Any:
    rejects = pl.DataFrame(
        {"text": ["t"] * len(reasons), "reason": list(reasons)}, schema_overrides={"reason": pl.String}
    )
    return artifact(SimpleNamespace(**facts), {"prompts": frame, "rejects": rejects}, batch=batch)


def base(frame: pl.DataFrame) -> dict[str, Any]:
    """The base batch that a later one is held against."""
    return {"prompts": prompts(frame)}


def source(count: int, **frames: pl.DataFrame) -> dict[str, Any]:
    return {"source": artifact(frames={"rows": many(count), **frames}, stage="source")}
