"""Text to token ids, the same way for training, torch and ONNX.

Belongs here: loading a model folder's tokenizer, encoding, marking for a network where words begin, cutting batches by
length, padding.
Does not: torch (everything here runs where only `tokenizers` and `numpy` are installed), vocabulary surgery
(students/pruning.py).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stillhouse.arrays import IntArray
from stillhouse.errors import StillhouseError
from stillhouse.models.family import family_of
from stillhouse.tasks.words import words_in_pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer


DEFAULT_MAX_TOKENS = 128
_SPECIAL = {
    "bos_token": ("<s>", "<|begin_of_text|>"),
    "cls_token": ("[CLS]", "<s>", "<|begin_of_text|>"),
    "eos_token": ("</s>", "<|end_of_text|>"),
    "mask_token": ("[MASK]", "<mask>", "<|mask|>"),
    "sep_token": ("[SEP]", "</s>", "<|end_of_text|>"),
    "unk_token": ("[UNK]", "<unk>"),
}
# A token spans at most 100 characters (WordPiece calls a longer word unknown), and nobody asks a classifier in more
# than a few pages: reading further than this would let one long request hold a server for seconds.
MAX_CHARACTERS = 20_000


def load_tokenizer(folder: Path, max_tokens: int | None = None) -> "Tokenizer":
    """Load tokenizer.json with truncation on and padding off.

    Args:
        folder: a model or exported folder.
        max_tokens: longest sequence, special tokens included; None keeps what the file says, else 128. The number of
            positions that the model knows is the limit in any case.
    """
    from tokenizers import Tokenizer

    missing = [name for name in ("tokenizer.json", "config.json") if not (folder / name).is_file()]
    if missing:
        raise StillhouseError(
            f"missing {', '.join(missing)}",
            where=str(folder),
            expected="a model folder",
            do="Restore or rebuild the folder.",
        )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    positions = family_of(config, str(folder / "config.json")).longest_text(config)
    said = tokenizer.truncation["max_length"] if tokenizer.truncation else DEFAULT_MAX_TOKENS
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=min(max_tokens or said, positions))
    return tokenizer


def tokenizer_text(folder: Path, max_tokens: int) -> str:
    """The folder's tokenizer.json, made to truncate at `max_tokens`, so that serving reads what training read."""
    description = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    description["truncation"] = {
        "direction": "Right",
        "max_length": max_tokens,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    description["padding"] = None
    return json.dumps(description, ensure_ascii=False, indent=2)


def special_tokens(description: Mapping[str, Any], pad_id: int) -> dict[str, str]:
    """What transformers' AutoTokenizer wants to know beside tokenizer.json: which token has which part.

    Args:
        description: what is in tokenizer.json.
        pad_id: of the token that fills texts up, from config.json.
    """
    ids = {token["content"]: int(token["id"]) for token in description.get("added_tokens") or ()}
    named = {part: next((name for name in names if name in ids), None) for part, names in _SPECIAL.items()}
    named["pad_token"] = next((name for name, token_id in ids.items() if token_id == pad_id), None)
    return {part: name for part, name in sorted(named.items()) if name is not None}


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, truncated, special tokens included."""
    clipped = [text[:MAX_CHARACTERS] for text in texts]
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(clipped)]


class Reader:
    """Texts as the network of a folder reads them.

    One that points at words needs to know where they begin: the number of a word, counted from 1 and times the number
    of pieces, is added to the id of the piece in which the word begins. So ids are all that any network is given.

    Args:
        folder: a model or exported folder.
        max_tokens: see `load_tokenizer`.
    """

    def __init__(self, folder: Path, max_tokens: int | None = None) -> None:
        self.tokenizer = load_tokenizer(folder, max_tokens)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._pieces = int(config["vocab_size"]) if "record" in config else None

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """What it is given for each text, special tokens included."""
        if self._pieces is None:
            return encode(self.tokenizer, texts)
        clipped = [text[:MAX_CHARACTERS] for text in texts]
        encodings = zip(clipped, self.tokenizer.encode_batch(clipped), strict=True)
        return [self._with_words(text, encoding.ids, encoding.offsets) for text, encoding in encodings]

    def _with_words(self, text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> list[int]:
        assert self._pieces is not None
        words = words_in_pieces(text, offsets)
        return [id + self._pieces * word for id, word in zip(ids, words, strict=True)]


def batches_by_length(lengths: IntArray, batch_size: int) -> list[IntArray]:
    """Row numbers in batches of similar length, so that little is spent on padding.

    Args:
        lengths: shape (n,), tokens of each row.
        batch_size: rows of a batch.
    """
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def pad(ids: Sequence[Sequence[int]], rows: IntArray, pad_id: int = 0) -> tuple[IntArray, IntArray]:
    """Pad the chosen rows to the longest of them.

    Returns:
        Token ids and attention mask, each of shape (len(rows), longest).
    """
    width = max(len(ids[row]) for row in rows)
    padded = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(padded)
    for index, row in enumerate(rows):
        padded[index, : len(ids[row])] = ids[row]
        mask[index, : len(ids[row])] = 1
    return padded, mask
