"""Questions that nobody asked: as many as are wanted, with the faults that real ones have.

Words are drawn by Zipf's law from a vocabulary of their own. Each label prefers some words and avoids others, all of
them honestly: no word is in the rows of one label only. Nothing here is a template, because families of alike rows are
what near-duplicate search is tested for elsewhere, and real questions have few.

Belongs here: making the rows.
Does not: reading or judging them.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

LABELS = {"facts": 0.24, "places": 0.2, "people": 0.2, "numbers": 0.16, "things": 0.15, "terms": 0.05}
CHANNELS = {"web": 0.5, "app": 0.3, "mail": 0.15, "shop": 0.05}
VOCABULARY = 20_000
COPIES, NEAR_COPIES, PERSONAL, UNLABELLED = 0.01, 0.01, 0.01, 0.5
_FEWEST, _MOST = 5, 15  # words; ten of six characters make a text of sixty
_PREFERENCE = 0.7  # standard deviation of the logarithm of what a label makes of a word's frequency
_ONSETS = [*"bcdfghjklmnprstvwz", "bl", "br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "sl", "st", "th", "tr"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou"]
_CODAS = ["", "", "n", "r", "s", "t", "l", "ck", "nd", "st"]


def write_questions(path: Path, rows: int, *, seed: int) -> None:
    """Write a csv of `rows` rows with columns question, service (the label; empty for half of them) and channel.

    Of the rows 1 % are exact copies of others, 1 % are others with one letter changed, and 1 % hold personal data.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(LABELS), rows, p=list(LABELS.values()))
    texts = _texts(rng, labels)
    fates = rng.permutation(rows)
    copied, changed, personal, _ = np.split(fates, np.cumsum([int(rows * s) for s in (COPIES, NEAR_COPIES, PERSONAL)]))
    originals = fates[-(len(copied) + len(changed)) :]
    for place, original in zip([*copied, *changed], originals, strict=True):
        texts[place], labels[place] = texts[original], labels[original]
    for place in changed:
        texts[place] = _with_a_typo(rng, texts[place])
    for place in personal:
        texts[place] = f"{texts[place]} {_personal(rng)}"
    known = rng.random(rows) >= UNLABELLED
    channels = rng.choice(list(CHANNELS), rows, p=list(CHANNELS.values()))
    frame = pl.DataFrame({"question": texts, "service": labels, "channel": channels})
    frame.with_columns(pl.when(pl.Series(known)).then("service").alias("service")).write_csv(path)


def _texts(rng: np.random.Generator, labels: NDArray[np.str_]) -> list[str]:
    words = pl.Series(_vocabulary(rng))
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    lengths = rng.integers(_FEWEST, _MOST + 1, len(labels))
    drawn = np.empty((len(labels), _MOST), np.int64)
    for label in LABELS:
        preferred = frequency * np.exp(rng.normal(0, _PREFERENCE, VOCABULARY))
        of_label = np.flatnonzero(labels == label)
        drawn[of_label] = rng.choice(VOCABULARY, (len(of_label), _MOST), p=preferred / preferred.sum())
    columns = {
        str(place): pl.select(pl.when(pl.Series(lengths > place)).then(words.gather(drawn[:, place]))).to_series()
        for place in range(_MOST)
    }
    texts = pl.DataFrame(columns).select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True) + "?")
    return texts.to_series().to_list()


def _vocabulary(rng: np.random.Generator) -> list[str]:
    """Pronounceable words, all different, the more frequent the shorter."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = 1 + (len(words) >= 200) + (len(words) >= 6000)
        words["".join(str(rng.choice(part)) for _ in range(syllables) for part in (_ONSETS, _VOWELS, _CODAS))] = None
    return list(words)


def _with_a_typo(rng: np.random.Generator, text: str) -> str:
    """Exchange one letter of the middle of a text: about six of sixty runs of three characters are then different."""
    letters = [place for place in range(2, len(text) - 2) if text[place].isalpha()]
    place = int(rng.choice(letters))
    return text[:place] + ("x" if text[place] != "x" else "q") + text[place + 1 :]


def _personal(rng: np.random.Generator) -> str:
    number = "".join(map(str, rng.integers(0, 10, 4)))
    spelled = (
        f"customer{number}@example.com",
        f"192.0.2.{int(number) % 254 + 1}",
        "DE89370400440532013000",
        "4111 1111 1111 1111",
        f"+44 20 7946 {number}",
    )
    return str(rng.choice(spelled))
