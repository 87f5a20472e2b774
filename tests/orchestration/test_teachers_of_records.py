"""Records of every kind of teacher that gives them, from rows to a release; files of answers are in test_records.py.

One in ten of the answers has a value that the model invented.
"""

import csv
import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import time_machine

from orchestration.asking import read_replies, write_requests
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.serving import predict
from orchestration.terminal import Terminal
from stillhouse.data.rejects import RejectReason
from stillhouse.evaluation.comparison import read_ablations
from stillhouse.evaluation.harness import read_evaluations, read_members
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.stages.asking import call_log
from stillhouse.stages.baselines import options_of
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import (
    BASE,
    BASELINES,
    CONTRACT,
    EVALUATION,
    PROMPTS,
    SOURCE,
    TEACHER,
    TEACHER_SIGNAL,
    TRANSFER_SET,
)
from stillhouse.stages.teacher_signal import review_path
from stillhouse.statistics.softmax import log_softmax
from stillhouse.tasks import counts_as_people_read_them
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import RecordFault, spelled_out
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.columns import VOTES
from stillhouse.teachers.flips import ASKED_TWICE
from tests.conftest import Place, a_place, failures, verdicts
from tests.orchestration.elsewhere import question_in
from tests.orchestration.sets import behind
from tests.orchestration.test_records import BILL, RECORD, ROWS, recipe_of_records
from tests.orchestration.test_ways_of_answering import UP_TO_THE_SIGNAL, as_batch, as_conversations, as_table
from tests.protocol import Server, answer_a_batch, serving
from tests.slots import answered, sentences
from tests.small import small_teacher

pytestmark = pytest.mark.slow

SEEN = {"data__provenance": {"teacher_may_see": ["internal"]}}
SAID = dict(answered(sentences(ROWS)).select("text", "answer").iter_rows())
INVENTED = frozenset(answered(sentences(ROWS)).filter("invented")["text"])


def answer(prompt: str) -> str:
    """A record, with words around it in every second answer."""
    return SAID[question_in(prompt)]


def in_a_form(prompt: str) -> str:
    """The plain prompt ends with the text; a form has every field."""
    said = SAID[prompt.rpartition("Text:\n")[2]].removeprefix("Here it is: ").rstrip(".")
    return json.dumps({"due": None, **json.loads(said)})


def recipe_behind(
    server: Server, folder: Path, *, changed: dict[str, Any] | None = None, rows: int = ROWS, **how: Any
) -> RecipeFile:
    (folder / "prompt.md").write_text("{task}\n{fields}\nQuestion: {text}\n")
    asked = behind(server, folder, **{"settings": {"max_tokens": 60}, **how})
    return recipe_of_records(folder, rows=rows, changed={**SEEN, **(changed or {})}, **asked)


def kept(place: Place) -> int:
    return place.newest(PROMPTS, BASE).facts(PromptFacts).kept


def task_of(file: RecipeFile) -> Extraction:
    assert file.recipe.data.record is not None
    return Extraction(file.recipe.data.record)


def rows_of(place: Place) -> pl.DataFrame:
    """What the teacher said of the base batch, with the texts."""
    texts = place.newest(PROMPTS, BASE).frame("prompts").select("prompt_id", "text", "split")
    return place.newest(TEACHER_SIGNAL, BASE).frame("signal").join(texts, on="prompt_id")


def test_a_server_that_is_asked_for_records_is_copied_into_a_student(tmp_path: Path) -> None:
    """Pilot, cap, log of calls, what it invents, audit of a row, and the canary of the next day."""
    with a_place(tmp_path, baselines=False) as place, serving(Server(in_a_form)) as server:
        poor = recipe_behind(server, place.folder, usd_at_most=0.05, structured=True, prompt=None)
        assert check(Recipes((poor,), ())).all_is_well
        assert "prompts more are expected to cost up to" in " ".join(failures(place.run(poor)))
        validation = place.newest(PROMPTS, BASE).facts(PromptFacts).validation
        assert len(server.asked) == validation and 0 < server.usd < 0.05
        (form,) = {json.dumps(each) for each in server.formats}
        assert json.loads(form)["json_schema"]["schema"]["properties"]["currency"]["enum"] == ["EUR", "USD"]

        strict = {"limits": {"unanswered_prompts_at_most": 0.02}}
        closed = place.run(recipe_behind(server, place.folder, structured=True, prompt=None, changed=strict))
        assert not verdicts(closed)["the_pilots_answers_can_be_read"] and len(server.asked) == validation

        file = recipe_behind(server, place.folder, structured=True, prompt=None)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [f"{gate.name}: {gate.finding}" for gate in outcome.closed]
        again = min(ASKED_TWICE, validation) + file.recipe.limits.canary_flips_prompts
        assert len(server.asked) == kept(place) and server.calls == kept(place) + again
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
        facts = place.newest(TEACHER).facts(TeacherFacts)
        said = rows_of(place)
        assert facts.said is not None and facts.said.failures == {
            RecordFault.NOT_IN_TEXT.value: said.filter(
                (pl.col("split") == "validation") & pl.col("text").is_in(INVENTED)
            ).height
        }
        assert facts.said.accuracy > 0.95, "of what it did not invent all is right"
        assert {*said.filter(pl.col("failure").is_not_null())["text"]} == {*said["text"]} & INVENTED
        rejects = place.newest(TRANSFER_SET).frame("rejects")
        assert set(rejects["reason"]) == {RejectReason.NO_ANSWER.value} and rejects.height > 50
        assert all(RecordFault.NOT_IN_TEXT in each and "Acme Holdings" in each for each in rejects["detail"])

        read = with_answers(said, task_of(file)).filter(pl.col("answer").is_not_null())
        found = [spelled_out(*each, task_of(file).spec) for each in read.select("answer", "text").iter_rows()]
        assert [json.loads(each) for each in found] == [
            json.loads(in_a_form(f"Text:\n{text}")) for text in read["text"]
        ]
        told = audit_teachers_row(place.home, "small", said.filter(pl.col("text").is_in(INVENTED))["prompt_id"][0])
        assert told.ok and told.said.answer is None and told.said.raw == (in_a_form(f"Text:\n{told.text}"),)
        told = audit_teachers_row(place.home, "small", read["prompt_id"][0])
        assert told.ok and json.loads(str(told.said.answer)) == json.loads(in_a_form(f"Text:\n{told.text}"))
        judged = {each.name: each for each in read_evaluations(place.newest(EVALUATION).folder)}["one"]
        assert judged.teacher.accuracy == pytest.approx(0.9, abs=0.05), "what it invented is wrong"
        (asked,) = predict(place.builds, file, [BILL]).answers
        assert json.loads(asked.label) == RECORD and audit_recipe(place.home, "small").ok

        calls = server.calls
        assert distil(file, place.home, Terminal(quiet=True)).succeeded and server.calls == calls
        other = {"EUR": "USD", "USD": "EUR"}
        server.answer = lambda prompt: json.dumps(
            {**json.loads(in_a_form(prompt)), "currency": other[json.loads(in_a_form(prompt))["currency"]]}
        )
        with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=True):
            looked = verdicts(place.run(file, TEACHER_SIGNAL))
        assert [name for name, is_open in looked.items() if not is_open] == ["the_canary_answers_as_recorded"]


def test_a_student_learns_how_many_of_several_answers_have_a_value(tmp_path: Path) -> None:
    """One text in four is answered in another currency by one of three answers."""
    asked_before, one_at_a_time = Counter[str](), threading.Lock()

    def reply(prompt: str) -> str:
        text = question_in(prompt)
        with one_at_a_time:
            asked_before[text] += 1
            number = asked_before[text]
        flipped = {"EUR": "USD", "USD": "EUR"}
        said = json.loads(SAID[text].removeprefix("Here it is: ").rstrip("."))
        if len(text) % 4 == 1 and number % 3 == 2:
            said["currency"] = flipped[said["currency"]]
        return json.dumps(said)

    with a_place(tmp_path, baselines=False) as place, serving(Server(reply)) as server:
        how = {"soft_labels": {"by": "samples", "samples": 3}, "settings": {"max_tokens": 61, "temperature": 1.0}}
        file = recipe_behind(server, place.folder, rows=500, **how)
        result = place.run(file, *UP_TO_THE_SIGNAL)
        assert result.success, failures(result)
        assert server.calls >= 3 * kept(place) and call_log(place.home).spent("small") == pytest.approx(server.usd)
        task, said = task_of(file), rows_of(place).filter(pl.col("failure").is_null())
        currency = next(each for each in task.fields if each.name == "currency")
        shares = np.exp(log_softmax(currency.of(np.array(said["logits"].to_list())))).max(axis=1)
        doubtful = (said["text"].str.len_chars() % 4 == 1).to_numpy()
        assert doubtful.any() and shares[doubtful].max() < shares[~doubtful].min()
        text, votes = said.filter(pl.Series(doubtful)).select("text", VOTES).row(0)
        counted = counts_as_people_read_them(task, votes, text)
        assert sorted(each for name, each in counted.items() if name.startswith("currency")) == [1, 2]
        assert sum(counted.values()) == 3 * len(task.fields)


def test_a_cheaper_model_that_gives_records_is_judged_beside_them(tmp_path: Path) -> None:
    def quick(prompt: str) -> str:
        text = prompt.partition("Quick: ")[2]
        return answer(prompt) if not text else SAID[text].replace("Acme Holdings", text.split()[0])

    with a_place(tmp_path, baselines=False) as place, serving(Server(quick)) as server:
        (place.folder / "quick.md").write_text("{fields}\nQuick: {text}")
        other = {"model": "small", "prompt": str(place.folder / "quick.md"), "settings": {"max_tokens": 62}}
        slow = {"budget": {"latency_ms_at_most": 30_000}}
        file = recipe_behind(server, place.folder, changed=slow, alternatives=(other,))
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.ends_well and not outcome.succeeded, "it clears the bar, and needs no student"
        judged = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}["prompted small"]
        assert judged.score.accuracy == pytest.approx(0.9, abs=0.05) and judged.hosted is not None


def signal_of(place: Place, file: RecipeFile) -> tuple[pl.DataFrame, float]:
    """What the teacher of a recipe says to each prompt, and how often it is right."""
    result = place.run(file, *UP_TO_THE_SIGNAL)
    assert result.success, failures(result)
    signal = place.newest(TEACHER_SIGNAL, BASE).frame("signal").select("prompt_id", "logits", "failure")
    return signal, place.newest(TEACHER).facts(TeacherFacts).validation_accuracy


def test_the_same_records_teach_the_same_however_they_came(tmp_path: Path) -> None:
    """By calls, by a batch of calls, and out of files: of our lines, of conversations, and of a batch that others sent
    or that `stillhouse ask` wrote for a stored teacher."""
    with serving(Server(answer)) as server:
        with a_place(tmp_path / "live", baselines=False) as place:
            live, accuracy = signal_of(place, recipe_behind(server, place.folder, settings={"max_tokens": 63}))
            asked = {prompt: answer(prompt) for prompt in server.asked}
        assert live.height == len(asked) > 1200 and accuracy > 0.85
        assert live["logits"].null_count() == sum(question_in(prompt) in INVENTED for prompt in asked) > 100

        with a_place(tmp_path / "by_batch", baselines=False) as place:
            file = recipe_behind(server, place.folder, settings={"max_tokens": 65})  # so that the first is not found
            requests, replies, before = place.folder / "requests.jsonl", place.folder / "output.jsonl", server.calls
            assert write_requests(place.builds, file, requests).requests == live.height
            answer_a_batch(server, requests, replies)
            found = read_replies(place.builds, file, replies)
            assert found.all_is_well and found.taken == live.height
            by_batch, same = signal_of(place, file)
            assert by_batch.equals(live) and same == accuracy
            twice = min(ASKED_TWICE, place.newest(PROMPTS, BASE).facts(PromptFacts).validation)
            assert server.calls == before + live.height + twice + file.recipe.limits.canary_flips_prompts

        with a_place(tmp_path / "asked", baselines=False) as place:
            (place.folder / "prompt.md").write_text("{fields}\nQuestion: {text}\n")
            file = recipe_of_records(
                place.folder, source=str(place.folder / "said.jsonl"), answers={"format": "batch"},
                ask={"model": "large", "prompt": str(place.folder / "prompt.md")}, changed=SEEN,
            )  # fmt: skip
            assert check(Recipes((file,), ())).mistakes.keys() == {"small"}, "nobody has asked yet"
            requests = place.folder / "requests.jsonl"
            assert write_requests(place.builds, file, requests).requests == live.height
            answer_a_batch(server, requests, place.folder / "said.jsonl")
            rest = write_requests(place.builds, file, place.folder / "rest.jsonl")
            assert rest.requests == live["logits"].null_count(), "what it invented is no answer"
            stored, same = signal_of(place, file)
            assert stored.equals(live) and same == accuracy

    for written in (as_table, as_conversations, as_batch):
        with a_place(tmp_path / written.__name__, baselines=False) as place:
            how = written(asked, place.folder)
            file = recipe_of_records(place.folder, source=str(place.folder / "answers.jsonl"), **how)
            stored, same = signal_of(place, file)
            assert stored.equals(live) and same == accuracy, written.__name__


def test_a_file_and_a_server_are_copied_together(tmp_path: Path) -> None:
    """Rows on which they disagree are left out; of what one invents the other knows the record."""

    def other(prompt: str) -> str:
        text = question_in(prompt)
        said = json.loads(RECORDS[text])
        return json.dumps({**said, "currency": "EUR"} if len(text) % 12 == 0 else said)

    with a_place(tmp_path, baselines=False) as place, serving(Server(other)) as server:
        of_both = {
            "revision": "test", "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
            "minimum_accuracy": 0.7,
        }  # fmt: skip
        (place.folder / "prompt.md").write_text("{fields}\nQuestion: {text}\n")
        asked = behind(server, place.folder, settings={"max_tokens": 66})
        members = {
            "kept": {**of_both, "kind": "stored", "source": str(place.folder / "replies.csv")},
            "asked": {**of_both, **{name: each for name, each in asked.items() if each}},
        }
        learning = {"learning_rate": 1e-3, "max_tokens": 48, "epochs": 4, "loss": "kl"}
        students = [
            {"name": "one", "layers": [0, 1], "training": learning},
            {"name": "weighed", "layers": [0, 1], "weigh_by_agreement": True, "training": learning},
        ]
        whole = {"kind": "ensemble", "ensemble": {"members": members, "agree_at_least": 1.0},
                 "reason": "Two see more than one.", "minimum_accuracy": 0.8}  # fmt: skip
        file = recipe_of_records(place.folder, changed={"teacher": whole, "students": students, **SEEN})
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [f"{gate.name}: {gate.finding}" for gate in outcome.closed]
        said = rows_of(place)
        assert said["failure"].null_count() == said.height, "what one invents the other has answered"
        apart = said.filter(pl.col("disagreement") > 0)
        assert 0 < apart.height < said.height / 8 and not {*apart["text"]} & INVENTED
        rejects = place.newest(TRANSFER_SET).frame("rejects")
        left_out = rejects.filter(pl.col("reason") == RejectReason.MEMBERS_DISAGREE)
        assert {*left_out["text"]} == {*apart.filter(pl.col("split") == "train")["text"]} and left_out.height > 0
        assert {each.name for each in read_members(place.newest(EVALUATION).folder)} == {*members}
        (ablation,) = read_ablations(place.newest(EVALUATION).folder)
        assert (ablation.student, ablation.control, ablation.against) == ("weighed", "one", "unweighted")
        told = audit_teachers_row(place.home, "small", apart["prompt_id"][0])
        assert told.ok and {*told.members} == {*members}
        records = {name: json.loads(str(each.answer)) for name, each in told.members.items()}
        assert records["kept"] != records["asked"] and records["kept"]["payee"] in told.text, "in words, and no places"
        assert audit_recipe(place.home, "small").ok


RECORDS = dict(sentences(ROWS).select("text", "record").iter_rows())


def test_a_person_reviews_records_in_words(tmp_path: Path) -> None:
    with a_place(tmp_path, baselines=False) as place:
        file = recipe_of_records(place.folder, review={"size": 60, "defect_limit": 0.2})
        found = verdicts(place.run(file, *UP_TO_THE_SIGNAL))
        assert [name for name, is_open in found.items() if not is_open] == ["a_person_accepts_a_sample"]
        path = review_path(place.home, "small", place.newest(TEACHER_SIGNAL, BASE))
        with path.open(encoding="utf-8-sig", newline="") as file_of_people:
            drawn = list(csv.DictReader(file_of_people))
        assert len(drawn) == 60
        right = {"payee", "due", "currency"}
        assert all({*json.loads(row["answer"])} == right for row in drawn)
        assert all(json.loads(row["answer"])["payee"] in row["text"] for row in drawn)
        with path.open("w", encoding="utf-8-sig", newline="") as file_of_people:
            writer = csv.DictWriter(file_of_people, drawn[0].keys())
            writer.writeheader()
            writer.writerows({**row, "correct": "yes", "reviewer": "ada"} for row in drawn)
        assert verdicts(place.run(file, TEACHER_SIGNAL))["a_person_accepts_a_sample"]


def recipe_of_an_encoder(folder: Path) -> RecipeFile:
    learning = {"learning_rate": 1e-3, "max_tokens": 48}
    teacher = {
        "source": str(small_teacher(folder / "encoder")), "revision": "test", "licence": "Apache-2.0",
        "training_on_outputs": "allowed", "reason": "It has learned from what people read.",
        "minimum_accuracy": 0.7, "training": {**learning, "epochs": 4, "loss": "labels"},
        "neighbours_kept_at_least": 0.01,
    }  # fmt: skip
    states = [{"embedding_loss": "cosine", "weight": 0.2, "layers": "as_cut"}]
    copying = {**learning, "epochs": 4, "loss": "kl", "embedding_weight": 0.2, "mixture": states}
    students = [{"name": "half", "layers": [0], "training": copying}]
    changed = {
        "teacher": teacher, "base": None, "students": students, "bar": {"margin": 0.15}, "slices": [],
        "budget": {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 3}, "data__hidden_label_share": 0.3,
    }  # fmt: skip
    return recipe_of_records(folder, changed=changed)


def test_an_encoder_learns_records_from_the_rows_and_is_copied_into_half_of_it(tmp_path: Path, shared: Path) -> None:
    """No language model has to be asked where people have labelled rows."""
    with a_place(tmp_path / "judged", seeded=shared) as place:
        file = recipe_of_an_encoder(place.folder)
        result = place.run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES)
        assert not failures(result), failures(result)
        judged = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}
        assert tuple(judged) == options_of(file.recipe)
        teacher = judged["int8 teacher"].teacher.accuracy
        assert teacher > 0.85 and judged["int8 teacher"].score.accuracy == pytest.approx(teacher, abs=0.05)
        assert judged["pruned teacher"].score.accuracy < judged["int8 teacher"].score.accuracy + 0.01
    with a_place(tmp_path / "copied", seeded=shared, baselines=False) as place:
        file = recipe_of_an_encoder(place.folder)
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [f"{gate.name}: {gate.finding}" for gate in outcome.closed]
        facts = place.newest(TEACHER).facts(TeacherFacts)
        assert facts.record == file.recipe.data.record and facts.validation_accuracy > 0.85
        assert facts.neighbours is not None and facts.neighbours.kept > 0
        said = rows_of(place)
        assert said["failure"].null_count() == said.height
        (asked,) = predict(place.builds, file, [BILL]).answers
        assert json.loads(asked.label) == RECORD and audit_recipe(place.home, "small").ok
