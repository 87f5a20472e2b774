"""A small encoder of random weights of every family, with a tokenizer as its own would be.

A new family is an entry in FAMILIES and one in KINDS here.
"""

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from stillhouse.models.family import FAMILIES
from tests.scored_pieces import unigram

PIECES = {
    "word pieces": 200,
    "word pieces of mpnet": 200,
    "byte pairs": 360,
    "byte pairs in steps": 360,
    "scored pieces": 90,
    "scored pieces of deberta": 90,
}
"""As many as the questions give, and for bytes all of them and a hundred more."""

QUESTIONS = [
    f"{asks} {what} {rest}"
    for asks in ("who is", "where is", "how many", "what")
    for what in ("the king", "the river", "a mountain", "cities", "the Queen")
    for rest in ("?", "of France 7", "near Zürich?")
]
LABELS = ["person", "place"]
POSITIONS = 40


def _word_pieces(texts: Sequence[str], pieces: int) -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word.lower().strip("?") for text in texts for word in text.split()} - {""})
    letters = string.ascii_lowercase + string.digits + "?"
    entries = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *words])
    vocabulary = {piece: n for n, piece in enumerate([*entries][:pieces])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(special)
    return tokenizer


def _word_pieces_of_mpnet(texts: Sequence[str], pieces: int) -> Tokenizer:
    """BERT's word pieces with RoBERTa's specials around a text; two of them mean unknown."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
    vocabulary = _word_pieces(texts, pieces).get_vocab()
    words = [piece for piece, _ in sorted(vocabulary.items(), key=lambda entry: entry[1])][5:]
    entries = [*special[:-1], *words, special[-1]]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(special)
    return tokenizer


def _byte_pairs(texts: Sequence[str], pieces: int) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=pieces, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def _byte_pairs_in_steps(texts: Sequence[str], pieces: int) -> Tokenizer:
    """As of Llama 3: its specials come last, and what fits them in is one step of several."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", "<|pad|>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=pieces - 5, initial_alphabet=alphabet))
    tokenizer.add_special_tokens(special)
    begin, end = (tokenizer.token_to_id(name) for name in special[:2])
    around = processors.TemplateProcessing(
        f"{special[0]} $A {special[1]}", None, [(special[0], begin), (special[1], end)]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), around])
    return tokenizer


def _scored_pieces(texts: Sequence[str], pieces: int) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = unigram(texts, pieces, special, "<unk>")
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    return tokenizer


def _scored_pieces_of_deberta(texts: Sequence[str], pieces: int) -> Tokenizer:
    """Its mask is no entry of the model: it comes after all of them."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    tokenizer = unigram(texts, pieces, special, "[UNK]")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*special, "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer


TOKENIZERS: dict[str, Callable[[Sequence[str], int], Tokenizer]] = {
    "word pieces": _word_pieces,
    "word pieces of mpnet": _word_pieces_of_mpnet,
    "byte pairs": _byte_pairs,
    "byte pairs in steps": _byte_pairs_in_steps,
    "scored pieces": _scored_pieces,
    "scored pieces of deberta": _scored_pieces_of_deberta,
}
KINDS = {
    "bert": "word pieces",
    "camembert": "scored pieces",
    "deberta": "byte pairs",
    "deberta-v2": "scored pieces of deberta",
    "distilbert": "word pieces",
    "electra": "word pieces",
    "eurobert": "byte pairs in steps",
    "jina_embeddings_v3": "scored pieces",
    "modernbert": "byte pairs",
    "mpnet": "word pieces of mpnet",
    "nomic_bert": "word pieces",
    "roberta": "byte pairs",
    "xlm-roberta": "scored pieces",
}
"""Which tokenizer an encoder of each family is published with."""
OF_A_KIND = {kind: model_type for model_type, kind in KINDS.items()}

_AS_PUBLISHED: dict[str, dict[str, Any]] = {
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_biased_input": False,
    },
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    "electra": {"embedding_size": 12},
    "eurobert": {"num_key_value_heads": 1, "bos_token_id": 0, "eos_token_id": 1, "mask_token_id": 2},
    "modernbert": {
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "local_attention": 8,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "nomic_bert": {"head_dim": 8},
}
"""What its config says beside sizes: what the best known model of the family has there."""


def a_tokenizer(kind: str) -> Tokenizer:
    """A small one of a kind, of the questions above."""
    return TOKENIZERS[kind](QUESTIONS, PIECES[kind])


def published(
    model_type: str, folder: Path, tokenizer: Tokenizer | None = None, outputs: Sequence[str] = (), **changes: Any
) -> Path:
    """An encoder of random weights, as transformers itself writes one.

    Args:
        model_type: its family.
        folder: where to write it.
        tokenizer: its own; a small one of its kind when None.
        outputs: of the head that it has; none when there are none.
        changes: fields of its config.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    tokenizer, family = tokenizer or a_tokenizer(KINDS[model_type]), FAMILIES[model_type]
    pad = next(token for name in ("[PAD]", "<pad>", "<|pad|>") if (token := tokenizer.token_to_id(name)) is not None)
    config = {
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": POSITIONS + family.positions_taken,
        "pad_token_id": pad,
        "initializer_range": 0.15,  # so that answers differ
        **dict(zip(family.sizes_in, (3, 16, 2, 32), strict=True)),
        **_AS_PUBLISHED.get(model_type, {}),
        **({"id2label": dict(enumerate(outputs))} if outputs else {}),
        **changes,
    }
    torch.manual_seed(1)
    kind = AutoModelForSequenceClassification if outputs else AutoModel
    kind.from_config(AutoConfig.for_model(model_type, **config)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def a_classifier(model_type: str, folder: Path, **changes: Any) -> Path:
    """A classifier on an encoder of the family, let in as a recipe's teacher is."""
    from stillhouse.models.weights import verify_weights
    from stillhouse.teachers.classifier import build_classifier

    encoder = published(model_type, folder.parent / f"{folder.name} published", **changes)
    verify_weights(encoder)
    build_classifier(encoder, LABELS, folder, seed=0)
    return folder
