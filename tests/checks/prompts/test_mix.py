"""Whether the mix of rows is the one that production asks: verdict and sentence of each gate."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from checks.gate import Finding
from checks.prompts.mix import (
    synthetic_rows_are_diverse_enough,
    the_batch_is_like_the_base,
    the_mix_matches_recent_traffic,
    the_synthetic_share_is_under_its_cap,
)
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.checks.prompts.prompt_sets import base, many, prompts, rows
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, column, dropped, on
from tests.faults.prompts import long_ones_about_people, of_a_narrow_generator, rarer_than_in_traffic, shorter_than_live
from tests.stillhouse.live.made import put
from tests.stillhouse.live.made import rows as live_rows


def mixed(a: int, b: int) -> pl.DataFrame:
    return pl.concat([many(a, label="A", kind="a"), many(b, label="B", kind="a", letter="u")])


def test_a_mix_that_moved_far_and_not_by_chance_closes() -> None:
    gate = the_batch_is_like_the_base
    assert answer_of(gate, prompts(mixed(50, 50))) == (PASS, "it is the base batch")
    empty = prompts(mixed(0, 0), batch="later")
    assert answer_of(gate, empty, made_from=base(mixed(50, 50))) == (PASS, "no row of it is new")
    alike = answer_of(gate, prompts(mixed(50, 50), batch="later"), made_from=base(mixed(50, 50)))
    assert alike[0] is PASS and alike[1].startswith("3 columns alike, at most 0.000 bits apart, limit ")
    moved = ask(gate, prompts(mixed(1, 99), batch="later"), made_from=base(mixed(50, 50)))
    assert moved.verdict is FAIL
    assert moved.sentence.startswith("label 'A' is 1% of this batch and 50% of the base batch (0.279 bits, limit 0.02)")
    assert [line["column"] for line in moved.evidence["columns"]] == ["label", "kind", "length"]
    assert moved.evidence["columns"][0]["moved_most"] == "A"


def test_a_column_that_a_side_does_not_fill_is_left_out_of_the_mix() -> None:
    gate, unfilled = the_batch_is_like_the_base, prompts(many(100), batch="later")
    found = ask(gate, unfilled, made_from=base(mixed(50, 50)))
    assert [line["column"] for line in found.evidence["columns"]] == ["kind", "length"]
    without = prompts(mixed(50, 50).drop("kind"), batch="later")
    found = ask(gate, without, made_from=base(mixed(50, 50)))
    assert [line["column"] for line in found.evidence["columns"]] == ["label", "length"]


def test_the_source_is_held_against_a_sample_of_traffic() -> None:
    gate, asked = the_mix_matches_recent_traffic, recipe(data__traffic="traffic.csv")
    made_from = {"source": artifact(frames={"rows": mixed(50, 50), "traffic": mixed(99, 1)}, stage="source")}
    assert answer_of(gate, prompts(mixed(1, 1)), made_from=made_from) == (PASS, "the recipe names no sample of traffic")
    later = answer_of(gate, prompts(mixed(1, 1), batch="later"), recipe=asked, made_from=made_from)
    assert later == (PASS, "asked of the base batch")
    verdict, sentence = answer_of(gate, prompts(mixed(1, 1)), recipe=asked, made_from=made_from)
    assert verdict is FAIL and sentence.startswith("label 'B' is 50% of the source and 1% of traffic")


@dataclass
class Live:
    """A recipe that asks for live traffic, and an installation that may have some of it."""

    folder: Path
    promoted: str | None = "2024-01-01T00:00:00+00:00"

    @property
    def store(self) -> TrafficStore:
        return TrafficStore(str(self.folder), "small")

    def asked(self, source: pl.DataFrame, **traffic: Any) -> Finding:
        entries = [] if self.promoted is None else [SimpleNamespace(moment=datetime.fromisoformat(self.promoted))]
        return ask(
            the_mix_matches_recent_traffic, prompts(many(1)), recipe=recipe(data__traffic="live", traffic=traffic),
            made_from={"source": artifact(frames={"rows": source}, stage="source")},
            home=SimpleNamespace(artifacts=str(self.folder), serving=self.folder / "serving"),
            ledger=SimpleNamespace(entries=lambda name, kind: entries),
        )  # fmt: skip

    def answers(self, many: int, *, days_ago: float = 1.0, **columns: Any) -> None:
        put(self.store, live_rows(many, at=self.at(days_ago), **columns))

    def truths(self, many: int, truth: str, *, days_ago: float, first: int = 1) -> None:
        said = live_rows(many, at=self.at(days_ago), first=first).select(
            "replica", pl.col("number") + 10_000, "id", "at", pl.lit(truth).alias("truth"), by=pl.lit(None, pl.String)
        )
        self.store.put(day_at(self.at(days_ago)), "feedback", sealed(said))

    def at(self, days_ago: float) -> float:
        return datetime.now(UTC).timestamp() - days_ago * SECONDS_A_DAY


def test_before_anything_has_served_for_a_whole_day_there_is_no_live_traffic_to_be_unlike(tmp_path: Path) -> None:
    first = Live(tmp_path, promoted=None).asked(mixed(50, 50))
    assert (first.verdict, first.sentence) == (
        PASS, "nothing has served yet, so there is no traffic to hold the rows against",
    )  # fmt: skip
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    found = Live(tmp_path, promoted=yesterday).asked(mixed(50, 50))
    assert (found.verdict, found.sentence) == (PASS, "the first champion has served for no whole day yet")
    live = Live(tmp_path)
    live.answers(500, days_ago=0.0, characters=4)
    none = live.asked(mixed(50, 50))
    assert none.verdict is INCONCLUSIVE, "not enough evidence is not a pass, and today is no whole day"
    assert none.sentence.startswith("no answer of the last 28 whole days is kept; name a file in data.traffic")


def test_rows_are_held_against_the_lengths_of_live_texts(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.answers(500, characters=[3, 4] * 250)
    source = mixed(90, 90).with_columns(label=pl.lit("A"))
    other = live.asked(source)
    assert other.verdict is FAIL, "of these texts one in nine has three characters"
    live = Live(tmp_path / "other")
    live.answers(500, characters=source["text"].str.len_chars().to_list() * 2 + [4] * 140)
    alike = live.asked(source.with_columns(text=pl.concat_str(pl.lit("  "), "text", pl.lit(" \u200b"))))
    assert alike.verdict is PASS, "in their one spelling"
    assert alike.sentence.startswith("1 columns alike, at most 0.00")
    day = day_at(live.at(1.0))
    assert alike.sentence.endswith(
        f"500 answers of 1 whole day up to {day}, labels are not compared, as nobody knows for which answers feedback "
        "comes (traffic.feedback)"
    )
    assert {name: alike.evidence[name] for name in ("days", "answers")} == {"days": 1, "answers": 500}
    long = live.asked(source.with_columns(text=pl.col("text") + "x" * 40))
    assert long.verdict is FAIL
    assert long.sentence.startswith("length '3 to 4 characters' is 0% of the source and 100% of live traffic")


def test_labels_of_live_texts_count_only_as_people_gave_them_to_known_answers(tmp_path: Path) -> None:
    live, source = Live(tmp_path), many(100, label="A")
    lengths = source["text"].str.len_chars().to_list() * 2
    live.answers(200, days_ago=9.0, label="B", characters=lengths)
    assert live.asked(source, feedback="complete").sentence.endswith("as people have given none yet"), "student's B"
    live.truths(120, "A", days_ago=9.0)
    alike = live.asked(source, feedback="complete")
    assert alike.verdict is PASS and alike.sentence.startswith("2 columns alike")
    assert alike.sentence.endswith("labels are those that people gave to 120")
    live.truths(80, "B", days_ago=9.0, first=121)
    moved = live.asked(source, feedback="complete")
    assert moved.verdict is FAIL
    assert moved.sentence.startswith("label 'B' is 0% of the source and 40% of live traffic")
    assert live.asked(source, feedback="unknown").verdict is PASS
    undrawn = live.asked(source, feedback="sample")
    assert undrawn.verdict is PASS and undrawn.evidence["truths"] == 0, "nobody was asked for these"


def test_half_of_the_training_rows_may_be_synthetic() -> None:
    gate = the_synthetic_share_is_under_its_cap
    kinds = rows(["a", "b", "c"], ["train", "train", "golden"], row_kind=["synthetic", "real", "synthetic"])
    assert answer_of(gate, prompts(kinds)) == (PASS, "50.0% of 2 training rows are synthetic, cap 50%")
    capped = recipe(data__provenance__synthetic_share_at_most=0.49)
    assert answer_of(gate, prompts(kinds), recipe=capped)[0] is FAIL
    none = answer_of(gate, prompts(kinds.filter(pl.col("split") == "golden")))
    assert none == (PASS, "0.0% of 0 training rows are synthetic, cap 50%")


def written(generation: int | None, *texts: str) -> pl.DataFrame:
    kind = "real" if generation == 0 else "synthetic"
    frame = rows(list(texts), row_kind=kind)
    return frame.with_columns(pl.lit(generation, pl.Int64).alias("row_generation")) if generation is not None else frame


REAL = written(0, "where is Paris", "who was Bach", "when did Rome fall", "how tall is she")


def test_the_narrowest_generation_is_held_against_the_real_rows() -> None:
    gate = synthetic_rows_are_diverse_enough
    assert answer_of(gate, prompts(REAL)) == (PASS, "no row to train on is synthetic")
    first = written(1, "where was Rome", "who did fall")
    second = written(2, "who is who is who is who")
    found = ask(gate, prompts(pl.concat([REAL, first])))
    assert found.verdict is PASS and found.sentence.startswith("2 rows of generation 1 have 100% of the different")
    found = ask(gate, prompts(pl.concat([REAL, first, second])))
    # Six pairs, of which two differ; so many of the nine pairs of real rows, of which none is there twice, are six.
    assert found.verdict is FAIL
    assert found.sentence == (
        "1 rows of generation 2 have 33% of the different pairs of words that real rows have in 6, at least 70%"
    )
    assert [(line["generation"], line["pairs"]) for line in found.evidence["generations"]] == [(1, 4), (2, 6)]
    wide = recipe(data__provenance__synthetic_diversity_at_least=0.33)
    assert answer_of(gate, prompts(pl.concat([REAL, second])), recipe=wide)[0] is PASS


def test_a_later_batch_is_held_against_the_real_rows_of_the_base_and_all_of_it_where_no_generation_is_asked_for() -> (
    None
):
    gate = synthetic_rows_are_diverse_enough
    narrow = written(None, "who is who is who is who", "what is what")
    verdict, sentence = answer_of(gate, prompts(narrow, batch="later"), made_from=base(REAL))
    assert verdict is FAIL and sentence.startswith("2 synthetic rows have ")
    alone = answer_of(gate, prompts(narrow))
    assert alone == (FAIL, "the base batch has no real row to hold 2 synthetic ones against")
    judging = narrow.with_columns(split=pl.lit("golden"))
    assert answer_of(gate, prompts(judging)) == (PASS, "no row to train on is synthetic")


FAULTS = [
    Fault(
        "a class is 10 % of the rows and 40 % of the traffic", PROMPTS, "the_mix_matches_recent_traffic",
        rarer_than_in_traffic, "label 'HUM' is 10% of the source and 40% of traffic",
    ),
    Fault(
        "what servers were asked is far longer than the rows", PROMPTS, "the_mix_matches_recent_traffic",
        shorter_than_live, "300 answers of 1 whole day",
    ),
    Fault(
        "a dropped file is of one class, in long texts", PROMPTS, "the_batch_is_like_the_base",
        dropped(long_ones_about_people),
        "label 'HUM' is 100% of this batch", batch=MARCH,
    ),
    Fault(
        "most rows are synthetic", PROMPTS, "the_synthetic_share_is_under_its_cap",
        on(column("made", "synthetic", "real", 2), 300, data__provenance={"kind_column": "made"}),
        "are synthetic, cap 50%",
    ),
    Fault(
        "a generator writes one question over and over", PROMPTS, "synthetic_rows_are_diverse_enough",
        on(of_a_narrow_generator, data__provenance={"kind_column": "made"}), "of the different pairs of words",
    ),
]  # fmt: skip
