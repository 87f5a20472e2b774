"""Query and document become one text wherever rows are read, and stay apart in it."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer

from orchestration.inbox import QUERY, TEXT, example
from stillhouse.data.dropped import read_dropped
from stillhouse.data.golden_file import read_golden_file
from stillhouse.data.one_text import spelled
from stillhouse.data.pairs import joined, parts_of
from stillhouse.data.privacy import personal_values
from stillhouse.data.prompt_set import later_prompt_set, split_rows
from stillhouse.data.sources import RowColumns, read_rows
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import SEPARATOR, DataSpec, SplitSpec
from stillhouse.recipe.reading import read_recipe
from stillhouse.stages.prompts import _encoders_of_members, _require_a_separator
from tests.small import small_teacher
from tests.stillhouse.recipe.test_answer_kinds import AWAY
from tests.stillhouse.recipe.test_numbers import PAIRS, recipe
from tests.stillhouse.recipe.test_reading import ELSEWHERE, MEMBER

COLUMNS = RowColumns("document", "relevance", query="query")
ROWS = pl.DataFrame(
    {
        "query": ["who", " who ", "", None, "where", "where", "\u200b", "where"],
        "document": ["a king", "a  queen", "a city", "a town", " ", None, "a city", "\u00ad \u200b"],
        "relevance": ["1", "2", "3", "1", "2", "3", "1", "2"],
    }
)


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet"])
def test_a_row_without_one_of_the_two_has_no_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    getattr(ROWS, f"write_{ending}")(path)
    read = read_rows(str(path), COLUMNS).rows
    assert read["text"].to_list() == [f"who {SEPARATOR} a king", f" who  {SEPARATOR} a  queen", *[None] * 6]
    assert spelled(read["text"][1]) == f"who {SEPARATOR} a queen"


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    ROWS.drop("query").write_csv(tmp_path / "rows.csv")
    with pytest.raises(UnknownColumnError, match="query"):
        read_rows(str(tmp_path / "rows.csv"), COLUMNS)


def test_a_pair_is_taken_apart_where_it_was_joined() -> None:
    assert parts_of(f"who {SEPARATOR} a king {SEPARATOR} or not") == ("who", f"a king {SEPARATOR} or not")
    assert parts_of("a king") == ("", "a king")


def test_the_tokenizer_puts_its_own_separator_between_the_two(tmp_path: Path) -> None:
    """Whatever the query ends with: the token in the middle is the one that ends a text."""
    tokenizer = Tokenizer.from_file(str(small_teacher(tmp_path) / "tokenizer.json"))
    tokenizer.no_padding()
    separator = tokenizer.token_to_id(SEPARATOR)
    for query in ("who", "who [", "who [SE", "wer ?"):
        ids = tokenizer.encode(f"{query} {SEPARATOR} a king").ids
        alone = [tokenizer.encode(text, add_special_tokens=False).ids for text in (query, "a king")]
        assert ids[1:-1] == [*alone[0], separator, *alone[1]] and ids[-1] == separator


RANKED = DataSpec(
    source="rows.csv", text="document", query="query", label="relevance", licence="own", answer="score",
    score={"lowest": 0, "highest": 3, "tolerance": 0.5},  # type: ignore[arg-type]
)  # fmt: skip
SPLIT = SplitSpec(key="k", golden_share=0.3, validation_share=0.2)


def rows_of(pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """As they are read, each labelled otherwise than the one before."""
    queries, documents = zip(*pairs, strict=True)
    frame = pl.DataFrame({"query": queries, "document": documents})
    text = joined(pl.col("query"), pl.col("document")).alias("text")
    label = (pl.int_range(pl.len()) % 4).cast(pl.String).alias("label")
    return frame.select("query", text, label, pl.lit("base").alias("batch"))


def test_all_documents_of_a_query_go_to_one_side() -> None:
    rows = rows_of([(f"query {number // 6}", f"document {number} of {number * 7919}") for number in range(600)])
    assert RANKED.group == "query", "unless the recipe names another one"
    made = split_rows(rows, RANKED, SPLIT, where="here")
    sides = made.prompts.group_by("query").agg(pl.col("split").n_unique())
    assert sides["split"].max() == 1 and set(made.prompts["split"]) == {"train", "validation", "golden"}


def test_one_query_is_on_one_side_however_it_is_written() -> None:
    """Regression: in other case, or with two blanks, it was another query, of which one taught and the other judged."""
    spellings = ("Who rules city {}", "who rules city {}", "who  rules city {}", "who\u200b rules city {}")
    pairs = [
        (spelling.format(city), f"{word} {city * 7919} {word}")
        for city in range(100, 200)
        for spelling, word in zip(spellings, ("king", "mayor", "nobody", "council"), strict=True)
    ]
    made = split_rows(rows_of(pairs), RANKED, SPLIT, where="here")
    sides = made.prompts.group_by(pl.col("text").str.to_lowercase().str.extract(r"(city \d+)")).agg(
        pl.col("split").n_unique(), pl.col("query").n_unique(), pl.len().alias("rows")
    )
    assert (sides["split"].max(), sides["query"].max(), sides["rows"].min()) == (1, 1, 4)


def test_the_queries_that_travel_along_hold_no_more_of_people_than_the_texts() -> None:
    """Regression: a gate that nobody can waive closed on the first query with an address."""
    key = "AKIA" + "QWERTYUIOPASDFGH"
    asked = ["Who is Ann.Lee@Example.org ?", f"Is {key} a key ?", "call +1 415 555 2671 ?"]
    pairs = [(query, f"{word} {number}") for query in asked for number, word in enumerate(("king", "city", "nobody"))]
    made = split_rows(rows_of([*pairs, *OTHERS]), RANKED, SPLIT, where="here")
    queries = made.prompts["query"]
    assert personal_values(queries) == {} and queries.n_unique() == 3 + len({query for query, _ in OTHERS})
    everything = " ".join([*queries, *made.prompts["text"], *made.rejects["text"]]).lower()
    assert not [left for left in ("lee", key.lower(), "2671") if left in everything]
    assert made.redacted == {"credential": 3, "email": 3, "phone": 3}, "each as often as it is in the texts"


OTHERS = [(f"what is {word}", f"{word} {number * 7919}") for word in ("one", "two") for number in range(3)]
PASSAGE = " ".join(f"word{number * 7919}" for number in range(60))
LONG_QUERY = " ".join(f"asked{number * 104729}" for number in range(40))
ALL_JUDGE = SplitSpec(key="k", golden_share=0.5, validation_share=0.5)


def test_one_document_of_several_queries_stays_with_each_and_so_do_documents_of_a_long_query() -> None:
    """Regression: the longer part decided, so that a passage stayed with one query, and a long query kept one of its
    documents."""
    shared = [(query, PASSAGE) for query in ("who is the king", "where is the city", "why not")]
    short = [(LONG_QUERY, document) for document in ("a king", "the city", "nobody at all")]
    made = split_rows(rows_of([*shared, *short, *OTHERS]), RANKED, ALL_JUDGE, where="here")
    kept = set(made.prompts["text"])
    assert {f"{query} {SEPARATOR} {document}" for query, document in [*shared, *short]} <= kept
    assert made.rejects.is_empty()


def test_pairs_that_are_nearly_alike_in_both_parts_are_one(tmp_path: Path) -> None:
    one, other = ("who is the king", PASSAGE), ("Who is the kings?", f"{PASSAGE}, too")
    near = [one, other, (f"{LONG_QUERY}!", "???"), (LONG_QUERY, "?")]
    made = split_rows(rows_of([*near, *OTHERS]), RANKED, ALL_JUDGE, where="here")
    assert made.rejects["reason"].to_list() == ["near duplicate"] * 2
    taught = split_rows(rows_of([one, *OTHERS]), RANKED, ALL_JUDGE, where="here").prompts.with_columns(
        split=pl.lit("train")
    )
    read = read_recipe(recipe(tmp_path, data=PAIRS, stress=None)).recipe
    later = later_prompt_set(rows_of([other, ("where is the city", PASSAGE)]), taught, read)
    assert later.rejects["reason"].to_list() == ["near duplicate"] and later.prompts["query"].to_list() == [
        "where is the city"
    ]


def test_golden_files_have_pairs_as_well(tmp_path: Path) -> None:
    path = recipe(tmp_path, data={**PAIRS, "golden": str(tmp_path / "g.csv")}, stress=None)
    pl.DataFrame({"query": ["who"], "document": ["a king"], "relevance": ["4.5"]}).write_csv(tmp_path / "g.csv")
    read = read_golden_file(read_recipe(path))
    assert read.rows.select("text", "label", "query").row(0) == (f"who {SEPARATOR} a king", "4.5", "who")


@pytest.mark.parametrize("has_one", [True, False])
def test_a_tokenizer_without_a_separator_is_refused_before_anything_is_trained(tmp_path: Path, has_one: bool) -> None:
    described = {"added_tokens": [{"id": 0, "content": SEPARATOR if has_one else "</s>"}]}
    (tmp_path / "kept").write_text(json.dumps(described))
    builds: Any = SimpleNamespace(store=SimpleNamespace(kept=lambda digest: tmp_path / digest))
    if has_one:
        _require_a_separator(builds, {"tokenizer.json": "kept"}, "defs.yaml:3")
        return
    with pytest.raises(StillhouseError, match=r"defs.yaml:3: .* has no token \[SEP\]"):
        _require_a_separator(builds, {"tokenizer.json": "kept"}, "defs.yaml:3")


def test_members_of_an_ensemble_that_read_pairs_are_looked_at_as_well(tmp_path: Path) -> None:
    own = {**MEMBER, "source": "bert", "revision": "test"}
    members = {"mine": own, "kept": ELSEWHERE, "other": {**own, "source": "roberta"}}
    teacher = {"kind": "ensemble", "ensemble": {"members": members, "combine": "mean"}, "minimum_accuracy": 0.5,
               "reason": "Three see more than one."}  # fmt: skip
    read = read_recipe(recipe(tmp_path, data=PAIRS, stress=None, **{**AWAY, "teacher": teacher})).recipe
    names = ("tokenizer.json", "config.json")
    kept = {f"{source}@test/{name}": f"{source} {name}" for source in ("bert", "roberta") for name in names}
    contract = SimpleNamespace(manifest=SimpleNamespace(external_inputs=kept))
    builds: Any = SimpleNamespace(inputs_of=lambda artifact, stage: [contract])
    found = _encoders_of_members(builds, SimpleNamespace(), read)  # type: ignore[arg-type]
    assert found == {
        "mine": {name: f"bert {name}" for name in names}, "other": {name: f"roberta {name}" for name in names},
    }  # fmt: skip


def test_the_example_of_a_dropped_file_has_both_columns(tmp_path: Path) -> None:
    read = read_recipe(recipe(tmp_path, data=PAIRS, stress=None)).recipe
    (tmp_path / "dropped.csv").write_text(example(read))
    rows = read_dropped(read, "dropped.csv", tmp_path / "dropped.csv", batch="b").rows
    assert rows["text"].to_list() == [f"{QUERY} {SEPARATOR} {TEXT}"] and rows["query"].to_list() == [QUERY]


def test_a_dropped_file_without_queries_is_refused_with_the_field_that_names_them(tmp_path: Path) -> None:
    read = read_recipe(recipe(tmp_path, data=PAIRS, stress=None)).recipe
    pl.DataFrame({"document": ["a king"], "relevance": ["1"]}).write_csv(tmp_path / "dropped.csv")
    with pytest.raises(StillhouseError, match=r"data\.query"):
        read_dropped(read, "dropped.csv", tmp_path / "dropped.csv", batch="b")
