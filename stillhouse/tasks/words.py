"""The words of a text, where in it a value stands, and in which pieces of a tokenizer a word begins.

Belongs here: what a word is, the spelling that a text has first, finding a run of words, and taking one out of it.
Does not: records (records.py), the pieces that a tokenizer makes of a text (stillhouse/models/tokenization.py).

A word is what people read as one: `12.50`, `2026-11-30`, `O'Neill` and `ada@example.org` are, and so is each sign by
itself, as the comma after a word or the euro before a price. A mark, such as a vowel of Hindi or of Arabic, and a
joiner are part of what they stand at. It does not depend on a model, so that teacher, student
and label mean the same place of a text.

It imports nothing but Python, as this file is part of the folder that `stillhouse export` hands over.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b\u200e\u200f\u2060-\u2064\u2066-\u206f\u202a-\u202e\ufeff]"
)
"""What no text has in its one spelling, as stillhouse/data/cleaning.py says in the spelling of polars."""
_WORD = r"\w{0}(?:[.,:'\u2019@-]\w{0})*|[^\w\s]{1}"
_PLAIN = re.compile(_WORD.format("+", ""))
"""Of texts in ASCII, which have no marks."""
_JOINERS = "\u200c\u200d"
_WHERE_MARKS_ARE = (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))


def spans_of_words(text: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends, in characters.

    Args:
        text: in its one spelling.
    """
    return [match.span() for match in _word_in(text).finditer(text)]


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    return _word_in(text).findall(text)


def _word_in(text: str) -> re.Pattern[str]:
    return _PLAIN if text.isascii() else _word_with_marks()


@cache
def _word_with_marks() -> re.Pattern[str]:
    """The same with marks and joiners behind what they stand at: to `re` they are no part of a word."""
    marks = "".join(chr(each) for each in _WHERE_MARKS_ARE if unicodedata.category(chr(each)).startswith("M"))
    return re.compile(_WORD.format(rf"[\w{marks}{_JOINERS}]*", f"[{marks}{_JOINERS}]*"))


def first_place(words: Sequence[str], run: Sequence[str]) -> int | None:
    """The number of the word at which a run of words begins for the first time; None where it is nowhere.

    A run that is spelled alike goes before one that differs in case.

    Args:
        words: of the text.
        run: at least one word.
    """
    plain, wanted = [word.casefold() for word in words], [word.casefold() for word in run]
    places = [at for at in range(len(words) - len(run) + 1) if plain[at : at + len(run)] == wanted]
    alike = [at for at in places if list(words[at : at + len(run)]) == list(run)]
    return next(iter(alike or places), None)


def run_at(text: str, first: int, length: int) -> str | None:
    """The words at a place as the text has them, with what is between them; None where the text has no word there.

    Args:
        text: in its one spelling.
        first: number of the first word.
        length: of the run, in words; what is beyond the end of the text is left out.
    """
    spans = spans_of_words(text)[first : first + length]
    return text[spans[0][0] : spans[-1][1]] if spans else None


def plainly_spelled(text: str) -> str:
    """A text in its one spelling, as far as the Unicode of this Python knows its characters (data/one_text.py)."""
    return unicodedata.normalize("NFC", " ".join(INVISIBLE.sub("", text).split()))


def words_in_pieces(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The number of the word that begins in each piece, counted from 1; 0 where none does.

    Args:
        text: in its one spelling.
        offsets: where each piece of a tokenizer begins and ends in it, in characters.
    """
    begins, found, word = [start for start, _ in spans_of_words(text)], [0] * len(offsets), 0
    for at, (start, end) in enumerate(offsets):
        while word < len(begins) and begins[word] < start:
            word += 1  # its first character is in no piece, as an accent that the tokenizer leaves out
        if word < len(begins) and start <= begins[word] < end:
            word += 1
            found[at] = word
    return found


def runs_at_several_places(words: Sequence[str], words_at_most: int) -> list[list[tuple[int, int]]]:
    """The places of each run of words that stands at more than one, the first of them first.

    Args:
        words: of a text.
        words_at_most: of a run.

    Returns:
        Numbers of the first word and of words.
    """
    if len(set(words)) == len(words):
        return []
    places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for first in range(len(words)):
        for length in range(1, min(words_at_most, len(words) - first) + 1):
            places.setdefault(tuple(words[first : first + length]), []).append((first, length))
    return [each for each in places.values() if len(each) > 1]


def runs_read(
    text: str,
    spans: Sequence[tuple[int, int]],
    words_at_most: int,
    read: Callable[[str], tuple[str, ...]],
    *,
    longest: int,
    begins: str | None = None,
) -> Iterator[tuple[tuple[int, int], tuple[str, ...]]]:
    """The runs of words in which something is read: by their first word, and then by their length.

    Args:
        text: in its one spelling.
        spans: where its words begin and end.
        words_at_most: of a run.
        read: the values that a run may be; none where it is none.
        longest: characters of a run in which something is read.
        begins: the characters with one of which such a run begins; any where it is left out.

    Returns:
        Numbers of the first word and of words, and what is read there.
    """
    for first, (start, _) in enumerate(spans):
        if begins is not None and text[start] not in begins:
            continue
        for length, (_, end) in enumerate(spans[first : first + words_at_most], 1):
            if end - start > longest:
                break
            if found := read(text[start:end]):
                yield (first, length), found


def places_of_values(runs: Iterable[tuple[tuple[int, int], tuple[str, ...]]]) -> list[list[tuple[int, int]]]:
    """The places of each value that is read in a text, the first of them first; of two readings nobody knows which.

    Args:
        runs: see `runs_read`.
    """
    places: dict[str, list[tuple[int, int]]] = {}
    for place, found in runs:
        if len(found) == 1:
            places.setdefault(found[0], []).append(place)
    return [*places.values()]
