"""What may be dropped into the drop folder of a recipe, by example.

Belongs here: an example of two lines that the recipe takes in.
Does not: looking at the folder and reading it (stillhouse/data/drop_folder.py, dropped.py).
"""

import csv
from datetime import UTC, datetime
from io import StringIO

from stillhouse.data.declared_labels import named_classes
from stillhouse.data.dialect import Dialect, usual_quoting
from stillhouse.data.sources import ending_of
from stillhouse.recipe.contract import Recipe

CSV = ".csv"
TEXT = "Put the text of one row here"
QUERY = "Put the query of the row here"


def example(recipe: Recipe) -> str:
    """A header and one row of a csv file, with every column that a dropped file has to have.

    It is written as the recipe's own source where that is a csv file, by which a dropped one is read.

    The values are such that the row goes through the gates on provenance; the label is one that the recipe names, and
    empty, which means unlabelled, where it names none.
    """
    values = {recipe.data.text: TEXT}
    if recipe.data.query is not None:
        values[recipe.data.query] = QUERY
    if recipe.data.label is not None:
        values[recipe.data.label] = next(iter(named_classes(recipe).values()), "")
    values |= {column: _value(recipe, column) for column in recipe.kept_columns if column != recipe.data.query}
    data, written = recipe.data, StringIO()
    if ending_of(data.source) != CSV:
        csv.writer(written, lineterminator="\n").writerows([values.keys(), values.values()])
        return written.getvalue()
    separator = data.separator or ","
    dialect = Dialect(separator, data.quoting or usual_quoting(separator), data.columns)
    writer = csv.writer(written, delimiter=separator, quotechar=dialect.quote or '"', lineterminator="\n")
    if data.columns:
        writer.writerow([values.get(column, "") for column in data.columns])
    else:
        writer.writerows([values.keys(), values.values()])
    return written.getvalue()


def encoding(recipe: Recipe) -> str:
    """Of a csv file that is dropped: that of the source where it is one, too."""
    return recipe.data.encoding if ending_of(recipe.data.source) == CSV else "utf-8"


def left_out(recipe: Recipe) -> str:
    """Which columns may be empty or may be missing, in one sentence."""
    label, lacking = recipe.data.label, recipe.data.allow_missing_columns
    unlabelled = f"{label} may be empty: then the row is unlabelled" if label else "no row has a label"
    return unlabelled + (f"; the file may lack {', '.join(lacking)}" if lacking else "")


def _value(recipe: Recipe, column: str) -> str:
    provenance = recipe.data.provenance
    known: dict[str | None, str] = {
        provenance.date_column: datetime.now(UTC).date().isoformat(),
        provenance.rights_column: next(iter(provenance.rights_allowed), "right"),
        provenance.privacy_column: next(iter(provenance.teacher_may_see), "public"),
        provenance.kind_column: "real",
        **{part.column: part.values[0] for part in reversed(recipe.slices)},
    }
    return known.get(column, "value")
