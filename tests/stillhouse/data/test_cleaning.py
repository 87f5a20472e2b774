"""One spelling, one row for a text, and nothing lost."""

import unicodedata
from collections import Counter
from hashlib import sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.cleaning import clean, label_problems, normalise, prompt_ids
from stillhouse.data.rejects import REJECT_SCHEMA
from stillhouse.errors import StillhouseError

SCHEMA = {"text": pl.String, "label": pl.String, "batch": pl.String}
texts = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(
        ["a", "A", " a\u200b ", "\uff21", "stra\u00dfe", "STRASSE", "e\u0301", "\u00e9", "\ufffd", "aaaaaaaaaaaa"]
    ),
)
source_rows = st.lists(
    st.tuples(texts, st.sampled_from([None, "x", "y"]), st.sampled_from(["base", "may", "june"])), max_size=30
)


def frame(rows: list[tuple[str | None, str | None, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def spelled(text: str) -> str:
    return str(pl.select(normalise(pl.lit(text))).item())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two \t\n\u00a0\u3000 words ", "two words"),
        ("be\x00ep\x07 \x1b x", "beep x"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("turned \u202eround\u202c", "turned round"),
        ("pay \u200fAcme\u200e\u061c 5\u2060\u2062x\u206c", "pay Acme 5x"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("cafe\u0301", "caf\u00e9"),
        ("area in m\u00b2", "area in m\u00b2"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_a_text_has_one_spelling(text: str, expected: str) -> None:
    assert spelled(text) == expected


@pytest.mark.long
@given(st.text(st.characters(codec="utf-8")))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = spelled(text)
    assert spelled(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(mark) == "Cc" for mark in once)


def test_the_id_is_the_digest_of_the_casefolded_text() -> None:
    # By hand: case, white space, full-width letters and the sharp s are folded before hashing.
    expected = sha256(b"strasse 1").hexdigest()[:32]
    assert prompt_ids(pl.Series(["Stra\u00dfe 1", " STRASSE\t1", "\uff33trasse 1"])).to_list() == [expected] * 3


def test_texts_that_cannot_be_used_are_rejected_with_the_reason() -> None:
    rows = frame([("ok", "x", "base"), (None, "x", "base"), (" \u200b\n", "x", "base"), ("b\ufffdd", "x", "base")])
    cleaned = clean(rows.vstack(frame([("12345678901", "x", "may")])), max_characters=10)
    assert cleaned.kept["text"].to_list() == ["ok"]
    assert cleaned.rejects.rows() == [
        (None, "base", "blank text", None),
        (" \u200b\n", "base", "blank text", None),
        ("b\ufffdd", "base", "undecodable character", None),
        ("12345678901", "may", "longer than max_characters", None),
    ]


def test_the_limit_is_the_longest_text_that_is_kept() -> None:
    assert clean(frame([("é" * 10, "x", "base")]), max_characters=10).kept.height == 1


@pytest.mark.parametrize(
    ("copies", "kept"),
    [
        (["x", "x"], 0),
        ([None, "x", "x"], 1),
        ([None, None], 0),
        (["x", None, "x"], 0),
        (["x", "y"], None),
        (["x", "x", "y", None], None),
    ],
)
def test_which_copy_of_a_text_is_kept(copies: list[str | None], kept: int | None) -> None:
    rows = frame([("Same", label, "base") for label in copies]).with_columns(number=pl.int_range(pl.len()))
    found = clean(rows)
    assert found.kept["number"].to_list() == ([] if kept is None else [kept])
    assert set(found.rejects["reason"]) == {"conflicting labels" if kept is None else "duplicate text"}


def test_further_columns_travel_and_the_order_stays() -> None:
    rows = frame([("b", "x", "base"), ("a", "y", "base"), ("b", "x", "base")]).with_columns(
        pl.Series("row", ["1", "2", "3"]), pl.Series("reason", ["p", "q", "r"])
    )
    kept = clean(rows).kept
    assert kept.columns == ["prompt_id", "text", "label", "batch", "row", "reason"]
    assert kept.select("text", "row", "reason").rows() == [("b", "1", "p"), ("a", "2", "q")]


@pytest.mark.long
@given(source_rows)
def test_in_is_kept_plus_rejected(rows: list[tuple[str | None, str | None, str]]) -> None:
    given_rows = frame(rows).with_columns(number=pl.int_range(pl.len()))
    cleaned = clean(given_rows, max_characters=10)
    assert cleaned.rejects.schema == REJECT_SCHEMA
    assert cleaned.rejects["reason"].null_count() == 0
    originals = given_rows.filter(pl.col("number").is_in(cleaned.kept["number"].implode())).select("text", "batch")
    assert Counter(originals.rows()) + Counter(cleaned.rejects.select("text", "batch").rows()) == Counter(
        given_rows.select("text", "batch").rows()
    )
    assert cleaned.kept["prompt_id"].is_unique().all()


def test_a_label_seen_once_is_rejected_and_unlabelled_rows_stay() -> None:
    rows = frame(
        [(name, label, "base") for name, label in zip("abcdef", ["x", "x", "y", "y", "rare", None], strict=True)]
    )
    found = label_problems(rows, where="rows.csv")
    assert found.kept["text"].to_list() == ["a", "b", "c", "d", "f"]
    assert found.rejects.rows() == [("e", "base", "label seen once", None)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["x", "x", None], "rows.csv: every label is 'x'; expected two labels or more"),
        (["x", "x", "y"], "fewer than two labels have two rows"),
        ([None, None], "none of 2 rows has a label"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels: list[str | None], message: str) -> None:
    rows = frame([(str(n), label, "base") for n, label in enumerate(labels)])
    with pytest.raises(StillhouseError, match=message):
        label_problems(rows, where="rows.csv")
