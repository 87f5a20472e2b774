"""A word is what people read as one, and a value has one place: the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.tasks.words import first_place, run_at, spans_of_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pay Acme Ltd. 12.50 EUR, by 2026-11-30!", "Pay|Acme|Ltd|.|12.50|EUR|,|by|2026-11-30|!"),
        ("O'Neill\u2019s ada@example.org 1,234.5", "O'Neill\u2019s|ada@example.org|1,234.5"),
        ("€12 (net)", "€|12|(|net|)"),
        ("Müller & Söhne", "Müller|&|Söhne"),
        ("a...b", "a|.|.|.|b"),
        ("", ""),
        ("हिन्दी का बैंक", "हिन्दी|का|बैंक"),
        ("مُحَمَّد می\u200cشود", "مُحَمَّد|می\u200cشود"),
        ("who \u0301 x\u0301.y\u0301.", "who|\u0301|x\u0301.y\u0301|."),
        ("\u2764\ufe0f Acme", "\u2764\ufe0f|Acme"),
    ],
)
def test_words_are_what_people_read_as_one(text: str, words: str) -> None:
    assert words_of(text) == (words.split("|") if words else [])


@given(text=st.text(max_size=40))
def test_words_and_blanks_are_all_that_there_is_in_a_text(text: str) -> None:
    spans = spans_of_words(text)
    assert [text[start:end] for start, end in spans] == words_of(text)
    between = "".join(
        text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), 0)], strict=True)
    )
    assert not between.strip(), "no character that can be seen is outside of words"


@given(text=st.text(min_size=1, max_size=30), first=st.integers(0, 9), length=st.integers(1, 4))
def test_a_run_is_found_where_the_text_has_its_words_first(text: str, first: int, length: int) -> None:
    run = run_at(text, first, length)
    words = words_of(text)
    if run is None:
        assert first >= len(words)
        return
    place = first_place(words, words_of(run))
    assert place is not None and place <= first
    assert words[place : place + len(words_of(run))] == words[first : first + length]


def test_the_same_spelling_goes_before_another_case() -> None:
    words = words_of("the acme of Acme")
    assert first_place(words, ["Acme"]) == 3 and first_place(words, ["ACME"]) == 1
    assert first_place(words, ["of", "acme"]) == 2 and first_place(words, ["acme", "acme"]) is None
