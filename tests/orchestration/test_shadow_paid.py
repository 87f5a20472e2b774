"""A release in the shadow whose teacher is paid for each answer: what it is asked about, the money, and what stays.

The server is a real one that counts its calls and its bill, and quotes each text in its reply. The tests are steps on
the way of one recipe and run in order. What the watch asks such a teacher is in test_live_paid.py.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.jobs import distil_job, ingest_job
from orchestration.rollout import move
from orchestration.run import distil
from orchestration.sensors import rounds_sensor
from orchestration.terminal import Terminal
from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import Challenger, DeployedRelease, Stage, desired
from stillhouse.release.bundle import MODEL
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.asking import call_log
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.statistics.verdicts import Verdict
from tests.conftest import Place, a_place
from tests.orchestration.elsewhere import mostly_right_about, small_recipe_elsewhere
from tests.orchestration.paid_teacher import answer, live_answers, text_in, why
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import questions
from tests.stillhouse.serving.killed import served

pytestmark = pytest.mark.slow

QUESTIONS = questions(2_000)
ASKED = QUESTIONS["question"].to_list()[1_700:]
FIRST, LATER = ASKED[:8], ASKED[8:]
"""Of which too few to prove anything, and the others."""
TRUTHS = dict(QUESTIONS.select("question", "service").iter_rows())
BY, WHY = "Ann Lee <ann@example.org>", "the server is back again"
SEEN: dict[str, Any] = {}


class Paid:
    """An installation, and the server that it pays."""

    def __init__(self, place: Place, server: Server) -> None:
        self.place, self.server = place, server

    def recipe(self, epochs: int = 6, *, usd_at_most: float = 3.0) -> RecipeFile:
        limits = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": usd_at_most}
        asking = {
            "kind": "endpoint", "source": self.server.url, "answers": {"rationale": "why"},
            "endpoint": {**limits, "concurrency": 1, "attempts": 2},
            "ask": {"model": "large", "structured": True, "settings": {"max_tokens": 40}},
        }  # fmt: skip
        training = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
        return small_recipe_elsewhere(
            self.place.folder,
            changed={
                "slices": [], "students": [{"name": "one", "layers": [0, 1], "training": training}],
                "bar": {"margin": 0.16, "champion_margin": 0.5}, "traffic": {"days": 30, "text_days": 14},
                "rollout": {"shadow": {"margin": 0.3}},
            },
            **asking,
        )  # fmt: skip

    @property
    def spent(self) -> float:
        """What the log of calls says."""
        return call_log(self.place.home).spent("small")

    @property
    def challenger(self) -> Challenger:
        found = desired(self.place.builds.ledger, "small")
        assert found is not None and found.challenger is not None
        return found.challenger

    @property
    def facts(self) -> ShadowFacts:
        return self.place.newest(SHADOW).facts(ShadowFacts)

    def said(self, release: DeployedRelease, texts: Sequence[str]) -> list[str]:
        """What a release says, each text by itself as a server asks it."""
        model = OnnxClassifier(self.place.builds.artifact(release.release, release.manifest).folder / MODEL)
        return [model.labels[int(model.logits([text]).argmax())] for text in texts]

    def differing(self, texts: Sequence[str]) -> set[str]:
        """Texts that champion and challenger answer otherwise."""
        found = desired(self.place.builds.ledger, "small")
        assert found is not None
        both = zip(texts, self.said(found.champion, texts), self.said(self.challenger.deployed, texts), strict=True)
        return {text for text, one, other in both if one != other}

    def holding(self, *words: str) -> list[str]:
        """Files below the home that hold one of these, packed or not."""
        return [str(path) for path in self.place.home.root.rglob("*") if path.is_file() and _holds(path, words)]

    def are_asked(self, texts: Sequence[str], replica: str) -> list[str]:
        """Callers ask the champion; ids of its answers."""
        found = desired(self.place.builds.ledger, "small")
        assert found is not None
        log = log_of(self.place.home, self.recipe(), replica)
        for number, text in enumerate(texts):
            row = served(f"{replica}-{number}", at=time.time() + 1, text=text, key=f"{number:032x}")
            log.put(replace(row, release=found.champion.release))
        log.close()
        return [f"{replica}-{number}" for number in range(len(texts))]


def _holds(path: Path, words: Sequence[str]) -> bool:
    if path.suffix == ".parquet":
        columns = pl.read_parquet(path).select(pl.col(pl.String))
        return any(column.str.contains_any([*words]).any() for column in columns)
    content = path.read_bytes()
    return any(word.encode() in content for word in words)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory, shared: Any) -> Iterator[Paid]:
    folder = tmp_path_factory.mktemp("shadow_paid")
    with (
        a_place(folder, seeded=shared, baselines=False) as place,
        serving(Server(answer)) as server,
        pytest.MonkeyPatch.context() as patches,
    ):
        patches.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        yield Paid(place, server)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "400"}, catch_exceptions=False)


def test_a_release_is_offered_beside_one_that_serves(paid: Paid) -> None:
    for epochs in (5, 6):
        outcome = distil(paid.recipe(epochs), paid.place.home, Terminal(quiet=True))
        assert outcome.succeeded, ([gate.sentence for gate in outcome.closed], outcome.errors)
    assert paid.challenger.stage is Stage.SHADOW
    assert paid.spent == pytest.approx(paid.server.usd) and live_answers(paid.place.home) == 0
    SEEN["before"] = paid.server.asked.copy()


def test_few_requests_prove_nothing_and_cost_what_the_two_differ_on(paid: Paid) -> None:
    paid.are_asked(FIRST, "first")
    calls, differ = paid.server.calls, paid.differing(FIRST)
    assert command("rollout", "small", "--replay").exit_code == 0
    overall = paid.facts.overall
    assert (overall.rows, overall.differ, overall.test.verdict) == (len(FIRST), len(differ), Verdict.INCONCLUSIVE)
    assert paid.server.calls - calls == len(differ) == paid.facts.asked
    assert paid.spent == pytest.approx(paid.server.usd)
    assert "more requests are needed" in command("rollout", "small").output


def test_where_the_server_dies_in_between_the_release_is_held_with_what_is_missing(paid: Paid) -> None:
    SEEN["ids"] = paid.are_asked(LATER, "later")
    calls, answered, differ = paid.server.calls, live_answers(paid.place.home), paid.differing(LATER)
    assert 4 < len(differ) < len(LATER) / 3, "else nothing is between"
    paid.server.faults = dict.fromkeys(range(calls + 2, calls + 99), "500")
    ended = command("rollout", "small", "--replay")
    assert ended.exit_code == 1 and "the replay broke" in ended.output
    assert "is in the shadow" in ended.output and "more requests are needed" in ended.output
    assert paid.server.calls - calls == 4, "two that it answered, and two attempts at the next"
    assert live_answers(paid.place.home) - answered == 2, "what was paid for is kept"
    assert paid.facts.overall.rows == len(FIRST), "half a look counts nothing"
    assert paid.challenger.stage is Stage.SHADOW and paid.challenger.stuck is None
    held = move(paid.place.builds, paid.recipe(), at=time.time() + 15.5 * SECONDS_A_DAY)
    assert "is held in shadow" in held.sentence and "more requests are needed" in held.sentence
    assert paid.challenger.stuck is not None and "more requests are needed" in paid.challenger.stuck
    resumed = command("resume", "small", "--by", BY, "--reason", WHY)
    assert resumed.exit_code == 0 and paid.challenger.stuck is None, resumed.output
    SEEN["failed"] = [text_in(prompt) for prompt, times in since_the_offer(paid).items() if times > 1]
    assert len(SEEN["failed"]) == 1


def since_the_offer(paid: Paid) -> dict[str, int]:
    return dict(paid.server.asked - SEEN["before"])


def test_nobody_is_asked_beyond_the_cap(paid: Paid) -> None:
    paid.server.faults = {}
    calls, answered = paid.server.calls, live_answers(paid.place.home)
    paid.recipe(usd_at_most=paid.spent + 1e-6)
    ended = command("rollout", "small", "--replay")
    assert ended.exit_code == 1 and "is in the shadow" in ended.output
    assert (paid.server.calls, live_answers(paid.place.home), paid.facts.overall.rows) == (calls, answered, len(FIRST))


def test_the_teacher_is_asked_only_where_the_two_differ_and_each_text_once(paid: Paid) -> None:
    usd_at_most = paid.spent + 0.01
    paid.recipe(usd_at_most=usd_at_most)
    calls, answered = paid.server.calls, live_answers(paid.place.home)
    assert command("rollout", "small", "--replay").exit_code == 0
    facts, differ = paid.facts, paid.differing(ASKED)
    assert (facts.overall.rows, facts.overall.differ, facts.overall.unanswered) == (len(ASKED), len(differ), 0)
    asked = {text_in(prompt): times for prompt, times in since_the_offer(paid).items()}
    assert {*asked} == differ, "about no text that both answer alike"
    assert {text for text, times in asked.items() if times != 1} == {*SEEN["failed"]}
    assert paid.server.calls - calls == live_answers(paid.place.home) - answered == len(differ) - answered
    assert paid.server.usd <= paid.spent <= usd_at_most
    judge = {text: mostly_right_about(text) for text in differ}
    found = desired(paid.place.builds.ledger, "small")
    assert found is not None
    champion, other = (
        dict(zip(differ, paid.said(release, [*differ]), strict=True))
        for release in (found.champion, paid.challenger.deployed)
    )
    assert facts.overall.lost == sum(champion[text] == judge[text] for text in differ)
    assert facts.overall.won == sum(other[text] == judge[text] for text in differ)
    assert command("rollout", "small", "--replay").exit_code == 0
    assert paid.server.calls - calls == len(differ) - answered, "and nobody again"


def test_nothing_that_it_said_of_a_live_text_is_left_but_labels_and_these_go_with_the_text(paid: Paid) -> None:
    assert paid.holding(*(json.dumps(why(text))[1:-1] for text in ASKED), *(why(text) for text in ASKED)) == []
    text = next(text for text in LATER if text in paid.differing(LATER))
    (digest,) = prompt_ids(pl.Series([text]))
    assert paid.holding(digest) == [str(paid.place.home.signal / "live.db")]
    spent, answered = paid.spent, live_answers(paid.place.home)
    ended = command("erase", "small", "--id", SEEN["ids"][LATER.index(text)])
    assert ended.exit_code == 0 and "1 text erased" in ended.output
    assert paid.holding(digest, text) == [] and (paid.spent, live_answers(paid.place.home)) == (spent, answered - 1)
    SEEN["erased"] = text


def test_people_are_given_the_texts_that_the_two_differ_on_and_what_they_say_is_shown(paid: Paid) -> None:
    calls, differ = paid.server.calls, paid.differing(ASKED) - {SEEN["erased"]}
    output = command("harvest", "small", "--differing").output
    (path,) = paid.place.home.inbox("small").iterdir()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    given = {row["question"] for row in rows}
    assert given <= differ and f"{len(given)} of {len(given)} texts" in output, "but near duplicates of golden rows"
    path.write_text("".join(f"{json.dumps({**row, 'service': TRUTHS[row['question']]})}\n" for row in rows))
    file = paid.recipe()
    sensor = rounds_sensor(file, [ingest_job(file), distil_job(file)])
    for _ in range(2):
        sensor(dg.build_sensor_context(instance=paid.place.instance))
    ended = command("rollout", "small", "--replay")
    assert ended.exit_code == 0 and paid.server.calls == calls, "people cost nothing of the teacher's money"
    found, labelled = desired(paid.place.builds.ledger, "small"), paid.facts.labelled
    assert found is not None and labelled is not None
    right = [
        sum(label == TRUTHS[text] for text, label in zip(given, paid.said(release, [*given]), strict=True))
        for release in (found.champion, paid.challenger.deployed)
    ]
    assert (labelled.given, labelled.labelled) == (len(given), len(given))
    assert [labelled.champion_right, labelled.challenger_right] == right
    said = f"{right[0]} as the champion answers, {right[1]} as the challenger"
    assert said in ended.output and said in " ".join(command("status", "small").output.split())
    store = TrafficStore(paid.place.home.artifacts, "small")
    assert [each.file for each in store.harvests()] == [path.name]
    row = rows[0]
    ended = command("erase", "small", "--id", row["harvest_id"])
    assert f"rows of the harvested file {path.name}" in ended.output
