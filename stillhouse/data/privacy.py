"""Personal data out of texts before any teacher sees them: found by shape, proved by check digits where they exist.

Belongs here: what counts as personal data in a text or by the name of a column, and redacting it, keys included.
Does not: the shapes of keys (credentials.py), spelled addresses (spelled_mail.py), telephone numbers (phone_numbers.py)
and national ids (national_ids.py), names and places in running text (no rule finds them), what to do with personal
columns (checks/prompts/personal_data.py).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

import polars as pl
from stdnum import iban, luhn

from stillhouse.data import credentials, national_ids, phone_numbers, spelled_mail

# In the order of the search: an address may hold a number, an IBAN may hold digits that pass for a card, and so on.
KINDS: tuple[str, ...] = ("credential", "user", "email", "ip", "iban", "card", "national_id", "phone", "handle")
"""`credential` is a key of a service, `user` a name in an address of the web, `handle` one after an at sign."""

# Full-width forms, other digits, blanks and dashes, each to the ASCII character it stands for: one for one, so that a
# place in the folded text is the same place in the text.
_FOLD = (
    {0xFF01 + n: 0x21 + n for n in range(94)}
    | {zero + n: 0x30 + n for zero in (0x0660, 0x06F0, 0x0966) for n in range(10)}
    | dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000], 0x20)
    | dict.fromkeys([*range(0x2010, 0x2016), 0x2212], 0x2D)
)
# Sites on which the first part of the path is whose page it is, and parts of a path after which a name follows.
_SITES = (
    r"(?:twitter|x|facebook|fb|instagram|threads|github|gitlab|linkedin|reddit|tiktok|medium|youtube|pinterest|patreon"
    r"|twitch|snapchat|telegram|t|vk|weibo|soundcloud|flickr|tumblr)\.(?:com|me|net|org|tv)/"
)
_OF_A_USER = r"(?:in|u|users?|profiles?|people|members?)/"
# What every rule needs at least, cheap enough to look at each row: a key, an at sign or one that is spelled, a page of
# somebody, six digits that only blanks and punctuation of numbers part, dotted quads, hexadecimal groups, and the two
# ids whose letters part their digits.
_HINT = (
    rf"{credentials.HINT}|{spelled_mail.HINT}|"
    # As far as the rule looks: up to the end of the address it would cost the square of many addresses in a row.
    rf"(?i:{_SITES}|\.[a-z]{{2,24}}(?::\d{{1,5}})?/(?:[^\s/]{{1,40}}/){{0,3}}(?:{_OF_A_USER}|~))|"
    r"[@\uFF20]|\d(?:[\s()./+\-\u2010-\u2015\u2212\uFF08\uFF09\uFF0D\uFF0E\uFF0F]{0,4}\d){5}"
    r"|\d[.\uFF0E]\d{1,3}[.\uFF0E]\d{1,3}[.\uFF0E]\d|(?i:[23f][0-9a-f]{3}:[0-9a-f:])"
    r"|(?i:[a-z]{2}\d{2}[\s.\-]{0,3}[a-z0-9](?:[\s.\-]{0,3}[a-z0-9]){10}|\d[a-z]\d\d ?[a-z]\d{3}[a-z])"
)

# Not inside a word, a longer number or the decimals of one; other scripts may adjoin, as they write without blanks.
_START = r"(?<![A-Za-z\d])(?<!\d\.)"
# Nor part of a longer number with dashes, as in an ISBN, a UUID or an order number.
_ALONE = rf"{_START}(?<!\d[-/])(?:%s)(?![A-Za-z\d]|-\d)"
# What is before the at sign of an address is whose account it is, with or without a password.
_ACCOUNT = re.compile(r"(?<![A-Za-z])[A-Za-z][A-Za-z\d+.-]{1,20}://(?P<found>(?!\*\*\*@)[^\s/?#@\[\]]{1,200})(?=@)")
_NAME = r"(?P<found>\w[\w.-]{0,62}\w)(?!\w)"
_PAGE = re.compile(
    rf"(?<![\w-])(?:{_SITES}@?(?:{_OF_A_USER})?|[\w-]{{1,63}}\.[a-z]{{2,24}}(?::\d{{1,5}})?/(?:[^\s/]{{1,40}}/){{0,3}}?(?:{_OF_A_USER}@?|~)){_NAME}",
    re.IGNORECASE,
)
_NO_USER = re.compile(
    r"about|add|articles|ads|blog|channel|comments|company|directory|download|events|explore|features|feed"
    r"|groups|hashtag|help|home|hub|in|intent|issues|jobs|joinchat|legal|login|marketplace|me|member|members"
    r"|new|news|orgs|pages|people|photo|photos|pin|playlist|post|posts|privacy|profile|profiles|pulse|reel"
    r"|reels|results|school|search|settings|share|sharer|shorts|signup|site|status|stories|terms|topics"
    r"|trending|tv|user|users|video|videos|watch",
    re.IGNORECASE,
)
"""Words in the place of a user's name that are parts of the site."""
_HANDLE = re.compile(
    r"(?<![A-Za-z\d_@.+\]-])@(?:[A-Za-z_](?:[A-Za-z\d_]|[.-](?=[A-Za-z\d_])){1,38}|[^\W\d_A-Za-z]\w{1,29})"
    r"(?![A-Za-z\d_])"
)
# A name in DNS has up to 127 labels.
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,126}[^\W\d_][\w-]{1,62}")
_VERSION = re.compile(r"\b(?:v|ver|version|release|build|section|chapter)\W*\0|[<>~]=\s*\0", re.IGNORECASE)
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?=\d{16}$)(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+|3[47]\d{13}"
    r"|3(?:0[0-5]|095|6|[89])\d+|6(?:011|4[4-9]|5|0|2)\d+|35(?:2[89]|[3-8])\d+|220[0-4]\d+"
    r"|(?:50|5[6-8]|6304|6759|676)\d+|8[12]\d+"
)
# The last words decide, as in English compounds: `phone_model` is a model and `emailed_at` a time. A flag or a count
# (`has_email`) says nothing personal; a bare `name` or `id` may be of anything.
_PERSONAL_NAME = re.compile(
    r"^(?!(?:is|has|n|num|count|allows?|wants)_)(?:\w+_)?(?:e_?mail|(?:tele|cell)?_?phone|mobile|cell|tel|fax|msisdn"
    r"|ssn|(?:social_security|social_insurance|national_insurance|national|tax|identity)_(?:number|no|id|card)|nino"
    r"|passport|iban|(?:credit|debit|bank)_?card|card_(?:number|no|nr|num)|(?:bank_)?account_(?:number|no|nr|num)"
    r"|ip|ip_?(?:v_?)?[46]|ip_?addr|address|street|street_name|post_?code|postal_code|zip_?code"
    r"|date_of_birth|birth_?da(?:te|y)|dob|(?:first|last|full|middle|given|family|maiden|user|nick|screen)_?name|surname|forename|handle"
    r"|(?:customer|contact|person|patient|employee|driver)_name|driv(?:er|ers|ing)_licen[cs]e)"
    r"(?:s|es)?(?:_(?:number|no|nr|num|line|value|raw|home|work))*_?\d*$"
)

# A number of a card's length and nothing else. Of the numbers of an id column one in ten passes a check digit, and
# fewer have the first digits of a card.
_LONG_NUMBER = r"^\d{11,19}$"
_PROVED_BY_DIGITS = ("card", "national_id")
_BY_CHANCE = 0.25
_IDS_AT_LEAST = 20


@dataclass(frozen=True)
class Redacted:
    """Texts without the personal data that was found in them, and how much that was; never the data itself.

    Args:
        texts: the input's name, length and order; nulls stay.
        found: `row` (UInt32, from 0), `kind`, `count` (UInt32); in the order of rows and `KINDS`, rows with finds only.
    """

    texts: pl.Series
    found: pl.DataFrame


@dataclass(frozen=True)
class _Rule:
    """One way in which one kind is written.

    Args:
        kind: one of `KINDS`.
        shape: where a find may start and how far it may reach; a shorter one is tried where the longest is not valid.
            Where it has a group `found`, that is the find, at the end of what matches.
        valid: proves a candidate, given it and the text around it, in which a NUL stands for it.
        mark: what the text must hold, as looking for a character is much cheaper than for a shape.
        whole: a find ends where its shape does, and no shorter one is tried.
    """

    kind: str
    shape: re.Pattern[str]
    valid: Callable[[str, str], bool]
    mark: str = ""
    whole: bool = False


def redact(texts: pl.Series) -> Redacted:
    """Replace keys, e-mail and IP addresses, IBANs, cards, national ids, phone numbers and user names by their kind.

    As in `[EMAIL]`. Redacting twice changes nothing more.

    Args:
        texts: String, normalised (`cleaning.normalise`), since invisible characters hide a number from every rule.
    """
    rows = may_be_personal(texts).arg_true()
    changed: list[tuple[int, str]] = []
    found: list[tuple[int, str, int]] = []
    for row, text in zip(rows, texts.gather(rows), strict=True):
        redacted, counts = _redact_one(text)
        if counts:
            changed.append((row, redacted))
            found += [(row, kind, counts[kind]) for kind in KINDS if counts[kind]]
    replaced = pl.DataFrame(changed, schema={"row": pl.UInt32, "redacted": pl.String}, orient="row")
    numbered = pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.UInt32, eager=True), "text": texts})
    joined = numbered.join(replaced, on="row", how="left", maintain_order="left")
    return Redacted(
        joined.select(pl.coalesce("redacted", "text").alias(texts.name)).to_series(),
        pl.DataFrame(found, schema={"row": pl.UInt32, "kind": pl.String, "count": pl.UInt32}, orient="row"),
    )


def may_be_personal(texts: pl.Series) -> pl.Series:
    """Whether each text has anything in it that a rule could find; of a text that has not, `redact` changes nothing.

    Args:
        texts: as for `redact`.

    Returns:
        Boolean, null where the text is.
    """
    return texts.str.contains(_HINT)


def redact_text(text: str) -> str:
    """Redact one text, as `redact` does.

    Args:
        text: normalised or at least without invisible characters.
    """
    return _redact_one(text)[0] if _hint().search(text) else text


def personal_values(values: pl.Series) -> dict[str, int]:
    """Count the rows of a column that hold personal data, by kind: a column of values, not of running text.

    A column of long numbers is one of ids, and one number in ten passes a check digit by chance. Cards and national
    ids count in such a column only where more of its numbers pass than chance explains.

    Args:
        values: String, normalised as for `redact`; nulls hold nothing.

    Returns:
        Rows by kind, in the order of `KINDS`; kinds that no row holds are left out.
    """
    counted = values.drop_nulls().alias("value").value_counts(name="rows").with_row_index("row")
    found = redact(counted["value"]).found.join(counted, on="row")
    numbers = counted["value"].str.contains(_LONG_NUMBER).arg_true()
    proved = found.filter(pl.col("kind").is_in(_PROVED_BY_DIGITS) & pl.col("row").is_in(numbers.implode()))
    if len(numbers) >= _IDS_AT_LEAST and proved["row"].n_unique() <= _BY_CHANCE * len(numbers):
        found = found.join(proved.select("row", "kind"), on=["row", "kind"], how="anti")
    rows = dict(found.group_by("kind").agg(pl.col("rows").sum()).iter_rows())
    return {kind: rows[kind] for kind in KINDS if kind in rows}


def personal_columns(columns: Iterable[str]) -> list[str]:
    """Pick the columns that by name hold personal data: the last words of snake, camel or kebab case decide."""
    return [column for column in columns if _PERSONAL_NAME.search(_snake(column))]


def _snake(name: str) -> str:
    parted = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^A-Za-z\d]+", "_", parted).strip("_").lower()


def _redact_one(text: str) -> tuple[str, Counter[str]]:
    """Redact until nothing is found: what adjoins a find can be one only after the find is gone."""
    counts: Counter[str] = Counter()
    before = None
    while text != before:
        before = text
        for rule in _rules():
            folded = text if text.isascii() else text.translate(_FOLD)
            # From the end, so that earlier places stay where they are.
            for start, end in reversed(list(_spans(folded, rule))) if rule.mark in folded else ():
                text = f"{text[:start]}[{rule.kind.upper()}]{text[end:]}"
                counts[rule.kind] += 1
    return text, counts


def _spans(text: str, rule: _Rule) -> Iterator[tuple[int, int]]:
    match = rule.shape.search(text)
    while match:
        start = match.start("found") if "found" in rule.shape.groupindex else match.start()
        resume = match.start() + 1
        for end in (match.end(),) if rule.whole else _ends(text, start, match.end()):
            if rule.valid(text[start:end], f"{text[max(0, start - 40) : start]}\0{text[end : end + 20]}"):
                yield start, end
                resume = end
                break
        match = rule.shape.search(text, resume)


def _ends(text: str, start: int, farthest: int) -> Iterator[int]:
    """Where a candidate may end, the farthest first: not inside a word or number, and not after a blank."""
    for end in range(farthest, start, -1):
        following = text[end : end + 1]
        if not (following.isascii() and following.isalnum()) and not text[end - 1].isspace():
            yield end


@cache
def _hint() -> re.Pattern[str]:
    return re.compile(_HINT)


@cache
def _rules() -> tuple[_Rule, ...]:
    def rule(kind: str, shape: str, valid: Callable[[str, str], bool], mark: str = "") -> _Rule:
        return _Rule(kind, re.compile(shape, re.IGNORECASE | re.ASCII), valid, mark)

    sep = r"[ .-]{0,3}"

    def always(value: str, around: str) -> bool:
        return True

    def is_random(value: str, around: str) -> bool:
        return credentials.is_random(value)

    def is_mail(value: str, around: str) -> bool:
        return spelled_mail.is_mail(value)

    def is_phone(value: str, around: str) -> bool:
        return phone_numbers.is_phone(value)

    def is_announced(value: str, around: str) -> bool:
        return phone_numbers.is_announced(around.partition("\0")[0])

    return (
        _Rule("credential", credentials.PRIVATE_KEY, always, "PRIVATE KEY", whole=True),
        _Rule("credential", credentials.PREFIXED, always, whole=True),
        _Rule("credential", credentials.RANDOM, is_random, whole=True),
        _Rule("credential", credentials.ASSIGNED, is_random, whole=True),
        _Rule("user", _ACCOUNT, always, "@"),
        _Rule("user", _PAGE, lambda value, _: _NO_USER.fullmatch(value) is None, "/"),
        _Rule("email", _EMAIL, lambda value, _: _EMAIL.fullmatch(value) is not None, "@"),
        *(_Rule("email", shape, is_mail, whole=True) for shape in spelled_mail.SHAPES),
        rule("ip", rf"{_START}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\.?\d)", _is_ip, "."),
        rule("ip", rf"{_START}(?:[23][\da-f]{{3}}|f[cd][\da-f]{{2}}|fe[89ab][\da-f]):[\da-f:.]{{1,40}}", _is_ip, ":"),
        rule("iban", rf"{_START}[A-Z]{{2}} ?\d{{2}}(?:{sep}[A-Z\d]){{11,30}}", _is_iban),
        rule(
            "card", rf"{_START}\d{{4,19}}(?:[ -]{{1,3}}\d{{4,15}}){{0,4}}(?:[ -]{{1,3}}\d{{1,3}})?(?!\.?\d)", _is_card
        ),
        rule("national_id", _ALONE % national_ids.SHAPE, national_ids.is_national_id),
        rule("phone", _START + phone_numbers.ABROAD, is_phone, "+"),
        rule("phone", _ALONE % phone_numbers.FROM_ABROAD, lambda value, _: phone_numbers.is_phone(f"+{value[2:]}")),
        rule("phone", _ALONE % phone_numbers.HOME, is_phone),
        rule("phone", _ALONE % phone_numbers.ANNOUNCED, is_announced),
        _Rule("handle", _HANDLE, _is_handle, "@"),
    )


def _is_ip(value: str, around: str) -> bool:
    """Tell addresses from versions and from what only has dots or colons in it.

    Loopback and unspecified addresses are the same for everybody, so they are nobody's.
    """
    try:
        address = ip_address(value)
    except ValueError:
        return False
    nobodys = address.is_loopback or address.is_unspecified
    return any(map(str.isdigit, value)) and not nobodys and not _VERSION.search(around)


def _is_iban(value: str, _: str) -> bool:
    return iban.is_valid(value, check_country=False)


def _is_card(value: str, _: str) -> bool:
    digits = re.sub(r"\D", "", value)
    return 13 <= len(digits) <= 19 and _ISSUERS.fullmatch(digits) is not None and luhn.is_valid(digits)


def _is_handle(value: str, around: str) -> bool:
    """Tell the name of somebody from the scope of a package, as in `@types/node`."""
    return _HANDLE.fullmatch(value) is not None and not re.match(r"/[a-z\d]", around.partition("\0")[2])
