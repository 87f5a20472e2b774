"""Records that are taken out of texts: from rows and a file of a language model's answers to a champion that is asked.

One in ten of the answers has a value that the model invented. The bar first asks more of one field than a student can
show, and then less.
"""

import json
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from checks.gate_states import GateState
from orchestration.approvals import amend_bar
from orchestration.auditing import audit_recipe, audit_teachers_row
from orchestration.recipe_check import check
from orchestration.run import Outcome, distil
from orchestration.serving import champion_bundle, predict
from orchestration.terminal import Terminal
from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.rejects import RejectReason
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.planning import plan
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.records.builds import BuildStore
from stillhouse.release.standalone import LOADER, write_standalone
from stillhouse.serving.loaded import load
from stillhouse.stages.baselines import options_of
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import BASE, BASELINES, EVALUATION, PROMPTS, SOURCE, TEACHER, TRANSFER_SET
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.records import RecordFault
from tests.conftest import Place, a_place
from tests.slots import FIELDS, WORDS_AT_MOST, answered, sentences
from tests.small import small_recipe, small_teacher
from tests.stillhouse.serving.server import serving

pytestmark = pytest.mark.slow

ROWS = 1600
BILL = "The star hotel asked for euro by 1931 . What is a fear of snakes ?"
RECORD = {"payee": "star hotel", "due": "1931", "currency": "EUR"}


def recipe_of_records(
    folder: Path,
    *,
    floor: float = 0.8,
    rows: int = ROWS,
    changed: dict[str, Any] | None = None,
    **teacher: Any,
) -> RecipeFile:
    """With a file of answers, or a teacher that is said otherwise; one of its students learns from labels alone.

    Of fields the payee has this floor, and the currency a margin.
    """
    known = sentences(rows)
    answered(known).select("text", "answer").write_csv(folder / "replies.csv")
    broken = pl.DataFrame({
        "text": ["Pay the bank of nowhere in dollar", "Pay somebody in euro"],
        "record": [json.dumps({"payee": "Acme Holdings", "currency": "USD"}), "somebody"], "order": ["0", "0"],
    })  # fmt: skip
    pl.concat([known, broken]).write_csv(folder / "questions.csv")
    learning = {"learning_rate": 1e-3, "max_tokens": 48}
    stored = {
        "kind": "stored", "source": str(folder / "replies.csv"), "revision": "a large model, in October",
        "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
        "minimum_accuracy": 0.8,
    }  # fmt: skip
    students = [
        {"name": "one", "layers": [0, 1], "training": {**learning, "epochs": 4, "loss": "kl"}},
        {"name": "one_labels", "layers": [0, 1], "learns_from": "labels",
         "training": {**learning, "epochs": 1, "loss": "labels"}},
    ]  # fmt: skip
    data = {
        "source": str(folder / "questions.csv"), "text": "text", "label": "record", "licence": "research",
        "answer": "fields", "fields": FIELDS, "words_at_most": WORDS_AT_MOST, "hidden_label_share": 0.8,
    }  # fmt: skip
    about: dict[str, Any] = {
        "task": "Take out of a letter who is to be paid, by when and in what.", "teacher": {**stored, **teacher},
        "data": data,
        "base": {"source": str(small_teacher(folder / "teacher")), "revision": "test", "licence": "Apache-2.0"},
        "students": students, "budget": {"latency_ms_at_most": 1000, "size_mb_at_most": 30},
        "bar": {"margin": 0.1, "fields": {
            "payee": {"critical": True, "floor": floor}, "currency": {"critical": True, "margin": 0.08},
        }},
        "slices": [{"name": "orders", "column": "order", "values": ["0"], "critical": True, "margin": 0.1}],
        "limits": {"unanswered_prompts_at_most": 0.15},  # it invents one in ten, and that is known
    }  # fmt: skip
    return small_recipe(folder, **{**about, **(changed or {})})


def test_where_rules_do_there_is_no_need_of_a_student(tmp_path: Path) -> None:
    """Rows that a program wrote have rules that a linear model finds, and the run stops before anything is trained."""
    with a_place(tmp_path) as place:
        file = recipe_of_records(place.folder)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.ends_well and [gate.name for gate in outcome.closed] == ["no_baseline_clears_the_bar"]
        judged = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}
    assert tuple(judged) == options_of(file.recipe) and judged["majority class"].score.accuracy < 0.3
    rules = judged["linear model on words and shapes"]
    assert rules.verdict is Verdict.PASS and rules.score.accuracy > 0.98 > rules.teacher.accuracy


def test_options_are_judged_by_f1_of_fields_where_the_bar_goes_by_it(tmp_path: Path) -> None:
    """The same rows: of values the answer that all rows get has some right, of records next to none."""
    with a_place(tmp_path) as place:
        file = recipe_of_records(place.folder, changed={"bar": {"metric": "field_f1", "margin": 0.05}, "slices": []})
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert [gate.name for gate in outcome.closed] == ["no_baseline_clears_the_bar"]
        judged = {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}
        prompts = place.newest(PROMPTS, BASE).frame("prompts").filter(pl.col("split") == "golden")
    (claim,) = plan(prompts, file.recipe.bar, ()).claims
    assert claim.name == "all golden rows, as field F1 weighs them" and 0.9 < claim.rows / prompts.height < 1
    for each in judged.values():
        assert each.metric_test is not None and each.of_fields is not None and each.metric_test.metric == "field_f1"
        assert each.metric_test.student == each.score.of_bar == each.of_fields.micro_f1
    majority, rules = judged["majority class"], judged["linear model on words and shapes"]
    assert majority.verdict is Verdict.FAIL and majority.score.accuracy < majority.of_fields.micro_f1 < 0.7
    assert rules.verdict is Verdict.PASS and rules.claims[0].sentence.startswith("field F1 within 5.0 points")


@dataclass(frozen=True)
class Round:
    """A round that was run."""

    place: Place
    file: RecipeFile
    outcome: Outcome
    closed: dict[str, GateState]
    """Gates of the round before, under a bar that asked too much of one field."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    with a_place(tmp_path_factory.mktemp("records"), baselines=False) as place:
        strict = recipe_of_records(place.folder, floor=0.999)
        assert check(Recipes((strict,), ())).all_is_well
        closed = {gate.name: gate for gate in distil(strict, place.home, Terminal(quiet=True)).closed}
        file = recipe_of_records(place.folder, floor=0.8)
        amend_bar(place.builds, file, by="Ann", reason="four payees of five are enough here")
        yield Round(place, file, distil(file, place.home, Terminal(quiet=True)), closed)


def test_records_are_run_to_a_champion(ran: Round) -> None:
    assert ran.outcome.succeeded, [f"{gate.name}: {gate.sentence}" for gate in ran.outcome.closed]


def test_a_critical_field_that_does_not_hold_closes_the_gate_with_its_name(ran: Round) -> None:
    said = ran.closed["a_student_clears_the_bar"].sentence
    assert "accuracy of 'payee'" in said and "the floor of 99.9%" in said, said


def test_fields_that_hold_pass_each_by_itself(ran: Round) -> None:
    report = json.loads((ran.place.newest("release").folder / "report.json").read_text())
    claims = {each["name"]: each for each in report["claims"]}
    for name in ("field/payee", "field_floor/payee", "field/currency"):
        assert (claims[name]["verdict"], claims[name]["binding"]) == ("pass", True)
    assert [(each["name"], each.get("is_field", False)) for each in report["slices"]] == [
        ("orders", False), ("currency", True), ("payee", True),
    ]  # fmt: skip
    card = (ran.place.newest("release").folder / "README.md").read_text()
    assert "| field payee |" in card and "accuracy of 'payee' holds the floor of 80.0%" in card


def test_what_the_model_invented_is_in_the_reject_ledger_with_its_reason(ran: Round) -> None:
    prompts = ran.place.newest(PROMPTS, BASE).frame("prompts")
    rejects = ran.place.newest(TRANSFER_SET).frame("rejects")
    invented = answered(sentences(ROWS)).filter("invented")["text"]
    trained = prompts.filter((pl.col("split") == "train") & pl.col("text").is_in(invented.implode()))["text"]
    assert sorted(rejects["text"]) == sorted(trained) and len(trained) > 50
    assert set(rejects["reason"]) == {RejectReason.NO_ANSWER.value}
    assert set(rejects["detail"]) == {RecordFault.NOT_IN_TEXT.value}
    facts = ran.place.newest(TEACHER).facts(TeacherFacts)
    assert facts.said is not None and facts.said.failures == {RecordFault.NOT_IN_TEXT.value: len(invented)}
    assert facts.said.accuracy > 0.97, "of what it did not invent all is right"


def test_a_row_whose_label_is_none_of_its_text_is_left_out_with_its_reason(ran: Round) -> None:
    unread, lost = (ran.place.newest(stage, BASE).frame("rejects") for stage in (SOURCE, PROMPTS))
    assert unread.select("text", "reason").rows() == [("Pay somebody in euro", RejectReason.NO_RECORD.value)]
    found = lost.filter(pl.col("reason") == RejectReason.NO_SUCH_VALUE.value)
    assert found.select("text", "detail").rows() == [("Pay the bank of nowhere in dollar", "payee is not in the text")]


def test_the_report_counts_whole_records_and_each_field(ran: Round) -> None:
    report = json.loads((ran.place.newest("release").folder / "report.json").read_text())
    fields = {each["name"]: each for each in report["of_fields"]["fields"]}
    assert (report["verdict"], report["student"]["name"]) == ("pass", "one") and set(fields) == set(FIELDS)
    assert report["teacher"]["accuracy"] == pytest.approx(0.9, abs=0.05), "what it invented is wrong"
    assert fields["payee"]["teacher_accuracy"] == pytest.approx(0.9, abs=0.05)
    assert report["student"]["accuracy"] > 0.9 and report["of_fields"]["micro_f1"] > 0.9
    assert report["student"]["accuracy"] <= min(each["accuracy"] for each in fields.values())
    (majority,) = (each for each in report["others"] if each["name"] == "majority class")
    assert majority["accuracy"] < 0.3 and report["student"]["macro_f1"] is None
    assert report["student"]["expected_calibration_error"] is None
    judged = {each.name: each for each in read_evaluations(ran.place.newest(EVALUATION).folder)}
    assert judged["one_labels"].regressions, "what one epoch on a fifth of the labels is worth"
    for row in judged["one_labels"].regressions:
        assert json.loads(row.label)["payee"] in row.text, "people read words and no places"
    page = (ran.place.home.reports / "small.html").read_text()
    assert "Which fields are right?" in page and "payee" in page
    card = (ran.place.newest("release").folder / "README.md").read_text()
    assert "a record of currency, due, payee" in card and "| payee right |" in card and "F1 of values" in card


def test_an_audit_follows_a_row_to_what_the_model_said_of_it(ran: Round) -> None:
    assert audit_recipe(ran.place.home, "small").ok
    invented = answered(sentences(ROWS)).filter("invented")["text"]
    prompts = ran.place.newest(PROMPTS, BASE).frame("prompts").filter(pl.col("split") == "train")
    text = prompts.filter(pl.col("text").is_in(invented.implode()))["text"][0]
    told = audit_teachers_row(ran.place.home, "small", prompt_ids(pl.Series([text]))[0])
    assert not told.taught and told.because == f"{RejectReason.NO_ANSWER}: {RecordFault.NOT_IN_TEXT}"
    assert told.said.answer is None and "Acme Holdings" in str(told.said.raw)
    text = prompts.filter(~pl.col("text").is_in(invented.implode()))["text"][0]
    told = audit_teachers_row(ran.place.home, "small", prompt_ids(pl.Series([text]))[0])
    assert told.taught and json.loads(str(told.said.answer))["payee"] in text


def test_the_champion_answers_with_a_record_wherever_it_is_asked(ran: Round, tmp_path: Path) -> None:
    builds = BuildStore(ran.place.home)
    (asked,) = predict(builds, ran.file, [f"  {BILL}"]).answers
    served, folder = champion_bundle(builds, ran.file)
    said = load(folder).answer(BILL)
    assert said.label == asked.label and json.loads(said.label) == RECORD
    assert said.confidence == pytest.approx(asked.confidence, abs=1e-4) and said.tokens > 10
    loaded = load(folder)
    assert loaded.prove().endswith("texts are answered as where it was judged")
    loaded.warm_up()
    write_standalone(folder, served.release, tmp_path / "exported")
    values, probability = runpy.run_path(str(tmp_path / "exported" / LOADER))["record"](f"  {BILL}")
    assert values == RECORD and probability == pytest.approx(asked.confidence, abs=1e-3)


def test_a_served_answer_is_that_record_as_json(ran: Round, tmp_path: Path) -> None:
    with serving("small", ran.place.folder / "recipes", tmp_path / "errors") as server:
        answer = server.ask("small", text=BILL)
        assert json.loads(answer["label"]) == RECORD and answer["confidence"] > 0 and "labels" not in answer
        connection = server.connect()
        connection.request("GET", "/openapi.json")
        schemas = json.loads(connection.getresponse().read())["components"]["schemas"]
        assert "enum" not in schemas["small.Answer"]["properties"]["label"]
