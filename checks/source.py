"""Gates on the source: did all of a batch arrive, is it known where it comes from, can anything be learned from it?"""

from datetime import UTC, datetime

import polars as pl

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, offenders, passed_if, share_at_most
from stillhouse.data.leakage import future_rows
from stillhouse.data.provenance import dated
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import count_reasons
from stillhouse.recipe.data import GOLDEN_FILE
from stillhouse.stages.source import SourceFacts
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks import label_names

# UTF-8 that was read as Latin-1 or Windows-1252, and what is left where a byte could not be decoded at all.
GARBLED = (
    "[\u00c2-\u00c5][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013-\u203a\u20ac\u2122]|\u00e2\u20ac|\ufffd"
)


@gate("lines that are lost while a file is read are never missed later")
def every_record_is_a_row_or_a_reject(context: GateContext) -> Finding:
    """What was counted while reading is what is there."""
    rows, rejects = context.frame("rows").height, context.frame("rejects").height
    records = context.artifact.facts(SourceFacts).records
    return passed_if(
        rows + rejects == records,
        f"{records:,} records = {rows:,} rows + {rejects:,} rejects",
        observed=rows + rejects,
        limit=records,
    )


@gate("a parser that makes one text of forty rows rejects none of them, and every other gate sees what it made")
def record_count_matches_the_parsed_rows(context: GateContext) -> Finding:
    """Counted from lines and quotes, or from the file's own account, and not by the parser that gave the rows."""
    facts = context.artifact.facts(SourceFacts)
    counted, parsed = facts.counted, facts.records
    if counted is None:
        return Finding(Verdict.INCONCLUSIVE, f"the records were not counted; {parsed:,} were parsed")
    return passed_if(
        parsed == counted,
        f"{parsed:,} records were parsed, and {counted:,} are in the file"
        + ("" if parsed == counted else "; see `quoting`, `separator` and `format` in the recipe"),
        observed=parsed,
        limit=counted,
    )


@gate("a file in another format or encoding than the recipe says reads as noise")
def nearly_every_line_was_readable(context: GateContext) -> Finding:
    """At most one in a hundred lines of a batch may be unreadable."""
    unreadable, records = context.artifact.facts(SourceFacts).unreadable, context.artifact.facts(SourceFacts).records
    limit = context.recipe.limits.unreadable_lines_at_most
    return share_at_most(
        unreadable,
        records,
        limit,
        f"{unreadable:,} of {records:,} lines unreadable ({unreadable / records:.1%}), limit {limit:.0%}",
        unreadable=offenders(context.frame("rejects")),
    )


@gate("garbled text trains a student on an encoding error, and its users do not type that")
def few_texts_are_garbled(context: GateContext) -> Finding:
    """Marks of a wrong encoding."""
    rows = context.frame("rows").filter(pl.col("text").is_not_null())
    garbled = rows.filter(pl.col("text").str.contains(GARBLED))
    share = garbled.height / max(rows.height, 1)
    limit = context.recipe.limits.garbled_texts_at_most
    return share_at_most(
        garbled.height,
        rows.height,
        limit,
        f"{garbled.height:,} of {rows.height:,} texts look garbled ({share:.1%}), limit {limit:.0%}; "
        "see `encoding` in the recipe",
        garbled=offenders(garbled.select("text")),
    )


@gate("with one class there is nothing to tell apart, and with no labels nothing to evaluate against")
def two_classes_are_labelled(context: GateContext) -> Finding:
    """Asked of the rows that feed the golden set: of the recipe's own source, or of its golden file."""
    rows, golden = context.frame("rows"), context.recipe.data.golden
    if not context.is_base:
        return passed_if(True, f"{rows['label'].count():,} labelled rows; a later batch needs none")
    labels = (rows if golden is None else rows.filter(pl.col("batch") == GOLDEN_FILE))["label"].drop_nulls()
    if context.recipe.gives_numbers or context.recipe.gives_records:
        found, what = labels.n_unique(), "numbers" if context.recipe.gives_numbers else "records"
        return passed_if(
            found >= 2, f"{len(labels):,} labelled rows of {found:,} different {what}", observed=found, limit=2
        )
    classes = len(label_names(context.recipe.data.answer, labels))
    return passed_if(classes >= 2, f"{len(labels):,} labelled rows of {classes} classes", observed=classes, limit=2)


@gate("golden rows that are lost on the way are seldom any rows, and nobody misses them among those of the source")
def nearly_every_golden_row_can_judge(context: GateContext) -> Finding:
    """Of a golden file of its own: rows that are unreadable, garbled, without provenance, or without a label."""
    golden, limit = context.recipe.data.golden, context.recipe.limits.rejected_rows_at_most
    if golden is None or not context.is_base:
        return passed_if(True, "asked of the base batch, where data.golden names a file")
    rows, rejects = (context.frame(name).filter(pl.col("batch") == GOLDEN_FILE) for name in ("rows", "rejects"))
    garbled = pl.col("text").str.contains(GARBLED).fill_null(False)
    reasons = {
        **dict(count_reasons(rejects).iter_rows()),
        "without a label": rows.filter(pl.col("label").is_null() & ~garbled).height,
        "garbled": rows.filter(garbled).height,
    }
    found = {reason: number for reason, number in reasons.items() if number}
    lost, records = sum(found.values()), rows.height + rejects.height
    why = ", ".join(f"{number:,} {reason}" for reason, number in found.items())
    advice = "" if lost <= limit * records else f". Label them, take them out, or see how {golden} is read"
    return share_at_most(
        lost,
        records,
        limit,
        f"{lost:,} of {records:,} rows of the golden file cannot judge"
        + (f" ({why}): {lost / max(records, 1):.1%}, limit {limit:.0%}{advice}" if lost else ""),
        rejected=offenders(rejects),
    )


@gate("rows whose origin, date and licence nobody knows have to be taken out again when somebody asks")
def nearly_every_row_has_provenance(context: GateContext) -> Finding:
    """What the recipe asks of each row; rows without it are quarantined, and many of them mean a wrong export."""
    facts = context.artifact.facts(SourceFacts)
    quarantined, readable = facts.quarantined, facts.records - facts.unreadable
    share = quarantined / max(readable, 1)
    limit = context.recipe.limits.rows_without_provenance_at_most
    if facts.rows == 0:
        return passed_if(False, f"{quarantined:,} of {readable:,} rows quarantined, so none is left")
    return share_at_most(
        quarantined,
        readable,
        limit,
        f"{quarantined:,} of {readable:,} rows quarantined ({share:.0%}), limit {limit:.0%}",
        reasons=offenders(count_reasons(context.frame("rejects"))),
    )


@gate("a secret that a teacher has read cannot be taken back")
def no_row_is_above_its_privacy_class(context: GateContext) -> Finding:
    """Counted again in the rows that go on."""
    may_see = context.recipe.data.provenance.teacher_may_see
    above = context.frame("rows").filter(~pl.col("privacy_class").is_in(may_see))
    classes = [quoted(name) for name in above["privacy_class"].unique().sort().head(5)]
    return none_of(
        above.height,
        f"{above.height:,} rows of class {', '.join(classes)}" if classes else f"all {', '.join(may_see)}",
    )


@gate("a row from the future means a wrong clock, time zone or test row")
def no_row_is_dated_in_the_future(context: GateContext) -> Finding:
    """Where the recipe names a date column; a day is allowed for time zones."""
    column = context.recipe.data.provenance.date_column
    if column is None:
        return passed_if(True, "the recipe names no date column")
    rows = context.frame("rows")
    dates = rows.select(dated(pl.col(column)).alias("date"))["date"]
    late = rows.filter(future_rows(dates, now=datetime.now(UTC)))
    return none_of(
        late.height, f"{late.height:,} rows are dated after today", late=offenders(late.select(column, "text"))
    )


GATES = gates_of_module(__name__)
