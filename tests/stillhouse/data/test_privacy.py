"""What is planted goes, what is harmless stays, and a second look finds nothing."""

from collections import Counter
from re._parser import parse

import phonenumbers
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import iban, luhn

from stillhouse.data import credentials
from stillhouse.data.privacy import KINDS, _hint, _rules, personal_columns, personal_values, redact, redact_text

Planted = tuple[str, str]

KEY_HEAD = "-----BEGIN PRIVATE KEY-----"

# From python-stdnum's documentation.
NATIONAL_IDS = [
    "536-90-4399",
    "912-90-3456",
    "123-456-782",
    "BOXW310820HNERXN09",
    "390.533.447-05",
    "12.531.909-2",
    "54362315-K",
    "54.362.315-K",
    "X-2482300W",
    "x2482300w",
    "RCCMNL83S18D969H",
    "RCC MNL 83S18 D969H",
    "2 95 10 99 126 111 93",
    "295109912611193",
    "85.07.30-033.28",
    "756.9217.0769.85",
    "710319/2745",
    "880320-0016",
    "19880320-0016",
    "211062-5629",
    "131052-308T",
    "360426199101010071",
    "971013-9019902",
]
ANNOUNCED_IDS = [
    "SSN 536904399",
    "Social Insurance Number: 123 456 782",
    "CPF 39053344705",
    "NHS number 943 476 5870",
    "Steuer-ID 36 574 261 809",
    "my BSN is 111222333",
    "PESEL 44051401359",
    "f\u00f8dselsnummer 151086 95088",
    "Aadhaar 2341 2341 2346",
]
HARMLESS = [
    "What is 2,000,000 divided by 4?",
    "Who won the 1984 election , and in 1988 ?",
    "In 1984 1985 1986 1987 it rained",
    "What is 4,111,111,111,111,111 in words?",
    "What is 2125551234 divided by 3?",
    "Is 1 + 14155552671 even? What about 3+4155552671?",
    "version 1.2.3.4.5",
    "What is new in version 1.2.3.4?",
    "pandas>=1.2.3.4 and numpy 1.2.3",
    "section 10.9.8.7.6",
    "ISBN 978-0-306-40615-7",
    "ISBN 0-306-40615-2 or 0306406152",
    "ISBN 9780306406157",
    "order number 112-7654321-1234567",
    "order 10023344 of 2024-01-15",
    "invoice 2024-000123",
    "from 2024-01-15 to 2024-02-16, at 10:30:45",
    "on 12/31/1999 at 23:59",
    "90210 and 12345-6789",
    "the phone of 1999-2004, a phone call on 2024-01-15",
    "phone 3310 sold 126 million",
    "555-1212 questions",
    "Who sang 867-5309 ?",
    "2 125 551 234 people",
    "2.125.551.234 euros",
    "123 456 789 stars",
    "pi is 3.14159265358979323846",
    "0.4111111111111111 is a float",
    "541983.236432269 and 5830.5020828128445",
    "550e8400-e29b-41d4-a716-446655440000",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "4111 1111 1111 1112 is no card",
    "GB82 WEST 1234 5698 7654 33 is no account",
    "123-45-678 and 000-12-3456 and 666-12-3456",
    "256.1.1.1 and 1.2.3",
    "127.0.0.1 is home, as ::1 is",
    "std::vector, Face::Book, dead::beef, x[1::2]",
    "aa:bb:cc:dd:ee:ff at 12:30",
    "lodash@4.17.21 and @types/node",
    "meet @ 5 or @5pm, a@b",
    "see x.com/home, fedex.com/track, facebook.com/groups/cats and https://www.youtube.com/watch?v=abc",
    "GET /users/list",
    "padded 0049301234567 and 0012345678901",
    "the 44051401359th digit",
    "151981701111019373 is of no county",
    "911 and 1-800 numbers",
    "a ratio of 16:9, 50% off, $1,299.99",
    "Boeing 747-400 or 737-800?",
]

WORDS = ["please", "ask", "what", "about", "the", "bill", "for", "caf\u00e9", "\u4f60\u597d", "and", "then"]
digits = st.integers(0, 9).map(str)


def numerals(count: int) -> st.SearchStrategy[str]:
    return st.lists(digits, min_size=count, max_size=count).map("".join)


@st.composite
def emails(draw: st.DrawFn) -> Planted:
    if draw(st.booleans()):
        return "email", draw(st.emails())
    label = st.from_regex(r"[a-z\u00e0-\u00f6][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
    local = draw(st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9._%+-]{0,10}[a-zA-Z0-9])?", fullmatch=True))
    return "email", f"{local}@{draw(label)}.{draw(st.sampled_from(['com', 'co.uk', 'museum', 'xn--p1ai']))}"


@st.composite
def cards(draw: st.DrawFn) -> Planted:
    known = [("4", 13), ("4", 16), ("4", 19), ("51", 16), ("2221", 16), ("2720", 16), ("37", 15), ("6011", 16)]
    known += [("65", 19), ("36", 14), ("3589", 16), ("62", 17), ("6759", 18), ("2204", 16), ("50", 13)]
    issuer, length = draw(st.sampled_from(known))
    body = issuer + draw(numerals(length - len(issuer) - 1))
    number = body + luhn.calc_check_digit(body)
    sizes = draw(st.sampled_from([(19,), (4, 4, 4, 7), (4, 4, 4, 4, 3), (4, 6, 9), (6, 13)]))
    groups = [number[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]
    return "card", draw(st.sampled_from([" ", "-", "\u00a0", "\u2011"])).join(filter(None, groups))


@st.composite
def ibans(draw: st.DrawFn) -> Planted:
    country, letters, length = draw(
        st.sampled_from([("DE", "", 18), ("GB", "WEST", 14), ("NL", "ABNA", 10), ("ES", "", 20), ("NO", "", 11)])
    )
    bban = letters + draw(numerals(length))
    number = country + iban.calc_check_digits(f"{country}00{bban}") + bban
    written = draw(st.sampled_from([number, number.lower(), iban.format(number), iban.format(number, "-")]))
    return "iban", written


ips = (
    st.one_of(
        st.ip_addresses(v=4).filter(lambda address: not (address.is_loopback or address.is_unspecified)),
        st.ip_addresses(network="2000::/3"),
        st.ip_addresses(network="fe80::/10"),
    )
    .map(lambda address: ("ip", str(address)))
    # Letters only, as in febf:ffff:..., are left alone like every text without digits.
    .filter(lambda found: any(map(str.isdigit, found[1])))
)


def valid_here(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(number, "US"))


@st.composite
def phones(draw: st.DrawFn) -> Planted:
    if draw(st.booleans()):
        region = draw(st.sampled_from(["US", "GB", "DE", "FR", "IT", "ES", "NL", "IN", "BR", "CN", "JP", "AU", "ZA"]))
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        assert number is not None
        way = draw(st.sampled_from([phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL]))
        return "phone", phonenumbers.format_number(number, way)
    area = draw(st.sampled_from(["212", "415", "650", "718", "800"]))
    exchange, line = draw(numerals(3)), draw(numerals(4))
    if not valid_here(area + exchange + line):
        exchange = "253"
    shape = draw(
        st.sampled_from(["({}) {}-{}", "({}){}-{}", "{}-{}-{}", "{}.{}.{}", "{} {} {}", "1-{}-{}-{}", "+1{}{}{}"])
    )
    return "phone", shape.format(area, exchange, line)


@st.composite
def social_security_numbers(draw: st.DrawFn) -> Planted:
    area = draw(st.integers(1, 899).filter(lambda number: number != 666))
    number = f"{area:03}-{draw(st.integers(1, 99)):02}-{draw(st.integers(1, 9999)):04}"
    # Printed in advertisements, so nobody's.
    return "national_id", "536-90-4399" if number in {"078-05-1120", "457-55-5462", "219-09-9999"} else number


planted = st.one_of(
    emails(),
    cards(),
    ibans(),
    ips,
    phones(),
    social_security_numbers(),
    st.sampled_from(NATIONAL_IDS).map(lambda number: ("national_id", number)),
)
surroundings = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    # Without what makes a version out of an address: "v" and ">=".
    st.text(st.characters(codec="utf-8", exclude_categories=["N"], exclude_characters="@\uff20=vV"), max_size=12),
)
plain_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Nd"], exclude_characters="@\uff20"))
numeric_texts = st.text(st.sampled_from("0123456789 .-+()/:@abcefxXT\uff11\n"), max_size=60)


def redacted(text: str) -> str:
    return str(redact(pl.Series([text])).texts.item())


@pytest.mark.long
@given(st.lists(st.tuples(surroundings, st.sampled_from([" ", " (", ' "', ": "]), planted), min_size=1, max_size=4))
def test_nothing_planted_is_left_or_found_again(parts: list[tuple[str, str, Planted]]) -> None:
    text = "".join(f"{around}{before}{value} , " for around, before, (_, value) in parts)
    once = redact(pl.Series([text]))
    for _, _, (kind, value) in parts:
        assert value not in once.texts.item()
        assert f"[{kind.upper()}]" in once.texts.item()
    assert redact(once.texts).found.is_empty()


@pytest.mark.long
@given(st.lists(st.tuples(st.sampled_from(WORDS), planted, st.sampled_from(["", ".", ",", "?", ")", '"'])), max_size=6))
@example([("please", ("email", "0@A.A.A.A.A.A.A.A.A.COM"), "")])
def test_as_many_are_found_as_were_planted(parts: list[tuple[str, Planted, str]]) -> None:
    text = " ".join(f"{word} {value}{mark}" for word, (_, value), mark in parts)
    found = redact(pl.Series([text])).found
    assert dict(found.select("kind", "count").rows()) == Counter(kind for _, (kind, _), _ in parts)


@pytest.mark.long
@given(st.one_of(numeric_texts, st.text(), st.lists(planted, max_size=5).map(lambda all: " ".join(v for _, v in all))))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(pl.Series([text])).texts
    twice = redact(once)
    assert twice.texts.to_list() == once.to_list()
    assert twice.found.is_empty()


@pytest.mark.long
@given(plain_texts)
def test_a_text_without_digits_at_signs_and_addresses_is_never_changed(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.long
@given(st.lists(st.one_of(st.none(), plain_texts, planted.map(lambda found: found[1]))))
def test_length_order_and_nulls_stay_and_the_finds_say_where(texts: list[str | None]) -> None:
    given_texts = pl.Series("prompt", texts, dtype=pl.String)
    done = redact(given_texts)
    assert (done.texts.name, done.texts.dtype, len(done.texts)) == ("prompt", pl.String, len(texts))
    assert done.texts.is_null().to_list() == given_texts.is_null().to_list()
    changed = [row for row, (old, new) in enumerate(zip(texts, done.texts, strict=True)) if old != new]
    assert sorted(set(done.found["row"])) == changed
    assert done.found.schema == {"row": pl.UInt32, "kind": pl.String, "count": pl.UInt32}


def test_finds_are_counted_by_row_and_kind() -> None:
    done = redact(pl.Series(["none", "+1 415 555 2671, a@b.org and c@d.org", None, "at 10.1.2.3"]))
    assert done.texts.to_list() == ["none", "[PHONE], [EMAIL] and [EMAIL]", None, "at [IP]"]
    assert done.found.rows() == [(1, "email", 2), (1, "phone", 1), (3, "ip", 1)]
    assert set(done.found["kind"]) <= set(KINDS)


@pytest.mark.parametrize("text", NATIONAL_IDS + ANNOUNCED_IDS)
def test_national_ids_are_found_as_their_countries_write_them(text: str) -> None:
    done = redact(pl.Series([f"hello, {text}, thanks"]))
    assert done.found.rows() == [(0, "national_id", 1)]
    assert not any(mark.isdigit() for mark in done.texts.item())


@pytest.mark.parametrize("number", [text.split(" ")[-1] for text in ANNOUNCED_IDS if text[-9:].isdigit()])
def test_an_id_of_digits_alone_is_one_only_where_a_word_says_so(number: str) -> None:
    assert redacted(f"hello, {number}, thanks") == f"hello, {number}, thanks"


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_numbers_stay(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111@shop.com", "[EMAIL]"),
        ("mail ann.lee+x@m\u00fcller.de.", "mail [EMAIL]."),
        ("17,4111111111111111,5500005555555559", "17,[CARD],[CARD]"),
        ("4111 1111 1111 1111 12/27", "[CARD] 12/27"),
        ("\uff14" + "\uff11" * 15, "[CARD]"),
        ("GB82 WEST 1234 5698 7654 32 is my iban", "[IBAN] is my iban"),
        ("http://192.168.0.1:80/ or 10.0.0.0/8", "http://[IP]:80/ or [IP]/8"),
        ("[2001:db8::1]:443, ::ffff:10.1.2.3", "[[IP]]:443, ::ffff:[IP]"),
        ("\u7535\u8bdd+8613812345678\u8bf7", "\u7535\u8bdd[PHONE]\u8bf7"),
        ("+14155552671 1/2/2024", "[PHONE] 1/2/2024"),
        ("415\u2013253\u20130000x12 or 1-800-273-8255", "[PHONE] or [PHONE]"),
        ("07732 584351 and (020) 7946 0958", "[PHONE] and [PHONE]"),
        ("tel: 01 42 68 53 00, call me at 555-1212", "tel: [PHONE], call me at [PHONE]"),
        ("mobile no. 2125551234", "mobile no. [PHONE]"),
        ("[PHONE] 0301 234567", "[PHONE] 0301 234567"),
    ],
)
def test_where_a_find_begins_and_ends(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@john_doe said", "[HANDLE] said"),
        ("hey (@John.Doe-99)! cc: @a_b.", "hey ([HANDLE])! cc: [HANDLE]."),
        ("\uff20john_doe", "[HANDLE]"),
        ("\u8bf7\u8054\u7cfb@zhangsan\u8c22\u8c22", "\u8bf7\u8054\u7cfb[HANDLE]\u8c22\u8c22"),
        ("@\u5f20\u4e09 \u4f60\u597d", "[HANDLE] \u4f60\u597d"),
        ("https://twitter.com/john_doe/status/1", "https://twitter.com/[USER]/status/1"),
        ("github.com/jdoe, t.me/jdoe and x.com/jdoe.", "github.com/[USER], t.me/[USER] and x.com/[USER]."),
        ("linkedin.com/in/john-doe-123", "linkedin.com/in/[USER]"),
        ("www.reddit.com/user/jdoe", "www.reddit.com/user/[USER]"),
        ("tiktok.com/@jdoe", "tiktok.com/@[USER]"),
        ("https://social.example/@jdoe", "https://social.example/[HANDLE]"),
        ("https://api.example.com/v1/users/jdoe/posts", "https://api.example.com/v1/users/[USER]/posts"),
        ("https://host.edu/~jdoe/cv", "https://host.edu/~[USER]/cv"),
        ("ftp://jdoe@host and https://jdoe:pw@host.com/x", "ftp://[USER]@host and https://[USER]@host.com/x"),
    ],
)
def test_names_of_users_are_found_after_an_at_sign_and_in_addresses_of_the_web(text: str, expected: str) -> None:
    assert redacted(text) == expected
    assert redacted(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0049 30 901820 from abroad", "[PHONE] from abroad"),
        ("in France 06 12 34 56 78 or 01.42.68.53.00", "in France [PHONE] or [PHONE]"),
        ("010-1234-5678, 090-1234-5678 and 138 0013 8000", "[PHONE], [PHONE] and [PHONE]"),
        ("WhatsApp 5511987654321", "WhatsApp [PHONE]"),
        ("\u7535\u8bdd13800138000", "\u7535\u8bdd[PHONE]"),
        ("\u624b\u673a\u53f7\u7801\u662f 13800138000", "\u624b\u673a\u53f7\u7801\u662f [PHONE]"),
        ("IBAN DE 89 37 04 00 44 05 32 01 30 00", "IBAN [IBAN]"),
    ],
)
def test_numbers_are_found_as_other_countries_write_them(text: str, expected: str) -> None:
    assert redacted(text) == expected


RANDOM = "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z"
"""Letters and digits as a key has them; the shapes are those of the services' own documentation."""


@pytest.mark.long
@pytest.mark.parametrize(
    "key",
    [
        f"sk-proj-{RANDOM}_{RANDOM}",
        f"sk-{RANDOM}T3BlbkFJ{RANDOM}",
        f"sk-ant-api03-{RANDOM}-{RANDOM}AA",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "AKIAIOSFODNN7EXAMPLE",
        f"ghp_{RANDOM[:36]}",
        f"github_pat_11ABCDEFG0{RANDOM}",
        f"glpat-{RANDOM[:20]}",
        f"xoxb-123456789012-1234567890123-{RANDOM[:24]}",
        f"hf_{'aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH'}",
        f"AIza{RANDOM[:35]}",
        # From RFC 7519, section 3.1.
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODB9.dBjftJeZ4CVP-mB92K27u",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "my key is {}.", 'TOKEN="{}"', "Bearer {}, thanks", "https://h.com/?k={}&x=1"]
)
def test_keys_and_tokens_of_services_are_found_whole(key: str, around: str) -> None:
    done = redact(pl.Series([around.format(key)]))
    assert done.texts.item() == around.format("[CREDENTIAL]")
    assert done.found.rows() == [(0, "credential", 1)]


@pytest.mark.parametrize("assigned", ["api_key = {}", '"clientSecret": "{}"', "AUTH-TOKEN:{}", "secret_access_key={}"])
def test_what_is_assigned_to_a_key_is_one(assigned: str) -> None:
    assert redacted(assigned.format(RANDOM)) == assigned.format("[CREDENTIAL]")
    assert redacted(assigned.format("your-own-key-goes-in-here")) == assigned.format("your-own-key-goes-in-here")


@pytest.mark.parametrize(
    "text",
    [
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 broke it",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "sk-learn-and-other-libraries-of-2024 and sk-estuary",
        f"task-{RANDOM}, x{RANDOM}, desk-{RANDOM}",
        "AKIA, ghp_ and eyJ are how they begin, as hf_models do",
        "the api key: see docs/architecture/of/this/project.md",
        "secret = correct-horse-battery-staple-again",
        "an access token lasts for an hour",
    ],
)
def test_hashes_and_words_with_dashes_are_no_keys(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("john.doe at example dot com", "[EMAIL]"),
        ("ask john dot doe at example dot co dot uk please", "ask [EMAIL] please"),
        ("mail ann [at] example [dot] org now", "mail [EMAIL] now"),
        ("ann(at)example.com, ANN AT EXAMPLE DOT COM", "[EMAIL], [EMAIL]"),
        ("anna {\u00e4t} uni-bonn <punkt> de.", "[EMAIL]."),
        ("write to john at gmail.com.", "write to [EMAIL]."),
        ("bob at rediff dot co dot in", "[EMAIL]"),
        ("/?email=john%40example.com&x=1 or john&#64;example.com", "/?email=[EMAIL]&x=1 or [EMAIL]"),
        ("email me at john_smith at yahoo dot com", "email me at [EMAIL]"),
    ],
)
def test_a_spelled_address_is_one(text: str, expected: str) -> None:
    assert redacted(text) == expected
    assert redacted(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "meet me at noon dot",
        "look at example dot com",
        "the laser pointed at a dot in the sky, look at the red dot in the middle",
        "we met at starbucks dot net worth is unknown",
        "buy it at amazon.com, sign up at gmail.com",
        "stocks at dot com prices",
        "arrive at 5 dot com",
        "see (at) once, option (a) example.com, f(at) x",
    ],
)
def test_a_sentence_that_says_where_is_no_address(text: str) -> None:
    assert redacted(text) == text


def test_how_far_a_rule_looks_from_one_place_does_not_grow_with_the_text() -> None:
    """Regression: 20,000 characters of `a.b/` took 2 s, and time grew with their square."""
    shapes = [("hint", _hint()), *((rule.kind, rule.shape) for rule in _rules())]
    widest = [(kind, parse(shape.pattern, shape.flags).getwidth()[1]) for kind, shape in shapes]
    assert {kind for kind, width in widest if width > 10_000} == {"credential"}, "of which the next test is"


@pytest.mark.parametrize(
    "part", ["sk-a", "sk-a1b2c3d4e5f6g7h8i9j0", "eyJa.", "eyJaaaaaaaa.", "api_key:", f"api_key:{'a1' * 12}", KEY_HEAD]
)
def test_keys_in_a_row_are_looked_at_once(part: str) -> None:
    """A key has no greatest length, so none may start within another but at a few places."""
    text = part * 300
    for shape in (credentials.PREFIXED, credentials.RANDOM, credentials.ASSIGNED, credentials.PRIVATE_KEY):
        looked_at = [match[0] for at in range(len(text)) if (match := shape.match(text, at))]
        assert sum(map(len, looked_at)) <= 4 * len(text)


def test_no_texts_give_no_finds() -> None:
    done = redact(pl.Series("text", [], dtype=pl.String))
    assert done.texts.is_empty()
    assert done.found.is_empty()


@pytest.mark.parametrize(
    "columns",
    [
        "email e_mail eMail E-Mail customerEmail email_address emails email_2 work-email",
        "phone phone_number phoneNumber homePhone telephone mobile cell_phone fax",
        "ssn social_security_number national_id tax_id passport passport_no driving_licence",
        "iban credit_card card_number cardNo account_number ip client_ip ip_address IPAddress ipv4",
        "address address_line_2 shipping_address street post_code zipCode",
        "date_of_birth birthDate birthday dob",
        "first_name LastName fullname surname user_name username customer_name",
        "handle twitter_handle screen_name nickname",
    ],
)
def test_personal_columns_are_known_by_their_last_words(columns: str) -> None:
    assert personal_columns(columns.split()) == columns.split()


@pytest.mark.parametrize(
    "columns",
    [
        "kind service label text topic question total score first last language hotel id user_id prompt_id",
        "emailed_at email_verified has_email is_mobile num_phones phone_model phonetic iphone mobile_app",
        "addressed address_type street_count card card_type account ip_version ship zip unzip",
        "name product_name file_name filename created_at",
    ],
)
def test_other_columns_are_not(columns: str) -> None:
    assert personal_columns(columns.split()) == []


def test_personal_columns_keep_their_order() -> None:
    assert personal_columns(["text", "phone", "label", "Email"]) == ["phone", "Email"]


def test_one_text_is_redacted_as_a_column_of_texts_is() -> None:
    texts = [
        "nothing",
        "Write to ada@example.com",
        "4111 1111 1111 1111",
        "at 8.8.8.8",
        "call +49 30 901820",
        "a.b@c.de",
    ]
    assert [redact_text(text) for text in texts] == redact(pl.Series(texts)).texts.to_list()


def test_personal_values_are_counted_by_rows_and_kind() -> None:
    values = ["a", "john.doe@example.com 4111 1111 1111 1111", None, "ada@example.com", "ada@example.com", "b"]
    assert personal_values(pl.Series("kind", values)) == {"email": 3, "card": 1}
    assert personal_values(pl.Series("kind", ["HUM:ind", None])) == {}


def test_one_card_among_ordinary_values_is_found() -> None:
    assert personal_values(pl.Series(["HUM", "LOC", "4111111111111111"] * 10)) == {"card": 10}


def test_ids_that_pass_a_check_digit_by_chance_are_no_cards() -> None:
    # Sixteen digits from 4: one in ten passes Luhn, as in any column of long ids.
    ids = pl.Series([f"{4000000000000000 + 7919 * n}" for n in range(500)])
    passing = redact(ids).found["row"].unique()
    assert 30 < len(passing) < 70 and personal_values(ids) == {}
    cards = ids.gather(passing)
    assert personal_values(pl.concat([cards, ids.head(20)]))["card"] >= len(cards), (
        "most of them are, so they are meant"
    )


def test_dates_versions_and_shares_are_nobodys_data() -> None:
    values = ["2026-01-31", "2026-01-31T10:00:00+02:00", "2026-01-31 10:00:00.123456", "1.13.27", "0.921", "v2-10"]
    assert personal_values(pl.Series(values)) == {}
