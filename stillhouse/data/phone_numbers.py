"""What telephone numbers look like in a text: with their country's number, at home, or behind a word that says so.

Belongs here: how they are written, and whether such a number can exist.
Does not: redacting them (privacy.py).
"""

import re
from functools import lru_cache

import phonenumbers

_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,6})?"
ABROAD = r"\+\(?\d(?:[ ().\-/]{0,3}\d){6,14}" + _EXTENSION
FROM_ABROAD = r"00[1-9]\d{0,2}[ ().\-/]{1,3}\d(?:[ ().\-/]{0,3}\d){6,12}"
"""As it is dialled in most of the world, two zeros for the plus sign; without groups it may be any padded number."""
# As written in North America, in France, in China, Japan and Korea in groups, or eleven digits from a British zero: ten
# from a zero may be the ISBN of an English book.
HOME = (
    r"(?:(?:1[ .-]{1,2})?(?:\(\d{3}\)[ .\-/]{0,3}\d{3}[ .-]{0,3}|\d{3}[ .\-/]{1,3}\d{3}[ .-]{1,3})\d{4}"
    r"|\(?0\d{2}(?:[ ()-]{0,2}\d){8}|0[1-9](?:[ .]\d\d){4}|(?:0\d0|1[3-9]\d)[ -]\d{4}[ -]\d{4})" + _EXTENSION
)
_REGIONS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"0[1-9](?:[ .]\d\d){4}"), ("FR",)),
    (re.compile(r"0\d0[ -]\d{4}[ -]\d{4}"), ("GB", "JP", "KR")),
    (re.compile(r"1[3-9]\d[ -]\d{4}[ -]\d{4}"), ("CN",)),
    (re.compile(r"\(?0"), ("GB",)),
    (re.compile(""), ("US",)),
)
"""Where a number without its country's is at home, by how it is written; the first that fits."""
# Other national numbers look like quantities: only where a word announces them, and never a span of years.
ANNOUNCED = r"\(?0(?:[ ().\-/]{0,3}\d){6,14}|(?!(?:1[5-9]|20)\d\d\D)\d{3,4}[ .-]\d{4}|\d{8,15}"
_ANNOUNCES = re.compile(
    r"(?<!\[)\b(?:(?:tele|cell)?phone|tel|cell|mobile|fax|whatsapp|sms|call|dial|telefon|tel[eé]fono|t[eé]l[eé]phone"
    r"|tél|m[oó]vil|handy|тел(?:ефон)?)\b(?:[^\w\0]|\b(?:numbers?|no|nr|is|at|on|me|us|my|the|under)\b)*\0"
    # Where no blanks are written the word may adjoin another one.
    r"|(?:电话|電話|手机|手機|携帯|전화)(?:[^\w\0]|号码|號碼|番号|번호|是|は|는)*\0",
    re.IGNORECASE,
)


def is_phone(value: str) -> bool:
    """Prove a number that starts with a plus sign, or one at home where it is written so."""
    regions = next(regions for shape, regions in _REGIONS if shape.match(value))
    return any(_is_number_in(region, value) for region in regions)


@lru_cache(maxsize=1)
def is_announced(before: str) -> bool:
    """Whether a word for a telephone is the last thing before a number: asked once for all ends that it may have."""
    return _ANNOUNCES.search(f"{before}\0") is not None


def _is_number_in(region: str, value: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(value, region))
    except phonenumbers.NumberParseException:
        return False
