"""A tokenizer of scored pieces that is the same in every process."""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer, models


def unigram(texts: Sequence[str], pieces: int, special: Sequence[str], unknown: str) -> Tokenizer:
    """The letters and the parts of words that stand for most of the text, each by how often it is there.

    Counted, not trained: the trainer of `tokenizers` gives other pieces in every process.
    """
    counts = Counter(
        word[start:end]
        for text in texts
        for word in ("▁" + word for word in unicodedata.normalize("NFKC", text).split())
        for start in range(len(word))
        for end in range(start + 1, min(len(word), start + 8) + 1)
    )
    by_cover = sorted(counts, key=lambda piece: (len(piece) > 1, -counts[piece] * len(piece), piece))
    kept = by_cover[: pieces - len(special)]
    scored = [(piece, math.log(counts[piece] / counts.total())) for piece in kept]
    vocabulary = [(name, 0.0) for name in special] + sorted(scored, key=lambda entry: (-entry[1], entry[0]))
    return Tokenizer(models.Unigram(vocabulary, unk_id=special.index(unknown)))
