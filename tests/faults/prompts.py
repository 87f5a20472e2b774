"""Faults in the prompt set: mistakes of its rows, and steps of the preparation that do not do their work.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl

from stillhouse.data.cleaning import Cleaned
from stillhouse.data.near_duplicates import near_duplicate_pairs, ngram_overlap
from stillhouse.data.privacy import Redacted, redact
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CONTRACT, PROMPTS, SOURCE
from tests.faults.bench import Bench, Plant, rows
from tests.faults.plants import (
    FEW,
    MARCH,
    QUESTION,
    every,
    with_text,
)
from tests.promotions import serve
from tests.stillhouse.live.made import put
from tests.stillhouse.live.made import rows as live_rows


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


def shorter_than_live(bench: Bench) -> RecipeFile:
    file = bench.recipe(rows(FEW), data__traffic="live", traffic={})
    serve(bench.place.builds.ledger, "a", recipe=file.name)
    yesterday = datetime.now(UTC).timestamp() - SECONDS_A_DAY
    put(TrafficStore(bench.place.home.artifacts, file.name), live_rows(300, at=yesterday, characters=500))
    return file


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


def of_a_narrow_generator(frame: pl.DataFrame) -> pl.DataFrame:
    """Beside each third question one of a generator, which says one word of it many times."""
    said_again = QUESTION.str.extract(r"(\w+)\W*$").repeat_by(8).list.join(" ")
    invented = frame.filter(every(3)).with_columns(said_again.alias("question"), made=pl.lit("synthetic"))
    return pl.concat([frame.with_columns(made=pl.lit("real")), invented])
