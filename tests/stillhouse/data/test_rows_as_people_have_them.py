"""Files of rows as Excel, labelling tools, data lakes and browsers leave them: read right, or called by their name."""

import gzip
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow
import pytest
from upath import UPath

from stillhouse.data.advice import SettingError
from stillhouse.data.sources import SourceRead, known_ending
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from stillhouse.wording import MEGABYTE
from tests.stillhouse.data.options import read_with

ROWS = [("pay by card", "billing"), ("café, closed", "repair"), ('a "quoted" word', "billing")]
CSV = 'text,label\r\npay by card,billing\r\n"café, closed",repair\r\n"a ""quoted"" word",billing\r\n'


def read(folder: Path, name: str, content: bytes | str, **options: object) -> SourceRead:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_with(name, kept={name: path}, **{"text": "text", "label": "label", **options})  # type: ignore[arg-type]
    assert found.counted == found.rows.height + found.rejects.height, "both counts are the same"
    return found


def pairs(found: SourceRead) -> list[tuple[str | None, str | None]]:
    return found.rows.select("text", "label").rows()


def refused(folder: Path, name: str, content: bytes | str, **options: object) -> StillhouseError:
    with pytest.raises(StillhouseError) as caught:
        read(folder, name, content, **options)
    assert "\n" not in str(caught.value), "an error is one line"
    return caught.value


def zipped(content: bytes, name: str = "rows.csv", *more: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other in more:
            archive.writestr(other, b"x")
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, "zstd", asbytes=True))


# Separators and marks


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_the_named_separator_is_used(tmp_path: Path, separator: str) -> None:
    content = separator.join(["text", "label"]) + "\n" + separator.join(["a, b", "x"]) + "\n"
    assert pairs(read(tmp_path, "rows.csv", content, separator=separator)) == [("a, b", "x")]
    error = refused(tmp_path, "rows.csv", content)
    assert isinstance(error, SettingError) and (error.field, error.value) == ("separator", repr(separator))


def test_a_line_that_says_the_separator_is_no_row(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "rows.csv", "sep=,\r\n" + CSV)) == ROWS
    error = refused(tmp_path, "rows.csv", "sep=;\ntext;label\na;x\n")
    assert isinstance(error, SettingError) and (error.field, error.value) == ("separator", "';'")
    found = read(tmp_path, "rows.csv", "sep=;\ntext;label\na;x;y\nb;x\n", separator=";")
    assert found.rejects["detail"].to_list() == ["line 3: 3 fields where the header has 2"]
    assert "lines 4 to 4" in refused(tmp_path, "rows.csv", 'sep=,\ntext,label\na,x\n"b" c,x\n').where


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_the_mark_of_an_encoding_goes_before_what_is_said(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding in ("utf-16", "utf-32", "utf-8-sig") else "\ufeff"
    content = (mark + CSV).encode(encoding)
    assert pairs(read(tmp_path, "rows.csv", content)) == ROWS
    assert pairs(read(tmp_path, "rows.csv", content, encoding="cp1252")) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_called_by_its_name(tmp_path: Path, encoding: str) -> None:
    error = refused(tmp_path, "rows.csv", CSV.encode(encoding))
    assert isinstance(error, SettingError) and (error.field, error.value) == ("encoding", encoding)
    assert pairs(read(tmp_path, "rows.csv", CSV.encode(encoding), encoding=encoding)) == ROWS


def test_cp1252_is_read_where_it_is_said_and_refused_where_not(tmp_path: Path) -> None:
    content = "text,label\n5 € \u2026 café,x\n".encode("cp1252")
    assert pairs(read(tmp_path, "rows.csv", content, encoding="cp1252")) == [("5 € \u2026 café", "x")]
    error = refused(tmp_path, "rows.csv", content)
    assert isinstance(error, SettingError) and error.field == "encoding"
    assert "caf" not in str(error)


def test_a_file_without_a_header_is_read_by_names_of_its_columns_and_quoted_nowhere(tmp_path: Path) -> None:
    content = "'billing';'find the card; please'\n'repair';'it''s broken'\n'billing';'pay'\n"
    error = refused(tmp_path, "rows.csv", content, separator=";", quoting="single")
    assert isinstance(error, SettingError) and (error.field, error.value) == ("columns", "[column_1, column_2]")
    for said in (error, refused(tmp_path, "rows.csv", content), refused(tmp_path, "rows.csv", content, separator=";")):
        assert "find" not in str(said) and "billing" not in str(said), "a row of the file is in the message"
    found = read(tmp_path, "rows.csv", content, separator=";", quoting="single", header=["label", "text"])
    assert pairs(found) == [("find the card; please", "billing"), ("it's broken", "repair"), ("pay", "billing")]
    assert (
        "no column 'topics'"
        in refused(tmp_path, "rows.csv", content, separator=";", header=["topic", "text"], label="topics").what
    )


@pytest.mark.parametrize("first", ["what is the matter with my account today,x", "12,x"])
def test_a_first_line_that_looks_like_a_row_is_not_quoted(tmp_path: Path, first: str) -> None:
    error = refused(tmp_path, "rows.csv", f"{first}\nother,y\n")
    assert isinstance(error, SettingError) and error.field == "columns"
    assert first.split(",")[0] not in str(error)


@pytest.mark.parametrize(("name", "quote"), [("rows.tsv", '"'), ("rows.csv", "'")])
def test_a_header_in_other_quotes_is_said_with_the_setting(tmp_path: Path, name: str, quote: str) -> None:
    separator = "\t" if name.endswith("tsv") else ","
    content = "\n".join(
        separator.join(f"{quote}{field}{quote}" for field in row) for row in (("text", "label"), ("a", "x"))
    )
    error = refused(tmp_path, name, content)
    assert isinstance(error, SettingError) and error.field == "quoting"
    assert pairs(read(tmp_path, name, content, quoting=error.value)) == [("a", "x")]


# JSON


def test_an_array_of_objects_is_read_whatever_the_ending(tmp_path: Path) -> None:
    objects = [{"text": text, "label": label} for text, label in ROWS]
    for name in ("rows.json", "rows.JSON", "rows.jsonl"):
        for content in (
            json.dumps(objects),
            json.dumps(objects, indent=2, ensure_ascii=False),
            "\ufeff " + json.dumps(objects),
        ):
            assert pairs(read(tmp_path, name, content)) == ROWS
    assert pairs(read(tmp_path, "rows.json", "\n".join(map(json.dumps, objects)))) == ROWS


def test_elements_of_an_array_that_are_no_rows_are_rejects_with_their_number(tmp_path: Path) -> None:
    found = read(tmp_path, "rows.json", '[{"text":"a","label":"x"}, 7, "]", [1, 2], {"text":{"b":1}}, {"text":"c, ]"}]')
    assert pairs(found) == [("a", "x"), ("c, ]", None)]
    assert found.rejects["detail"].to_list() == ["record 2", "record 3", "record 4", "record 5"]
    assert found.rejects["text"].to_list() == ["7", '"]"', "[1, 2]", '{"text":{"b":1}}']


@pytest.mark.parametrize("part", [1, 7, 40])
def test_an_array_is_read_and_counted_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr("stillhouse.data.json_rows._ELEMENT_PART", part)
    monkeypatch.setattr("stillhouse.data.counting._PART", part)
    objects = [{"text": f'{n} "\\[,]{{', "label": "x"} for n in range(50)]
    found = read(tmp_path, "rows.json", json.dumps([*objects, 1234567], indent=1))
    assert found.rows["text"].to_list() == [item["text"] for item in objects]
    assert found.rejects["text"].to_list() == ["1234567"]


@pytest.mark.parametrize(
    ("content", "record"),
    [
        ('[{"text":"a"}, {"text":', 2), ('[{"text":"a"}', 1), ('[{"text":"a"} {"text":"b"}]', 1),
        ('[{"text":"a"},]', 2), ('[{"text":"a"}] x', 1), ("[" * 100_000, 1), ("[7", 1),
    ],
)  # fmt: skip
def test_a_broken_array_is_refused_with_the_record(tmp_path: Path, content: str, record: int) -> None:
    error = refused(tmp_path, "rows.json", content)
    assert error.where == f"rows.json, record {record}" and "not readable as JSON" in error.what


def test_an_empty_array_holds_no_rows(tmp_path: Path) -> None:
    assert "holds no rows" in refused(tmp_path, "rows.json", " [ ] ").what


def test_a_record_of_an_array_keeps_the_limit_of_a_line_and_the_array_does_not(tmp_path: Path) -> None:
    limits = Limits(line_characters_at_most=1_000)
    objects = [{"text": "a" * 900 + str(n), "label": "x"} for n in range(100)]
    assert read(tmp_path, "rows.json", json.dumps(objects), limits=limits).rows.height == 100
    error = refused(tmp_path, "rows.json", json.dumps([*objects, {"text": "a" * 1_001}]), limits=limits)
    assert error.where == "rows.json, record 101" and "longer than 1,000" in error.what


def test_a_nested_field_is_named_by_its_path(tmp_path: Path) -> None:
    line = {"ticket": {"body": "a", "dotted.key": 1}, "choices": [{"label": "x"}], "plain.key": "p"}
    columns = {"text": "ticket.body", "label": "choices.0.label", "keep": ["plain.key"]}
    lines = [line, {**line, "choices": []}, {"ticket": "none"}]
    found = read(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, lines)), **columns)
    assert found.rows.drop("batch").rows() == [("a", "x", "p"), ("a", None, "p"), (None, None, None)]
    error = refused(tmp_path, "rows.jsonl", json.dumps(line), text="ticket", label=None)
    assert "'ticket.body'" in error.expected and "by its path" in error.do
    error = refused(tmp_path, "rows.jsonl", json.dumps(line), text="ticket.bodi", label=None)
    assert "Did you mean 'ticket.body'?" in error.do


def test_a_nested_column_of_parquet_is_named_by_its_path(tmp_path: Path) -> None:
    rows = {"ticket": [{"body": "a"}, {"body": None}, None], "choices": [[{"label": "x"}], [], None]}
    pl.DataFrame(rows).write_parquet(tmp_path / "made")
    content = (tmp_path / "made").read_bytes()
    found = read(tmp_path, "rows.parquet", content, text="ticket.body", label="choices.0.label")
    assert pairs(found) == [("a", "x"), (None, None), (None, None)]
    error = refused(tmp_path, "rows.parquet", content, text="ticket", label=None)
    assert "'ticket.body'" in error.expected
    error = refused(tmp_path, "rows.parquet", content, text="body", label=None)
    assert "'ticket.body', 'choices.0.label'" in error.expected


@pytest.mark.parametrize("name", ["rows.parquet", "rows.json", "rows.ndjson"])
def test_several_labels_in_a_list_are_said_beside_the_path_of_the_first(tmp_path: Path, name: str) -> None:
    """Regression: the advice was the path of the first element, and that others would be left out was not said."""
    for labels, is_told in (([["x", "y"], ["x"]], True), ([["x"], ["y"]], False)):
        frame = pl.DataFrame({"text": ["pay", "close"], "label": labels})
        if name == "rows.parquet":
            frame.write_parquet(tmp_path / "made")
        else:
            write = frame.write_json if name == "rows.json" else frame.write_ndjson
            write(tmp_path / "made")
        error = refused(tmp_path, name, (tmp_path / "made").read_bytes())
        assert "'label.0'" in error.expected
        assert ("`data.answer: multi_label`" in error.do) is is_told


def test_the_limits_hold_for_a_nested_column_and_for_bytes(tmp_path: Path) -> None:
    limits = Limits(line_characters_at_most=1_000)
    for value, name in (({"body": "a" * 1_001}, "ticket.body"), (b"a" * 1_001, "ticket")):
        pl.DataFrame({"ticket": [value]}).write_parquet(tmp_path / "made")
        error = refused(
            tmp_path, "rows.parquet", (tmp_path / "made").read_bytes(), text=name, label=None, limits=limits
        )
        assert error.where.endswith(f"column '{name}'")


def test_bytes_of_parquet_are_text_where_they_are_utf_8(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["café".encode(), None], "label": ["x", "y"]}).write_parquet(tmp_path / "made")
    assert pairs(read(tmp_path, "rows.parquet", (tmp_path / "made").read_bytes())) == [("café", "x"), (None, "y")]
    pl.DataFrame({"text": [b"a", None, b"caf\xe9"], "label": "x"}).write_parquet(tmp_path / "made")
    error = refused(tmp_path, "rows.parquet", (tmp_path / "made").read_bytes())
    assert error.where == "rows.parquet, row 3" and "bytes that are not utf-8" in error.what


# Packed files


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("rows.csv.gz", gzip.compress), ("ROWS.CSV.GZ", gzip.compress), ("rows.csv.zst", zstd), ("rows.Csv.Zstd", zstd),
        ("rows.csv.zip", zipped), ("rows.zip", zipped), ("rows.csv", gzip.compress), ("rows.csv.gz", bytes),
        ("ROWS.CSV", bytes), ("rows.zip", lambda content: zipped(content, "a/B.CSV", "__MACOSX/._B.csv", ".DS_Store")),
    ],
)  # fmt: skip
def test_a_packed_file_is_read_by_what_it_holds(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert pairs(read(tmp_path, name, pack(CSV.encode()))) == ROWS
    assert known_ending(name)


def test_parquet_and_json_are_read_packed(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "label": ["x"]}).write_parquet(tmp_path / "made")
    content = (tmp_path / "made").read_bytes()
    assert pairs(read(tmp_path, "rows.parquet.gz", gzip.compress(content))) == [("a", "x")]
    assert pairs(read(tmp_path, "rows.zip", zipped(content, "rows.parquet"))) == [("a", "x")]
    assert pairs(read(tmp_path, "rows.json.zst", zstd(b'[{"text":"a","label":"x"}]'))) == [("a", "x")]


def test_a_packed_file_of_a_store_is_read(tmp_path: Path) -> None:
    folder = UPath("memory://packed")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("rows.zip", zipped(CSV.encode())), ("rows.csv.zst", zstd(CSV.encode()))):
        (folder / name).write_bytes(content)
        assert pairs(read_with(f"memory://packed/{name}", text="text", label="label")) == ROWS


def test_a_zip_file_of_several_files_or_with_a_password_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, "rows.zip", zipped(b"x", "a.csv", "b.csv"))
    assert "it holds 2 files (a.csv, b.csv)" in error.what
    assert "it holds 0 files" in refused(tmp_path, "rows.csv.zip", zipped(b"x", ".hidden")).what
    locked = bytearray(zipped(CSV.encode()))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        locked[locked.index(mark) + (6 if mark[2] == 3 else 8)] |= 1
    assert "locked with a password" in refused(tmp_path, "rows.csv.zip", bytes(locked)).what


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "pack"), [("rows.csv.zst", zstd), ("rows.csv.zip", zipped), ("rows.csv.gz", gzip.compress)]
)
def test_a_packed_file_that_is_cut_is_refused(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    content = pack(("text,label\n" + "".join(f"{n * n},x\n" for n in range(20_000))).encode())
    assert "cannot be read" in refused(tmp_path, name, content[: len(content) // 2]).what
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 255
    refused(tmp_path, name, bytes(damaged))


@pytest.mark.long
@pytest.mark.parametrize(("name", "pack"), [("rows.csv.zst", zstd), ("rows.csv.zip", zipped)])
def test_limits_hold_for_every_packing(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"text,label\n" + b"a" * 200 * MEGABYTE)
    assert len(bomb) < MEGABYTE
    tracemalloc.start()
    error = refused(tmp_path, name, bomb)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100 * MEGABYTE, "200 MB were packed"
    assert isinstance(error, SettingError) and error.field.startswith("limits.")
    many = pack(b"text,label\n" + (b"a" * 9_000 + b",x\n") * 2_500)
    assert "times its size" in refused(tmp_path, name, many).what
    noise = random.Random(1)
    content = b"text,label\n" + b"".join(b"%d,x\n" % noise.getrandbits(3000) for _ in range(1_200))
    assert "more than 1 MB" in refused(tmp_path, name, pack(content), limits=Limits(file_mb_at_most=1)).what
    assert read(tmp_path, name, pack(content)).rows.height == 1_200


def test_a_zip_file_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    content = bytearray(zipped(b"text,label\n" + b"a,x\n" * 100_000))
    said = (1000).to_bytes(4, "little")
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(mark) + at
        content[place : place + 4] = said
    assert "cannot be read" in refused(tmp_path, "rows.csv.zip", bytes(content)).what


def test_a_zip_file_of_thousands_of_files_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    content = zipped(b"x", "a" * 60_000 + ".csv", *(f"{n}" + "b" * 60_000 for n in range(20)))
    assert "thousands of files" in refused(tmp_path, "rows.csv.zip", content).what


# What is no file of rows


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a Git LFS pointer"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html>\n<html><title>Sign in</title>", "an HTML page"),
        (b"<html lang=en><body>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of Excel before 2007"),
        (b"ARROW1\0\0\xff\xff", "an Arrow file"),
        (b"Obj\x01\x04\x16avro.schema", "an Avro file"),
        (b"$FL2@(#) SPSS DATA FILE", "a file of SPSS, Stata or R"),
        (b"\x80\x04\x95\x10\0", "a pickle of Python"),
        (b"% from a paper\n@RELATION tickets\n@attribute text string\n", "an ARFF file"),
        (b"__label__spam win a prize\n__label__ham see you\n", "text for fastText"),
    ],
)
@pytest.mark.parametrize(
    "name", ["rows.xls", "rows.txt", "rows.csv", "rows.csv.gz", "rows.jsonl", "rows.json", "rows.parquet", "rows.tsv"]
)
def test_what_is_no_file_of_rows_is_called_by_its_name(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    assert f"it is {what}" in refused(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content).what


def test_another_format_than_the_ending_says_is_called_by_its_name(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "label": ["x"]}).write_parquet(tmp_path / "made")
    for content, format in (
        ((tmp_path / "made").read_bytes(), "parquet"),
        (zipped(b"x", "[Content_Types].xml", "y"), "xlsx"),
    ):
        error = refused(tmp_path, "rows.csv", content)
        assert isinstance(error, SettingError) and (error.field, error.value) == ("format", format)


# Headers and fields as people write them


@pytest.mark.parametrize(
    "header",
    [" text , label", "\u200btext,label\u00a0", "\ufeff\ufefftext,label", "text, label"],
)
def test_a_name_in_the_header_counts_without_what_cannot_be_seen_around_it(tmp_path: Path, header: str) -> None:
    """Regression: of a file that begins with two marks it was said that there is no column 'text', but one 'text'."""
    assert pairs(read(tmp_path, "rows.csv", f"{header}\npay,x\n")) == [("pay", "x")]


def test_a_name_as_it_is_goes_before_one_without_blanks(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "rows.csv", "text , label,text,label\nno,no,pay,x\n")) == [("pay", "x")]
    assert pairs(read(tmp_path, "rows.csv", "text ,label,text\nno,x,pay\n", text="text ")) == [("no", "x")]


def test_a_blank_after_each_separator_is_part_of_no_field(tmp_path: Path) -> None:
    """Regression: the quotes behind the blank were part of the text, and a separator between them ended the field."""
    content = 'label, text\nx, "pay, by card"\ny, "say ""hi"", please\nand wait"\nz, plain\n'
    assert pairs(read(tmp_path, "rows.csv", content)) == [
        ("pay, by card", "x"),
        ('say "hi", please\nand wait', "y"),
        ("plain", "z"),
    ]
    assert pairs(read(tmp_path, "rows.csv", 'label,text\nx, "hi"\n')) == [(' "hi"', "x")], "the header shows none"


def test_empty_fields_beyond_the_header_say_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "rows.csv", "text,label\npay,x,\nclose,y,,\nopen,z,more\n")
    assert pairs(found) == [("pay", "x"), ("close", "y")]
    assert found.rejects["detail"].to_list() == ["line 4: 3 fields where the header has 2"]


def test_quotes_that_a_backslash_makes_text_are_read_where_it_is_said(tmp_path: Path) -> None:
    content = 'text,label\n"say \\"hi, there\\"\nagain",x\n"C:\\\\",y\n"C:\\new",z\n'
    error = refused(tmp_path, "rows.csv", content)
    assert isinstance(error, SettingError) and (error.field, error.value) == ("quoting", "escaped")
    assert pairs(read(tmp_path, "rows.csv", content, quoting="escaped")) == [
        ('say "hi, there"\nagain', "x"),
        ("C:\\\\", "y"),
        ("C:\\new", "z"),
    ]


@pytest.mark.parametrize("separator", ["^", "~", ":", "\x01"])
def test_a_separator_that_the_header_shows_is_named(tmp_path: Path, separator: str) -> None:
    """Regression: it was said that there is no header."""
    error = refused(tmp_path, "rows.csv", f"text{separator}label\npay{separator}x\n")
    assert isinstance(error, SettingError) and (error.field, error.value) == ("separator", repr(separator))


@pytest.mark.parametrize("above", ["# exported\n# by me\n", "Report of tickets,\nof March,\n"])
def test_what_is_above_the_header_is_named_by_the_line_of_the_header(tmp_path: Path, above: str) -> None:
    error = refused(tmp_path, "rows.csv", f"{above}text,label\npay,x\n")
    assert error.what == "the names of the columns are not before line 3" and "Take out" in error.do


@pytest.mark.parametrize("content", ['{"text": "pay", "label": "x"}\n', '[{"text": "pay"}]', "[\n  {\n", "{\n"])
def test_json_in_a_csv_file_is_called_by_its_name(tmp_path: Path, content: str) -> None:
    error = refused(tmp_path, "rows.csv", content)
    assert isinstance(error, SettingError) and (error.field, error.value) == ("format", "json")
    assert "pay" not in str(error)


def test_rows_of_which_none_has_the_fields_of_the_header_are_a_matter_of_the_separator(tmp_path: Path) -> None:
    error = refused(tmp_path, "rows.csv", "text,label\npay, or not,x\n")
    assert isinstance(error, SettingError) and error.field == "separator"


def test_a_packed_file_of_nothing_holds_no_rows(tmp_path: Path) -> None:
    assert refused(tmp_path, "rows.csv.gz", gzip.compress(b"")).what == "it holds no rows"


# What is no rows, by its name


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"/annex/objects/SHA256E-s100--abc.csv\n", "git-annex pointer"),
        (b"BZh91AY&SY" + b"x" * 40, "packed by bzip2"),
        (b"\xfd7zXZ\0" + b"x" * 40, "packed by bzip2, xz"),
        (b"7z\xbc\xaf\x27\x1c" + b"x" * 40, "7-Zip"),
        (b"Rar!\x1a\x07" + b"x" * 40, "RAR"),
        (b"SQLite format 3\0" + b"\0" * 100, "SQLite"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "a picture"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "HDF5"),
        (b"rows.csv" + b"\0" * 249 + b"ustar\0" + b"\0" * 100, "tar archive"),
        (gzip.compress(gzip.compress(CSV.encode())), "packed once more"),
        (gzip.compress(zstd(CSV.encode())), "packed once more"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path: Path, content: bytes, what: str) -> None:
    """Regression: it was said of a database and of a picture that they are text in UTF-16."""
    error = refused(tmp_path, "rows.csv", content)
    assert what in error.what and not isinstance(error, SettingError)


def test_a_pointer_in_place_of_a_zip_file_is_called_by_its_name(tmp_path: Path) -> None:
    error = refused(tmp_path, "rows.zip", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "Git LFS pointer" in error.what


def test_utf_32_without_its_mark_is_called_by_its_name(tmp_path: Path) -> None:
    error = refused(tmp_path, "rows.csv", CSV.encode("utf-32-le"))
    assert isinstance(error, SettingError) and (error.field, error.value) == ("encoding", "utf-32-le")
    assert pairs(read(tmp_path, "rows.csv", CSV.encode("utf-32-le"), encoding="utf-32-le")) == ROWS


def test_an_encoding_that_encodes_nothing_is_unknown(tmp_path: Path) -> None:
    assert "unknown encoding" in refused(tmp_path, "rows.csv", CSV, encoding="undefined").what


def test_a_spelling_that_is_mapped_to_nothing_is_no_label(tmp_path: Path) -> None:
    found = read(tmp_path, "rows.csv", "text,label\na,nan\nb,NA\nc,x\n", classes={"nan": "", "NA": ""})
    assert pairs(found) == [("a", None), ("b", None), ("c", "x")]


@pytest.mark.parametrize("name", ["rows.csv.bz2", "rows.csv.XZ", "rows.tar", "rows.tar.gz", "rows.7z"])
def test_a_packing_that_is_not_read_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    assert "which is not read" in refused(tmp_path, name, b"x" * 40).what


@pytest.mark.parametrize(
    "content",
    [
        {"version": 1, "data": [{"text": "pay", "label": "x"}, {"text": "close", "label": "y"}]},
        {"text": {"0": "pay", "1": "close"}, "label": {"0": "x", "1": "y"}},
        {"columns": ["text", "label"], "data": [["pay", "x"], ["close", "y"]]},
        {"0": {"text": "pay", "label": "x"}, "1": {"text": "close", "label": "y"}},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_one_object_that_holds_the_rows_is_called_so(tmp_path: Path, content: object, indent: int | None) -> None:
    """Regression: as pandas writes it by default, and the advice was a path that gives one row."""
    error = refused(tmp_path, "rows.json", json.dumps(content, indent=indent))
    assert error.what.startswith("one object") and "records" in error.do
    assert "pay" not in str(error)


def test_one_row_alone_is_a_file_of_one_row(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "rows.json", '{"text": "pay", "label": "x", "more": {"a": [1]}}')) == [("pay", "x")]
    assert "no column 'label'" in refused(tmp_path, "rows.json", '{"text": "pay"}').what
