"""Which separator and quotes a first recipe gets, by the first lines of its rows."""

from pathlib import Path

import pytest

from stillhouse.data.places import Place
from stillhouse.data.sniffing import sniffed_quoting, sniffed_separator

TEXTS = [f"text {number}" for number in range(30)]


def place(folder: Path, content: str) -> Place:
    path = folder / "rows.csv"
    path.write_bytes(content.encode())
    return Place("rows.csv", path)


def written(separator: str, *fields: str) -> str:
    """A header and a row for each text, which stands where `{}` does."""
    rows = [separator.join(fields).replace("{}", text) for text in TEXTS]
    return "\n".join([separator.join(["text", "label"]), *rows, ""])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^", "~", ":", "\x01"])
def test_the_separator_is_the_one_under_which_the_header_has_the_names(tmp_path: Path, separator: str) -> None:
    content = written(separator, "{}, or; not", "x").replace("text\x01", " text \x01")
    assert sniffed_separator(place(tmp_path, content), ["text", "label"], ()) == separator


@pytest.mark.parametrize(
    ("separator", "fields", "quoting"),
    [
        (",", ("{}", "x"), "double"),
        (",", ('"{}, ok"', "x"), "double"),
        (",", ("'{}, don''t'", "x"), "single"),
        (",", ("'{}'", "x"), "single"),
        (",", ("'tis {}'s", "x"), "double"),
        (",", ('"say \\"{}\\", ok"', "x"), "escaped"),
        (",", ('"{}, C:\\"', "x"), "double"),
        ("\t", ("{}", "x"), "none"),
        ("\t", ('"{}', "x"), "none"),
        ("\t", ('say "{}"', "x"), "none"),
        ("\t", ('"say ""{}"""', "x"), "double"),
        ("\t", ('"{}\nsecond line\nthird"', "x"), "double"),
        ("\t", ('"{}"', "x"), "double"),
    ],
)
@pytest.mark.parametrize("times", [1, 20])
def test_the_quotes_are_those_that_show(
    tmp_path: Path, separator: str, fields: tuple[str, ...], quoting: str, times: int
) -> None:
    """Also where the first lines are not the whole file, and end inside a quoted field."""
    header, rows = written(separator, *fields).split("\n", 1)
    assert sniffed_quoting(place(tmp_path, header + "\n" + rows * times), separator, ()) == quoting


def test_a_text_that_begins_with_a_quote_and_one_that_ends_with_it_make_no_row_of_several(tmp_path: Path) -> None:
    """Tweets: each line is a row, and so would be the lines from the first quote to the next, as one."""
    rows = ['"one\tx', "two\tx", 'three"\tx', "four\tx"] * 10
    content = "\n".join(["text\tlabel", *rows, ""])
    assert sniffed_quoting(place(tmp_path, content), "\t", ()) == "none"


def test_a_broken_quote_is_left_to_whoever_reads_the_file(tmp_path: Path) -> None:
    content = written(",", '"{}, ok"', "x").replace('"text 7, ok"', '"text "7", ok"')
    assert sniffed_quoting(place(tmp_path, content), ",", ()) == "double"


def test_a_field_may_be_of_any_length(tmp_path: Path) -> None:
    """Regression: `new` ended in an error of the csv module where a line without the names had a long field."""
    long = "x" * 200_000
    assert sniffed_separator(place(tmp_path, f"{long};a\n{long};b\n"), ["text", "label"], ("text", "label")) == ";"
    assert sniffed_separator(place(tmp_path, "\0" * 200_000), ["text", "label"], ()) == ","
    one = written(",", "'{}, ok'", "x").replace("text 7", long)
    assert sniffed_quoting(place(tmp_path, one), ",", ()) == "single"
