"""Who was judged by the golden rows, and how often: a set that chooses often enough chooses luck.

Belongs here: writing such a use to the ledger, and counting the uses of one golden set.
Does not: how many are too many (stillhouse/recipe/), closing anything (checks/evaluation.py).
"""

from dataclasses import dataclass

from stillhouse.records.ledger import Ledger


@dataclass(frozen=True)
class GoldenRead:
    """One use of the golden rows."""

    date: str
    run_id: str

    def __str__(self) -> str:
        """When, and by which run."""
        return f"{self.date} by run {self.run_id[:8]}"


def log_golden_read(ledger: Ledger, recipe: str, *, golden: str, split_key: str, reader: str, run_id: str) -> None:
    """Write down that somebody is judged by the golden rows; before it happens, so that a crash counts as well.

    Args:
        ledger: keeps it.
        recipe: whose golden rows they are.
        golden: digest of the rows.
        split_key: key of the hash that made these rows golden.
        reader: the stage that judges.
        run_id: the run that judges.
    """
    ledger.append("golden_read", recipe, {"golden": golden, "split_key": split_key, "reader": reader, "run_id": run_id})


def golden_set_usage(ledger: Ledger, recipe: str, *, golden: str, split_key: str, reader: str) -> list[GoldenRead]:
    """Each use of a golden set by one stage, in the order in which they happened.

    Rows that are golden under one key stay so as data grow or labels are corrected, whatever their digest is by then:
    all uses under the same key are of one golden set. Entries of versions that did not write the key count by digest.

    Args:
        ledger: of the installation.
        recipe: whose golden rows they are.
        golden: digest of the rows as they are now.
        split_key: key of the hash that made these rows golden.
        reader: the stage that judges.
    """
    return [
        GoldenRead(entry.at[:10], entry.body["run_id"])
        for entry in ledger.entries(recipe, "golden_read")
        if entry.body["reader"] == reader
        and (entry.body["golden"] == golden or entry.body.get("split_key") == split_key)
    ]
