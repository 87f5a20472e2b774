"""Numbers in a running installation: kept, watched, replayed, on their way to champion, taken back.

Real rounds, a real server, the ledger that it follows, a real Dagster instance and the real teacher. The tests are
steps on the way of one recipe and run in order. The same ways with single labels are in test_rollout_way.py and
test_live.py, with sets of labels in test_live_sets.py.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import time_machine
from starlette.testclient import TestClient

from orchestration.auditing import audit_recipe, audit_request
from orchestration.deployments import name_what_serves_if_free
from orchestration.live import LiveScreen
from orchestration.rollout import look, replay_now
from orchestration.watch import ask, book_of
from orchestration.watch import look as watched
from stillhouse.errors import StillhouseError
from stillhouse.live.findings import Action, FoundKind
from stillhouse.live.number_bins import bin_names
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at
from stillhouse.recipe.reading import RecipeFile
from stillhouse.serving.ids import RequestIds
from stillhouse.stages.live_report import LiveFacts
from stillhouse.stages.live_teacher import ask_live, teacher_behind
from stillhouse.stages.names import LIVE_REPORT, SHADOW, TRAFFIC
from stillhouse.stages.shadow import Replay, ShadowFacts, plan
from stillhouse.stages.traffic import TrafficFacts
from stillhouse.tasks.numbers import SPELLING, written_number
from stillhouse.tasks.score import NumericScore
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
from tests.small import questions, small_recipe, students_after
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

TASK = NumericScore(0, 3, 0.5)
URGENCY = {"HUM": 2.8, "LOC": 2.2, "NUM": 1.4, "DESC": 0.9}
ASKED = questions(1_800)[1_200:1_700]
TEXTS = ASKED["question"].to_list()
"""Of the kind of the rows, and nobody has trained on them."""
RELEASES: dict[str, str] = {}


@cache
def urgency_of(question: str) -> float:
    """What is true of a question: by what it asks for, and a little by its length."""
    (service,) = dict(questions(1_800).filter(question=question).select("question", "service").iter_rows()).values()
    return round(URGENCY.get(service, 0.2) + len(question) % 7 / 50, 2)


def channel_of(question: str) -> str:
    """By which way it came, as its caller says."""
    return "post" if len(question) % 3 == 0 else "web"


def recipe(place: Place, epochs: int, **changes: Any) -> RecipeFile:
    """Students that differ in how much they learned, under a bar that any of them clears."""
    rows = place.folder / "questions.csv"
    if not rows.exists():
        asked = questions(1_200)["question"].to_list()
        urgency, channel = map(urgency_of, asked), map(channel_of, asked)
        pl.DataFrame({"question": asked, "urgency": list(urgency), "channel": list(channel)}).write_csv(rows)
    students = students_after(epochs)
    students[0]["training"]["loss"] = "logit_mse"
    return small_recipe(
        place.folder, **{
            "data__label": "urgency", "data__answer": "score",
            "data__score": {"lowest": 0, "highest": 3, "tolerance": 0.5}, "data__hidden_label_share": 0.0,
            "students": students, "bar": {"margin": 0.6, "champion_margin": 0.3},
            "slices": [{"name": "by_post", "column": "channel", "values": ["post"], "critical": True, "margin": 0.6}],
            "serving": {"request_columns": ["channel"]}, "limits": {"int8_agreement_at_least": 0.8},
            "rollout": {"shadow": {"margin": 0.3}, "canary": {"shares": [0.5], "hours_at_least": 1, "slow_ms": 2_000}},
            "traffic": {"feedback": "complete", "matures_after_days": 0},
            "watch": {"ask_teacher": 0.5, "latency_ms": 1_000.0, "agreement_tolerance": 0.1}, **changes,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("live_numbers"), seeded=shared, baselines=False) as place:
        yield place


def predict(client: TestClient, text: str, caller: int) -> Said:
    said = live_steps.predict(client, text, caller, channel=channel_of(text))
    assert re.match(SPELLING, said["label"]) and said["confidence"] is None and "labels" not in said
    return said


def numbers_of(place: Place, release: str, texts: Sequence[str]) -> list[str]:
    """What the model of a release says, asked without a server."""
    return TASK.written(TASK.answers(logits_of(place, release, texts)))


def is_near(first: str, second: str) -> bool:
    """By hand: the rule by which a golden answer is right, with what rounding adds."""
    return abs(float(first) - float(second)) <= 0.5 + 1e-6


def test_a_release_of_numbers_serves_and_the_next_one_is_offered_to_the_shadow(place: Place) -> None:
    RELEASES.update(two_in_line(place, lambda: recipe(place, 3), lambda: recipe(place, 6)))


def test_what_was_answered_is_kept_with_its_truth_and_leads_back_to_its_rows(place: Place) -> None:
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:200])]
        for each, text in zip(said, TEXTS[:200], strict=True):
            tell(client, each, urgency_of(text))
        for odd in ("many", "3.1", True, ["1"], "1.50"):
            refused = client.post("/v1/small/feedback", json={"id": said[0]["id"], "truth": odd})
            assert refused.status_code == 422, odd
    assert [each["label"] for each in said] == numbers_of(place, RELEASES["first"], TEXTS[:200])
    store = TrafficStore(place.home.artifacts, "small")
    (day,) = store.days()
    truths = store.frame(day, "feedback")["truth"].to_list()
    assert truths == [written_number(urgency_of(text)) for text in TEXTS[:200]]
    found = audit_request(place.home, "small", said[0]["id"])
    assert (found.label, found.release, found.problems, found.ok) == (said[0]["label"], RELEASES["first"], (), True)


def test_a_release_is_replayed_beside_it_and_who_is_right_is_known_by_the_tolerance(place: Place) -> None:
    file, texts = recipe(place, 6), TEXTS[:200]
    assert replay_now(place.instance, place.builds, file)
    facts = place.newest(SHADOW).facts(ShadowFacts)
    first, second = (numbers_of(place, RELEASES[name], texts) for name in ("first", "second"))
    teacher = teacher_behind(place.builds, now(place).challenger.deployed)  # type: ignore[union-attr]
    says = ask_live(place.builds, file, teacher, texts, at=time.time())["answer"].to_list()
    right = [(is_near(one, said), is_near(other, said)) for one, other, said in zip(first, second, says, strict=True)]
    differ = sum(one != other for one, other in zip(first, second, strict=True))
    overall = facts.overall
    assert (overall.rows, overall.differ, overall.unanswered) == (200, differ, 0)
    assert (overall.lost, overall.won) == (right.count((True, False)), right.count((False, True)))
    assert 0 < overall.won < 200, "they do not answer alike, so that this test could fail"
    assert facts.tolerance == 0.5 and facts.parts["by_post"].rows == sum(channel_of(text) == "post" for text in texts)
    step = look(place.instance, place.builds, file)
    assert step.sentence.endswith("has shown enough in the shadow and answers 50% of the callers"), step.sentence


def test_truth_is_shown_beside_the_teacher_by_the_same_rule(place: Place) -> None:
    """Truths of today have not all matured; of tomorrow's look they have."""
    file, texts = recipe(place, 6), TEXTS[:200]
    key = RequestIds.of(place.home.serving).drawing_key
    later = Replay.of(file, place.builds, now(place), place.newest(SHADOW), key=key, at=time.time() + SECONDS_A_DAY)
    folder = place.folder / "looked"
    folder.mkdir()
    truth = plan(later).build(folder).truth
    first, second = (numbers_of(place, RELEASES[name], texts) for name in ("first", "second"))
    said = [written_number(urgency_of(text)) for text in texts]
    assert truth is not None
    found = truth.parts["all requests"]
    assert found.rows == 200
    assert found.champion_right == sum(map(is_near, first, said))
    assert found.challenger_right == sum(map(is_near, second, said))


def test_it_answers_its_share_of_the_callers_and_becomes_the_champion(place: Place) -> None:
    file, texts = recipe(place, 6), TEXTS[:260]
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(texts)]
    expected = {name: numbers_of(place, release, texts) for name, release in RELEASES.items()}
    answers_half_of_the_callers(place, said, RELEASES, expected)
    becomes_champion(place, file, RELEASES["second"])
    entries = place.builds.ledger.entries("small", "deployment")
    assert any('"lost"' in json.dumps(entry.body) for entry in entries), "the evidence that it was moved on by"


def test_live_agreement_and_truth_are_figures_of_the_golden_kind(place: Place) -> None:
    file, texts = recipe(place, 6), TEXTS[200:]
    assert not watched(place.builds, file, at=time.time() - 60).findings
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, 2_000 + number) for number, text in enumerate(texts)]
        own = [(each, text) for each, text in zip(said, texts, strict=True) if each["release"] == RELEASES["second"]]
        for each, text in own:
            tell(client, each, written_number(urgency_of(text)))
    assert len(own) > 100
    assert not ask(place.builds, file, at=time.time()).findings, "what golden rows show is no finding"
    state = book_of(place.builds, file).read().state
    assert state is not None and state.reference.tolerance == 0.5 and state.reference.labels == {}
    assert sum(state.reference.numbers) == state.reference.rows and "number" in " ".join(state.bets)
    golden = 1 - state.reference.wrong / state.reference.labelled
    prompts = place.newest("prompts", "base").frame("prompts").filter(pl.col("split") == "golden")
    answers = numbers_of(place, RELEASES["second"], prompts["text"].to_list())
    outputs = TASK.targets(pl.Series(answers))
    assert golden == pytest.approx(TASK.right(outputs[:, None], TASK.targets(prompts["label"])).mean())
    gates = made(place, file, LIVE_REPORT, day_at(time.time()))
    assert all(each.passed for each in gates.values()), [each.description for each in gates.values() if not each.passed]
    facts = place.newest(LIVE_REPORT, day_at(time.time())).facts(LiveFacts)
    assert facts.agreement is not None and facts.agreement.asked > 50
    assert {each.kind for each in facts.shares} >= {"number", "length"} and not [
        each for each in facts.shares if each.kind in ("label", "unsure")
    ]  # fmt: skip
    right = sum(is_near(each["label"], written_number(urgency_of(text))) for each, text in own)
    assert facts.truth.known >= len(own) and facts.truth.right >= right > 0
    shown = LiveScreen.model_validate_json(command("live", "small", "--json").output)
    assert shown.day.agreement == facts.agreement


def test_texts_are_harvested_with_the_numbers_that_people_said_and_erased(place: Place) -> None:
    with pytest.raises(StillhouseError, match="hardly ever give the same number"):
        command("harvest", "small", "--differing")
    harvested = command("harvest", "small", "--rows", "20")
    assert harvested.exit_code == 0, harvested.output
    (path,) = place.home.inbox("small").glob("harvest-*.ndjson")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    labels = {row["question"]: row["urgency"] for row in rows}
    assert len(rows) == 20 and all(said in (None, written_number(urgency_of(text))) for text, said in labels.items())
    path.unlink()
    erase(place, 2_001)


def test_a_class_cannot_be_put_in_quarantine_and_a_column_can(place: Place) -> None:
    no_class_for_quarantine("score", "numbers")
    quarantine("by_post")
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:60])]
    expected = [RELEASES["first" if channel_of(text) == "post" else "second"] for text in TEXTS[:60]]
    assert [each["release"] for each in said] == expected and len({*expected}) == 2


def test_numbers_that_are_wrong_have_the_release_taken_back(place: Place) -> None:
    file = recipe(place, 6)
    with a_server(place, recipe(place, 6)) as client:
        for number, text in enumerate(TEXTS):
            said = predict(client, text, 5_000 + number)
            if said["release"] == RELEASES["second"]:
                far = float(said["label"])
                tell(client, said, written_number(min(3.0, far + 1) if far < 1.5 else max(0.0, far - 1)))
    found = watched(place.builds, file, at=time.time() + SECONDS_A_DAY)
    assert (FoundKind.TRUTH, Action.ROLL_BACK) in {(each.kind, each.action) for each in found.findings}, found.sentence
    assert now(place).champion.release == RELEASES["first"]
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:20])]
    assert [each["label"] for each in said] == numbers_of(place, RELEASES["first"], TEXTS[:20])
    name_what_serves_if_free(place.instance, place.builds, file)  # as the sensor of the watch does
    assert audit_recipe(place.home, "small").problems == ()


def test_a_day_is_summed_up_by_tenths_when_it_has_ended(place: Place) -> None:
    store, day = TrafficStore(place.home.artifacts, "small"), day_at(time.time())
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=True):
        gates = made(place, recipe(place, 6), TRAFFIC, day)
    assert len(gates) == 4 and all(each.passed for each in gates.values()), gates
    facts, counted = place.newest(TRAFFIC, day).facts(TrafficFacts), place.newest(TRAFFIC, day).frame("answers")
    kept = store.frame(day, "requests")
    assert (facts.answers, facts.feedback) == (kept.height, store.frame(day, "feedback").height)
    assert counted["rows"].sum() == kept.height
    low = kept.filter(pl.col("label").cast(pl.Float64) < 0.3).height
    assert counted.filter(label="below 0.3")["rows"].sum() == low > 0
    assert {*counted["label"]} <= {*bin_names([number * 3 / 10 for number in range(1, 10)])}


def test_a_recipe_of_numbers_can_have_no_cascade(place: Place) -> None:
    with pytest.raises(
        StillhouseError, match=r"cascade: must be left out where data\.answer is score: .* a number has none"
    ):
        recipe(place, 6, cascade={"margin": 0.02})
