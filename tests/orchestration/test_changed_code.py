"""What follows when code was changed, as by an upgrade: a round, or nothing until something else starts one.

Everything of the recipe is entered by hand (test_many_batches.py); the ticks are those of the real sensor.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import checks.gate_states
from orchestration import dispatcher, new_events, sensors
from orchestration.jobs import distil_job, ingest_job
from orchestration.runs import EVENTS_TAG
from orchestration.sensors import rounds_sensor
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.events import EventKind, note, pending
from stillhouse.records.rounds import EVENTS_QUIET
from stillhouse.stages.names import CANDIDATES, kind_of
from stillhouse.stages.versions import code_version
from tests.conftest import a_place
from tests.orchestration.test_many_batches import HandMade
from tests.small import small_recipe


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HandMade]:
    monkeypatch.setattr(sensors, "SECONDS_FOR_AUTOMATION", -1.0)
    with a_place(tmp_path) as place:
        yield HandMade(place)


def recipe(made: HandMade, changed_code: str, **changes: object) -> RecipeFile:
    fields = {"slices": [], "data__allow_missing_columns": ["service"], "refresh__changed_code": changed_code}
    return small_recipe(made.place.folder, rows=50, **fields, **changes)


def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of what trains students."""

    def version(stage: str) -> str:
        return code_version(stage) + "2" * (kind_of(stage) == CANDIDATES)

    for module in (checks.gate_states, dispatcher, new_events):
        monkeypatch.setattr(module, "code_version", version)


def gates_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of every gate."""
    monkeypatch.setattr(checks.gate_states, "gate_code", lambda stage: "another")


def tick(made: HandMade, file: RecipeFile) -> dg.SensorResult | dg.SkipReason:
    """The second of two ticks: the first remembers since when something is stale."""
    sensor, cursor = rounds_sensor(file, [ingest_job(file), distil_job(file)]), None
    for _ in range(2):
        context = dg.build_sensor_context(instance=made.place.instance, cursor=cursor)
        answer = sensor(context)
        cursor = context.cursor
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def said(answer: object) -> str:
    assert isinstance(answer, dg.SkipReason), answer
    return str(answer.skip_message)


def asked(answer: object) -> list[dg.RunRequest]:
    assert isinstance(answer, dg.SensorResult), answer
    return list(answer.run_requests or ())


def test_a_round_follows_unless_the_recipe_says_otherwise(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing of small is missing or stale" in said(tick(made, made.file))
    upgraded(monkeypatch)
    assert [each.job_name for each in asked(tick(made, made.file))] == ["distil_small"]
    (event,) = pending(made.builds.ledger, "small")
    assert event.kind is EventKind.CODE


def test_where_it_is_to_wait_it_is_noted_and_the_next_round_makes_it_again(
    made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(made, "wait")
    assert file.recipe.digest == made.file.recipe.digest, "it is no part of the contract"
    assert "nothing of small is missing or stale" in said(tick(made, file))
    upgraded(monkeypatch)
    gates_upgraded(monkeypatch)
    for _ in range(2):
        assert "was changed, and refresh.changed_code is wait" in said(tick(made, file))
    (event,) = pending(made.builds.ledger, "small")
    assert (event.kind, event.times) == (EventKind.CODE, 1) and CANDIDATES in event.sentence
    note(
        made.builds.ledger, "small", EventKind.PERSON, "k", "the price list has changed",
        at=made.builds.ledger.now() - 2 * EVENTS_QUIET,
    )  # fmt: skip
    (request,) = asked(tick(made, file))
    assert request.tags[EVENTS_TAG].startswith("person:k, code:")


def test_gates_whose_code_alone_was_changed_are_looked_at_again(
    made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates_upgraded(monkeypatch)
    assert len(asked(tick(made, recipe(made, "wait")))) == 1, "nothing is made again by that round"


def test_what_is_stale_for_another_reason_too_is_made_again(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(monkeypatch)
    file = recipe(made, "wait", bar={"margin": 0.2})
    assert "the recipe was changed" in asked(tick(made, file))[0].tags["stillhouse/because"]
    file = recipe(made, "wait")
    made.take_in(made.dropped(range(1)))
    assert len(asked(tick(made, file))) == 1, "and new rows are learned from"
