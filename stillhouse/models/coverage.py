"""How much of the texts an encoder reads: how long they are in its word pieces, and how many pieces it knows.

Belongs here: counting, before anything is trained.
Does not: how a text is encoded to be answered (tokenization.py), from which share on that is said (recipe/limits.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillhouse.arrays import IntArray
from stillhouse.models.family import family_of
from stillhouse.models.tokenization import MAX_CHARACTERS

_CHUNK = 2_000
"""Texts that are encoded at once; each encoding holds more than its ids."""


@dataclass(frozen=True)
class TokenCounts:
    """Texts in the word pieces of one encoder.

    Args:
        lengths: tokens of each text as it is, special ones included, shape (texts,).
        pieces: word pieces of all texts.
        unknown: those that the encoder has no entry for, which all look alike to it.
        positions: tokens that the encoder can read at most, special ones included.
    """

    lengths: IntArray
    pieces: int
    unknown: int
    positions: int


def count_tokens(tokenizer: Path, config: Path, texts: Sequence[str]) -> TokenCounts:
    """Count the tokens of texts without cutting any.

    Args:
        tokenizer: the encoder's tokenizer.json.
        config: its config.json.
        texts: as they would be asked.
    """
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    reader.no_padding()
    model = json.loads(tokenizer.read_text("utf-8"))["model"]
    named = model.get("unk_token")
    found = model.get("unk_id") if named is None else reader.token_to_id(named)
    unknown_id = -1 if found is None else int(found)
    lengths, unknown = np.zeros(len(texts), np.int64), 0
    for start in range(0, len(texts), _CHUNK):
        clipped = [text[:MAX_CHARACTERS] for text in texts[start : start + _CHUNK]]
        for index, encoding in enumerate(reader.encode_batch_fast(clipped), start):
            lengths[index] = len(encoding.ids)
            unknown += encoding.ids.count(unknown_id)
    described = json.loads(config.read_text("utf-8"))
    return TokenCounts(
        lengths=lengths,
        pieces=int(lengths.sum()) - len(texts) * reader.num_special_tokens_to_add(False),
        unknown=unknown,
        positions=family_of(described, str(config)).longest_text(described),
    )
