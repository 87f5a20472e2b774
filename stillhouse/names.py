"""The names and reasons that people type: what is accepted, and when two names are of one person.

Belongs here: normal forms of names, reasons and e-mail addresses, and the account that runs this process.
Does not: what a decision means (records/governance.py).

A typed name is a claim and not an identity; docs/audit.md says so.
"""

import os
import pwd
import re
import unicodedata

from stillhouse.errors import StillhouseError

LONGEST_NAME, LONGEST_REASON = 200, 2000
FEWEST_LETTERS_OF_A_NAME, FEWEST_LETTERS_OF_A_REASON, FEWEST_DIFFERENT_LETTERS = 2, 10, 5

_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:]+@[^\s<>()\[\]\"',;:]+")
_LOOK_ALIKES = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET", "GEORGIAN"}
"""Alphabets with letters that a reader takes for those of another: one name uses one of them."""

_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Unicode calls these letters, marks or symbols, and they are drawn as nothing at all."""

_SEEN_AS = str.maketrans(
    "авсеёнһіїјкморѕтухԁԛԝАВСЕЁНІЇЈКМОРЅТУХԚԜ"  # Cyrillic
    "αβεικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"  # Greek
    "օսհո"  # Armenian  # noqa: RUF001
    "ıɑɡ01",  # noqa: RUF001
    "abceehhiijkmopstyxdqwabceehiijkmopstyxqw" + "abeikvoptuxwabezhikmnoptyx" + "ouhn" + "iagol",
)
"""What a reader takes a letter for, where whole names are written in another alphabet or with digits."""


def clean_name(name: str, *, where: str = "--by") -> str:
    """Return a person's name in its normal form (NFKC, single blanks).

    Args:
        name: as it was typed.
        where: the option or field that holds it, for the error.

    Raises:
        StillhouseError: if it is too short or too long, holds a character that cannot be seen, or mixes alphabets whose
            letters look alike.
    """
    cleaned = _visible(name, where, longest=LONGEST_NAME)
    _require(
        sum(map(str.isalnum, cleaned)) >= FEWEST_LETTERS_OF_A_NAME,
        name, where, "says too little", "a person's name", "Whoever reads the ledger in a year should understand it.",
    )  # fmt: skip
    for part in (_ADDRESS.sub(" ", cleaned), *_ADDRESS.findall(cleaned)):
        alphabets = sorted({_alphabet(letter) for letter in part if letter.isalpha()} & _LOOK_ALIKES)
        _require(
            len(alphabets) < 2,
            name, where, f"mixes the letters of {' and '.join(word.title() for word in alphabets)}",
            "a name in one alphabet", "Type the name again instead of copying it.",
        )  # fmt: skip
    return cleaned


def clean_reason(reason: str, *, where: str = "--reason") -> str:
    """Return a reason in its normal form (NFKC, single blanks).

    Raises:
        StillhouseError: if it holds a character that cannot be seen, or too few letters and digits to say anything.
    """
    cleaned = _visible(reason, where, longest=LONGEST_REASON)
    letters = [letter for letter in cleaned.casefold() if letter.isalnum()]
    _require(
        len(letters) >= FEWEST_LETTERS_OF_A_REASON and len(set(letters)) >= FEWEST_DIFFERENT_LETTERS,
        reason, where, "says too little", f"a reason with {FEWEST_LETTERS_OF_A_REASON} letters or digits or more",
        "Whoever reads the ledger in a year should understand it.",
    )  # fmt: skip
    return cleaned


def same_person(one: str, other: str) -> bool:
    """Whether two names may be of one person, so that one of them cannot decide on the work of the other.

    One e-mail address (without `+tag`), or names of which the shorter is contained in the longer: without case, accents
    and order, an initial standing for any name that begins with it, letters of other alphabets and digits standing for
    what they look like. Strict on purpose: of two people with one name a third has to approve.
    """
    if _addresses(one) & _addresses(other):
        return True
    shorter, longer = sorted((_words(one), _words(other)), key=len)
    return bool(shorter) and _contained(shorter, longer)


def account() -> str:
    """The operating system's account that runs this process, by its number and not by a variable of the shell."""
    number = os.getuid()
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:  # usual in containers: the number has no entry
        return f"({number})"


def _visible(text: str, where: str, *, longest: int) -> str:
    normal = unicodedata.normalize("NFKC", text)
    hidden = next((letter for letter in (*text, *normal) if _is_hidden(letter)), None)
    _require(
        hidden is None,
        text, where, f"holds the character U+{ord(hidden or ' '):04X}, which cannot be seen",
        "characters that can be seen", "Type it again instead of copying it.",
    )  # fmt: skip
    _require(
        len(normal) <= longest, text, where, "is too long", f"{longest} characters or fewer", "Say it in fewer words."
    )
    return " ".join(normal.split())


def _is_hidden(letter: str) -> bool:
    category = unicodedata.category(letter)
    is_variation_selector = "\ufe00" <= letter <= "\ufe0f" or letter >= "\U000e0000"
    return category[0] == "C" or category in ("Zl", "Zp") or letter in _BLANK_LETTERS or is_variation_selector


def _require(holds: bool, text: str, where: str, what: str, expected: str, do: str) -> None:
    if not holds:
        shown = ascii(text)  # what cannot be seen has to be shown as its number
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise StillhouseError(f"{shown} {what}", where=where, expected=expected, do=do)


def _alphabet(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _addresses(name: str) -> set[str]:
    found = set()
    for address in _ADDRESS.findall(unicodedata.normalize("NFKC", name).casefold()):
        local, _, domain = address.rpartition("@")
        local, domain = local.partition("+")[0], "gmail.com" if domain == "googlemail.com" else domain
        found.add(f"{local.replace('.', '') if domain == 'gmail.com' else local}@{domain}")
    return found


def _words(name: str) -> list[str]:
    """The words of a name as a reader sees them; of a bare address those before the @."""
    normal = unicodedata.normalize("NFKC", name)
    typed = _ADDRESS.sub(" ", re.sub(r"(?i)\bmailto:", " ", normal))
    if not any(map(str.isalpha, typed)):
        typed = " ".join(address.partition("@")[0].partition("+")[0] for address in _ADDRESS.findall(normal))
    seen = typed.translate(_SEEN_AS).casefold().translate(_SEEN_AS)
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", seen) if not unicodedata.combining(letter))
    return re.findall(r"\w+", bare.replace("_", " "))


def _contained(shorter: list[str], longer: list[str]) -> bool:
    """Whether each word has one of its own among the longer name's, whole words first."""
    left = list(longer)
    for word in sorted(shorter, key=len, reverse=True):
        match = next((w for w in left if w == word), None)
        match = match or next((w for w in left if w[0] == word[0] and 1 in (len(w), len(word))), None)
        if match is None:
            return False
        left.remove(match)
    return True
