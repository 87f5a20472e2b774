"""Static embeddings: the teacher is asked every word piece once, and a text is the mean of its pieces."""

from pathlib import Path

import numpy as np
import pytest

from stillhouse.models import network
from stillhouse.models.export import export_student
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import finite_weights
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.pruning import cut_from
from stillhouse.students.static_embeddings import (
    SIF,
    StaticEmbeddings,
    _frame,
    principal_components,
    static_embeddings,
    static_student,
    zipf_weights,
)
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.models.encoders import LABELS as HEADS
from tests.stillhouse.models.encoders import OF_A_KIND, QUESTIONS, a_classifier


@pytest.fixture(scope="module")
def static(classifier: Path) -> StaticEmbeddings:
    return static_embeddings(classifier, dimensions=32)


def test_pieces_are_as_far_apart_as_the_teacher_puts_them(classifier: Path, static: StaticEmbeddings) -> None:
    """All 32 components are a rotation, so distances stay; a piece asked alone is a text of one word."""
    words = ["king", "river", "city", "how"]
    asked = TorchClassifier(classifier).answer(words).embeddings
    places = [static.tokenizer.token_to_id(word) for word in words]
    rank = np.array(places) - 5  # the five special tokens come first and are no pieces
    rows = static.table[places] / zipf_weights(len(static.table) - 5)[rank, None]
    ours, theirs = (np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(4, 1)] for x in (rows, asked))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert ours / theirs == pytest.approx(np.full(6, (ours / theirs).mean()), rel=0.05), "int8 rounds"


def test_a_text_is_the_mean_of_its_pieces_at_length_one(static: StaticEmbeddings) -> None:
    king, city = (static.table[static.tokenizer.token_to_id(word)].astype(float) for word in ("king", "city"))
    mean = (king + king + city) / 3
    assert static.embed(["king city king"])[0] == pytest.approx(mean / np.linalg.norm(mean), rel=1e-5)
    assert static.embed(["", "☃"]).tolist() == np.zeros((2, 32)).tolist(), "nothing known is no direction"


def test_special_tokens_weigh_nothing_and_size_is_table_and_tokenizer(
    classifier: Path, static: StaticEmbeddings
) -> None:
    assert not static.table[:5].any() and static.table[5:].any(axis=1).all()
    assert np.abs(static.table.astype(int)).max() == 127
    assert static.size_bytes == 95 * 32 + (classifier / "tokenizer.json").stat().st_size


def test_weights_are_smooth_inverse_frequencies_after_zipf() -> None:
    # By hand: 1/2, 1/3 and 1/4 add up to 13/12, so the frequencies are 6/13, 4/13 and 3/13.
    assert zipf_weights(3) == pytest.approx([SIF / (SIF + share / 13) for share in (6, 4, 3)])


def test_components_are_those_of_scikit_learn_up_to_their_sign() -> None:
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).normal(size=(40, 6)) * [5, 4, 3, 2, 1, 0.5]
    assert np.abs(principal_components(rows, 3)) == pytest.approx(np.abs(PCA(3).fit_transform(rows)))


@pytest.mark.long
@pytest.mark.parametrize("model_type", sorted(OF_A_KIND.values()))
def test_of_every_kind_of_tokenizer_special_tokens_weigh_nothing(model_type: str, tmp_path: Path) -> None:
    teacher = a_classifier(model_type, tmp_path / "teacher")
    static = static_embeddings(teacher, dimensions=8)
    special = sorted(static.tokenizer.get_added_tokens_decoder())
    assert len(special) >= 5 and not static.table[special].any()
    assert np.delete(static.table, special, axis=0).any(axis=1).mean() > 0.9, "the most frequent may round to nothing"


def test_a_piece_is_asked_between_whatever_the_tokenizer_puts_around_a_text(tmp_path: Path) -> None:
    """Tokenizers as of Llama begin a text and do not end it."""
    from tokenizers import Tokenizer, processors

    teacher = a_classifier("eurobert", tmp_path / "teacher")
    tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        "<|begin_of_text|> $A", None, [("<|begin_of_text|>", begin)]
    )
    assert _frame(tokenizer) == ([begin], [])
    tokenizer.post_processor = None
    assert _frame(tokenizer) == ([], [])


@pytest.mark.long
@pytest.mark.parametrize(
    "model_type",
    [
        pytest.param(each, marks=pytest.mark.slow if place else ())
        for place, each in enumerate(sorted(OF_A_KIND.values()))
    ],
)
def test_a_student_without_a_layer_learns_and_ships(model_type: str, tmp_path: Path) -> None:
    teacher = a_classifier(model_type, tmp_path / "teacher")
    static_student(teacher, 8, tmp_path / "start")
    task = SingleLabel(tuple(HEADS))
    targets = np.array([int(" is " in text) for text in QUESTIONS])
    examples = TrainingExamples(QUESTIONS, targets, task, validation_texts=QUESTIONS, validation_targets=targets)
    config = TrainingConfig(epochs=80, batch_size=12, learning_rate=0.02, loss="labels", threads=1)
    report = train(tmp_path / "start", tmp_path / "trained", examples, config)
    assert report.epochs[-1].train_loss < 0.6 * report.epochs[0].train_loss
    export = export_student(tmp_path / "trained", tmp_path / "shipped", QUESTIONS, targets, task)
    assert export.fp32.max_abs_logit_diff < 1e-5 and export.shipped.top1_agreement >= 0.9
    assert network.load(tmp_path / "trained").width == 8
    for precision, near in (("fp32", 1e-5), ("int8_static", 0.5), ("int4", 1.0)):
        other = export_student(tmp_path / "trained", tmp_path / precision, QUESTIONS, targets, task, precision)
        assert other.shipped.max_abs_logit_diff < near and other.shipped.top1_agreement >= 0.9


def test_it_starts_where_the_baseline_puts_a_text_and_prefers_no_class(classifier: Path, tmp_path: Path) -> None:
    static, parameters = static_embeddings(classifier, 32), static_student(classifier, 32, tmp_path / "start")
    texts = ["who is the king ?", "where is the city", "how many rivers"]
    said = TorchClassifier(tmp_path / "start").answer(texts)
    assert (static.embed(texts) * said.embeddings / np.sqrt(32)).sum(axis=1) == pytest.approx(np.ones(3), abs=1e-2)
    assert not said.logits.any()
    assert parameters == 95 * 32 + 32 + 3 * 32 + 3


def test_the_vocabulary_is_trimmed_before_the_teacher_is_asked(classifier: Path, tmp_path: Path) -> None:
    student = StudentSpec(name="static", layers=(), dimensions=16, training=TrainingConfig())
    trim = cut_from(classifier, student, ["who is the king"], tmp_path / "start")
    assert trim is not None and trim.dropped > 0
    assert trim.parameters == finite_weights(tmp_path / "start") < finite_weights(classifier)
    assert [path.name for path in tmp_path.iterdir()] == ["start"]
    whole = cut_from(classifier, student.model_copy(update={"trim_vocabulary": False}), [], tmp_path / "whole")
    assert whole is None and network.load(tmp_path / "whole").embeddings.weight.shape == (95, 16)
