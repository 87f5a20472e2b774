"""Whether the mix of rows is the one that production asks: verdict and sentence of each gate."""

import polars as pl

from checks.prompts.mix import (
    the_batch_is_like_the_base,
    the_mix_matches_recent_traffic,
    the_synthetic_share_is_under_its_cap,
)
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, ask, recipe
from tests.checks.prompts.prompt_sets import base, many, prompts, rows
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, column, dropped, on
from tests.faults.prompts import long_ones_about_people, rarer_than_in_traffic


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


def test_half_of_the_training_rows_may_be_synthetic() -> None:
    gate = the_synthetic_share_is_under_its_cap
    kinds = rows(["a", "b", "c"], ["train", "train", "golden"], row_kind=["synthetic", "real", "synthetic"])
    assert answer_of(gate, prompts(kinds)) == (PASS, "50.0% of 2 training rows are synthetic, cap 50%")
    capped = recipe(data__provenance__synthetic_share_at_most=0.49)
    assert answer_of(gate, prompts(kinds), recipe=capped)[0] is FAIL
    none = answer_of(gate, prompts(kinds.filter(pl.col("split") == "golden")))
    assert none == (PASS, "0.0% of 0 training rows are synthetic, cap 50%")


FAULTS = [
    Fault(
        "a class is 10 % of the rows and 40 % of the traffic", PROMPTS, "the_mix_matches_recent_traffic",
        rarer_than_in_traffic, "label 'HUM' is 10% of the source and 40% of traffic",
    ),
    Fault(
        "a dropped file is of one class, in long texts", PROMPTS, "the_batch_is_like_the_base",
        dropped(long_ones_about_people),
        "label 'HUM' is 100% of this batch", batch=MARCH,
    ),
    Fault(
        "most rows are synthetic", PROMPTS, "the_synthetic_share_is_under_its_cap",
        on(column("made", "synthetic", "real", 3), data__provenance={"kind_column": "made"}), "are synthetic, cap 50%",
    ),
]  # fmt: skip
