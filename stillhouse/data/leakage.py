"""Does a row give its label away, or does training see what is only known later?

Belongs here: markers in texts that stand for the label, dates of the future, groups on two sides.
Does not: overlap of texts between splits (cleaning.py, splits.py), what a leak triggers (checks/).
"""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from stillhouse.data.near_duplicates import has_few_blanks
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks import label_names
from stillhouse.tasks.label_sets import carries_any

MOST_CHARACTERS = 20_000_000
"""Texts that are searched, in characters: about 330,000 rows of 60; of more, a fixed random sample."""

# A marker's rows have its label in all but 3 %, by the lower limit of a 95 % interval: 125 rows without an exception.
_PURITY = 0.97
# Share of a label's rows that carry the marker. A sign that spells the label is worth a report sooner than a word.
_SPELLED_COVERAGE, _WORD_COVERAGE = 0.05, 0.2
# No word of a language is in so many rows of one label and in those of no other.
_TOTAL_COVERAGE = 0.95
# Of the 50 commonest other words, a planted marker depends on 5 % by the definition of the test (measured: at most
# 16 %), a natural word on more (measured on questions and text messages: 18 % for "of", above 50 % for "why").
_CONTEXTS, _DEPENDENT, _CHI_SQUARE = 50, 0.2, 3.841
# What was written next to a text stands at its beginning or end, or so many words from there. A word of the text stands
# anywhere: of the words that are in nearly all rows of an intent of CLINC150 ("coin", "routing"), none does in 66 %.
_AT_ONE_PLACE = 0.9
_SEED = 20_260_101

# Quotation marks and full-width punctuation are named by number; brackets other than round ones are signs.
_AROUND_WORDS = r"""[.,;:!?"'()…«»\u{2018}-\u{201F}\u{3001}\u{3002}\u{FF01}\u{FF0C}\u{FF1F}]+"""
_SIGNS = r"[=_:\[\]{}<>|*#~@\\]"


@dataclass(frozen=True)
class Proxy:
    """Something from which the label can be read without understanding the text.

    Args:
        marker: the token, folded: `^x` is x as the first word, `x$` as the last.
        label: what the token stands for.
        rows: rows it was judged on.
        right: share of these rows whose label it gives, in [0, 1].
        covered: share of the label's rows that have it, in [0, 1].
    """

    marker: str
    label: str
    rows: int
    right: float
    covered: float


def target_proxies(labels: pl.Series, texts: pl.Series) -> list[Proxy]:
    """Find markers in the text that stand for the label.

    A token (what stands between blanks, case-folded, without punctuation at its ends) is one when nearly all its rows
    have one label, and

    - it spells that label with a sign that prose does not use, as in "label=hum" or "***spam***", in 5 % of the
      label's rows;
    - or it stands at one place of nearly all texts that it is in, counted from their beginning or their end, and is in
      95 % of the label's rows, or in 20 % (5 % when it is the label as a plain word) and in random ones: within the
      label its presence does not depend on the other words of the row.

    The last is what tells a planted word from an honest one. "Who" and "why" give a question's type away as reliably
    as a code would, but as words of a language they choose their neighbours; a code that was written next to the text
    has none. A word that is what the label is about ("refund") may be in every row of it, and stands where the sentence
    needs it. Purity counts exceptions against the label's frequency, so that a label of 99 % has no proxies by chance.

    Of texts with few blanks two characters each are taken for a word.

    Args:
        labels: String, shape (n,); rows without a label are left out.
        texts: String, shape (n,), normalised (single blanks).

    Returns:
        For each label that has one, the token that marks the most of its rows.
    """
    rows = pl.DataFrame({"label": labels.cast(pl.String), "text": texts})
    rows = rows.drop_nulls("label").sample(fraction=1.0, shuffle=True, seed=_SEED)
    rows = rows.filter(pl.col("text").str.len_chars().fill_null(0).cum_sum() <= MOST_CHARACTERS).with_row_index("row")
    return _text_proxies(rows.select("row", "label", "text"))


def proxies_of_sets(labels: pl.Series, texts: pl.Series) -> list[Proxy]:
    """Find markers in the text that stand for a label of a set: for each label, between rows with and without it.

    Args:
        labels: sets of labels, shape (n,); rows without one are left out.
        texts: see `target_proxies`.

    Returns:
        See `target_proxies`.
    """
    rows = pl.DataFrame({"label": labels, "text": texts}).drop_nulls("label")
    found = []
    for name in label_names("multi_label", rows["label"]):
        has = (
            pl.when(carries_any(pl.col("label"), [name], are_sets=True)).then(pl.lit(name)).otherwise(pl.lit(_WITHOUT))
        )
        of_one = rows.select(has.alias("label"), "text")
        found += [proxy for proxy in target_proxies(of_one["label"], of_one["text"]) if proxy.label == name]
    return found


_WITHOUT = "\0"
"""In the place of a label that a row does not have; no text spells it."""


def future_rows(dates: pl.Series, *, now: datetime) -> pl.Series:
    """Mark rows dated in the future, with a day of tolerance for time zones.

    Args:
        dates: Date or Datetime, shape (n,); without a zone they are read as UTC.
        now: with a time zone.

    Returns:
        Boolean, shape (n,); False for a null.
    """
    latest = now.astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)
    return (_utc(dates) > latest).fill_null(False).alias("future")


def shared_groups(groups: pl.Series, splits: pl.Series) -> pl.DataFrame:
    """Find groups with rows on more than one side.

    Args:
        groups: shape (n,); a row without a group is a group of its own.
        splits: side of each row, shape (n,).

    Returns:
        `group` and `sides` (List(String)), both sorted.
    """
    sides = (
        pl.DataFrame({"group": groups, "sides": splits}).drop_nulls().group_by("group").agg(pl.all().unique().sort())
    )
    return sides.filter(pl.col("sides").list.len() > 1).sort("group")


def _utc(dates: pl.Series) -> pl.Series:
    if isinstance(dates.dtype, pl.Datetime) and dates.dtype.time_zone:
        dates = dates.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return dates.cast(pl.Datetime("us"))


def _is_pure(hits: int, rows: int, base: float) -> bool:
    # At most a tenth of the exceptions that rows picked at random would show.
    return wilson_interval(hits, rows)[0] >= max(_PURITY, 1 - (1 - base) / 10)


def _text_proxies(rows: pl.DataFrame) -> list[Proxy]:
    """Find for each label the token that marks the most of its rows; rows as `row`, `label`, `text`."""
    words = _words_of(rows)
    tokens = _tokens(words)
    sizes = rows.group_by("label").len("size")
    counts = tokens.group_by("token", "label").len("hits").with_columns(rows=pl.sum("hits").over("token"))
    counts = counts.join(sizes, on="label").with_columns(covered=pl.col("hits") / pl.col("size"))
    likely = counts.filter(
        (pl.col("covered") >= _SPELLED_COVERAGE) & (pl.col("hits") >= _PURITY * pl.col("rows"))
    ).sort("label", -pl.col("hits").cast(pl.Int64), pl.col("token").str.len_chars(), "token")
    pure = [row for row in likely.to_dicts() if _is_pure(row["hits"], row["rows"], row["size"] / rows.height)]
    found: dict[str, Proxy] = {}
    for row in pure:
        token, label = row["token"], row["label"]
        if label not in found and _gives_away(token, label, row["covered"], tokens, words):
            found[row["label"]] = Proxy(
                row["token"], row["label"], row["rows"], row["hits"] / row["rows"], row["covered"]
            )
    return list(found.values())


def _words_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Give each `row` and `label` the `words` of its text, folded, in their order.

    Labels of several words are joined by a no-break space, so that they are tokens too.
    """
    folded = pl.col("text").str.to_lowercase()
    folded = folded.str.replace_all(rf"(^|\s){_AROUND_WORDS}", " ").str.replace_all(rf"{_AROUND_WORDS}(\s|$)", " ")
    # The longest first: of several that begin at one place the first is taken.
    phrases = sorted((label.lower() for label in rows["label"].unique() if " " in label), key=len, reverse=True)
    if phrases:
        joined = [phrase.replace(" ", "\N{NO-BREAK SPACE}") for phrase in phrases]
        folded = folded.str.replace_many(phrases, joined, leftmost=True)
    spaced = rows.with_columns(_spaced(rows["text"]).alias("text"))
    return spaced.select("row", "label", words=folded.str.strip_chars(" ").str.split(" "))


def _spaced(texts: pl.Series) -> pl.Series:
    """Texts, those with few blanks as their pairs of neighbouring characters with blanks between them."""
    few = has_few_blanks(texts).fill_null(False)
    if not few.any():
        return texts
    in_pairs = [
        " ".join(map("".join, pairwise("".join(text.split())))) if alone else text
        for text, alone in zip(texts, few, strict=True)
    ]
    return pl.Series("text", in_pairs, dtype=pl.String)


def _tokens(words: pl.DataFrame) -> pl.DataFrame:
    """Give each `row` and `label` its distinct `token`s, among them `^` + the first word and the last + `$`.

    A planted "1" is hidden by the ones of the prose, but not at the end of the text.
    """
    token = pl.col("words")
    first, last = "^" + token.list.first(), token.list.last() + "$"
    distinct = words.select("row", "label", pl.concat_list(token.list.unique(), first, last).alias("token"))
    return distinct.explode("token").filter(~pl.col("token").is_in(["", "^", "$"]))


def _gives_away(token: str, label: str, covered: float, tokens: pl.DataFrame, words: pl.DataFrame) -> bool:
    """Tell a marker from an honest word, both of which occur with one label only."""
    # With two words more at most, as in "class_label=x": a path or an address may well end in the label "h".
    spelled = f" {_words(label)} " in f" {_words(token)} " and _words(token).count(" ") <= _words(label).count(" ") + 2
    if spelled and re.search(_SIGNS, token):
        return True
    if not _is_at_one_place(token, words.filter(pl.col("label") == label)["words"]):
        return False
    if covered >= _TOTAL_COVERAGE:
        return True
    if covered < (_SPELLED_COVERAGE if spelled else _WORD_COVERAGE):
        return False
    return _dependent_share(token, tokens.filter(pl.col("label") == label)) < _DEPENDENT


def _is_at_one_place(token: str, words: pl.Series) -> bool:
    """Whether nearly all texts with a token have it at one place, counted from the beginning or from the end."""
    if token.startswith("^") or token.endswith("$"):
        return True  # the first or the last word
    within = words.filter(words.list.contains(token))
    from_beginning, from_end = Counter[int](), Counter[int]()
    for text in within.to_list():
        places = [place for place, word in enumerate(text) if word == token]
        from_beginning.update(places)
        from_end.update(len(text) - place for place in places)
    return max(*from_beginning.values(), *from_end.values()) >= _AT_ONE_PLACE * len(within)


def _words(spelling: str) -> str:
    return re.sub(r"[\W_]+", " ", spelling.lower()).strip()


def _dependent_share(token: str, tokens: pl.DataFrame) -> float:
    """Share of the commonest words that are with a token more or less often than without it, at the 5 % level.

    Chi-square of a two-by-two table with fixed margins. All words count alike, so that the "label:" of "label: x",
    which goes with x alone, does not make a marker look like prose.

    Args:
        token: the suspect.
        tokens: `row`, `token` of the rows of its label.
    """
    marked, size = tokens.filter(pl.col("token") == token)["row"], tokens["row"].n_unique()
    words = tokens.filter((pl.col("token") != token) & ~pl.col("token").str.contains(r"^\^|\$$"))
    seen = words.group_by("token").agg(all=pl.len(), both=pl.col("row").is_in(marked.implode()).sum())
    common = seen.sort(-pl.col("all").cast(pl.Int64), "token").head(_CONTEXTS).filter(pl.col("all") < size)
    count, both = common["all"].to_numpy().astype(float), common["both"].to_numpy().astype(float)
    expected = count * len(marked) / size
    variance = expected * (1 - count / size) * (size - len(marked)) / (size - 1)
    # Without words to compare with, nothing speaks for an honest one.
    return float(np.mean((both - expected) ** 2 > _CHI_SQUARE * variance)) if common.height else 0.0
