"""Values of rows as they may be quoted in a sentence, a table or a log, and in the ledger, which cannot forget.

Belongs here: taking personal data, credentials and control characters out of what is shown, and cutting it short.
Does not: what counts as personal data (privacy.py) or as a credential (addresses.py), rows that go on (prompt_set.py).
"""

import unicodedata
from typing import Any

from stillhouse.addresses import without_credentials
from stillhouse.data.privacy import redact_text

LONGEST = 80
LONGEST_SENTENCE = 4_000
# What is cut off before the search: enough for the longest quote, and the search stays cheap on a text of megabytes.
_SEARCHED = 8_000
_BLANKS = frozenset({"Zl", "Zp"})
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co"})


def quoted(value: object, longest: int = LONGEST, *, signed_by: str = "") -> str:
    """Make one value of a row fit to be quoted.

    The value is cut after the search and not before: half an address is no address, and would stay.

    Args:
        value: of any type; what is not text is spelled as Python does.
        longest: characters that are left, of which three say that something was cut off.
        signed_by: who made a decision that is quoted here; a name that stands in the ledger on purpose stays.
    """
    text = without_credentials(_printable(str(value)[:_SEARCHED]))
    text = signed_by.join(map(redact_text, text.split(signed_by))) if signed_by else redact_text(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def quotable(evidence: Any) -> Any:
    """Make every text in a table, list or mapping fit to be quoted, names of columns too; other values stay."""
    if isinstance(evidence, str):
        return quoted(evidence, LONGEST_SENTENCE)
    if isinstance(evidence, dict):
        return {quotable(name): quotable(value) for name, value in evidence.items()}
    if isinstance(evidence, list | tuple):
        return [quotable(value) for value in evidence]
    return evidence


def _printable(text: str) -> str:
    """One line without characters that cannot be seen: they drive terminals, and hide a number from the search."""
    if text.isascii() and text.isprintable():
        return text
    kept = (
        " " if character.isspace() or unicodedata.category(character) in _BLANKS else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in _DROPPED
    )
    return unicodedata.normalize("NFC", "".join(kept))
