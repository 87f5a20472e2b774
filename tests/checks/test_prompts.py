"""Whether a prompt set is fit to teach with and to be judged by: verdict and sentence of each gate."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from checks.gate import Gate
from checks.prompts import (
    classes_have_enough_rows,
    every_named_class_is_in_the_rows,
    every_slice_has_golden_rows,
    few_rows_of_the_batch_were_rejected,
    few_texts_are_cut,
    few_word_pieces_are_unknown,
    kept_and_rejected_are_all_that_came_in,
    labels_name_one_class_each,
    no_batch_brings_a_new_label,
    no_column_names_people,
    no_golden_row_has_changed,
    no_golden_text_is_inside_a_training_text,
    no_group_is_on_two_sides,
    no_near_duplicate_is_on_two_sides,
    no_slice_is_thin,
    no_text_is_on_both_sides_of_a_split,
    nothing_in_a_text_gives_its_label_away,
    the_batch_is_like_the_base,
    the_golden_set_can_support_the_margin,
    the_mix_matches_recent_traffic,
    the_synthetic_share_is_under_its_cap,
)
from stillhouse.records.ledger import Ledger
from stillhouse.stages.facts import CoverageFacts
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, artifact, ask, recipe, told

KIND = {"name": "kind_a", "column": "kind", "values": ["a"], "critical": True}
OTHER_KIND = {"name": "kind_b", "column": "kind", "values": ["b", "c"], "critical": False}


def rows(texts: list[str], split: str | list[str] = "train", **columns: Any) -> pl.DataFrame:
    filled = {"label": None, "kind": "a", "batch": "base", **columns}
    ids = [text.casefold() for text in texts]
    frame = pl.DataFrame({"prompt_id": ids, "text": texts}, schema={"prompt_id": pl.String, "text": pl.String})
    columns_of = {name: value if isinstance(value, list) else pl.lit(value) for name, value in filled.items()}
    return frame.with_columns(
        split=pl.Series(split) if isinstance(split, list) else pl.lit(split),
        **{n: pl.Series(v) if isinstance(v, list) else v.cast(pl.String) for n, v in columns_of.items()},
    )


def many(count: int, split: str = "golden", letter: str = "t", **columns: Any) -> pl.DataFrame:
    return rows([f"{letter} {number}" for number in range(count)], split, **columns)


def prompts(frame: pl.DataFrame, *reasons: str, batch: str = "base", **facts: Any) -> Any:
    rejects = pl.DataFrame(
        {"text": ["t"] * len(reasons), "reason": list(reasons)}, schema_overrides={"reason": pl.String}
    )
    return artifact(SimpleNamespace(**facts), {"prompts": frame, "rejects": rejects}, batch=batch)


def base(frame: pl.DataFrame) -> dict[str, Any]:
    """The base batch that a later one is held against."""
    return {"prompts": prompts(frame)}


def source(count: int, **frames: pl.DataFrame) -> dict[str, Any]:
    return {"source": artifact(frames={"rows": many(count), **frames}, stage="source")}


def test_each_row_that_came_in_is_kept_or_rejected() -> None:
    gate, kept = kept_and_rejected_are_all_that_came_in, many(3)
    assert told(gate, prompts(kept, "a", "b"), made_from=source(5)) == (PASS, "5 rows = 3 kept + 2 rejected")
    for came in (4, 6):
        assert told(gate, prompts(kept, "a", "b"), made_from=source(came))[0] is FAIL


def test_a_text_is_there_once_also_beside_the_base_batch() -> None:
    gate = no_text_is_on_both_sides_of_a_split
    once = rows(["who ?", "what ?"], ["train", "golden"])
    assert told(gate, prompts(once)) == (PASS, "0 texts are there more than once")
    assert told(gate, prompts(rows(["who ?", "Who ?"]))) == (FAIL, "1 texts are there more than once")
    later = prompts(rows(["what ?"]), batch="later")
    found = ask(gate, later, made_from=base(once))
    assert (found.verdict, found.evidence["texts"][0]["rows"]) == (FAIL, 2)
    assert told(gate, prompts(once), made_from=base(once))[0] is PASS, "the base batch is held against itself alone"


LONG = "which of the seven famous rivers of the old country flows through the largest city in the north"


def test_a_near_duplicate_may_not_be_held_out_from_its_like() -> None:
    gate = no_near_duplicate_is_on_two_sides
    texts = [f"{LONG} ?", f"{LONG} !", "an altogether different question about music and dance"]
    for split, verdict, pairs in (
        (["train", "golden", "golden"], FAIL, 1),
        (["train", "validation", "train"], FAIL, 1),
        (["golden", "validation", "train"], PASS, 0),
        (["train", "train", "golden"], PASS, 0),
    ):
        found = ask(gate, prompts(rows(texts, split)))
        assert (found.verdict, found.sentence) == (verdict, f"{pairs} pairs of nearly equal texts are on two sides")
        assert len(found.evidence["pairs"]) == pairs
    later = prompts(rows([texts[1]], "train"), batch="later")
    assert told(gate, later, made_from=base(rows([texts[0]], "golden")))[0] is FAIL


def test_a_golden_text_may_not_stand_inside_a_training_text() -> None:
    gate = no_golden_text_is_inside_a_training_text
    texts = [LONG, f"somebody asked me yesterday {LONG} and why"]
    found = ask(gate, prompts(rows(texts, ["golden", "train"])))
    assert (found.verdict, found.sentence) == (FAIL, "1 golden texts are inside training texts")
    assert found.evidence["texts"] == [{"golden": texts[0], "training": texts[1]}]
    for split in (["train", "golden"], ["golden", "validation"]):
        expected = FAIL if split == ["train", "golden"] else PASS  # thirteen words in a row are shared either way
        assert told(gate, prompts(rows(texts, split)))[0] is expected


CHINESE = "我昨天在你们网站上订购的打印机到现在还没有发货请尽快处理"


def test_a_golden_text_without_blanks_is_looked_for_by_its_characters() -> None:
    found = told(
        no_golden_text_is_inside_a_training_text,
        prompts(rows([CHINESE, f"转发 {CHINESE}。谢谢"], ["golden", "train"])),
    )
    assert found == (FAIL, "1 golden texts are inside training texts")


def test_golden_texts_that_cannot_be_looked_for_prove_nothing() -> None:
    """Regression: a text of one long word passed as one that stands in no other."""
    gate = no_golden_text_is_inside_a_training_text
    short = rows(["where is my order ?", "a train"], ["golden", "train"])
    verdict, sentence = told(gate, prompts(short))
    assert verdict is INCONCLUSIVE and "none of 1 golden texts has eight words" in sentence
    assert told(gate, prompts(rows(["a train"], "train")))[0] is INCONCLUSIVE
    some = pl.concat([short, rows([LONG], "golden")])
    assert told(gate, prompts(some)) == (
        PASS,
        "0 golden texts are inside training texts; 1 of 2 are too short to be looked for",
    )


def test_texts_that_cannot_be_compared_prove_nothing() -> None:
    gate = no_near_duplicate_is_on_two_sides
    marks = rows(["?!", "!!", "..."], ["golden", "train", "train"])
    verdict, sentence = told(gate, prompts(marks))
    assert verdict is INCONCLUSIVE and "none of 3 texts has a letter, digit or symbol" in sentence
    verdict, sentence = told(gate, prompts(pl.concat([marks, rows([CHINESE], "train")])))
    assert verdict is PASS and sentence.endswith("3 texts have no letter, digit or symbol to compare")
    almost = rows([CHINESE, CHINESE + "吧"], ["golden", "train"])
    assert told(gate, prompts(almost)) == (FAIL, "1 pairs of nearly equal texts are on two sides")


def test_a_group_stays_on_one_side() -> None:
    gate, by_kind = no_group_is_on_two_sides, recipe(data__group="kind")
    two = rows(["who ?", "what ?", "why ?"], ["train", "golden", "golden"], kind=["a", "b", "b"])
    assert told(gate, prompts(two)) == (PASS, "the recipe names no group")
    assert told(gate, prompts(two), recipe=by_kind) == (PASS, "0 groups are on more than one side")
    both = prompts(two.with_columns(kind=pl.lit("a")))
    assert told(gate, both, recipe=by_kind) == (FAIL, "1 groups are on more than one side")


def test_a_column_that_names_people_may_not_travel() -> None:
    assert told(no_column_names_people, prompts(many(1))) == (PASS, "no column is personal")
    named = prompts(many(1).with_columns(customer_email=pl.lit("x")))
    assert told(no_column_names_people, named) == (FAIL, "personal by name: customer_email")


def test_a_word_that_stands_for_a_label_closes() -> None:
    gate = nothing_in_a_text_gives_its_label_away
    labels = ["hum" if number % 2 else "loc" for number in range(400)]
    texts = [f"number {number} and so on label={label}" for number, label in enumerate(labels)]
    plain = rows([f"number {number} and so on" for number in range(400)], label=labels)
    assert told(gate, prompts(plain)) == (PASS, "no word stands for a label")
    verdict, sentence = told(gate, prompts(rows(texts, label=labels)))
    assert verdict is FAIL and "'label=hum' means hum in 100.0% of 200 rows" in sentence
    of_one = rows(texts, label=["hum" if number % 2 else None for number in range(400)])
    assert told(gate, prompts(of_one)) == (PASS, "fewer than two labels, so none can be given away")


def test_a_fifth_of_a_batch_may_be_rejected_and_copies_do_not_count() -> None:
    gate, copies = few_rows_of_the_batch_were_rejected, ["duplicate text"] * 5 + ["near duplicate"] * 5
    two = ["blank text"] * 2
    found = ask(gate, prompts(many(1), *copies, *two, batch="b1"), made_from=source(10))
    assert (found.verdict, found.sentence) == (PASS, "batch b1: 2 of 10 rows rejected (20%), limit 20%")
    assert {row["reason"] for row in found.evidence["rejected"]} == {"blank text"}
    assert told(gate, prompts(many(1), *["blank text"] * 6), made_from=source(10))[0] is FAIL
    three = told(gate, prompts(many(1), *two, "blank text", batch="b1"), made_from=source(13))
    said = "batch b1: 3 of 13 rows rejected (23%), limit 20%; of so few rows that proves nothing"
    assert three == (INCONCLUSIVE, said)
    nothing = told(gate, prompts(many(0)), made_from=source(0))
    assert nothing == (PASS, "batch base: 0 of 0 rows rejected (0%), limit 20%")
    assert told(gate, prompts(many(0), "blank text"), made_from=source(1)) == (
        FAIL,
        "batch base: 1 of 1 rows rejected (100%), limit 20%",
    )


def test_each_class_that_the_recipe_names_has_rows() -> None:
    gate = every_named_class_is_in_the_rows
    there = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert told(gate, prompts(many(1), labels=there)) == (PASS, "11 named, 6 in the rows")
    verdict, sentence = told(gate, prompts(many(1), labels=there[1:]))
    assert verdict is FAIL
    assert sentence.startswith("behaviour.0.cases.4.label: ") and sentence.endswith(
        "There are DESC, ENTY, HUM, LOC, NUM"
    )
    later = told(gate, prompts(many(1), labels=there[1:], batch="later"))
    assert later == (PASS, "asked of the base batch, whose classes are all there are")


def test_each_slice_has_a_golden_row() -> None:
    gate, asked = every_slice_has_golden_rows, recipe(slices=[KIND, OTHER_KIND])
    one = pl.concat([many(2, kind="a"), many(1, kind="b", letter="u"), many(1, "train", kind="c", letter="v")])
    found = ask(gate, prompts(one), recipe=asked)
    assert (found.verdict, found.sentence) == (PASS, "2 slices have rows")
    assert found.evidence["slices"] == [{"slice": "kind_a", "rows": 2}, {"slice": "kind_b", "rows": 1}]
    empty = prompts(one.filter(pl.col("kind") != "b"))
    assert told(gate, empty, recipe=asked) == (FAIL, "empty: kind_b"), "a training row is no golden row"
    later = told(gate, prompts(one[:0], batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


def test_fewer_than_thirty_golden_rows_are_thin() -> None:
    gate, asked = no_slice_is_thin, recipe(slices=[KIND])
    assert told(gate, prompts(many(30)), recipe=asked) == (PASS, "none is thin")
    thin = (FAIL, "fewer than 30 golden rows: kind_a (29)")
    assert told(gate, prompts(many(29)), recipe=asked) == thin
    later = told(gate, prompts(many(29), batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


def test_a_batch_brings_no_class_that_the_base_does_not_have() -> None:
    gate = no_batch_brings_a_new_label
    known = base(rows(["a", "b", "c"], label=["A", "B", None]))
    fine = prompts(rows(["d", "e"], label=["A", None]), batch="later")
    assert told(gate, fine, made_from=known) == (PASS, "2 labels, all known")
    new = ask(gate, prompts(rows(["d", "e"], label=["A", "C"]), batch="later"), made_from=known)
    assert (new.verdict, new.sentence) == (FAIL, "1 rows have a label that the source does not have")
    assert [row["label"] for row in new.evidence["rows"]] == ["C"]


def mixed(a: int, b: int) -> pl.DataFrame:
    return pl.concat([many(a, label="A", kind="a"), many(b, label="B", kind="a", letter="u")])


def test_a_mix_that_moved_far_and_not_by_chance_closes() -> None:
    gate = the_batch_is_like_the_base
    assert told(gate, prompts(mixed(50, 50))) == (PASS, "it is the base batch")
    empty = prompts(mixed(0, 0), batch="later")
    assert told(gate, empty, made_from=base(mixed(50, 50))) == (PASS, "no row of it is new")
    alike = told(gate, prompts(mixed(50, 50), batch="later"), made_from=base(mixed(50, 50)))
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
    assert told(gate, prompts(mixed(1, 1)), made_from=made_from) == (PASS, "the recipe names no sample of traffic")
    later = told(gate, prompts(mixed(1, 1), batch="later"), recipe=asked, made_from=made_from)
    assert later == (PASS, "asked of the base batch")
    verdict, sentence = told(gate, prompts(mixed(1, 1)), recipe=asked, made_from=made_from)
    assert verdict is FAIL and sentence.startswith("label 'B' is 50% of the source and 1% of traffic")


def test_half_of_the_training_rows_may_be_synthetic() -> None:
    gate = the_synthetic_share_is_under_its_cap
    kinds = rows(["a", "b", "c"], ["train", "train", "golden"], row_kind=["synthetic", "real", "synthetic"])
    assert told(gate, prompts(kinds)) == (PASS, "50.0% of 2 training rows are synthetic, cap 50%")
    capped = recipe(data__provenance__synthetic_share_at_most=0.49)
    assert told(gate, prompts(kinds), recipe=capped)[0] is FAIL
    none = told(gate, prompts(kinds.filter(pl.col("split") == "golden")))
    assert none == (PASS, "0.0% of 0 training rows are synthetic, cap 50%")


def test_golden_rows_for_the_margin_are_asked_of_the_base_batch() -> None:
    gate = the_golden_set_can_support_the_margin
    asked = recipe(slices=[KIND, OTHER_KIND], bar__margin=0.3, bar__floor=None)
    found = told(gate, prompts(many(500)), recipe=asked)
    assert found[0] is PASS
    assert found[1].startswith("all golden rows: 500 rows, ") and "kind_a: 500 rows, " in found[1]
    assert "kind_b" not in found[1], "it does not bind"
    few = told(gate, prompts(many(5)), recipe=asked)
    assert few[0] is INCONCLUSIVE and few[1].endswith("needed for a margin of 30.0%")
    later = told(gate, prompts(many(5), batch="later"), recipe=asked)
    assert later == (PASS, "golden rows are those of the base batch")


class Rounds:
    """Base batches in the order in which they were made, each with what the gate said of it."""

    GOLDEN = rows(["a", "b", "c", "d"], ["golden", "golden", "golden", "train"], label=["A", "B", "A", "B"])

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
        (Rounds.GOLDEN.with_columns(label=pl.when(pl.col("text") == "a").then(pl.lit("B")).otherwise("label")), 1),
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


COVERAGE = CoverageFacts(texts=200, max_tokens=64, positions=512, cut=20, enough=96, pieces=1000, unknown=50)


@pytest.mark.parametrize(
    ("gate", "one_more", "passes", "advises"),
    [
        (
            few_texts_are_cut,
            "cut",
            "20 of 200 texts (10.0%) are cut after 64 tokens, limit 10%",
            "21 of 200 texts (10.5%) are cut after 64 tokens, limit 10%. Set `max_tokens: 96` in `training` of the "
            "teacher and of each student",
        ),
        (
            few_word_pieces_are_unknown,
            "unknown",
            "50 of 1,000 word pieces (5.0%) are unknown to the teacher, limit 5%",
            "51 of 1,000 word pieces (5.1%) are unknown to the teacher, limit 5%. Name a teacher that was trained on "
            "the language and signs of these texts, such as a multilingual one",
        ),
    ],
)
def test_what_no_model_reads_is_told_with_what_to_change(gate: Gate, one_more: str, passes: str, advises: str) -> None:
    assert not gate.blocking
    assert told(gate, prompts(many(1), coverage=COVERAGE)) == (PASS, passes)
    more = COVERAGE.model_copy(update={one_more: getattr(COVERAGE, one_more) + 1})
    assert told(gate, prompts(many(1), coverage=more)) == (FAIL, advises)
    assert told(gate, prompts(many(1), coverage=None))[0] is INCONCLUSIVE


def test_a_text_that_is_longer_than_the_encoder_is_told_to_be_shortened() -> None:
    long = COVERAGE.model_copy(update={"cut": 180, "enough": 544, "max_tokens": 512})
    _, sentence = told(few_texts_are_cut, prompts(many(1), coverage=long))
    assert "The teacher reads at most 512 tokens: keep the part of each text that decides" in sentence


def of_class(label: str, train: int, validation: int, golden: int) -> pl.DataFrame:
    sides = {"train": train, "validation": validation, "golden": golden}
    return pl.concat([many(rows, side, f"{label} {side}", label=label) for side, rows in sides.items()])


def test_classes_without_enough_rows_are_named_and_too_many_close() -> None:
    gate, enough = classes_have_enough_rows, [of_class(name, 3, 1, 3) for name in "abcd"]
    assert told(gate, prompts(pl.concat(enough))) == (
        PASS,
        "each of 4 classes has rows to learn from and to be judged by",
    )
    for few in ((2, 1, 3), (3, 1, 2)):
        verdict, sentence = told(gate, prompts(pl.concat([*enough, of_class("e", *few)])))
        counts = "{} training, {} validation, {} golden".format(*few)
        assert verdict is PASS, "one of five"
        assert sentence.startswith(
            f"1 of 5 classes have too few rows, limit 20%: 'e' ({counts}). At least 3 training and"
        )
        two = [*enough, of_class("e", *few), of_class("f", *few)]
        assert told(gate, prompts(pl.concat(two)))[0] is FAIL
        assert told(gate, prompts(pl.concat(two)), recipe=recipe(limits={"thin_classes_at_most": 0.4}))[0] is PASS


def test_a_class_without_validation_rows_is_named_and_closes_nothing() -> None:
    """It is learned and judged; only the watch on training does not see it."""
    verdict, sentence = told(classes_have_enough_rows, prompts(of_class("a", 3, 0, 3)))
    assert verdict is PASS and sentence.endswith("; without a validation row: a")


def test_of_many_classes_with_few_rows_some_are_named() -> None:
    thousand = pl.concat([of_class(f"c{number}", 1, 0, 1) for number in range(30)])
    found = ask(classes_have_enough_rows, prompts(thousand))
    assert found.verdict is FAIL and "and 10 more" in found.sentence and len(found.evidence["classes"]) == 20
    later = prompts(thousand, batch="later")
    assert told(classes_have_enough_rows, later)[0] is PASS


def test_labels_that_are_lists_of_labels_are_told() -> None:
    gate, single = labels_name_one_class_each, [many(9, label="a", letter="a"), many(9, label="b", letter="b")]
    assert not gate.blocking
    assert told(gate, prompts(pl.concat(single))) == (PASS, "no label is a list of labels")
    found = ask(gate, prompts(pl.concat([*single, many(9, label="a, b", letter="c")])))
    assert found.verdict is FAIL and found.evidence["names"] == ["a", "b"]
    assert found.sentence.startswith("labels of 9 rows hold several classes, such as 'a, b'.")
