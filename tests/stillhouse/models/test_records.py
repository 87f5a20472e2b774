"""A network that takes records out of texts: it points at words, in torch and in ONNX, whatever pieces they are in."""

from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from stillhouse.models.export import export_student
from stillhouse.models.family import FAMILIES
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.tokenization import Reader, load_tokenizer
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.students.vocabulary import trim_vocabulary
from stillhouse.tasks.extraction import IMPOSSIBLE, LOWEST, Extraction
from stillhouse.tasks.records import placed, spelled_out
from stillhouse.tasks.words import words_of
from stillhouse.teachers.classifier import build_classifier
from tests.stillhouse.conftest import write_encoder
from tests.stillhouse.models.encoders import QUESTIONS, published

pytestmark = pytest.mark.long

SPEC = RecordSpec.model_validate(
    {
        "words": 8,
        "fields": {
            "what": {"kind": "verbatim", "words_at_most": 2},
            "number": {"kind": "number", "words_at_most": 1, "optional": True},
            "asks": {"kind": "choice", "of": ["who", "where", "other"]},
        },
    }
)
TASK = Extraction(SPEC)


def a_network(folder: Path, encoder: Path) -> Path:
    build_classifier(encoder, TASK.names, folder, seed=0, record=SPEC)
    return folder


def read_words(folder: Path, text: str) -> list[tuple[int, str]]:
    """Numbers of words, and the piece in which the network is told that each begins."""
    tokenizer = load_tokenizer(folder)
    plain = tokenizer.encode(text).ids
    (told,) = Reader(folder)([text])
    pieces = (told[0] - plain[0]) or min(abs(a - b) for a, b in zip(told, plain, strict=True) if a != b)
    return [
        ((a - b) // pieces - 1, tokenizer.id_to_token(b).strip("\u2581\u0120#").lower())
        for a, b in zip(told, plain, strict=True)
        if a != b
    ]


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_encoder_is_told_where_words_begin_and_reads_the_same_pieces(model_type: str, tmp_path: Path) -> None:
    folder = a_network(tmp_path / "network", published(model_type, tmp_path / "published"))
    text = "who is the king, near Zürich? 12.50 cities"
    found = read_words(folder, text)
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers)) and set(numbers) <= set(range(len(words_of(text))))
    assert len(numbers) >= len(words_of(text)) - 1, "a piece may hold two words, and few do"
    for number, piece in found[:4]:
        assert piece[:1] in (words_of(text)[number][0], "[", "<", ""), (number, piece)
    network = TorchClassifier(folder)
    assert np.isfinite(network.logits(QUESTIONS[:4])).all()
    alone, beside = network.logits(QUESTIONS[3:4]), network.logits([*QUESTIONS[:4]])[3:]
    assert alone == pytest.approx(beside, abs=1e-3), "padding is no word"


def test_a_text_is_pointed_at_where_it_has_words_and_nowhere_else(tmp_path: Path) -> None:
    network = TorchClassifier(a_network(tmp_path / "network", write_encoder(tmp_path / "encoder")))
    (row,) = network.logits(["how many kings"])
    what = TASK.fields[2]
    possible = [value for value, each in zip(what.values, what.of(row), strict=True) if each > LOWEST]
    assert possible == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    assert set(what.of(row)[what.of(row) < LOWEST]) == {np.float32(IMPOSSIBLE)}
    (same,) = network.logits(["many many kings"])
    assert what.of(same)[what.number_of([1, 1])] == np.float32(IMPOSSIBLE), "it is answered at its first place"


def test_an_accent_that_the_tokenizer_leaves_out_moves_no_later_word(tmp_path: Path) -> None:
    """A mark by itself is a word of the text and no piece of the network."""
    folder = a_network(tmp_path / "network", write_encoder(tmp_path / "encoder"))
    text = "who \u0301 is"
    assert words_of(text) == ["who", "\u0301", "is"]
    assert [number for number, _ in read_words(folder, text)] == [0, 2]


def sentences(rows: int, seed: int) -> tuple[list[str], list[str]]:
    random = Random(seed)
    texts, labels = [], []
    for _ in range(rows):
        asks, what = random.choice(["who", "where", "how"]), random.choice(["the king", "river", "the queen", "city"])
        number = random.choice(["", "7", "12"])
        text = random.choice([f"{asks} is {what} {number}", f"{number} {asks} knows {what}"]).strip()
        text = " ".join(text.split())
        value = f'"{number}"' if number else "null"
        record = f'{{"asks":"{asks if asks != "how" else "other"}","number":{value},"what":"{what}"}}'
        texts.append(text)
        labels.append(placed(record, text, SPEC))
    return texts, labels


def test_a_head_alone_learns_records_of_an_encoder_that_stays_as_it_is(tmp_path: Path) -> None:
    texts, labels = sentences(200, 1)
    start = a_network(tmp_path / "start", write_encoder(tmp_path / "encoder"))
    examples = TrainingExamples(texts=texts, targets=TASK.targets(pl.Series(labels)), task=TASK)
    config = TrainingConfig(epochs=3, learning_rate=1e-2, batch_size=16, loss="labels", max_tokens=32)
    report = train(start, tmp_path / "taught", examples, config, head_alone=True)
    assert report.epochs[-1].train_loss < report.epochs[0].train_loss
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "taught"))
    moved = {name for name, weight in before.items() if not np.array_equal(weight, after[name])}
    assert moved == {"classifier.weight", "classifier.bias"}


def test_it_learns_to_take_values_out_of_texts_and_is_exported_as_it_is(tmp_path: Path) -> None:
    """From a teacher that says answers alone; then the words that it never saw are cut off, and it ships in int8."""
    texts, labels = sentences(600, 1)
    truth = TASK.targets(pl.Series(labels))
    encoder = write_encoder(tmp_path / "encoder")
    start = a_network(tmp_path / "start", encoder)
    trim_vocabulary(start, texts, tmp_path / "trimmed")
    examples = TrainingExamples(
        texts=texts, targets=np.full(len(texts), -1), task=TASK,
        teacher_logits=TASK.stated(truth, 0.95).astype(np.float32),
    )  # fmt: skip
    config = TrainingConfig(epochs=12, learning_rate=3e-3, batch_size=16, loss="kl", max_tokens=32)
    report = train(tmp_path / "trimmed", tmp_path / "taught", examples, config)
    assert report.epochs[-1].train_loss < report.epochs[0].train_loss
    asked, known = sentences(120, 2)
    taught = TorchClassifier(tmp_path / "taught")
    right = TASK.targets(pl.Series(known))
    assert TASK.right(taught.logits(asked), right).mean() > 0.9
    found = export_student(tmp_path / "taught", tmp_path / "student", asked, right, TASK)
    assert found.fp32.max_abs_logit_diff < 1e-3 and found.fp32.top1_agreement == 1
    assert found.shipped.top1_agreement > 0.9
    for precision in ("fp32", "int4", "int8_static"):
        other = export_student(tmp_path / "taught", tmp_path / precision, asked, right, TASK, precision)
        assert other.shipped.top1_agreement > 0.9, precision
    shipped = OnnxClassifier(tmp_path / "student")
    (said,) = TASK.written(TASK.answers(shipped.logits(["who is the queen 12"])))
    assert spelled_out(said, "who is the queen 12", SPEC) == '{"asks":"who","number":12,"what":"the queen"}'
