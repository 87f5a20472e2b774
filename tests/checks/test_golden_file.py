"""Whether a golden file arrived, and alone judges: both sides of each limit."""

from typing import Any

import polars as pl

from checks.prompts.golden_rows import (
    every_golden_label_is_in_the_source,
    golden_rows_are_of_the_golden_file,
    the_golden_set_can_support_the_margin,
)
from checks.prompts.labels import classes_have_enough_rows
from checks.source import nearly_every_golden_row_can_judge, two_classes_are_labelled
from checks.transfer_set import no_class_loses_more_than_its_share
from stillhouse.data.cleaning import prompt_ids
from stillhouse.stages.names import PROMPTS, SOURCE
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe, stored_recipe
from tests.checks.prompts.test_numbers import OF_NUMBERS
from tests.faults.bench import Fault
from tests.faults.plants import beside_a_golden_file, every
from tests.faults.prompts import as_they_are, judges_by_the_source

BOTH = recipe(data__golden="audited.csv", slices=[])
UNLABELLED = stored_recipe(data__golden="audited.csv", data__label=None, data__golden_label="queue", slices=[])
BEFORE_ALL = (PASS, "asked of the base batch, where data.golden names a file")


def rows(*of: tuple[str, str | None, str]) -> pl.DataFrame:
    return pl.DataFrame(of, schema={"text": pl.String, "label": pl.String, "batch": pl.String}, orient="row")


def source(read: pl.DataFrame, *reasons: str, batch: str = "base") -> Any:
    rejects = pl.DataFrame({"text": ["t"] * len(reasons), "batch": "golden", "reason": list(reasons)})
    empty = {"text": pl.String, "batch": pl.String, "reason": pl.String}
    frames = {"rows": read, "rejects": rejects if reasons else pl.DataFrame(schema=empty)}
    return artifact(None, frames, stage="source", batch=batch)


def test_a_fifth_of_the_golden_file_may_be_unfit_to_judge() -> None:
    gate, fit = nearly_every_golden_row_can_judge, [("t", "x", "golden")] * 80
    of_the_source = [("t", None, "base")] * 500
    unfit = [("t", None, "golden")] * 10, [("na\u00c3\u00afve", None, "golden")] * 5
    whole = answer_of(gate, source(rows(*fit, *of_the_source)), recipe=BOTH)
    assert whole == (PASS, "0 of 80 rows of the golden file cannot judge")
    lost = answer_of(gate, source(rows(*fit, *unfit[0], *unfit[1], *of_the_source), *["no date"] * 5), recipe=BOTH)
    said = "20 of 100 rows of the golden file cannot judge (5 no date, 10 without a label, 5 garbled): 20.0%, limit 20%"
    assert lost == (PASS, said)
    assert answer_of(gate, source(rows(*fit, *unfit[0] * 3), *["no date"] * 15), recipe=BOTH)[0] is FAIL
    one_more = answer_of(gate, source(rows(*fit, *unfit[0], *unfit[1]), *["no date"] * 6), recipe=BOTH)
    assert one_more[0] is INCONCLUSIVE and "Label them, take them out, or see how audited.csv is read" in one_more[1]
    assert answer_of(gate, source(rows(), batch="later"), recipe=BOTH) == BEFORE_ALL
    assert answer_of(gate, source(rows())) == BEFORE_ALL


def test_the_golden_file_alone_needs_two_classes() -> None:
    read = rows(("t", "x", "golden"), ("u", "y", "base"), ("v", "x", "golden"))
    assert answer_of(two_classes_are_labelled, source(read), recipe=BOTH) == (FAIL, "2 labelled rows of 1 classes")
    assert answer_of(two_classes_are_labelled, source(read)) == (PASS, "3 labelled rows of 2 classes")


def prompts(read: pl.DataFrame, *sides: str) -> Any:
    made = read.with_columns(prompt_ids(read["text"]), pl.Series("split", sides))
    return artifact(None, {"prompts": made})


def test_a_row_that_judges_has_to_be_of_the_golden_file_with_its_label() -> None:
    gate, read = golden_rows_are_of_the_golden_file, rows(("one", "x", "golden"), ("two", "y", "base"))
    made_from = {"source": source(rows(("one", "x", "golden"), ("two", "y", "base")))}
    held = answer_of(gate, prompts(read, "golden", "train"), recipe=BOTH, made_from=made_from)
    assert held == (PASS, "1 rows that judge or validate are of the golden file, with its labels")
    for side in ("golden", "validation"):
        found = ask(gate, prompts(read, "golden", side), recipe=BOTH, made_from=made_from)
        assert found.verdict is FAIL and found.evidence["rows"] == [{"batch": "base", "label": "y", "text": "two"}]
        assert found.sentence == "1 of 2 rows that judge or validate are not of audited.csv"
    relabelled = prompts(rows(("one", "y", "golden")), "golden")
    assert answer_of(gate, relabelled, recipe=BOTH, made_from=made_from)[0] is FAIL
    assert answer_of(gate, prompts(read, "golden", "golden"), made_from=made_from) == BEFORE_ALL


def test_personal_data_in_a_golden_row_does_not_make_it_another_row() -> None:
    said, redacted = "mail ann@example.org now", "mail [email] now"
    made_from = {"source": source(rows((said, "x", "golden")))}
    taken_in = prompts(rows((redacted, "x", "golden")), "golden")
    assert answer_of(golden_rows_are_of_the_golden_file, taken_in, recipe=BOTH, made_from=made_from)[0] is PASS


def test_a_label_of_the_golden_file_alone_is_named_with_the_one_that_was_meant() -> None:
    gate = every_golden_label_is_in_the_source
    known = {"source": source(rows(("one", "x", "golden"), ("two", "x", "base")))}
    assert answer_of(gate, recipe=BOTH, made_from=known) == (PASS, "1 labels of the golden file, all in the source")
    misspelt = {"source": source(rows(("one", "bilings", "golden"), ("two", "billing", "base")))}
    verdict, said = answer_of(gate, recipe=BOTH, made_from=misspelt)
    assert verdict is FAIL and "has 'bilings' (1 golden rows). Did you mean 'billing'?: correct them in audited" in said
    unlabelled = {"source": source(rows(("one", "x", "golden"), ("two", None, "base"), ("three", "y", "golden")))}
    said = "the source has no labels; the classes are those of the golden file: x, y"
    assert answer_of(gate, recipe=UNLABELLED, made_from=unlabelled) == (PASS, said)
    assert answer_of(gate, made_from=misspelt) == BEFORE_ALL


def test_where_no_label_is_taught_a_class_needs_golden_rows_alone() -> None:
    read = rows(*[(f"x {n}", "x", "golden") for n in range(3)], *[(f"y {n}", "y", "golden") for n in range(3)])
    made = prompts(read, *["golden"] * 6)
    verdict, said = answer_of(classes_have_enough_rows, made, recipe=UNLABELLED)
    assert verdict is PASS and said.startswith("each of 2 classes has rows to be judged by; without a validation row")
    assert answer_of(classes_have_enough_rows, made, recipe=BOTH)[0] is FAIL
    few = prompts(read[:4], *["golden"] * 4)
    verdict, said = answer_of(classes_have_enough_rows, few, recipe=UNLABELLED)
    assert verdict is FAIL and "At least 3 golden rows are wanted" in said


def test_it_is_said_how_many_rows_more_people_should_label() -> None:
    read = rows(*[(f"text {n}", "xy"[n % 2], "golden") for n in range(100)])
    changes = {"golden_share": 0.7, "validation_share": 0.3}
    file = recipe(
        data__golden="audited.csv", slices=[], bar__margin=0.04, bar__floor=None, split={"key": "k", **changes}
    )
    verdict, said = answer_of(the_golden_set_can_support_the_margin, prompts(read, *["golden"] * 100), recipe=file)
    # 243 are needed at a discordance of 5 % (rows_needed_for), and 7 rows in 10 of the file are golden: 143 / 0.7.
    assert verdict is INCONCLUSIVE and said.endswith(
        "243 needed for a margin of 4.0%; label about 205 rows more in audited.csv"
    )


def test_of_rankings_it_is_said_how_many_queries_more() -> None:
    """Regression: as many rows were asked for, which are the documents of a few."""
    read = rows(*[(f"q{n // 5} [SEP] text {n}", str(n % 2), "golden") for n in range(100)])
    golden = prompts(read.with_columns(query=pl.Series([f"q{n // 5}" for n in range(100)])), *["golden"] * 100)
    changes = {"golden_share": 0.7, "validation_share": 0.3}
    file = recipe(
        **OF_NUMBERS, data__golden="audited.csv", data__query="query", data__format=None, data__pattern=None,
        stress=None, bar={"metric": "ndcg", "margin": 0.04}, split={"key": "k", **changes},
    )  # fmt: skip
    verdict, said = answer_of(the_golden_set_can_support_the_margin, golden, recipe=file)
    # As above, of 20 queries instead of 100 rows: 223 / 0.7.
    assert verdict is INCONCLUSIVE and said == (
        "queries of golden rows: 20, 243 needed for a margin of 4.0%; label the documents of about 319 queries more in "
        "audited.csv"
    )


def test_no_class_can_lose_rows_where_none_has_a_label() -> None:
    made = artifact(
        None, {"prompts": rows(("one", None, "base")).with_columns(split=pl.lit("train"), prompt_id=pl.lit("1"))}
    )
    taught = artifact(None, {"transfer_set": pl.DataFrame({"prompt_id": ["1"]})})
    found = answer_of(no_class_loses_more_than_its_share, taught, made_from={"prompts": [made]})
    assert found == (PASS, "no training row has a label, so no class can lose any")


FAULTS = [
    Fault(
        "a third of the golden file has no label", SOURCE, "nearly_every_golden_row_can_judge",
        beside_a_golden_file(lambda frame: frame.with_columns(service=pl.when(~every(3)).then("service"))),
        "67 of 200 rows of the golden file cannot judge (67 without a label): 33.5%, limit 20%", refuses=PROMPTS,
    ),
    Fault(
        "a row of the source judges beside those of the golden file", PROMPTS, "golden_rows_are_of_the_golden_file",
        lambda bench: (
            bench.patch("stillhouse.data.prompt_set:hide_labels", judges_by_the_source),
            beside_a_golden_file(as_they_are)(bench),
        )[1],
        "1 of", refuses="teacher",
    ),
    Fault(
        "the golden file misspells a class", PROMPTS, "every_golden_label_is_in_the_source",
        beside_a_golden_file(lambda frame: frame.with_columns(pl.col("service").replace("HUM", "HUMN"))),
        "no row of", refuses="teacher", also=("classes_have_enough_rows",),
    ),
]  # fmt: skip
