"""Cheaper models that might be asked instead of a teacher behind an API, from the recipe to the page about one.

The tests are steps on the way of one recipe and run in order.
"""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from orchestration.asking import TIMED, read_replies, write_requests
from orchestration.leaderboard import board
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.evaluation.harness import Evaluation, read_evaluations
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import PromptFacts
from stillhouse.stages.names import BASELINES, PROMPTS, SOURCE, TEACHER
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.flips import ASKED_TWICE
from tests.conftest import Place, a_place, failures
from tests.orchestration.elsewhere import WRONG, small_recipe_elsewhere
from tests.protocol import USD_IN, USD_OUT, Server, answer_a_batch, serving
from tests.small import questions

pytestmark = pytest.mark.slow

SERVICES = dict(questions(10_000).select("question", "service").iter_rows())
PRICES = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT}
KEY = "TEACHER_KEY_OF_A_TEST"


def answer(asked: str) -> str:
    """The teacher is asked `Question: `, a good model `Quick: ` and a poor one `Guess: `; all are wrong at times."""
    kind, _, text = asked.rpartition("\n")[2].partition(": ")
    service = SERVICES[text]
    wrong = {"Question": len(text) % 12 == 0, "Quick": len(text) % 11 == 0, "Guess": len(text) % 10 != 0}[kind]
    return WRONG[service] if wrong else service


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("alternatives"), seeded=shared) as place:
        for kind in ("Question", "Quick", "Guess"):
            (place.folder / f"{kind}.md").write_text(f"{{labels}}\n{kind}: {{text}}")
        yield place


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment, serving(Server(answer, key="secret")) as server:
        environment.setenv(KEY, "secret")
        yield server


def recipe(place: Place, server: Server, *alternatives: dict[str, Any], usd_at_most: float = 2.0) -> RecipeFile:
    prompts = {each["prompt"]: str(place.folder / each["prompt"]) for each in alternatives}
    return small_recipe_elsewhere(
        place.folder,
        kind="endpoint",
        source=server.url,
        answers={},
        ask={"model": "large", "prompt": str(place.folder / "Question.md"), "settings": {"max_tokens": 3}},
        endpoint={**PRICES, "usd_at_most": usd_at_most, "api_key_env": KEY},
        alternatives=[{**PRICES, **each, "prompt": prompts[each["prompt"]]} for each in alternatives],
        changed={"budget": {"latency_ms_at_most": 30_000}},
    )


def options(place: Place) -> dict[str, Evaluation]:
    return {each.name: each for each in read_evaluations(place.newest(BASELINES).folder)}


QUICK = {"model": "small", "prompt": "Quick.md", "settings": {"max_tokens": 3}}
GUESS = {"model": "tiny", "prompt": "Guess.md", "settings": {"max_tokens": 3}, "usd_per_million_in": 0.01}


def test_a_mistake_in_an_alternative_is_found_before_anybody_is_asked(place: Place, server: Server) -> None:
    (place.folder / "empty.md").write_text("no place for it")
    (line,) = check(Recipes((recipe(place, server, {**QUICK, "prompt": "empty.md"}),), ())).mistakes["small"]
    assert "teacher.alternatives.0.prompt: " in line and "the prompt has no {text}" in line and server.calls == 0


def test_one_that_would_not_leave_enough_for_the_teacher_is_asked_no_golden_row(place: Place, server: Server) -> None:
    file = recipe(place, server, {**QUICK, "usd_per_million_in": 150}, usd_at_most=1.0)
    (said,) = failures(place.run(file, SOURCE, PROMPTS, "contract", TEACHER, BASELINES))
    counts = place.newest(PROMPTS, "base").facts(PromptFacts)
    assert "prompts more are expected to cost up to" in said and "teacher.endpoint.usd_at_most" in said
    assert server.calls == 2 * counts.validation + min(ASKED_TWICE, counts.validation) + counts.golden


def test_one_that_clears_the_bar_ends_the_round_well_before_the_bulk_is_asked(place: Place, server: Server) -> None:
    before, paid_before, billed_before = server.calls, call_log(place.home).spent("small"), server.usd
    console = Terminal(width=300, record=True, file=StringIO())
    outcome = distil(recipe(place, server, QUICK), place.home, console)
    printed = " ".join(console.export_text().split())
    assert outcome.ends_well and not outcome.succeeded, printed
    assert "take the baseline: prompted small clears the bar" in printed and "needs no release" in printed
    counts = place.newest(PROMPTS, "base").facts(PromptFacts)
    assert server.calls - before == counts.golden, "the validation rows were asked before, and the bulk is not"
    assert call_log(place.home).spent("small") - paid_before == pytest.approx(server.usd - billed_before)
    judged = options(place)["prompted small"]
    assert judged.hosted is not None and judged.hosted.observed == "large-2026-06"
    assert judged.score.accuracy == pytest.approx(10 / 11, abs=0.03) and len(judged.slices) == 2
    paid = [len(f"ABBR DESC ENTY HUM LOC NUM Quick: {text}".split()) for text in golden_texts(place)]
    usd = 1000 * (sum(paid) / len(paid) * USD_IN + USD_OUT) / 1e6
    assert judged.hosted.usd_per_1000_calls == pytest.approx(usd)
    page = (place.home.reports / "small.baselines.html").read_text()
    assert "<h1>prompted small <em>clears the bar" in page and "for 1,000 calls" in page
    rows = {row.model: row for row in board(place.builds, recipe(place, server, QUICK)).rows}
    assert rows["prompted small"].size_bytes is None


def golden_texts(place: Place) -> list[str]:
    rows = place.newest(PROMPTS, "base").frame("prompts")
    return [text for text, split in rows.select("text", "split").iter_rows() if split == "golden"]


def test_a_poor_one_at_another_server_gets_no_key_of_the_teacher_and_the_round_goes_on(
    place: Place, server: Server
) -> None:
    paid_before, billed_before = call_log(place.home).spent("small"), server.usd
    with serving(Server(answer)) as other:
        file = recipe(place, server, {**GUESS, "source": other.url, "name": "guessing"})
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [gate.name for gate in outcome.closed]
        assert other.authorizations == {"Bearer none"}, "what the client sends where there is no key"
        assert server.authorizations == {"Bearer secret"}
        judged = options(place)["prompted guessing"]
        # Right less often than by chance, and its answers are counted as they were given all the same.
        assert judged.score.accuracy == pytest.approx(0.1, abs=0.05)
        # Paid from one cap, each at its own price; the server of the tests bills both alike.
        cheaper = sum(len(text.split()) for text in other.asked.elements()) * (USD_IN - 0.01) / 1e6
        billed = server.usd - billed_before + other.usd
        assert call_log(place.home).spent("small") - paid_before == pytest.approx(billed - cheaper)
    report = (place.newest("selection").folder / "report.html").read_text()
    assert "prompted guessing" in report and ">None<" not in report


def test_one_that_a_batch_has_answered_is_timed_on_the_rows_that_are_left_for_calls(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(place, server, {**QUICK, "model": "swift", "settings": {"max_tokens": 4}})
    requests, replies = place.folder / "swift.jsonl", place.folder / "swift.replies.jsonl"
    counts = place.newest(PROMPTS, "base").facts(PromptFacts)
    written = write_requests(place.builds, file, requests, of="swift")
    assert written.prompts == counts.validation + counts.golden and written.left_for_calls == TIMED < counts.golden
    assert written.requests == written.prompts - TIMED
    with monkeypatch.context() as patch:
        patch.setattr(server, "key", None)
        patch.setattr(server, "model", lambda number: "swift-2026-06")
        answer_a_batch(server, requests, replies)
        found = read_replies(place.builds, file, replies, of="swift")
        assert found.all_is_well and (found.taken, found.missing) == (written.requests, TIMED)
    asked = server.calls
    place.run(file, "contract", SOURCE, PROMPTS, TEACHER, BASELINES)
    assert server.calls == asked + TIMED, "those alone"
    judged = options(place)["prompted swift"]
    assert judged.hosted is not None and judged.hosted.ms_p95 > 0
    assert judged.score.accuracy == pytest.approx(10 / 11, abs=0.03), "of all golden rows"
    assert judged.score.note.endswith(f"timed on {TIMED} golden rows, the others came in a batch")


def test_golden_rows_that_a_server_turned_away_are_missing_evidence_and_asked_again_by_the_next_run(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(place, server, {**QUICK, "model": "brisk", "settings": {"max_tokens": 5}})
    counts = place.newest(PROMPTS, "base").facts(PromptFacts)
    first = server.calls + counts.validation
    away = range(first, first + counts.golden // 3)
    monkeypatch.setattr(server, "faults", dict.fromkeys(away, "400"))
    stages = ("contract", SOURCE, PROMPTS, TEACHER, BASELINES)
    place.run(file, *stages)
    judged, price = options(place)["prompted brisk"], options(place)["prompted brisk"].usd_per_1000_calls
    assert judged.score.accuracy < 0.7, "the figures have the rows as wrong ones"
    assert judged.verdict is Verdict.INCONCLUSIVE, judged.summary
    assert f"before its server answers the {len(away):,} golden rows that it turned away" in judged.gravest[0].sentence
    assert f"turned away {len(away):,} golden rows" in judged.score.note

    asked, made = server.calls, place.newest(BASELINES).digest
    monkeypatch.setattr(server, "faults", dict.fromkeys(range(asked, asked + 2), "422"))
    place.run(file, *stages)
    assert server.calls == asked + len(away), "those alone are asked again"
    judged = options(place)["prompted brisk"]
    assert judged.verdict is Verdict.PASS and place.newest(BASELINES).digest != made
    assert judged.score.accuracy == pytest.approx(10 / 11, abs=0.03)
    assert "turned away 2 golden rows" in judged.score.note
    assert judged.usd_per_1000_calls == pytest.approx(price, rel=0.02), "nothing is paid for what was turned away"

    place.run(file, *stages)
    asked, made = server.calls, place.newest(BASELINES).digest
    assert "away" not in options(place)["prompted brisk"].score.note
    place.run(file, *stages)
    assert (server.calls, place.newest(BASELINES).digest) == (asked, made), "all have an answer now"


def test_a_server_that_turns_most_golden_rows_away_is_not_judged(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(place, server, {**QUICK, "model": "shut", "settings": {"max_tokens": 6}})
    counts = place.newest(PROMPTS, "base").facts(PromptFacts)
    first = server.calls + counts.validation
    monkeypatch.setattr(server, "faults", dict.fromkeys(range(first, first + counts.golden), "400"))
    (said,) = failures(place.run(file, "contract", SOURCE, PROMPTS, TEACHER, BASELINES))
    assert f"turned away {counts.golden:,} of {counts.golden:,} golden rows" in said and "run again" in said
