"""Families of encoders: what is called what in their weights and configs. No other module names one.

An encoder of another type is one more entry here, when its tests pass (tests/stillhouse/models/test_family.py).

Belongs here: the table, as data.
Does not: the network that is built of an encoder (network.py), what is cut out of it (students/pruning.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.errors import StillhouseError


@dataclass(frozen=True)
class FeedForward:
    """The two matrices of a feed-forward block, as names below a layer.

    Args:
        into: leads to the hidden units; weight of shape (units, width), with a bias.
        out_of: leads from them; weight of shape (width, units).
    """

    into: str
    out_of: str


@dataclass(frozen=True)
class EncoderFamily:
    """What differs between encoders that are otherwise alike.

    Args:
        model_type: `model_type` of config.json.
        prefix: before every name of the encoder's weights in a model with a head on it, without the dot.
        layers: name of the list of layers.
        layer: ending of each weight in a layer, with the fields of config.json that its shape must equal.
        feed_forward: its blocks.
        word_embeddings: name of the table of word pieces.
        embeddings: of the other weights outside the layers, endings and fields, as in `layer`.
        config: fields of config.json that the encoder is built from, with their value where they may be missing; None
            for a field that has to be there.
        activations: that the tests cover.
        trimmed_tokenizer: type of tokenizer whose vocabulary can be trimmed; None where none can.
        continuation: what a word piece that continues a word begins with.
        special_tokens: what transformers' AutoTokenizer wants to know beside tokenizer.json.
        dropout: fields of config.json with the rates of dropout.
        positions_taken: positions before the first token's, which no token has.
    """

    model_type: str
    prefix: str
    layers: str
    layer: Mapping[str, tuple[str, ...]]
    feed_forward: FeedForward
    word_embeddings: str
    embeddings: Mapping[str, tuple[str, ...]]
    config: Mapping[str, Any]
    activations: tuple[str, ...]
    trimmed_tokenizer: str | None
    continuation: str
    special_tokens: Mapping[str, str]
    dropout: tuple[str, ...]
    positions_taken: int = 0

    def longest_text(self, config: Mapping[str, Any]) -> int:
        """Tokens that the encoder has positions for, special ones included."""
        return int(config["max_position_embeddings"]) - self.positions_taken

    def weight(self, name: str) -> str:
        """A weight of the encoder as it is called in a model with a head."""
        return f"{self.prefix}.{name}"

    def in_layer(self, number: int, name: str) -> str:
        """A weight of a layer as it is called in a model with a head."""
        return self.weight(f"{self.layers}.{number}.{name}")

    @property
    def shapes(self) -> dict[str, tuple[str, ...]]:
        """Ending of each weight whose shape must equal fields of config.json."""
        return {self.word_embeddings: ("vocab_size", "hidden_size"), **self.embeddings, **self.layer}


_SQUARE, _INTO = ("hidden_size", "hidden_size"), ("intermediate_size", "hidden_size")

BERT = EncoderFamily(
    model_type="bert",
    prefix="bert",
    layers="encoder.layer",
    layer={
        "attention.self.query.weight": _SQUARE,
        "attention.self.key.weight": _SQUARE,
        "attention.self.value.weight": _SQUARE,
        "attention.output.dense.weight": _SQUARE,
        "intermediate.dense.weight": _INTO,
    },
    feed_forward=FeedForward("intermediate.dense", "output.dense"),
    word_embeddings="embeddings.word_embeddings.weight",
    embeddings={
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "pooler.dense.weight": _SQUARE,
    },
    config={
        "vocab_size": None,
        "hidden_size": None,
        "num_hidden_layers": None,
        "num_attention_heads": None,
        "intermediate_size": None,
        "max_position_embeddings": None,
        "type_vocab_size": None,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    },
    activations=("gelu",),
    trimmed_tokenizer="WordPiece",
    continuation="##",
    special_tokens={
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    },
    dropout=("hidden_dropout_prob", "attention_probs_dropout_prob"),
)

ROBERTA = replace(
    BERT,
    model_type="roberta",
    prefix="roberta",
    config={**BERT.config, "layer_norm_eps": 1e-5, "pad_token_id": 1},
    trimmed_tokenizer=None,
    special_tokens={
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    },
    positions_taken=2,
)
"""The same encoder with another tokenizer; positions are counted from that of the padding (1) on, which is none."""

FAMILIES = {family.model_type: family for family in (BERT, ROBERTA)}


def family_of(config: Mapping[str, Any], where: str) -> EncoderFamily:
    """The family of a config.json.

    Args:
        config: its fields.
        where: what to name in an error.

    Raises:
        StillhouseError: if the encoder is of a type that no test covers.
    """
    found = config.get("model_type")
    if not isinstance(found, str) or found not in FAMILIES:
        raise StillhouseError(
            f"an encoder of type {found!r}",
            where=where,
            expected=f"one of: {', '.join(sorted(FAMILIES))}",
            do="Choose an encoder of such a type.",
        )
    return FAMILIES[found]
