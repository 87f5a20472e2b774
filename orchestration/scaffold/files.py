"""How the files of a new recipe are named and read, where nobody has said it.

Belongs here: addresses, and the format, separator and quotes that a file is found to have.
Does not: parsing it (stillhouse/data/), what its rows look like (remarks.py).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestration.scaffold.template import scalar
from stillhouse.addresses import holds_credentials
from stillhouse.data.advice import SettingError
from stillhouse.data.dialect import TAB, Quoting, usual_quoting
from stillhouse.data.places import find_places, opened
from stillhouse.data.quoting import quoted
from stillhouse.data.sniffing import sniffed_quoting, sniffed_separator
from stillhouse.data.sources import RowColumns, RowFormat, format_of, read_rows, usual_separator
from stillhouse.data.table import Format, UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersFormat, AnswersSpec
from stillhouse.recipe.data import Separator

_NO_COLUMN = "\0"


@dataclass(frozen=True)
class Reading:
    """What somebody says of a file of rows; None and nothing where it has to be looked at.

    Args:
        format: of the file.
        encoding: of its text.
        separator: between the fields of csv.
        quoting: around the fields of csv.
        columns: names of the columns of csv without a header.

    Raises:
        StillhouseError: if the separator is none that a recipe can have.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    quoting: Quoting | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Read a separator as the recipe will, since the file is read before it is written."""
        try:
            object.__setattr__(self, "separator", TypeAdapter(Separator | None).validate_python(self.separator))
        except ValidationError as error:
            raise StillhouseError(
                f"{quoted(self.separator or '')!r} is not a separator",
                where="--separator",
                expected="one character other than a quote, or `tab`",
                do="Leave it out: it is looked for in the file.",
            ) from error

    @property
    def format_of_rows(self) -> RowFormat:
        """How a file is read of which this is said."""
        return RowFormat(
            self.format, self.encoding, separator=self.separator, quoting=self.quoting, header=self.columns
        )


NOTHING_SAID = Reading()


def address(given: str) -> str:
    """An address as it leads from anywhere.

    Raises:
        StillhouseError: if a secret is in it, or bytes that are no UTF-8.
    """
    require_utf8(given)
    uri = given if "://" in given else str(Path(given).expanduser().resolve())
    if holds_credentials(uri):
        raise StillhouseError(
            "a password, key or signature is in the address, and a recipe ships with every release",
            where=uri,
            expected="an address without it",
            do="Give it by the environment or fsspec's configuration (docs/architecture.md, What goes out).",
        )
    return uri


def as_seen_from(root: Path, uri: str) -> str:
    """An address as a recipe below a folder names it: what is inside the folder from there."""
    inside = "://" not in uri and Path(uri).is_relative_to(root)
    return str(Path(uri).relative_to(root)) if inside else uri


def looked_at(uri: str, said: Reading, wanted: list[str]) -> Reading:
    """Look at the first file for what was not said of it; what is usual by its name stays unsaid."""
    place = find_places(uri, None, said.encoding)[0]
    if format_of(place, said.format) != "csv":
        return said
    separator = said.separator or sniffed_separator(place, wanted, said.columns)
    quoting = said.quoting or sniffed_quoting(place, separator, said.columns)
    usual = None if separator == usual_separator(place) else separator
    return replace(said, separator=usual, quoting=None if quoting == usual_quoting(separator) else quoting)


def lines_of(reading: Reading) -> Iterator[str]:
    """The lines of a recipe that say how its rows are read, where that is not the usual."""
    if reading.format:
        yield f"format: {reading.format}"
    if reading.encoding != "utf-8":
        yield f"encoding: {scalar(reading.encoding)}"
    if reading.separator:
        yield f"separator: {scalar(reading.separator) if reading.separator != TAB else 'tab'}"
    if reading.quoting:
        yield f"quoting: {reading.quoting}"
    if reading.columns:
        yield f"columns: [{', '.join(map(scalar, reading.columns))}]"


def answers_in(uri: str, text: str, label: str) -> AnswersSpec:
    """How a file of answers is read: what it looks like, by the first line of JSON lines, and of a table its columns.

    Args:
        uri: of the file.
        text: what the column of texts is called in the rows, and may be called here.
        label: likewise that of the labels, which are answers here.

    Raises:
        StillhouseError: if it is a table, and nothing says which of its columns are text and answer.
    """
    format = _format_of_answers(uri)
    if format is not AnswersFormat.TABLE:
        return AnswersSpec(format=format)
    usual, columns = AnswersSpec(), columns_of(uri, label, RowFormat())
    of_text = next((name for name in (usual.text_path, text) if name in columns), None)
    of_answer = next((name for name in (usual.answer_path, label) if name in columns), None)
    others = [name for name in columns if name not in (of_text, of_answer)]
    if len(others) == 1:  # what is left of two is the other one
        of_text, of_answer = of_text or others[0], of_answer or others[0]
    if of_text is None or of_answer is None or of_text == of_answer:
        names = (usual.answer_path, label) if of_text is not None else (usual.text_path, text)
        raise StillhouseError(
            f"no column of it is called {' or '.join(repr(quoted(name)) for name in dict.fromkeys(names))}, so nothing "
            f"says which of {', '.join(repr(quoted(name)) for name in columns)} has the "
            f"{'answers' if of_text is not None else 'texts'}",
            where=f"--answers {uri}",
            expected="a column `text` and one `answer`, or columns called as --text and --label",
            do="Call the columns so.",
        )
    return AnswersSpec(
        text=None if of_text == usual.text_path else of_text,
        answer=None if of_answer == usual.answer_path else of_answer,
    )


def _format_of_answers(uri: str) -> AnswersFormat:
    place = find_places(uri, None)[0]
    if format_of(place) != "ndjson":
        return AnswersFormat.TABLE
    with opened(place) as lines:
        first = json.loads(next(lines, "{}"))
    if not isinstance(first, dict):
        return AnswersFormat.TABLE
    marks = {"messages": AnswersFormat.CHAT, "custom_id": AnswersFormat.BATCH}
    return next((format for field, format in marks.items() if field in first), AnswersFormat.TABLE)


def columns_of(uri: str, label: str, how: RowFormat) -> tuple[str, ...]:
    """The columns of a file, which it says where one is asked for that no file has."""
    try:
        read_rows(uri, RowColumns(_NO_COLUMN, label), how)
    except UnknownColumnError as error:
        return error.existing
    return ()


@contextmanager
def advice_as_options() -> Iterator[None]:
    """Say which option of `stillhouse new` reads a file, where there is no recipe yet that could be changed."""
    try:
        yield
    except SettingError as error:
        value = error.value.strip("[]").replace(", ", ",")
        do = error.advise(f"add `--{error.field} {value or '...'}`")
        if error.field.startswith("limits."):
            do = f"Begin with a part of the file; a recipe can raise its `data.{error.field}` then."
        raise StillhouseError(error.what, where=error.where, expected=error.expected, do=do) from error


def require_utf8(given: str) -> None:
    """Refuse a name with bytes that are no UTF-8: no recipe, report or ledger could name it."""
    if any("\ud800" <= letter <= "\udfff" for letter in given):
        raise StillhouseError(
            "the name has bytes that are no UTF-8",
            where=ascii(given),
            expected="a name that can be written down",
            do="Rename the file or column, then run again.",
        )
