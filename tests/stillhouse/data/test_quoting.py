"""What is quoted from a row holds no personal data, no credentials and nothing that drives a terminal."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.quoting import LONGEST, quotable, quoted


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("HUM:ind", "HUM:ind"),
        ("ada@example.com", "[EMAIL]"),
        ("a\u200bda@exa\u00admple.com", "[EMAIL]"),
        ("4111 1111 1111 1111", "[CARD]"),
        ("4111\u200b1111 11111111", "[CARD]"),
        ("\x1b[2J\x1b]0;every gate is open\x07", "[2J]0;every gate is open"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("\u202eevil\u202c", "evil"),
        ("http://user:hunter2@host/x?sig=hunter2", "http://***@host/x?sig=***"),
        (None, "None"),
        (0.25, "0.25"),
    ],
)
def test_a_value_is_quoted_without_what_must_not_be_shown(value: object, shown: str) -> None:
    assert quoted(value) == shown


def test_a_long_value_is_cut_after_the_search_so_that_no_half_of_an_address_stays() -> None:
    said = quoted("x " * 36 + "ada@example.com and more")
    assert len(said) == LONGEST and said.endswith("[EMAI...")


@pytest.mark.long
@given(st.text())
def test_a_quote_is_one_short_line_and_quoting_it_again_changes_nothing(text: str) -> None:
    said = quoted(text)
    assert len(said) <= LONGEST and len(said.splitlines()) <= 1 and "\x1b" not in said
    assert quoted(said) == said


def test_evidence_is_cleaned_however_deep_and_what_is_no_text_stays() -> None:
    page = Path("/home/ada@example.com/page.html")
    row = {"kind": "ada@example.com", "rows": 3, "share": 0.5, "label": None}
    assert quotable({"rows": [row], "file": page, "hosts": ("8.8.8.8",)}) == {
        "rows": [{**row, "kind": "[EMAIL]"}],
        "file": page,
        "hosts": ["[IP]"],
    }
    assert quotable({"ada@example.com": 1}) == {"[EMAIL]": 1}
