"""Every family of encoders goes the whole way of a model: let in, classifier, cut, narrowed, trimmed, exported, asked.

A new family is an entry in FAMILIES and one in TOKENIZERS here.
"""

import json
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from stillhouse.errors import StillhouseError
from stillhouse.models.export import export_student
from stillhouse.models.family import FAMILIES, family_of
from stillhouse.models.network import load
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.weights import verify_weights
from stillhouse.students.pruning import drop_layers, prune_feed_forward, trim_vocabulary
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier

WORDS = ["who", "what", "where", "is", "the", "king", "river", "many", "city", "mountain"]
TEXTS = ["who is the king", "where is the river", "what city", "how many kings 7"]
LABELS = ["person", "place"]
POSITIONS = 40


def word_pieces() -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = string.ascii_lowercase + string.digits
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(special)
    return tokenizer


def byte_pairs() -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {"bert": word_pieces, "roberta": byte_pairs}
"""A small tokenizer of each family, as its own would be."""


def written(model_type: str, folder: Path) -> Path:
    """An encoder of random weights, as transformers itself writes one."""
    from transformers import AutoConfig, AutoModel

    tokenizer = TOKENIZERS[model_type]()
    config = AutoConfig.for_model(
        model_type,
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=POSITIONS + FAMILIES[model_type].positions_taken,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(params=sorted(FAMILIES))
def model_type(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    return str(request.param)


@pytest.fixture
def classifier(model_type: str, tmp_path: Path) -> Path:
    """A classifier on an encoder of the family."""
    encoder = written(model_type, tmp_path / "encoder")
    verify_weights(encoder)
    build_classifier(encoder, LABELS, tmp_path / "classifier", seed=0)
    return tmp_path / "classifier"


def test_what_the_table_names_is_what_transformers_calls_it(model_type: str, classifier: Path) -> None:
    network, family = load(classifier), FAMILIES[model_type]
    names = network.state_dict().keys()
    assert network.encoder.base_model_prefix == family.prefix
    assert family.weight(family.word_embeddings) in names
    for number in range(3):
        blocks = (family.feed_forward.into, family.feed_forward.out_of)
        assert {family.in_layer(number, ending) for ending in family.layer} < names
        assert {family.in_layer(number, f"{block}.{part}") for block in blocks for part in ("weight", "bias")} < names


def test_it_reads_as_many_tokens_as_the_table_says_and_no_more(model_type: str, classifier: Path) -> None:
    import torch

    network = load(classifier)
    assert network.longest_text == POSITIONS
    longest, longer = (torch.full((1, tokens), 6) for tokens in (POSITIONS, POSITIONS + 1))
    assert network(longest, torch.ones_like(longest))[0].isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        network(longer, torch.ones_like(longer))
    long_text = TorchClassifier(classifier).logits(["king " * 100])
    assert np.isfinite(long_text).all(), "the tokenizer cuts what is longer"


def test_it_is_cut_narrowed_exported_and_answers_as_before(classifier: Path, tmp_path: Path) -> None:
    cut, narrow, shipped = tmp_path / "cut", tmp_path / "narrow", tmp_path / "shipped"
    drop_layers(classifier, (0, 2), cut)
    prune_feed_forward(cut, 24, narrow)
    assert load(cut).config["num_hidden_layers"] == 2 and load(narrow).config["intermediate_size"] == 24
    parity = export_student(narrow, shipped, TEXTS, np.array([0, 1, 1, 0]), SingleLabel(tuple(LABELS))).fp32
    assert parity.max_abs_logit_diff < 1e-5
    assert OnnxClassifier(shipped).logits(TEXTS).shape == (len(TEXTS), len(LABELS))


def test_its_vocabulary_is_trimmed_and_texts_read_as_before(model_type: str, classifier: Path, tmp_path: Path) -> None:
    tokenizer = json.loads((classifier / "tokenizer.json").read_text())
    if tokenizer["model"]["type"] != FAMILIES[model_type].trimmed_tokenizer:
        with pytest.raises(StillhouseError, match="Set the student's trim_vocabulary to false"):
            trim_vocabulary(classifier, TEXTS, tmp_path / "trimmed")
        return
    trimmed = trim_vocabulary(classifier, TEXTS, tmp_path / "trimmed")
    assert trimmed.dropped > 0
    before, after = (TorchClassifier(folder).logits(TEXTS) for folder in (classifier, tmp_path / "trimmed"))
    assert np.allclose(before, after, atol=1e-6)


def test_an_encoder_of_another_type_is_refused_with_the_types_there_are() -> None:
    with pytest.raises(StillhouseError, match="an encoder of type 'xlnet'") as refused:
        family_of({"model_type": "xlnet"}, "config.json")
    assert all(model_type in str(refused.value) for model_type in FAMILIES)
