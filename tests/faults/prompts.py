"""Faults in the prompt set: mistakes of its rows, and steps of the preparation that do not do their work.

Belongs here: how each is planted.
Does not: what is asked of it (test_faults.py).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl

from stillhouse.data.cleaning import Cleaned
from stillhouse.data.near_duplicates import near_duplicate_pairs, ngram_overlap
from stillhouse.data.privacy import Redacted, redact
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CONTRACT, PROMPTS, SOURCE
from tests.faults.bench import SLICES, Bench, Fault, Plant, rows
from tests.faults.plants import (
    FEW,
    MARCH,
    QUESTION,
    beside_a_golden_file,
    changed,
    column,
    dropped,
    every,
    on,
    with_text,
)

# The prompts


def careless(target: str, put: Callable[..., Any], content: Callable[[pl.DataFrame], Any], **how: Any) -> Plant:
    """A step of the preparation that does not do its work, on rows that need it."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch(f"stillhouse.data.prompt_set:{target}", lambda real: put(real))
        return bench.recipe(content(rows(how.pop("number", 300))), **how)

    return plant


def redacts_nothing(_: Any) -> Any:
    return lambda texts: Redacted(texts, redact(texts.clear()).found)


def keeps_copies(real: Any) -> Any:
    def cleaned(frame: pl.DataFrame, **limits: Any) -> Cleaned:
        done = real(frame, **limits)
        return Cleaned(pl.concat([done.kept[:-10], done.kept[:10]]), done.rejects)

    return cleaned


def finds_no_pairs(_: Any) -> Any:
    return lambda texts, **limits: near_duplicate_pairs(texts.clear())


def finds_nothing_inside(_: Any) -> Any:
    return lambda golden, pool, **words: ngram_overlap(golden.clear(), pool.clear())


def forgets_groups(real: Any) -> Any:
    return lambda prompts, **rule: real(prompts, **{**rule, "group": None})


def spoils_one(name: str, value: str | None) -> Callable[[Any], Any]:
    """The last step, which leaves one row with another value in a column."""

    def put(real: Any) -> Any:
        def hidden(prompts: pl.DataFrame, **rule: Any) -> pl.DataFrame:
            first = pl.int_range(pl.len()) == 0
            return real(prompts, **rule).with_columns(pl.when(first).then(pl.lit(value)).otherwise(name).alias(name))

        return hidden

    return put


def hides_golden_labels(real: Any) -> Any:
    def hidden(prompts: pl.DataFrame, **rule: Any) -> pl.DataFrame:
        done = real(prompts, **rule)
        first = done.filter(pl.col("split") == "golden")["prompt_id"][0]
        return done.with_columns(pl.when(pl.col("prompt_id") != first).then("label").alias("label"))

    return hidden


def forgets_rejects(real: Any) -> Any:
    return lambda ledgers: real([]).clear()


def as_they_are(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def an_address(frame: pl.DataFrame) -> pl.DataFrame:
    return with_text(QUESTION + " Write to anna.berg@example.com", every(40))(frame)


def addresses_in(name: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """A column of which every tenth value is an e-mail address and a card number."""
    personal = pl.lit("anna.berg@example.com 4111 1111 1111 1111")
    return lambda frame: frame.with_columns(pl.when(every(10)).then(personal).otherwise(name).alias(name))


def paraphrased(frame: pl.DataFrame) -> pl.DataFrame:
    """Each of the longer questions again: "Which city of Germany has the largest port , tell me"."""
    words = QUESTION.str.replace("^What", "Which").str.replace(r" \?$", " , tell me")
    return pl.concat([frame, frame.filter(QUESTION.str.len_chars() > 50).with_columns(words)])


def with_golden_texts_inside(frame: pl.DataFrame) -> pl.DataFrame:
    """Each question of eight words or more again, inside a longer text."""
    before = "Once upon a time an old man in a small town by the sea was asked by his youngest grandson one evening : "
    longer = frame.filter(QUESTION.str.count_matches(r"\w+ ") >= 9)
    longer = longer.with_columns((pl.lit(before) + QUESTION).alias("question"))
    return pl.concat([frame, longer])


def told_by(word: pl.Expr, share: int = 1) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Write a word into each text, or into one of so many."""
    return with_text(QUESTION + word, every(share))


def judges_by_the_source(real: Any) -> Any:
    """The last step, which makes a golden row of one that nobody audited."""

    def hidden(prompts: pl.DataFrame, **rule: Any) -> pl.DataFrame:
        done = real(prompts, **rule)
        one = done.filter((pl.col("batch") == "base") & pl.col("label").is_not_null())["prompt_id"][0]
        golden = pl.when(pl.col("prompt_id") == one).then(pl.lit("golden")).otherwise("split")
        return done.with_columns(golden.alias("split"))

    return hidden


CODES = {"HUM": "zk4", "LOC": "qm7", "NUM": "vx2", "DESC": "jp9", "ENTY": "wb3", "ABBR": "hy6"}


def relabelled(bench: Bench) -> RecipeFile:
    file = bench.recipe(rows(FEW))
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS)
    prompts = bench.newest(PROMPTS).frame("prompts")
    golden = prompts.filter((pl.col("split") == "golden") & (pl.col("label") != "ABBR"))["text"][:2]
    other = pl.when(QUESTION.is_in(golden.implode())).then(pl.lit("ABBR")).otherwise("service")
    return bench.recipe(rows(FEW).with_columns(other.alias("service")))


def rarer_than_in_traffic(bench: Bench) -> RecipeFile:
    people, others = (rows(2000).filter(is_person) for is_person in (IS_PERSON, ~IS_PERSON))
    traffic = bench.place.folder / "traffic.csv"
    pl.concat([people[40:200], others[360:600]]).write_csv(traffic)
    return bench.recipe(pl.concat([people[:40], others[:360]]), data__traffic=str(traffic))


IS_PERSON = pl.col("service") == "HUM"


def with_foods(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.when(every(40)).then(pl.lit("FOOD")).otherwise("service").alias("service"))


def in_two_spellings(frame: pl.DataFrame) -> pl.DataFrame:
    """Some people are `Hum`."""
    service = pl.when((pl.col("service") == "HUM") & every(3)).then(pl.lit("Hum")).otherwise("service")
    return frame.with_columns(service.alias("service"))


def long_ones_about_people(_: pl.DataFrame) -> pl.DataFrame:
    longer = with_text(QUESTION + " Please answer in one full sentence, thank you.")
    return longer(rows(2000, 400).filter(IS_PERSON))


def no_look_beside_the_base(bench: Bench) -> RecipeFile:
    """Golden questions in a later batch, and nobody compares."""
    bench.patch(
        "stillhouse.data.prompt_set:_fault_beside",
        lambda real: lambda prompts, base, group: pl.Series("fault", [None] * prompts.height, dtype=pl.String),
    )
    file = bench.recipe(rows(400))
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS)
    golden = bench.newest(PROMPTS).frame("prompts").filter(pl.col("split") == "golden")
    known = rows(400).filter(QUESTION.is_in(golden["text"].implode()))[:5]
    bench.drop(pl.concat([rows(60, skip=400), known]), MARCH)
    return file


def cleans_without_limit(real: Any) -> Any:
    return lambda frame, **limits: real(frame)


ABOUT_PLACES = {
    "name": "places", "kind": "minimum", "critical": True,
    "cases": [{"text": "Where is the old harbour ?", "label": "PLACE"}],
}  # fmt: skip


def in_many_classes(frame: pl.DataFrame) -> pl.DataFrame:
    """Every third row is of one of fifteen classes of three or four rows."""
    rare = pl.format("rare {}", pl.int_range(pl.len()) // 10)
    return frame.with_columns(pl.when(every(3)).then(rare).otherwise("service").alias("service"))


def with_lists_of_labels(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.when(every(5)).then(pl.lit("HUM, LOC")).otherwise("service").alias("service"))


PROMPTS_FAULTS = [
    Fault(
        "an e-mail address is not redacted", PROMPTS, "no_personal_data_is_left",
        careless("redact", redacts_nothing, an_address), "column 'question' holds email in 8 rows",
    ),
    Fault(
        "e-mail addresses and a card number stand in a slice column", PROMPTS, "no_personal_data_is_left",
        on(addresses_in("kind"), sensitive=[{"column": "kind"}]), "column 'kind' holds email in",
    ),
    Fault(
        "a dropped file has e-mail addresses for labels", PROMPTS, "no_personal_data_is_left",
        dropped(addresses_in("service")), "column 'service' holds email in 6 rows, card in 6 rows", batch=MARCH,
        also=("no_batch_brings_a_new_label",),
    ),
    Fault(
        "cleaning keeps copies", PROMPTS, "no_text_is_on_both_sides_of_a_split",
        lambda bench: (
            bench.patch("stillhouse.data.prompt_set:near_duplicate_pairs", finds_no_pairs),
            careless("clean", keeps_copies, as_they_are)(bench),
        )[1],
        "more than once", also=("every_id_is_there_once",),
    ),
    Fault(
        "questions are there again in nearly the same words", PROMPTS, "no_near_duplicate_is_on_two_sides",
        careless("near_duplicate_pairs", finds_no_pairs, paraphrased), "pairs of nearly equal texts",
    ),
    Fault(
        "golden questions stand inside training texts", PROMPTS, "no_golden_text_is_inside_a_training_text",
        careless("ngram_overlap", finds_nothing_inside, with_golden_texts_inside), "are inside training texts",
    ),
    Fault(
        "a writer is on two sides of the split", PROMPTS, "no_group_is_on_two_sides",
        careless(
            "assign_splits", forgets_groups, column("writer", "nobody", "anna", 10), data__group="writer",
        ),
        "groups are on more than one side",
    ),
    Fault(
        "the label stands in the text", PROMPTS, "nothing_in_a_text_gives_its_label_away",
        on(told_by(pl.lit(" label=") + pl.col("service")), 900), "'label=",
    ),
    Fault(
        "a code word stands for each label in every second text", PROMPTS, "nothing_in_a_text_gives_its_label_away",
        on(told_by(pl.lit(" ") + pl.col("service").replace_strict(CODES), 2), 1800), "means",
    ),
    Fault(
        "the bar names a misspelt class", PROMPTS, "every_named_class_is_in_the_rows",
        changed(bar={"margin": 0.07, "metric": "recall", "metric_class": "HUMAN"}),
        "bar.metric_class: no labelled row is of class 'HUMAN'. Did you mean 'HUM'?", refuses="teacher",
    ),
    Fault(
        "a behavioural test asks for a class that does not exist", PROMPTS,
        "every_named_class_is_in_the_rows", changed(behaviour=[ABOUT_PLACES]),
        "behaviour.0.cases.0.label: no labelled row is of class 'PLACE'", refuses="teacher",
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
    Fault(
        "a class is spelled in two ways", PROMPTS, "labels_have_one_spelling_each",
        on(in_two_spellings), "one class? 'HUM' (", refuses="teacher", also=("classes_have_enough_rows",),
    ),
    Fault(
        "a dropped file spells a class of the source in another way", PROMPTS, "labels_have_one_spelling_each",
        dropped(in_two_spellings), "and 'Hum' (", batch=MARCH, also=("no_batch_brings_a_new_label",),
    ),
    Fault(
        "half of the classes have a handful of rows", PROMPTS, "classes_have_enough_rows",
        on(in_many_classes), "classes have too few rows, limit 20%: ", refuses="teacher",
    ),
    Fault(
        "rows have several labels in one cell", PROMPTS, "labels_name_one_class_each",
        on(with_lists_of_labels, 300), "hold several classes, such as 'HUM, LOC'", advice=True,
    ),
    Fault(
        "a slice is empty", PROMPTS, "every_slice_has_golden_rows",
        changed(slices=[{"name": "nobody", "column": "kind", "values": ["NO:such"], "critical": True}]),
        "empty: nobody", refuses="teacher",
    ),
    Fault(
        "most texts of a dropped file are blank", PROMPTS, "few_rows_of_the_batch_were_rejected",
        dropped(with_text(pl.lit(" "), ~every(3))), "batch march.csv", batch=MARCH, refuses="transfer_set",
    ),
    Fault(
        "a dropped file brings a new label", PROMPTS, "no_batch_brings_a_new_label",
        dropped(with_foods),
        "rows have a label that the source does not have", batch=MARCH,
    ),
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
    Fault(
        "a golden row was relabelled between two runs", PROMPTS, "no_golden_row_has_changed",
        relabelled, "relabelled, moved or dropped",
    ),
    Fault(
        "a column holds e-mail addresses", PROMPTS, "no_personal_data_is_left",
        on(
            column("email", "a@example.com", "b@example.com", 2),
            slices=[{"name": "half", "column": "email", "values": ["b@example.com"], "critical": False}],
        ),
        "column 'email' holds email in", also=("no_column_names_people",),
    ),
    Fault(
        "a dropped file holds golden questions", PROMPTS, "no_text_is_on_both_sides_of_a_split",
        no_look_beside_the_base, "more than once", batch=MARCH,
        also=("no_near_duplicate_is_on_two_sides", "no_golden_text_is_inside_a_training_text"),
    ),
    Fault(
        "rows are dropped without a line in the ledger", PROMPTS, "kept_and_rejected_are_all_that_came_in",
        careless("all_rejects", forgets_rejects, lambda frame: pl.concat([frame, frame[:20]])), "320 rows",
    ),
    Fault(
        "a row has no id", PROMPTS, "every_prompt_has_an_id",
        careless("hide_labels", spoils_one("prompt_id", None), as_they_are), "1 of",
    ),
    Fault(
        "a blank text is kept", PROMPTS, "every_prompt_has_text",
        careless("hide_labels", spoils_one("text", " "), as_they_are), "1 of",
    ),
    Fault(
        "texts of any length are kept", PROMPTS, "no_text_is_too_long",
        careless("clean", cleans_without_limit, as_they_are, data__max_characters=80), "rows are unexpected",
    ),
    Fault(
        "a row is on a side that nobody knows", PROMPTS, "every_split_is_known",
        careless("hide_labels", spoils_one("split", "test"), as_they_are), "1 of",
    ),
    Fault(
        "a golden row has no label", PROMPTS, "every_golden_row_has_a_label",
        careless("hide_labels", hides_golden_labels, as_they_are), "1 of",
    ),
    Fault(
        "there are fifteen rows", PROMPTS, "there_are_enough_rows_to_train",
        on(
            lambda frame: frame.filter(pl.col("service").is_in(["HUM", "LOC"]))[:15],
            limits={"thin_classes_at_most": 1.0},
        ),
        "observed 1",
    ),
    Fault(
        "most texts are longer than a student reads", PROMPTS, "few_texts_are_cut",
        changed(teacher__training__max_tokens=6), "are cut after 6 tokens, limit 10%. Set `max_tokens: ", advice=True,
    ),
    Fault(
        "the teacher does not know the signs of the texts", PROMPTS, "few_word_pieces_are_unknown",
        on(with_text(QUESTION + " \U0001f5a8 \U0001f9fe \U0001f4e6")), "are unknown to the teacher, limit 5%. Name",
        advice=True,
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


FAULTS = [replace(fault, finished=False) for fault in PROMPTS_FAULTS]
