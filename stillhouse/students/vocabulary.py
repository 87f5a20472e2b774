"""Trimming a model's vocabulary to what a task's texts use: fewer rows in the table that makes small models large.

Belongs here: which entries of each kind of tokenizer stay, and writing the model and its tokenizer with those alone.
Does not: reading texts (models/tokenization.py), the other ways of making a model smaller (pruning.py).
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.models.family import family_of
from stillhouse.models.tokenization import encode, load_tokenizer


@dataclass(frozen=True, slots=True)
class VocabularyTrim:
    """What trimming a vocabulary kept.

    Attributes:
        kept: vocabulary entries left.
        dropped: entries gone.
        parameters: weights of the model with those entries.
    """

    kept: int
    dropped: int
    parameters: int


Described = dict[str, Any]
"""The `model` of a tokenizer.json."""


@dataclass(frozen=True)
class _Kind:
    """A kind of tokenizer.

    Args:
        kept: ids of the entries that have to stay, of those that the task's texts use.
        renumbered: its description with the entries that have a new id and no others.
    """

    kept: Callable[[Described, Set[int]], set[int]]
    renumbered: Callable[[Described, Mapping[int, int]], Described]


def trim_vocabulary(model: Path, texts: Iterable[str], out: Path) -> VocabularyTrim:
    """Drop the vocabulary entries that a task's texts never use, and their embedding rows.

    Kept are the special tokens, every piece that occurs in `texts`, and whatever is needed so that a word whose piece
    was dropped is read as shorter pieces, down to single characters or bytes, and does not become unknown: the
    tokenizer stays as able as the full one, and reads `texts` exactly as before.

    Args:
        model: a model folder.
        texts: what the task looks like; never golden texts, which the student must not have seen in any form.
        out: the model folder to write; may be `model`.

    Raises:
        StillhouseError: if the tokenizer is none that can be trimmed.
    """
    from safetensors.torch import load_file

    from stillhouse.models import network

    config = network.read_config(model)
    network.require_own_tokenizer(model, config)
    path = model / "tokenizer.json"
    texts = list(texts)
    read = _read(model, texts)
    used = {token_id for ids in read for token_id in ids} | {int(config["pad_token_id"])}
    description, kept = trimmed(json.loads(path.read_text("utf-8")), used, str(path))
    new_id = {old: new for new, old in enumerate(kept)}
    family = family_of(config, str(model))
    pad_id = new_id[config["pad_token_id"]]
    if family.positions_taken and pad_id != config["pad_token_id"]:
        raise _untrimmed(
            "an id of the padding that moves", str(path), "the padding before all entries that may be dropped"
        )

    weights = load_file(model / "model.safetensors")
    entries = load_tokenizer(model).get_vocab_size()
    table = family.weight(family.word_embeddings)
    weights[table] = weights[table][kept]
    smaller = json.dumps(description, ensure_ascii=False, indent=2)
    described = {**config, "vocab_size": len(kept), "pad_token_id": pad_id}
    if network.SEPARATOR_ID in config:
        described[network.SEPARATOR_ID] = new_id[config[network.SEPARATOR_ID]]
    network.save(weights, described, smaller, out)
    if _read(out, texts) != [[new_id[token_id] for token_id in ids] for ids in read]:
        raise _untrimmed("a tokenizer that reads the texts otherwise once it is trimmed", str(path), "the same pieces")
    parameters = sum(tensor.numel() for tensor in weights.values())
    return VocabularyTrim(kept=len(kept), dropped=entries - len(kept), parameters=parameters)


def trimmed(description: dict[str, Any], used: Set[int], where: str) -> tuple[dict[str, Any], list[int]]:
    """A tokenizer with fewer entries, which reads whatever `used` are the ids of as before.

    Args:
        description: a tokenizer.json.
        used: ids that have to stay.
        where: what to name in an error.

    Returns:
        The tokenizer.json, and the ids that stay, in their order; each has its place there as its new id.

    Raises:
        StillhouseError: if the tokenizer is none that can be trimmed.
    """
    kind = _KINDS.get(description["model"]["type"])
    if kind is None:
        known = ", ".join(sorted(_KINDS))
        raise _untrimmed(f"a {description['model']['type']} tokenizer", where, f"one of the kinds {known}")
    kept = sorted(kind.kept(description["model"], used) | used | set(_ids_named(description)))
    new_id = {old: new for new, old in enumerate(kept)}
    model = kind.renumbered(description["model"], new_id)
    return _renumbered({**copy.deepcopy(description), "model": model}, new_id), kept


def _untrimmed(what: str, where: str, expected: str) -> StillhouseError:
    do = "Set the student's trim_vocabulary to false in the recipe."
    return StillhouseError(what, where=where, expected=expected, do=do)


def _read(model: Path, texts: list[str]) -> list[list[int]]:
    """The whole texts: a piece beyond the longest that the model is asked is of the task, too."""
    tokenizer = load_tokenizer(model)
    tokenizer.no_truncation()
    return encode(tokenizer, texts)


def _word_pieces_kept(model: Described, used: Set[int]) -> set[int]:
    """Single characters in both forms (`x` and, where it continues a word, `##x`), and what they cannot spell."""
    vocabulary, continuation = model["vocab"], model["continuing_subword_prefix"]

    def is_spelled(piece: str) -> bool:
        continues = piece.startswith(continuation) and len(piece) > len(continuation)
        characters = piece.removeprefix(continuation) if continues else piece
        first, rest = characters[:1], characters[1:]
        parts = {f"{continuation}{first}" if continues else first, *(f"{continuation}{each}" for each in rest)}
        return rest != "" and parts <= vocabulary.keys()

    return {token_id for piece, token_id in vocabulary.items() if not is_spelled(piece)}


def _merged_pieces_kept(model: Described, used: Set[int]) -> set[int]:
    """What no merge makes, the single bytes or characters, and all that the used pieces are merged from.

    Of the merges that a text could take, the first in rank is taken. All that were taken in the texts stay, so that
    each is still the first among fewer.
    """
    vocabulary: dict[str, int] = model["vocab"]
    made_of: dict[str, list[tuple[str, str]]] = {}
    for left, right in _merges(model):
        made_of.setdefault(_merged(model, left, right), []).append((left, right))
    kept = {piece for piece in vocabulary if piece not in made_of}
    open_ones = [piece for piece, token_id in vocabulary.items() if token_id in used]
    while open_ones:
        piece = open_ones.pop()
        if piece not in kept:
            kept.add(piece)
            open_ones += [part for pair in made_of[piece] for part in pair]
    return {vocabulary[piece] for piece in kept}


def _merged_pieces_renumbered(model: Described, new_id: Mapping[int, int]) -> Described:
    vocabulary = _renumbered_vocabulary(model, new_id)["vocab"]
    merges = [
        [left, right]
        for left, right in _merges(model)
        if {left, right, _merged(model, left, right)} <= vocabulary.keys()
    ]
    return {**model, "vocab": vocabulary, "merges": merges}


def _merges(model: Described) -> list[tuple[str, str]]:
    """In their rank; tokenizer.json of earlier years has each as one string."""
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    return [(left, right) for left, right in pairs]


def _merged(model: Described, left: str, right: str) -> str:
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def _scored_pieces_kept(model: Described, used: Set[int]) -> set[int]:
    """Single characters, bytes, the unknown piece, and what single characters cannot spell.

    The best way to read a text stays the best one among fewer.
    """
    pieces = [piece for piece, _ in model["vocab"]]
    single = {piece for piece in pieces if len(piece) == 1}
    return {
        token_id
        for token_id, piece in enumerate(pieces)
        if len(piece) < 2 or token_id == model["unk_id"] or _BYTE.fullmatch(piece) or not set(piece) <= single
    }


def _scored_pieces_renumbered(model: Described, new_id: Mapping[int, int]) -> Described:
    kept = [entry for token_id, entry in enumerate(model["vocab"]) if token_id in new_id]
    return {**model, "vocab": kept, "unk_id": new_id.get(model["unk_id"])}


def _renumbered_vocabulary(model: Described, new_id: Mapping[int, int]) -> Described:
    kept = sorted((new_id[old], piece) for piece, old in model["vocab"].items() if old in new_id)
    return {**model, "vocab": {piece: new for new, piece in kept}}


_KINDS = {
    "WordPiece": _Kind(_word_pieces_kept, _renumbered_vocabulary),
    "BPE": _Kind(_merged_pieces_kept, _merged_pieces_renumbered),
    "Unigram": _Kind(_scored_pieces_kept, _scored_pieces_renumbered),
}
"""What `type` names in a tokenizer.json."""


def _ids_named(description: dict[str, Any]) -> Iterator[int]:
    """Ids that tokenizer.json needs beside those of texts: it need not call each of them an added token."""
    yield from (int(token["id"]) for token in description.get("added_tokens") or ())
    model = description["model"]
    if isinstance(model["vocab"], dict) and model.get("unk_token") in model["vocab"]:
        yield model["vocab"][model["unk_token"]]
    if description.get("padding"):
        yield int(description["padding"]["pad_id"])
    yield from _ids_around(description.get("post_processor") or {})


def _ids_around(processor: dict[str, Any]) -> Iterator[int]:
    for each in processor.get("processors", ()):
        yield from _ids_around(each)
    for token in processor.get("special_tokens", {}).values():
        yield from token["ids"]
    yield from (processor[part][1] for part in ("cls", "sep") if part in processor)


def _renumbered(description: dict[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    """Replace the ids that tokenizer.json repeats outside the vocabulary."""
    for token in description.get("added_tokens") or ():
        token["id"] = new_id[token["id"]]
    _renumber_processor(description.get("post_processor") or {}, new_id)
    if description.get("padding"):
        description["padding"]["pad_id"] = new_id[description["padding"]["pad_id"]]
    return description


def _renumber_processor(processor: dict[str, Any], new_id: Mapping[int, int]) -> None:
    for each in processor.get("processors", ()):
        _renumber_processor(each, new_id)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    for part in ("cls", "sep"):
        if part in processor:
            piece, old = processor[part]
            processor[part] = [piece, new_id[old]]
