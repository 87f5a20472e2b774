"""Somebody's classifier as it is, of every family: it says what transformers says, and students are cut out of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.export import export_student
from stillhouse.models.family import FAMILIES
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.tokenization import encode, load_tokenizer
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import verify_weights
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.pruning import drop_layers, prune_feed_forward
from stillhouse.students.vocabulary import trim_vocabulary
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier, outputs_in_order, take_classifier
from tests.stillhouse.models.encoders import POSITIONS, QUESTIONS, published

OUTPUTS = ("LABEL_0", "place", "thing")
NAMES, RENAME = ("person", "place", "thing"), {"LABEL_0": "person"}
IN_ANOTHER_ORDER = ("thing", "person", "place")


@pytest.fixture(params=sorted(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A published classifier of each family in turn, which passed intake."""
    published(str(request.param), tmp_path / "published", outputs=OUTPUTS)
    verify_weights(tmp_path / "published")
    return tmp_path / "published"


def named(outputs: Sequence[str]) -> dict[str, object]:
    """What a config says of a classifier's outputs."""
    id2label = {str(number): name for number, name in enumerate(outputs)}
    return {"architectures": ["BertForSequenceClassification"], "id2label": id2label}


def taken(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    out = folder.parent / "taken"
    take_classifier(folder, names, out, rename=RENAME, max_tokens=512)
    return out


@pytest.mark.long
def test_it_says_what_transformers_says_in_the_order_of_the_rows(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    ours = TorchClassifier(taken(folder, IN_ANOTHER_ORDER))
    assert ours.labels == list(IN_ANOTHER_ORDER)
    for text in QUESTIONS[:6]:
        ids = torch.tensor(encode(load_tokenizer(folder), [text]))
        with torch.no_grad():
            expected = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        np.testing.assert_allclose(ours.logits([text])[0], expected[[2, 0, 1]], atol=1e-6)


@pytest.mark.long
def test_a_text_is_answered_alike_alone_and_beside_a_longer_one(folder: Path) -> None:
    model = TorchClassifier(taken(folder))
    alone, beside = model.logits(QUESTIONS[:1]), model.logits([QUESTIONS[0], " ".join(QUESTIONS[:3])])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.long
def test_a_student_is_cut_out_of_it_learns_and_ships(folder: Path, tmp_path: Path) -> None:
    texts, targets = [*QUESTIONS, "what", " ".join(QUESTIONS)], np.arange(len(QUESTIONS) + 2) % 3
    task = SingleLabel(NAMES)
    drop_layers(taken(folder), (0, 2), tmp_path / "cut")
    prune_feed_forward(tmp_path / "cut", 24, tmp_path / "narrow")
    trim_vocabulary(tmp_path / "narrow", QUESTIONS, tmp_path / "trimmed")
    examples = TrainingExamples(texts, targets, task, validation_texts=texts[:3], validation_targets=targets[:3])
    config = TrainingConfig(epochs=1, batch_size=32, loss="labels", dropout=0.1, threads=1)
    train(tmp_path / "trimmed", tmp_path / "trained", examples, config)
    report = export_student(tmp_path / "trained", tmp_path / "shipped", texts, targets, task)
    assert report.fp32.max_abs_logit_diff < 5e-5
    assert OnnxClassifier(tmp_path / "shipped").logits(texts).shape == (len(texts), 3)


@pytest.mark.long
def test_it_reads_as_far_as_it_has_positions(tmp_path: Path) -> None:
    model = network.load(taken(published("bert", tmp_path / "published", outputs=OUTPUTS)))
    assert model.longest_text == POSITIONS
    (ids,) = encode(load_tokenizer(tmp_path / "taken"), [" ".join(QUESTIONS)])
    assert len(ids) == POSITIONS


@pytest.mark.parametrize(
    ("names", "rename", "says"),
    [
        (
            ("person", "place"),
            RENAME,
            "its outputs are person, place, thing; expected those of the rows: person, place",
        ),
        ((*NAMES, "city"), RENAME, "its outputs are person, place, thing; expected those of the rows: person, place"),
        (NAMES, {}, "its outputs are LABEL_0, place, thing"),
        (NAMES, {**RENAME, "thing": "place"}, "its outputs are person, place, place"),
        (NAMES, {**RENAME, "LABEL_7": "x"}, "there is no output 'LABEL_7' to rename; expected one of LABEL_0, place"),
    ],
)
def test_outputs_that_are_not_those_of_the_rows(
    tmp_path: Path, names: tuple[str, ...], rename: dict[str, str], says: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(named(OUTPUTS)))
    with pytest.raises(StillhouseError) as refused:
        outputs_in_order(tmp_path, names, rename)
    assert says in str(refused.value) and "teacher.rename" in str(refused.value)


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_a_classifier_that_answers_something_else_is_refused(tmp_path: Path, problem: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**named(NAMES), "problem_type": problem}))
    with pytest.raises(StillhouseError, match=f"a classifier for {problem}"):
        outputs_in_order(tmp_path, NAMES, {})


@pytest.mark.long
def test_its_encoder_alone_is_what_the_linear_probe_looks_at(folder: Path, tmp_path: Path) -> None:
    build_classifier(folder, NAMES, tmp_path / "untuned", seed=0)
    taken(folder)
    whole, alone = (TorchClassifier(tmp_path / name).answer(QUESTIONS[:3]).embeddings for name in ("taken", "untuned"))
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_more_than_ten_outputs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """As text, 10 comes before 2."""
    labels = [f"class {number:02}" for number in range(12)]
    (tmp_path / "config.json").write_text(json.dumps(named(labels)))
    assert outputs_in_order(tmp_path, labels, {}) == list(range(12))


@pytest.mark.parametrize(
    "id2label",
    [
        {"1": "person", "2": "place", "3": "thing"}, {"0": "person", "1": "place", "3": "thing"},
        {"0": "person", "00": "place", "1": "thing"}, {"zero": "person"}, ["person", "place", "thing"],
    ],
)  # fmt: skip
def test_outputs_that_are_not_numbered_from_0_on_are_nobodys(tmp_path: Path, id2label: object) -> None:
    """Regression: those numbered from 1 on were taken one place off, so that each answer was another class."""
    (tmp_path / "config.json").write_text(json.dumps({**named(NAMES), "id2label": id2label}))
    with pytest.raises(StillhouseError, match=r"are not named by their numbers.*counted from 0"):
        outputs_in_order(tmp_path, NAMES, {})


def test_outputs_of_which_a_config_gives_the_number_alone_are_called_by_theirs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"architectures": ["BertForSequenceClassification"], "num_labels": 3})
    )
    rename = {"LABEL_0": "thing", "LABEL_1": "place", "LABEL_2": "person"}
    assert outputs_in_order(tmp_path, NAMES, rename) == [2, 1, 0]


def test_an_encoder_without_a_head_is_no_classifier(tmp_path: Path) -> None:
    published("bert", tmp_path / "published", id2label=dict(enumerate(OUTPUTS)))
    with pytest.raises(StillhouseError, match=r"no classifier.*Set `teacher\.kind: encoder`"):
        taken(tmp_path / "published")


def test_a_head_that_the_config_promises_and_the_weights_lack_is_named(tmp_path: Path) -> None:
    folder = published("bert", tmp_path / "published", outputs=OUTPUTS)
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StillhouseError, match=r"classifier\.bias is missing among the weights"):
        taken(folder)


@pytest.mark.long
def test_two_outputs_that_bear_no_names_are_called_as_transformers_calls_them(tmp_path: Path) -> None:
    folder = published("bert", tmp_path / "published", outputs=("LABEL_0", "LABEL_1"))
    config = json.loads((folder / "config.json").read_text())
    assert "id2label" not in config, "it leaves out what it would take anyway"
    take_classifier(folder, ("no", "yes"), tmp_path / "out", rename={"LABEL_0": "yes", "LABEL_1": "no"}, max_tokens=32)
    take_classifier(folder, ("LABEL_0", "LABEL_1"), tmp_path / "as_it_is", rename={}, max_tokens=32)
    renamed, as_it_is = (TorchClassifier(tmp_path / name).logits(QUESTIONS[:3]) for name in ("out", "as_it_is"))
    np.testing.assert_allclose(renamed, as_it_is[:, ::-1], atol=1e-6)


@pytest.mark.long
def test_a_head_as_wide_as_the_encoder_is_put_in_order_at_its_last_layer(tmp_path: Path) -> None:
    """RoBERTa's head has two layers; of sixteen outputs both are as large."""
    outputs = [f"class {number:02}" for number in range(16)]
    folder = published("roberta", tmp_path / "published", outputs=outputs)
    take_classifier(folder, outputs, tmp_path / "as_they_are", rename={}, max_tokens=32)
    take_classifier(folder, outputs[::-1], tmp_path / "reversed", rename={}, max_tokens=32)
    as_they_are, other = (
        TorchClassifier(tmp_path / name).logits(QUESTIONS[:3]) for name in ("as_they_are", "reversed")
    )
    np.testing.assert_allclose(other, as_they_are[:, ::-1], atol=1e-6)
    assert np.ptp(as_they_are, axis=1).min() > 0.01


def test_a_head_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    folder = published("bert", tmp_path / "published", outputs=OUTPUTS)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "classifier.weight": weights["classifier.weight"][:2].clone()}, folder / "model.safetensors")
    with pytest.raises(StillhouseError, match=r"classifier\.weight is of another shape than in config\.json"):
        taken(folder)
