"""Cells with several labels become sets of one spelling, whatever file they are in; what is none is a reject."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import label_problems
from stillhouse.data.leakage import proxies_of_sets
from stillhouse.data.prompt_set import split_rows
from stillhouse.data.several_labels import are_sets
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import DataSpec, SplitSpec
from stillhouse.tasks.label_sets import LABELS_AT_MOST, written_set

CELLS = ["refund;legal", "refund", "[]", '["legal", "refund"]', "", "  Legal ; refund;", " refund\u200b; legal "]
SETS = [
    '["legal","refund"]',
    '["refund"]',
    "[]",
    '["legal","refund"]',
    None,
    '["Legal","refund"]',
    '["legal","refund"]',
]


def read(path: Path, **how: object) -> SourceRead:
    return read_rows(str(path), RowColumns("text", "labels"), answer="multi_label", **how)  # type: ignore[arg-type]


def texts(rows: int) -> list[str]:
    return [f"text {number}" for number in range(rows)]


def test_every_format_gives_the_same_sets(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": texts(len(CELLS)), "labels": CELLS})
    frame.write_csv(tmp_path / "rows.csv")
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.write_ndjson(tmp_path / "rows.ndjson")
    for name in ("rows.csv", "rows.parquet", "rows.ndjson"):
        found = read(tmp_path / name)
        assert found.rows["label"].to_list() == SETS and found.rejects.is_empty(), name


@pytest.mark.parametrize("ending", ["json", "ndjson", "parquet"])
def test_a_list_is_read_as_one(tmp_path: Path, ending: str) -> None:
    rows = [
        {"text": "a", "labels": ["refund", "legal"]}, {"text": "b", "labels": []}, {"text": "c", "labels": None},
        {"text": "d", "labels": ["refund"]},
    ]  # fmt: skip
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text(json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows)))
    assert read(path).rows["label"].to_list() == ['["legal","refund"]', "[]", None, '["refund"]']


def test_a_list_stays_refused_where_a_label_is_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"text": "a", "labels": ["refund", "legal"]}]))
    with pytest.raises(StillhouseError, match="multi_label"):
        read_rows(str(path), RowColumns("text", "labels"))


def test_a_cell_that_is_no_set_is_a_reject_with_its_row_and_why(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    pl.DataFrame({"text": texts(4), "labels": ["a;b", "a;;b", "a", "[a"]}).write_csv(path)
    found = read(path, kept={str(path): path})
    assert found.rows["text"].to_list() == ["text 0", "text 2"]
    assert found.rows.height + found.rejects.height == found.counted == 4
    assert found.rejects["text"].to_list() == ["text 1", "text 3"]
    assert set(found.rejects["reason"]) == {"no set of labels where one belongs"}
    first, second = found.rejects["detail"]
    assert first == "row 2, 'a;;b': a label in it is empty"
    assert second == "row 4, '[a': it begins as a JSON list and is none"


def test_a_file_of_which_no_cell_is_a_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    pl.DataFrame({"text": texts(2), "labels": ["[a", ";"]}).write_csv(path)
    with pytest.raises(StillhouseError, match=r"none of 2 records is readable; the first: no set of labels") as refused:
        read(path)
    assert "answer" in str(refused.value)


def test_spellings_are_of_labels_and_of_whole_cells(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    cells = ["Refund;legal", "none", "n/a", "refund;spam", "spam", '["Refund"]']
    pl.DataFrame({"text": texts(6), "labels": cells}).write_csv(path)
    classes = {"Refund": "refund", "none": "[]", "n/a": "", "spam": ""}
    found = read(path, classes=classes).rows["label"].to_list()
    assert found == ['["legal","refund"]', "[]", None, '["refund"]', None, '["refund"]']


@pytest.mark.parametrize("cell", ["{}", "{};", '["{}"]', '["{}","{}"]'])
@pytest.mark.parametrize(
    ("name", "found"), [("none", "[]"), ("spam", None), ("both", '["legal","refund"]'), ("Refund", '["refund"]')]
)
def test_a_label_means_the_same_alone_and_in_a_list(cell: str, name: str, found: str | None, tmp_path: Path) -> None:
    """Regression: a list of `none` was no set, one of what stands for nothing an answer, and `both` a label."""
    rows = [{"text": "a", "labels": cell.replace("{}", name)}, {"text": "b", "labels": f"{name};other"}]
    (tmp_path / "rows.ndjson").write_text("\n".join(map(json.dumps, rows)))
    classes = {"Refund": "refund", "none": "[]", "both": "legal;refund", "spam": ""}
    read_as = read(tmp_path / "rows.ndjson", classes=classes)
    beside = written_set([*json.loads(found or "[]"), "other"])
    assert read_as.rows["label"].to_list() == [found, beside] and read_as.rejects.is_empty()


def test_a_semicolon_in_a_label_of_a_list_is_part_of_its_name(tmp_path: Path) -> None:
    """Also where the recipe says which of two spellings it is, as the gate on spellings has people write it."""
    cells = ['["pay;late","legal"]', '["Pay;Late"]', '["Legal;x"]', '["gone;x","legal"]', '["late"]']
    pl.DataFrame({"text": texts(5), "labels": cells}).write_csv(tmp_path / "rows.csv")
    classes = {
        "Pay;Late": "pay;late", "pay;late": "pay;late", "Legal;x": '["legal","x"]', "gone;x": "",
        "late": '["pay;late"]',
    }  # fmt: skip
    found = read(tmp_path / "rows.csv", classes=classes).rows["label"].to_list()
    assert found == ['["legal","pay;late"]', '["pay;late"]', '["legal","x"]', '["legal"]', '["pay;late"]']


def test_half_of_a_character_costs_its_row_alone(tmp_path: Path) -> None:
    """Regression: it could not be written, and the whole source was not read."""
    pl.DataFrame({"text": ["a", "b"], "labels": ["refund", '["\\ud83d"]']}).write_csv(tmp_path / "rows.csv")
    found = read(tmp_path / "rows.csv")
    assert found.rows["label"].to_list() == ['["refund"]'] and "half of a character" in found.rejects["detail"][0]


@pytest.mark.parametrize("kind", [pl.List(pl.String), pl.Array(pl.String, 1), pl.List(pl.Categorical)])
def test_a_list_of_parquet_may_be_of_one_length(kind: pl.DataType, tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "labels": pl.Series([["refund"], None], dtype=kind)})
    frame.write_parquet(tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet").rows["label"].to_list() == ['["refund"]', None]


def sets(*names: str) -> pl.Series:
    return pl.Series("label", [written_set(each) for each in names], dtype=pl.String)


def test_a_set_seen_once_is_kept_and_one_with_a_label_seen_once_is_not() -> None:
    """Leaving `zc` out leaves `c` in one row, so that this is left out as well."""
    rows = pl.DataFrame({"text": texts(6), "label": sets("ab", "a", "b", "ba", "zc", "ca"), "batch": "base"})
    found = label_problems(rows, "multi_label", where="here")
    assert found.kept["label"].to_list() == ['["a","b"]', '["a"]', '["b"]', '["a","b"]']
    assert found.rejects["reason"].to_list() == ["label seen once"] * 2


def test_too_many_labels_are_refused_before_anything_is_computed() -> None:
    names = [f"label {number}" for number in range(LABELS_AT_MOST + 1)]
    labels = pl.Series([written_set([name]) for name in names for _ in range(2)])
    rows = pl.DataFrame({"text": texts(len(labels)), "label": labels, "batch": "base"})
    with pytest.raises(StillhouseError, match="there are 63 labels") as refused:
        label_problems(rows, "multi_label", where="rows.yaml:3")
    assert "2 to 62" in str(refused.value) and "rows.yaml:3" in str(refused.value)
    assert label_problems(rows[2:], "multi_label", where="here").kept.height == 2 * LABELS_AT_MOST


def test_one_label_alone_is_another_task() -> None:
    rows = pl.DataFrame({"text": texts(4), "label": ["[]", "[]", '["a"]', '["a"]'], "batch": "base"})
    with pytest.raises(StillhouseError, match="single_label"):
        label_problems(rows, "multi_label", where="here")


def test_an_empty_set_is_a_label_and_a_blank_cell_is_none() -> None:
    """Only labelled rows judge; copies with another set conflict, in whatever order their labels came."""
    labels = ["[]", '["a","b"]', '["a"]', '["b"]', None] * 40
    rows = pl.DataFrame({"text": [f"question number {n} about thing {n * 7}" for n in range(200)], "label": labels})
    rows = pl.concat([rows, rows[:2].with_columns(label=pl.Series(['["a"]', '["a","b"]']))]).with_columns(
        batch=pl.lit("base")
    )
    data = DataSpec(source="x.csv", text="text", label="labels", answer="multi_label", licence="research")
    made = split_rows(rows, data, SplitSpec(key="k", golden_share=0.3, validation_share=0.2), where="here")
    golden = made.prompts.filter(pl.col("split") != "train")
    assert golden["label"].null_count() == 0 and "[]" in golden["label"].to_list()
    assert dict(made.rejects["reason"].value_counts().iter_rows()).get("conflicting labels") == 2


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["a;b", "a", "b", "b;a"], True),
        (['["a"]', "[]", '["a","b"]'], True),
        (["a", "b", "c"], False),
        (["['a']", "['a', 'b']"], False),
        (["R;D", "sales"], False),
        ([], False),
    ],
)
def test_columns_of_sets_are_recognised(labels: list[str], found: bool) -> None:
    assert are_sets({label: 10 for label in labels}) is found


def test_a_word_that_gives_one_label_of_a_set_away_is_found() -> None:
    """Planted in half of its rows, beside another label that nothing gives away."""
    random = np.random.default_rng(0)
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"]
    rows = []
    for number in range(600):
        has_a, has_b = random.random() < 0.5, random.random() < 0.5
        text = " ".join(random.choice(words, 8)) + (" xq7" if has_a and number % 2 else "")
        rows.append((written_set([*("a" * has_a), *("b" * has_b)]), text))
    labels, said = (pl.Series(each) for each in zip(*rows, strict=True))
    found = proxies_of_sets(labels, said)
    assert [(proxy.label, "xq7" in proxy.marker) for proxy in found] == [("a", True)]
    clean = said.str.replace(" xq7", "", literal=True)
    assert proxies_of_sets(labels, clean) == []
