"""Whether it is known of a row where it comes from, and whether the teacher may see it.

Belongs here: quarantine of rows without date, right or privacy class, and of rows that must not be shown.
Does not: personal data inside a text (privacy.py), whether too many rows were quarantined (checks/).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from stillhouse.data.rejects import WITHHELD, RejectReason, rejected

if TYPE_CHECKING:
    from stillhouse.recipe.data import ProvenanceSpec

GENERATION = "row_generation"
"""Column of rows whose recipe asks for it: how many models lie between a row and people, 0 if it is real."""


@dataclass(frozen=True)
class Traced:
    """Rows in two parts that together are the input.

    Args:
        rows: the rows whose provenance is whole, with `privacy_class` and `row_kind` (`real` or `synthetic`), and
            GENERATION where the recipe asks for it.
        rejects: a reject ledger; the text is withheld unless the row's class says that the teacher may see it,
            whatever else the row was rejected for.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame


def with_provenance(rows: pl.DataFrame, spec: "ProvenanceSpec") -> Traced:
    """Quarantine the rows of which something is not known that the recipe asks for.

    Args:
        rows: `text`, `batch`, and every column that `spec` names; blank values are null.
        spec: what is asked for.
    """
    date, rights, privacy, kind = spec.date_column, spec.rights_column, spec.privacy_column, spec.kind_column
    privacy_class = pl.col(privacy) if privacy else pl.lit(spec.privacy_class)
    row_kind = pl.col(kind) if kind else pl.lit("real")
    generation = _generation(pl.col(spec.generation_column), row_kind) if spec.generation_column else None
    may_be_shown = privacy_class.is_in(spec.teacher_may_see).fill_null(False)
    no = pl.lit(False)
    fault = (
        pl.when(dated(pl.col(date)).is_null() if date else no)
        .then(pl.lit(RejectReason.NO_DATE.value))
        .when(pl.col(rights).is_null() if rights else no)
        .then(pl.lit(RejectReason.NO_RIGHTS.value))
        .when(~pl.col(rights).is_in(spec.rights_allowed) if rights else no)
        .then(pl.lit(RejectReason.RIGHTS_FORBID.value))
        .when(privacy_class.is_null())
        .then(pl.lit(RejectReason.NO_PRIVACY_CLASS.value))
        .when(~may_be_shown)
        .then(pl.lit(RejectReason.ABOVE_PRIVACY_CLASS.value))
        .when(~row_kind.is_in(["real", "synthetic"]).fill_null(False))
        .then(pl.lit(RejectReason.NEITHER_REAL_NOR_SYNTHETIC.value))
        .when(no if generation is None else generation.is_null())
        .then(pl.lit(RejectReason.NO_GENERATION.value))
        .when(no if generation is None else generation > spec.generations_at_most)
        .then(pl.lit(RejectReason.TOO_MANY_GENERATIONS.value))
        .otherwise(pl.lit(None, pl.String))
    )
    known = {"privacy_class": privacy_class, "row_kind": row_kind, "fault": fault}
    traced = rows.with_columns(**known, **({} if generation is None else {GENERATION: generation}))
    out = traced.filter(pl.col("fault").is_not_null()).with_columns(
        pl.when(may_be_shown).then("text").otherwise(pl.lit(WITHHELD)).alias("text")
    )
    return Traced(traced.filter(pl.col("fault").is_null()).drop("fault"), rejected(out, pl.col("fault")))


def is_synthetic(columns: Collection[str]) -> pl.Expr:
    """Whether a row is synthetic; no row is one where nothing says what they are.

    Args:
        columns: those of the rows.
    """
    return pl.col("row_kind") == "synthetic" if "row_kind" in columns else pl.lit(False)


def without_secrets(unreadable: pl.DataFrame, spec: "ProvenanceSpec") -> pl.DataFrame:
    """Withhold the text of records that could not be read, where the class of each row stands in the row itself.

    Args:
        unreadable: a reject ledger; place and reason of a record stay, so that it can be found in its file.
        spec: what is asked for.
    """
    if spec.privacy_column is None and spec.privacy_class in spec.teacher_may_see:
        return unreadable
    return unreadable.with_columns(pl.lit(WITHHELD).alias("text"))


def _generation(written: pl.Expr, row_kind: pl.Expr) -> pl.Expr:
    """How many models lie between a row and people; null where that is not said, or does not go with its kind."""
    number = pl.when(row_kind == "real").then(written.fill_null("0")).otherwise(written).cast(pl.Int64, strict=False)
    return pl.when(pl.when(row_kind == "real").then(number == 0).otherwise(number >= 1)).then(number)


def dated(values: pl.Expr) -> pl.Expr:
    """Read dates or times in ISO 8601; null for what is neither. A zone is not converted: what is asked is a day."""
    spelled = values.str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"\.\d+", "")
    plain = spelled.str.replace(r"(Z|[+-]\d\d:?\d\d)$", "")
    return pl.coalesce(
        plain.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False),
        plain.str.to_datetime("%Y-%m-%d %H:%M", strict=False),
        plain.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
    )
