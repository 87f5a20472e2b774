"""One spelling of a set of labels, whatever a cell looks like; and what carries a label."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks import label_names, one_name_a_row
from stillhouse.tasks.label_sets import (
    NoLabelSetError,
    carries,
    carries_any,
    is_written_set,
    names_in_cell,
    names_of,
    written_set,
)

NAMES = st.text(min_size=1, max_size=6).map(str.strip).filter(lambda name: name and not name.startswith("["))


@pytest.mark.parametrize(
    ("cell", "set_"),
    [
        ("refund;legal", '["legal","refund"]'),
        (" refund ; legal ; ", '["legal","refund"]'),
        ("refund", '["refund"]'),
        ('["refund", "legal", "refund"]', '["legal","refund"]'),
        ("[]", "[]"),
        ("[3, 12]", '["12","3"]'),
        ('["a;b"]', '["a;b"]'),
        ('["B","a"]', '["B","a"]'),
        ('["größe"]', '["größe"]'),
    ],
)
def test_a_cell_is_read_as_its_one_spelling(cell: str, set_: str) -> None:
    assert written_set(names_in_cell(cell)) == set_
    assert is_written_set(set_)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("[refund", "JSON list"),
        ("[refund]", "JSON list"),
        ("['refund']", "JSON list"),
        ("refund;;legal", "empty"),
        (";", "empty"),
        ('["refund", ""]', "empty"),
        ('["refund", null]', "neither"),
        ('["refund", 1.5]', "neither"),
        ('["refund", true]', "neither"),
        ('[["refund"]]', "neither"),
        ('["[refund"]', "bracket"),
        ("[" * 10_000, "JSON list"),
    ],
)
def test_a_cell_that_is_no_set_says_why(cell: str, why: str) -> None:
    with pytest.raises(NoLabelSetError, match=why):
        names_in_cell(cell)


@given(st.sets(NAMES, max_size=5))
def test_a_set_is_read_back_from_its_spelling_and_from_no_other(names: set[str]) -> None:
    spelled = written_set(names)
    assert set(names_of(spelled)) == names == set(names_in_cell(spelled)) and is_written_set(spelled)
    assert is_written_set(json.dumps(sorted(names, reverse=True), separators=(",", ":"), ensure_ascii=False)) is (
        len(names) < 2
    )


@given(st.lists(st.sets(NAMES, max_size=4), min_size=1, max_size=8), st.sets(NAMES, min_size=1, max_size=3))
def test_a_column_carries_a_label_where_its_sets_have_it(sets: list[set[str]], wanted: set[str]) -> None:
    """Whatever quotes, commas, brackets and backslashes are in the names."""
    cells = pl.Series("label", [*(written_set(each) for each in sets), None])
    found = cells.to_frame().select(carries_any(pl.col("label"), wanted, are_sets=True))["label"].to_list()
    assert found == [*(bool(each & wanted) for each in sets), None]
    assert found[:-1] == [carries(cell, wanted, is_set=True) for cell in cells[:-1]]


def test_a_name_inside_a_longer_name_is_not_carried() -> None:
    sets = [["refund"], ["no refund"], ['x","refund'], ["refund,"], []]
    cells = pl.Series("label", [written_set(each) for each in sets])
    found = cells.to_frame().select(carries_any(pl.col("label"), ["refund"], are_sets=True))["label"].to_list()
    assert found == [True, False, False, False, False]


def test_a_quote_that_ends_a_name_begins_none() -> None:
    cells = pl.Series("label", [written_set(each) for each in (["x,", ",b"], [",", "b"], ["a", ","], ["a\\", ",x"])])
    found = cells.to_frame().select(carries_any(pl.col("label"), [","], are_sets=True))["label"].to_list()
    assert found == [carries(each, [","], is_set=True) for each in cells] == [False, True, True, False]


@pytest.mark.parametrize("wanted", ["refund", "1", '["refund"]', "[1]", "refund;legal"])
def test_a_class_carries_itself_alone(wanted: str) -> None:
    """Also where it looks like a list, or has a semicolon."""
    cells = pl.Series(
        "label", ["refund", "refund legal", '["refund"]', '["legal","refund"]', "[1]", "refund;legal", None]
    )
    found = cells.to_frame().select(carries_any(pl.col("label"), [wanted], are_sets=False))["label"].to_list()
    assert found == [*(each == wanted for each in cells[:-1]), None]
    assert found[:-1] == [carries(each, [wanted], is_set=False) for each in cells[:-1]]


def test_rows_are_counted_by_label_and_not_by_set() -> None:
    rows = pl.DataFrame({"label": ['["a","b"]', "[]", None, '["b"]'], "at": [0, 1, 2, 3]})
    assert label_names("multi_label", rows["label"]) == ("a", "b")
    assert one_name_a_row("multi_label", rows).rows() == [("a", 0), ("b", 0), ("b", 3)]
    assert one_name_a_row("multi_label", rows[1:3]).rows() == []
    assert one_name_a_row("single_label", rows).height == 3
    assert label_names("single_label", rows["label"]) == ('["a","b"]', '["b"]', "[]")
