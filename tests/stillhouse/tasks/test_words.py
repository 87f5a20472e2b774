"""A word is what people read as one, and a value has one place: the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.one_text import spelled
from stillhouse.tasks.words import (
    first_place,
    plainly_spelled,
    run_at,
    runs_at_several_places,
    spans_of_words,
    words_in_pieces,
    words_of,
)


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


def test_a_run_that_stands_at_several_places_has_all_of_them_the_first_one_first() -> None:
    found = runs_at_several_places(words_of("Pay Acme Ltd 5 to Acme Ltd Acme"), 2)
    assert found == [[(1, 1), (5, 1), (7, 1)], [(1, 2), (5, 2)], [(2, 1), (6, 1)]]
    assert runs_at_several_places(words_of("Pay Acme Ltd"), 2) == runs_at_several_places([], 2) == []
    assert runs_at_several_places(["acme", "Acme"], 2) == [], "of another case it is another run"


def test_each_word_begins_in_the_piece_that_has_its_first_character() -> None:
    text = "Pay 12.50 \u0301 to it"
    pieces = [(0, 0), (0, 3), (4, 6), (6, 9), (12, 17), (0, 0)]  # none for the accent, and one for two words
    assert words_in_pieces(text, pieces) == [0, 1, 2, 0, 4, 0]
    assert words_in_pieces("", [(0, 0), (0, 0)]) == [0, 0]


@given(text=st.text(max_size=40))
def test_a_text_is_spelled_as_it_is_asked(text: str) -> None:
    assert plainly_spelled(text) == spelled(text) and plainly_spelled(plainly_spelled(text)) == plainly_spelled(text)
