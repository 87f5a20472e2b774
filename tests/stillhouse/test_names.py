"""Names and reasons: what cannot be read is refused, and one person under two spellings is one person (B12, B15)."""

import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.names import account, clean_name, clean_reason, same_person

AUTHOR = "Grace Hopper <grace@example.org>"


@pytest.mark.experiment("B15", "B12")
@pytest.mark.parametrize(
    "name",
    [
        "Gr\N{CYRILLIC SMALL LETTER A}ce Hopper",
        "\N{GREEK CAPITAL LETTER ALPHA}nn Lee",
        "Ann <\N{CYRILLIC SMALL LETTER A}nn@example.org>",
        "Grace\N{ZERO WIDTH SPACE} Hopper",
        "\N{RIGHT-TO-LEFT MARK}Grace Hopper",
        "\N{RIGHT-TO-LEFT OVERRIDE}reppoH ecarG",
        "Grace\x1b[2J Hopper",
        "Grace\nHopper",
        "\N{HANGUL FILLER}\N{HANGUL FILLER}",
        "Grace\N{VARIATION SELECTOR-16} Hopper",
        "\N{BRAILLE PATTERN BLANK}\N{BRAILLE PATTERN BLANK}x",
        "...",
        "x",
        "x" * 201,
    ],
)
def test_a_name_that_deceives_or_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(StillhouseError) as refused:
        clean_name(name)
    assert str(refused.value).isascii() and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}nn   Lee", "Ann Lee"),
        ("Jose\N{COMBINING ACUTE ACCENT} Ruiz", "Jos\N{LATIN SMALL LETTER E WITH ACUTE} Ruiz"),
        ("\u0418\u0432\u0430\u043d <ivan@example.org>", "\u0418\u0432\u0430\u043d <ivan@example.org>"),
        ("\u5c71\u7530 \u592a\u90ce", "\u5c71\u7530 \u592a\u90ce"),
    ],
)
def test_a_name_of_any_one_alphabet_is_kept_in_its_normal_form(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept


@pytest.mark.experiment("B12")
@pytest.mark.parametrize("reason", ["." * 11, "\N{ZERO WIDTH SPACE}" * 12, "aaaaaaaaaaaa", "because", "a\nb" * 9])
def test_a_reason_that_says_nothing_is_refused(reason: str) -> None:
    with pytest.raises(StillhouseError):
        clean_reason(reason)


@pytest.mark.experiment("B15")
@pytest.mark.parametrize(
    "name",
    [
        "grace hopper",
        "Hopper, Grace",
        "Grace B. Hopper",
        "Grace Brewster Hopper",
        "G. Hopper",
        "Dr. Grace Hopper",
        "Grac\N{LATIN SMALL LETTER E WITH ACUTE} Hopper",
        "\N{FULLWIDTH LATIN CAPITAL LETTER G}race Hopper",
        "Gr\N{CYRILLIC SMALL LETTER A}c\N{CYRILLIC SMALL LETTER IE} H0pper",
        "Somebody Else <grace+other@example.org>",
        "mailto:grace@example.org",
        "GRACE@EXAMPLE.ORG",
        "grace.hopper@elsewhere.org",
    ],
)
def test_the_author_is_known_under_another_spelling(name: str) -> None:
    assert same_person(AUTHOR, name) and same_person(name, AUTHOR)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann Lee <ann@example.org>", "Bob Lee <bob@example.org>"),
        ("Ann Lee", "Bob Lee"),
        (AUTHOR, "Ada Lovelace <ada@example.org>"),
        ("team:tests", "Ada"),
        ("", "Ada"),
    ],
)
def test_two_people_are_two(one: str, other: str) -> None:
    assert not same_person(one, other) and not same_person(other, one)


@pytest.mark.long
@given(st.text(min_size=1, max_size=40))
def test_a_name_is_refused_or_keeps_its_normal_form_and_is_the_person_itself(name: str) -> None:
    try:
        kept = clean_name(name)
    except StillhouseError:
        return
    assert clean_name(kept) == kept and kept.isprintable()
    if any(letter.isalpha() for letter in kept):
        assert same_person(kept, kept)


def test_the_account_is_the_one_of_the_system_and_not_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody else")
    assert account() == f"{pwd.getpwuid(os.getuid()).pw_name} ({os.getuid()})"

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert account() == f"({os.getuid()})"
