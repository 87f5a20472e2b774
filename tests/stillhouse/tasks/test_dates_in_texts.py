"""A date is read by its form, and where that has two readings only as a recipe says."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks.dates_in_texts import readings_of_date


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-30", "2026/11/30", "2026.11.30", "30.11.2026", "30. 11. 2026", "30/11/2026", "30-11-2026",
        "11/30/2026",
        "30 November 2026", "30. November 2026", "30th of November 2026", "30 Nov. 2026", "30-Nov-2026",
        "30 NOVEMBER, 2026", "November 30, 2026", "Nov. 30th, 2026", "Nov . 30 , 2026", "nov 30 2026",
    ],
)  # fmt: skip
def test_a_date_that_can_be_read_in_one_way_has_one_spelling(written: str) -> None:
    for order in (None, "day_first", "month_first"):
        assert readings_of_date(written, order) == ("2026-11-30",), "a recipe decides nothing that the form says"


@pytest.mark.parametrize("written", ["11/12/2026", "11.12.2026", "11-12-2026", "11. 12. 2026"])
def test_a_date_that_can_be_read_in_two_ways_is_read_as_the_recipe_says(written: str) -> None:
    assert readings_of_date(written, None) == ("2026-12-11", "2026-11-12")
    assert readings_of_date(written, "day_first") == ("2026-12-11",)
    assert readings_of_date(written, "month_first") == ("2026-11-12",)


@pytest.mark.parametrize(
    "written",
    [
        "", "tomorrow", "30 November", "30.11.26", "30.11-2026", "31 November 2026", "31.02.2026", "13/13/2026",
        "30 Octember 2026", "0 May 2026", "2026", "2026-11-30T10:00", "30 November 0026", "20261130", "30 11 2026",
        f"30{' ' * 40}November 2026",
    ],
)  # fmt: skip
def test_what_is_no_date_has_no_reading(written: str) -> None:
    assert readings_of_date(written, None) == readings_of_date(written, "day_first") == ()


@given(day=st.dates(min_value=date(1000, 1, 1), max_value=date(2999, 12, 31)))
def test_however_people_write_a_day_it_is_the_same(day: date) -> None:
    said, year = day.isoformat(), f"{day.year:04d}"
    for written in (said, f"{day:%B} {day.day}, {year}", f"{day.day} {day:%b} {year}", f"{day.day}. {day:%B} {year}"):
        assert readings_of_date(written, None) == (said,), written
    assert said in readings_of_date(f"{day.day}/{day.month}/{year}", None)
    assert readings_of_date(f"{day.day}.{day.month}.{year}", "day_first") == (said,) or day.month > 12
    assert set(readings_of_date(f"{day.month}/{day.day}/{year}", "month_first")) == {said}
