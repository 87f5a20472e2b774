"""The whole way with another teacher than the demo's: DistilBERT, a classifier as it is, answers given elsewhere.

The weights are the demo's own: under the names of another family, and with the head of transformers' own classifier.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from assets.keys import key_of
from orchestration.asking import read_replies, write_requests
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.planned import planned
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.device import CPU
from stillhouse.economics import amount
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.comparison import read_ablations
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.home import Home
from stillhouse.models import network
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.training import TrainingConfig
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import BASELINES, CONTRACT, MODEL, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL, TRANSFER_SET
from stillhouse.students.examples import explained
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier, take_classifier
from stillhouse.teachers.flips import ASKED_TWICE
from stillhouse.teachers.stored import Failure
from tests.conftest import Place, a_place, failures, verdicts
from tests.orchestration.elsewhere import (
    SERVICES,
    WRONG,
    mostly_right_about,
    question_in,
    right_about,
    small_recipe_elsewhere,
)
from tests.protocol import USD_IN, USD_OUT, Server, answer_a_batch, serving
from tests.small import ALL_UNITS, as_roberta, questions, small_recipe, small_teacher

pytestmark = pytest.mark.slow

NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def as_distilbert(bert: Path, folder: Path) -> Path:
    """The same encoder for texts of one part: DistilBERT has no types of tokens, so that of the first is added."""
    config = json.loads((bert / "config.json").read_text())
    weights = load_file(bert / "model.safetensors")
    weights["embeddings.position_embeddings.weight"] += weights.pop("embeddings.token_type_embeddings.weight")[0]
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        for theirs, ours in NAMES.items():  # in this order: an output of attention ends like one of the block
            name = name.replace(f".{theirs}.", f".{ours}.")
        if not name.startswith("pooler.") and not name.endswith("position_ids"):
            renamed[name.replace("encoder.layer.", "transformer.layer.")] = tensor
    sizes = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
             "hidden_dim": "intermediate_size"}  # fmt: skip
    same = ("vocab_size", "max_position_embeddings", "pad_token_id")
    described = {
        "model_type": "distilbert",
        "activation": "gelu",
        **{ours: config[theirs] for ours, theirs in sizes.items()},
        **{name: config[name] for name in same},
    }
    folder.mkdir()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())
    return folder


def test_the_same_weights_say_the_same_under_every_name(tmp_path: Path) -> None:
    """An oracle for the names: a matrix in another's place would answer something else."""
    bert = small_teacher(tmp_path / "bert")
    build_classifier(bert, ["a", "b"], tmp_path / "of_bert", seed=0)
    build_classifier(as_distilbert(bert, tmp_path / "distilbert"), ["a", "b"], tmp_path / "of_distilbert", seed=0)
    build_classifier(as_roberta(small_teacher(tmp_path / "roberta")), ["a", "b"], tmp_path / "of_roberta", seed=0)
    texts = ["Who was the first king ?", "What does NASA stand for, and who was it that founded it ?"]
    names = ("of_bert", "of_distilbert", "of_roberta")
    expected, *found = (TorchClassifier(tmp_path / name).logits(texts) for name in names)
    for each in found:
        np.testing.assert_allclose(each, expected, atol=1e-5)


def test_from_rows_to_a_release_that_answers_beside_a_student_without_a_layer(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        as_distilbert(small_teacher(place.folder / "bert"), place.folder / "teacher")
        file = small_recipe(place.folder)
        static = {"name": "static", "layers": [], "training": {"epochs": 20, "learning_rate": 0.01, "max_tokens": 32}}
        students = [student.model_dump(mode="json") for student in file.recipe.students]
        file = small_recipe(place.folder, students=[*students, static])
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        student = network.read_config(place.newest("candidates/one").folder / MODEL)
        assert (student["model_type"], student["n_layers"]) == ("distilbert", 1)
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        judged = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}
        assert judged["static"].score.accuracy > 0.5 and judged["static"].size_ratio > judged["one"].size_ratio
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]


OUTPUTS = {f"LABEL_{number}": service for number, service in enumerate(SERVICES)}
"""As classifiers are often published, and what the rows call them."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with transformers' head, taught with rows that the recipe does not have, and saved as transformers does."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("published") / "teacher"
    bert = small_teacher(folder.parent / "bert", units=ALL_UNITS)
    config = AutoConfig.from_pretrained(bert, id2label=dict(enumerate(OUTPUTS)))
    torch.manual_seed(0)
    headed = AutoModelForSequenceClassification.from_config(config)
    headed.bert.load_state_dict(load_file(bert / "model.safetensors"), strict=False)
    headed.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())

    rows = questions(2000, skip=1200)
    task = SingleLabel(SERVICES)
    take_classifier(folder, task.names, folder.parent / "untaught", rename=OUTPUTS, max_tokens=32)
    examples = TrainingExamples(rows["question"].to_list(), task.targets(rows["service"]), task)
    how = TrainingConfig(epochs=4, learning_rate=1e-3, loss="labels", max_tokens=32)
    train(folder.parent / "untaught", folder.parent / "taught", examples, how)
    save_file(load_file(folder.parent / "taught" / "model.safetensors"), folder / "model.safetensors", {"format": "pt"})
    return folder


def test_an_encoder_that_is_not_fine_tuned_stays_as_it_was_published(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        file = small_recipe(place.folder, teacher__fine_tune=False, teacher__minimum_accuracy=0.2)
        assert place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER).success
        published = load_file(place.folder / "teacher" / "model.safetensors")
        trained = load_file(place.newest(TEACHER).folder / MODEL / "model.safetensors")
        assert {name for name in trained if name.startswith("classifier.")} == {"classifier.weight", "classifier.bias"}
        same = {name.removeprefix("bert."): tensor for name, tensor in trained.items() if name.startswith("bert.")}
        assert same and all(torch.equal(tensor, published[name]) for name, tensor in same.items())


def test_a_published_classifier_is_copied_as_it_is(published: Path, tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        as_it_is = {
            "kind": "classifier", "rename": OUTPUTS, "max_tokens": 32, "source": str(published), "revision": "test",
            "licence": "Apache-2.0", "training_on_outputs": "allowed", "reason": "It answers today.",
            "minimum_accuracy": 0.4,
        }  # fmt: skip
        file = small_recipe(place.folder, teacher=as_it_is, bar={"margin": 0.11})  # it was taught thrice the rows
        assert check(Recipes((file,), ())).all_is_well
        assert distil(file, place.home, Terminal(quiet=True)).succeeded

        facts = place.newest("teacher").facts(TeacherFacts)
        assert facts.training is None and facts.base_fingerprint == fingerprint_of(published)
        before, after = load_file(published / "model.safetensors"), place.newest("teacher").folder / MODEL
        assert all(torch.equal(before[name], tensor) for name, tensor in load_file(after / "model.safetensors").items())
        student = network.read_config(place.newest("candidates/one").folder / MODEL)
        assert student["architectures"] == ["PublishedClassifier"] and student["num_hidden_layers"] == 1
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]


def test_outputs_that_no_row_has_are_found_by_the_check(published: Path, tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=300)
    changes = {"kind": TeacherKind.CLASSIFIER, "source": str(published), "training": None, "rename": {"LABEL_9": "x"}}
    teacher = file.recipe.teacher.model_copy(update=changes)
    file = RecipeFile(file.name, file.path, file.recipe.model_copy(update={"teacher": teacher}))
    (line,) = check(Recipes((file,), ())).mistakes[file.name]
    assert "teacher.rename: " in line and "there is no output 'LABEL_9' to rename" in line


def answered_by_a_batch_api(requests: Path, replies: Path, *, all_but: int = 0) -> None:
    """Answer each request as `vllm run-batch` does; each twelfth of the answers is wrong."""
    lines = []
    for number, request in enumerate(map(json.loads, requests.read_text("utf-8").splitlines())):
        (message,) = request["body"]["messages"]
        assert request["body"]["model"] == "large" and "\nNUM\n" in message["content"]
        service = right_about(question_in(message["content"]))
        content = f"{WRONG[service] if number % 12 == 0 else service}."
        choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
        response = {"status_code": 200, "request_id": "r", "body": {"model": "large", "choices": choices}}
        lines.append({"id": "b", "custom_id": request["custom_id"], "response": response, "error": None})
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines[all_but:]))


def test_what_a_batch_api_answered_is_copied_into_a_student_of_another_model(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        file = small_recipe_elsewhere(place.folder)
        (line,) = check(Recipes((file,), ())).mistakes[file.name]
        assert "teacher.source: " in line and "replies.jsonl" in line, "nobody has asked yet"
        written = write_requests(place.builds, file, place.folder / "requests.jsonl")
        assert written.requests == written.prompts > 1190
        answered_by_a_batch_api(place.folder / "requests.jsonl", place.folder / "replies.jsonl")
        assert check(Recipes((file,), ())).all_is_well
        assert write_requests(place.builds, file, place.folder / "rest.jsonl").requests == 0
        with pytest.raises(StillhouseError, match="there is such a file"):
            write_requests(place.builds, file, place.folder / "rest.jsonl")
        assert distil(file, place.home, Terminal(quiet=True)).succeeded

        facts = place.newest("teacher").facts(TeacherFacts)
        assert facts.said is not None and facts.said.failures == {} and 0.85 < facts.validation_accuracy < 0.98
        evaluations = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}
        judged = evaluations["one"]
        assert judged.teacher.accuracy == pytest.approx(11 / 12, abs=0.03)
        assert judged.teacher.size_bytes is None and judged.size_ratio is None and judged.latency_ratio is None
        assert {claim.name for claim in judged.claims if claim.group == "budget"} == {"latency_ms", "size_mb"}
        options = [each.name for each in read_evaluations(place.newest("baselines").folder)]
        assert "int8 teacher" not in options and "linear probe on the untuned encoder" in options
        audit = audit_recipe(place.home, "small")
        assert audit.ok, audit.problems
        links = {link.asset: link for link in audit.chain}
        assert any(name.endswith("replies.jsonl") for name in links["small/contract"].external_inputs)
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]
        report = (place.newest("selection").folder / "report.html").read_text()
        assert "not here" in report and "None" not in report.replace("None was found", "")


def test_a_student_matches_the_state_of_why_its_teacher_answered_so(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        why = pl.concat_str(pl.lit("It asks for "), pl.col("kind"))
        said = questions(1200).select(text="question", answer="service", why=why)
        said.write_csv(place.folder / "said.csv")
        learning = {"epochs": 2, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
        students = [
            {"name": "plain", "layers": [0, 1], "training": learning},
            {
                "name": "why",
                "layers": [0, 1],
                "training": {**learning, "embedding_weight": 1, "embedding_loss": "cosine"},
            },
        ]
        source, changed = str(place.folder / "said.csv"), {"students": students}
        with pytest.raises(StillhouseError, match=r"students.1.training.embedding_weight: .* needs a teacher that"):
            small_recipe_elsewhere(place.folder, source=source, answers={}, changed=changed)
        file = small_recipe_elsewhere(place.folder, source=source, answers={"rationale": "why"}, changed=changed)
        stages = [CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL, TRANSFER_SET]
        result = place.run(file, *stages, "candidates/plain", "candidates/why")
        assert result.success, (failures(result), verdicts(result))
        kept = place.newest(TRANSFER_SET).frame("transfer_set")
        assert kept["rationale"].str.starts_with("It asks for ").all() and kept.height > 500
        assert place.newest(TEACHER_SIGNAL, "base").frame("signal")["embedding"].null_count() > 500, "it gives no state"

        texts = kept["text"].to_list()[:200]
        states = np.array(explained(place.newest(TEACHER).folder / MODEL, kept[:200], CPU)["embedding"].to_list())
        near = {}
        for name in ("plain", "why"):
            own = TorchClassifier(place.newest(f"candidates/{name}").folder / MODEL).answer(texts).embeddings
            near[name] = float((unit(own) * unit(states)).sum(1).mean())
        assert near["why"] > near["plain"] + 0.1, near


def test_layers_of_a_student_learn_the_layers_that_they_were_cut_from(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        learning = {"epochs": 3, "learning_rate": 1e-3, "max_tokens": 32}
        matching = {**learning, "mixture": [{"embedding_loss": "mse", "layers": "as_cut", "weight": 20}]}
        students = [
            {"name": name, "layers": [0, 1], "feed_forward": 64, "training": training}
            for name, training in (("plain", learning), ("matched", matching))
        ]
        file = small_recipe(place.folder, students=students)
        assert check(Recipes((file,), ())).all_is_well
        stages = [CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL, TRANSFER_SET]
        result = place.run(file, *stages, "candidates/plain", "candidates/matched")
        assert result.success, (failures(result), verdicts(result))
        texts = place.newest(TRANSFER_SET).frame("transfer_set")["text"].to_list()[:200]
        taught = TorchClassifier(place.newest(TEACHER).folder / MODEL).answer(texts, layers=(0, 1)).layers
        apart = {}
        for name in ("plain", "matched"):
            model = TorchClassifier(place.newest(f"candidates/{name}").folder / MODEL)
            own = model.answer(texts, layers=(0, 1)).layers
            apart[name] = [float(((own[layer] - taught[layer]) ** 2).mean()) for layer in (0, 1)]
        assert all(near < 0.8 * far for near, far in zip(apart["matched"], apart["plain"], strict=True)), apart


def unit(states: np.ndarray) -> np.ndarray:
    return states / np.linalg.norm(states, axis=1, keepdims=True)


def recipe_with_a_golden_file(folder: Path, **changes: Any) -> RecipeFile:
    """Unlabelled questions, what a model answered to them and to others, and 300 that people labelled in a file."""
    unlabelled, audited = questions(800).drop("service"), questions(300, skip=780)
    unlabelled.write_csv(folder / "questions.csv")
    audited.rename({"service": "queue"}).write_csv(folder / "audited.csv")
    wrong = pl.when(pl.int_range(pl.len()) % 12 == 0).then(pl.col("service").replace(WRONG)).otherwise("service")
    questions(1300).select(text="question", answer=wrong).write_csv(folder / "answers.csv")
    small = small_recipe_elsewhere(folder).recipe.students[0].model_dump(mode="json")
    changed = {
        "data__label": None, "data__golden": str(folder / "audited.csv"), "data__golden_label": "queue",
        "split": {"key": "small", "golden_share": 0.7, "validation_share": 0.3}, "students": [small],
        # So small a student, trained for a moment, is sure of little, and int8 changes a few of its answers.
        "bar": {"margin": 0.25}, "limits": {"int8_agreement_at_least": 0.9}, **changes,
    }  # fmt: skip
    return small_recipe_elsewhere(folder, source=str(folder / "answers.csv"), answers={}, changed=changed)


def test_unlabelled_rows_become_a_student_that_rows_of_a_golden_file_judge(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        file = recipe_with_a_golden_file(place.folder)
        answers = (place.folder / "answers.csv").read_bytes()
        (place.folder / "answers.csv").unlink()
        written = write_requests(place.builds, file, place.folder / "requests.jsonl")
        (place.folder / "answers.csv").write_bytes(answers)
        assert check(Recipes((file,), ())).all_is_well
        assert planned(place.builds, file, 0.1).duration is not None
        assert distil(file, place.home, Terminal(quiet=True)).succeeded

        prompts = place.newest("prompts", "base").frame("prompts")
        assert written.requests == written.prompts == prompts.height
        sides = dict(prompts.group_by("batch").agg(pl.col("split").unique().sort()).iter_rows())
        assert sides == {"base": ["train"], "golden": ["golden", "validation"]}
        assert prompts.filter(pl.col("split") == "train")["label"].null_count() == counts_of(place).train > 750
        in_both = prompts.filter(pl.col("text").is_in(questions(20, skip=780)["question"].to_list()))
        assert in_both.height > 15 and "train" not in in_both["split"]
        taught = place.newest("transfer_set").frame("transfer_set")
        assert set(taught["batch"]) == {"base"} and taught["label"].null_count() == taught.height
        judged = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}
        assert judged["one"].golden_rows == counts_of(place).golden and judged["one"].score.accuracy > 0.6
        options = {each.name: each for each in read_evaluations(place.newest("baselines").folder)}
        assert f"fitted on {counts_of(place).validation:,} labels" in options["TF-IDF + logistic regression"].score.note

        audit = audit_recipe(place.home, "small")
        assert audit.ok, audit.problems
        (source,) = (link for link in audit.chain if link.asset == "small/source[base]")
        digest = source.external_inputs[str(place.folder / "audited.csv")]

        place.drop("march.csv", questions(120, skip=1100).drop("service"))
        again = place.run(file, batch="march.csv")
        assert again.success, failures(again)
        later = place.newest("prompts", "march.csv").frame("prompts")
        assert set(later["split"]) == {"train"} and later["label"].null_count() == later.height > 100
        assert place.newest("transfer_set").frame("transfer_set").height == taught.height + later.height

        kept = place.builds.store.kept(digest)
        kept.chmod(0o600)
        kept.write_bytes(kept.read_bytes().replace(b"HUM", b"LOC", 1))
        assert any("audited.csv" in problem for problem in audit_recipe(place.home, "small").problems)


def test_a_student_of_labels_alone_is_refused_where_the_source_has_none(tmp_path: Path) -> None:
    file = recipe_with_a_golden_file(tmp_path)
    learner = file.recipe.students[0].model_dump(mode="json")
    training = {**learner["training"], "loss": "labels"}
    control = {**learner, "name": "control", "learns_from": "labels", "training": training}
    with pytest.raises(StillhouseError) as refused:
        recipe_with_a_golden_file(tmp_path, students=[learner, control])
    lines = file.path.read_text().splitlines()
    line = next(n for n, each in enumerate(lines, start=1) if "learns_from: labels" in each)
    said = "students.1.learns_from: control learns from labels, and the source has none where data.label is null"
    assert f"{file.path}:{line}: {said}" in str(refused.value)


def test_golden_rows_without_an_answer_are_named(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        file = small_recipe_elsewhere(place.folder, minimum_accuracy=0.5)
        write_requests(place.builds, file, place.folder / "requests.jsonl")
        answered_by_a_batch_api(place.folder / "requests.jsonl", place.folder / "replies.jsonl", all_but=150)
        result = place.run(file)
        (said,) = failures(result)
        assert "golden rows have no answer of the teacher: not in the file of answers" in said
        assert "Ask the teacher these texts" in said
        rest = write_requests(place.builds, file, place.folder / "rest.jsonl")
        assert rest.requests == 150


def test_a_server_is_asked_once_for_each_prompt_and_a_pilot_says_before_what_it_costs(
    tmp_path: Path, shared: Path
) -> None:
    def answer(asked: str) -> str:
        return mostly_right_about(question_in(asked)).lower()

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT}
        asking = {
            "kind": "endpoint", "source": server.url, "answers": {},
            "ask": {"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 3}},
        }  # fmt: skip

        def recipe(usd_at_most: float) -> RecipeFile:
            return small_recipe_elsewhere(place.folder, **asking, endpoint={**prices, "usd_at_most": usd_at_most})

        poor = place.run(
            recipe(0.03)
        )  # more than the pilot and what is reserved for calls under way, less than the rest
        counts = counts_of(place)
        more = counts.kept - counts.validation + min(ASKED_TWICE, counts.validation)
        assert f"{more:,} prompts more are expected to cost up to" in " ".join(failures(poor)), "a second time, too"
        pilot = server.calls
        assert len(server.asked) == counts_of(place).validation and 0 < server.usd < 0.03

        file = recipe(1.0)
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        facts = place.newest("teacher").facts(TeacherFacts)
        assert (
            0.85 < facts.validation_accuracy < 0.99 and facts.said is not None and facts.said.usd_a_prompt is not None
        )
        # Each prompt once; the pilot asks some a second time, and the canary others.
        again = min(ASKED_TWICE, counts_of(place).validation) + file.recipe.limits.canary_flips_prompts
        assert len(server.asked) == counts_of(place).kept and server.calls == counts_of(place).kept + again
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        assert server.usd < pilot * facts.said.usd_a_prompt + 1.5 * (server.calls - pilot) * facts.said.usd_a_prompt
        signal = place.newest(TEACHER_SIGNAL, "base").frame("signal")
        once = (signal["tokens"] * USD_IN + signal["tokens_out"] * USD_OUT).sum() / 1e6
        assert signal["usd"].sum() == pytest.approx(once) and once < server.usd, "the canary is no row"
        event = place.instance.get_latest_materialization_event(key_of("small", TEACHER_SIGNAL))
        assert event is not None and event.asset_materialization is not None
        shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
        assert shown["answers_usd_sum"] == pytest.approx(once) and shown["answers_seconds_median"] > 0
        assert "usd" not in place.newest(TRANSFER_SET).frame("transfer_set").columns
        judged = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}
        assert judged["one"].teacher.accuracy == pytest.approx(11 / 12, abs=0.04)
        report = (place.newest("selection").folder / "report.html").read_text()
        assert f"{amount(1000 * facts.said.usd_a_prompt)} USD for 1,000 answers" in report
        asked = server.calls
        assert distil(file, place.home, Terminal(quiet=True)).succeeded and server.calls == asked
        assert audit_recipe(place.home, "small").ok


def test_a_server_that_turns_away_what_it_is_asked_twice_has_shown_nothing_of_chance(
    tmp_path: Path, shared: Path
) -> None:
    """Regression: each counted as an answer that changes by itself, so that the canary let all of them change."""
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        server = Server(lambda asked: right_about(question_in(asked)))
        server.refuses = lambda text: server.asked[text] == 2
        with serving(server):
            # max_tokens of its own, so that no teacher is found that another test has asked.
            file = small_recipe_elsewhere(
                place.folder, kind="endpoint", source=server.url, answers={}, changed={"slices": []},
                ask={"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 6}},
                endpoint={"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0},
            )  # fmt: skip
            (said,) = failures(place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER))
            assert (
                f"the server refused {ASKED_TWICE} of the first {ASKED_TWICE} texts" in said and "teacher.ask" in said
            )
            again = place.run(file, TEACHER)
            assert again.success, failures(again)
        pilot = place.newest(TEACHER).facts(TeacherFacts).said
        assert pilot is not None and (pilot.asked_twice, pilot.flips) == (ASKED_TWICE, 0)


def test_what_a_batch_brings_is_not_asked_of_the_server(tmp_path: Path, shared: Path) -> None:
    """All of it by a batch, half price or not: the run itself asks only what looks whether the teacher stays itself."""

    def answer(asked: str) -> str:
        return mostly_right_about(question_in(asked))

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        # max_tokens of its own, so that no teacher is found that another test has asked.
        file = small_recipe_elsewhere(
            place.folder, kind="endpoint", source=server.url, answers={},
            ask={"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 4}},
            endpoint={"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0},
        )  # fmt: skip
        requests, replies = place.folder / "requests.jsonl", place.folder / "output.jsonl"
        written = write_requests(place.builds, file, requests)
        answer_a_batch(server, requests, replies)
        by_batch, billed = server.calls, server.usd
        assert written.requests == written.prompts == by_batch > 1190
        found = read_replies(place.builds, file, replies)
        assert found.all_is_well and found.taken == by_batch and found.usd == pytest.approx(billed)

        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        assert counts_of(place).kept == by_batch
        again = min(ASKED_TWICE, counts_of(place).validation) + file.recipe.limits.canary_flips_prompts
        assert server.calls == by_batch + again and len(server.asked) == by_batch
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        facts = place.newest(TEACHER).facts(TeacherFacts)
        assert facts.said is not None and facts.said.usd_a_prompt == pytest.approx(billed / by_batch, rel=0.1)
        signal = place.newest(TEACHER_SIGNAL, "base").frame("signal")
        assert set(signal["observed"]) == {"large-2026-06"}
        assert signal["usd"].sum() == pytest.approx(billed) and signal["seconds"].null_count() == by_batch
        assert signal["tokens_out"].sum() == by_batch
        assert audit_recipe(place.home, "small").ok


def test_a_student_learns_how_sure_a_server_is(tmp_path: Path, shared: Path) -> None:
    """On the answers alone it learns that its teacher is as sure of each; here some texts have two likely labels."""
    letters = dict(zip(SERVICES, "ABCDEF", strict=True))

    def doubtful(text: str) -> bool:
        return len(text) % 4 == 1

    def shown(prompt: str) -> dict[str, float]:
        text = question_in(prompt)
        service = mostly_right_about(text)
        sure = 0.65 if doubtful(text) else 0.97
        shares = {letters[service]: sure - 0.01, letters[WRONG[service]]: 1 - sure, "The": 0.01}
        return {token: math.log(share) for token, share in shares.items()}

    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        with serving(
            Server(lambda prompt: max(shown(prompt), key=shown(prompt).__getitem__), alternatives=shown)
        ) as server:
            (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
            asking = {
                "kind": "endpoint", "source": server.url, "answers": {},
                "ask": {
                    "model": "large", "prompt": str(place.folder / "prompt.md"), "soft_labels": {"by": "logprobs"},
                    "settings": {"max_tokens": 3},
                },
                "endpoint": {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 3.0},
            }  # fmt: skip
            able = str(small_teacher(place.folder / "able", units=ALL_UNITS))
            base = {"source": able, "revision": "test", "licence": "Apache-2.0"}
            file = small_recipe_elsewhere(place.folder, changed={"base": base}, **asking)
            assert distil(file, place.home, Terminal(quiet=True)).succeeded
        said = place.newest("teacher").facts(TeacherFacts).said
        assert said is not None and said.label_mass == pytest.approx(0.99)
        texts = place.newest("prompts", "base").frame("prompts").select("prompt_id", "text")
        signal = place.newest("teacher_signal", "base").frame("signal").join(texts, on="prompt_id")
        sure = np.exp(np.array(signal["logits"].to_list())).max(axis=1)
        in_doubt = signal["text"].map_elements(doubtful, pl.Boolean).to_numpy()
        # What is told leaves nothing to the four labels that are not.
        np.testing.assert_allclose(sure[in_doubt], 0.64 / 0.99, rtol=1e-5)
        np.testing.assert_allclose(sure[~in_doubt], 0.96 / 0.99, rtol=1e-5)
        assert audit_recipe(place.home, "small").ok
        told = audit_teachers_row(place.home, "small", signal["prompt_id"][0])
        assert told.ok and told.text == signal["text"][0] and told.said.observed == "large-2026-06"
        assert told.said.raw == (letters[str(told.said.answer)],) and told.said.mass == pytest.approx(0.99)


def test_a_server_says_why_and_a_student_learns_from_it(tmp_path: Path, shared: Path) -> None:
    def answer(asked: str) -> str:
        service = mostly_right_about(asked.partition("Text:\n")[2])
        return json.dumps({"why": f"It is about {service}.", "label": service})

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 3.0}
        asking = {
            "kind": "endpoint", "source": server.url, "answers": {"rationale": "why"}, "endpoint": prices,
            "ask": {"model": "large", "structured": True, "settings": {"max_tokens": 40}},
        }  # fmt: skip
        learning = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
        matching = {**learning, "embedding_weight": 0.5, "embedding_loss": "cosine"}
        students = [
            {"name": name, "layers": [0, 1], "training": training}
            for name, training in (("one", learning), ("with_reasons", matching))
        ]
        file = small_recipe_elsewhere(place.folder, changed={"students": students}, **asking)
        assert distil(file, place.home, Terminal(quiet=True)).succeeded
        said = place.newest("teacher").facts(TeacherFacts).said
        assert said is not None and said.without_rationale == 0
        signal = place.newest("teacher_signal", "base").frame("signal")
        assert set(signal["rationale"].drop_nulls()) == {f"It is about {service}." for service in SERVICES}
        named = signal["prompt_id"].sort()[0]
        told = audit_teachers_row(place.home, "small", named[:20])
        assert told.ok and told.prompt_id == named and told.said.raw is not None
        assert json.loads(str(told.said.raw[0])) == {"why": told.said.rationale, "label": told.said.answer}
        assert told.taught or told.split != "train" or told.because
        with pytest.raises(StillhouseError, match=r"\d+ rows that the champion comes from .* begins with ''"):
            audit_teachers_row(place.home, "small", "")
        with pytest.raises(StillhouseError, match="no rows that the champion comes from"):
            audit_teachers_row(place.home, "small", "no id")
        evaluation = place.newest("evaluation").folder
        (ablation,) = read_ablations(evaluation)
        assert (ablation.student, ablation.control, ablation.against) == ("with_reasons", "one", "without_rationales")
        assert "learning from rationales" in ablation.sentence and "learned from the answers alone" in ablation.sentence
        notes = {each.name: each.score.note for each in read_evaluations(evaluation)}
        assert notes["with_reasons"] == f"{notes['one']}, with its rationales"
        report = json.loads((place.newest("selection").folder / "report.json").read_text())
        assert [each["sentence"] for each in report["ablations"]] == [ablation.sentence]
        assert audit_recipe(place.home, "small").ok


def test_a_text_that_a_server_turns_away_once_is_in_its_batch_after_the_next_round(
    tmp_path: Path, shared: Path
) -> None:
    """Regression: the later answer was kept in the store, and the artifact of the batch was found again without it."""

    def answer(asked: str) -> str:
        return right_about(question_in(asked))

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        # max_tokens of its own, so that no teacher is found that another test has asked.
        file = small_recipe_elsewhere(
            place.folder, kind="endpoint", source=server.url, answers={}, changed={"slices": []},
            ask={"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 5}},
            endpoint={
                "usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0, "concurrency": 1,
            },
        )  # fmt: skip

        def capture(turns_away: int) -> tuple[Any, list[str], list[str]]:
            """The artifact after a round in which the server turns so many texts away first, and whom it was asked of.

            Args:
                turns_away: of the texts that are asked first.
            """
            server.faults = {server.calls + number: "400" for number in range(turns_away)}
            before = server.asked.copy()
            result = place.run(file, TEACHER_SIGNAL, TRANSFER_SET)
            assert result.success, failures(result)
            artifact = place.newest(TEACHER_SIGNAL, "base")
            rows = artifact.frame("signal")
            asked = [question_in(text) for text in (server.asked - before).elements()]
            return artifact, sorted(rows.filter(pl.col("failure").is_not_null())["prompt_id"]), asked

        assert place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES).success
        prompts = place.newest(PROMPTS, "base").frame("prompts")
        ids = dict(prompts.select("text", "prompt_id").iter_rows())
        first, waiting, asked = capture(3)
        assert len(waiting) == 3 and len(asked) > 500
        assert set(first.frame("signal")["failure"].drop_nulls()) == {Failure.TURNED_AWAY}
        canary = {*(each for each in asked if asked.count(each) > 1)}
        assert canary, "asked in the first round of a day"
        bill = server.usd

        second, still_waiting, asked = capture(2)
        assert sorted(ids[each] for each in asked) == waiting and len(still_waiting) == 2, "those alone"
        assert second.digest != first.digest and bill < server.usd
        third, still, asked = capture(2)
        assert third.digest == second.digest and still == still_waiting and len(asked) == 2, "nothing has changed"
        fourth, silent, asked = capture(0)
        assert not silent and sorted(ids[each] for each in asked) == still_waiting
        learned = place.newest(TRANSFER_SET).frame("transfer_set")
        trained_on = {*prompts.filter(pl.col("split") == "train")["prompt_id"]} & {*waiting}
        assert trained_on and trained_on <= {*learned["prompt_id"]}
        again, _, asked = capture(0)
        assert again.digest == fourth.digest and asked == []
        assert call_log(place.home).spent("small") == pytest.approx(server.usd), "nothing was paid that was turned away"


def counts_of(place: Place) -> PromptFacts:
    return place.newest("prompts", "base").facts(PromptFacts)


def test_a_model_that_changes_behind_its_name_while_it_is_asked_teaches_nobody(tmp_path: Path, shared: Path) -> None:
    before, after = "large-2026-06", "large-2026-09"

    def answer(asked: str) -> str:
        return right_about(question_in(asked))

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        file = small_recipe_elsewhere(
            place.folder, kind="endpoint", source=server.url, answers={}, changed={"slices": []},
            ask={"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 3}},
            endpoint={"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0},
        )  # fmt: skip
        asked_first = place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES)
        assert asked_first.success, failures(asked_first)
        middle = server.calls + counts_of(place).train // 2
        server.model = lambda number: before if number < middle else after
        result = place.run(file)

        assert not result.success
        assert [name for name, passed in verdicts(result).items() if not passed] == ["every_answer_is_of_one_teacher"]
        observed = place.newest(TEACHER_SIGNAL, "base").frame("signal")["observed"]
        assert set(observed) == {before, after} and (observed == after).sum() > 100
        made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key}
        assert TRANSFER_SET not in made and "one" not in made and "release" not in made
        (refused,) = failures(place.run(file, TRANSFER_SET))
        assert ":every_answer_is_of_one_teacher is failed" in refused
