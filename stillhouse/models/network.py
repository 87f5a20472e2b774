"""The networks that teachers and students are: an encoder with our own head, or with the one it was published with.

Belongs here: the modules, loading and saving a model folder, the checks that a folder agrees with itself.
Does not: making a teacher or a student out of another model (teachers/classifier.py, students/pruning.py), training.

The encoder is transformers' own, so weights come and go under the names that the hub uses.
"""

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig
from transformers.initialization import no_init_weights

from stillhouse.errors import StillhouseError
from stillhouse.files import require_room
from stillhouse.models.family import Sizes, family_of, sizes_of
from stillhouse.models.tokenization import special_tokens
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import IMPOSSIBLE, LOWEST


class TextClassifier(nn.Module, ABC):
    """Token ids in, logits and pooled hidden state out: an encoder with a head on it.

    Args:
        config: config.json of a model folder.
    """

    quantised: ClassVar[tuple[str, ...]] = ("MatMul", "Gemm", "Gather")
    """Operations of ONNX whose weights ship in int8."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.family = family_of(config, "config.json")

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a padded batch.

        Args:
            input_ids: shape (n, tokens).
            attention_mask: shape (n, tokens), 1 for a token and 0 for padding.

        Returns:
            Logits (n, classes) and the mean of the tokens' last hidden states (n, hidden size).
        """

    def with_layers(
        self, input_ids: Tensor, attention_mask: Tensor, layers: Iterable[int]
    ) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
        """The same with the mean of the tokens' states after some layers, each of shape (n, hidden size).

        Args:
            input_ids: see `forward`.
            attention_mask: see `forward`.
            layers: numbers of layers, counted from 0.
        """
        found: dict[int, Tensor] = {}

        def keep(number: int, said: Tensor | tuple[Tensor, ...]) -> None:
            found[number] = _mean_of_tokens(said if isinstance(said, Tensor) else said[0], attention_mask)

        hooks = [
            self.encoder.get_submodule(f"{self.family.layers}.{number}").register_forward_hook(
                lambda _, asked, said, number=number: keep(number, said)
            )
            for number in layers
        ]
        try:
            logits, pooled = self(input_ids, attention_mask)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, pooled, found

    @property
    def encoder(self) -> nn.Module:
        """The encoder, which goes by the name that the hub gives it in models with a head."""
        return self.get_submodule(self.family.prefix)

    @property
    def embeddings(self) -> nn.Module:
        """The part in which texts become vectors."""
        return self.encoder.get_submodule(self.family.embeddings)

    @property
    def width(self) -> int:
        """Numbers in the hidden state of a token, and in the pooled one."""
        return self.family.sizes(self.config).width

    @property
    def longest_text(self) -> int:
        """Tokens that it has positions for, special ones included."""
        return self.family.longest_text(self.config)

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the logits."""
        return labels_of(self.config)

    def _new_encoder(self, dropout: float) -> nn.Module:
        """Its family's encoder without a pooler, which nothing here reads."""
        without = {"add_pooling_layer": False} if self.family.has_pooler else {}
        # Eager attention: at a dozen tokens the fused kernel gains nothing, and this exports to fewer nodes.
        encoder: nn.Module = AutoModel.from_config(  # type: ignore[no-untyped-call]
            _theirs(self.config, dropout), attn_implementation="eager", **without
        )
        return encoder


class MeanPooledClassifier(TextClassifier):
    """The mean of the tokens' states, and a linear classifier on it: what Stillhouse puts on an encoder itself.

    Args:
        config: config.json of a model folder.
        dropout: probability used on hidden states and attention while training.
    """

    def __init__(self, config: dict[str, Any], *, dropout: float) -> None:
        super().__init__(config)
        self.add_module(self.family.prefix, self._new_encoder(dropout))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.width, len(config["id2label"]))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextClassifier`."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = _mean_of_tokens(hidden, attention_mask)
        return self.classifier(self.dropout(pooled)), pooled


class PublishedClassifier(TextClassifier):
    """An encoder with the head that it was published with, as transformers has it for sequences of this family.

    Args:
        config: config.json of a model folder.
        dropout: probability used on hidden states and attention while training.
    """

    def __init__(self, config: dict[str, Any], *, dropout: float) -> None:
        super().__init__(config)
        model = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
            _theirs(config, dropout), attn_implementation="eager"
        )
        for name, part in model.named_children():  # under their own names, without one of ours before them
            self.add_module(name, part)
        self._whole = (model,)  # in a tuple, so that its parts are not registered a second time

    def train(self, mode: bool = True) -> "PublishedClassifier":
        """Switch between training and answering; what is in no part of the model, too."""
        self._whole[0].train(mode)
        return super().train(mode)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextClassifier`."""
        said = self._whole[0](
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, **self._types(input_ids)
        )
        return self._on_the_scale(said.logits), _mean_of_tokens(said.hidden_states[-1], attention_mask)

    def _types(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Of a model that tells two texts apart by the types of their tokens, which these are."""
        separator = self.config.get(SEPARATOR_ID)
        if separator is None:
            return {}
        ends = (input_ids == separator).long()
        return {"token_type_ids": (ends.cumsum(1) - ends > 0).long()}

    def _on_the_scale(self, logits: Tensor) -> Tensor:
        """Of a head that gives a number of its own, the output that stands for it."""
        scale = self.config.get(SCALE)
        if scale is None:
            return logits
        own = logits.sigmoid() if scale["sigmoid"] else logits
        return own * float(scale["slope"]) + float(scale["intercept"])


class StaticClassifier(TextClassifier):
    """A vector for each word piece, their mean at length one, and a linear classifier on it: no layer at all.

    Args:
        config: config.json of a model folder.
        dropout: probability used on the mean while training.
    """

    # The table is all there is to save. Its one product is a mean that decides by itself: in int8 it costs answers.
    quantised: ClassVar[tuple[str, ...]] = ("Gather",)

    def __init__(self, config: dict[str, Any], *, dropout: float) -> None:
        super().__init__(config)
        self.vectors = nn.Embedding(config["vocab_size"], self.width)
        # Its first directions are many times wider than its last, and one step of int8 has to do for the whole table.
        self.register_buffer("widths", torch.ones(self.width))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.width, len(config["id2label"]))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextClassifier`."""
        mean = _mean_of_tokens(self.vectors(input_ids), attention_mask) * self.get_buffer("widths")
        # At length one a long text counts as a short one does; times the root of the width a coordinate is about one.
        pooled = nn.functional.normalize(mean, dim=1) * self.width**0.5
        return self.classifier(self.dropout(pooled)), pooled

    @property
    def embeddings(self) -> nn.Module:
        """The table of vectors."""
        return self.vectors

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self.config["dimensions"])


class RecordClassifier(TextClassifier):
    """A record of a few fields: of what is in the text the first and the last of its words, of each choice one value.

    A run of words is as likely as its first word is to be a first one and its last to be a last one (pointers, as Seo
    et al., ICLR 2017, arXiv:1611.01603). A word is the state of its first piece; `Reader` of tokenization.py says which
    that is. Whatever is no words is read from the mean of all states.

    Args:
        config: config.json of a model folder, in whose `record` is what it takes out.
        dropout: probability used on hidden states and attention while training.
    """

    def __init__(self, config: dict[str, Any], *, dropout: float) -> None:
        super().__init__(config)
        self.add_module(self.family.prefix, self._new_encoder(dropout))
        self.record = RecordSpec.model_validate(config["record"])
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.width, record_scores(self.record))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextClassifier`; the ids are those of `Reader`."""
        pieces = int(self.config["vocab_size"])
        hidden = self.encoder(input_ids=input_ids % pieces, attention_mask=attention_mask).last_hidden_state
        pooled = _mean_of_tokens(hidden, attention_mask)
        numbers = torch.arange(1, self.record.words + 1, device=input_ids.device)
        begins = (torch.div(input_ids, pieces, rounding_mode="floor").unsqueeze(1) == numbers[:, None]).to(hidden.dtype)
        of_words = self.classifier(self.dropout(begins @ hidden))  # shape (n, words, scores)
        of_text = self.classifier(self.dropout(pooled))
        there, at, parts = begins.sum(-1) > 0, 0, []
        for field in self.record.fields.values():
            if field.points:
                longest = field.words_at_most
                runs = _runs(of_words[..., at], of_words[..., at + 1], there, longest)
                at += 2
            else:
                runs = of_text[:, at : at + len(field.of)]
                at += len(field.of)
            if field.optional:
                parts.append(of_text[:, at : at + 1])
                at += 1
            parts.append(runs)
        return torch.cat(parts, dim=1), pooled


def record_scores(record: RecordSpec) -> int:
    """How many scores a record is made from: two of a field that points at words, one of each value of a choice, and
    one more of an optional field."""
    return sum((2 if each.points else len(each.of)) + each.optional for each in record.fields.values())


def _runs(first: Tensor, last: Tensor, there: Tensor, longest: int) -> Tensor:
    """Logits of all runs of words, by their first word and then by their length.

    Args:
        first: shape (n, words), how likely a word is to be the first of the value.
        last: likewise, the last.
        there: shape (n, words), whether the text has that word, and the network read it.
        longest: words that a value has at most.

    Returns:
        Shape (n, words * longest).
    """
    by_length = []
    for length in range(longest):
        shifted, is_there = last[:, length:], there[:, length:] & there[:, : there.shape[1] - length]
        possible = (first[:, : first.shape[1] - length] + shifted).clamp_min(LOWEST + 1)
        runs = torch.where(is_there, possible, IMPOSSIBLE)
        by_length.append(nn.functional.pad(runs, (0, length), value=IMPOSSIBLE))
    return torch.stack(by_length, dim=2).flatten(1)


def _theirs(config: dict[str, Any], dropout: float) -> PreTrainedConfig:
    settings = {name: value for name, value in config.items() if name not in _OURS}
    rates = dict.fromkeys(family_of(config, "config.json").dropout, dropout)
    settings["id2label"] = {int(index): name for index, name in config["id2label"].items()}
    return AutoConfig.for_model(**{**settings, **rates})


def _mean_of_tokens(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    weight = attention_mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1.0)


NETWORKS: dict[str, type[MeanPooledClassifier | PublishedClassifier | StaticClassifier | RecordClassifier]] = {
    "MeanPooledClassifier": MeanPooledClassifier,
    "MeanPooledBertClassifier": MeanPooledClassifier,  # of 0.1.0, whatever the encoder was
    "PublishedClassifier": PublishedClassifier,
    "StaticClassifier": StaticClassifier,
    "RecordClassifier": RecordClassifier,
}
"""What `architectures` of a config.json names."""

SEPARATOR_ID = "text_separator_id"
"""In a config.json: the token after which those of a published classifier are of the second type."""
SCALE = "own_scale"
"""In a config.json: how the number of a published head becomes an output, by `sigmoid`, `slope` and `intercept`."""
_OURS = ("architectures", "tokenizer_sha256", "record", SEPARATOR_ID, SCALE)


def labels_of(config: dict[str, Any]) -> list[str]:
    """Class names of a config.json, in the order of the logits."""
    names: dict[str, str] = config["id2label"]
    return [names[str(index)] for index in range(len(names))]


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a folder that this package wrote.

    Raises:
        StillhouseError: if it is not there or is not one of ours.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if (config.get("architectures") or [None])[0] not in NETWORKS:
        raise StillhouseError(
            "not a classifier folder of Stillhouse",
            where=str(folder),
            expected=f"a config.json with architectures of one of {', '.join(NETWORKS)}",
            do="Make one with build_classifier() or take_classifier().",
        )
    return dict(config)


def read_sizes(folder: Path) -> Sizes:
    """How large the encoder of a model folder is."""
    return sizes_of(read_config(folder), str(folder / "config.json"))


def network_class(folder: Path) -> type[TextClassifier]:
    """The class of the network of a model folder."""
    return NETWORKS[read_config(folder)["architectures"][0]]


def load(folder: Path, *, dropout: float = 0.0) -> TextClassifier:
    """Load a model folder, in evaluation mode.

    Raises:
        StillhouseError: if weights, config and tokenizer do not belong together.
    """
    config = read_config(folder)
    require_own_tokenizer(folder, config)
    try:
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, FileNotFoundError) as error:
        raise StillhouseError(
            f"the weights cannot be read ({error})",
            where=str(folder / "model.safetensors"),
            expected="a complete safetensors file",
            do="Restore or rebuild the folder.",
        ) from error
    with no_init_weights():  # every weight is overwritten below, so none is drawn
        network = NETWORKS[config["architectures"][0]](config, dropout=dropout)
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise StillhouseError(
            f"{wrong[0]} is {_shape(found.get(wrong[0]))} in the weights",
            where=str(folder),
            expected=f"{_shape(wanted.get(wrong[0]))} from config.json",
            do="Restore or rebuild the folder.",
        )
    network.load_state_dict(weights)
    return network.eval()


def save(weights: dict[str, Tensor], config: dict[str, Any], tokenizer_json: str, out: Path) -> None:
    """Write a model folder whole or not at all; the config remembers which tokenizer it was written with."""
    digest = hashlib.sha256(tokenizer_json.encode()).hexdigest()
    config = {**config, "tokenizer_sha256": digest}
    with writing_folder(out) as folder:
        require_room(folder, sum(tensor.nbytes for tensor in weights.values()))
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
        (folder / "tokenizer.json").write_text(tokenizer_json, "utf-8", newline="")
        (folder / "config.json").write_text(_written(config), "utf-8")
        # what transformers' AutoTokenizer wants beside tokenizer.json
        named = special_tokens(json.loads(tokenizer_json), int(config["pad_token_id"]))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def put_on_a_scale(folder: Path, *, slope: float, intercept: float) -> None:
    """Say how the number of a published head becomes an output; its weights stay as they are.

    Args:
        folder: a model folder that `take_classifier` wrote for numbers.
        slope: by how much an output is more where the number is 1 more.
        intercept: the output of the number 0.
    """
    config = read_config(folder)
    config[SCALE] = {**config[SCALE], "slope": slope, "intercept": intercept}
    (folder / "config.json").write_text(_written(config), "utf-8")


def _written(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def require_own_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    """Refuse a folder whose tokenizer.json is not the one its weights were written with."""
    path = folder / "tokenizer.json"
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
    if found != config["tokenizer_sha256"]:
        raise StillhouseError(
            f"the tokenizer ({found[:12]}) is not the one this model was trained with",
            where=str(path),
            expected=str(config["tokenizer_sha256"])[:12],
            do="Put back the tokenizer.json that was saved beside these weights.",
        )


@contextmanager
def writing_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its name once the block has succeeded."""
    temporary = out.parent / f".{out.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    if out.exists():
        shutil.rmtree(out)
    temporary.rename(out)


def _shape(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(tuple(shape))
