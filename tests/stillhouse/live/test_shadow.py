"""Replaying what was asked: which texts are due, who lost, and what that proves, by hand counts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.live.segments import TrafficStore, columns_of, sealed
from stillhouse.live.shadow import (
    ALL,
    COUNTS,
    SEEN_SCHEMA,
    TALLY_SCHEMA,
    Word,
    added,
    by_judge,
    draw,
    due,
    heard,
    judged,
    outcomes,
    replayed,
    sample,
    seen_after,
    tallied,
    to_ask,
    with_teachers,
)
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.rollout import ShadowSpec
from stillhouse.release.cascade import ProtectedSlice, Rule
from stillhouse.stages.shadow import _hands_on
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from stillhouse.statistics.verdicts import Verdict

DAY = 20_000 * 86_400.0
NAMED = "2024-10-04"
PEOPLE = SliceSpec(name="people", column="label", values=("HUM", "WHO"), critical=True)
PLACES = SliceSpec(name="places", column="label", values=("LOC",), critical=True, margin=0.1)
BY_COLUMN = SliceSpec(name="old", column="age", values=("old", "very old"), critical=True, margin=0.3)
OLD = '{"age":"old"}'
NOTHING_SEEN = pl.DataFrame(schema=SEEN_SCHEMA)


def kept(
    store: TrafficStore,
    replica: str,
    texts: Sequence[str],
    first: int = 1,
    at: float = DAY + 60,
    columns: str | None = None,
) -> None:
    """Rows of one replica, sealed in one file."""
    numbers = range(first, first + len(texts))
    rows = [
        (n, f"{replica}{n}", at + n, "r", 1, "student", "x", 0.5, False, 200, 1.0, 3, 2, None, "champion", None, None,
         None, 1.0, columns)
        for n in numbers
    ]  # fmt: skip
    store.put(NAMED, "requests", sealed(columns_of("requests", replica, rows)))
    asked = [(n, f"{replica}{n}", text) for n, text in zip(numbers, texts, strict=True)]
    store.put(NAMED, "texts", sealed(columns_of("texts", replica, asked)))


def asked_for(texts: Sequence[str], columns: Sequence[str | None] | None = None) -> pl.DataFrame:
    sent = columns or [None] * len(texts)
    return pl.DataFrame({"text": texts, "columns": sent}, schema={"text": pl.String, "columns": pl.String})


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path), "small")


def test_each_text_is_due_once_from_the_offer_on(store: TrafficStore) -> None:
    kept(store, "r1", ["before", "after"])
    kept(store, "r2", ["other"], first=7)
    found = due(store, [NAMED], DAY + 62, NOTHING_SEEN)
    assert found["text"].to_list() == ["after", "other"]
    seen = seen_after(NOTHING_SEEN, found)
    assert seen.rows() == [("r1", NAMED, 2), ("r2", NAMED, 7)]
    assert due(store, [NAMED], DAY + 62, seen).is_empty()
    kept(store, "r1", ["later"], first=3, columns=OLD)
    again = due(store, [NAMED], DAY + 62, seen)
    assert again.select("text", "columns").rows() == [("later", OLD)]
    assert found["columns"].to_list() == [None, None]
    assert seen_after(seen, again).rows() == [("r1", NAMED, 3), ("r2", NAMED, 7)]
    assert due(store, [], DAY, NOTHING_SEEN).columns == found.columns


def test_a_text_that_was_erased_is_not_replayed_and_what_took_its_files_place_is_not_counted_again(
    store: TrafficStore,
) -> None:
    kept(store, "r1", ["one", "two"])
    seen = seen_after(NOTHING_SEEN, due(store, [NAMED], DAY, NOTHING_SEEN))
    (segment,) = store.segments(NAMED, "texts")
    store.replace(segment, store.frame(NAMED, "texts").tail(1))
    assert due(store, [NAMED], DAY, seen).is_empty()
    assert due(store, [NAMED], DAY, NOTHING_SEEN)["text"].to_list() == ["two"]


def put_shadowed(
    store: TrafficStore, replica: str, said: Sequence[tuple[int, str, str | None]], rollout: str = "salt"
) -> None:
    """What a challenger said, by number and id of the answer, sealed in one file."""
    rows = [(number, id, DAY, rollout, "b", label, None) for number, id, label in said]
    store.put(NAMED, "shadow", sealed(columns_of("shadow", replica, rows)))


def test_what_a_challenger_said_stands_beside_the_answer_with_its_id_and_is_heard_once(store: TrafficStore) -> None:
    kept(store, "r1", ["one", "two", "three"], columns=OLD)
    kept(store, "r2", ["other"], first=7)
    put_shadowed(store, "r1", [(4, "r11", "before"), (5, "r12", "y"), (7, "r13", None), (8, "no such answer", "y")])
    put_shadowed(store, "r1", [(9, "r12", "y")], rollout="another")
    put_shadowed(store, "r2", [(9, "r27", "z"), (10, "r13", "of another server")])
    found = heard(store, [NAMED], DAY + 62, NOTHING_SEEN, "salt")
    assert found.select("replica", "number", "id", "said", "champion", "challenger").rows() == [
        ("r1", 5, "r12", "x", "x", "y"), ("r1", 7, "r13", "x", "x", None), ("r2", 9, "r27", "x", "x", "z"),
    ]  # fmt: skip
    assert found["columns"].to_list() == [OLD, OLD, None] and found["characters"].to_list() == [3, 3, 3]
    seen = seen_after(NOTHING_SEEN, found)
    assert seen.rows() == [("r1", NAMED, 7), ("r2", NAMED, 9)]
    assert heard(store, [NAMED], DAY + 62, seen, "salt").is_empty()
    put_shadowed(store, "r1", [(11, "r12", "later")])
    assert heard(store, [NAMED], DAY + 62, seen, "salt")["challenger"].to_list() == ["later"]
    assert heard(store, [], DAY, NOTHING_SEEN, "salt").columns == found.columns


def test_a_slice_is_known_by_what_the_champions_student_said(store: TrafficStore) -> None:
    """Of a champion that still hands texts on the caller gets the teacher's answer, and is in the student's slice."""
    row = (1, "a", DAY + 60, "r", 1, "teacher", "NUM", 0.9, False, 200, 1.0, 60, 2, None, "champion", "HUM", 0.4, None,
           1.0, None)  # fmt: skip
    store.put(NAMED, "requests", sealed(columns_of("requests", "r1", [row])))
    put_shadowed(store, "r1", [(2, "a", "LOC")])
    rows = heard(store, [NAMED], DAY, NOTHING_SEEN, "salt").with_columns(right=pl.lit("NUM"))
    counts = {row["slice"]: row["lost"] for row in tallied(outcomes(rows), [PEOPLE, PLACES]).iter_rows(named=True)}
    assert counts == {
        ALL: 1, "people": 1, "places": 0, "up to 50 characters": 0, "51 to 200 characters": 1,
        "more than 200 characters": 0,
    }  # fmt: skip


def test_a_sample_is_the_same_whatever_order_the_rows_are_in() -> None:
    rows = pl.DataFrame({"id": [f"id{n}" for n in range(100)]})
    drawn = sample(rows, 10)
    assert drawn.height == 10 and set(sample(rows.reverse(), 10)["id"]) == set(drawn["id"])
    assert sample(rows, 100).equals(rows)


def asked_of(labels: Sequence[str], *, release: str = "champion", first: int = 0, look: int = 0) -> pl.DataFrame:
    """Requests as they are due, answered with these labels."""
    ids = [f"{release}-{look}-{number}" for number in range(first, first + len(labels))]
    texts = [f"text {each}" for each in ids]
    columns = {"id": ids, "text": texts, "release": release, "label": labels, "columns": None}
    rows = pl.DataFrame(columns, schema={name: pl.String for name in columns})
    return rows.with_columns(characters=pl.col("text").str.len_chars())


def test_a_critical_slice_that_is_rare_is_replayed_whole_beside_the_sample() -> None:
    rows = asked_of(["HUM"] * 30 + ["LOC"] * 400 + ["NUM"] * 570)
    found = draw(rows, [PEOPLE, PLACES], "champion", at_most=200, whole_at_most=50)
    assert found.whole == ("people",), "of the places a draw brings many"
    assert found.rows.filter(label="HUM").height == 30
    plain = found.rows.filter("plain")
    assert plain.height == 170 and found.rows.height <= 200, "no more than without"
    assert {*plain["id"]} == {*sample(rows, 170)["id"]}, "whether a slice is rare decides nothing about the draw"
    again = draw(rows.reverse(), [PEOPLE, PLACES], "champion", at_most=200, whole_at_most=50)
    assert {*again.rows["id"]} == {*found.rows["id"]}


@pytest.mark.parametrize(
    ("slices", "rare", "whole_at_most", "whole"),
    [
        ([PEOPLE], 30, 50, ("people",)),
        ([PEOPLE], 30, 29, ()),
        ([PEOPLE], 50, 100, ()),
        ([PEOPLE], 0, 50, ()),
        ([PEOPLE.model_copy(update={"critical": False})], 30, 50, ()),
        ([PEOPLE, PEOPLE.model_copy(update={"name": "all of them"})], 30, 30, ("all of them", "people")),
    ],
    ids=["rare", "it does not fit", "a twentieth is not rare", "nobody asked", "it does not bind", "two of one"],
)
def test_what_is_rare(slices: list[SliceSpec], rare: int, whole_at_most: int, whole: tuple[str, ...]) -> None:
    rows = asked_of(["HUM"] * rare + ["NUM"] * (1_000 - rare))
    found = draw(rows, slices, "champion", at_most=200, whole_at_most=whole_at_most)
    assert found.whole == whole and found.rows.height <= 200


def test_a_slice_that_callers_name_is_rare_by_what_they_send() -> None:
    post = SliceSpec(name="by post", column="channel", values=("post",), critical=True)
    sent = ['{"channel":"post"}'] * 30 + ['{"channel":"web"}'] * 500 + [None] * 470
    rows = asked_of(["NUM"] * 1_000).with_columns(columns=pl.Series(sent))
    found = draw(rows, [post], "champion", at_most=200, whole_at_most=50)
    assert found.whole == ("by post",)
    assert found.rows.filter(columns='{"channel":"post"}').height == 30


def test_where_all_is_replayed_there_is_no_draw() -> None:
    rows = asked_of(["HUM"] * 3 + ["NUM"] * 97)
    found = draw(rows, [PEOPLE], "champion", at_most=100)
    assert found.whole == () and found.rows.drop("plain").equals(rows) and found.rows["plain"].all()


def test_what_a_challenger_answered_makes_no_request_rare() -> None:
    """Its answers to the slice are those on which it agrees with the champion: by them it would lose nothing."""
    own, others = asked_of(["NUM"] * 1_000), asked_of(["HUM"] * 20, release="challenger")
    found = draw(pl.concat([own, others]), [PEOPLE], "champion", at_most=200)
    assert found.whole == () and found.rows["plain"].all()


def test_a_draw_that_takes_a_slice_whole_says_of_all_requests_what_a_plain_one_says() -> None:
    """2 % are of a slice in which the challenger loses half, and elsewhere a twentieth: 5.9 % in all.

    Over 300 looks the mean share that was lost is the truth within four standard errors, overall and in the slice.
    Counting what was taken whole beside the rest would say some 9.6 %.
    """
    overall, of_slice, all_rows = [], [], []
    labels = ["HUM"] * 40 + ["NUM"] * 1_960
    loses = [number % 2 == 0 if label == "HUM" else number % 20 == 0 for number, label in enumerate(labels)]
    truth = sum(loses) / len(loses)
    for look in range(300):
        rows = asked_of(labels, look=look).with_columns(pl.Series("loses", loses))
        found = draw(rows, [PEOPLE], "champion", at_most=400)
        assert found.whole == ("people",)
        replies = found.rows.with_columns(
            said="label", champion="label", challenger=pl.when("loses").then(pl.lit("LOC")).otherwise("label"),
            right="label",
        )  # fmt: skip
        counts = {row["slice"]: row for row in tallied(outcomes(replies), [PEOPLE], found.whole).iter_rows(named=True)}
        assert (counts[ALL]["rows"], counts["people"]["rows"]) == (360, 40)
        overall.append(counts[ALL]["lost"] / 360)
        of_slice.append(counts["people"]["lost"] / 40)
        all_rows.append(replies["loses"].mean())
    error = (truth * (1 - truth) / 360 / 300) ** 0.5
    assert abs(sum(overall) / 300 - truth) < 4 * error
    assert set(of_slice) == {0.5}, "each of its requests was asked"
    assert sum(all_rows) / 300 > truth + 20 * error, "that is why the others do not count there"


def test_each_different_text_is_asked_once_by_itself() -> None:
    asked: list[str] = []

    def champion(text: str, columns: str | None) -> Word:
        asked.append(text)
        return Word("HUM")

    rows = replayed(asked_for(["a", "b", "a"]), champion, lambda text, columns: Word(text.upper()))
    assert asked == ["a", "b"]
    assert rows["champion"].to_list() == ["HUM"] * 3 and rows["challenger"].to_list() == ["A", "B", "A"]
    assert rows["characters"].to_list() == [1, 1, 1]


def test_a_text_is_handed_on_by_what_its_own_caller_said(store: TrafficStore) -> None:
    """A value that no slice names is another one, and not one that was not sent."""
    by_post = ProtectedSlice(name="by_post", column="channel", values=("post",), declared=True)
    of_people = ProtectedSlice(name="people", column="label", values=("HUM",), declared=True)
    found = CascadeThreshold(
        threshold=0.5, handed_on=0.3, rows=300, margin=0.02, delta=0.1, lost=0, won=0, p_value=0.05, next_p_value=None
    )

    def says(*protected: ProtectedSlice) -> Callable[[str, str | None], Word]:
        rule = Rule(threshold=found, protected=protected)
        return lambda text, columns: Word("HUM", _hands_on(rule, "HUM", 0.9, columns))

    sent = ['{"channel":"post"}', '{"channel":null}', "{}", None]
    rows = replayed(asked_for(["a"] * 4, sent), says(by_post), says(by_post, of_people))
    assert rows["columns"].to_list() == sent
    assert rows["champion_asks"].to_list() == [True, False, True, False], "nothing is known of the last"
    assert rows["challenger_asks"].to_list() == [True] * 4


def test_what_callers_get_is_the_teachers_where_a_release_hands_a_text_on() -> None:
    """A challenger that keeps what the champion hands on is held against the teacher's answer, not the student's."""
    asks = {"both": (True, True), "one": (True, False), "other": (False, True), "none": (False, False)}
    rows = replayed(
        asked_for([*asks, "one"]), lambda text, columns: Word("HUM", asks[text][0]),
        lambda text, columns: Word("LOC", asks[text][1]),
    )  # fmt: skip
    assert (to_ask(rows, "champion", same_teacher=True), to_ask(rows, "challenger", same_teacher=True)) == (
        ["one"], ["other"],
    )  # fmt: skip
    assert to_ask(rows, "champion", same_teacher=False) == ["both", "one"]
    given = with_teachers(rows, {"one": "NUM"}, {"other": None}, same_teacher=True)
    assert given.select("champion", "challenger").rows() == [
        ("HUM", "HUM"), ("NUM", "LOC"), ("HUM", "LOC"), ("HUM", "LOC"), ("NUM", "LOC"),
    ], "one teacher says the same to both; one that is silent leaves the student's answer"  # fmt: skip
    other = with_teachers(rows, {"both": "NUM"}, {"both": "LOC"}, same_teacher=False)
    assert other.row(0, named=True) | {"champion": "NUM", "challenger": "LOC"} == other.row(0, named=True)
    assert other["said"].to_list() == ["HUM"] * 5, "slices are known by what the champion's student says"


ROWS = pl.DataFrame(
    [
        # text, champion, challenger, what the teacher says of it
        ("both alike", "HUM", "HUM", None),
        ("lost", "HUM", "LOC", "HUM"),
        ("won", "LOC", "WHO", "WHO"),
        ("both wrong", "LOC", "HUM", "NUM"),
        ("nobody knows", "WHO", "LOC", None),
        ("x" * 60, "HUM", "LOC", "HUM"),
    ],
    schema=["text", "champion", "challenger", "right"],
    orient="row",
).with_columns(said="champion", characters=pl.col("text").str.len_chars())


def test_who_lost_by_hand() -> None:
    found = outcomes(ROWS)
    assert found["differ"].to_list() == [False, True, True, True, True, True]
    assert found["lost"].to_list() == [False, True, False, False, False, True]
    assert found["won"].to_list() == [False, False, True, False, False, False]
    assert found["unanswered"].to_list() == [False, False, False, False, True, False]


def test_a_challenger_that_failed_is_wrong_whatever_the_champion_said() -> None:
    rows = ROWS.with_columns(challenger=pl.lit(None, pl.String))
    found = outcomes(rows)
    assert found["differ"].to_list() == [True] * 6 and not found["won"].any()
    assert found["lost"].to_list() == [False, True, False, False, False, True], "where the champion was right"


def test_counts_by_part_and_what_nobody_can_judge_is_no_row() -> None:
    counts = {row["slice"]: tuple(row[each] for each in COUNTS) for row in tally_of(ROWS).iter_rows(named=True)}
    assert counts[ALL] == (5, 5, 2, 1, 1)
    assert counts["people"] == (3, 3, 2, 0, 1), "by what the champion answers: HUM and WHO"
    assert counts["places"] == (2, 2, 0, 1, 0)
    assert counts["51 to 200 characters"] == (1, 1, 1, 0, 0)
    assert counts["more than 200 characters"] == (0, 0, 0, 0, 0)
    twice = {row["slice"]: row["rows"] for row in added([tally_of(ROWS), tally_of(ROWS)]).iter_rows(named=True)}
    assert twice[ALL] == 10 and twice["people"] == 6


def tally_of(rows: pl.DataFrame) -> pl.DataFrame:
    return tallied(outcomes(rows), [PEOPLE, PLACES])


def test_a_slice_of_a_column_has_the_requests_whose_callers_sent_one_of_its_values() -> None:
    sent = [OLD, '{"age":"very old"}', '{"age":null}', "{}", None, '{"age":"old","channel":"post"}']
    rows = outcomes(ROWS).with_columns(pl.Series("columns", sent))
    tally = tallied(rows, [BY_COLUMN])
    (counts,) = tally.filter(pl.col("slice") == "old").rows()
    assert counts == ("old", 3, 2, 2, 0, 0)
    assert judged(tally, [BY_COLUMN], ShadowSpec())["old"].critical


@given(st.integers(0, 5))
def test_counting_in_two_looks_is_counting_in_one(cut: int) -> None:
    """Counts know no order, so what expired since the first look is still in."""
    both = added([tally_of(ROWS.head(cut)), tally_of(ROWS.tail(6 - cut))])
    assert both.sort("slice").equals(tally_of(ROWS).sort("slice"))


def a_tally(**parts: tuple[int, int, int, int, int]) -> pl.DataFrame:
    rows = [
        {"slice": name.replace("_", " "), **dict(zip(COUNTS, counts, strict=True))} for name, counts in parts.items()
    ]
    return pl.DataFrame(rows, schema=TALLY_SCHEMA)


def test_all_requests_pass_at_the_margin_and_a_slice_fails_on_any_loss() -> None:
    """1,150 requests is what the design measured as usual for 2 points; a slice of 94 shows a loss of 20 points."""
    spec = ShadowSpec(margin=0.02)
    found = judged(
        a_tally(
            all_requests=(2_000, 20, 2, 18, 0), people=(94, 19, 19, 0, 0), places=(0, 0, 0, 0, 0),
            up_to_50_characters=(2_000, 20, 2, 18, 0),
        ),
        [PEOPLE, PLACES], spec,
    )  # fmt: skip
    assert found[ALL].test.verdict is Verdict.PASS and found[ALL].critical
    assert found["people"].test.verdict is Verdict.FAIL
    assert found["people"].test.fail_alpha == 0.05 / 2 and found["people"].test.harmless == 0.0
    assert (found["places"].test.verdict, found["places"].test.limit) == (Verdict.INCONCLUSIVE, 0.1)
    assert not found["up to 50 characters"].critical, "it is shown, and decides nothing"


def test_too_few_requests_say_how_many_more_they_need() -> None:
    test = judged(a_tally(all_requests=(100, 2, 1, 1, 0)), [], ShadowSpec())[ALL].test
    assert test.verdict is Verdict.INCONCLUSIVE and test.rows_needed is not None and 100 < test.rows_needed < 2_000


def test_answers_of_the_judge_are_joined_by_text() -> None:
    rows = pl.DataFrame({"text": ["a", "b", "a"]})
    assert by_judge(rows, {"a": "HUM"})["right"].to_list() == ["HUM", None, "HUM"]
    assert by_judge(rows, {})["right"].to_list() == [None] * 3
