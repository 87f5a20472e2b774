"""Sets of labels in a running installation: a release on its way through shadow and canary, and a slice in quarantine.

Real rounds, a real server, and the ledger that it follows. The tests are steps on the way of one recipe and run in
order. The same ways with single labels are in test_rollout_way.py and test_weak_live_slice.py.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestration.auditing import audit_recipe, audit_request
from orchestration.rollout import look, replay_now
from orchestration.watch import look as watched
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.tasks.multi_label import MultiLabel
from tests.conftest import Place
from tests.orchestration import live_steps
from tests.orchestration.live_steps import (
    Said,
    answers_half_of_the_callers,
    becomes_champion,
    logits_of,
    quarantine,
    tell,
    two_in_line,
)
from tests.orchestration.served import a_server, now
from tests.orchestration.sets import OF_SETS
from tests.sets import LABELS, labels_of, with_labels
from tests.small import questions, small_recipe, students_after
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

TASK = MultiLabel(LABELS)
TEXTS = questions(1_700)["question"].to_list()[1_200:1_600]
PLACES = {"name": "places", "column": "label", "values": ["place"], "critical": True, "margin": 0.6}
RELEASES: dict[str, str] = {}


def recipe(place: Place, epochs: int) -> RecipeFile:
    """Students that differ in how much they learned, under a bar that any of them clears."""
    rows = place.folder / "questions.csv"
    if not rows.exists():
        with_labels(1200).write_csv(rows)
    return small_recipe(
        place.folder, **{
            **OF_SETS, "students": students_after(epochs), "bar": {"margin": 0.6, "champion_margin": 0.3},
            "slices": [PLACES], "data__wrong_labels_at_most": 0.4,
            "limits": {"lost_share_at_most": 1.0, "int8_agreement_at_least": 0.8},
            "rollout": {"shadow": {"margin": 0.3}, "canary": {"shares": [0.5], "hours_at_least": 1, "slow_ms": 2_000}},
            "traffic": {"feedback": "complete", "matures_after_days": 0},
            "watch": {"ask_teacher": 0.0, "latency_ms": 1_000.0, "agreement_tolerance": 0.3},
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("live_sets"), seeded=shared, baselines=False) as place:
        yield place


def predict(client: TestClient, text: str, caller: int) -> Said:
    said = live_steps.predict(client, text, caller)
    assert json.loads(said["label"]) == said["labels"] == sorted({*said["labels"]}) and {*said["labels"]} <= {*LABELS}
    return said


def sets_of(place: Place, release: str, texts: list[str]) -> list[str]:
    """What the model of a release says, asked without a server."""
    return TASK.written(TASK.answers(logits_of(place, release, texts)))


def test_a_release_of_sets_serves_and_the_next_one_is_offered_to_the_shadow(place: Place) -> None:
    RELEASES.update(two_in_line(place, lambda: recipe(place, 4), lambda: recipe(place, 6)))


def test_what_was_answered_with_sets_is_replayed_and_moves_it_on(place: Place) -> None:
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:200])]
    assert {each["release"] for each in said} == {RELEASES["first"]}
    first, second = (sets_of(place, RELEASES[name], TEXTS[:200]) for name in ("first", "second"))
    assert [each["label"] for each in said] == first
    assert replay_now(place.instance, place.builds, recipe(place, 6))
    facts = place.newest(SHADOW).facts(ShadowFacts)
    differ = sum(one != other for one, other in zip(first, second, strict=True))
    assert (facts.overall.rows, facts.overall.differ) == (200, differ) and 0 < differ < 150
    assert facts.overall.unanswered == 0 and facts.overall.lost + facts.overall.won <= differ
    assert facts.parts["places"].rows == sum("place" in json.loads(each) for each in first) > 0
    step = look(place.instance, place.builds, recipe(place, 6))
    assert step.sentence.endswith("has shown enough in the shadow and answers 50% of the callers"), step.sentence


def test_it_answers_its_share_of_the_callers_with_its_own_sets_and_becomes_the_champion(place: Place) -> None:
    file, texts = recipe(place, 6), TEXTS[:260]
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(texts)]
    expected = {name: sets_of(place, release, texts) for name, release in RELEASES.items()}
    answers_half_of_the_callers(place, said, RELEASES, expected)
    becomes_champion(place, file, RELEASES["second"])


def test_a_label_that_a_person_quarantines_is_answered_by_the_release_before(place: Place) -> None:
    quarantine("label=person")
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:80])]
    champions = sets_of(place, RELEASES["second"], TEXTS[:80])
    expected = [RELEASES["first" if "person" in json.loads(each) else "second"] for each in champions]
    assert [each["release"] for each in said] == expected and len({*expected}) == 2
    moved = next(each for each in said if each["release"] == RELEASES["first"])
    assert audit_request(place.home, "small", moved["id"]).ok


def test_the_watch_has_a_weak_slice_of_a_label_answered_by_the_release_before(place: Place) -> None:
    file = recipe(place, 6)
    assert not watched(place.builds, file, at=time.time() - 60).findings
    with a_server(place, recipe(place, 6)) as client:
        for number, text in enumerate(TEXTS):
            said = predict(client, text, 1_000 + number)
            is_place = "place" in said["labels"]
            truth = sorted({*said["labels"]} ^ {"amount"}) if is_place else labels_of(text)
            tell(client, said, truth)
    found = watched(place.builds, file, at=time.time() + SECONDS_A_DAY)
    assert [(each.kind, each.action) for each in found.findings] == [(FoundKind.WEAK_SLICE, Action.QUARANTINE)]
    (given,) = (each for each in now(place).quarantine if each.slice == "places")
    assert (given.labels, given.by, given.reason) == (("place",), BY, found.findings[0].sentence)
    assert given.instead is not None and given.instead.release == RELEASES["first"]
    with a_server(place, recipe(place, 6)) as client:
        said = [predict(client, text, number) for number, text in enumerate(TEXTS[:120])]
    champions = [json.loads(each) for each in sets_of(place, RELEASES["second"], TEXTS[:120])]
    taken = [bool({"person", "place"} & {*labels}) for labels in champions]
    assert [each["release"] == RELEASES["first"] for each in said] == taken and 0 < sum(taken) < 120
    assert f"places is answered by one {RELEASES['first'][:12]} until" in " ".join(
        command("status", "small").output.split()
    )
    assert audit_recipe(place.home, "small").problems == ()
    assert given.until >= datetime.now(UTC).date() + timedelta(days=13)
