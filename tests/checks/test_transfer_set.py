"""Whether the transfer set holds only what may be learned, and enough of each class and slice."""

from types import SimpleNamespace
from typing import Any

import polars as pl

from checks.transfer_set import (
    every_batch_is_in,
    kept_and_rejected_are_all_training_rows,
    no_class_loses_more_than_its_share,
    no_golden_or_validation_row_is_inside,
    no_slice_loses_more_than_its_share,
)
from stillhouse.stages.names import TRANSFER_SET
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.faults.bench import Fault
from tests.faults.plants import ONE
from tests.faults.teacher import closed_batch, forgets_some_rejects, rejects_where, takes_a_golden_row, verified_and


def prompts(*rows: tuple[str, str, str | None], kind: str = "x") -> Any:
    frame = pl.DataFrame(rows, schema=["prompt_id", "split", "label"], orient="row")
    return artifact(frames={"prompts": frame.with_columns(text="prompt_id", kind=pl.lit(kind))})


def transfer_set(kept: list[str], rejected: int = 0, **facts: Any) -> Any:
    rows = pl.DataFrame({"prompt_id": kept, "text": kept}, schema={"prompt_id": pl.String, "text": pl.String})
    frames = {"transfer_set": rows, "rejects": pl.DataFrame({"text": ["t"] * rejected})}
    return artifact(SimpleNamespace(**facts), frames, stage="transfer_set", batch=None)


def train(letter: str, count: int, label: str | None) -> list[tuple[str, str, str | None]]:
    return [(f"{letter}{number}", "train", label) for number in range(count)]


def ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def test_each_training_row_of_every_batch_is_kept_or_rejected() -> None:
    gate = kept_and_rejected_are_all_training_rows
    made_from = {"prompts": [prompts(*train("a", 3, "A"), ("g", "golden", "A")), prompts(*train("b", 2, None))]}
    assert answer_of(gate, transfer_set(["a0"], 4), made_from=made_from) == (
        PASS,
        "5 training rows = 1 kept + 4 rejected",
    )
    for rejected in (3, 5):
        assert answer_of(gate, transfer_set(["a0"], rejected), made_from=made_from)[0] is FAIL


def test_no_row_that_is_held_out_is_inside() -> None:
    made_from = {"prompts": [prompts(("a", "train", "A"), ("g", "golden", "A"), ("v", "validation", "A"))]}
    assert answer_of(no_golden_or_validation_row_is_inside, transfer_set(["a"]), made_from=made_from) == (
        PASS,
        "0 rows leaked",
    )
    found = ask(no_golden_or_validation_row_is_inside, transfer_set(["a", "g", "v"]), made_from=made_from)
    assert (found.verdict, found.sentence) == (FAIL, "2 rows leaked")
    assert found.evidence["rows"] == [{"prompt_id": "g", "text": "g"}, {"prompt_id": "v", "text": "v"}]


def test_no_class_loses_more_than_a_fifth_of_its_training_rows() -> None:
    gate = no_class_loses_more_than_its_share
    golden = [(f"g{n}", "golden", "B") for n in range(50)]
    made_from = {"prompts": [prompts(*train("a", 10, "A"), *train("b", 10, "B"), *train("n", 99, None), *golden)]}
    fine = ask(gate, transfer_set(ids("a", 9) + ids("b", 8)), made_from=made_from)
    assert (fine.verdict, fine.sentence) == (PASS, "class B loses most: 20.0% of 10 rows, limit 20%")
    assert [row["label"] for row in fine.evidence["loss_by_class"]] == ["B", "A"], "unlabelled rows are of no class"
    lost = answer_of(gate, transfer_set(ids("a", 7) + ids("b", 8)), made_from=made_from)
    assert lost[0] is INCONCLUSIVE and lost[1].endswith("of 10 rows, limit 20%; of too few rows to tell: A (30% of 10)")
    none_left = answer_of(gate, transfer_set(ids("a", 2) + ids("b", 8)), made_from=made_from)
    assert none_left == (FAIL, "class A loses most: 80.0% of 10 rows, limit 20%"), "which chance does not give"


def test_a_class_of_a_handful_of_rows_closes_nothing_beside_one_that_can_be_judged() -> None:
    """Regression: a round of seventy classes was closed by 3 of 13 rows of one of them."""
    gate = no_class_loses_more_than_its_share
    made_from = {"prompts": [prompts(*train("a", 13, "A"), *train("b", 40, "B"))]}
    some = answer_of(gate, transfer_set(ids("a", 10) + ids("b", 36)), made_from=made_from)
    assert some == (PASS, "class B loses most: 10.0% of 40 rows, limit 20%; of too few rows to tell: A (23% of 13)")
    many = answer_of(gate, transfer_set(ids("a", 13) + ids("b", 31)), made_from=made_from)
    assert many == (FAIL, "class B loses most: 22.5% of 40 rows, limit 20%")


def test_no_slice_with_rows_enough_loses_more_than_a_fifth() -> None:
    gate = no_slice_loses_more_than_its_share
    slices = [{"name": name, "column": "kind", "values": [name], "critical": False} for name in ("big", "small")]
    asked = recipe(slices=slices)
    twenty, nineteen = train("a", 20, "A"), train("b", 19, "A")
    made_from = {
        "prompts": [prompts(*twenty, *twenty, ("g", "golden", "A"), kind="big"), prompts(*nineteen, kind="small")]
    }
    fine = answer_of(gate, transfer_set(ids("a", 16)), made_from=made_from, recipe=asked)
    assert fine == (PASS, "slice big loses most: 20.0% of 20 rows, limit 20%"), "nineteen rows cannot tell"
    lost = answer_of(gate, transfer_set(ids("a", 15)), made_from=made_from, recipe=asked)
    assert lost == (FAIL, "slice big loses most: 25.0% of 20 rows, limit 20%")
    few = {"prompts": [prompts(*nineteen, kind="small")]}
    assert answer_of(gate, transfer_set([]), made_from=few, recipe=asked) == (
        PASS,
        "no declared slice has 20 training rows",
    )


def test_of_several_slices_the_worst_decides() -> None:
    slices = [{"name": name, "column": "kind", "values": [name], "critical": False} for name in ("one", "two")]
    made_from = {"prompts": [prompts(*train("a", 20, "A"), kind="one"), prompts(*train("b", 20, "A"), kind="two")]}
    found = answer_of(
        no_slice_loses_more_than_its_share,
        transfer_set(ids("a", 10) + ids("b", 20)),
        made_from=made_from,
        recipe=recipe(slices=slices),
    )
    assert found == (FAIL, "slice one loses most: 50.0% of 20 rows, limit 20%")


def test_a_batch_that_was_left_out_is_named() -> None:
    two = transfer_set([], batches=("base", "b1"))
    assert answer_of(every_batch_is_in, two, batches=("base", "b1")) == (PASS, "2 batches")
    left_out = (FAIL, "left out, their gates are closed: b2, b3")
    assert answer_of(every_batch_is_in, two, batches=("base", "b1", "b2", "b3")) == left_out


FAULTS = [
    Fault(
        "rejects are not written down", TRANSFER_SET, "kept_and_rejected_are_all_training_rows",
        verified_and(forgets_some_rejects), "training rows =",
    ),
    Fault(
        "a golden row is among those to learn from", TRANSFER_SET, "no_golden_or_validation_row_is_inside",
        verified_and(takes_a_golden_row), "1 rows leaked", refuses=ONE,
    ),
    Fault(
        "a filter throws out half of a class", TRANSFER_SET, "no_class_loses_more_than_its_share",
        verified_and(rejects_where("label", ["LOC"], 0.5)), "class LOC loses most",
    ),
    Fault(
        "a filter throws out a third of a slice", TRANSFER_SET, "no_slice_loses_more_than_its_share",
        verified_and(rejects_where("kind", ["NUM:date", "NUM:period"], 0.3)), "slice periods loses most",
    ),
    Fault(
        "a batch is closed and left out", TRANSFER_SET, "every_batch_is_in", closed_batch, "left out", advice=True,
    ),
]  # fmt: skip
