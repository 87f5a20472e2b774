"""Sets of labels of every kind of teacher that gives them, from the rows to a release.

A teacher that is an encoder is in tests/end_to_end/test_sets_of_labels.py.
"""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import time_machine
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit

from orchestration.asking import read_replies, write_requests
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.evaluation.harness import read_evaluations, read_members
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.reading import Recipes
from stillhouse.recipe.training import TrainingConfig
from stillhouse.release.cascade import cascade_in
from stillhouse.serving.teacher import TeacherSaid, open_teacher
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import BASE, BASELINES, CONTRACT, MODEL, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL
from stillhouse.tasks.label_sets import written_set
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.classifier import take_classifier
from stillhouse.teachers.columns import VOTES
from stillhouse.teachers.flips import ASKED_TWICE
from tests.conftest import Place, a_place, failures, verdicts
from tests.orchestration.elsewhere import question_in
from tests.orchestration.sets import OF_SETS, behind, recipe_of_sets
from tests.orchestration.test_ways_of_answering import as_batch, as_conversations, as_table
from tests.protocol import Server, answer_a_batch, serving
from tests.sets import LABELS, labels_of, mostly_labels_of, with_labels
from tests.small import small_recipe, small_teacher

pytestmark = pytest.mark.slow

UP_TO_THE_SIGNAL = (CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL)
TASK = MultiLabel(LABELS)
WHO = "Who was the first king of Denmark ?"


def answer(prompt: str) -> str:
    """As models answer: a list, one with words around it, or labels between semicolons."""
    text = question_in(prompt)
    said = mostly_labels_of(text)
    shown = json.dumps([each.upper() for each in reversed(said)])
    return [shown, f"Labels: {shown}.", "; ".join(said) or "[]"][len(text) % 3]


def in_a_form(prompt: str) -> str:
    return json.dumps({"labels": mostly_labels_of(question_in(prompt))})


def kept(place: Place) -> int:
    return place.newest(PROMPTS, BASE).facts(PromptFacts).kept


def test_a_server_that_is_asked_for_sets_is_copied_into_a_student(tmp_path: Path, shared: Path) -> None:
    """Pilot, cap, log of calls, audit of a row, the teacher behind the student and the canary of the next day."""
    behind_it: dict[str, Any] = {
        "cascade": {"margin": 0.15, "share_at_most": 0.95},
        "serving": {"teacher": {"usd_per_month": 1, "deadline_ms": 60_000}},
    }
    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(in_a_form)) as server:
        poor = recipe_of_sets(place.folder, **behind(server, place.folder, usd_at_most=0.05, structured=True))
        assert check(Recipes((poor,), ())).all_is_well
        assert "prompts more are expected to cost up to" in " ".join(failures(place.run(poor)))
        validation = place.newest(PROMPTS, BASE).facts(PromptFacts).validation
        assert len(server.asked) == validation and 0 < server.usd < 0.05
        assert {json.dumps(each) for each in server.formats} == {json.dumps(server.formats[0])}

        file = recipe_of_sets(place.folder, changed=behind_it, **behind(server, place.folder, structured=True))
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [gate.name for gate in outcome.closed]
        facts = place.newest(TEACHER).facts(TeacherFacts)
        assert facts.said is not None and facts.said.failures == {} and 0.85 < facts.validation_accuracy < 0.99
        again = min(ASKED_TWICE, validation) + file.recipe.limits.canary_flips_prompts
        assert len(server.asked) == kept(place) and server.calls == kept(place) + again
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)

        texts = place.newest(PROMPTS, BASE).frame("prompts").select("prompt_id", "text")
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(texts, on="prompt_id")
        said = with_answers(signal, TASK)
        assert said["answer"].to_list() == [written_set(mostly_labels_of(text)) for text in signal["text"]]
        assert said["confidence"].to_list() == pytest.approx([facts.said.accuracy] * said.height, rel=1e-5)
        told = audit_teachers_row(place.home, "small", signal["prompt_id"][0])
        assert told.ok and told.said.answer == said["answer"][0] and told.said.raw == (in_a_form_of(told.text),)
        judged = {each.name: each for each in read_evaluations(place.newest("evaluation").folder)}["one"]
        assert judged.teacher.accuracy == pytest.approx(11 / 12, abs=0.04)
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        assert TASK.written(TASK.answers(released.logits([WHO]))) == ['["person","question_word"]']
        assert audit_recipe(place.home, "small").ok

        cascade, calls = cascade_in(place.newest("release").folder), server.calls
        assert cascade is not None and cascade.teacher.asking is not None
        assert cascade.teacher.asking.answer == cascade.teacher.answer == "multi_label"
        on_call = open_teacher(file, place.builds, cascade.teacher)
        assert asyncio.run(on_call.answer(told.text)) == TeacherSaid(str(told.said.answer), facts.said.accuracy)
        assert server.calls == calls + 1
        on_call.close()

        calls = server.calls
        assert distil(file, place.home, Terminal(quiet=True)).succeeded and server.calls == calls
        server.answer = lambda prompt: json.dumps({"labels": sorted({*labels_of(question_in(prompt))} ^ {"amount"})})
        with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=True):
            found = verdicts(place.run(file, TEACHER_SIGNAL))
        assert [name for name, is_open in found.items() if not is_open] == ["the_canary_answers_as_recorded"]


def in_a_form_of(text: str) -> str:
    return in_a_form(f"Question: {text}")


def test_a_student_learns_how_many_of_several_answers_have_a_label(tmp_path: Path, shared: Path) -> None:
    """One text in four is answered now with and now without a label."""
    drawn = random.Random(0)

    def in_doubt(text: str) -> bool:
        return len(text) % 4 == 1

    def reply(prompt: str) -> str:
        text = question_in(prompt)
        said = {*mostly_labels_of(text)}
        return json.dumps(sorted(said ^ {"person"} if in_doubt(text) and drawn.random() < 0.3 else said))

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(reply)) as server:
        how = {"soft_labels": {"by": "samples", "samples": 3}, "settings": {"max_tokens": 41, "temperature": 1.0}}
        file = recipe_of_sets(place.folder, **behind(server, place.folder, **how))
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [gate.name for gate in outcome.closed]
        assert server.calls >= 3 * kept(place) and call_log(place.home).spent("small") == pytest.approx(server.usd)
        texts = place.newest(PROMPTS, BASE).frame("prompts").select("prompt_id", "text")
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(texts, on="prompt_id")
        votes, shares = np.array(signal[VOTES].to_list()), expit(np.array(signal["logits"].to_list()))
        doubtful = signal["text"].map_elements(in_doubt, pl.Boolean).to_numpy()
        people = LABELS.index("person")
        assert set(votes[~doubtful].ravel()) == {0, 3} and {1, 2} <= set(votes[doubtful][:, people])
        by_votes = [shares[:, people][votes[:, people] == count] for count in range(4)]
        assert all(low.max() < high.min() for low, high in pairwise(by_votes))
        assert by_votes[1].max() < 0.5 < by_votes[2].min()
        row = signal.filter(pl.Series(votes[:, people] == 2))["prompt_id"][0]
        told = audit_teachers_row(place.home, "small", row)
        assert told.ok and told.said.votes is not None and told.said.votes["person"] == 2
        assert len(told.said.raw or ()) == 3 and "person" in str(told.said.answer)


def test_a_cheaper_model_that_gives_sets_is_judged_beside_them(tmp_path: Path, shared: Path) -> None:
    def quick(prompt: str) -> str:
        text = prompt.partition("Quick: ")[2]
        return in_a_form(prompt) if not text else json.dumps(labels_of(text) if len(text) % 11 else ["number"])

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(quick)) as server:
        (place.folder / "quick.md").write_text("{labels}\nQuick: {text}")
        other = {"model": "small", "prompt": str(place.folder / "quick.md"), "settings": {"max_tokens": 42}}
        teacher = behind(server, place.folder, structured=True, settings={"max_tokens": 42}, alternatives=(other,))
        file = recipe_of_sets(place.folder, changed={"budget": {"latency_ms_at_most": 30_000}}, **teacher)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.ends_well and not outcome.succeeded, "it clears the bar, and needs no student"
        judged = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}["prompted small"]
        assert judged.score.accuracy == pytest.approx(10 / 11, abs=0.04) and judged.hosted is not None


def signal_of(place: Place, **teacher: Any) -> tuple[pl.DataFrame, float]:
    """What the teacher of such a recipe says to each prompt, and how often it is right."""
    result = place.run(recipe_of_sets(place.folder, **teacher), *UP_TO_THE_SIGNAL)
    assert result.success, failures(result)
    signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").select("prompt_id", "logits", "failure")
    return signal, place.newest(TEACHER).facts(TeacherFacts).validation_accuracy


def test_the_same_sets_teach_the_same_however_they_came(tmp_path: Path, shared: Path) -> None:
    """By calls, by a batch of calls, and out of files: of our lines, of conversations, and of a batch that others sent
    or that `stillhouse ask` wrote for a stored teacher."""
    with serving(Server(answer)) as server:
        with a_place(tmp_path / "live", seeded=shared, baselines=False) as place:
            live, accuracy = signal_of(place, **behind(server, place.folder, settings={"max_tokens": 43}))
            asked = {prompt: answer(prompt) for prompt in server.asked}
        assert live.height == len(asked) > 1190 and live["logits"].null_count() == 0 and accuracy > 0.85

        with a_place(tmp_path / "by_batch", seeded=shared, baselines=False) as place:
            again = behind(server, place.folder, settings={"max_tokens": 45})  # so that the first is not found
            file = recipe_of_sets(place.folder, **again)
            requests, replies, before = place.folder / "requests.jsonl", place.folder / "output.jsonl", server.calls
            assert write_requests(place.builds, file, requests).requests == live.height
            answer_a_batch(server, requests, replies)
            found = read_replies(place.builds, file, replies)
            assert found.all_is_well and found.taken == live.height
            by_batch, same = signal_of(place, **again)
            assert by_batch.equals(live) and same == accuracy
            twice = min(ASKED_TWICE, place.newest(PROMPTS, BASE).facts(PromptFacts).validation)
            assert server.calls == before + live.height + twice + file.recipe.limits.canary_flips_prompts

        with a_place(tmp_path / "asked", seeded=shared, baselines=False) as place:
            source = {"kind": "stored", "source": str(place.folder / "replies.jsonl"), "answers": {"format": "batch"}}
            file, requests = recipe_of_sets(place.folder, **source), place.folder / "requests.jsonl"
            assert write_requests(place.builds, file, requests).requests == live.height
            answer_a_batch(server, requests, place.folder / "replies.jsonl")
            assert write_requests(place.builds, file, place.folder / "rest.jsonl").requests == 0
            stored, same = signal_of(place, **source)
            assert stored.equals(live) and same == accuracy

    for written in (as_table, as_conversations, as_batch):
        with a_place(tmp_path / written.__name__, seeded=shared, baselines=False) as place:
            how = written(asked, place.folder)
            stored, same = signal_of(place, kind="stored", source=str(place.folder / "answers.jsonl"), **how)
            assert stored.equals(live) and same == accuracy, written.__name__


OUTPUTS = {f"LABEL_{number}": label for number, label in enumerate(LABELS)}
"""As classifiers are often published, and what the rows call them."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with transformers' head and a sigmoid for each output, taught with rows that the recipe does not have."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("published") / "teacher"
    bert = small_teacher(folder.parent / "bert")
    problem = {"problem_type": "multi_label_classification"}
    config = AutoConfig.from_pretrained(bert, id2label=dict(enumerate(OUTPUTS)), **problem)
    torch.manual_seed(0)
    headed = AutoModelForSequenceClassification.from_config(config)
    headed.bert.load_state_dict(load_file(bert / "model.safetensors"), strict=False)
    headed.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())

    rows = with_labels(2000, skip=1200)
    sets = rows["labels"].map_elements(lambda cell: written_set({*cell.split(";")} - {"[]"}), pl.String)
    untaught, taught = folder.parent / "untaught", folder.parent / "taught"
    take_classifier(folder, TASK.names, untaught, rename=OUTPUTS, max_tokens=32, answer="multi_label")
    examples = TrainingExamples(rows["question"].to_list(), TASK.targets(sets), TASK)
    train(untaught, taught, examples, TrainingConfig(epochs=4, learning_rate=1e-3, loss="labels", max_tokens=32))
    save_file(load_file(taught / "model.safetensors"), folder / "model.safetensors", {"format": "pt"})
    return folder


OF_A_TEACHER = {
    "revision": "test", "licence": "Apache-2.0", "training_on_outputs": "allowed", "reason": "It answers today.",
    "minimum_accuracy": 0.5,
}  # fmt: skip


def test_a_classifier_of_several_labels_is_copied_as_it_is(tmp_path: Path, shared: Path, published: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        with_labels(1200).write_csv(place.folder / "questions.csv")
        training = {"epochs": 6, "learning_rate": 1e-3, "max_tokens": 32, "loss": "bce"}
        teacher = {
            **OF_A_TEACHER, "kind": "classifier", "source": str(published), "rename": OUTPUTS, "max_tokens": 32,
        }  # fmt: skip
        file = small_recipe(
            place.folder, **OF_SETS, teacher=teacher, data__wrong_labels_at_most=0.4,
            students=[{"name": "one", "layers": [0], "training": training}],
        )  # fmt: skip
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        facts = place.newest(TEACHER).facts(TeacherFacts)
        assert facts.labels == LABELS and facts.answer == "multi_label" and facts.validation_accuracy > 0.6
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        assert TASK.written(TASK.answers(released.logits([WHO]))) == ['["person","question_word"]']
        assert audit_recipe(place.home, "small").ok


def test_an_encoder_a_classifier_a_file_and_a_server_are_copied_together(
    tmp_path: Path, shared: Path, published: Path
) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        rows = with_labels(1200)
        rows.write_csv(place.folder / "questions.csv")
        said = [";".join(mostly_labels_of(text)) or "[]" for text in rows["question"]]
        pl.DataFrame({"text": rows["question"], "answer": said}).write_csv(place.folder / "said.csv")
        server.faults = {400: "outside", 410: "422"}
        learning = {"epochs": 4, "learning_rate": 1e-3, "max_tokens": 32, "loss": "labels"}
        (place.folder / "prompt.md").write_text("{labels}\nQuestion: {text}\n")
        asked = behind(server, place.folder, settings={"max_tokens": 44})
        members = {
            "mine": {**OF_A_TEACHER, "source": str(small_teacher(place.folder / "mine")), "training": learning},
            "bought": {
                **OF_A_TEACHER, "kind": "classifier", "source": str(published), "rename": OUTPUTS, "max_tokens": 32,
            },
            "kept": {**OF_A_TEACHER, "kind": "stored", "source": str(place.folder / "said.csv")},
            "asked": {**OF_A_TEACHER, **{name: each for name, each in asked.items() if each}},
        }  # fmt: skip
        teacher = {
            "kind": "ensemble", "ensemble": {"members": members}, "reason": "Four see more than one.",
            "minimum_accuracy": 0.7,
        }  # fmt: skip
        base = {"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"}
        students = [{"name": "one", "layers": [0, 1], "training": {**learning, "epochs": 6, "loss": "bce"}}]
        file = small_recipe(
            place.folder, **OF_SETS, teacher=teacher, base=base, students=students,
            budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
            data__provenance={"teacher_may_see": ["internal"]}, data__wrong_labels_at_most=0.4,
        )  # fmt: skip
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        assert [each.name for each in read_members(place.newest("evaluation").folder)] == [*members]
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal")
        assert signal["logits"].null_count() == 0, "what one does not answer the others do"
        assert 0 < signal["disagreement"].mean() < 0.5
        apart = signal.sort("disagreement", descending=True)["prompt_id"][0]
        told = audit_teachers_row(place.home, "small", apart)
        assert told.ok and {*told.members} == {*members}
        assert len({each.answer for each in told.members.values()}) > 1 and told.members["kept"].raw
        assert audit_recipe(place.home, "small").ok
