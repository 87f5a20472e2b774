"""What the readers make of files that are right, wrong, and nearly right."""

import gzip
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.sources import SourceRead
from stillhouse.errors import StillhouseError
from tests.stillhouse.data.options import read_with

TREC = r"^(?P<coarse>\w+):(?P<fine>\w+) (?P<text>.+)$"


def write(folder: Path, name: str, content: bytes | str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def pairs(read: SourceRead) -> list[tuple[str | None, str | None]]:
    return read.rows.select("text", "label").rows()


def refusal(*args: object, **options: object) -> str:
    with pytest.raises(StillhouseError) as caught:
        read_with(*args, **{"text": "text", "label": "label", **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value), "an error is one line"
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "text,label\na,x\nb,y\n"),
        ("rows.CSV", "\ufefftext,label\r\na,x\r\n\r\nb,y\r\n"),
        ("rows.tsv", "text\tlabel\na\tx\nb\ty\n"),
        ("rows.csv.gz", gzip.compress(b"text,label\na,x\nb,y\n", mtime=0)),
        ("rows.csv", "text,label\ra,x\rb,y\r"),
        ("rows.ndjson", '{"text":"a","label":"x"}\n\n{"label":"y","text":"b"}'),
        ("rows.jsonl", '{"text":"a","label":"x","more":[1]}\r\n{"text":"b","label":"y"}\r\n'),
    ],
)
def test_a_good_file_of_any_format_reads_the_same(tmp_path: Path, name: str, content: bytes | str) -> None:
    read = read_with(write(tmp_path, name, content), text="text", label="label")
    assert pairs(read) == [("a", "x"), ("b", "y")]
    assert read.rejects.is_empty()


def test_parquet_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows[1].parquet"
    pl.DataFrame({"label": ["x", "y"], "text": ["a", "b"]}).write_parquet(path)
    assert pairs(read_with(str(path), text="text", label="label")) == [("a", "x"), ("b", "y")]


def test_a_csv_row_with_too_few_or_too_many_fields_is_a_reject_with_its_line(tmp_path: Path) -> None:
    """Regression: polars 2.1 gives the short row a null label and says nothing."""
    source = write(tmp_path, "rows.csv", 'text,label\n"two\nlines",x\nshort\nb,y\nwell, then,z\n')
    read = read_with(source, text="text", label="label", batch="new")
    assert pairs(read) == [("two\nlines", "x"), ("b", "y")]
    assert read.rejects.rows() == [
        ("short", "new", "not as many fields as the header", "line 4: 1 field where the header has 2"),
        ("well, then,z", "new", "not as many fields as the header", "line 6: 3 fields where the header has 2"),
    ]


@pytest.mark.parametrize(
    ("content", "lines"),
    [('text,label\na,x\n"never closed,y\nb,z\n', "3 to 4"), ('text,label\na,x\n"b" c,y\n', "3 to 3")],
)
def test_a_broken_quote_is_an_error_that_names_the_lines(tmp_path: Path, content: str, lines: str) -> None:
    assert f"rows.csv, record of lines {lines}: not readable as csv" in refusal(write(tmp_path, "rows.csv", content))


def test_a_wrong_separator_is_recognised(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "rows.csv", "text;label\na;x\n"))
    assert "line 1: the first line is one field, and holds ';' 1 times" in message
    assert "Set `data.separator: ';'` in the recipe." in message
    source = write(tmp_path, "semicolons.csv", "text;label\na, b;x\n")
    assert pairs(read_with(source, text="text", label="label", separator=";")) == [("a, b", "x")]


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    assert "names 'text' 2 times" in refusal(write(tmp_path, "rows.csv", "text,text,label\na,b,x\n"))


def test_a_text_of_a_million_characters_is_read_from_csv(tmp_path: Path) -> None:
    """Regression: the csv module refuses fields above 131,072 characters unless told otherwise."""
    read = read_with(write(tmp_path, "rows.csv", f"text,label\n{'a' * 1_000_000},x\n"), text="text", label="label")
    assert read.rows["text"].str.len_chars().to_list() == [1_000_000]


def test_lines_of_ndjson_that_are_no_object_are_rejects_with_their_line(tmp_path: Path) -> None:
    lines = ['{"text":"a","label":"x"}', "[1]", '{"text":', '{"text":["b"],"label":"x"}', '{"text":"c"} {}', "7"]
    read = read_with(write(tmp_path, "rows.ndjson", "\n".join(lines)), text="text", label="label")
    assert pairs(read) == [("a", "x")]
    assert read.rejects["text"].to_list() == lines[1:]
    assert read.rejects["detail"].to_list() == [f"line {number}" for number in (2, 3, 4, 5, 6)]


def test_a_key_that_first_appears_late_is_not_lost(tmp_path: Path) -> None:
    """Regression: polars 2.1 infers the columns of ndjson from the first 100 lines and drops the others."""
    source = write(tmp_path, "rows.ndjson", '{"text":"a"}\n' * 200 + '{"text":"b","label":"x"}\n')
    assert pairs(read_with(source, text="text", label="label"))[-1] == ("b", "x")


def test_json_numbers_become_the_text_a_person_would_write(tmp_path: Path) -> None:
    values = ["3", "3.0", "2.5", "true", "null", "NaN", "12345678901234567890", '" x "', '""', '"\\ud83d"']
    source = write(tmp_path, "rows.ndjson", "\n".join(f'{{"text":"a","label":{value}}}' for value in values))
    labels = read_with(source, text="text", label="label").rows["label"].to_list()
    assert labels == ["3", "3", "2.5", "true", None, None, "12345678901234567890", "x", None, "\ufffd"]


def test_parquet_numbers_become_the_text_a_person_would_write(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {
        "text": [1, 2],
        "label": [3.0, float("nan")],
        "half": [0.5, 1.0],
        "sure": [True, None],
        "none": [None, None],
    }
    pl.DataFrame(columns).write_parquet(path)
    rows = read_with(str(path), text="text", label="label", keep=["half", "sure", "none"]).rows
    assert rows.drop("batch").rows() == [("1", "3", "0.5", "true", None), ("2", None, "1.0", None, None)]
    assert set(rows.dtypes) == {pl.String}


@pytest.mark.parametrize("values", [[["a"]], [{"a": 1}], [b"\xff"], [timedelta(1)]])
def test_a_parquet_column_that_is_no_text_is_refused(tmp_path: Path, values: list[object]) -> None:
    pl.DataFrame({"text": values, "label": ["x"]}).write_parquet(tmp_path / "rows.parquet")
    assert "column 'text' holds" in refusal(str(tmp_path / "rows.parquet"))


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"text": ["a"] * 1000, "label": ["x"] * 1000}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "rows.parquet: cannot be read" in refusal(str(path))


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(("text,label\n" + "".join(f"{n * n},x\n" for n in range(20_000))).encode())
    assert "rows.csv.gz: cannot be read" in refusal(write(tmp_path, "rows.csv.gz", packed[: len(packed) // 2]))


def test_lines_are_matched_and_those_that_do_not_match_are_rejects_with_their_line(tmp_path: Path) -> None:
    source = write(tmp_path, "rows.txt", "HUM:ind Who ?\nno label here\n\nLOC:city Où ?\r\n".encode("latin-1"))
    read = read_with(source, pattern=TREC, text="text", label="coarse", keep=["fine"], encoding="latin-1")
    assert read.rows.rows() == [("Who ?", "HUM", "base", "ind"), ("Où ?", "LOC", "base", "city")]
    assert read.rejects.rows() == [("no label here", "base", "line does not match the pattern", "line 2")]


def test_a_pattern_without_the_column_or_that_is_broken_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, "rows.txt", "a\n")
    assert "there is no column 'label'" in refusal(source, pattern="(?P<text>.*)")
    assert "not a regular expression" in refusal(source, pattern="(?P<text>")
    assert "has no pattern" in refusal(source, format="lines")
    assert "takes no pattern" in refusal(source, format="csv", pattern="(?P<text>.*)")


@pytest.mark.long
@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson"])
def test_a_byte_of_another_encoding_is_named_by_offset_and_line(tmp_path: Path, name: str) -> None:
    # Far enough into the file that the decoder's own offset, counted from its last chunk, would be wrong.
    filler = b'text,label\n"a",x\n' if name.endswith("csv") else b'{"text":"a","label":"x"}\n'
    before = filler + (b'"a",x\n' if name.endswith("csv") else filler) * 20_000
    message = refusal(write(tmp_path, name, before + "caf\u00e9,x\n".encode("latin-1")))
    assert f"offset {len(before) + 3} is not utf-8" in message
    line = before.count(b"\n") + 1
    assert f"line {line}:" in message
    assert "encoding" in message and "cp1252 (Windows)" in message, "what to do"


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, "rows.csv", "text,label\na,x\n")
    for encoding in ("utf-9", "hex"):
        assert f"unknown encoding '{encoding}'" in refusal(source, encoding=encoding)


def test_a_stream_error_without_a_byte_is_said_as_it_is(tmp_path: Path) -> None:
    source = write(tmp_path, "rows.csv", "text,label\na,x\n".encode("utf-16-le"))
    assert "UTF-16 stream does not start with BOM" in refusal(source, encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    source = write(tmp_path, "rows.csv", "text,label\ncafé,x\n".encode(encoding))
    assert pairs(read_with(source, text="text", label="label", encoding=encoding)) == [("café", "x")]


@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.csv", "text,label\n"), ("rows.ndjson", "\n\n"), ("rows.csv", "text,label\n\n\n")],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "holds no rows" in refusal(write(tmp_path, name, content))


def test_a_file_without_one_readable_record_is_refused_with_the_first(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "rows.csv", "text,label\na\nb\n"))
    assert "none of 2 records is readable; the first: not as many fields as the header (line 2: " in message


@pytest.mark.long
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["a,x", '"q ""u"" o",x', "short", "a,b,c", "b,y"]),
            st.text(st.characters(codec="utf-8", exclude_characters='"\r\n'), min_size=1),
        ),
        min_size=1,
    )
)
def test_every_csv_record_is_a_row_or_a_reject(tmp_path_factory: pytest.TempPathFactory, records: list[str]) -> None:
    source = write(tmp_path_factory.mktemp("csv"), "rows.csv", "\n".join(["text,label", "first,x", *records]))
    read = read_with(source, text="text", label="label")
    assert read.rows.height + read.rejects.height == 1 + len(records)
