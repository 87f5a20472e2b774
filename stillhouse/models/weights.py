"""The door for other people's weights: what must hold before anything loads them.

Belongs here: refusing unsafe or broken folders, reading their config, the fingerprint.
Does not: where a model comes from (pretrained.py), turning an encoder into a classifier (teachers/classifier.py),
running it (predictor.py), its licence (recipe/weights.py).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.models.family import POSITIONS, EncoderFamily, family_of
from stillhouse.models.tensors import corrupt, tensors_in

_WEIGHTS, _SHARDS = "model.safetensors", "model.safetensors.index.json"
_BESIDE_WEIGHTS = ("config.json", "tokenizer.json")
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill"})
LANGUAGE_MODELS = frozenset({"gpt2", "gpt_neox", "granite", "llama", "mistral", "olmo2", "qwen2", "qwen3", "smollm3"})
"""Types of causal language models that the tests hold against a plain reading of them."""
_SHORTEST_TEXT = 3
"""Tokens: a word, what begins a text and what ends it."""
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_PROTOCOLS = range(2, 6)


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """What was found in a model folder that passed intake.

    Attributes:
        fingerprint: sha256 over the weights, the config and the tokenizer, the same wherever the folder lies.
        parameters: number of weights.
        bytes: size on disk of the files that make the model.
        architecture: class name from the config, else its model type.
        tensors: number of tensors among the weights.
    """

    fingerprint: str
    parameters: int
    bytes: int
    architecture: str
    tensors: int


def fingerprint_of(folder: Path) -> str:
    """Hash the names and contents of the files that decide what a model answers.

    Returns:
        sha256 in hex. The folder's own path and the order of its files do not enter.
    """
    digest = hashlib.sha256()
    for name in files_of(folder):
        with (folder / name).open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def verify_weights(folder: Path) -> WeightsRecord:
    """Refuse the folder of an encoder that is unsafe, broken or at odds with itself; otherwise say what it holds.

    Raises:
        StillhouseError: for a missing file, anything that carries a pickle, remote code, a truncated or corrupt
            safetensors file, a weight that is not finite, a tensor whose shape or number contradicts config.json,
            or a tokenizer that emits ids the embedding table does not have.
    """
    refuse_pickles(folder)
    names, config = files_of(folder), read_encoder_config(folder)
    record, shapes = _found(folder, names, config)
    _match_shapes(shapes, config, folder)
    _match_layers(shapes, config, folder)
    return record


def verify_language_model(folder: Path) -> WeightsRecord:
    """The same of a causal language model, whose tensors transformers holds against config.json when it loads them.

    Raises:
        StillhouseError: for a missing file, anything that carries a pickle, remote code, a type that no test covers, a
            truncated or corrupt safetensors file, a weight that is not finite, or a tokenizer that emits ids the
            embedding table does not have.
    """
    refuse_pickles(folder)
    names, config = files_of(folder), read_language_model_config(folder)
    return _found(folder, names, config)[0]


def _found(
    folder: Path, names: Sequence[str], config: dict[str, Any]
) -> tuple[WeightsRecord, dict[str, tuple[int, ...]]]:
    """What a folder holds, and the shape of each tensor, if all is whole and finite."""
    shapes, parameters = _scan_tensors([folder / name for name in names if name.endswith(".safetensors")])
    _match_tokenizer(folder, int(config["vocab_size"]))
    named = config.get("architectures")
    architectures = named if isinstance(named, list) and named else [config["model_type"]]
    record = WeightsRecord(
        fingerprint=fingerprint_of(folder),
        parameters=parameters,
        bytes=sum((folder / name).stat().st_size for name in names),
        architecture=str(architectures[0]),
        tensors=len(shapes),
    )
    return record, shapes


def read_encoder_config(folder: Path) -> dict[str, Any]:
    """Read config.json of other people's weights.

    Raises:
        StillhouseError: if it is corrupt, of a type that is not known, of quantised weights, or asks for code to run.
    """
    path = folder / "config.json"
    config = config_of(path)
    family = family_of(config, str(path))
    _refuse_code_and_quantised(config, path)
    needed = {name for names in family.shapes.values() for name in names} | {*family.sizes_in, POSITIONS}
    absent = sorted(name for name in needed if not isinstance(config.get(name), int))
    if absent:
        raise StillhouseError(
            f"missing {', '.join(absent)}",
            where=str(path),
            expected=f"the sizes of an encoder of type {family.model_type}",
            do="Restore the config that was published with the weights.",
        )
    impossible = sorted(name for name in needed if isinstance(config[name], bool) or config[name] < 1)
    if impossible:
        raise StillhouseError(
            f"{impossible[0]} is {config[impossible[0]]}",
            where=str(path),
            expected="sizes of at least 1",
            do="Restore the config that was published with the weights.",
        )
    _refuse_no_room(family, config, path)
    return config


def _refuse_no_room(family: EncoderFamily, config: dict[str, Any], path: Path) -> None:
    """Refuse positions for no word of a text, and attention heads among which its width cannot be shared out."""
    if family.longest_text(config) < _SHORTEST_TEXT:
        raise StillhouseError(
            f"{POSITIONS} is {config[POSITIONS]}",
            where=str(path),
            expected=f"at least {family.positions_taken + _SHORTEST_TEXT}, for a word and the two tokens around it",
            do="Restore the config that was published with the weights.",
        )
    sizes, (_, width, heads, _) = family.sizes(config), family.sizes_in
    if config.get("head_dim") is None and sizes.width % sizes.heads:
        raise StillhouseError(
            f"{width} is {sizes.width}, which is no multiple of {heads}, {sizes.heads}",
            where=str(path),
            expected="attention heads of the same size",
            do="Restore the config that was published with the weights.",
        )


def read_language_model_config(folder: Path) -> dict[str, Any]:
    """Read config.json of somebody's causal language model.

    Raises:
        StillhouseError: if it is corrupt, of a type that no test covers, of quantised weights, or asks for code to run.
    """
    path = folder / "config.json"
    config = config_of(path)
    if str(config.get("model_type")) not in LANGUAGE_MODELS:
        raise StillhouseError(
            f"a language model of type {config.get('model_type')!r}",
            where=str(path),
            expected=f"one of: {', '.join(sorted(LANGUAGE_MODELS))}",
            do="Choose a model of such a type, or ask it behind a server (teacher.kind: endpoint).",
        )
    _refuse_code_and_quantised(config, path)
    if not isinstance(config.get("vocab_size"), int):
        raise StillhouseError(
            "missing vocab_size",
            where=str(path),
            expected="the sizes of a language model",
            do="Restore the config that was published with the weights.",
        )
    return config


def config_of(path: Path) -> dict[str, Any]:
    """Read any config.json, whatever it is of.

    Raises:
        StillhouseError: if it is corrupt.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise corrupt(path, error) from error
    if not isinstance(config, dict):
        raise corrupt(path, ValueError("no object"))
    return config


def _refuse_code_and_quantised(config: dict[str, Any], path: Path) -> None:
    if "auto_map" in config:
        raise StillhouseError(
            "the config asks for the repository's own code to run",
            where=str(path),
            expected="no auto_map",
            do="Choose a model that needs no remote code.",
        )
    if "quantization_config" in config:
        raise StillhouseError(
            "the weights are quantised",
            where=str(path),
            expected="weights in floating point",
            do="Choose the model that these weights were made from.",
        )


def finite_weights(folder: Path) -> int:
    """Count the weights of a folder that Stillhouse wrote, of whatever network.

    Raises:
        StillhouseError: if one of them is not finite, or the file is cut short.
    """
    return tensors_in(folder / _WEIGHTS).parameters


def files_of(folder: Path) -> tuple[str, ...]:
    """The files that make a model, sorted: config, tokenizer, and the weights in a file or in shards with an index.

    Raises:
        StillhouseError: if one of them is missing.
    """
    shards: tuple[str, ...] = (_WEIGHTS,)
    if (folder / _SHARDS).is_file() and not (folder / _WEIGHTS).is_file():
        shards = (_SHARDS, *_shards_of(folder / _SHARDS))
    names = (*_BESIDE_WEIGHTS, *shards)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise StillhouseError(
            f"missing {', '.join(missing)}",
            where=str(folder),
            expected=f"{', '.join(_BESIDE_WEIGHTS)}, and {_WEIGHTS} or its shards with {_SHARDS}",
            do="Save the model with save_pretrained() and its fast tokenizer.",
        )
    return tuple(sorted(names))


def _shards_of(index: Path) -> set[str]:
    try:
        named = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise corrupt(index, error) from error
    odd = sorted(str(name) for name in named if not re.fullmatch(r"[\w.-]+\.safetensors", str(name)))
    if odd or not named:
        raise StillhouseError(
            f"a shard called {odd[0]!r}" if odd else "no shard is named",
            where=str(index),
            expected="names of safetensors files in the same folder",
            do="Fetch the model again from a source you trust.",
        )
    return named


def refuse_pickles(folder: Path) -> None:
    """Refuse a folder in which any file could run code when it is loaded, whether it is read or not.

    Raises:
        StillhouseError: naming the first of them.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix.lower() in PICKLE_SUFFIXES or _carries_pickle(path):
            raise StillhouseError(
                "this file can run code when it is loaded (pickle)",
                where=str(path),
                expected="weights in safetensors only",
                do="Convert the weights to safetensors and delete the file.",
            )


def _carries_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(_ZIP_MAGIC):  # torch.save has written zips since 1.6
        return True
    if _opens_like_safetensors(head, path.stat().st_size):  # its length field may start with the same two bytes
        return False
    return len(head) > 1 and head[0] == 0x80 and head[1] in _PICKLE_PROTOCOLS


def _opens_like_safetensors(head: bytes, size: int) -> bool:
    return len(head) == 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _scan_tensors(paths: Sequence[Path]) -> tuple[dict[str, tuple[int, ...]], int]:
    """Read every tensor once, one at a time, so that a large model does not have to fit twice."""
    shapes: dict[str, tuple[int, ...]] = {}
    parameters = 0
    for path in paths:
        found = tensors_in(path)
        for name in sorted(found.shapes.keys() & shapes.keys()):  # which of the two counts is up to who loads them
            raise StillhouseError(
                f"{name} is in another shard, too",
                where=str(path),
                expected="each tensor in one shard",
                do="Fetch the model again from a source you trust.",
            )
        shapes |= found.shapes
        parameters += found.parameters
    return shapes, parameters


def _match_shapes(shapes: dict[str, tuple[int, ...]], config: dict[str, Any], folder: Path) -> None:
    family = family_of(config, str(folder / "config.json"))
    if not any(name.endswith(family.word_embeddings) for name in shapes):
        raise StillhouseError(
            "no word embeddings among the weights",
            where=str(folder / "model.safetensors"),
            expected=f"the weights of an encoder of type {family.model_type}",
            do="Fetch the weights that belong to this config.",
        )
    for name, shape in shapes.items():
        for ending, fields in family.shapes.items():
            expected = tuple(int(config[each]) for each in fields)
            if name.endswith(ending) and shape != expected:
                raise StillhouseError(
                    f"{name} has shape {shape}",
                    where=str(folder / "model.safetensors"),
                    expected=f"{expected} from config.json ({', '.join(fields)})",
                    do="Fetch weights and config of the same revision.",
                )


def _match_layers(shapes: dict[str, tuple[int, ...]], config: dict[str, Any], folder: Path) -> None:
    family = family_of(config, str(folder))
    layers = re.compile(rf"(?:^|\.){re.escape(family.layers)}\.(\d+)\.")
    found = {int(match[1]) for name in shapes if (match := layers.search(name))}
    there_are = family.sizes(config).layers
    if len(found) != there_are or found != set(range(len(found))):  # as many as a config says may be any number
        raise StillhouseError(
            f"{len(found)} encoder layers in the weights",
            where=str(folder / "model.safetensors"),
            expected=f"{there_are} from config.json ({family.sizes_in[0]})",
            do="Fetch weights and config of the same revision.",
        )


def _match_tokenizer(folder: Path, vocab_size: int) -> None:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # tokenizers raises bare Exception for a file it cannot parse
        raise corrupt(path, error) from error
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= vocab_size:
        raise StillhouseError(
            f"the tokenizer emits id {highest}",
            where=str(path),
            expected=f"ids below vocab_size {vocab_size} from config.json",
            do="Use the tokenizer that was published with the weights.",
        )
