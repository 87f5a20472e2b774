"""Bins of numbers that were answered, and the traffic of a day by them."""

from pathlib import Path

import polars as pl

from stillhouse.live.number_bins import bin_names, bin_of
from stillhouse.live.segments import TrafficStore
from stillhouse.recipe.data import ScoreSpec
from stillhouse.stages.traffic import plan
from tests.stillhouse.live.made import put, rows

STARS = ScoreSpec(lowest=1, highest=5, tolerance=0.5)


def test_bins_have_names_and_a_number_on_an_edge_is_in_the_one_above() -> None:
    assert bin_names([2, 3.5]) == ("below 2", "2 to 3.5", "3.5 and above") and bin_names([-0.25]) == (
        "below -0.25", "-0.25 and above",
    )  # fmt: skip
    odd = ["1.999999", "2", "3.499999", "3.5", "1000", "-7", None, "billing", ""]
    found = pl.DataFrame({"label": odd}).select(bin_of("label", [2, 3.5]).alias("bin"))["bin"]
    assert found.to_list() == [0, 1, 1, 2, 2, 0, None, None, None]


def test_traffic_of_numbers_is_summed_up_in_tenths_and_no_number_is_kept_for_good(tmp_path: Path) -> None:
    """The last rows are of an earlier recipe, whose answers were labels, and of a model that failed."""
    store = TrafficStore(str(tmp_path / "store"), "r")
    said = ["1", "1.399999", "1.4", "3", "5", "7.25", "-2", "billing", None]
    put(store, rows(9, label=said, status=[200] * 8 + [500], confidence=None))
    (day,) = store.days()
    (tmp_path / "made").mkdir()
    facts = plan(store, day, STARS).build(tmp_path / "made")
    answers = pl.read_parquet(tmp_path / "made" / "answers.parquet").select("label", "rows")
    assert facts.answers == 9 == answers["rows"].sum()
    assert dict(answers.drop_nulls().iter_rows()) == {
        "below 1.4": 3, "1.4 to 1.8": 1, "3 to 3.4": 1, "4.6 and above": 2,
    }  # fmt: skip
    assert plan(store, day, STARS).depends_on != plan(store, day, STARS.model_copy(update={"highest": 6})).depends_on
    assert "edges" not in plan(store, day).depends_on
