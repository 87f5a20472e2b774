"""Pairs are exact and nearly all found, runs of words are found by the rule, and what is kept has no pair left."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.near_duplicates import (
    KnownAnswers,
    can_be_looked_for,
    has_few_blanks,
    keep_first,
    near_duplicate_pairs,
    ngram_overlap,
)

LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
ranked_pairs = st.integers(2, 12).flatmap(
    lambda rows: st.tuples(
        st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, rows - 1)).filter(lambda pair: pair[0] < pair[1])),
        st.permutations(range(rows)),
    )
)


def found(*texts: str, threshold: float = 0.8) -> list[tuple[int, int, float]]:
    return near_duplicate_pairs(pl.Series(texts, dtype=pl.String), threshold=threshold).rows()


def shingles(text: str) -> set[str]:
    """Those of a text of small letters and single blanks."""
    padded = f" {text} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def similarity(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def made_up(draw: random.Random, words: int) -> str:
    return " ".join("".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(words))


def edited(draw: random.Random, text: str) -> str:
    """Change, remove or insert one letter or two."""
    for _ in range(draw.randint(1, 2)):
        place = draw.randrange(len(text))
        text = text[:place] + draw.choice(["", *LETTERS]) + text[place + draw.randint(0, 1) :]
    return " ".join(text.split())


def pairs_frame(pairs: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"first": pl.UInt32, "second": pl.UInt32}, orient="row")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's the capital of France?", "What is the capital of France ?"),
        ("What 's the  Capital of France ?", "what's the capital of FRANCE"),
        ("What is `` dew point '' ?", "What is dew point?"),
        (
            "Which river flows through the largest city of Northern Spain",
            "Which river flows through the larjest city of Northern Spain",
        ),
        ("a", "A!"),
    ],
)
def test_these_are_near_duplicates(one: str, other: str) -> None:
    assert [pair[:2] for pair in found(one, other)] == [(0, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France ?", "What is the capital of Italy ?"),
        ("Who invented the telephone ?", "Who invented the television ?"),
        ("a", "b"),
        ("?", "!"),
        ("", ""),
    ],
)
def test_these_are_not(one: str, other: str) -> None:
    assert found(one, other) == []


def test_the_similarity_is_the_jaccard_index_of_the_shingles() -> None:
    # By hand: of " abcdef " and " abcdeg " both have " ab", "abc", "bcd", "cde"; "def", "ef ", "deg", "eg " one has.
    assert found("Abcdef", "?", "abcdeg.", threshold=0.4) == [(0, 2, 0.5)]


def test_no_text_and_texts_without_a_letter_give_no_pairs() -> None:
    expected = {"first": pl.UInt32, "second": pl.UInt32, "similarity": pl.Float64}
    for texts in ([], ["?!"], ["?", "", " "]):
        pairs = near_duplicate_pairs(pl.Series(texts, dtype=pl.String))
        assert pairs.is_empty()
        assert pairs.schema == expected


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be in"):
        found("a", "a", threshold=threshold)


@pytest.mark.long
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_planted_pairs_are_found_and_nothing_else(threshold: float) -> None:
    draw = random.Random(7)
    texts = [made_up(draw, draw.randint(6, 30)) for _ in range(1200)]
    texts += [edited(draw, text) for text in texts]
    pairs = near_duplicate_pairs(pl.Series(texts), threshold=threshold)
    for first, second, stated in pairs.iter_rows():
        assert first < second
        assert stated == similarity(texts[first], texts[second]) >= threshold
    sure = {(row, row + 1200) for row in range(1200) if similarity(texts[row], texts[row + 1200]) >= threshold + 0.05}
    assert len(sure) > 200
    assert len(sure & set(pairs.select("first", "second").iter_rows())) >= 0.99 * len(sure)


def test_texts_are_the_same_in_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(8)
    texts = pl.Series([made_up(draw, 5) for _ in range(40)] + ["\U0001f600 caf\u00e9", "x"] * 2)
    texts = pl.concat([texts, pl.Series([edited(draw, text) for text in texts])])
    at_once = near_duplicate_pairs(texts)
    monkeypatch.setattr("stillhouse.data.near_duplicates._CHUNK", 400)
    assert at_once.height > 10
    assert near_duplicate_pairs(texts).equals(at_once)


@pytest.mark.long
def test_many_rows_of_one_text_give_few_pairs_and_one_row_is_kept() -> None:
    pairs = near_duplicate_pairs(pl.Series(["Where is my order?"] * 3000))
    assert pairs.height < 8 * 3000
    dropped = keep_first(pairs, pl.Series(range(3000)))
    assert dropped["row"].to_list() == list(range(1, 3000))
    assert set(dropped["because_of"]) == {0}


def known(*values: str | None) -> KnownAnswers:
    """What is known to be said, each answer a single value that is in its text."""
    each = [[] if value is None else [value] for value in values]
    return KnownAnswers(pl.Series(values, dtype=pl.String), pl.Series(each, dtype=pl.List(pl.String)))


def letter(number: int) -> str:
    return f"Dear Sir or Madam, please be so kind as to pay Acme {number} euro within a week."


def test_of_letters_of_one_template_those_are_pairs_that_are_not_known_to_say_different_things() -> None:
    texts = pl.Series([letter(7), letter(8), letter(9), letter(8).replace("week", "weak")])
    assert near_duplicate_pairs(texts).height == 6
    pairs = near_duplicate_pairs(texts, known=known("7", "8", None, "8"))
    assert pairs.select("first", "second").rows() == [(0, 2), (1, 2), (1, 3), (2, 3)]
    assert near_duplicate_pairs(texts, known=known(None, None, None, None)).height == 6


def test_a_text_that_differs_in_a_comma_is_a_pair_whatever_is_said_of_it() -> None:
    """They have the same values: one of the two labels is wrong. Eight letters between them hide neither."""
    texts = [letter(1), *map(letter, range(2, 30)), letter(1).replace(",", " -")]
    pairs = near_duplicate_pairs(pl.Series(texts), known=known(*map(str, range(30))))
    assert pairs.rows() == [(0, 29, 1.0)]


def test_more_letters_of_a_template_than_a_row_is_compared_with_hide_no_pair() -> None:
    texts = [letter(number) for number in range(100, 160)]
    said = [str(number) for number in range(100, 160)]
    typo = letter(158).replace("please", "plaese")
    pairs = near_duplicate_pairs(pl.Series([*texts, typo]), known=known(*said, "158"))
    assert pairs.select("first", "second").rows() == [(58, 60)]


@pytest.mark.parametrize(
    ("answers", "values"),
    [
        (("158 kind", "158 angry"), (["158"], ["158"])),
        (("acme 158", "acme"), (["Acme", "158"], ["Acme"])),
        (("158 euro", "158"), (["158 euro"], ["158"])),
        (("kind", "angry"), ([], [])),
    ],
)
def test_one_letter_with_a_typo_is_there_twice_whatever_two_people_took_out_of_it(
    answers: tuple[str, str], values: tuple[list[str], list[str]]
) -> None:
    """Regression: neither rows nor gates saw it, and a teacher that read both as one gave the golden answer away."""
    family = [number for number in range(100, 160) if number != 158]
    texts = pl.Series([*map(letter, family), letter(158), letter(158).replace("please", "plaese")])
    said = pl.Series([*map(str, family), *answers])
    of_texts = pl.Series([*([str(number)] for number in family), *values], dtype=pl.List(pl.String))
    pairs = near_duplicate_pairs(texts, known=KnownAnswers(said, of_texts))
    assert pairs.select("first", "second").rows() == [(59, 60)]


SAID = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("golden", "pool", "expected"),
    [
        (SAID, f"Say: {SAID.upper()}!", True),
        (SAID, "zero " + SAID.removesuffix(" fourteen"), True),
        (SAID, SAID.removeprefix("one "), True),
        (SAID, " ".join(SAID.split()[:12]), False),
        (SAID, SAID.replace("seven", "7"), False),
        ("one two three, four five six seven eight?", SAID, True),
        ("one two three four five six seven eight ten", SAID, False),
        ("one two three four five six seven", SAID, False),
        ("ne two three four five six seven eight", SAID, False),
    ],
)
def test_which_golden_text_stands_in_a_pool_text(golden: str, pool: str, expected: bool) -> None:
    assert ngram_overlap(pl.Series(["other", golden]), pl.Series([pool])).rows() == ([(1, 0)] if expected else [])


def test_a_run_of_a_template_stands_in_letters_that_are_not_known_to_say_something_else() -> None:
    golden = pl.Series([f"{SAID} pay Acme", f"{SAID} pay Apex", "please pay the whole sum of it to Acme"])
    pool = pl.Series([f"{SAID} or pay Acme"] * 3 + [f"{SAID} and please pay the whole sum of it to Acme"])
    golden_says, pool_says = known("acme", "apex", "acme"), known("acme", "blue", None, "blue")
    found = ngram_overlap(golden, pool, golden_says=golden_says, pool_says=pool_says).rows()
    assert found == [(0, 0), (0, 2), (1, 2), (2, 3)], "the whole of a golden text counts whatever is said of it"
    of_nobody = ngram_overlap(golden, pool, golden_says=known(None, None, None), pool_says=pool_says)
    assert {(0, 0), (0, 1)} < {*of_nobody.rows()}


@pytest.mark.long
@given(
    st.lists(st.lists(st.sampled_from("ab"), max_size=14), max_size=6),
    st.lists(st.lists(st.sampled_from("ab"), max_size=20), max_size=6),
)
def test_every_row_with_a_shared_run_is_said(golden: list[list[str]], pool: list[list[str]]) -> None:
    def stands_in(some: list[str], other: list[str]) -> bool:
        size = min(len(some), 9)
        runs = {tuple(some[start : start + size]) for start in range(len(some) - size + 1)}
        return size >= 8 and any(tuple(other[start : start + size]) in runs for start in range(len(other) - size + 1))

    def series(texts: list[list[str]]) -> pl.Series:
        return pl.Series([" ".join(text) for text in texts], dtype=pl.String)

    expected = [
        (row, other) for row in range(len(golden)) for other in range(len(pool)) if stands_in(golden[row], pool[other])
    ]
    said = ngram_overlap(series(golden), series(pool), words=9)
    assert said.schema == {"golden": pl.UInt32, "pool": pl.UInt32}
    assert set(said.rows()) <= set(expected)
    assert set(said["golden"]) == {row for row, _ in expected}
    assert set(said["pool"]) == {row for _, row in expected}


CHINESE = "我昨天在你们网站上订购的打印机到现在还没有发货、请尽快处理"
THAI = "เครื่องพิมพ์ที่สั่งซื้อเมื่อวานนี้ยังไม่ได้จัดส่งกรุณาดำเนินการโดยเร็ว"
JAPANESE = "昨日そちらのサイトで注文したプリンターがまだ届いていません"


@pytest.mark.parametrize("golden", [CHINESE, THAI, JAPANESE])
def test_a_text_without_blanks_is_found_by_its_characters(golden: str) -> None:
    around = f"转发  {golden} 。谢谢"
    assert has_few_blanks(pl.Series([golden, around])).all()
    assert ngram_overlap(pl.Series([golden]), pl.Series(["else", around])).rows() == [(0, 1)]
    assert ngram_overlap(pl.Series([golden]), pl.Series([golden[:12] + "今" + golden[13:25]])).is_empty()


def test_names_in_latin_letters_do_not_make_a_text_one_of_words() -> None:
    golden = "我的 iPhone 15 Pro 屏幕 坏了 请 尽快 修理并告诉我到货时间"
    assert has_few_blanks(pl.Series([golden])).all()
    without = golden.replace(" ", "")
    assert ngram_overlap(pl.Series([golden]), pl.Series([f"你好{without}谢谢"])).rows() == [(0, 0)]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("one two three four five six seven eight", True),
        ("one two three four five six seven", False),
        ("我昨天在你们网站上订购的打印机到", True),
        ("我昨天在你们网站上订购的打印机", False),
        ("我昨天在你们网站上订购的打印机。", False),
    ],
)
def test_what_is_too_short_to_be_found_is_said(text: str, counts: bool) -> None:
    series = pl.Series([text])
    assert can_be_looked_for(series).to_list() == [counts]
    assert ngram_overlap(series, pl.Series(["zero " + text])).height == counts


def test_words_of_a_language_with_blanks_are_counted_as_words() -> None:
    texts = pl.Series([SAID, "What is dextropropoxyphen napsylate ?", "어제 주문한 프린터가 아직 오지 않았습니다"])
    assert not has_few_blanks(texts).any()


def test_boilerplate_is_not_counted_for_all_with_all() -> None:
    both = pl.Series([f"{SAID} {row}" for row in range(500)])
    assert ngram_overlap(both, both).height < 3 * 500


def test_runs_of_few_words_are_refused() -> None:
    with pytest.raises(ValueError, match="words 7 must be 8 or more"):
        ngram_overlap(pl.Series(["a"]), pl.Series(["a"]), words=7)


def test_a_row_whose_only_pair_is_dropped_stays() -> None:
    dropped = keep_first(pairs_frame([(1, 2), (0, 1)]), pl.Series([0, 1, 2]))
    assert dropped.rows() == [(1, 0)]


def test_the_rank_decides_and_not_the_row() -> None:
    assert keep_first(pairs_frame([(0, 1), (1, 2)]), pl.Series([5, 9, 1])).rows() == [(1, 2)]
    assert keep_first(pairs_frame([(0, 1), (1, 2)]), pl.Series([5, 1, 9])).rows() == [(0, 1), (2, 1)]


@pytest.mark.long
@given(ranked_pairs, st.randoms(use_true_random=False))
def test_no_pair_is_kept_and_each_dropped_row_has_a_kept_reason(
    given_pairs: tuple[list[tuple[int, int]], list[int]], shuffler: random.Random
) -> None:
    pairs, ranks = given_pairs
    dropped = keep_first(pairs_frame(pairs), pl.Series(ranks))
    assert dropped.schema == {"row": pl.UInt32, "because_of": pl.UInt32}
    gone = set(dropped["row"])
    assert dropped.height == len(gone)
    assert all(first in gone or second in gone for first, second in pairs)
    for row, reason in dropped.iter_rows():
        assert reason not in gone
        assert ranks[reason] < ranks[row]
        assert (min(row, reason), max(row, reason)) in pairs
    shuffler.shuffle(pairs)
    assert keep_first(pairs_frame(pairs), pl.Series(ranks)).equals(dropped)


def test_equal_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        keep_first(pairs_frame([(0, 1)]), pl.Series([1, 1]))
