"""Faults in what is declared, and in the rows as they come.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

import gzip
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.data.provenance import Traced
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CONTRACT
from tests.faults.bench import NAME, Bench, rows
from tests.faults.plants import (
    FEW,
    QUESTION,
    as_bytes,
    column,
    every,
    with_text,
)


def no_file(bench: Bench) -> RecipeFile:
    return bench.recipe(rows(FEW), data__source=str(bench.place.folder / "rows.csw"))


def moved_bar(bench: Bench) -> RecipeFile:
    return bench.recipe(bar={"margin": 0.2})


def edited_after_freezing(bench: Bench) -> RecipeFile:
    bench.must_run(bench.recipe(rows(FEW)), CONTRACT)
    return bench.recipe(rows(FEW), bar={"margin": 0.2})


HIGH_STAKES = {"stakes": "high", "author": "Grace Hopper <grace@example.com>"}


def signed_off(bench: Bench, by: str = "Ada") -> None:
    """Past the command line, which would refuse the author: straight into the ledger."""
    body = {"contract": bench.newest(CONTRACT).digest, "by": by, "reason": "I have read it.", "account": ""}
    bench.place.builds.ledger.append("sign_off", NAME, body)


def signed_off_by_its_author(bench: Bench) -> RecipeFile:
    file = bench.recipe(rows(FEW), **HIGH_STAKES)
    bench.run(file, CONTRACT)
    signed_off(bench, by="grace@example.com")
    return file


def pickle_as_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def cut_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def copy_of_teacher(bench: Bench) -> Path:
    return Path(shutil.copytree(bench.finished / "teacher", bench.place.folder / "of_its_own"))


A_WEEK_FOR_A_THOUSAND_CALLS = {
    "calls_per_month": 1000, "teacher_usd_per_1000_calls": 5, "engineering_hours": 40, "engineering_usd_per_hour": 80,
}  # fmt: skip


UNKNOWN_WITHOUT_WEIGHTS = (
    "the_weights_are_the_pinned_ones", "the_weights_have_what_the_recipe_asks", "training_fits_into_memory",
)  # fmt: skip


def mojibake(frame: pl.DataFrame) -> pl.DataFrame:
    """Spanish written as UTF-8, which the recipe says is Latin-1."""
    return with_text(pl.lit("¿Quién descubrió España en vez de : ") + QUESTION, every(10))(frame)


def parquet_cut(bench: Bench) -> RecipeFile:
    buffer = io.BytesIO()
    rows(FEW).write_parquet(buffer)
    return cut_file(bench, "rows.parquet", buffer.getvalue())


def gzip_cut(bench: Bench) -> RecipeFile:
    return cut_file(bench, "rows.csv.gz", gzip.compress(as_bytes(rows(FEW)), mtime=0))


def cut_file(bench: Bench, name: str, content: bytes) -> RecipeFile:
    path = bench.place.folder / name
    path.write_bytes(content[: len(content) // 2])
    return bench.recipe(rows(FEW), data__source=str(path))


def lines_with_a_comma_too_many(frame: pl.DataFrame) -> bytes:
    head, *lines = as_bytes(frame).splitlines(keepends=True)
    return head + b"".join(b"one, two, three, four\n" + line if n % 30 == 0 else line for n, line in enumerate(lines))


def stray_quotes(frame: pl.DataFrame) -> bytes:
    """A quote before the question of the fifth row, and one after that of the fifteenth."""
    plain = frame.filter(~QUESTION.str.contains('[",]'))
    row = pl.int_range(pl.len())
    spoilt = pl.when(row == 5).then(pl.lit('"') + QUESTION).when(row == 15).then(QUESTION + '"').otherwise("question")
    return plain.with_columns(spoilt.alias("question")).write_csv(quote_style="never").encode()


def swallowed_by_the_parser(bench: Bench) -> RecipeFile:
    bench.patch("stillhouse.data.delimited:_refuse_rows_in_a_field", lambda real: lambda *_: None)
    return bench.recipe(stray_quotes(rows(FEW)))


RIGHTS = {"rights_column": "rights", "rights_allowed": ["CC-BY-4.0"]}


PRIVACY = {"privacy_column": "privacy"}


def secret_row_through(bench: Bench) -> RecipeFile:
    def careless(real: Any) -> Any:
        # The class is written down and never compared with what the teacher may see.
        return lambda read, spec: real(
            read, spec.model_copy(update={"teacher_may_see": ("public", "internal", "personal", "secret")})
        )

    bench.patch("stillhouse.stages.source:with_provenance", careless)
    return bench.recipe(column("privacy", "public", "secret", 50)(rows(FEW)), data__provenance=PRIVACY)


def lost_while_reading(bench: Bench) -> RecipeFile:
    def losing(real: Any) -> Any:
        def traced(read: pl.DataFrame, spec: Any) -> Traced:
            whole = real(read, spec)
            return replace(whole, rows=whole.rows[:-5])

        return traced

    bench.patch("stillhouse.stages.source:with_provenance", losing)
    return bench.recipe(rows(FEW))
