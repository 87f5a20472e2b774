"""Whether personal data went further than the file of rows.

Belongs here: looking again for what was redacted, and for columns that name people.
Does not: what personal data looks like, and redacting it (stillhouse/data/privacy.py).
"""

import polars as pl

from checks.gate import Finding, GateContext, gate, none_of
from stillhouse.data.cleaning import normalise
from stillhouse.data.privacy import KINDS, Redacted, personal_columns, personal_values, redact
from stillhouse.stages.facts import PromptFacts


@gate("a teacher that has read an address has it, and so has whoever runs it", waivable=False)
def no_personal_data_is_left(context: GateContext) -> Finding:
    """The same search that redacted texts finds no more in them, in rejects, labels and columns that travel along."""
    prompts, recipe = context.frame("prompts"), context.recipe
    texts = pl.concat([prompts["text"], context.frame("rejects")["text"]])
    values = {recipe.data.text: _rows_by_kind(redact(texts))} | {
        name: personal_values(prompts.select(normalise(pl.col(column)))[column])
        for name, column in {recipe.data.label_column: "label", **{name: name for name in recipe.kept_columns}}.items()
        if column in prompts.columns
    }
    detail = [
        f"column {name!r} holds {', '.join(f'{kind} in {count:,} rows' for kind, count in kinds.items())}"
        for name, kinds in values.items()
        if kinds
    ]
    gone = (
        ", ".join(f"{count} {kind}" for kind, count in context.artifact.facts(PromptFacts).redacted.items())
        or "nothing"
    )
    return none_of(
        sum(sum(kinds.values()) for kinds in values.values()),
        f"{'; '.join(detail)}: take it out or hash it where the rows come from"
        if detail
        else f"none of {', '.join(KINDS)} in {len(values)} columns; {gone} was redacted",
        left=[{"column": name, "kind": kind, "rows": n} for name, kinds in values.items() for kind, n in kinds.items()],
    )


@gate("a column that names people goes wherever the rows go")
def no_column_names_people(context: GateContext) -> Finding:
    """By the names of the columns that travel with the rows."""
    personal = personal_columns(context.frame("prompts").columns)
    said = f"personal by name: {', '.join(personal)}" if personal else "no column is personal"
    return none_of(len(personal), said)


def _rows_by_kind(redacted: Redacted) -> dict[str, int]:
    return dict(redacted.found.group_by("kind").len().sort("kind").iter_rows())
