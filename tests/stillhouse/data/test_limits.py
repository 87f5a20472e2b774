"""A file that would take the machine's memory is refused with the limit, the place and the field that raises it."""

import gzip
import tracemalloc
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from tests.stillhouse.data.options import read_with

MEGABYTE = 1_000_000
SMALL = Limits(file_mb_at_most=1, line_characters_at_most=1_000, unpacked_ratio_at_most=50)


def refusal(path: Path | str, limits: Limits | None = None, **options: object) -> StillhouseError:
    with pytest.raises(StillhouseError) as caught:
        read_with(str(path), text="text", label="label", limits=limits, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value), "an error is one line"
    return caught.value


def packed(path: Path, part: bytes, times: int, head: bytes = b"text,label\n") -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(times):
            file.write(part)
    return path


@pytest.mark.long
@pytest.mark.experiment("F5")
def test_one_endless_line_in_a_small_file_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    """Regression: 1.5 MB of gzip that held one line of 1.5 GiB ended in a MemoryError."""
    bomb = packed(tmp_path / "rows.csv.gz", b"a" * MEGABYTE, 300)
    assert bomb.stat().st_size < 3 * MEGABYTE
    tracemalloc.start()
    refused = refusal(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * MEGABYTE, "300 MB were packed"
    assert refused.where.endswith("rows.csv.gz, line 2") and "longer than 10,000,000 characters" in refused.what
    assert "raise `data.limits.line_characters_at_most` in the recipe" in refused.do


@pytest.mark.long
def test_many_lines_that_unpack_to_far_too_much_are_refused(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "rows.csv.gz", (b"a" * 9_000 + b",x\n") * 100, 60)
    refused = refusal(bomb)
    assert "unpacks to more than 100 times its size" in refused.what and "unpacked_ratio_at_most" in refused.do


def test_a_short_file_of_one_repeated_line_is_read_however_well_it_is_packed(tmp_path: Path) -> None:
    path = packed(tmp_path / "rows.csv.gz", (b"a" * 9_000 + b",x\n") * 100, 1)
    assert MEGABYTE / 2 / path.stat().st_size > 100, "packed more than the limit"
    assert read_with(str(path), text="text", label="label").rows.height == 100


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.ndjson", "rows.txt"])
def test_a_file_over_its_size_is_refused_packed_or_not(tmp_path: Path, name: str) -> None:
    import random

    line = b"%d,x\n" % random.Random(1).getrandbits(3000)
    path = tmp_path / name
    content = b"text,label\n" + line * 1_200
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    options = {"pattern": r"(?P<text>.+),(?P<label>.+)"} if name == "rows.txt" else {}
    refused = refusal(path, SMALL, **options)
    assert "it holds more than 1 MB" in refused.what and "data.limits.file_mb_at_most" in refused.do


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_the_limit_of_a_line_is_the_longest_that_is_read(tmp_path: Path, end: str) -> None:
    path = tmp_path / "rows.ndjson"
    line = '{"text":"%s","label":"x"}'
    path.write_bytes((line % ("a" * (1_000 - len(line) + 2)) + end).encode())
    assert read_with(str(path), text="text", label="label", limits=SMALL).rows.height == 1
    path.write_bytes((line % ("a" * (1_001 - len(line) + 2)) + end).encode())
    refused = refusal(path, SMALL)
    assert "line 1" in refused.where and "longer than 1,000 characters" in refused.what


def test_an_open_quote_does_not_swallow_the_rest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,label\na,x\n"never closed,y\n' + "b,z\n" * 1_000)
    refused = refusal(path, SMALL)
    assert refused.where.endswith("record from line 3") and "longer than 1,000 characters" in refused.what


def test_a_csv_record_of_several_lines_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,label\n"' + "short\n" * 150 + '",y\nb,z\n')
    assert read_with(str(path), text="text", label="label", limits=SMALL).rows["label"].to_list() == ["y", "z"]


def test_a_parquet_page_that_is_packed_too_well_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = pl.DataFrame({"text": [f"{n:06}" + "a" * 1_000 for n in range(40_000)], "label": "x"})
    rows.write_parquet(path, compression="zstd", use_pyarrow=True, pyarrow_options={"use_dictionary": False})
    refused = refusal(path, SMALL.model_copy(update={"file_mb_at_most": 2_000, "line_characters_at_most": 10_000}))
    assert "unpacks to more than 50 times its size" in refused.what


def test_a_value_that_a_parquet_file_says_once_and_means_often_counts_each_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"text": ["a" * 900] * 5_000, "label": "x"}).write_parquet(path)
    assert path.stat().st_size < 100_000
    assert "it holds more than 1 MB" in refusal(path, SMALL).what


def test_a_long_value_of_a_parquet_file_is_refused_by_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"text": ["a" * 1_001], "label": "x"}).write_parquet(path)
    assert refusal(path, SMALL).where.endswith("column 'text'")


def test_a_column_that_is_not_read_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"text": ["a"], "label": "x", "vector": ["b" * 3_000_000]}).write_parquet(path)
    assert read_with(str(path), text="text", label="label", limits=SMALL).rows.height == 1


def test_limits_hold_for_a_file_of_a_store(tmp_path: Path) -> None:
    folder = UPath("memory://limits")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_bytes(b"text,label\n" + (b"a" * 900 + b",x\n") * 1_200)
    buffer = BytesIO()
    pl.DataFrame({"text": [f"{n:0500}" for n in range(9_000)], "label": "x"}).write_parquet(
        buffer, compression="uncompressed"
    )
    (folder / "rows.parquet").write_bytes(buffer.getvalue())
    for name in ("rows.csv", "rows.parquet"):
        assert "it holds more than 1 MB" in refusal(f"memory://limits/{name}", SMALL).what


def test_the_byte_of_another_encoding_is_found_without_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = b"text,label\n" + (b"a" * 900 + "caf\u00e9,x\n".encode()) * 4_000
    path.write_bytes(lines + b"caf\xe9,y\n")
    refused = refusal(path)
    assert f"byte 0xe9 at offset {len(lines) + 3} is not utf-8" in refused.what
    assert refused.where.endswith("line 4002")
