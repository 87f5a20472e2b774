"""Mail addresses whose at sign or dots are spelled out, so that programs do not find them.

Belongs here: how they are written, and what is written like them and is none.
Does not: redacting them, addresses as they are (privacy.py).
"""

import re


def _bracketed(word: str) -> str:
    return rf"\s?[\[({{<]\s?(?:{word})\s?[\])}}>]\s?"


_AT, _DOT = _bracketed("at|\u00e4t|@"), rf"(?:{_bracketed('dot|punkt|[.]')}|\sdot\s|\.)"
_SPELLED_DOT = _DOT.removesuffix(r"|\.)") + ")"
_ENCODED_AT = "%40|&\\#64;|&\\#x40;"
_MAIL_HOSTS = (
    "(?:gmail|googlemail|yahoo|ymail|hotmail|outlook|live|msn|aol|icloud|gmx|proton|protonmail|fastmail|yandex)"
)
# Ends of addresses. Those that are words, too, count after another end alone, as in `dot co dot in`.
_END = (
    "(?:com|net|org|edu|gov|mil|info|biz|name|dev|app|xyz|io|ai|co|eu|uk|de|fr|es|nl|ch|se|dk|fi|pl|pt|ru|ua|cn|jp|kr"
    "|au|nz|ca|br|mx|ar|cl|za|ie|il|tr|gr|cz|hu|ro|sg|hk|tw|museum)"
)
_WORD_END = "(?:in|it|at|us|me|no|be|id|th|my|to|tv|pk|ng|ke|vn|ph)"
_ENDS = rf"{_END}(?:{_DOT}(?:{_END}|{_WORD_END}))?(?![\w-])"
_ACCOUNT = r"(?<![\w.+-])(?P<account>[\w.+-]{1,64}?(?:\sdot\s[\w-]{1,30}){0,3})"
_HOST = r"[\w-]{1,63}"

HINT = rf"(?i:{_AT}|{_SPELLED_DOT}|\sat\s{_MAIL_HOSTS}\.|%40|&#64;|&#x40;)"
"""What every shape needs at least."""

SHAPES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(_ACCOUNT + rest, re.IGNORECASE)
    for rest in (
        # An at sign as nobody would write the word.
        rf"(?:{_AT}|{_ENCODED_AT})(?:{_HOST}{_DOT}){{1,4}}{_ENDS}",
        # The word, where a dot is spelled, too.
        rf"\sat\s(?:{_HOST}{_DOT}){{0,3}}[\w-]{{2,63}}{_SPELLED_DOT}{_ENDS}",
        # The word, where mail alone goes to the host.
        rf"\sat\s{_MAIL_HOSTS}\.{_ENDS}",
    )
)

_NO_ACCOUNT = re.compile(
    r"(?:i|we|met|went|go|goes|get|got|saw|ate|stay|stayed|me|you|us|him|her|them|it|this|that|these|those|is|are|am|was|were|be|been|being|and|or|but|not|here|there|now"
    r"|up|out|down|back|look|looks|looked|looking|meet|meeting|see|seen|find|found|buy|bought|shop|shopping|order"
    r"|ordered|available|hosted|online|live|visit|site|website|page|store|shops|work|works|worked|working|arrive"
    r"|arrives|arrived|point|points|pointed|pointing|stare|stares|stared|staring|start|starts|started|stop|stops|stopped"
    r"|time|sold|price|prices|account|accounts|mail|email|mails|emails|register|registered|job|jobs|people|someone"
    r"|customer|customers|everyone|anyone|read|more|details|listed|published|posted)",
    re.IGNORECASE,
)
"""Words that stand before `at` in a sentence."""
_NO_HOST = re.compile(r".*\sat\s(?:a|an|the|each|every|this|that|my|your|his|her|our|their|one)\s", re.IGNORECASE)


def is_mail(value: str) -> bool:
    """Tell an address from a sentence that says where, such as `look at example dot com`."""
    if re.search(r"\sat\s", value) is None:
        return True
    return _NO_ACCOUNT.fullmatch(re.split(r"\sat\s", value)[0]) is None and _NO_HOST.match(value) is None
