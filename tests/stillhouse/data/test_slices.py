"""Which rows are in which slice."""

import polars as pl
import pytest

from stillhouse.data.slices import slice_masks
from stillhouse.errors import StillhouseError

PROMPTS = pl.DataFrame({"region": ["north", "south", None, "north"], "label": ["x", "y", "x", None]})


def test_a_mask_is_true_where_the_column_has_one_of_the_values() -> None:
    masks = slice_masks(PROMPTS, [("north", "region", ["north"]), ("any", "label", ["x", "y"]), ("none", "region", [])])
    assert {name: mask.to_list() for name, mask in masks.items()} == {
        "north": [True, False, False, True],
        "any": [True, True, True, False],
        "none": [False, False, False, False],
    }


def test_an_unknown_column_is_refused_by_field() -> None:
    with pytest.raises(StillhouseError, match=r"recipe\.slices\.n.column: there is no column 'regio'; .*mean 'region'"):
        slice_masks(PROMPTS, [("n", "regio", ["north"])], where="recipe.slices")


def test_two_slices_of_one_name_are_refused() -> None:
    with pytest.raises(StillhouseError, match="two slices have this name"):
        slice_masks(PROMPTS, [("n", "region", ["north"]), ("n", "region", ["south"])])
