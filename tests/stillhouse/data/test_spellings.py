"""Which labels may be one class, and what a recipe answers."""

from pathlib import Path

import pytest

from stillhouse.data.spellings import alike, class_key
from tests.stillhouse.data.options import read_with


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Billing", "billing"),
        ("True", "true"),
        ("1", "1.0"),
        ("7", "007"),
        ("1e3", "1000"),
        ("-0", "0.00"),
        ("\uff42\uff49\uff4c\uff4c\uff49\uff4e\uff47", "billing"),
        ("ﬁx", "FIX"),
        ("card payment", "card\u2003 payment"),
        ("Straße", "STRASSE"),
        ("heart ❤\ufe0f", "heart ❤"),
        ("pay\u200dment", "payment"),
        ("card_lost", "Card lost"),
        ("card-lost", "card_lost"),
        ("billing.", "billing"),
        ('"billing"', "billing"),
        ("'1'", "1.0"),
        ("1,50", "1.5"),
        ("\u201cbilling\u201d,", "billing"),
    ],
)
def test_labels_that_a_person_would_take_for_one_are_alike(one: str, other: str) -> None:
    assert class_key(one) == class_key(other)
    assert alike({one: 3, other: 5}, {}) == [{other: 5, one: 3}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NA", "N/A"),
        ("nan", "null"),
        ("1", "true"),
        ("10", "1"),
        ("0070", "7"),
        ("1.5", "15"),
        ("1,5", "15"),
        ("1,2,3", "123"),
        ("C++", "C"),
        ("A-", "A"),
        ("-1", "1"),
        ("C#", "C"),
        ("é", "e"),
    ],
)
def test_other_labels_are_not(one: str, other: str) -> None:
    assert class_key(one) != class_key(other)
    assert alike({one: 3, other: 5}, {}) == []


def test_an_answer_has_to_name_every_spelling() -> None:
    counts = {"Billing": 2, "billing": 3, "BILLING": 1, "repair": 9}
    found = [{"billing": 3, "Billing": 2, "BILLING": 1}]
    assert alike(counts, {}) == found
    assert alike(counts, {"Billing": "Billing", "billing": "billing"}) == found
    assert alike(counts, {name: name for name in ("Billing", "billing", "BILLING")}) == []
    assert alike({"billing": 6, "repair": 9}, {"Billing": "billing"}) == []


def test_labels_are_spelled_as_texts_are_and_mapped_to_their_class(tmp_path: Path) -> None:
    """Regression: a NUL after a label made another class of it."""
    path = tmp_path / "rows.csv"
    labels = [
        "billing\0\0",
        "bil\u200bling",
        "\ufeffbilling ",
        "Billing",
        "card  payment",
        "\u200b",
        "NA",
        "cafe\u0301",
    ]
    path.write_text("text,label\n" + "".join(f"t{n},{label}\n" for n, label in enumerate(labels)))
    read = read_with(
        str(path), text="text", label="label", classes={"Billing\u200b": "billing", "caf\u00e9": "x", "other": "y"}
    )
    assert read.rows["label"].to_list() == ["billing"] * 4 + ["card payment", None, "NA", "x"]
