"""Of what callers send beside a text the words of the recipe are kept, and nothing else."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.live.columns import KeptColumns, as_sent, columns_sent, is_in_slice, value_sent
from stillhouse.recipe.bar import SliceSpec
from tests.small import small_recipe

SLICES = [
    {"name": "by_post", "column": "channel", "values": ["post", "fax"], "critical": True},
    {"name": "by_app", "column": "channel", "values": ["app"], "critical": False},
    {"name": "abroad", "column": "region", "values": ["null", 'a "quote" é'], "critical": False},
    {"name": "people", "column": "label", "values": ["HUM"], "critical": False},
]
KEPT = KeptColumns({"channel": frozenset({"post", "fax", "app"}), "region": frozenset({"null", 'a "quote" é'})})


def test_what_may_be_kept_are_the_values_of_slices_of_columns_that_callers_send(tmp_path: Path) -> None:
    sent = {"request_columns": ["channel", "region"]}
    assert KeptColumns.of(small_recipe(tmp_path, rows=60, slices=SLICES, serving=sent).recipe) == KEPT
    by_cascade = small_recipe(tmp_path, rows=60, slices=SLICES, cascade={"margin": 0.05, **sent})
    assert KeptColumns.of(by_cascade.recipe) == KEPT
    assert KeptColumns.of(small_recipe(tmp_path, rows=60, slices=SLICES).recipe) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"channel": "post", "region": "null"}, {"channel": "post", "region": "null"}),
        ({"channel": "jane.doe@example.org"}, {"channel": None}),
        ({"jane.doe@example.org": "post", "channel": "POST"}, {"channel": None}),
        ({"region": "post"}, {"region": None}),
        ({"label": "HUM", "customer": "Jane Doe"}, {}),
        ({}, {}),
    ],
)
def test_any_other_value_and_any_other_column_is_not_kept(sent: dict[str, str], kept: dict[str, str | None]) -> None:
    assert json.loads(KEPT.written(sent)) == kept


@given(st.dictionaries(st.one_of(st.sampled_from(["channel", "region"]), st.text()), st.text(), max_size=4))
def test_whatever_is_sent_no_word_but_those_of_the_recipe_is_written(sent: dict[str, str]) -> None:
    written = json.loads(KEPT.written(sent))
    assert written.keys() <= KEPT.values.keys()
    assert all(value is None or value in KEPT.values[column] for column, value in written.items())


def test_what_is_kept_is_read_as_it_was_sent() -> None:
    sent = [{"region": "null"}, {"region": 'a "quote" é'}, {"region": "Paris"}, {}]
    rows = pl.DataFrame({"columns": [*(KEPT.written(each) for each in sent), None]})
    assert rows.select(value_sent("region")).to_series().to_list() == ["null", 'a "quote" é', None, None, None]
    assert [columns_sent(each) for each in rows["columns"]] == [*sent[:2], {"region": ""}, {}, None]
    abroad = SliceSpec(name="abroad", column="region", values=("null",), critical=False)
    assert rows.filter(is_in_slice(abroad, "label", are_sets=False)).height == 1


def test_rows_that_have_the_columns_are_as_their_callers_would_have_sent_them() -> None:
    rows = pl.DataFrame({"channel": ["post", None], "region": [1, 2], "columns": ["x", "y"]})
    sent = as_sent(rows, ["channel", "region", "missing"]).to_frame()
    assert sent.select(value_sent("channel"), value_sent("region")).rows() == [("post", "1"), (None, "2")]
    assert as_sent(rows, ["columns"]).to_list() == ['{"columns":"x"}', '{"columns":"y"}']
    assert as_sent(rows, ["missing"]).to_list() == [None, None]
    assert as_sent(rows[:0], ["channel"]).to_list() == []
