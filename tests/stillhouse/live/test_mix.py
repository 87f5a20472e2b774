"""What servers were asked lately: of whole days alone, and labels only as people gave them."""

from pathlib import Path

import polars as pl
import pytest

from stillhouse.live.feedback import is_wanted
from stillhouse.live.mix import LiveMix, live_mix
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.recipe.traffic import TrafficSpec
from tests.stillhouse.live.made import NOON, put, rows


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path), "r")


KEY = b"drawn by this"


def mix(store: TrafficStore, *, days_later: float = 1.0, days: int = 3, feedback: str = "complete") -> LiveMix:
    spec = TrafficSpec.model_validate({"feedback": feedback, "matures_after_days": 2})
    return live_mix(store, spec, key=KEY, at=NOON + days_later * SECONDS_A_DAY, days=days)


def say(store: TrafficStore, number: int, truth: str, *, at: float) -> None:
    said = {"replica": "r1", "number": 10_000 + number, "id": f"r1-0-{number}", "at": at, "truth": truth, "by": None}
    store.put(day_at(at), "feedback", sealed(pl.DataFrame([said], schema_overrides={"by": pl.String})))


def test_only_whole_days_are_read_and_only_the_last_ones(store: TrafficStore) -> None:
    for day in range(5):
        put(store, rows(1, at=NOON + day * SECONDS_A_DAY, first=day + 1, characters=day))
    found = mix(store, days_later=4)
    assert found.characters.to_list() == [1, 2, 3] and found.days == tuple(
        day_at(NOON + day * SECONDS_A_DAY) for day in (1, 2, 3)
    )
    put(store, rows(9, at=NOON + 4 * SECONDS_A_DAY, first=100))
    assert mix(store, days_later=4).read == found.read, "another answer of today changes nothing"
    assert mix(store, days_later=5).read != found.read
    assert mix(store, days_later=30).characters.is_empty() and mix(store, days_later=30).days == ()


def test_labels_are_what_people_said_of_mature_answers(store: TrafficStore) -> None:
    put(store, rows(3, label="number"))
    assert mix(store).truths.to_list() == [], "what the student said is no truth"
    before = mix(store, days_later=3)
    say(store, 1, "place", at=NOON + 60)
    say(store, 2, "person", at=NOON + SECONDS_A_DAY)
    assert mix(store).truths.to_list() == [], "they have not matured"
    found = mix(store, days_later=3)
    assert found.truths.to_list() == ["place", "person"] and found.read != before.read
    assert mix(store, days_later=3, feedback="unknown").truths.to_list() == [], "of whoever cares to speak"


def test_of_drawn_answers_only_those_count_whose_truth_was_asked_for(store: TrafficStore) -> None:
    put(store, rows(40, wanted_share=0.5))
    drawn = [number for number in range(1, 41) if is_wanted(f"r1-0-{number}", 0.5, key=KEY)]
    assert 10 < len(drawn) < 30
    for number in range(1, 41):
        say(store, number, "place" if number in drawn else "person", at=NOON + 60)
    assert mix(store, days_later=3, feedback="sample").truths.to_list() == ["place"] * len(drawn)


def test_of_drawn_answers_no_day_counts_more_than_another_whatever_share_was_drawn(store: TrafficStore) -> None:
    for day, share in enumerate((0.2, 0.8)):
        put(store, rows(300, at=NOON + day * SECONDS_A_DAY, first=1 + 300 * day, wanted_share=share))
    truths = {number: "place" if number <= 300 else "person" for number in range(1, 601)}
    said = {"id": [f"r1-0-{number}" for number in truths], "number": [10_000 + number for number in truths]}
    frame = pl.DataFrame({"replica": "r1", **said, "at": NOON + SECONDS_A_DAY, "truth": [*truths.values()], "by": None},
                         schema_overrides={"by": pl.String})  # fmt: skip
    store.put(
        day_at(NOON + SECONDS_A_DAY), "feedback", sealed(frame.select("replica", "number", "id", "at", "truth", "by"))
    )
    counts = dict(mix(store, days_later=4, days=5, feedback="sample").truths.value_counts().iter_rows())
    least = {number for number in truths if is_wanted(f"r1-0-{number}", 0.2, key=KEY)}
    assert counts == {"place": len({*range(1, 301)} & least), "person": len({*range(301, 601)} & least)}


def test_of_a_full_log_no_day_counts_more_than_another(store: TrafficStore) -> None:
    put(store, rows(400, characters=1))
    put(store, rows(400, at=NOON + SECONDS_A_DAY, seed=1, characters=2, kept_share=0.25))
    counts = mix(store, days_later=2).characters.value_counts().sort("characters").rows()
    assert dict(counts)[1] < 160, "of the whole day as many as the other one would have kept"
