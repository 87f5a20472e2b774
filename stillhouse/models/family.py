"""Families of encoders: what is called what in their weights and configs. No other module names one.

An encoder of another type is one more entry here, when its tests pass (tests/stillhouse/models/test_family.py).

Belongs here: the table, as data.
Does not: the network that is built of an encoder (network.py), what is cut out of it (students/pruning.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.errors import StillhouseError

POSITIONS = "max_position_embeddings"
"""The field of every config.json with the number of positions."""


@dataclass(frozen=True)
class FeedForward:
    """The matrices of a feed-forward block, as names below a layer.

    Args:
        into: lead to the hidden units; each weight of shape (units, width), with or without a bias.
        out_of: leads from them; weight of shape (width, units).
        fused: the one matrix of `into` holds two below each other: (2 * units, width).
    """

    into: tuple[str, ...]
    out_of: str
    fused: bool = False


@dataclass(frozen=True)
class Sizes:
    """How large an encoder is.

    Args:
        layers: number of them.
        width: numbers in the hidden state of a token.
        heads: attention heads of a layer.
        units: hidden units of each feed-forward block.
    """

    layers: int
    width: int
    heads: int
    units: int


@dataclass(frozen=True)
class EncoderFamily:
    """What differs between encoders that are otherwise alike.

    Args:
        model_type: `model_type` of config.json.
        prefix: before every name of the encoder's weights in a model with a head on it, without the dot.
        layers: name of the list of layers.
        shapes: endings of published weights, with the fields of config.json that the shape must equal.
        feed_forward: its blocks.
        word_embeddings: name of the table of word pieces.
        sizes_in: the fields of config.json with the `Sizes`, in their order.
        activation: the field of config.json with the function between the matrices of a feed-forward block.
        dropout: fields of config.json with the rates of dropout.
        of_each_layer: fields of config.json that hold a list with an entry for each layer.
        has_pooler: transformers puts a layer on top that is of no use here, unless it is asked not to.
        first_layer_stays: a layer other than the first cannot take its place.
        positions_taken: positions before the first token's, which no token has; counted from the padding's id.
        can_be_recorded: a step of it reads nothing from the host, so that a GPU can replay it.
        trains_in_bfloat16: transformers' code of it does not need the range of fp32.
    """

    model_type: str
    prefix: str
    layers: str
    shapes: Mapping[str, tuple[str, ...]]
    feed_forward: FeedForward
    word_embeddings: str
    sizes_in: tuple[str, str, str, str]
    activation: str
    dropout: tuple[str, ...]
    of_each_layer: tuple[str, ...] = ()
    has_pooler: bool = False
    first_layer_stays: bool = False
    positions_taken: int = 0
    can_be_recorded: bool = True
    trains_in_bfloat16: bool = True

    def sizes(self, config: Mapping[str, Any]) -> Sizes:
        """How large the encoder of a config.json is."""
        return Sizes(*(int(config[name]) for name in self.sizes_in))

    def longest_text(self, config: Mapping[str, Any]) -> int:
        """Tokens that the encoder has positions for, special ones included."""
        return int(config[POSITIONS]) - self.positions_taken

    @property
    def embeddings(self) -> str:
        """The part of the encoder in which texts become vectors."""
        return self.word_embeddings.partition(".")[0]

    def weight(self, name: str) -> str:
        """A weight of the encoder as it is called in a model with a head."""
        return f"{self.prefix}.{name}"

    def in_layer(self, number: int, name: str) -> str:
        """A weight of a layer as it is called in a model with a head."""
        return self.weight(f"{self.layers}.{number}.{name}")

    def layers_expected(self, layers: Sequence[int], config: Mapping[str, Any]) -> str | None:
        """What a choice of layers to keep has to be; None where it is that."""
        there_are = self.sizes(config).layers
        rising = list(layers) == sorted(set(layers)) and all(0 <= layer < there_are for layer in layers)
        if layers and rising and (not self.first_layer_stays or layers[0] == 0):
            return None
        expected = f"distinct, rising numbers from 0 to {there_are - 1}"
        if self.first_layer_stays:
            expected += f", 0 among them: the first layer of {self.model_type} is built differently"
        return expected

    def with_layers(self, config: Mapping[str, Any], kept: Sequence[int]) -> dict[str, Any]:
        """The config.json of an encoder with some layers of another one."""
        lists = {name: [config[name][number] for number in kept] for name in self.of_each_layer}
        return {**config, self.sizes_in[0]: len(kept), **lists}

    def with_units(self, config: Mapping[str, Any], units: int) -> dict[str, Any]:
        """The config.json of an encoder with other feed-forward blocks."""
        return {**config, self.sizes_in[3]: units}


_WIDTH, _UNITS = "hidden_size", "intermediate_size"
_SQUARE, _INTO, _OUT_OF = (_WIDTH, _WIDTH), (_UNITS, _WIDTH), (_WIDTH, _UNITS)
_WORDS = {"embeddings.word_embeddings.weight": ("vocab_size", _WIDTH)}
_POSITIONS = {"embeddings.position_embeddings.weight": ("max_position_embeddings", _WIDTH)}
_TYPES = {"embeddings.token_type_embeddings.weight": ("type_vocab_size", _WIDTH)}
_BLOCKS = {"intermediate.dense.weight": _INTO, "attention.output.dense.weight": _SQUARE}
_SIZES = ("num_hidden_layers", _WIDTH, "num_attention_heads", _UNITS)

BERT = EncoderFamily(
    model_type="bert",
    prefix="bert",
    layers="encoder.layer",
    shapes={
        **_WORDS, **_POSITIONS, **_TYPES, **_BLOCKS,
        **{f"attention.self.{name}.weight": _SQUARE for name in ("query", "key", "value")},
        "pooler.dense.weight": _SQUARE,
    },
    feed_forward=FeedForward(("intermediate.dense",), "output.dense"),
    word_embeddings="embeddings.word_embeddings.weight",
    sizes_in=_SIZES,
    activation="hidden_act",
    dropout=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    has_pooler=True,
)  # fmt: skip

ROBERTA = replace(BERT, model_type="roberta", prefix="roberta", positions_taken=2)
"""The same encoder; positions are counted from that of the padding (1) on, which is none."""

DISTILBERT = replace(
    BERT,
    model_type="distilbert",
    prefix="distilbert",
    layers="transformer.layer",
    shapes={
        "embeddings.word_embeddings.weight": ("vocab_size", "dim"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "dim"),
        **{f"attention.{name}_lin.weight": ("dim", "dim") for name in ("q", "k", "v", "out")},
        "ffn.lin1.weight": ("hidden_dim", "dim"),
        "ffn.lin2.weight": ("dim", "hidden_dim"),
    },
    feed_forward=FeedForward(("ffn.lin1",), "ffn.lin2"),
    sizes_in=("n_layers", "dim", "n_heads", "hidden_dim"),
    activation="activation",
    dropout=("dropout", "attention_dropout"),
    has_pooler=False,
)  # fmt: skip

MPNET = replace(
    BERT,
    model_type="mpnet",
    prefix="mpnet",
    shapes={**_WORDS, **_POSITIONS, **{f"attention.attn.{name}.weight": _SQUARE for name in "qkvo"},
            "intermediate.dense.weight": _INTO},
    positions_taken=2,
    can_be_recorded=False,
)  # fmt: skip

ELECTRA = replace(
    BERT,
    model_type="electra",
    prefix="electra",
    shapes={**_BLOCKS, "embeddings.word_embeddings.weight": ("vocab_size", "embedding_size"),
            "embeddings.position_embeddings.weight": ("max_position_embeddings", "embedding_size"),
            "embeddings.token_type_embeddings.weight": ("type_vocab_size", "embedding_size"),
            "embeddings_project.weight": (_WIDTH, "embedding_size")},
    has_pooler=False,
)  # fmt: skip

DEBERTA_V2 = replace(
    BERT,
    model_type="deberta-v2",
    prefix="deberta",
    shapes={**_WORDS, **_BLOCKS,
            **{f"attention.self.{name}_proj.weight": _SQUARE for name in ("query", "key", "value")}},
    has_pooler=False,
    can_be_recorded=False,
)  # fmt: skip

DEBERTA = replace(
    DEBERTA_V2,
    model_type="deberta",
    shapes={**_WORDS, **_BLOCKS},
    can_be_recorded=True,
    trains_in_bfloat16=False,
)

MODERNBERT = EncoderFamily(
    model_type="modernbert",
    prefix="model",
    layers="layers",
    shapes={"embeddings.tok_embeddings.weight": ("vocab_size", _WIDTH), "attn.Wo.weight": _SQUARE,
            "mlp.Wo.weight": _OUT_OF},
    feed_forward=FeedForward(("mlp.Wi",), "mlp.Wo", fused=True),
    word_embeddings="embeddings.tok_embeddings.weight",
    sizes_in=_SIZES,
    activation="hidden_activation",
    dropout=("embedding_dropout", "attention_dropout", "mlp_dropout"),
    of_each_layer=("layer_types",),
    first_layer_stays=True,
)  # fmt: skip

_GATED = FeedForward(("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")

NOMIC_BERT = replace(
    BERT,
    model_type="nomic_bert",
    prefix="nomic_bert",
    layers="layers",
    shapes={**_WORDS, **_TYPES, "mlp.fc11.weight": _INTO, "mlp.fc12.weight": _INTO, "mlp.fc2.weight": _OUT_OF},
    feed_forward=_GATED,
)

EUROBERT = EncoderFamily(
    model_type="eurobert",
    prefix="model",
    layers="layers",
    shapes={"embed_tokens.weight": ("vocab_size", _WIDTH), "mlp.gate_proj.weight": _INTO, "mlp.up_proj.weight": _INTO,
            "mlp.down_proj.weight": _OUT_OF},
    feed_forward=_GATED,
    word_embeddings="embed_tokens.weight",
    sizes_in=_SIZES,
    activation="hidden_act",
    dropout=("attention_dropout",),
)  # fmt: skip

JINA_EMBEDDINGS_V3 = replace(
    BERT,
    model_type="jina_embeddings_v3",
    prefix="roberta",
    layers="layers",
    shapes={**_WORDS, **_TYPES, "mlp.fc1.weight": _INTO, "mlp.fc2.weight": _OUT_OF},
    feed_forward=FeedForward(("mlp.fc1",), "mlp.fc2"),
)

FAMILIES = {
    family.model_type: family
    for family in (
        BERT,
        ROBERTA,
        replace(ROBERTA, model_type="xlm-roberta"),
        replace(ROBERTA, model_type="camembert"),
        DISTILBERT,
        MPNET,
        ELECTRA,
        DEBERTA_V2,
        DEBERTA,
        MODERNBERT,
        NOMIC_BERT,
        EUROBERT,
        JINA_EMBEDDINGS_V3,
    )
}

ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
"""Functions between the matrices of a feed-forward block that the tests cover."""

REFUSED = {"albert": "its layers share one set of weights, so that there is none to cut out"}
"""Types that people ask for and that cannot be, with why."""


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
        because = f": {REFUSED[found]}" if isinstance(found, str) and found in REFUSED else ""
        raise StillhouseError(
            f"an encoder of type {found!r}{because}",
            where=where,
            expected=f"one of: {', '.join(sorted(FAMILIES))}",
            do="Choose an encoder of such a type.",
        )
    return FAMILIES[found]


def sizes_of(config: Mapping[str, Any], where: str) -> Sizes:
    """How large the encoder of a config.json is; see `family_of`."""
    return family_of(config, where).sizes(config)
