"""Labels that may be one class in several spellings, which only a person can say.

Belongs here: which spellings are alike, and which of them a recipe has answered for.
Does not: what is done to every label (cleaning.py), closing anything (checks/prompts/labels.py).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from stillhouse.data.quoting import quoted

_AROUND = "\"'`\u2018\u2019\u201c\u201d"
_AT_THE_END = ".,:;!?"
# Between words; not a sign before a number, nor what stands at an end, as in C++ and A-.
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[-\s_]+(?=[^\W_])")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d{1,4})?")


def class_key(label: str) -> str:
    """What is the same for labels that a person would take for one class.

    Set aside are upper and lower case, quotes around, a mark at the end, what stands between words (a blank, a hyphen,
    an underscore), what cannot be seen, width and other compatibility forms (NFKC), and how a number is written: `1`,
    `1.0`, `1,0` and `01` are one.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    seen = " ".join("".join(filter(_can_be_seen, folded)).split())
    bare = seen.strip(_AROUND).rstrip(_AT_THE_END).strip(f"{_AROUND} ") or seen
    if _NUMBER.fullmatch(bare):
        return f"number {Decimal(bare.replace(',', '.')).normalize() + 0}"
    return _BETWEEN_WORDS.sub(" ", bare)


def alike(counts: Mapping[str, int], answers: Mapping[str, str]) -> list[dict[str, int]]:
    """Labels that may be one class, and that the recipe does not tell apart.

    Args:
        counts: rows of each label, after the answers were applied.
        answers: `data.labels` of the recipe; a label that stands there on either side is answered for.

    Returns:
        Of each class the spellings with their rows, most frequent first; only those of two spellings or more.
    """
    classes: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for label, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        classes[class_key(label)][label] = rows
    answered = {*answers, *answers.values()}
    return [found for found in classes.values() if len(found) > 1 and not answered.issuperset(found)]


def shown(label: str) -> str:
    """A label as it may be quoted, with an escape of YAML for what cannot be seen; else two spellings look the same."""
    if not has_unseen(label):
        return quoted(label)
    escaped = label.replace("\\", "\\\\").replace('"', '\\"')
    return quoted("".join(_escape(character) if _is_unseen(character) else character for character in escaped))


def has_unseen(label: str) -> bool:
    """Whether a label has a joiner, a mark of direction or another character that nobody sees."""
    return any(map(_is_unseen, label))


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"


def _can_be_seen(character: str) -> bool:
    is_variation_selector = "\ufe00" <= character <= "\ufe0f"
    return not is_variation_selector and not _is_unseen(character)
