"""Live texts as rows to learn from: which may be taken, by what chance each is, and what the file says of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.data.prompt_set import base_prompt_set, later_prompt_set
from stillhouse.live.harvest import (
    ID,
    NEAR_GOLDEN,
    PI,
    REQUESTS,
    asked_texts,
    content,
    drawn,
    drawn_of_differing,
    ending,
    pool_of,
)
from stillhouse.live.segments import SECONDS_A_DAY, Erasure, Harvest, TrafficStore, day_at, sealed
from stillhouse.live.slices import slices_of
from stillhouse.live.traffic import harvested
from stillhouse.recipe.contract import Recipe
from tests.checks.hand_made import recipe
from tests.checks.prompts.test_fields import EXTRACTION
from tests.small import questions
from tests.stillhouse.live.made import NOON, RELEASE, put, rows

LATER = NOON + 8 * SECONDS_A_DAY
"""When feedback of noon has matured."""
ASKED: Recipe = recipe(data__text="question", data__label="service", slices=[])


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path), "r")


def asked(store: TrafficStore, *, at: float = LATER) -> pl.DataFrame:
    return asked_texts(store, RELEASE, at=at, matures_after_days=7)


def say(store: TrafficStore, **truths: str) -> None:
    """Feedback about answers, by the number of the answer after a letter."""
    numbers = [int(each[1:]) for each in truths]
    said = pl.DataFrame(
        {"replica": "r1", "number": [1000 + each for each in numbers], "id": [f"r1-0-{each}" for each in numbers],
         "at": NOON, "truth": [*truths.values()], "by": None},
        schema_overrides={"by": pl.String},
    )  # fmt: skip
    store.put(day_at(NOON), "feedback", sealed(said))


def pool(many: int, sure: Sequence[float] | None = None) -> pl.DataFrame:
    confidence = np.linspace(0.1, 0.9, many) if sure is None else sure
    texts = pl.Series("text", [f"text {number}" for number in range(many)])
    of = {ID: [f"id {number:04}" for number in range(many)], "harvest_confidence": confidence}
    return pl.DataFrame({"prompt_id": prompt_ids(texts), "text": texts, **of})


def differing(many: int, people: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Texts that two releases answer otherwise, of which the champion calls some people."""
    rows = pool(many)
    labels = ["HUM"] * people + ["LOC"] * (many - people)
    return rows, rows.select("prompt_id", pl.Series("label", labels), pl.lit(9).alias("characters"))


PEOPLE = slices_of(
    recipe(slices=[{"name": "people", "column": "label", "values": ["HUM"], "critical": True},
                   {"name": "places", "column": "label", "values": ["LOC"], "critical": False}])
)  # fmt: skip


def test_of_texts_that_two_releases_answer_otherwise_a_critical_slice_gets_half() -> None:
    rows, asked = differing(1_000, people=60)
    found = drawn_of_differing(rows, asked, 200, PEOPLE)
    people = {*rows["prompt_id"].head(60)}
    taken = found.rows.filter(pl.col("prompt_id").is_in([*people]))
    assert found.rows.height == 200 and taken.height == 60, "all of them, where they are no half"
    assert {*taken[PI]} == {1.0} and {*found.rows.filter(~pl.col("prompt_id").is_in([*people]))[PI]} == {140 / 940}
    again = drawn_of_differing(rows.reverse(), asked, 200, PEOPLE)
    assert again.rows.equals(found.rows) and again.key == found.key, "no order decides"
    few = drawn_of_differing(rows.head(90), asked, 200, PEOPLE)
    assert few.rows.height == 90 and {*few.rows[PI]} == {1.0}, "all, where there are no more"
    without = drawn_of_differing(rows, asked, 200, ())
    assert without.rows.height == 200 and {*without.rows[PI]} == {0.2}


def test_the_chance_of_each_of_them_is_what_it_says() -> None:
    """Over many draws a text is taken as often as its chance says, whether it is of the slice or not."""
    taken, draws = {True: 0, False: 0}, 300
    chances: dict[bool, float] = {}
    for seed in range(draws):
        rows, asked = differing(120, people=80)
        rows = rows.with_columns(pl.format("{}-{}", pl.lit(seed), "prompt_id").alias("prompt_id"))
        asked = asked.with_columns(rows["prompt_id"])
        found = drawn_of_differing(rows, asked, 60, PEOPLE).rows
        first = found.filter(pl.col("prompt_id").is_in([rows["prompt_id"][0]]))
        last = found.filter(pl.col("prompt_id").is_in([rows["prompt_id"][-1]]))
        for is_of_people, each in ((True, first), (False, last)):
            taken[is_of_people] += each.height
            chances[is_of_people] = each[PI][0] if each.height else chances.get(is_of_people, 0.0)
    assert chances == {True: pytest.approx(30 / 80 + 50 / 80 * 30 / 90), False: pytest.approx(30 / 90)}
    for is_of_people, chance in chances.items():
        # Five standard deviations of a binomial share.
        assert abs(taken[is_of_people] / draws - chance) < 5 * (chance * (1 - chance) / draws) ** 0.5


def test_a_text_is_one_row_of_the_champion_however_often_it_was_asked(store: TrafficStore) -> None:
    kept = [1.0, 0.5, 0.5, 1.0]
    put(store, rows(4, kept_share=kept, label="number"), texts=["Who ?", "who  ?", "Where ?", "When ?"])
    put(store, rows(1, first=50, release="b" * 64), texts=["Why ?"])
    found = asked(store)
    assert found.select("text", ID, REQUESTS).rows() == [
        ("Who ?", "r1-0-1", 3.0), ("Where ?", "r1-0-3", 2.0), ("When ?", "r1-0-4", 1.0),
    ]  # fmt: skip


def test_labels_are_what_people_said_once_it_has_matured_and_where_they_agree(store: TrafficStore) -> None:
    put(store, rows(5), texts=["Who ?", "Who ?", "Where ?", "When ?", "When ?"])
    say(store, n1="HUM", n2="HUM", n4="NUM", n5="DESC")
    assert asked(store)["truth"].to_list() == ["HUM", None, None], "a student's answer is no truth, nor are two"
    assert asked(store, at=NOON + 1)["truth"].null_count() == 3


def test_how_unsure_the_student_was_counts_where_the_teacher_answered(store: TrafficStore) -> None:
    handed_on = {"source": ["student", "teacher"], "student_label": [None, "place"], "student_confidence": [None, 0.2]}
    put(store, rows(2, label="person", confidence=[0.9, 1.0], **handed_on), texts=["Who ?", "Where ?"])  # type: ignore[arg-type]
    assert asked(store).select("label", "harvest_confidence").rows() == [("person", 0.9), ("place", 0.2)]


def test_a_text_is_its_first_answer_and_no_request_that_failed_before_it(store: TrafficStore) -> None:
    status = [503, 200, 503, 200]
    of = {"label": [None, "person", None, "place"], "confidence": [None, 0.7, None, 0.2], "columns": ["{}", "[]"] * 2}
    put(store, rows(4, status=status, **of), texts=["Who ?", "who  ?", "Why ?", "Who ?"])  # type: ignore[arg-type]
    found = asked(store).select("text", ID, "label", "harvest_confidence", "columns", REQUESTS)
    assert found.rows() == [
        ("who  ?", "r1-0-2", "person", 0.7, "[]", 3.0), ("Why ?", "r1-0-3", None, None, "{}", 1.0),
    ]  # fmt: skip


def test_a_text_that_is_in_without_a_label_comes_again_with_its_label_and_only_then(store: TrafficStore) -> None:
    frame = questions(40).rename({"question": "text", "service": "label"})
    base = base_prompt_set(frame.select("text", "label", batch=pl.lit("base")), ASKED, where="data.label").prompts
    put(store, rows(3), texts=questions(3, skip=100)["question"].to_list())
    say(store, n2="HUM", n3="LOC")
    found = asked(store)
    known, unlabelled = found["prompt_id"].to_list(), found["prompt_id"].to_list()[:2]
    again = pool_of(found, known, base, ASKED, unlabelled=unlabelled)
    assert again.rows.select(ID, "label").rows() == [("r1-0-2", "HUM")]
    assert again.left_out == {"duplicate text": 2}
    without = ASKED.model_copy(update={"data": ASKED.data.model_copy(update={"label": None})})
    assert pool_of(found, known, base, without, unlabelled=unlabelled).rows.is_empty(), "none could ever be labelled"


def test_a_row_has_what_its_caller_sent_as_far_as_slices_name_it(store: TrafficStore) -> None:
    slices = [
        {"name": "by_post", "column": "channel", "values": ["post"], "critical": True},
        {"name": "abroad", "column": "region", "values": ["abroad"], "critical": True},
    ]
    of = recipe(slices=slices, serving={"request_columns": ["channel"]})
    texts = questions(5, skip=600)["question"].to_list()
    sent = ['{"channel":"post"}', '{"channel":null}', "{}", None, '{"channel":"post"}']
    put(store, rows(5, columns=sent), texts=[*texts[:4], texts[1]])
    base = base_prompt_set(
        questions(20).select("question", "service").with_columns(channel=pl.lit("app"), region=pl.lit("home"))
        .select(pl.col("question").alias("text"), pl.col("service").alias("label"), pl.lit("base").alias("batch"),
                "channel", "region"),
        of, where="",
    ).prompts  # fmt: skip
    found = asked(store)
    rows_of_pool = pool_of(found, (), base, of).rows
    assert rows_of_pool.sort(ID).select("channel", "region").rows() == [("post", None), *[(None, None)] * 3]
    (by_post, *_) = slices_of(of)
    assert by_post.rows_of(found)["text"].to_list() == texts[:1], "a text is its first answer, and what came with that"


def test_what_was_asked_to_be_erased_is_not_harvested_though_nobody_has_carried_it_out(store: TrafficStore) -> None:
    put(store, rows(3, key=["k", "l", "l"]), texts=["Who ?", "Where ?", "When ?"])
    store.ask_to_erase(Erasure(key="k", at=LATER))
    store.ask_to_erase(Erasure(id="r1-0-3", at=LATER))
    assert asked(store)["text"].to_list() == ["Where ?"]


def test_an_erasure_names_the_harvested_files_that_hold_its_answers(store: TrafficStore) -> None:
    put(store, rows(3, key=["k", "l", "k"]), texts=["Who ?", "Where ?", "When ?"])
    store.note_harvest(Harvest(file="one.ndjson", digest="1" * 64, ids=("r1-0-1", "r1-0-2")))
    store.note_harvest(Harvest(file="two.ndjson", digest="2" * 64, ids=("r1-0-2",)))
    assert harvested(store, Erasure(key="k", at=LATER)) == {"one.ndjson": ("r1-0-1",)}
    assert harvested(store, Erasure(key="k", at=NOON - 1)) == {}
    both = harvested(store, Erasure(id="r1-0-2", at=LATER))
    assert both == {"one.ndjson": ("r1-0-2",), "two.ndjson": ("r1-0-2",)}
    assert store.days() == [day_at(NOON)], "what was harvested is no day"


def test_what_the_recipe_has_and_what_it_would_not_take_in_is_left_out_and_counted(store: TrafficStore) -> None:
    frame = questions(100).rename({"question": "text", "service": "label"})
    base = base_prompt_set(frame.select("text", "label", batch=pl.lit("base")), ASKED, where="data.label").prompts
    golden = base.filter(pl.col("split") == "golden")["text"].to_list()
    long = next(each for each in golden if len(each.split()) >= 8)
    new = questions(3, skip=100)["question"].to_list()
    texts = [
        base["text"][0],
        f"{long[:-1]} ??",
        f"Tell me : {long} And tell me soon , please , as I am in a hurry",
        *new,
        "...",
    ]
    put(store, rows(len(texts)), texts=texts)
    found = pool_of(asked(store), {*base["prompt_id"]}, base, ASKED)
    assert sorted(found.rows["text"]) == sorted([*new, "..."])
    assert found.left_out == {"duplicate text": 1, NEAR_GOLDEN: 1, "contains a golden text": 1}
    assert set(found.rows["split"]) == {"train"}
    again = later_prompt_set(found.rows.select("text", "label", "batch"), base, ASKED)
    assert again.rejects.is_empty() and again.prompts.height == 4, "what is drawn is what is taken in"


def test_a_letter_of_the_template_of_a_golden_one_is_taken_where_people_said_something_else_of_it() -> None:
    template = "Dear Sir or Madam, please be so kind as to pay the amount due to {} within a week."
    texts = [template.format(name) for name in ("Acme", "Apex", "Blue", "Acme")]
    base = pl.DataFrame({"prompt_id": ["g"], "text": texts[0], "label": ['{"who":[16,1]}'], "split": "golden"})
    found = pl.DataFrame(
        {
            "prompt_id": ["a", "b", "c"],
            "text": [*texts[1:3], texts[3].replace("week", "month")],
            "truth": ['{"who":"Apex"}', None, '{"who":"Acme"}'],
        }
    ).with_columns(
        pl.lit(None, pl.String).alias("columns"),
        day=pl.lit("2026-11-28"),
        **{ID: pl.col("prompt_id"), REQUESTS: pl.lit(1.0), "harvest_confidence": pl.lit(0.5)},
    )
    taken = pool_of(found, (), base, EXTRACTION)
    assert taken.rows.select("text", "label").rows() == [(texts[1], '{"who":"Apex"}')]
    assert taken.left_out == {NEAR_GOLDEN: 2}


def test_half_is_what_the_student_is_least_sure_of_and_the_chances_are_those_of_the_draw() -> None:
    found = drawn(pool(100), 21).rows
    least = found.filter(pl.col(PI) == 1)
    assert sorted(least["text"]) == sorted(f"text {number}" for number in range(10))
    assert set(found.filter(pl.col(PI) < 1)[PI]) == {11 / 90} and found.height == 21
    assert drawn(pool(100), 21).rows.equals(found), "the same texts give the same rows"
    assert drawn(pool(100)[::-1], 21).rows.equals(found), "in whatever order"
    other = set(drawn(pool(101), 21).rows["text"]) - set(drawn(pool(100), 21).rows["text"])
    assert len(other) > 5, "another harvest is another draw"
    assert drawn(pool(7), 7).rows[PI].to_list() == [1.0] * 7
    assert drawn(pool(7), 1).rows[PI].to_list() == [1 / 7]
    with pytest.raises(ValueError, match="8 rows of 7"):
        drawn(pool(7), 8)


def test_weighed_by_their_chances_the_rows_give_the_mean_of_all_texts() -> None:
    """Horvitz and Thompson 1952, over 600 pools of 30 texts of which 20 are equally unsure and 4 of no confidence."""
    sure = [0.2] * 3 + [0.5] * 20 + [0.9] * 3
    taken, sums = np.zeros(30), []
    chances = np.zeros(30)
    for trial in range(600):
        texts = pool(30, [*sure, *[float("nan")] * 4]).with_columns(pl.col("harvest_confidence").fill_nan(None))
        texts = texts.with_columns(prompt_id=pl.col("prompt_id") + str(trial))
        found = drawn(texts, 16).rows
        numbers = found[ID].str.slice(3).cast(pl.Int64).to_numpy()
        taken[numbers] += 1
        chances[numbers] = found[PI].to_numpy()
        sums.append((numbers / found[PI].to_numpy()).sum())
    # 600 draws are within 0.08 of a chance, four standard errors and more.
    assert np.abs(taken / 600 - chances).max() < 0.08
    assert chances[:3].tolist() == [1.0] * 3
    assert chances[3] == pytest.approx(5 / 20 + 15 / 20 * 8 / 22) and chances[29] == pytest.approx(8 / 22)
    assert np.mean(sums) == pytest.approx(sum(range(30)), rel=0.03)


def test_the_file_has_every_column_that_the_recipe_names_and_the_chance() -> None:
    provenance = {"date_column": "day", "kind_column": "made", "generation_column": "generation"}
    source = {"data__source": "rows.json", "data__format": None, "data__pattern": None, "data__text": "ticket.body"}
    named = recipe(**source, data__label="service", data__provenance=provenance, data__group="customer")
    base = pl.DataFrame(
        {"prompt_id": ["x"], "text": ["Else"], "label": ["HUM"], "split": ["train"], "customer": [None]},
        schema_overrides={"customer": pl.String},
    )
    texts = pl.DataFrame(
        {"prompt_id": ["a"], "text": ['Who said\n"one"? \u2028'], "day": ["2024-10-04"], "truth": ["HUM"],
         "label": ["person"], "characters": [9], ID: ["id"], REQUESTS: [2.0], "harvest_confidence": [0.4]}
    )  # fmt: skip
    rows = drawn(pool_of(texts, (), base, named).rows, 1).rows
    (line,) = content(rows, named).decode().split("\n")[:-1]
    said = json.loads(line)
    slices = {column: None for column in named.kept_columns if column not in provenance.values()}
    assert said == {
        "ticket.body": 'Who said "one"?', "service": "HUM", "day": "2024-10-04", "made": "real", "generation": "0",
        **slices, "harvest_id": "id", "harvest_pi": 1.0, "harvest_requests": 2.0,
    }  # fmt: skip
    assert "customer" in slices


def test_the_file_is_never_read_as_the_source_is() -> None:
    """Its format, encoding or pattern is not that of the file."""
    assert ending(recipe()) == ending(recipe(data__source="rows.csv")) == ".ndjson"
    assert ending(recipe(data__source="rows.ndjson")) == ending(recipe(data__source="rows.ndjson.gz")) == ".jsonl"
