"""Runs of words in which a field reads something are found, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.one_text import spelled
from stillhouse.recipe.record import FieldSpec
from stillhouse.tasks.read_values import has_letters_at_it, readings, values_in
from stillhouse.tasks.words import spans_of_words

NUMBER, DATE = (FieldSpec(kind=kind) for kind in ("number", "date"))


@pytest.mark.parametrize("field", [NUMBER, DATE])
@given(
    words=st.lists(st.sampled_from(["30.11.2026", "11", "/", "2026", ",", "May", "1", "931,00", "-", "x"]), max_size=8)
)
def test_each_run_of_a_text_is_read_by_itself(field: FieldSpec, words: list[str]) -> None:
    text = spelled(" ".join(words))
    spans = spans_of_words(text)
    found = dict(values_in(text, spans, 4, field))
    runs = {
        (first, length): text[spans[first][0] : spans[first + length - 1][1]]
        for first in range(len(spans))
        for length in range(1, 5)
        if first + length <= len(spans)
    }
    assert found == {place: read for place, run in runs.items() if (read := readings(run, field))}
    assert [*found] == sorted(found), "by their first word, and then by their length"


def test_letters_at_it_are_looked_for_at_numbers() -> None:
    assert has_letters_at_it("12.5", "Pay EUR12.50", NUMBER) and not has_letters_at_it(
        "2026-11-30", "on2026-11-30", DATE
    )
