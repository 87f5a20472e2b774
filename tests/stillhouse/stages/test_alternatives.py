"""Alternatives: what a batch has answered for a teacher has a price and no duration."""

import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.stages.alternatives import timed


def test_answers_of_a_batch_are_not_taken_for_instant_ones() -> None:
    assert timed(pl.Series([None, 120.0, None, 80.0]), "recipe:3") == [120.0, 80.0]
    with pytest.raises(StillhouseError, match=r"recipe:3: all that this model .* in a batch"):
        timed(pl.Series([None, None], dtype=pl.Float32), "recipe:3")
