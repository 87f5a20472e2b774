"""Records in a running installation: kept without a word of a text, replayed, on their way to champion, taken back.

Of their fields one is words, one a date, one a number and one a choice; a text has the middle two in several spellings.
Real rounds, a real server, the ledger that it follows and a real Dagster instance. The tests are steps on the way of
one recipe and run in order. The same ways with single labels are in test_rollout_way.py and test_live.py, with sets of
labels in test_live_sets.py, with numbers in test_live_numbers.py.
"""

import json
import re
import runpy
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import time_machine
from starlette.testclient import TestClient

import orchestration.watch
import stillhouse.stages.shadow
from orchestration.auditing import audit_recipe, audit_request
from orchestration.deployments import name_what_serves_if_free
from orchestration.rollout import look, replay_now
from orchestration.watch import ask, book_of
from orchestration.watch import look as watched
from stillhouse.data.cleaning import prompt_ids
from stillhouse.errors import StillhouseError
from stillhouse.live.estimate import of_this_secret
from stillhouse.live.findings import Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.teacher import TeacherSpec
from stillhouse.release.standalone import LOADER
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.live_report import LiveFacts
from stillhouse.stages.names import LIVE_REPORT, SHADOW, TRAFFIC
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.stages.traffic import TrafficFacts
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import placed, record_in_cell, spelled_out
from tests.conftest import Place
from tests.orchestration import live_steps
from tests.orchestration.live_steps import (
    Said,
    answers_half_of_the_callers,
    becomes_champion,
    erase,
    logits_of,
    made,
    no_class_for_quarantine,
    quarantine,
    tell,
    two_in_line,
)
from tests.orchestration.served import a_server, now
from tests.slots import READ, WORDS_AT_MOST, answered, sentences
from tests.small import small_recipe, small_teacher
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

ROWS = 1_200
TASK = Extraction(RecordSpec.model_validate({"fields": READ, "words": WORDS_AT_MOST}))
ASKED = sentences(2_000, read=True)[ROWS:].head(500)
TEXTS = ASKED["text"].to_list()
"""Of the kind of the rows, and nobody has trained on them."""
TRUTH = {text: json.loads(record) for text, record in ASKED.select("text", "record").rows()}
RELEASES: dict[str, str] = {}


def order_of(text: str) -> str:
    """Which of the sentences it is, as its caller says."""
    return _orders()[text]


@cache
def _orders() -> dict[str, str]:
    return dict(ASKED.select("text", "order").iter_rows())


def recipe(place: Place, epochs: int, **changes: Any) -> RecipeFile:
    """Students that differ in how much they learned, under a bar that any of them clears."""
    folder = place.folder
    if not (folder / "letters.csv").exists():
        rows = sentences(2_000, read=True)[:ROWS]
        rows.write_csv(folder / "letters.csv")
        answered(rows).select("text", "answer").write_csv(folder / "replies.csv")
        small_teacher(folder / "base")
    stored = {
        "kind": "stored", "source": str(folder / "replies.csv"), "revision": "a large model, in October",
        "licence": "its terms", "training_on_outputs": "allowed", "reason": "It answers today.",
        "minimum_accuracy": 0.8,
    }  # fmt: skip
    training = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 48, "loss": "kl"}
    return small_recipe(
        folder, **{
            "task": "Take out of a letter who is to be paid, by when and in what.", "teacher": stored,
            "data": {"source": str(folder / "letters.csv"), "text": "text", "label": "record", "licence": "research",
                     "answer": "fields", "fields": READ, "words_at_most": WORDS_AT_MOST, "hidden_label_share": 0.5},
            "base": {"source": str(folder / "base"), "revision": "test", "licence": "Apache-2.0"},
            "students": [{"name": "one", "layers": [0, 1], "training": training}],
            "bar": {"margin": 0.45, "champion_margin": 0.3},
            "budget": {"latency_ms_at_most": 1000, "size_mb_at_most": 30},
            "slices": [{"name": "orders", "column": "order", "values": ["0"], "critical": True, "margin": 0.5}],
            "serving": {"request_columns": ["order"]},
            "limits": {"unanswered_prompts_at_most": 0.15, "int8_agreement_at_least": 0.5},
            "rollout": {"shadow": {"margin": 0.3, "judge_by": "truth"},
                        "canary": {"shares": [0.5], "hours_at_least": 1, "slow_ms": 2_000}},
            "traffic": {"feedback": "complete", "matures_after_days": 0},
            "watch": {"latency_ms": 1_000.0, "agreement_tolerance": 0.1}, **changes,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("live_records"), seeded=shared, baselines=False) as place:
        yield place


def predict(client: TestClient, text: str, caller: int) -> Said:
    said = live_steps.predict(client, text, caller, order=order_of(text))
    assert said["record"] == json.loads(said["label"]) and {*said["record"]} == {*READ}
    return said


def records_of(place: Place, release: str, texts: Sequence[str]) -> list[dict[str, str | float | None]]:
    """What the model of a release says, asked without a server."""
    places = TASK.written(TASK.answers(logits_of(place, release, texts)))
    return [json.loads(spelled_out(each, text, TASK.spec)) for each, text in zip(places, texts, strict=True)]


def is_right(said: dict[str, str | float | None], text: str) -> bool:
    """By hand: all fields, words in whatever case, numbers and dates by their values."""
    true = {**dict.fromkeys(READ), **TRUTH[text]}
    return {**said, "payee": str(said["payee"]).casefold()} == {**true, "payee": str(true["payee"]).casefold()}


def said_otherwise(text: str) -> dict[str, Any]:
    """What is true, its number and its date in another spelling."""
    truth = TRUTH[text]
    german = f"{truth['total']:,.2f}".translate(str.maketrans(",.", ".,"))
    due = {"due": f"{date.fromisoformat(truth['due']):%d. %B %Y}"} if "due" in truth else {}
    return {**truth, "total": german, **due}


def test_a_release_of_records_serves_and_the_next_one_is_offered_to_the_shadow(place: Place) -> None:
    RELEASES.update(two_in_line(place, lambda: recipe(place, 2), lambda: recipe(place, 4)))


def test_what_was_answered_is_kept_without_its_words_and_leads_back_to_its_rows(place: Place) -> None:
    with a_server(place, recipe(place, 4)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:200])]
        for number, (each, text) in enumerate(zip(said, TEXTS[:200], strict=True)):
            tell(client, each, (TRUTH[text], json.dumps(TRUTH[text]), said_otherwise(text))[number % 3])
    assert [each["record"] for each in said] == records_of(place, RELEASES["first"], TEXTS[:200])
    store = TrafficStore(place.home.artifacts, "small")
    (day,) = store.days()
    rows, told = store.frame(day, "requests"), store.frame(day, "feedback")
    right = rows.join(told.select("id", "truth"), on="id", maintain_order="left").sort("number")
    assert right.select(pl.col("label") == pl.col("truth")).to_series().to_list() == [
        is_right(each["record"], text) for each, text in zip(said, TEXTS[:200], strict=True)
    ]
    for each in [*rows["label"], *told["truth"]]:
        held = json.loads(each)
        assert held.pop("currency") in READ["currency"]["of"]
        assert held["due"] is None or held["due"][1] == "date"
        assert (held["payee"][1] in (1, 2)) and (held["total"] is None or held["total"][1] == "number")
        assert all(value is None or re.fullmatch("[a-p]{16}", value[0]) for value in held.values())
    found = audit_request(place.home, "small", said[0]["id"])
    assert (found.release, found.problems, found.ok) == (RELEASES["first"], (), True)
    assert found.label == rows.sort("number")["label"][0]


def test_a_release_is_replayed_beside_it_and_judged_by_what_people_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can ask a file about a new text: a stored teacher judges nothing, and truth has to mature first."""
    file, texts, later = recipe(place, 4), TEXTS[:200], time.time() + 2 * SECONDS_A_DAY
    monkeypatch.setattr(stillhouse.stages.shadow, "time", SimpleNamespace(time=lambda: later))
    assert replay_now(place.instance, place.builds, file)
    facts = place.newest(SHADOW).facts(ShadowFacts)
    first, second = (records_of(place, RELEASES[name], texts) for name in ("first", "second"))
    right = [
        (is_right(one, text), is_right(other, text)) for one, other, text in zip(first, second, texts, strict=True)
    ]
    overall = facts.overall
    assert (overall.rows, overall.unanswered, facts.asked) == (200, 0, 0)
    assert overall.differ == sum(one != other for one, other in zip(first, second, strict=True))
    assert (overall.lost, overall.won) == (right.count((True, False)), right.count((False, True)))
    assert overall.both_right == right.count((True, True)) and overall.won > 0, "this test could fail"
    assert facts.parts["orders"].rows == sum(order_of(text) == "0" for text in texts)
    step = look(place.instance, place.builds, file)
    assert step.sentence.endswith("has shown enough in the shadow and answers 50% of the callers"), step.sentence


def test_people_are_given_the_texts_that_the_two_answer_otherwise(place: Place) -> None:
    harvested = command("harvest", "small", "--differing")
    assert harvested.exit_code == 0, harvested.output
    (path,) = place.home.inbox("small").glob("harvest-*.ndjson")
    given = {row["text"]: row["record"] for row in map(json.loads, path.read_text().splitlines())}
    first, second = (records_of(place, RELEASES[name], [*given]) for name in ("first", "second"))
    assert len(given) > 10 and all(one != other for one, other in zip(first, second, strict=True))
    told = {text: json.loads(record) for text, record in given.items() if record is not None}
    assert all({n: v for n, v in said.items() if v is not None} == TRUTH[text] for text, said in told.items()) and told
    path.unlink()


def test_it_answers_its_share_of_the_callers_and_becomes_the_champion(place: Place) -> None:
    file, texts = recipe(place, 4), TEXTS[:260]
    with a_server(place, recipe(place, 4)) as client:
        said = [predict(client, text, number) for number, text in enumerate(texts)]
    expected = {name: records_of(place, release, texts) for name, release in RELEASES.items()}
    answers_half_of_the_callers(place, said, RELEASES, expected, "record")
    becomes_champion(place, file, RELEASES["second"])


def test_live_truth_is_a_figure_of_the_golden_kind_and_answers_are_watched_by_field(place: Place) -> None:
    file, texts = recipe(place, 4), TEXTS[200:]
    assert not watched(place.builds, file, at=time.time() - 60).findings
    with a_server(place, recipe(place, 4)) as client:
        said = [predict(client, text, 2_000 + number) for number, text in enumerate(texts)]
        own = [(each, text) for each, text in zip(said, texts, strict=True) if each["release"] == RELEASES["second"]]
        for each, text in own:
            tell(client, each, TRUTH[text])
    assert len(own) > 100
    assert not ask(place.builds, file, at=time.time()).findings, (
        "what golden rows show is no finding, and nobody is asked"
    )
    state = book_of(place.builds, file).read().state
    assert state is not None and state.reference.of_records and state.share_asked == 0
    counts, rows = state.reference.labels, state.reference.rows
    assert counts["currency: EUR"] + counts["currency: USD"] == counts["due: a date"] + counts["due: no value"] == rows
    assert counts["total: a number"] + counts["total: no value"] == rows and counts["due: no value"] > 0
    assert {"field due: no value rises", "field payee: 2 words falls", "truth", "errors"} <= state.bets.keys()
    assert {"field due: a date rises", "field total: no value rises"} <= state.bets.keys()
    golden = 1 - state.reference.wrong / state.reference.labelled
    prompts = place.newest("prompts", "base").frame("prompts").filter(pl.col("split") == "golden")
    logits = logits_of(place, RELEASES["second"], prompts["text"].to_list())
    assert golden == pytest.approx(TASK.right(logits, TASK.targets(prompts["label"])).mean())
    gates = made(place, file, LIVE_REPORT, day_at(time.time()))
    assert all(each.passed for each in gates.values()), [each.description for each in gates.values() if not each.passed]
    facts = place.newest(LIVE_REPORT, day_at(time.time())).facts(LiveFacts)
    assert {each.kind for each in facts.shares} >= {"field", "length", "unsure", "errors"}
    assert not [each for each in facts.shares if each.kind == "label"] and facts.agreement is None
    right = sum(is_right(each["record"], text) for each, text in own)
    assert facts.truth.known >= len(own) and facts.truth.right >= right > 0
    shown = command("live", "small")
    assert shown.exit_code == 0 and "field currency: EUR" in shown.output


def test_a_teacher_that_can_be_asked_agrees_where_it_means_the_same_words(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored one cannot: here it says what is true of new texts as well, and its canary is the real one."""
    monkeypatch.setattr(TeacherSpec, "answers_new_texts", property(lambda _: True))
    asked = list[str]()

    def says(_: object, __: object, ___: object, texts: Sequence[str], *, at: float) -> pl.DataFrame:
        asked.extend(texts)
        said = [placed(record_in_cell(json.dumps(TRUTH[text]), TASK.spec), text, TASK.spec) for text in texts]
        return pl.DataFrame({"answer": said}).with_columns(prompt_ids(pl.Series(list(texts), dtype=pl.String)))

    monkeypatch.setattr(orchestration.watch, "ask_live", says)
    file = recipe(place, 4, watch={"latency_ms": 1_000.0, "agreement_tolerance": 0.1, "ask_teacher": 0.5})
    assert not watched(place.builds, file, at=time.time() - 30).findings
    with a_server(place, file) as client:
        said = [predict(client, text, 3_000 + number) for number, text in enumerate(TEXTS[:200])]
    found = ask(place.builds, file, at=time.time())
    assert found.state is not None and not found.findings and len(asked) > 50
    bets = found.state.bets["agreement"]
    wrong = sum(not is_right(each["record"], text) for each, text in zip(said, TEXTS, strict=False)) / len(said)
    assert bets.rows >= len(said) and bets.events / bets.rows == pytest.approx(wrong, abs=0.1) and wrong < 0.5
    ready = pl.DataFrame({"id": [said[0]["id"], f"x{said[0]['id'][1:]}"]})
    is_ours = RequestIds.of(place.home.serving).is_ours
    assert of_this_secret(ready, is_ours)["id"].to_list() == [said[0]["id"]]


def test_texts_are_harvested_with_the_records_that_people_said_and_erased(place: Place) -> None:
    harvested = command("harvest", "small", "--rows", "40")
    assert harvested.exit_code == 0, harvested.output
    (path,) = place.home.inbox("small").glob("harvest-*.ndjson")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    said = {row["text"]: json.loads(row["record"]) for row in rows if row["record"] is not None}
    assert len(rows) == 40 and len(said) > 10
    for text, record in said.items():
        assert {name: value for name, value in record.items() if value is not None} == TRUTH[text]
    path.unlink()
    erase(place, 2_001)


def test_a_class_cannot_be_put_in_quarantine_and_a_column_can(place: Place) -> None:
    no_class_for_quarantine("EUR", "records")
    quarantine("orders")
    with a_server(place, recipe(place, 4)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:60])]
    expected = [RELEASES["first" if order_of(text) == "0" else "second"] for text in TEXTS[:60]]
    assert [each["release"] for each in said] == expected and len({*expected}) == 2


def test_the_champion_is_handed_over_as_files_that_say_what_the_server_says(place: Place) -> None:
    folder = place.folder / "handed_over"
    assert command("export", "small", str(folder)).exit_code == 0
    record = runpy.run_path(str(folder / LOADER))["record"]
    expected = records_of(place, RELEASES["second"], TEXTS[:50])
    assert [record(text)[0] for text in TEXTS[:50]] == expected


def test_records_that_are_wrong_have_the_release_taken_back(place: Place) -> None:
    file = recipe(place, 4)
    with a_server(place, recipe(place, 4)) as client:
        for number, text in enumerate(TEXTS):
            said = predict(client, text, 5_000 + number)
            if said["release"] == RELEASES["second"]:
                tell(client, said, {**said["record"], "payee": "somebody else"})
    found = watched(place.builds, file, at=time.time() + SECONDS_A_DAY)
    assert (FoundKind.TRUTH, Action.ROLL_BACK) in {(each.kind, each.action) for each in found.findings}, found.sentence
    assert now(place).champion.release == RELEASES["first"]
    with a_server(place, recipe(place, 4)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:20])]
    assert [each["record"] for each in said] == records_of(place, RELEASES["first"], TEXTS[:20])
    name_what_serves_if_free(place.instance, place.builds, file)  # as the sensor of the watch does
    assert audit_recipe(place.home, "small").problems == ()


def test_a_day_is_summed_up_by_field_when_it_has_ended(place: Place) -> None:
    store, day = TrafficStore(place.home.artifacts, "small"), day_at(time.time())
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=True):
        gates = made(place, recipe(place, 4), TRAFFIC, day)
    assert len(gates) == 4 and all(each.passed for each in gates.values()), gates
    artifact, kept = place.newest(TRAFFIC, day), store.frame(day, "requests")
    counted = artifact.frame("answers")
    assert artifact.facts(TrafficFacts).answers == kept.height == counted["rows"].sum()
    assert counted["label"].null_count() == counted.height
    fields = artifact.frame("fields")
    by_name = dict(fields.group_by("answered").agg(pl.col("rows").sum()).iter_rows())
    labels = [json.loads(label) for label in kept["label"]]
    assert by_name["currency: EUR"] == sum(each["currency"] == "EUR" for each in labels)
    assert by_name["due: no value"] == sum(each["due"] is None for each in labels)
    assert by_name["payee: 2 words"] == sum(each["payee"][1] == 2 for each in labels) > 0


def test_a_recipe_of_records_can_have_no_cascade(place: Place) -> None:
    with pytest.raises(StillhouseError, match=r"cascade: must be left out where data\.answer is fields"):
        recipe(place, 4, cascade={"margin": 0.02})
