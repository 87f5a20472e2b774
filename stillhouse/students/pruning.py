"""Making a smaller model out of a larger one before any training.

Belongs here: cutting encoder layers, narrowing feed-forward blocks, trimming the vocabulary.
Does not: the network itself (models/network.py), training what is left (models/training.py).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.models.family import family_of
from stillhouse.models.tokenization import encode, load_tokenizer
from stillhouse.recipe.contract import StudentSpec


@dataclass(frozen=True, slots=True)
class VocabularyTrim:
    """What trimming a vocabulary kept.

    Attributes:
        kept: vocabulary entries left.
        dropped: entries gone.
        parameters_before: weights of the model before.
        parameters_after: weights of the model after.
    """

    kept: int
    dropped: int
    parameters_before: int
    parameters_after: int


def cut_from(teacher: Path, student: StudentSpec, texts: Iterable[str], out: Path) -> VocabularyTrim | None:
    """Write what a student starts from: layers of the teacher, narrowed and with the vocabulary of the task.

    Args:
        teacher: model folder of the fine-tuned teacher.
        student: which layers, how wide, and whether the vocabulary is trimmed.
        texts: those of the transfer set, whose vocabulary is kept.
        out: the model folder to write.

    Returns:
        What trimming the vocabulary kept; None where it is not trimmed.
    """
    drop_layers(teacher, student.layers, out)
    if student.feed_forward is not None:
        prune_feed_forward(out, student.feed_forward, out)
    return trim_vocabulary(out, texts, out) if student.trim_vocabulary else None


def drop_layers(teacher: Path, layers: Sequence[int], out: Path) -> None:
    """Make a student from some of a fine-tuned teacher's layers, its embeddings and its classifier.

    A student that starts as a part of its teacher beats a fresh one of the same size (DistilBERT, arXiv:1910.01108).

    Args:
        teacher: a model folder.
        layers: which encoder layers to keep, counted from 0, in rising order.
        out: the model folder to write.

    Raises:
        StillhouseError: if the layers are not a rising choice of those that the teacher has.
    """
    from safetensors.torch import load_file

    from stillhouse.models import network

    config = network.read_config(teacher)
    network.require_own_tokenizer(teacher, config)
    available = config["num_hidden_layers"]
    if not layers or list(layers) != sorted(set(layers)) or layers[0] < 0 or layers[-1] >= available:
        raise StillhouseError(
            f"layers {list(layers)}",
            where=str(teacher),
            expected=f"distinct, rising numbers from 0 to {available - 1}",
            do="Correct the student's layers in the recipe.",
        )
    family = family_of(config, str(teacher))
    prefix = family.weight(f"{family.layers}.")
    place = {str(old): str(new) for new, old in enumerate(layers)}
    weights = {}
    for name, tensor in load_file(teacher / "model.safetensors").items():
        number, _, rest = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix):
            weights[name] = tensor
        elif number in place:
            weights[f"{prefix}{place[number]}.{rest}"] = tensor
    config["num_hidden_layers"] = len(layers)
    network.save(weights, config, _tokenizer_text(teacher), out)


def prune_feed_forward(model: Path, width: int, out: Path) -> None:
    """Keep the `width` most important hidden units of every feed-forward block.

    Two thirds of a layer's weights are in its feed-forward block, and a student needs fewer of them than its teacher. A
    unit counts as the product of the norms of the weights that lead to it and from it: what it can contribute at most
    (weight magnitude as in Han et al., arXiv:1506.02626, taken by whole units so that the result is dense and small).

    Args:
        model: a model folder.
        width: units to keep in each block.
        out: the model folder to write; may be `model`.

    Raises:
        StillhouseError: if the blocks have no more than `width` units, or `width` is not positive.
    """
    import torch
    from safetensors.torch import load_file

    from stillhouse.models import network

    config = network.read_config(model)
    network.require_own_tokenizer(model, config)
    if not 0 < width < config["intermediate_size"]:
        raise StillhouseError(
            f"a feed-forward width of {width}",
            where=str(model),
            expected=f"between 1 and {config['intermediate_size'] - 1}",
            do="Correct the student's feed_forward in the recipe.",
        )
    weights = load_file(model / "model.safetensors")
    family = family_of(config, str(model))
    for number in range(config["num_hidden_layers"]):
        into, outof = (family.in_layer(number, name) for name in (family.feed_forward.into, family.feed_forward.out_of))
        reach = weights[f"{into}.weight"].norm(dim=1) * weights[f"{outof}.weight"].norm(dim=0)
        kept = (
            torch.topk(reach, width).indices.sort().values
        )  # in the old order, so that the result is one and the same
        weights[f"{into}.weight"] = weights[f"{into}.weight"][kept]
        weights[f"{into}.bias"] = weights[f"{into}.bias"][kept]
        weights[f"{outof}.weight"] = weights[f"{outof}.weight"][:, kept]
    network.save(weights, {**config, "intermediate_size": width}, _tokenizer_text(model), out)


def trim_vocabulary(model: Path, texts: Iterable[str], out: Path) -> VocabularyTrim:
    """Drop the vocabulary entries that a task's texts never use, and their embedding rows.

    Kept are the special tokens, every piece that occurs in `texts`, every single character in both its forms (`x` and,
    where it continues a word, `##x`), and every piece that cannot be spelled out of those. A word whose piece was
    dropped is therefore read as shorter pieces, down to single characters, and does not become unknown: the tokenizer
    stays as able as the full one.

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
    description = json.loads(_tokenizer_text(model))
    family = family_of(config, str(model))
    if description["model"]["type"] != family.trimmed_tokenizer:
        raise StillhouseError(
            f"a {description['model']['type']} tokenizer",
            where=str(model / "tokenizer.json"),
            expected=family.trimmed_tokenizer or f"nothing: the vocabulary of {family.model_type} stays whole",
            do="Set the student's trim_vocabulary to false in the recipe.",
        )
    vocabulary: dict[str, int] = description["model"]["vocab"]
    special = {token["content"]: token["id"] for token in description["added_tokens"]}
    used = _used_ids(model, texts) | set(special.values())
    kept = sorted(
        (token_id, piece)
        for piece, token_id in (vocabulary | special).items()
        if token_id in used or not _spelled_otherwise(piece, vocabulary, family.continuation)
    )
    new_id = {old: new for new, (old, _) in enumerate(kept)}

    weights = load_file(model / "model.safetensors")
    before = sum(tensor.numel() for tensor in weights.values())
    table = family.weight(family.word_embeddings)
    weights[table] = weights[table][[old for old, _ in kept]]
    description["model"]["vocab"] = {piece: new_id[old] for old, piece in kept}
    config.update(vocab_size=len(kept), pad_token_id=new_id[config["pad_token_id"]])
    network.save(weights, config, _dump_tokenizer(_renumber(description, new_id)), out)
    after = sum(tensor.numel() for tensor in weights.values())
    return VocabularyTrim(
        kept=len(kept), dropped=len(vocabulary | special) - len(kept), parameters_before=before, parameters_after=after
    )


def _used_ids(model: Path, texts: Iterable[str]) -> set[int]:
    tokenizer = load_tokenizer(model)
    tokenizer.no_truncation()
    return {token_id for ids in encode(tokenizer, list(texts)) for token_id in ids}


def _spelled_otherwise(piece: str, vocabulary: dict[str, int], continuation: str) -> bool:
    """Whether a piece of several characters can be written as the single-character pieces of the vocabulary."""
    continues = piece.startswith(continuation) and len(piece) > len(continuation)
    characters = piece.removeprefix(continuation) if continues else piece
    if len(characters) == 1:
        return False
    first = f"{continuation}{characters[0]}" if continues else characters[0]
    return first in vocabulary and all(f"{continuation}{character}" in vocabulary for character in characters[1:])


def _renumber(description: dict[str, Any], new_id: dict[int, int]) -> dict[str, Any]:
    """Replace the ids that tokenizer.json repeats outside the vocabulary."""
    for token in description["added_tokens"]:
        token["id"] = new_id[token["id"]]
    for token in (description.get("post_processor") or {}).get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    if description.get("padding"):
        description["padding"]["pad_id"] = new_id[description["padding"]["pad_id"]]
    return description


def _dump_tokenizer(description: dict[str, Any]) -> str:
    return json.dumps(description, ensure_ascii=False, indent=2)


def _tokenizer_text(folder: Path) -> str:
    return (folder / "tokenizer.json").read_text("utf-8")
