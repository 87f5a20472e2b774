"""Whether it is known of a row where it comes from, and whether the teacher may see it.

Belongs here: quarantine of rows without date, right or privacy class, and of rows that must not be shown.
Does not: personal data inside a text (privacy.py), whether too many rows were quarantined (checks/).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from stillhouse.data.rejects import rejected

if TYPE_CHECKING:
    from stillhouse.recipe import ProvenanceSpec


@dataclass(frozen=True)
class Traced:
    """Rows in two parts that together are the input.

    Args:
        rows: the rows whose provenance is whole, with `privacy_class` and `row_kind` (`real` or `synthetic`).
        rejects: `text`, `batch`, `reason`; the text is kept out where the teacher may not see it.
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
    no = pl.lit(False)
    fault = (
        pl.when(dated(pl.col(date)).is_null() if date else no)
        .then(pl.lit("no date"))
        .when(pl.col(rights).is_null() if rights else no)
        .then(pl.lit("no rights"))
        .when(~pl.col(rights).is_in(spec.rights_allowed) if rights else no)
        .then(pl.lit("rights do not allow training"))
        .when(privacy_class.is_null())
        .then(pl.lit("no privacy class"))
        .when(~privacy_class.is_in(spec.teacher_may_see))
        .then(pl.lit("privacy class may not reach the teacher"))
        .when(~row_kind.is_in(["real", "synthetic"]).fill_null(False))
        .then(pl.lit("neither real nor synthetic"))
        .otherwise(pl.lit(None, pl.String))
    )
    traced = rows.with_columns(privacy_class.alias("privacy_class"), row_kind.alias("row_kind"), fault.alias("fault"))
    out = traced.filter(pl.col("fault").is_not_null()).with_columns(
        pl.when(pl.col("fault").str.starts_with("privacy")).then(pl.lit("(withheld)")).otherwise("text").alias("text")
    )
    return Traced(traced.filter(pl.col("fault").is_null()).drop("fault"), rejected(out, pl.col("fault")))


def dated(values: pl.Expr) -> pl.Expr:
    """Read dates or times in ISO 8601; null for what is neither. A zone is not converted: what is asked is a day."""
    spelled = values.str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"\.\d+", "")
    plain = spelled.str.replace(r"(Z|[+-]\d\d:?\d\d)$", "")
    return pl.coalesce(
        plain.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False),
        plain.str.to_datetime("%Y-%m-%d %H:%M", strict=False),
        plain.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
    )
