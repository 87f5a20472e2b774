"""Whether the rows that judge are enough and the same as before: verdict and sentence of each gate."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from checks.prompts.golden_rows import (
    every_slice_has_golden_rows,
    no_golden_row_has_changed,
    no_slice_is_thin,
    the_golden_set_can_support_the_margin,
)
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.checks.prompts.prompt_sets import KIND, OTHER_KIND, many, prompts, rows
from tests.faults.bench import SLICES, Fault
from tests.faults.plants import beside_a_golden_file, changed
from tests.faults.prompts import as_they_are, relabelled


def test_each_slice_has_a_golden_row() -> None:
    gate, asked = every_slice_has_golden_rows, recipe(slices=[KIND, OTHER_KIND])
    one = pl.concat([many(2, kind="a"), many(1, kind="b", letter="u"), many(1, "train", kind="c", letter="v")])
    found = ask(gate, prompts(one), recipe=asked)
    assert (found.verdict, found.sentence) == (PASS, "2 slices have rows")
    assert found.evidence["slices"] == [{"slice": "kind_a", "rows": 2}, {"slice": "kind_b", "rows": 1}]
    empty = prompts(one.filter(pl.col("kind") != "b"))
    assert answer_of(gate, empty, recipe=asked) == (FAIL, "empty: kind_b"), "a training row is no golden row"
    later = answer_of(gate, prompts(one[:0], batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


def test_fewer_than_thirty_golden_rows_are_thin() -> None:
    gate, asked = no_slice_is_thin, recipe(slices=[KIND])
    assert answer_of(gate, prompts(many(30)), recipe=asked) == (PASS, "none is thin")
    thin = (FAIL, "fewer than 30 golden rows: kind_a (29)")
    assert answer_of(gate, prompts(many(29)), recipe=asked) == thin
    later = answer_of(gate, prompts(many(29), batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


def test_golden_rows_for_the_margin_are_asked_of_the_base_batch() -> None:
    gate = the_golden_set_can_support_the_margin
    asked = recipe(slices=[KIND, OTHER_KIND], bar__margin=0.3, bar__floor=None)
    found = answer_of(gate, prompts(many(500)), recipe=asked)
    assert found[0] is PASS
    assert found[1].startswith("all golden rows: 500 rows, ") and "kind_a: 500 rows, " in found[1]
    assert "kind_b" not in found[1], "it does not bind"
    few = answer_of(gate, prompts(many(5)), recipe=asked)
    assert few[0] is INCONCLUSIVE and few[1].endswith("needed for a margin of 30.0%")
    later = answer_of(gate, prompts(many(5), batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


def test_the_claim_that_lacks_most_rows_is_the_one_that_is_measured() -> None:
    asked = recipe(slices=[{**KIND, "margin": 0.1}], bar__margin=0.02, bar__floor=None)
    golden = pl.concat([many(50), many(450, letter="u", kind="b")])
    found = ask(the_golden_set_can_support_the_margin, prompts(golden), recipe=asked)
    # 50 of 56 rows for 10 points of the slice, and 500 of 837 for 2 points of all, at a discordance of 5 %.
    assert (found.verdict, found.observed, found.limit) == (INCONCLUSIVE, 500, 837)


class Rounds:
    """Base batches in the order in which they were made, each with what the gate said of it."""

    GOLDEN = rows(["a", "b", "c", "d"], ["golden", "golden", "golden", "train"], label=["A", "B", "A", "B"])
    RELABELLED = GOLDEN.with_columns(label=pl.when(pl.col("text") == "a").then(pl.lit("B")).otherwise("label"))

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.artifacts: dict[str, Any] = {}

    def base(
        self, digest: str, frame: pl.DataFrame, state: str = "passed", waived: str | None = None, key: str = "k"
    ) -> None:
        self.artifacts[digest] = artifact(frames={"prompts": frame}, digest=digest, config={"split": {"key": key}})
        made = {"asset": "small/prompts[base]", "digest": digest, "manifest": "m"}
        self.ledger.append("materialization", "small", made)
        if state:
            said = {**made, "gate": "no_golden_row_has_changed", "state": state, "waived": waived}
            self.ledger.append("verdict", "small", said)

    def look(self, frame: pl.DataFrame, batch: str = "base") -> Any:
        now = artifact(frames={"prompts": frame}, digest="now", batch=batch, config={"split": {"key": "k"}})
        return ask(no_golden_row_has_changed, now, ledger=self.ledger, artifacts=self.artifacts)


NO_SET_BEFORE = (PASS, "there is no golden set before this one under the same split")


@pytest.fixture
def before(tmp_path: Path) -> Rounds:
    return Rounds(tmp_path)


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (Rounds.GOLDEN, 0),
        (pl.concat([Rounds.GOLDEN, rows(["e"], "golden", label=["B"])]), 0),
        (Rounds.RELABELLED, 1),
        (Rounds.GOLDEN.with_columns(split=pl.when(pl.col("text") == "a").then(pl.lit("train")).otherwise("split")), 1),
        (Rounds.GOLDEN.filter(pl.col("text") != "a"), 1),
        (Rounds.GOLDEN.with_columns(label=pl.lit(None).cast(pl.String)), 3),
    ],
    ids=["same", "grown", "relabelled", "moved", "dropped", "unlabelled"],
)
def test_a_golden_row_may_be_added_and_nothing_else(before: Rounds, now: pl.DataFrame, changed: int) -> None:
    before.base("old", Rounds.GOLDEN)
    found = before.look(now)
    sentence = f"{changed} of 3 golden rows were relabelled, moved or dropped"
    sentence += "; if the labels were corrected on purpose, waive this once" if changed else ""
    assert (found.verdict, found.sentence) == (FAIL if changed else PASS, sentence)
    assert len(found.evidence["changed"]) == changed


def test_only_an_accepted_base_batch_under_the_same_split_counts(before: Rounds) -> None:
    def look(frame: pl.DataFrame, batch: str = "base") -> tuple[Any, str]:
        found = before.look(frame, batch)
        return found.verdict, found.sentence

    fewer = Rounds.GOLDEN.filter(pl.col("text") != "a")
    assert look(fewer) == NO_SET_BEFORE
    before.base("refused", Rounds.GOLDEN, state="failed")
    before.base("never looked at", Rounds.GOLDEN, state="")
    before.base("now", Rounds.GOLDEN)
    assert look(fewer) == NO_SET_BEFORE, "nor does it count against itself"
    before.base("waived", Rounds.GOLDEN, state="failed", waived="by Ada")
    assert look(fewer)[0] is FAIL
    assert look(fewer, batch="later") == NO_SET_BEFORE
    before.base("newest", fewer)
    assert look(fewer)[0] is PASS, "the newest accepted one counts"
    before.base("of another split", Rounds.GOLDEN, key="another")
    assert look(fewer) == NO_SET_BEFORE


def test_a_label_that_was_refused_once_is_not_let_in_by_rows_that_are_added(before: Rounds) -> None:
    grown = pl.concat([Rounds.GOLDEN, rows(["e"], "golden", label=["B"])])
    grown_and_relabelled = pl.concat([Rounds.RELABELLED, rows(["e"], "golden", label=["B"])])
    before.base("accepted", Rounds.GOLDEN)
    before.base("refused", Rounds.RELABELLED, state="failed")
    assert before.look(grown_and_relabelled).verdict is FAIL
    assert before.look(grown).verdict is PASS


FAULTS = [
    Fault(
        "a slice is empty", PROMPTS, "every_slice_has_golden_rows",
        changed(slices=[{"name": "nobody", "column": "kind", "values": ["NO:such"], "critical": True}]),
        "empty: nobody", refuses="teacher",
    ),
    Fault(
        "a golden row was relabelled between two runs", PROMPTS, "no_golden_row_has_changed",
        relabelled, "relabelled, moved or dropped",
    ),
    Fault(
        "a slice has a handful of rows", PROMPTS, "no_slice_is_thin", changed(slices=SLICES), "fewer than 30",
        advice=True,
    ),
    Fault(
        "the golden file is too small for the margin", PROMPTS, "the_golden_set_can_support_the_margin",
        beside_a_golden_file(as_they_are, bar={"margin": 0.03}), "; label about", state="inconclusive", advice=True,
    ),
    Fault(
        "the golden set is too small for the margin", PROMPTS, "the_golden_set_can_support_the_margin",
        changed(bar={"margin": 0.01}), "needed for a margin of 1.0%", state="inconclusive", advice=True,
    ),
]  # fmt: skip
