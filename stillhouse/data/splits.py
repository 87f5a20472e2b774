"""Which rows train, validate and evaluate, decided once by content and never again.

Belongs here: the split rule, hiding labels, the digest that locks the golden rows.
Does not: removing copies (cleaning.py, which must come first), whether a split is good enough (checks/).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b, sha256

import numpy as np
import polars as pl

from stillhouse.data.provenance import is_synthetic
from stillhouse.data.rejects import RejectReason, no_rejects, rejected


@dataclass(frozen=True)
class Splits:
    """Prompts with a side, and those that would leak from one side to another; in = prompts + rejected.

    Args:
        prompts: the input's columns and `split`.
        rejects: a reject ledger.
    """

    prompts: pl.DataFrame
    rejects: pl.DataFrame


def assign_splits(
    prompts: pl.DataFrame,
    *,
    golden_share: float,
    validation_share: float,
    key: str,
    group: str | None = None,
) -> Splits:
    """Send each prompt of the base batch to one side by a keyed hash of its id, or of its group.

    The side of a row depends on the row, the key and the shares alone, so it stays as data grows. For the same reason
    no class gets its exact share: then a row could move because of another one (class_rows.py names those with too
    few). Only labelled rows can leave `train`, and no synthetic one: a student is judged by what people ask. With
    `group`, a row that has to train but belongs to a group that is validated or evaluated is rejected; a row without a
    group is a group of its own. Rows of later batches all train (prompt_set.py).

    Args:
        prompts: `prompt_id`, `text`, `label`, `batch`, `group` where one is given, and `row_kind` where it is known.
        golden_share: fraction of the eligible rows that only evaluation sees, in [0, 1).
        validation_share: fraction for validation; what the two leave is trained on.
        key: what the hash is keyed with; another key is another golden set.
        group: column whose equal values must stay on one side.

    Raises:
        ValueError: if a share is negative, or the two are more than 1.
    """
    if min(golden_share, validation_share) < 0 or golden_share + validation_share > 1:
        raise ValueError(f"golden_share {golden_share} and validation_share {validation_share} must be shares of 1")
    draw = keyed_uniform(_kept_together(prompts, group), key=key, purpose="split")
    split = (
        pl.when(pl.col("label").is_null() | is_synthetic(prompts.columns))
        .then(pl.lit("train"))
        .when(draw < golden_share)
        .then(pl.lit("golden"))
        .when(draw < golden_share + validation_share)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )
    sided = prompts.with_columns(split.alias("split"))
    if group is None:
        return Splits(sided, no_rejects())
    held_out = sided.filter(pl.col("split") != "train")[group].drop_nulls().unique()
    leaks = (pl.col("split") == "train") & pl.col(group).is_in(held_out.implode()).fill_null(False)
    return Splits(sided.filter(~leaks), rejected(sided.filter(leaks), RejectReason.GROUP_IS_HELD_OUT))


def hide_labels(prompts: pl.DataFrame, *, share: float, key: str) -> pl.DataFrame:
    """Set the labels of a share of the training rows to null, chosen by a keyed hash of their ids.

    Args:
        prompts: `prompt_id`, `label`, `split`.
        share: fraction of the labelled training rows, in [0, 1].
        key: what the hash is keyed with; may be that of the split, the two draws are independent.

    Returns:
        The input with `label_hidden`, true where a label was taken away; other splits keep theirs.

    Raises:
        ValueError: if the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} must be in [0, 1]")
    chosen = keyed_uniform(prompts["prompt_id"], key=key, purpose="hide") < share
    hidden = (pl.col("split") == "train") & pl.col("label").is_not_null() & chosen
    return prompts.with_columns(hidden.alias("label_hidden")).with_columns(
        pl.when(~pl.col("label_hidden")).then(pl.col("label")).alias("label")
    )


def golden_digest(golden: pl.DataFrame, columns: Collection[str] = ()) -> str:
    """Digest golden rows: their ids and labels, and the columns they are judged by, whatever the order of the rows.

    The prompt set writes it down, and each evaluation computes it again from the rows that it really used.

    Args:
        golden: the golden rows, with `prompt_id` and `label`.
        columns: those that say which slice, group of people or group of rows a row is of.

    Returns:
        SHA-256, as 64 hex digits.
    """
    chosen = ["prompt_id", "label", *sorted(set(columns) - {"prompt_id", "label"})]
    content = golden.select(pl.col(name).cast(pl.String) for name in chosen).sort("prompt_id")
    # JSON quotes every value, so no two different tables give the same bytes.
    return sha256(content.write_ndjson().encode()).hexdigest()


def keyed_uniform(contents: Iterable[str], *, key: str, purpose: str) -> pl.Series:
    """Draw one number in [0, 1) for each content, the same for the same content, key and purpose everywhere.

    Args:
        contents: what to draw by.
        key: of any length.
        purpose: up to 16 bytes; draws for different purposes are independent.
    """
    secret, person = sha256(key.encode()).digest(), purpose.encode()
    drawn = b"".join(blake2b(item.encode(), digest_size=8, key=secret, person=person).digest() for item in contents)
    # 53 bits are what a float holds exactly; all 64 could round up to 1.0.
    return pl.Series("uniform", (np.frombuffer(drawn, dtype=">u8") >> np.uint64(11)) * 2.0**-53, dtype=pl.Float64)


def _kept_together(prompts: pl.DataFrame, group: str | None) -> pl.Series:
    if group is None:
        return prompts["prompt_id"]
    # The letter keeps a group that is spelled like an id apart from that id.
    return prompts.select(pl.coalesce("g" + pl.col(group), "p" + pl.col("prompt_id")).alias("together"))["together"]
