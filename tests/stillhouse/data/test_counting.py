"""Records counted twice: by the parser and by other means, on files whose quotes are right, wrong and stray."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data import delimited
from stillhouse.data.sources import SourceRead
from stillhouse.errors import StillhouseError
from tests.stillhouse.data.options import read_with


def kept(folder: Path, name: str, content: bytes | str, **options: object) -> SourceRead:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_with(name, kept={name: path}, **{"text": "text", "label": "label", **options})  # type: ignore[arg-type]


def refused(folder: Path, name: str, content: str, **options: object) -> StillhouseError:
    with pytest.raises(StillhouseError) as caught:
        kept(folder, name, content, **options)
    return caught.value


def rows_with(opening: str, closing: str, separator: str, text_first: bool = False) -> str:
    """Rows of which one has a stray quote, and the fourth after it another one."""
    texts = ["fine as it is", opening, "one more thing", "", "and another", closing, "fine again", "still fine"]
    pairs = [(("pay", "mend")[number % 2], text) for number, text in enumerate(texts)]
    lines = [separator.join(reversed(pair) if text_first else pair) for pair in pairs]
    return "\n".join([separator.join(["text", "label"] if text_first else ["label", "text"]), *lines, ""])


def test_a_quote_in_tab_separated_text_is_text(tmp_path: Path) -> None:
    """Regression: forty of two hundred tweets vanished into the texts of others, and every gate was open."""
    read = kept(tmp_path, "rows.tsv", rows_with('"never closed', 'or is it"', "\t"))
    assert read.rows.height == read.counted == 8 and read.rejects.is_empty()
    assert read.rows["text"][1] == '"never closed' and read.rows["text"][5] == 'or is it"'
    # The same for tabs in a file of another ending.
    assert kept(tmp_path, "rows.csv", rows_with('"never closed', 'or is it"', "\t"), separator="\t").rows.height == 8


@pytest.mark.parametrize("text_first", [False, True])
@pytest.mark.parametrize(("separator", "quoting"), [("\t", "double"), (",", None), (";", None), (",", "single")])
def test_a_quoted_field_that_holds_rows_is_refused_with_its_lines(
    tmp_path: Path, separator: str, quoting: str | None, text_first: bool
) -> None:
    quote = "'" if quoting == "single" else '"'
    content = rows_with(f"{quote}never closed", f"or is it{quote}", separator, text_first)
    error = refused(tmp_path, "rows.csv", content, separator=separator, quoting=quoting)
    assert error.where == "rows.csv, record of lines 3 to 7"
    assert "rows by themselves" in error.what and error.do.startswith(
        "If no field is quoted, set `data.quoting: none` in the recipe. "
    )
    assert kept(tmp_path, "rows.csv", content, separator=separator, quoting="none").rows.height == 8


def test_two_rows_in_one_field_are_refused_too(tmp_path: Path) -> None:
    content = 'text,label\na,pay\nb,mend\n"c,pay\nd",mend\n'
    assert refused(tmp_path, "rows.csv", content).where == "rows.csv, record of lines 4 to 5"


def test_rows_in_a_field_are_refused_where_no_label_is_known(tmp_path: Path) -> None:
    assert "rows by themselves" in refused(tmp_path, "rows.csv", 'text,label\n"a,x\nb",y\n').what
    assert "rows by themselves" in refused(tmp_path, "rows.csv", 'id,text\n1,"a\n2,b"\n', label=None).what


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        "Hello,\nDear Sir,\nbye",
        "first, second\nthird, fourth",
        "ok,then\nand,so",
        "here is a table:\na,1\nb,2\n",
        'he said ""yes"",\nand left\n\n',
        "mend\npay, please\nmend",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_of_several_lines_is_read(tmp_path: Path, text: str, end: str) -> None:
    text = text.replace("\n", end)
    for header, record in (("text,label", f'"{text}",pay'), ("label,text", f'pay,"{text}"')):
        more = ["a,pay", "b,mend"] if header == "text,label" else ["pay,a", "mend,b"]
        read = kept(tmp_path, "rows.csv", end.join([header, more[0], record, more[1], ""]))
        assert read.rows["text"].to_list() == ["a", text.replace('""', '"'), "b"]
        assert read.counted == 3


def test_one_column_of_long_texts_is_read(tmp_path: Path) -> None:
    read = kept(tmp_path, "rows.csv", 'text\n"a\nb"\nc\n', label=None)
    assert read.rows.height == read.counted == 2


def test_a_parser_that_swallows_rows_counts_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two counts have to differ where nobody refuses: the second one is not made from what the first one read."""
    monkeypatch.setattr(delimited, "_refuse_rows_in_a_field", lambda *_: None)
    read = kept(tmp_path, "rows.tsv", rows_with('"never closed', 'or is it"', "\t"), quoting="double")
    assert (read.rows.height, read.counted) == (4, 8)


@pytest.mark.parametrize(
    ("name", "content", "records"),
    [
        ("rows.csv", "text,label\r\n\r\na,x\r\nshort\r\nb,y", 3),
        ("rows.csv", "text,label\ra,x\rb,y\r", 2),
        ("rows.tsv", 'text\tlabel\n"a\tx\n\nb"\ty\n', 2),
        ("rows.ndjson", '{"text":"a","label":"x"}\n \nno object\n', 2),
    ],
)
def test_each_format_is_counted(tmp_path: Path, name: str, content: str, records: int) -> None:
    read = kept(tmp_path, name, content)
    assert read.counted == records == read.rows.height + read.rejects.height


def test_lines_and_parquet_are_counted(tmp_path: Path) -> None:
    read = kept(tmp_path, "rows.txt", "x a\n\nnothing\n", pattern="(?P<label>x) (?P<text>.*)")
    assert read.counted == 2 == read.rows.height + read.rejects.height
    pl.DataFrame({"text": ["a", "b"], "label": "x"}).write_parquet(tmp_path / "made.parquet")
    assert kept(tmp_path, "rows.parquet", (tmp_path / "made.parquet").read_bytes()).counted == 2


def test_a_look_at_a_file_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,x\n")
    assert read_with("rows.csv", text="text", root=tmp_path).counted is None


PIECES = st.lists(st.text("ab\",' \n\r\t\\", min_size=1, max_size=12), min_size=1)


@pytest.mark.long
@given(PIECES, st.sampled_from(["double", "single", "none"]))
def test_both_counts_are_the_same_for_whatever_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], quoting: str
) -> None:
    content = "\n".join(["text,label", "first,x", *pieces])
    try:
        read = kept(tmp_path_factory.mktemp("csv"), "rows.csv", content, quoting=quoting)
    except StillhouseError:
        return
    assert read.counted == read.rows.height + read.rejects.height
