"""Numbers that a language model gave, in a file or behind a server, to a release: one for each text, and grades of
documents that rank them for a query.

A teacher that is an encoder is in tests/end_to_end/test_ranking.py.
"""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import time_machine

from orchestration.asking import write_requests
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.pairs import parts_of
from stillhouse.data.rejects import RejectReason
from stillhouse.evaluation.comparison import read_ablations
from stillhouse.evaluation.harness import read_members
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.records.governance import Waiver, waive
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import (
    BASE,
    BASELINES,
    CONTRACT,
    EVALUATION,
    MODEL,
    PROMPTS,
    SOURCE,
    TEACHER,
    TEACHER_SIGNAL,
    TRANSFER_SET,
)
from stillhouse.tasks.score import NumericScore
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.signal import signal_store
from stillhouse.teachers.stored import Failure
from tests.conftest import RULES, Place, a_place, failures, verdicts
from tests.end_to_end.test_ranking import RELEVANCE, pairs
from tests.orchestration.elsewhere import question_in, right_about, small_recipe_elsewhere
from tests.orchestration.sets import behind
from tests.orchestration.test_ways_of_answering import as_batch, as_conversations, as_table
from tests.protocol import Server, answer_a_batch, serving
from tests.small import questions, small_teacher

pytestmark = pytest.mark.slow

UP_TO_THE_SIGNAL = (CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL)
TASK = NumericScore(0.0, 3.0, 1.0)
WHO, SPORT = "Who was the first king of Denmark ?", "What sport has most balls ?"
LEARNING = {"epochs": 6, "learning_rate": 1e-3, "max_tokens": 32, "loss": "logit_mse"}
OF_NUMBERS: dict[str, Any] = {
    "data__label": "relevance", "data__answer": "score", "data__score": {"lowest": 0, "highest": 3, "tolerance": 1},
    "slices": [], "bar": {"margin": 0.3}, "students": [{"name": "one", "layers": [0, 1], "training": LEARNING}],
    "limits": {"lost_share_at_most": 0.6, "int8_agreement_at_least": 0.9},  # of few rows, and of small students
}  # fmt: skip


@cache
def relevance_of(question: str) -> float:
    """What is true of a question."""
    return RELEVANCE.get(right_about(question), 0.0)


def grade_of(question: str) -> float:
    """What the model gives it: a little beside, and something else for one question in twelve, by its length."""
    right = relevance_of(question)
    return 3 - right if len(question) % 12 == 0 and right != 1.5 else right + (0.3 if right < 3 else -0.3)


def answer(prompt: str) -> str:
    """As models answer: a number, one with words around it, or JSON."""
    question = question_in(prompt)
    grade = grade_of(question)
    replies = f"{grade:g}", f"Relevance: **{grade:g}**.", json.dumps({"why": "it asks for 1 of 2", "score": grade})
    return replies[len(question) % 3]


def recipe_of_numbers(folder: Path, *, changed: dict[str, Any] | None = None, **teacher: Any) -> RecipeFile:
    rows = folder / "questions.csv"
    if not rows.exists():
        asked = questions(1200).select("question", "kind")
        asked.with_columns(relevance=pl.Series(map(relevance_of, asked["question"]))).write_csv(rows)
    return small_recipe_elsewhere(folder, changed={**OF_NUMBERS, **(changed or {})}, **teacher)


def test_numbers_in_a_file_are_copied_into_a_student(tmp_path: Path, shared: Path) -> None:
    asked = questions(1200)["question"].to_list()
    replies = {text: answer(f"Question: {text}") for text in asked}
    broken = dict(zip(asked[::50], ["4", "2 or 3", ""] * 8, strict=True))
    lines = [{"text": text, "answer": broken.get(text, said)} for text, said in replies.items()]
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        (place.folder / "replies.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        file = recipe_of_numbers(place.folder, answers={}, ask=None)
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        facts = place.newest(TEACHER).facts(TeacherFacts)
        assert facts.said is not None and facts.labels == ("score",)
        assert facts.said.failures == {Failure.OUT_OF_RANGE: 8, Failure.NO_NUMBER: 8, Failure.EMPTY: 8}
        assert 0.85 < facts.validation_accuracy < 0.99

        prompts = place.newest(PROMPTS, BASE).frame("prompts")
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(prompts, on="prompt_id")
        said = with_answers(signal.filter(pl.col("failure").is_null()), TASK)
        assert said["answer"].to_list() == [f"{grade_of(text):g}" for text in said["text"]]
        assert said["confidence"].null_count() == said.height, "a number has no probability"
        rejects = place.newest(TRANSFER_SET).frame("rejects")
        assert {*rejects["reason"]} == {RejectReason.NO_ANSWER, RejectReason.CONTRADICTS_LABEL}
        unknown = prompts.filter((pl.col("split") == "train") & pl.col("label").is_null())["text"]
        assert {*rejects.filter(reason=RejectReason.NO_ANSWER)["text"]} <= {*broken}
        assert not {*rejects.filter(reason=RejectReason.CONTRADICTS_LABEL)["text"]} & {*unknown}

        report = json.loads((place.newest("release").folder / "report.json").read_text())
        assert report["verdict"] == "pass" and report["teacher"]["accuracy"] == pytest.approx(0.94, abs=0.04)
        assert report["of_numbers"]["teacher_mean_error"] == pytest.approx(0.4, abs=0.15)
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        who, sport = TASK.numbers(TASK.answers(released.logits([WHO, SPORT])))
        assert who > 2 and sport < 1.5
        taught = signal.filter((pl.col("split") == "train") & pl.col("text").is_in([*broken]).not_())["text"][0]
        told = audit_teachers_row(place.home, "small", prompt_ids(pl.Series([taught]))[0])
        assert told.ok and told.said.answer == f"{grade_of(taught):g}" and told.said.raw == (replies[taught],)
        assert told.said.votes is None and told.said.confidence is None
        assert audit_recipe(place.home, "small").ok


def in_a_form(prompt: str) -> str:
    return json.dumps({"score": grade_of(question_in(prompt))})


def test_a_server_that_is_asked_for_numbers_is_copied_into_a_student(tmp_path: Path, shared: Path) -> None:
    """Pilot, cap, log of calls, and a canary by which a number within the tolerance is the same one."""
    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(in_a_form)) as server:
        poor = recipe_of_numbers(place.folder, **behind(server, place.folder, usd_at_most=0.05, structured=True))
        assert check(Recipes((poor,), ())).all_is_well
        assert "prompts more are expected to cost up to" in " ".join(failures(place.run(poor)))
        validation = place.newest(PROMPTS, BASE).facts(PromptFacts).validation
        assert len(server.asked) == validation and 0 < server.usd < 0.05

        file = recipe_of_numbers(place.folder, **behind(server, place.folder, structured=True))
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        assert {json.dumps(each["json_schema"]["schema"]["properties"]) for each in server.formats} == {
            json.dumps({"score": {"type": "number"}})
        }
        facts, kept = (place.newest(*each) for each in ((TEACHER,), (PROMPTS, BASE)))
        said = facts.facts(TeacherFacts).said
        assert said is not None and said.failures == {} and said.asked_twice > 0 == said.flips
        asked_again = said.asked_twice + file.recipe.limits.canary_flips_prompts
        assert server.calls == kept.facts(PromptFacts).kept + asked_again
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        assert "USD for 1,000 answers" in (place.newest("selection").folder / "report.html").read_text()
        assert audit_recipe(place.home, "small").ok

        for days, moved, is_open in ((1, 0.9, True), (2, 1.1, False)):
            server.answer = lambda prompt, by=moved: json.dumps({"score": shifted(question_in(prompt), by)})
            with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True):
                found = verdicts(place.run(file, TEACHER_SIGNAL))
            assert (
                found["the_canary_answers_as_recorded"] is is_open and sum(map(bool, found.values())) >= len(found) - 1
            )


def grade_of_another(question: str) -> float:
    """What a second model gives: a little beside on the other side, and far off for other questions than the first."""
    right = relevance_of(question)
    return 3 - right if len(question) % 13 == 0 and right != 1.5 else max(right - 0.2, 0.0)


def test_an_encoder_a_file_and_a_server_give_numbers_together(tmp_path: Path, shared: Path) -> None:
    """The middle one of their numbers is learned; rows on which they are apart are left out, or count less."""
    asked = questions(1200)["question"].to_list()
    broken = dict(zip(asked[::50], ["4", "2 or 3", ""] * 8, strict=True))
    lines = [{"text": text, "answer": broken.get(text, f"{grade_of_another(text):g}")} for text in asked]
    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(answer)) as server:
        (place.folder / "replies.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        of_all = {
            "revision": "test", "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
            "minimum_accuracy": 0.6,
        }  # fmt: skip
        members = {
            "mine": {
                **of_all, "source": str(small_teacher(place.folder / "mine")),
                "training": {**LEARNING, "epochs": 5, "loss": "labels"},
            },
            "kept": {**of_all, "kind": "stored", "source": str(place.folder / "replies.jsonl")},
            "asked": {**of_all, **{name: each for name, each in behind(server, place.folder).items() if each}},
        }  # fmt: skip
        whole = {
            "kind": "ensemble", "ensemble": {"members": members, "combine": "median", "agree_at_least": 0.5},
            "reason": "Three see more than one.", "minimum_accuracy": 0.8,
        }  # fmt: skip
        students = [
            {"name": "one", "layers": [0, 1], "training": LEARNING},
            {"name": "weighed", "layers": [0, 1], "weigh_by_agreement": True, "training": LEARNING},
        ]
        file = recipe_of_numbers(place.folder, changed={"teacher": whole, "students": students})
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]

        facts = place.newest(TEACHER).facts(TeacherFacts)
        best = max(each.validation_accuracy for each in facts.members.values())
        assert facts.validation_accuracy >= best, "one that is far off alone does not move the middle"
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").sort("prompt_id")
        assert signal["failure"].null_count() == signal.height, "what one has no number for the others have"
        store, ids = signal_store(place.builds), signal["prompt_id"].to_list()
        said = [store.read(ids, each.fingerprint).sort("prompt_id")["logits"] for each in facts.members.values()]
        numbers = np.array(
            [[np.nan if each is None else TASK.numbers(np.array(each))[0] for each in by] for by in said]
        )
        middle = np.nanmedian(numbers, axis=0)
        given = TASK.numbers(np.array(signal["logits"].to_list())[:, 0])
        np.testing.assert_allclose(given, middle, atol=1e-5)
        heard = ~np.isnan(numbers)
        assert set(heard.sum(axis=0)) == {2, 3}
        apart = np.nansum(np.abs(numbers - middle) > 1 + 1e-6, axis=0) / heard.sum(axis=0)
        np.testing.assert_allclose(signal["disagreement"].to_numpy(), apart, atol=1e-6)
        assert {0.0, 0.33} < {round(each, 2) for each in apart.tolist()}
        rejects = place.newest(TRANSFER_SET).frame("rejects")
        left_out = rejects.filter(reason=RejectReason.MEMBERS_DISAGREE)
        prompts = place.newest(PROMPTS, BASE).frame("prompts").join(signal, on="prompt_id")
        far = prompts.filter((pl.col("split") == "train") & (pl.col("disagreement") > 0.5))["text"]
        assert left_out.height and {*left_out["text"]} <= {*far} <= {*rejects["text"]}

        evaluation = place.newest(EVALUATION)
        alone = {each.name: each for each in read_members(evaluation.folder)}
        assert {*alone} == {*members} and all(each.mean_error is not None for each in alone.values())
        (ablation,) = read_ablations(evaluation.folder)
        assert (ablation.student, ablation.control, ablation.against) == ("weighed", "one", "unweighted")
        page = (place.newest("selection").folder / "report.html").read_text()
        assert "One teacher against many" in page and ablation.sentence[1:] in page
        assert f'data-label="Mean error">{alone["kept"].mean_error:.3g}<' in page
        report = json.loads((place.newest("release").folder / "report.json").read_text())
        assert report["verdict"] == "pass" and {each["name"] for each in report["members"]} == {*members}
        canary = place.states(TEACHER_SIGNAL, BASE)["the_canary_answers_as_recorded"].sentence
        assert "member mine: " in canary and "member asked: " in canary
        told = audit_teachers_row(place.home, "small", ids[int(apart.argmax())])
        assert told.ok and {*told.members} == {*members} and told.said.disagreement == pytest.approx(apart.max())
        assert audit_recipe(place.home, "small").ok


def shifted(question: str, by: float) -> float:
    """Another number between the ends, so far from the one that was given."""
    grade = grade_of(question)
    return round(grade + (by if grade < 1.5 else -by), 2)


def signal_of(place: Place, **teacher: Any) -> tuple[pl.DataFrame, float]:
    """What the teacher of such a recipe says to each prompt, and how often it is right."""
    result = place.run(recipe_of_numbers(place.folder, **teacher), *UP_TO_THE_SIGNAL)
    assert result.success, failures(result)
    signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").select("prompt_id", "logits", "failure")
    return signal, place.newest(TEACHER).facts(TeacherFacts).validation_accuracy


def test_the_same_numbers_teach_the_same_however_they_came(tmp_path: Path, shared: Path) -> None:
    """By calls, out of files of our lines, of conversations and of a batch, and of one that `stillhouse ask` wrote."""
    with serving(Server(answer)) as server:
        with a_place(tmp_path / "live", seeded=shared, baselines=False) as place:
            live, accuracy = signal_of(place, **behind(server, place.folder))
            asked = {prompt: answer(prompt) for prompt in server.asked}
        assert live.height == len(asked) > 1190 and live["logits"].null_count() == 0 and accuracy > 0.85

        with a_place(tmp_path / "asked", seeded=shared, baselines=False) as place:
            source = {"kind": "stored", "source": str(place.folder / "replies.jsonl"), "answers": {"format": "batch"}}
            file, requests = recipe_of_numbers(place.folder, **source), place.folder / "requests.jsonl"
            assert write_requests(place.builds, file, requests).requests == live.height
            assert "a number from 0 to 3" in requests.read_text()
            answer_a_batch(server, requests, place.folder / "replies.jsonl")
            assert write_requests(place.builds, file, place.folder / "rest.jsonl").requests == 0
            stored, same = signal_of(place, **source)
            assert stored.equals(live) and same == accuracy

    for written in (as_table, as_conversations, as_batch):
        with a_place(tmp_path / written.__name__, seeded=shared, baselines=False) as place:
            how = written(asked, place.folder)
            stored, same = signal_of(place, source=str(place.folder / "answers.jsonl"), ask=None, **how)
            assert stored.equals(live) and same == accuracy, written.__name__


GRADING = "Query: {query}\nDocument: {document}\nHow well does it answer, from 0 to 3?"


def test_a_language_models_grades_make_a_student_that_ranks(tmp_path: Path, shared: Path) -> None:
    """People have graded what judges and a few documents to train on; a model has graded all of them in a chat."""
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        rows = pairs(1600)[:-2]
        rows.write_csv(place.folder / "questions.csv")
        lines = [
            {"messages": [{"role": "user", "content": GRADING.format(query=query, document=document)},
                          {"role": "assistant", "content": f"I would say {grade_of(document):g}."}]}
            for query, document in rows.select("query", "document").iter_rows()
        ]  # fmt: skip
        (place.folder / "grades.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        chat = {"format": "chat", "text_pattern": r"Query: (?P<query>.*)\nDocument: (?P<text>.*)\nHow well"}
        about = {
            "data__text": "document", "data__query": "query", "data__hidden_label_share": 0.8,
            "bar": {"metric": "ndcg", "margin": 0.1, "ndcg_at": 5},
        }  # fmt: skip
        file = recipe_of_numbers(
            place.folder, changed=about, source=str(place.folder / "grades.jsonl"), answers=chat, ask=None,
        )  # fmt: skip
        assert check(Recipes((file,), ())).all_is_well
        assert distil(file, place.home, Terminal(quiet=True)).closed, "words alone tell kinds of questions well enough"
        gate, until = "small/baselines:no_baseline_clears_the_bar", place.builds.ledger.now().date() + timedelta(days=1)
        waiver = Waiver(gate, "Ada", "to see the student", until, place.newest(BASELINES).digest)
        waive(place.builds.ledger, "small", waiver, RULES)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal")
        assert signal["failure"].null_count() == signal.height, "each pair finds its grade"
        prompts = place.newest(PROMPTS, BASE).frame("prompts")
        said = with_answers(signal.join(prompts.select("prompt_id", "text"), on="prompt_id"), TASK)
        assert said["answer"].to_list() == [f"{grade_of(parts_of(text)[1]):g}" for text in said["text"]]
        report = json.loads((place.newest("release").folder / "report.json").read_text())
        ranking, test = report["of_ranking"], report["metric_test"]
        assert (report["verdict"], test["metric"], ranking["at"]) == ("pass", "ndcg", 5) and ranking["queries"] > 40
        assert 0.8 < ranking["teacher_ndcg"] < 1 and test["drop_upper_bound"] < 0.1
        others = {each["name"]: each["of_ranking"]["ndcg"] for each in report["others"]}
        assert others["BM25"] < ranking["ndcg"] - 0.1
        assert audit_recipe(place.home, "small").ok


def test_several_models_grades_rank_by_their_mean(tmp_path: Path, shared: Path) -> None:
    """Two models have graded the pairs, each by itself far off in places; the page has nDCG of each of them."""
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        rows = pairs(1600)[:-2]
        rows.write_csv(place.folder / "questions.csv")
        of_all = {
            "kind": "stored", "revision": "test", "licence": "its terms", "training_on_outputs": "allowed",
            "reason": "It answers today.", "minimum_accuracy": 0.6,
            "answers": {"text": "document", "query": "query", "answer": "grade"},
        }  # fmt: skip
        members = {}
        for name, grade in (("one", grade_of), ("other", grade_of_another)):
            graded = rows.select("query", "document", grade=pl.col("document").map_elements(grade, pl.Float64))
            graded.write_csv(place.folder / f"{name}.csv")
            members[name] = {**of_all, "source": str(place.folder / f"{name}.csv")}
        whole = {
            "kind": "ensemble", "ensemble": {"members": members, "combine": "mean"},
            "reason": "Two see more than one.", "minimum_accuracy": 0.7,
        }  # fmt: skip
        about = {
            "data__text": "document", "data__query": "query", "data__hidden_label_share": 0.8, "teacher": whole,
            "bar": {"metric": "ndcg", "margin": 0.1, "ndcg_at": 5},
        }  # fmt: skip
        file = recipe_of_numbers(place.folder, changed=about)
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        prompts = place.newest(PROMPTS, BASE).frame("prompts").select("prompt_id", "text")
        said = with_answers(place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(prompts, on="prompt_id"), TASK)
        documents = [parts_of(text)[1] for text in said["text"]]
        means = [(grade_of(each) + grade_of_another(each)) / 2 for each in documents]
        np.testing.assert_allclose(said["answer"].cast(pl.Float64).to_numpy(), means, atol=1e-5)
        report = json.loads((place.newest("release").folder / "report.json").read_text())
        together, alone = report["teacher"]["of_bar"], {each["name"]: each["of_bar"] for each in report["members"]}
        assert {*alone} == {*members} and report["of_ranking"]["teacher_ndcg"] == pytest.approx(together)
        assert together > max(alone.values()), "of two that are seldom wrong at once the mean ranks better"
        page = (place.newest("selection").folder / "report.html").read_text()
        assert all(f"nDCG {100 * each:.1f}%</small>" in page for each in (together, *alone.values()))
        assert audit_recipe(place.home, "small").ok
