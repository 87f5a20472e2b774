"""Prompts that are almost the same text, and evaluation text that stands inside training text.

Belongs here: similarity of two texts, finding similar pairs among many, shared runs of words, which of a pair to keep.
Does not: copies of one text (cleaning.py, which comes first), which split a row is on and what a leak costs (checks/).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rensa import RMinHash  # type: ignore[import-untyped]

from stillhouse.data.pairs import parts_of

# Three characters with the blanks around words: words or five characters put "What's the capital of France?" as far
# from "What is ..." (0.4 to 0.7) as from "... of Italy", three put 0.84 and 0.67. Three also fit an integer exactly.
_SHINGLE = 3
# A code point has 21 bits.
_CODE_POINT = np.uint64(21)
_PERMUTATIONS = 128
_RECALL = 0.99
# Members of a bucket that every other member is compared with. All pairs of 50,000 rows of boilerplate are 1.2 billion.
_LEADERS = 8
# Odd, so that no bit of what it is multiplied with is lost: that of splitmix64.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# What is shingled and hashed at once, counting characters and hashes: about 200 MB while it lasts.
_CHUNK = 5_000_000
# Below eight words a whole question ("What is the capital of France ?") stands in longer ones by chance.
_SHORTEST_RUN = 8
# Where no blank says what a word is, characters are counted: two to a word, as in Chinese. A Thai word has more of
# them, so there a shorter run counts.
_CHARACTERS_A_WORD = 2
# English has a blank for 5 or 6 characters, in its longest words one for 10; Chinese and Thai one for a phrase at most.
_CHARACTERS_A_BLANK = 20
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"


@dataclass(frozen=True)
class KnownAnswers:
    """What texts are known to say, which is how letters of one template differ.

    Args:
        answers: String, shape (rows,), null where nothing is known.
        values: List(String), shape (rows,): the words of each text that its answer is made of.
    """

    answers: pl.Series
    values: pl.Series


def near_duplicate_pairs(
    texts: pl.Series, *, threshold: float = 0.8, with_queries: bool = False, known: KnownAnswers | None = None
) -> pl.DataFrame:
    """Find pairs of rows whose texts have nearly the same runs of three characters.

    Case, punctuation and white space do not count. A text without a letter, digit or symbol is like no other.
    Similarities are exact; pairs are found by MinHash, so of those 0.05 above the threshold one in 100 may be missed
    and at the threshold itself one in 20 (at 0.8). One other name in a long question is a pair as one typo is.

    The work grows with the rows, never with their square: of more than 8 rows that look alike, each is compared with
    the first 8. Where such a family may exist, put rows worth keeping first, and after `keep_first` find pairs among
    the kept rows again until there is none.

    Args:
        texts: String without nulls, shape (rows,).
        threshold: least Jaccard similarity of a pair, in (0, 1].
        with_queries: each text is a query and a document. Two of them are a pair only where both parts are: a long
            document makes two queries for it no more alike than a long query does two documents.
        known: what each text is known to say. Two that say different things are a pair only where the texts are the
            same but for case, punctuation and white space, or each has all values of the other: then one letter is
            there twice, and one of its two answers is wrong. None where two texts may say different things and one of
            them still gives the other's answer away.

    Returns:
        `first`, `second` (rows, first < second, sorted) and `similarity`, shape (pairs, 3).

    Raises:
        ValueError: if the threshold is outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} must be in (0, 1]")
    # The blanks make the first and the last letter of a text part of three shingles as all others, and give a text of
    # one letter a shingle.
    padded = (
        (" " + plainly_spelled(texts) + " ")
        .alias("text")
        .to_frame()
        .with_row_index("row")
        .filter(pl.col("text") != "  ")
    )
    said = None if known is None else _Said.of(known, padded["row"], padded["text"])
    candidates = _candidates(padded["text"], _rows_per_band(threshold), said)
    if with_queries:
        candidates = _alike_in_each_part(texts.gather(padded["row"]), candidates, threshold)
    sides = zip(*(padded["text"].gather(rows) for rows in _sides(candidates)), strict=True)
    similarity = np.fromiter((_jaccard(one, other) for one, other in sides), np.float64, len(candidates))
    first, second = (padded["row"].gather(rows) for rows in _sides(candidates))
    found = {"first": first, "second": second, "similarity": similarity}
    return pl.DataFrame(found).filter(pl.col("similarity") >= threshold)


def ngram_overlap(
    golden: pl.Series,
    pool: pl.Series,
    *,
    words: int = 13,
    golden_says: KnownAnswers | None = None,
    pool_says: KnownAnswers | None = None,
) -> pl.DataFrame:
    """Find golden texts of which a run of words stands in a pool text: the rule by which GPT-3 was checked.

    Case and punctuation do not count. A golden text with fewer words counts if the pool text has the whole of it, and
    never if it has fewer than eight. Of a golden text with few blanks (`has_few_blanks`) runs of two characters for
    each word are looked for, blanks set aside in both texts.

    Each golden row and each pool row with a shared run is in the result, but not each two of them, which could be all
    with all: the first pool row with a run is paired with each golden row that has it, later ones with the first of
    these.

    Args:
        golden: String without nulls, shape (golden rows,).
        pool: String without nulls, shape (pool rows,).
        words: length of a run, 8 or more.
        golden_says: what each golden text is known to say.
        pool_says: likewise; of two that say different things only a run that is the whole golden text counts.

    Returns:
        `golden` and `pool` (rows, sorted), shape (pairs, 2).

    Raises:
        ValueError: if runs are shorter than eight words.
    """
    if words < _SHORTEST_RUN:
        raise ValueError(f"words {words} must be {_SHORTEST_RUN} or more")
    spelled, few_blanks = list(enumerate(plainly_spelled(golden))), has_few_blanks(golden)
    by_words = [(row, text.split(" ")) for row, text in spelled if not few_blanks[row]]
    by_characters = [(row, text.replace(" ", "")) for row, text in spelled if few_blanks[row]]
    says = [
        [None] * len(texts) if said is None else plainly_spelled(said.answers).to_list()
        for texts, said in ((golden, golden_says), (pool, pool_says))
    ]
    found: set[tuple[int, int]] = set()
    if by_words:
        found |= _shared_runs(
            by_words, (text.split(" ") for text in plainly_spelled(pool)), _SHORTEST_RUN, words, *says
        )
    if by_characters:
        shortest, run = _CHARACTERS_A_WORD * _SHORTEST_RUN, _CHARACTERS_A_WORD * words
        plain = (text.replace(" ", "") for text in plainly_spelled(pool))
        found |= _shared_runs(by_characters, plain, shortest, run, *says)
    return pl.DataFrame(sorted(found), schema={"golden": pl.UInt32, "pool": pl.UInt32}, orient="row")


def can_be_looked_for(golden: pl.Series) -> pl.Series:
    """Which texts `ngram_overlap` can find in others: those of eight words, or of 16 characters with few blanks.

    Args:
        golden: String without nulls, shape (golden rows,).
    """
    spelled = plainly_spelled(golden)
    characters = spelled.str.replace_all(" ", "", literal=True).str.len_chars() >= _CHARACTERS_A_WORD * _SHORTEST_RUN
    words = spelled.str.count_matches(" ", literal=True) + 1 >= _SHORTEST_RUN
    few_blanks = has_few_blanks(golden)
    return ((few_blanks & characters) | (~few_blanks & words)).alias("can_be_looked_for")


def can_be_compared(texts: pl.Series) -> pl.Series:
    """Which texts `near_duplicate_pairs` can compare: those with a letter, digit or symbol.

    Args:
        texts: String without nulls, shape (rows,).
    """
    return (plainly_spelled(texts) != "").alias("can_be_compared")


def has_few_blanks(texts: pl.Series) -> pl.Series:
    """Which texts are written without blanks between words, so that their words cannot be counted.

    Args:
        texts: String without nulls, shape (rows,).

    Returns:
        True where there is less than one blank for 20 characters, or where half of the letters are of a script that
        puts none between words, whatever names in Latin letters stand among them; shape (rows,).
    """
    sparse = texts.str.count_matches(r"\s") * _CHARACTERS_A_BLANK < texts.str.len_chars()
    return (sparse | is_of_an_unspaced_script(texts)).alias("has_few_blanks")


def is_of_an_unspaced_script(texts: pl.Series) -> pl.Series:
    """Which texts have half of their letters in a script that puts no blanks between words, such as Chinese or Thai.

    Args:
        texts: String without nulls, shape (rows,).
    """
    unspaced = texts.str.count_matches(_UNSPACED) * 2 > texts.str.count_matches(r"\p{L}")
    return unspaced.alias("is_of_an_unspaced_script")


def keep_first(pairs: pl.DataFrame, order: pl.Series) -> pl.DataFrame:
    """Decide which rows to drop so that no pair is left, in rank order: a row is dropped if a kept one is its pair.

    Args:
        pairs: `first`, `second`, in any order.
        order: rank of each row, distinct, lower is more worth keeping, shape (rows,).

    Returns:
        `row` (to drop, sorted) and `because_of` (the kept pair of lowest rank), shape (dropped, 2).

    Raises:
        ValueError: if two rows have one rank.
    """
    if order.n_unique() != len(order):
        raise ValueError("ranks in `order` must be distinct")
    first_wins = order.gather(pairs["first"]) < order.gather(pairs["second"])
    sided = pairs.select(
        pl.when(first_wins).then("first").otherwise("second").alias("winner"),
        pl.when(first_wins).then("second").otherwise("first").alias("loser"),
    )
    ranked = sided.sort(order.gather(sided["loser"]), order.gather(sided["winner"]))
    because_of: dict[int, int] = {}
    # Every pair that could drop the winner has been seen: the winner is its loser, of lower rank than this one.
    for winner, loser in ranked.iter_rows():
        if winner not in because_of:
            because_of.setdefault(loser, winner)
    return pl.DataFrame(sorted(because_of.items()), schema={"row": pl.UInt32, "because_of": pl.UInt32}, orient="row")


def plainly_spelled(texts: pl.Series) -> pl.Series:
    """Texts in lower case, with a single blank for each run of punctuation and white space, and none at the ends."""
    # A blank and not nothing for punctuation: "What 's" and "What's" are then the same. The backtick is a quotation
    # mark in tokenised text, though Unicode has it as a symbol.
    return texts.str.to_lowercase().str.replace_all(r"[\p{P}\s`]+", " ").str.strip_chars(" ")


def _shared_runs(
    golden: Iterable[tuple[int, Sequence[str]]],
    pool: Iterable[Sequence[str]],
    shortest: int,
    longest: int,
    golden_says: Sequence[str | None],
    pool_says: Sequence[str | None],
) -> set[tuple[int, int]]:
    """Find golden and pool rows with a run in common, of words (as lists) or of characters (as text)."""
    # By a run and whom it counts for: of a template each run has as many owners as there are golden rows.
    owners: dict[tuple[str, str], list[int]] = {}
    some_are_known = any(said is not None for said in pool_says)
    lengths: dict[str, set[int]] = {}  # by the beginning of a run, which is all that most pool texts are looked up by
    for row, said in golden:
        length, answer = min(longest, len(said)), golden_says[row]
        to_known = _KNOWN if answer is None or length == len(said) else answer
        for start, head in _heads(said, shortest):
            if start + length <= len(said):
                for whom in (_UNKNOWN, to_known) if some_are_known else (_UNKNOWN,):
                    owners.setdefault((_written(said[start : start + length]), whom), []).append(row)
                lengths.setdefault(head, set()).add(length)
    found: set[tuple[int, int]] = set()
    for row, said in enumerate(pool):
        known = pool_says[row]
        looked_for = (_UNKNOWN,) if known is None else (known, _KNOWN)
        for start, head in _heads(said, shortest):
            for length in lengths.get(head, ()):
                run = _written(said[start : start + length])
                for key in [(run, whom) for whom in looked_for]:
                    if key in owners:
                        found.update((owner, row) for owner in owners[key])
                        del owners[key][1:]
    return found


_UNKNOWN, _KNOWN = "\n", "\r"
"""Pool rows of which nothing is known, and all others; no answer is spelled so."""


def _heads(said: Sequence[str], shortest: int) -> Iterator[tuple[int, str]]:
    for start in range(len(said) - shortest + 1):
        yield start, _written(said[start : start + shortest])


def _written(run: Sequence[str]) -> str:
    return run if isinstance(run, str) else " ".join(run)


def _alike_in_each_part(texts: pl.Series, candidates: NDArray[np.uint64], threshold: float) -> NDArray[np.uint64]:
    """Those of two rows whose queries are alike, and whose documents are; what is shorter is compared first."""
    for part in sorted(zip(*map(parts_of, texts), strict=True), key=lambda part: sum(map(len, part))):
        padded = " " + plainly_spelled(pl.Series(part, dtype=pl.String)) + " "
        sides = zip(*(padded.gather(rows) for rows in _sides(candidates)), strict=True)
        alike = (one == other or _jaccard(one, other) >= threshold for one, other in sides)
        candidates = candidates[np.fromiter(alike, np.bool_, len(candidates))]
    return candidates


def _sides(candidates: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first rows and the second ones, see `_candidates`."""
    return candidates >> np.uint64(32), candidates & np.uint64(0xFFFFFFFF)


def _jaccard(one: str, other: str) -> float:
    first, second = _shingles(one), _shingles(other)
    common = len(first & second)
    return common / (len(first) + len(second) - common)


def _shingles(padded: str) -> set[str]:
    return {padded[start : start + _SHINGLE] for start in range(len(padded) - _SHINGLE + 1)}


def _rows_per_band(threshold: float) -> int:
    """Take as many hashes to a band as recall allows; more mean fewer candidates.

    A pair of similarity s agrees in a band of r hashes with probability s^r, so in one of 128 / r bands with
    1 - (1 - s^r)^(128 / r). That has to be 0.99 a little above the threshold: 16 bands of 8 for 0.8, where it is 0.994
    at 0.85 and 0.002 at 0.3.
    """
    similarity = min(threshold + 0.05, (threshold + 1) / 2)
    return max(
        rows for rows in range(1, _PERMUTATIONS + 1) if 1 - (1 - similarity**rows) ** (_PERMUTATIONS // rows) >= _RECALL
    )


@dataclass(frozen=True)
class _Said:
    """What rows are known to say, plainly spelled.

    Args:
        padded: the texts.
        answers: as numbers from 1 on, 0 where nothing is known, shape (rows,).
        values: of each row, with a blank on either side.
        owners: rows, once for each of their values, and for their answer.
        owned: a number for each value and for each answer, shape as `owners`.
    """

    padded: pl.Series
    answers: NDArray[np.uint64]
    values: list[list[str]]
    owners: NDArray[np.uint64]
    owned: NDArray[np.uint64]

    @classmethod
    def of(cls, known: KnownAnswers, rows: pl.Series, padded: pl.Series) -> "_Said":
        answers = plainly_spelled(known.answers.gather(rows))
        numbers = answers.rank("dense").fill_null(0).cast(pl.UInt64)
        said = pl.DataFrame({"row": pl.int_range(len(rows), eager=True), "value": known.values.gather(rows)})
        each = said.explode("value").drop_nulls()
        spelled = each.with_columns((" " + plainly_spelled(each["value"]) + " ").alias("value"))
        by_value = spelled.filter(pl.col("value") != "  ").unique(maintain_order=True)
        values: list[list[str]] = [[] for _ in range(len(rows))]
        for row, value in by_value.iter_rows():
            values[row].append(value)
        # A value is no answer, and the number of none.
        of_value = by_value["value"].rank("dense").cast(pl.UInt64) + (numbers.max() or 0)
        owners = np.concatenate([np.arange(len(rows)), by_value["row"].to_numpy()]).astype(np.uint64)
        order = np.argsort(owners, kind="stable")
        owned = np.concatenate([numbers.to_numpy(), of_value.to_numpy()])
        return cls(padded, numbers.to_numpy(), values, owners[order], owned[order])

    def pairs_that_share(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Pairs of rows with one key that have a value or their answer in common, see `_bucket_pairs`."""
        found = _bucket_pairs(keys[self.owners] + self.owned * _FACTOR)
        one, other = (self.owners[places] for places in _sides(found))
        return (one << np.uint64(32)) | other

    def may_be_alike(self, candidates: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which pairs are not known to say different things of different texts."""
        one, other = _sides(candidates)
        alike = (self.answers[one] == self.answers[other]) | (self.answers[one] == 0) | (self.answers[other] == 0)
        apart = np.flatnonzero(~alike)
        alike[apart] = [self._is_one_letter(*both) for both in zip(one[apart], other[apart], strict=True)]
        return np.asarray(alike)

    def _is_one_letter(self, one: int, other: int) -> bool:
        first, second = self.padded[int(one)], self.padded[int(other)]
        return (
            all(value in second for value in self.values[one]) and all(value in first for value in self.values[other])
        ) or first == second


def _candidates(padded: pl.Series, rows_per_band: int, said: _Said | None = None) -> NDArray[np.uint64]:
    """Find pairs of rows that share a band, and are not known to say different things.

    Args:
        padded: shape (rows,).
        rows_per_band: see `_rows_per_band`.
        said: None where nothing is known that could tell two rows apart.

    Returns:
        first << 32 | second, distinct and sorted, shape (candidates,).
    """
    candidates = np.empty(0, np.uint64)
    if said is not None:
        candidates = np.sort(_bucket_pairs(padded.hash(seed=0).to_numpy()))  # the same texts, whatever they say
    for keys in _band_keys(padded, rows_per_band):
        found = _bucket_pairs(keys)
        if said is not None:
            # Rows that say something else must not take the places of those that a row is compared with.
            found = np.concatenate([found, said.pairs_that_share(keys)])
        # Sorted by hand: `np.unique` hashes, and takes ten times as long for numbers like these.
        both = np.sort(np.concatenate([candidates, found]))
        candidates = both[np.diff(both, prepend=~both[:1]) != 0]
    return candidates if said is None else candidates[said.may_be_alike(candidates)]


def _band_keys(padded: pl.Series, rows_per_band: int) -> NDArray[np.uint64]:
    """Hash each band of each text's MinHash.

    Returns:
        Shape (bands, rows).
    """
    bands = _PERMUTATIONS // rows_per_band
    keys = np.empty((bands, len(padded)), np.uint64)
    # Odd factors, so that no bit of a hash is lost; that two bands get one key by chance costs a comparison, no more.
    factors = np.random.default_rng(0).integers(2**63, size=rows_per_band, dtype=np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    done = 0
    for chunk in _chunks(padded):
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(*_packed_shingles(chunk), _PERMUTATIONS, 0)
        digests = np.array(matrix.to_rows(), np.uint64)[:, : bands * rows_per_band]
        keys[:, done : done + len(chunk)] = (digests.reshape(len(chunk), bands, rows_per_band) @ factors).T
        done += len(chunk)
    return keys


def _chunks(padded: pl.Series) -> Iterator[pl.Series]:
    if padded.is_empty():
        return
    number = ((padded.str.len_chars().cast(pl.UInt64) + _PERMUTATIONS).cum_sum() // _CHUNK).to_numpy()
    starts = np.flatnonzero(np.diff(number, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(padded)], strict=True):
        yield padded[start:end]


def _packed_shingles(padded: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Write each shingle as one integer, without collisions.

    Args:
        padded: texts of three characters or more, shape (rows,).

    Returns:
        Shingles of all texts, shape (shingles,), and where each text's begin and the last one's end, shape (rows + 1,).
    """
    letters = np.frombuffer(padded.str.join("").item().encode("utf-32-le"), np.uint32).astype(np.uint64)
    packed = (letters[:-2] << 2 * _CODE_POINT) | (letters[1:-1] << _CODE_POINT) | letters[2:]
    lengths = padded.str.len_chars().to_numpy().astype(np.int64)
    ends = lengths.cumsum()
    within = np.ones(len(packed), np.bool_)
    within[ends[:-1] - 1] = within[ends[:-1] - 2] = False  # these begin in one text and end in the next
    offsets = np.concatenate([[0], (lengths - _SHINGLE + 1).cumsum()])
    return packed[within], offsets.astype(np.uint64)


def _bucket_pairs(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Pair each row with the first rows that have the same key, at most 8 of them.

    Args:
        keys: shape (rows,).

    Returns:
        first << 32 | second, distinct, shape (pairs,).
    """
    # Stable, so that a bucket's rows are in their order.
    rows = np.argsort(keys, kind="stable")
    begins = np.diff(keys[rows], prepend=~keys[rows[:1]]) != 0
    start = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    index = np.arange(len(rows)) - start
    pairs = []
    for leader in range(_LEADERS):
        later = np.flatnonzero(index > leader)
        pairs.append((rows[start[later] + leader].astype(np.uint64) << np.uint64(32)) | rows[later].astype(np.uint64))
    return np.concatenate(pairs)
