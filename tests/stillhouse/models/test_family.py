"""Every family of encoders goes the whole way of a model: let in, cut, narrowed, trimmed, exported, asked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.errors import StillhouseError
from stillhouse.models import network
from stillhouse.models.export import export_student
from stillhouse.models.family import ACTIVATIONS, FAMILIES, family_of
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import verify_weights
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.pruning import drop_layers, prune_feed_forward
from stillhouse.students.vocabulary import trim_vocabulary
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.models.encoders import KINDS, LABELS, POSITIONS, QUESTIONS, a_classifier, published

pytestmark = pytest.mark.long

OF_ALL_LENGTHS = [*QUESTIONS, "what", " ".join(QUESTIONS)]  # the last is longer than any model reads
TARGETS = np.arange(len(OF_ALL_LENGTHS)) % 2


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def model_type(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def classifier(model_type: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier on an encoder of the family; read-only."""
    return a_classifier(model_type, tmp_path_factory.mktemp(model_type) / "classifier")


def test_every_family_is_tested_with_a_tokenizer_of_its_kind() -> None:
    assert KINDS.keys() == FAMILIES.keys()


def test_what_the_table_names_is_what_transformers_calls_it(model_type: str, classifier: Path) -> None:
    net, family = network.load(classifier), FAMILIES[model_type]
    names = net.state_dict().keys()
    assert net.encoder.base_model_prefix == family.prefix
    assert family.weight(family.word_embeddings) in names
    for number in range(3):
        for name in (*family.feed_forward.into, family.feed_forward.out_of):
            assert family.in_layer(number, f"{name}.weight") in names
    weights = load_file(classifier.parent / "classifier published" / "model.safetensors")
    for ending in family.shapes:
        assert any(name.endswith(ending) for name in weights), ending


def test_its_states_are_those_of_transformers_own_class(model_type: str, classifier: Path) -> None:
    """The same weights and the same config, so the same hidden states; a field that was lost on the way would show."""
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(classifier.parent / "classifier published", attn_implementation="eager").eval()
    ours = network.load(classifier)
    ids = torch.tensor([[5, 9, 7, 11, 6]])
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)
        torch.testing.assert_close(ours(ids, torch.ones_like(ids))[1], expected, atol=1e-6, rtol=0)


def test_the_states_after_a_layer_are_those_of_transformers_own_class(classifier: Path) -> None:
    """And those of padding count in none of them."""
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(classifier.parent / "classifier published", attn_implementation="eager").eval()
    ours, ids = network.load(classifier), torch.tensor([[5, 9, 7, 11, 6]])
    padding = torch.full((1, 3), int(ours.config["pad_token_id"]))
    longer, mask = torch.cat([ids, padding], 1), torch.tensor([[1] * 5 + [0] * 3])
    with torch.no_grad():
        said = theirs(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        logits, pooled, after = ours.with_layers(ids, torch.ones_like(ids), (0, 1))
        padded = ours.with_layers(longer, mask, (1,))[2]
        plain = ours(ids, torch.ones_like(ids))
    for number in (0, 1):
        torch.testing.assert_close(after[number], said[number + 1].mean(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(padded[1], after[1], atol=1e-5, rtol=0)
    torch.testing.assert_close((logits, pooled), plain, atol=0, rtol=0)


def test_a_text_is_answered_alike_alone_and_beside_a_longer_one(classifier: Path) -> None:
    model = TorchClassifier(classifier)
    alone = model.logits([QUESTIONS[0]])
    beside = model.logits([QUESTIONS[0], " ".join(QUESTIONS[:3])])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)


def test_it_reads_as_many_tokens_as_the_table_says_and_no_more(model_type: str, classifier: Path) -> None:
    net = network.load(classifier)
    assert net.longest_text == POSITIONS
    longest, longer = (torch.full((1, tokens), 6) for tokens in (POSITIONS, POSITIONS + 1))
    assert net(longest, torch.ones_like(longest))[0].isfinite().all()
    if any("position_embeddings" in name for name in net.state_dict()):
        with pytest.raises((IndexError, RuntimeError)):
            net(longer, torch.ones_like(longer))
    long_text = TorchClassifier(classifier).logits(["king " * 100])
    assert np.isfinite(long_text).all(), "the tokenizer cuts what is longer"


def test_it_learns_and_what_is_frozen_stays(model_type: str, classifier: Path, tmp_path: Path) -> None:
    task = SingleLabel(tuple(LABELS))
    examples = TrainingExamples(QUESTIONS, TARGETS[: len(QUESTIONS)], task, validation_texts=QUESTIONS[:2],
                                validation_targets=TARGETS[:2])  # fmt: skip
    config = TrainingConfig(epochs=1, batch_size=30, loss="labels", dropout=0.2, freeze_embeddings=True, threads=1)
    train(classifier, tmp_path / "trained", examples, config)
    before, after = (load_file(folder / "model.safetensors") for folder in (classifier, tmp_path / "trained"))
    frozen = FAMILIES[model_type].weight(FAMILIES[model_type].embeddings)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if name.startswith(f"{frozen}.")]
    layers = FAMILIES[model_type].weight(FAMILIES[model_type].layers)
    assert {name for name in before if name.startswith(f"{layers}.") and name.endswith(".weight")} <= moved


def test_a_cut_student_is_its_teacher_with_the_other_layers_skipped(classifier: Path, tmp_path: Path) -> None:
    drop_layers(classifier, (0, 2), tmp_path / "cut")
    teacher = network.load(classifier)
    layers = teacher.encoder.get_submodule(teacher.family.layers)
    parent, _, last = teacher.family.layers.rpartition(".")
    setattr(teacher.encoder.get_submodule(parent), last, torch.nn.ModuleList(layers[place] for place in (0, 2)))
    if hasattr(teacher.encoder.config, "layer_types"):
        teacher.encoder.config.layer_types = [teacher.encoder.config.layer_types[place] for place in (0, 2)]
    teacher.encoder.config.num_hidden_layers = 2
    ids = torch.tensor([[5, 9, 7, 11, 6]])
    with torch.no_grad():
        expected = teacher(ids, torch.ones_like(ids))[0]
        torch.testing.assert_close(network.load(tmp_path / "cut")(ids, torch.ones_like(ids))[0], expected)


def test_it_is_cut_narrowed_exported_and_answers_as_before(classifier: Path, tmp_path: Path) -> None:
    cut, narrow, shipped = tmp_path / "cut", tmp_path / "narrow", tmp_path / "shipped"
    drop_layers(classifier, (0, 2), cut)
    prune_feed_forward(cut, 24, narrow)
    assert network.read_sizes(cut).layers == 2 and network.read_sizes(narrow).units == 24
    report = export_student(narrow, shipped, OF_ALL_LENGTHS, TARGETS, SingleLabel(tuple(LABELS)))
    assert report.fp32.max_abs_logit_diff < 5e-5
    assert report.shipped.top1_agreement >= 0.9
    assert OnnxClassifier(shipped).logits(QUESTIONS).shape == (len(QUESTIONS), len(LABELS))


def test_units_that_contribute_nothing_are_the_first_to_go(model_type: str, classifier: Path, tmp_path: Path) -> None:
    family, weights = FAMILIES[model_type], load_file(classifier / "model.safetensors")
    for number in range(3):
        weights[family.in_layer(number, f"{family.feed_forward.out_of}.weight")][:, ::2] = 0.0
    config, tokenizer = network.read_config(classifier), (classifier / "tokenizer.json").read_text()
    network.save(weights, config, tokenizer, tmp_path / "half_silent")
    prune_feed_forward(tmp_path / "half_silent", 16, tmp_path / "narrow")
    np.testing.assert_allclose(
        TorchClassifier(tmp_path / "narrow").logits(QUESTIONS[:4]),
        TorchClassifier(tmp_path / "half_silent").logits(QUESTIONS[:4]),
        atol=1e-5,
    )


def test_its_vocabulary_is_trimmed_and_texts_read_as_before(classifier: Path, tmp_path: Path) -> None:
    texts = QUESTIONS[:4]
    trimmed = trim_vocabulary(classifier, texts, tmp_path / "trimmed")
    assert trimmed.dropped > 0
    before, after = (TorchClassifier(folder).logits(texts) for folder in (classifier, tmp_path / "trimmed"))
    np.testing.assert_array_equal(before, after)


def test_transformers_own_tokenizer_reads_what_was_saved(classifier: Path) -> None:
    from transformers import AutoTokenizer

    from stillhouse.models.tokenization import encode, load_tokenizer

    theirs = AutoTokenizer.from_pretrained(classifier)
    assert theirs(QUESTIONS[0])["input_ids"] == encode(load_tokenizer(classifier), QUESTIONS[:1])[0]
    assert theirs.pad_token_id == network.read_config(classifier)["pad_token_id"]


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_exports(activation: str, tmp_path: Path) -> None:
    folder = a_classifier("bert", tmp_path / "classifier", hidden_act=activation)
    report = export_student(folder, tmp_path / "shipped", OF_ALL_LENGTHS, TARGETS, SingleLabel(tuple(LABELS)))
    assert report.fp32.max_abs_logit_diff < 5e-5


def test_another_activation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="activation 'tanh'"):
        a_classifier("bert", tmp_path / "classifier", hidden_act="tanh")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"pad_token_id": None}, "there is no pad_token_id"),
        ({"layer_norm_eps": "small"}, "transformers refuses the config"),
        ({"vocab_size": 3}, "embeddings.word_embeddings.weight is of another shape than in config.json"),
    ],
)
def test_a_config_that_describes_no_such_encoder_is_refused(
    tmp_path: Path, fields: dict[str, object], says: str
) -> None:
    folder = published("bert", tmp_path / "published")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))
    with pytest.raises(StillhouseError, match=says):
        build_classifier(folder, LABELS, tmp_path / "classifier", seed=0)


def test_a_first_layer_that_is_built_differently_has_to_stay(tmp_path: Path) -> None:
    folder = a_classifier("modernbert", tmp_path / "classifier")
    with pytest.raises(StillhouseError, match=r"layers \[1, 2\].*0 among them"):
        drop_layers(folder, (1, 2), tmp_path / "cut")


def test_weights_under_the_names_of_earlier_years_are_read(tmp_path: Path) -> None:
    """BERT's own files on the hub still call the weight of a norm `gamma`, and begin with `bert.`."""
    folder = published("bert", tmp_path / "new")
    weights = load_file(folder / "model.safetensors")
    earlier = {
        f"bert.{name.replace('Norm.weight', 'Norm.gamma').replace('Norm.bias', 'Norm.beta')}": tensor
        for name, tensor in weights.items()
    }
    assert any(name.endswith("gamma") for name in earlier)
    build_classifier(folder, LABELS, tmp_path / "expected", seed=0)
    save_file({**earlier, "cls.predictions.bias": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    verify_weights(folder)
    build_classifier(folder, LABELS, tmp_path / "read", seed=0)
    for name, tensor in load_file(tmp_path / "expected" / "model.safetensors").items():
        assert torch.equal(load_file(tmp_path / "read" / "model.safetensors")[name], tensor), name


@pytest.mark.parametrize("lost", ["encoder.layer.1.output.LayerNorm.weight", "embeddings.LayerNorm.bias"])
def test_a_weight_that_is_missing_is_named(lost: str, tmp_path: Path) -> None:
    folder = published("bert", tmp_path / "published")
    weights = load_file(folder / "model.safetensors")
    del weights[lost]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StillhouseError, match=f"{lost} is missing among the weights"):
        build_classifier(folder, LABELS, tmp_path / "classifier", seed=0)


def test_a_weight_in_a_layer_that_its_type_does_not_have_is_named(tmp_path: Path) -> None:
    """As of a BERT with relative positions, which answers something else when they are left out."""
    folder = published("bert", tmp_path / "published")
    weights = load_file(folder / "model.safetensors")
    extra = "encoder.layer.0.attention.self.distance_embedding.weight"
    save_file({**weights, extra: torch.zeros(79, 8)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StillhouseError, match=f"{extra} is of no use to its type"):
        build_classifier(folder, LABELS, tmp_path / "classifier", seed=0)


@pytest.mark.parametrize(("model_type", "because"), [("xlnet", ""), ("albert", "share one set of weights")])
def test_an_encoder_of_another_type_is_refused_with_the_types_there_are(model_type: str, because: str) -> None:
    with pytest.raises(StillhouseError, match=f"an encoder of type '{model_type}'.*{because}") as refused:
        family_of({"model_type": model_type}, "config.json")
    assert all(known in str(refused.value) for known in FAMILIES)


def test_a_classifier_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its config bore the name of BERT whatever the encoder was."""
    folder = a_classifier("bert", tmp_path / "classifier")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["MeanPooledBertClassifier"]}))
    assert network.load(folder).labels == LABELS


@pytest.mark.parametrize("model_type", FAMILIES)
def test_it_is_trained_in_bfloat16_or_says_before_any_step_that_it_cannot_be(model_type: str, tmp_path: Path) -> None:
    build_classifier(published(model_type, tmp_path / "published"), LABELS, tmp_path / "start", 0)
    examples = TrainingExamples(QUESTIONS[:8], np.arange(8) % 2, SingleLabel(tuple(LABELS)))
    how = TrainingConfig(epochs=1, loss="labels", bfloat16=True, max_tokens=32)
    if FAMILIES[model_type].trains_in_bfloat16:
        assert train(tmp_path / "start", tmp_path / "out", examples, how).steps == 1
    else:
        with pytest.raises(StillhouseError, match=rf"training\.bfloat16: an encoder of type {model_type}"):
            train(tmp_path / "start", tmp_path / "out", examples, how)
