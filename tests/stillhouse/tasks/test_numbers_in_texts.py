"""A number is read by its form, and where that has two readings only as a recipe says."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks.numbers_in_texts import is_inside_a_word, number_of_json, readings_of_number

TWO = [("1,931", "1931", "1.931"), ("1.931", "1.931", "1931"), ("-12.500", "-12.5", "-12500")]
"""What has two readings: with a decimal point, and with a decimal comma."""


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1931", "1931"), ("1931.0", "1931"), ("1931.00", "1931"), ("1931,00", "1931"), ("1931.500", "1931.5"),
        ("1,931.00", "1931"), ("1.931,00", "1931"), ("1.931.000", "1931000"), ("1,931,000.5", "1931000.5"),
        ("1'931.50", "1931.5"), ("1\u2019931", "1931"), ("1 931,00", "1931"), ("12 345 678", "12345678"),
        ("12.50", "12.5"), ("12,5", "12.5"), ("0.125", "0.125"), ("0,125", "0.125"), ("12.5000", "12.5"),
        ("-12.50", "-12.5"), ("\u221212,50", "-12.5"), ("+7", "7"), ("-0.00", "0"), ("007", "7"),
    ],
)  # fmt: skip
def test_a_number_that_can_be_read_in_one_way_has_one_spelling(written: str, number: str) -> None:
    for decimal in (None, "point", "comma"):
        assert readings_of_number(written, decimal) == (number,), "a recipe decides nothing that the form says"


@pytest.mark.parametrize(("written", "with_point", "with_comma"), TWO)
def test_a_number_that_can_be_read_in_two_ways_is_read_as_the_recipe_says(
    written: str, with_point: str, with_comma: str
) -> None:
    assert set(readings_of_number(written, None)) == {with_point, with_comma}
    assert readings_of_number(written, "point") == (with_point,) and readings_of_number(written, "comma") == (
        with_comma,
    )


@pytest.mark.parametrize(
    "written",
    [
        "", "twelve", "12 EUR", "\u20ac12", "12%", "1.2.3", "1,93,1", "10:30", "2026-11-30", "12.50-13", "- 12", "12-",
        "1 93", "1.931 000", "1 2026", ".5", "5.", "1e3", "\u0661\u0662", "NaN", "9" * 41, "1,931.000,5",
    ],
)  # fmt: skip
def test_what_is_no_number_has_no_reading(written: str) -> None:
    assert readings_of_number(written, None) == readings_of_number(written, "point") == ()


@pytest.mark.parametrize(
    ("written", "number"),
    [("1931.0", "1931"), ("1.931", "1.931"), ("1e3", "1000"), ("-1.50E-2", "-0.015"), ("-0", "0"), ("0.10", "0.1"),
     ("1e999999999", None), ("1e-999999999", None), ("9" * 41, None), ("0e50", None),
     ("1e9999999999999999999", None), ("-0e-9999999999999999999", None)],
)  # fmt: skip
def test_a_number_of_json_is_read_by_the_rules_of_json(written: str, number: str | None) -> None:
    """And one that would fill a memory when it is written out is none."""
    assert number_of_json(written) == number


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_however_people_group_its_digits_a_number_is_the_same(value: Decimal) -> None:
    plain = number_of_json(str(value))
    assert plain is not None and Decimal(plain) == value
    english = f"{value:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    for written in (english, german, english.replace(",", "'"), german.replace(".", " "), f"{value:.2f}"):
        assert readings_of_number(written, None) == (plain,), written


def test_a_number_with_letters_at_it_is_inside_a_word() -> None:
    assert is_inside_a_word("12.5", "Pay EUR12.50 now", None) and is_inside_a_word("-12.5", "x-12,50EUR", None)
    assert not is_inside_a_word("12.5", "Pay EUR112.50 now", None)
