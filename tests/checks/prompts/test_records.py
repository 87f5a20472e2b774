"""Whether rows were lost on the way in: verdict and sentence of each gate."""

import polars as pl

from checks.prompts.records import few_rows_of_the_batch_were_rejected, kept_and_rejected_are_all_that_came_in
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, ask
from tests.checks.prompts.prompt_sets import many, prompts, source
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, dropped, every, with_text
from tests.faults.prompts import careless, forgets_rejects


def test_each_row_that_came_in_is_kept_or_rejected() -> None:
    gate, kept = kept_and_rejected_are_all_that_came_in, many(3)
    assert answer_of(gate, prompts(kept, "a", "b"), made_from=source(5)) == (PASS, "5 rows = 3 kept + 2 rejected")
    for came in (4, 6):
        assert answer_of(gate, prompts(kept, "a", "b"), made_from=source(came))[0] is FAIL


def test_a_fifth_of_a_batch_may_be_rejected_and_copies_do_not_count() -> None:
    gate, copies = few_rows_of_the_batch_were_rejected, ["duplicate text"] * 5 + ["near duplicate"] * 5
    two = ["blank text"] * 2
    found = ask(gate, prompts(many(1), *copies, *two, batch="b1"), made_from=source(10))
    assert (found.verdict, found.sentence) == (PASS, "batch b1: 2 of 10 rows rejected (20%), limit 20%")
    assert {row["reason"] for row in found.evidence["rejected"]} == {"blank text"}
    assert answer_of(gate, prompts(many(1), *["blank text"] * 6), made_from=source(10))[0] is FAIL
    three = answer_of(gate, prompts(many(1), *two, "blank text", batch="b1"), made_from=source(13))
    said = "batch b1: 3 of 13 rows rejected (23%), limit 20%; so few rows prove nothing"
    assert three == (INCONCLUSIVE, said)
    nothing = answer_of(gate, prompts(many(0)), made_from=source(0))
    assert nothing == (PASS, "batch base: 0 of 0 rows rejected (0%), limit 20%")
    assert answer_of(gate, prompts(many(0), "blank text"), made_from=source(1)) == (
        FAIL,
        "batch base: 1 of 1 rows rejected (100%), limit 20%",
    )


FAULTS = [
    Fault(
        "most texts of a dropped file are blank", PROMPTS, "few_rows_of_the_batch_were_rejected",
        dropped(with_text(pl.lit(" "), ~every(3))), "batch march.csv", batch=MARCH, refuses="transfer_set",
    ),
    Fault(
        "rows are dropped without a line in the ledger", PROMPTS, "kept_and_rejected_are_all_that_came_in",
        careless("all_rejects", forgets_rejects, lambda frame: pl.concat([frame, frame[:20]])), "320 rows",
    ),
]  # fmt: skip
