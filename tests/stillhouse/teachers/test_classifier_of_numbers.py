"""Somebody's head of one output as a teacher of numbers, and of pairs as it was trained on them: two texts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from tokenizers import Tokenizer, processors

from stillhouse.arrays import FloatArray
from stillhouse.errors import StillhouseError
from stillhouse.models.export import export_student
from stillhouse.models.network import put_on_a_scale
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.recipe.data import SEPARATOR
from stillhouse.release.standalone import _with_cleaning
from stillhouse.students.pruning import drop_layers
from stillhouse.students.vocabulary import trim_vocabulary
from stillhouse.tasks.score import NAMES, NumericScore
from stillhouse.teachers.classifier import has_sigmoid, outputs_in_order, take_classifier
from tests.stillhouse.models.encoders import KINDS, QUESTIONS, a_tokenizer, published

LONGEST = 32
OF_TWO_TYPES = ("bert", "electra", "nomic_bert")
OF_ONE_TYPE = ("camembert", "deberta", "deberta-v2", "distilbert", "modernbert", "mpnet", "roberta", "xlm-roberta")
ENDS_TWICE = ("camembert", "mpnet", "roberta", "xlm-roberta")
"""Between two texts they have two tokens that end one."""
PAIRS = [
    ("who is the king", "the king of France 7"),
    ("where is the river?", "a river near Zürich? where"),
    ("cities", "what"),
    ("how many cities", " ".join(QUESTIONS[:12])),  # longer than it is asked
]
JOINED = [f"{query} {SEPARATOR} {document}" for query, document in PAIRS]


def of_pairs(model_type: str) -> Tokenizer:
    """The family's tokenizer, as it is published for pairs."""
    tokenizer = a_tokenizer(KINDS[model_type])
    if model_type == "bert":
        tokenizer = _last_first(tokenizer)
    begin = "[CLS]" if tokenizer.token_to_id("[CLS]") is not None else "<s>"
    end = "</s>" if model_type in ENDS_TWICE else SEPARATOR
    tokenizer.add_special_tokens([begin, end])
    between, second = (f"{end} {end}", "") if model_type in ENDS_TWICE else (end, ":1")
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{begin} $A {end}",
        f"{begin} $A {between} $B{second} {end}{second}",
        [(each, tokenizer.token_to_id(each)) for each in (begin, end)],
    )
    return tokenizer


def _last_first(tokenizer: Tokenizer) -> Tokenizer:
    """The same with its special tokens at the end, so that their ids are others in a smaller vocabulary."""
    said = json.loads(tokenizer.to_str())
    last = len(said["model"]["vocab"]) - 1
    said["model"]["vocab"] = {piece: last - place for piece, place in said["model"]["vocab"].items()}
    for token in said["added_tokens"]:
        token["id"] = last - token["id"]
    said["post_processor"] = None
    return Tokenizer.from_str(json.dumps(said))


def cross_encoder(model_type: str, folder: Path, **changes: Any) -> Path:
    return published(model_type, folder, of_pairs(model_type), outputs=("LABEL_0",), **changes)


def taken(folder: Path, *, pairs: bool = True) -> Path:
    out = folder.parent / f"taken {pairs}"
    take_classifier(folder, NAMES, out, rename={}, max_tokens=LONGEST, answer="score", pairs=pairs)
    return out


def as_transformers_says(folder: Path, types: bool, pairs: Sequence[tuple[str, str]] = PAIRS) -> FloatArray:
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_input_names=names)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        said = [
            model(**tokenizer(query, document, truncation=True, max_length=LONGEST, return_tensors="pt")).logits
            for query, document in pairs
        ]
    return np.array([float(each[0, 0]) for each in said])


@pytest.mark.long
@pytest.mark.parametrize("model_type", [*OF_TWO_TYPES, *OF_ONE_TYPE])
def test_a_pair_has_the_score_that_transformers_gives_two_texts(model_type: str, tmp_path: Path) -> None:
    folder = cross_encoder(model_type, tmp_path / "published")
    expected = as_transformers_says(folder, model_type in OF_TWO_TYPES)
    assert np.ptp(expected) > 0.01, "or any answer would do"
    np.testing.assert_allclose(TorchClassifier(taken(folder)).logits(JOINED)[:, 0], expected, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("model_type", OF_TWO_TYPES)
def test_as_one_text_the_same_pair_would_have_another_score(model_type: str, tmp_path: Path) -> None:
    folder = cross_encoder(model_type, tmp_path / "published")
    as_one, as_two = (TorchClassifier(taken(folder, pairs=pairs)).logits(JOINED) for pairs in (False, True))
    assert np.abs(as_one - as_two).max() > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("model_type", ["bert", "deberta-v2", "modernbert", "roberta", "xlm-roberta"])
def test_what_ships_reads_a_pair_as_two_texts_with_a_smaller_vocabulary_too(model_type: str, tmp_path: Path) -> None:
    folder = cross_encoder(model_type, tmp_path / "published")
    put_on_a_scale(taken(folder), slope=0.25, intercept=-0.5)
    task, targets = NumericScore(0, 3, 0.5), np.linspace(-1, 1, len(JOINED))
    trim_vocabulary(tmp_path / "taken True", JOINED, tmp_path / "trimmed")
    export_student(tmp_path / "trimmed", tmp_path / "shipped", JOINED, targets, task, "fp32")
    expected = 0.25 * as_transformers_says(folder, model_type in OF_TWO_TYPES) - 0.5
    np.testing.assert_allclose(OnnxClassifier(tmp_path / "shipped").logits(JOINED)[:, 0], expected, atol=5e-5)
    drop_layers(tmp_path / "trimmed", (0, 2), tmp_path / "cut")
    report = export_student(tmp_path / "cut", tmp_path / "cut and shipped", JOINED, targets, task)
    assert report.fp32.max_abs_logit_diff < 5e-5


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "roberta", "xlm-roberta"])
def test_a_tokenizer_that_cleans_texts_itself_reads_a_pair_as_two_texts(model_type: str, tmp_path: Path) -> None:
    """That of a folder which runs where Stillhouse is not installed."""
    model = taken(cross_encoder(model_type, tmp_path / "published"))
    cleaning = Tokenizer.from_str(json.dumps(_with_cleaning(json.loads((model / "tokenizer.json").read_text()))))
    for text, (query, document) in zip(JOINED[:3], PAIRS, strict=False):
        assert cleaning.encode(text.replace(" ", "\t ")).ids == of_pairs(model_type).encode(query, document).ids


@pytest.mark.long
def test_a_head_whose_config_says_so_answers_with_a_sigmoid(tmp_path: Path) -> None:
    said = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"}}
    folder = cross_encoder("bert", tmp_path / "published", **said)
    expected = expit(as_transformers_says(folder, True))
    np.testing.assert_allclose(TorchClassifier(taken(folder)).logits(JOINED)[:, 0], expected, atol=1e-5)
    put_on_a_scale(tmp_path / "taken True", slope=2.0, intercept=-1.0)
    scaled = TorchClassifier(tmp_path / "taken True").logits(JOINED)[:, 0]
    np.testing.assert_allclose(scaled, 2 * expected - 1, atol=1e-5)


@pytest.mark.parametrize("model_type", ["eurobert", "xlm-roberta", "bert"])
def test_a_tokenizer_that_puts_nothing_between_two_texts_is_refused(model_type: str, tmp_path: Path) -> None:
    folder = published(model_type, tmp_path / "published", outputs=("LABEL_0",))
    with pytest.raises(StillhouseError, match=r"two texts are not two texts.*kind: stored"):
        taken(folder)
    taken(folder, pairs=False)


def config(folder: Path, outputs: int = 1, **changes: Any) -> Path:
    names = {str(number): f"{number + 1} stars" for number in range(outputs)}
    described = {"architectures": ["BertForSequenceClassification"], "id2label": names, **changes}
    (folder / "config.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize("problem", [{}, {"problem_type": None}, {"problem_type": "regression"}])
def test_one_output_is_the_number_whatever_it_is_called(tmp_path: Path, problem: dict[str, Any]) -> None:
    assert outputs_in_order(config(tmp_path, **problem), NAMES, {}, "score") == [0]


@pytest.mark.parametrize(
    ("outputs", "answer", "problem", "says"),
    [
        (5, "score", None, r"a classifier of 5 outputs \(1 stars, .*expected one output.*data\.answer: single_label"),
        (5, "score", "regression", "of which none is a number"),
        (1, "single_label", None, r"one output, which is a number and no label.*Set `data\.answer: score`"),
        (1, "single_label", "regression", r"Set `data\.answer: score`"),
        (1, "multi_label", "multi_label_classification", "one output, which is a number"),
        (1, "score", "multi_label_classification", "a classifier for multi_label_classification.*another teacher"),
    ],
)
def test_a_head_of_another_kind_of_answer_is_refused(
    tmp_path: Path, outputs: int, answer: Any, problem: str | None, says: str
) -> None:
    with pytest.raises(StillhouseError, match=says):
        outputs_in_order(config(tmp_path, outputs, problem_type=problem), ("1 stars", "2 stars"), {}, answer)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, False),
        ({"sentence_transformers": {"version": "4.1.0"}}, False),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, False),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, True),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, False),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, True),
    ],
)
def test_the_config_says_what_becomes_of_the_logit(tmp_path: Path, said: dict[str, Any], expected: bool) -> None:
    assert has_sigmoid(config(tmp_path, **said)) is expected


@pytest.mark.parametrize("named", ["torch.nn.modules.activation.Tanh", ["Sigmoid"], 3])
def test_any_other_function_of_the_logit_is_refused(tmp_path: Path, named: Any) -> None:
    with pytest.raises(StillhouseError, match="expected the logit itself"):
        has_sigmoid(config(tmp_path, sentence_transformers={"activation_fn": named}))
