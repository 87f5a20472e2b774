"""Every use of a golden set counts, and a golden set is what one split key makes golden."""

from stillhouse.records.golden_set_usage import golden_set_usage, log_golden_read
from stillhouse.records.ledger import Ledger


def read(ledger: Ledger, golden: str, key: str, *, recipe: str = "r", reader: str = "evaluation") -> None:
    log_golden_read(ledger, recipe, golden=golden, split_key=key, reader=reader, run_id="0123456789ab")


def uses(ledger: Ledger, golden: str, key: str) -> int:
    return len(golden_set_usage(ledger, "r", golden=golden, split_key=key, reader="evaluation"))


def test_a_golden_set_that_grew_by_a_row_was_used_before(ledger: Ledger) -> None:
    read(ledger, "digest of 100 rows", "first")
    read(ledger, "digest of 101 rows", "first")
    assert uses(ledger, "digest of 102 rows", "first") == 2
    assert uses(ledger, "digest of other rows", "second") == 0


def test_only_this_stage_of_this_recipe_counts(ledger: Ledger) -> None:
    read(ledger, "rows", "first", reader="baselines")
    read(ledger, "rows", "first", recipe="other")
    assert uses(ledger, "rows", "first") == 0


def test_a_use_from_before_keys_were_written_counts_by_its_rows(ledger: Ledger) -> None:
    ledger.append("golden_read", "r", {"golden": "rows", "reader": "evaluation", "run_id": "0123456789ab"})
    assert (uses(ledger, "rows", "first"), uses(ledger, "other rows", "first")) == (1, 0)
    (said,) = golden_set_usage(ledger, "r", golden="rows", split_key="first", reader="evaluation")
    assert str(said).endswith(" by run 01234567")
