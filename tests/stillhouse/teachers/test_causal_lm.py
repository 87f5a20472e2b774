"""A language model of this machine: its probabilities, held against reading each label after each prompt alone."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from stillhouse.errors import StillhouseError
from stillhouse.models.weights import LANGUAGE_MODELS, fingerprint_of, verify_language_model
from stillhouse.teachers.asked import LabelPrompt
from stillhouse.teachers.causal_lm import WITHOUT_CONTENT, CausalLmTeacher, LabelTree
from tests.language_models import byte_pairs, language_model, scored_pieces
from tests.stillhouse.models.encoders import QUESTIONS

TEXTS = ["who is the king of France ?", "how many cities near Zürich?", "what", "where is a mountain"]
TEMPLATE = "Answer.\nText: what is the river ?\nLabel: place\n\nText: {text}\nLabel:"
ANSWERS = (" person", " place", " person of place", " person of", " cities")
"""Some of several tokens, and three of which one is the beginning of the next."""


def files_of(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir() if path.name != "generation_config.json"}


def teacher_of(
    folder: Path, answers: tuple[str, ...] = ANSWERS, template: str = TEMPLATE, **asked: object
) -> CausalLmTeacher:
    default = {"dtype": "float32", "longest_text": 512, "corrects_prior": False}
    prompt = LabelPrompt(fingerprint_of(folder), template, answers, **{**default, **asked})  # type: ignore[arg-type]
    return CausalLmTeacher(files_of(folder), prompt)


def read_alone(folder: Path, template: str = TEMPLATE, answers: tuple[str, ...] = ANSWERS) -> np.ndarray:
    """Probability of each label after each prompt: a sequence for each pair, one at a time, nothing kept."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    found = np.empty((len(TEXTS), len(answers)))
    for row, text in enumerate(TEXTS):
        prompt = tokenizer.encode(template.replace("{text}", text)).ids
        for column, answer in enumerate(answers):
            whole = tokenizer.encode(template.replace("{text}", text) + answer).ids
            assert whole[: len(prompt)] == prompt
            with torch.no_grad():
                logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
            steps = [logprobs[place - 1, whole[place]] for place in range(len(prompt), len(whole))]
            found[row, column] = float(torch.stack(steps).sum().exp())
    return found


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(LANGUAGE_MODELS))
def test_every_type_says_what_a_plain_reading_says(kind: str, tmp_path: Path) -> None:
    tokenizer = byte_pairs(QUESTIONS, 330, begin=kind == "llama")
    folder = language_model(tmp_path / "model", tokenizer, kind)
    assert verify_language_model(folder).parameters > 10_000
    begun = read_alone(folder)
    # " person of place" begins with " person of", and that with " person": each counts without the longer one.
    alone = begun.copy()
    alone[:, 0] -= begun[:, 3]
    alone[:, 3] -= begun[:, 2]
    said = teacher_of(folder).answers(TEXTS)
    np.testing.assert_allclose(said.mass, alone.sum(axis=1), rtol=1e-3)
    np.testing.assert_allclose(np.exp(said.logits), alone / alone.sum(axis=1, keepdims=True), rtol=2e-3, atol=1e-6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.mktemp("lm") / "model", byte_pairs(QUESTIONS, 330))


@pytest.mark.long
def test_scored_pieces_are_joined_across_no_border(tmp_path: Path) -> None:
    """A blank belongs to the word behind it there, so that the head's last token is another one with a text behind."""
    folder = language_model(tmp_path / "model", scored_pieces([*QUESTIONS, "Answer: place person"], 90))
    template, answers = "what is this {text}? Answer:", (" person", " place")
    begun = read_alone(folder, template, answers)
    said = teacher_of(folder, answers, template).answers(TEXTS)
    np.testing.assert_allclose(np.exp(said.logits), begun / begun.sum(axis=1, keepdims=True), rtol=2e-3, atol=1e-6)


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(model: Path) -> None:
    teacher = teacher_of(model)
    together = teacher.answers([*TEXTS, TEXTS[0] * 5])
    for place, text in enumerate(TEXTS):
        np.testing.assert_allclose(teacher.answers([text]).logits[0], together.logits[place], atol=1e-4)
    assert together.tokens[-1] > together.tokens[0] > len(TEMPLATE) / 4


def test_out_of_memory_the_texts_are_asked_in_halves(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = teacher_of(model)
    expected, plain, rows = teacher.answers(TEXTS), teacher._model._pass, []

    def short_of_memory(prompts: list[list[int]]) -> torch.Tensor:
        rows.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError
        return plain(prompts)

    monkeypatch.setattr(teacher._model, "_pass", short_of_memory)
    np.testing.assert_allclose(teacher.answers(TEXTS).logits, expected.logits, atol=1e-4)
    assert rows == [4, 2, 2]


def test_labels_lie_in_a_tree_in_which_a_longer_one_takes_from_the_shorter() -> None:
    """By hand: a = (1), ab = (1, 2), abc = (1, 2, 3), d = (4)."""
    tree = LabelTree.of([[1], [1, 2], [1, 2, 3], [4]])
    assert (tree.tokens, tree.depths) == ([1, 2], [0, 1])
    assert tree.sees.tolist() == [[True, False], [True, True]]
    assert tree.longer == [[1], [2], [], []]
    steps = {(0, 1): 0.8, (1, 2): 0.5, (2, 3): 0.25, (0, 4): 0.1}
    logs = np.log([[steps[int(node), int(token)] for _, node, token in tree.steps]])
    np.testing.assert_allclose(np.exp(tree.log_probabilities(logs)), [[0.4, 0.3, 0.1, 0.1]])


def test_what_it_says_to_nothing_is_divided_out(model: Path) -> None:
    raw, corrected = teacher_of(model), teacher_of(model, corrects_prior=True)
    prior = np.exp(raw.answers(WITHOUT_CONTENT).logits).mean(axis=0)
    expected = np.exp(raw.answers(TEXTS).logits) / prior
    found = corrected.answers(TEXTS)
    np.testing.assert_allclose(np.exp(found.logits), expected / expected.sum(axis=1, keepdims=True), rtol=1e-3)
    np.testing.assert_allclose(found.mass, raw.answers(TEXTS).mass)


def test_a_text_is_cut_so_that_prompt_and_label_stay(tmp_path: Path) -> None:
    folder = language_model(tmp_path / "model", byte_pairs(QUESTIONS, 330), positions=64)
    long = " ".join(TEXTS * 10)
    assert teacher_of(folder).answers([long]).tokens[0] <= 64
    first = teacher_of(folder, longest_text=5).answers([long, TEXTS[0] + " what else", TEXTS[0]])
    np.testing.assert_allclose(first.logits[0], first.logits[1], atol=1e-4)
    assert first.tokens[1] == first.tokens[0]
    with pytest.raises(StillhouseError, match="the prompt takes"):
        teacher_of(folder, template=f"{TEMPLATE} {TEMPLATE}").answers([long])


def test_the_fingerprint_is_of_everything_that_decides_an_answer(model: Path) -> None:
    found = {
        each.fingerprint
        for each in (
            teacher_of(model), teacher_of(model, ANSWERS[:2]), teacher_of(model, template=f"Well. {TEMPLATE}"),
            teacher_of(model, dtype="bfloat16"), teacher_of(model, corrects_prior=True),
            teacher_of(model, longest_text=9),
        )
    }  # fmt: skip
    assert len(found) == 6 and teacher_of(model).fingerprint in found


def test_other_files_than_those_of_the_fingerprint_are_refused(model: Path, tmp_path: Path) -> None:
    teacher = teacher_of(model)
    teacher.verify()
    config = tmp_path / "config.json"
    config.write_text((model / "config.json").read_text() + " ")
    with pytest.raises(StillhouseError, match="the language model hashes to"):
        CausalLmTeacher({**teacher.files, "config.json": config}, teacher.asked).verify()


@pytest.mark.parametrize(
    ("template", "answers", "says"),
    [
        ("{text}\nLabel:", (" person", " person"), "two labels are one to the tokenizer: 'person'"),
        ("{text} kin", ("g", " place"), "the tokenizer joins the label 'g' with what stands before it"),
    ],
)
def test_labels_that_the_tokenizer_cannot_tell_apart(
    model: Path, template: str, answers: tuple[str, ...], says: str
) -> None:
    with pytest.raises(StillhouseError, match=says):
        teacher_of(model, answers, template).answers(TEXTS)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_type": "mamba"}, "a language model of type 'mamba'"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "asks for the repository's own code"),
        ({"quantization_config": {"quant_method": "gguf"}}, "the weights are quantised"),
        ({"vocab_size": 100}, "the tokenizer emits id"),
        ({"vocab_size": "many"}, "missing vocab_size"),
    ],
)
def test_what_no_language_model_may_be(model: Path, tmp_path: Path, fields: dict[str, object], says: str) -> None:
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **fields}))
    with pytest.raises(StillhouseError, match=says):
        verify_language_model(tmp_path)


def test_a_weight_that_is_missing_is_named(model: Path, tmp_path: Path) -> None:
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(model / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(StillhouseError, match=r"model.layers.1.mlp.up_proj.weight is missing among the weights"):
        teacher_of(tmp_path).answers(TEXTS)


def test_the_signal_has_a_row_for_each_prompt_in_its_order(model: Path) -> None:
    prompts = pl.DataFrame({"prompt_id": ["b", "a", "c", "d"], "text": TEXTS})
    teacher = teacher_of(model)
    said = teacher.ask(prompts)
    assert said["prompt_id"].to_list() == ["b", "a", "c", "d"] and set(said["fingerprint"]) == {teacher.fingerprint}
    np.testing.assert_allclose(said["logits"].to_list(), teacher.answers(TEXTS).logits, atol=1e-4)
    assert said["embedding"].null_count() == 4 and (said["latency_ms"] > 0).all()


def test_a_text_is_cut_before_a_character_of_which_only_a_part_has_room(tmp_path: Path) -> None:
    """Regression: it was read whole again, so that a text of several bytes a character had more tokens than places."""
    folder = language_model(tmp_path / "model", byte_pairs(QUESTIONS, 330), "gpt2", positions=64)
    for lead in range(5):
        answers = teacher_of(folder).answers(["a" * lead + "☃" * 60])
        assert answers.tokens[0] <= 64 and np.isfinite(answers.logits).all()
        assert (
            teacher_of(folder, longest_text=6).answers(["☃" * 60]).tokens[0]
            == (teacher_of(folder).answers(["☃☃"]).tokens[0])
        )
