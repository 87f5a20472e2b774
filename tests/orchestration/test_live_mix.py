"""A recipe whose rows are held against live traffic: each round reads it, and no answer makes anything stale."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.keys import key_of
from checks.gate_states import GateState, LedgerSnapshot
from orchestration.recipe_check import load_mistakes
from stillhouse.home import Home
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.stages.names import BASE, PROMPTS, SOURCE
from stillhouse.stages.source import is_as_it_was
from tests.conftest import Run, verdicts
from tests.promotions import serve
from tests.small import questions, small_recipe
from tests.stillhouse.live.made import put, rows

GATE = "the_mix_matches_recent_traffic"
LENGTHS = questions(400, skip=100)["question"].str.len_chars().to_list()


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=100, slices=[], data__traffic="live", traffic={})


def asked(home: Home, characters: list[int], *, days_ago: float, first: int = 1) -> None:
    at = datetime.now(UTC).timestamp() - days_ago * SECONDS_A_DAY
    frame = rows(len(characters), at=at, first=first, release="a", characters=characters)
    put(TrafficStore(home.artifacts, "small"), frame)


def the_gate(builds: BuildStore, file: RecipeFile) -> GateState:
    state = LedgerSnapshot.of(builds, file.recipe, "small").state(key_of("small", PROMPTS), BASE)
    (found,) = [gate for gate in state.gates if gate.name == GATE]
    return found


def stale(builds: BuildStore, file: RecipeFile) -> list[str]:
    """What is missing or stale on the way to the prompts, or was read from what is other now."""
    way = LedgerSnapshot.of(builds, file.recipe, "small").lineage(key_of("small", PROMPTS), BASE)
    found = [each.address for each in way if each.newest is None or each.stale or each.broken]
    (source,) = [each for each in way if each.address.startswith(f"small/{SOURCE}")]
    assert source.manifest is not None
    return found if is_as_it_was(builds.ledger, file, source.manifest) else [*found, SOURCE]


def test_each_round_reads_whole_days_and_an_answer_makes_nothing_stale(file: RecipeFile, home: Home, run: Run) -> None:
    builds = BuildStore(home)
    first = run(file, "contract", "source", "prompts")
    assert first.success, verdicts(first)
    assert the_gate(builds, file).sentence.startswith("nothing has served yet")

    serve(builds.ledger, "a", recipe="small")
    asked(home, LENGTHS, days_ago=1)
    assert stale(builds, file) == [] and the_gate(builds, file).is_open
    before = the_gate(builds, file)
    again = run(file, "source", "prompts")
    assert again.success, verdicts(again)
    read = the_gate(builds, file)
    assert read.sentence.startswith("1 columns alike") and "400 answers of 1 whole day" in read.sentence
    assert read.run_id != before.run_id

    asked(home, [900] * 400, days_ago=0, first=1000)
    assert stale(builds, file) == []
    assert run(file, "source", "prompts").success, "today is no whole day"
    assert the_gate(builds, file).sentence == read.sentence

    asked(home, [900] * 400, days_ago=2, first=2000)
    assert stale(builds, file) == [] and the_gate(builds, file).is_open, "what was found stands until the next round"
    moved = run(file, "source", "prompts")
    assert not moved.success and not verdicts(moved)[GATE]
    found = the_gate(builds, file)
    assert found.sentence.startswith("length ") and "800 answers of 2 whole days" in found.sentence


def test_live_traffic_without_a_log_is_a_mistake_of_the_recipe(tmp_path: Path, file: RecipeFile) -> None:
    assert load_mistakes(file) == ()
    without = small_recipe(tmp_path, rows=100, slices=[], data__traffic="live")
    (line,) = load_mistakes(without)
    assert "data.traffic: there is no live traffic to hold rows against" in line
