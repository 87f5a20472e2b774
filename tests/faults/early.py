"""Faults that are found before a teacher is loaded: in the contract, the source and the prompts.

Belongs here: how each is planted.
Does not: what is asked of it (test_faults.py), faults further down (late.py).
"""

import gzip
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from assets.keys import CONTRACT, PROMPTS, SOURCE
from stillhouse.data.cleaning import Cleaned
from stillhouse.data.near_duplicates import contained_rows, near_duplicate_pairs
from stillhouse.data.privacy import Redacted, redact
from stillhouse.data.provenance import Traced
from stillhouse.recipe import RecipeFile
from tests.faults.bench import SLICES, Bench, Fault, Plant, rows

MARCH = "march.csv"
FEW = 150


def changed(**changes: Any) -> Plant:
    """A recipe that says something else, on real rows."""
    return lambda bench: bench.recipe(rows(FEW), **changes)


def on(make: Callable[[pl.DataFrame], pl.DataFrame | bytes], number: int = FEW, **changes: Any) -> Plant:
    """Real rows with something done to them."""
    return lambda bench: bench.recipe(make(rows(number)), **changes)


def no_file(bench: Bench) -> RecipeFile:
    return bench.recipe(rows(FEW), data__source=str(bench.place.folder / "rows.csw"))


def as_bytes(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def with_text(text: pl.Expr, where: pl.Expr | None = None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Replace the text of some rows."""
    new = text if where is None else pl.when(where).then(text).otherwise("question")
    return lambda frame: frame.with_columns(new.alias("question"))


def every(nth: int) -> pl.Expr:
    """One row of so many."""
    return pl.int_range(pl.len()) % nth == 0


QUESTION = pl.col("question")


# The contract


def moved_bar(bench: Bench) -> RecipeFile:
    return bench.recipe(bar={"margin": 0.2})


def edited_after_freezing(bench: Bench) -> RecipeFile:
    bench.must_run(bench.recipe(rows(FEW)), CONTRACT)
    return bench.recipe(rows(FEW), bar={"margin": 0.2})


def pickle_as_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def cut_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def copy_of_teacher(bench: Bench) -> Path:
    return Path(shutil.copytree(bench.finished / "teacher", bench.place.folder / "of_its_own"))


A_WEEK_FOR_A_THOUSAND_CALLS = {
    "calls_per_month": 1000, "teacher_usd_per_1000_calls": 5, "engineering_hours": 40, "engineering_usd_per_hour": 80,
}  # fmt: skip


CONTRACT_FAULTS = [
    Fault("no pain is declared", CONTRACT, "a_pain_is_declared", changed(pain=[]), "do not distil", refuses=SOURCE),
    Fault(
        "a thousand calls a month are to pay for a week of work", CONTRACT, "it_pays_for_itself",
        changed(pain=["cost"], economics=A_WEEK_FOR_A_THOUSAND_CALLS), "do not fund", refuses=SOURCE,
    ),
    Fault(
        "the teacher's terms are unknown", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="unknown"), "is unknown",
    ),
    Fault(
        "the teacher's terms forbid it", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="forbidden"), "is forbidden",
    ),
    Fault("the rows' licence is not named", CONTRACT, "licences_are_named", changed(data__licence="TBD"), "data"),
    Fault(
        "the bar was changed in the recipe after it was frozen", CONTRACT, "the_bar_is_frozen",
        edited_after_freezing, "was changed since", look_only=True,
    ),
    Fault(
        "training does not fit into memory", CONTRACT, "training_fits_into_memory",
        changed(budget__training_memory_gb_at_most=0.01), "0.0 GB allowed",
    ),
    Fault(
        "a pickle lies beside the teacher's weights", CONTRACT, "training_fits_into_memory",
        pickle_as_teacher, "can run code when it is loaded (pickle)", state="missing",
    ),
    Fault(
        "the teacher's weights are cut", CONTRACT, "training_fits_into_memory", cut_teacher, "truncated or corrupt",
        state="missing",
    ),
]  # fmt: skip

MOVED_BAR = Fault(
    "the bar was moved after a student was trained", CONTRACT, "a_moved_bar_has_a_name_and_a_reason",
    moved_bar, "put the old one back", refuses=SOURCE,
)  # fmt: skip


# The source


def mojibake(frame: pl.DataFrame) -> pl.DataFrame:
    """Spanish written as UTF-8, which the recipe says is Latin-1."""
    return with_text(pl.lit("¿Quién descubrió España en vez de : ") + QUESTION, every(10))(frame)


def cut_in_a_quote(frame: pl.DataFrame) -> bytes:
    quoted = with_text(QUESTION + ", please", every(2))(frame)
    content = as_bytes(quoted)
    return content[: content.rindex(b", please") + 4]


def parquet_cut(bench: Bench) -> RecipeFile:
    buffer = io.BytesIO()
    rows(FEW).write_parquet(buffer)
    return cut_file(bench, "rows.parquet", buffer.getvalue())


def gzip_cut(bench: Bench) -> RecipeFile:
    return cut_file(bench, "rows.csv.gz", gzip.compress(as_bytes(rows(FEW)), mtime=0))


def cut_file(bench: Bench, name: str, content: bytes) -> RecipeFile:
    path = bench.place.folder / name
    path.write_bytes(content[: len(content) // 2])
    return bench.recipe(rows(FEW), data__source=str(path))


def lines_with_a_comma_too_many(frame: pl.DataFrame) -> bytes:
    head, *lines = as_bytes(frame).splitlines(keepends=True)
    return head + b"".join(b"one, two, three, four\n" + line if n % 30 == 0 else line for n, line in enumerate(lines))


def column(name: str, usual: str, odd: str | None, share: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """A further column in which one row of so many has another value."""
    value = pl.when(every(share)).then(pl.lit(odd)).otherwise(pl.lit(usual))
    return lambda frame: frame.with_columns(value.alias(name))


RIGHTS = {"rights_column": "rights", "rights_allowed": ["CC-BY-4.0"]}
PRIVACY = {"privacy_column": "privacy"}


def secret_row_through(bench: Bench) -> RecipeFile:
    def careless(real: Any) -> Any:
        # The class is written down and never compared with what the teacher may see.
        return lambda read, spec: real(
            read, spec.model_copy(update={"teacher_may_see": ("public", "internal", "personal", "secret")})
        )

    bench.patch("assets.source:with_provenance", careless)
    return bench.recipe(column("privacy", "public", "secret", 50)(rows(FEW)), data__provenance=PRIVACY)


def lost_while_reading(bench: Bench) -> RecipeFile:
    def losing(real: Any) -> Any:
        def traced(read: pl.DataFrame, spec: Any) -> Traced:
            whole = real(read, spec)
            return replace(whole, rows=whole.rows[:-5])

        return traced

    bench.patch("assets.source:with_provenance", losing)
    return bench.recipe(rows(FEW))


def dropped(content: Callable[[pl.DataFrame], pl.DataFrame | bytes], number: int = 60, **changes: Any) -> Plant:
    """A later batch beside a base batch that is as it should be."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.recipe(rows(400), **changes)
        bench.must_run(file, CONTRACT, SOURCE, PROMPTS)
        bench.drop(content(rows(number, skip=400)), MARCH)
        return file

    return plant


SOURCE_FAULTS = [
    Fault(
        "UTF-8 is read as Latin-1", SOURCE, "few_texts_are_garbled",
        on(mojibake, data__encoding="latin-1"), "look garbled", refuses=PROMPTS,
    ),
    Fault(
        "Latin-1 is read as UTF-8", SOURCE, None,
        on(lambda frame: as_bytes(frame).replace(b"Who", "Wh\u00f6".encode("latin-1"), 1)), "is not utf-8",
    ),
    Fault("a csv is cut inside a quoted field", SOURCE, None, on(cut_in_a_quote), "not readable as csv"),
    Fault("a gzip file is cut", SOURCE, None, gzip_cut, "cannot be read"),
    Fault("a parquet file is cut", SOURCE, None, parquet_cut, "cannot be read"),
    Fault("the file is missing", SOURCE, None, no_file, "no such file"),
    Fault("the file is empty", SOURCE, None, on(lambda _: b""), "the file is empty"),
    Fault(
        "the label column has another name", SOURCE, None,
        on(lambda frame: frame.rename({"service": "servise"})), "there is no column 'service'",
    ),
    Fault(
        "one line in thirty is unreadable", SOURCE, "nearly_every_line_was_readable",
        on(lines_with_a_comma_too_many), "lines unreadable",
    ),
    Fault(
        "there is one class only", SOURCE, "two_classes_are_labelled",
        on(lambda frame: frame.with_columns(service=pl.lit("HUM"))), "of 1 classes",
    ),
    Fault(
        "every third row has no rights", SOURCE, "nearly_every_row_has_provenance",
        on(column("rights", "CC-BY-4.0", None, 3), data__provenance=RIGHTS), "quarantined",
    ),
    Fault(
        "a secret row got through", SOURCE, "no_row_is_above_its_privacy_class", secret_row_through, "of class secret",
    ),
    Fault(
        "a row is dated in the future", SOURCE, "no_row_is_dated_in_the_future",
        on(column("day", "2024-02-29", "2199-01-01", 100), data__provenance={"date_column": "day"}), "after today",
    ),
    Fault(
        "rows are lost while reading", SOURCE, "every_record_is_a_row_or_a_reject", lost_while_reading, "150 records",
    ),
    Fault(
        "a dropped file is cut", SOURCE, None, dropped(cut_in_a_quote), "not readable as csv", batch=MARCH,
    ),
]  # fmt: skip


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
    return lambda golden, pool, **words: contained_rows(golden.clear(), pool.clear())


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


PROMPTS_FAULTS = [
    Fault(
        "an e-mail address is not redacted", PROMPTS, "no_personal_data_is_left",
        careless("redact", redacts_nothing, an_address), "rows hold some",
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
        careless("contained_rows", finds_nothing_inside, with_golden_texts_inside), "are inside training texts",
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
        "a column holds e-mail addresses", PROMPTS, "no_column_names_people",
        on(
            column("email", "a@example.com", "b@example.com", 2),
            slices=[{"name": "half", "column": "email", "values": ["b@example.com"], "critical": False}],
        ),
        "personal by name: email",
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
        on(lambda frame: frame.filter(pl.col("service").is_in(["HUM", "LOC"]))[:15]), "observed 1",
    ),
    Fault(
        "a slice has a handful of rows", PROMPTS, "no_slice_is_thin", changed(slices=SLICES), "fewer than 30",
        advice=True,
    ),
    Fault(
        "the golden set is too small for the margin", PROMPTS, "the_golden_set_can_support_the_margin",
        changed(bar={"margin": 0.01}), "needed for a margin of 1.0%", state="inconclusive", advice=True,
    ),
]  # fmt: skip

EARLY = [replace(fault, finished=False) for fault in (*CONTRACT_FAULTS, *SOURCE_FAULTS, *PROMPTS_FAULTS)] + [MOVED_BAR]
