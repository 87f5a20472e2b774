"""Live answers that are records: what is watched of them, who is right, and what comes back of them as rows."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.baseline import Reference, golden_reference
from stillhouse.live.estimate import AskedFrom, heard_of, together
from stillhouse.live.harvest import asked_texts
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.slices import LiveSlice
from stillhouse.live.watch import WatchState, WatchTerms, accepted, begin, with_rows
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.deployments import DeployedRelease
from stillhouse.stages.live_report import LiveDay, Watched, report
from stillhouse.stages.traffic import plan
from stillhouse.tasks.records import countable, counted_of, placed, record_in_cell, spelled_out
from tests.stillhouse.live.made import NOON, RELEASE, put, rows, terms

SPEC = RecordSpec.model_validate({
    "words": 16,
    "fields": {
        "vendor": {"kind": "verbatim", "words_at_most": 2},
        "due": {"kind": "date", "words_at_most": 4, "optional": True},
        "total": {"kind": "number"},
        "currency": {"kind": "choice", "of": ["EUR", "USD"]},
    },
})  # fmt: skip
KEPT = KeptRecords(SPEC, b"k" * 32)
VENDORS = ("Acme", "Acme Ltd", "Coyote", "Road Runner")


def a_text(number: int) -> tuple[str, str]:
    """A text, and what is true of it: half of the vendors have two words, and a fifth of the texts no date."""
    vendor, due = VENDORS[number % 4], None if number % 5 == 0 else date(2026, 1 + number % 12, 1 + number % 28)
    currency, total = "EUR" if number % 10 < 7 else "USD", 1_000.5 + number % 90
    by = "" if due is None else (f"{due:%d %B %Y}", f"{due}", f"{due:%b} {due.day}, {due:%Y}")[number % 3]
    amount = (f"{total:,.2f}", f"{total:.1f}", f"{total:.3f}".replace(".", ","))[number % 3]
    text = f"Number {number} : pay {vendor} {amount} {currency} {f'by {by}' if by else 'soon'}"
    said = {"vendor": vendor, "due": due and due.isoformat(), "currency": currency, "total": total}
    return text, record_in_cell(json.dumps(said), SPEC)


def wrong(record: str) -> str:
    held = json.loads(record)
    return json.dumps({**held, "currency": "USD" if held["currency"] == "EUR" else "EUR"}, separators=(",", ":"))


def golden(many: int = 1_000) -> tuple[list[str], list[str]]:
    """Texts, and the records of them as places, as golden rows have them."""
    texts, records = zip(*map(a_text, range(many)), strict=True)
    return [*texts], [placed(record, text, SPEC) for text, record in zip(texts, records, strict=True)]


def reference(**changes: Any) -> Reference:
    """1,000 golden rows: the student is right in 90 %, and agrees in 80 %."""
    texts, said = golden()
    given: dict[str, Any] = {
        "truth": [wrong(each) if place % 10 == 0 else each for place, each in enumerate(said)],
        "teacher": [wrong(each) if place % 5 == 0 else each for place, each in enumerate(said)],
        "kept": KEPT.kept_of_places(pl.DataFrame({"id": "", "text": texts, "said": said}), "said").to_list(),
        **changes,
    }
    return golden_reference(RELEASE, countable(SPEC), texts, said, [0.8] * len(texts), **given)


def answered(many: int, *, first: int = 0, only: str | None = None, at: float = NOON, seed: int = 0) -> pl.DataFrame:
    """Answers as the log has them, of texts like the golden ones or of those of one vendor alone."""
    numbers = [n for n in range(first, first + 20 * many) if only is None or VENDORS[n % 4] == only][:many]
    frame = rows(many, at=at, seed=seed, confidence=0.8)
    spelled = pl.Series("label", [a_text(number)[1] for number in numbers])
    return frame.with_columns(spelled, characters=pl.Series([len(a_text(n)[0]) for n in numbers], dtype=pl.Int32))


def kept(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(KEPT.kept(frame, "label"))


def test_a_reference_of_records_counts_what_they_have_in_common() -> None:
    found = reference()
    assert found.labels == {
        "currency: EUR": 700, "currency: USD": 300, "due: no value": 200, "due: a date": 800, "total: a number": 1_000,
        "total: no value": 0, "vendor: 1 word": 500, "vendor: 2 words": 500,
    }  # fmt: skip
    assert (found.labelled, found.wrong, found.of_records) == (1_000, 100, True)
    assert found.agreement is not None and found.agreement.disagreed == 200


def test_a_reference_of_labels_is_written_as_it_was() -> None:
    said = golden_reference("r", ["x"], ["a"], ["x"], [0.9], teacher=["x"], truth=["x"]).model_dump()
    assert "of_records" not in said and said["labels"] == {"x": 1}


def days(state: WatchState, how: WatchTerms, many: int, *, only: str | None = None, after: int = 0) -> Any:
    """Days of 400 answers, with what they alarm."""
    alarms = []
    for day in range(after, after + many):
        at = NOON + day * SECONDS_A_DAY
        state, found = with_rows(state, how, kept(answered(400, first=day * 400, only=only, at=at, seed=day)), at=at)
        alarms += found
    return state, alarms


def test_records_like_the_golden_ones_are_no_finding_and_others_are_drift_of_inputs() -> None:
    state = begin(terms(), reference(), since=NOON, at=NOON, before=None)
    assert len([name for name in state.bets if name.startswith("field ")]) == 14, "all have a total"
    assert not [name for name in state.bets if name.startswith("label ")]
    state, alarms = days(state, terms(), 5)
    assert alarms == [] and not state.drifting
    state, alarms = days(state, terms(), 3, only="Road Runner", after=5)
    names = {each.watch.name: each for each in alarms}
    assert {"field vendor: 2 words rises", "field vendor: 1 word falls"} <= names.keys() and state.drifting
    rises = names["field vendor: 2 words rises"]
    assert "% of answers have vendor: 2 words; at most 60.3%" in rises.watch.in_words(rises.share)
    assert state.share_asked == terms().spec.ask_when_drifting


def test_no_watch_and_nothing_that_is_remembered_has_a_word_of_a_text() -> None:
    state, _ = days(begin(terms(), reference(), since=NOON, at=NOON, before=None), terms(), 2)
    written = state.model_dump_json()
    assert not any(word in written for word in ("Acme", "Coyote", "Runner", "2026", "1000.5", "1001.5"))


def test_what_a_person_accepts_as_normal_counts_the_same_things() -> None:
    state, _ = days(begin(terms(), reference(), since=NOON, at=NOON, before=None), terms(), 8, only="Acme Ltd")
    live = accepted(state, terms(), days=7).reference
    assert live.origin == "live" and live.of_records and live.rows == 7 * 400
    assert (live.labels["vendor: 2 words"], live.labels["vendor: 1 word"]) == (7 * 400, 0)


def test_what_an_earlier_champion_of_labels_answered_is_in_no_field() -> None:
    state = begin(terms(), reference(), since=NOON, at=NOON, before=None)
    odd = rows(50, label=["HUM", "12.5", '["a"]', "{", "null"] * 10, arm="instead", release="c" * 64)
    state, alarms = with_rows(state, terms(), odd, at=NOON)
    assert {each.watch.name.rpartition(" ")[2] for each in alarms} == {"falls"}


def test_the_teacher_agrees_where_it_means_the_same_words() -> None:
    """Of half of the texts it says another currency; what a text has in other places it answers with other places."""
    frame = answered(1_000)
    texts = frame.select("replica", "number", "id").with_columns(
        pl.Series("text", [a_text(number)[0] for number in range(1_000)])
    )
    places = dict(zip(*golden(), strict=True))
    scale = reference().agreement
    assert scale is not None

    def ask(some: Sequence[str]) -> pl.DataFrame:
        said = [wrong(places[text]) if int(text.split()[1]) % 2 else places[text] for text in some]
        return pl.DataFrame({"answer": said}).with_columns(prompt_ids(pl.Series(list(some), dtype=pl.String)))

    for records, agrees in ((KEPT, 0.5), (KeptRecords(SPEC, b"other"), 0.0)):
        ((_, heard),) = heard_of(
            kept(frame), texts, scale, [AskedFrom(after=0, share=0.3)], b"key", ask, records=records
        )
        assert heard.asked.sum() == pytest.approx(300, rel=0.25)
        assert heard.agreed[heard.asked].mean() == pytest.approx(agrees, abs=0.12)
        assert np.isfinite(heard.disagreement).all()


def test_a_day_is_reported_by_whole_records_and_by_field(tmp_path: Path) -> None:
    said = answered(100)
    truth = said.with_columns(
        truth=pl.Series([wrong(each) if n % 4 == 0 else each for n, each in enumerate(said["label"])], dtype=pl.String)
    )
    of_day = kept(said).with_columns(
        KEPT.kept(truth, "truth"), day=pl.lit(day_at(NOON)), matured=pl.lit(True), wanted=pl.lit(False)
    )
    champion = DeployedRelease(release=RELEASE, manifest="m", student="one")
    held = Watched(champion, "2024-01-01", terms(truth_binds=True), reference(), [], None, {}, {})
    facts = report(LiveDay(day_at(NOON), [], of_day, together([]), 0), held, traffic=TrafficSpec(feedback="complete"))
    assert (facts.truth.known, facts.truth.right) == (100, 75)
    shares = {each.subject: each.seen for each in facts.shares if each.kind == WatchKind.FIELD}
    assert shares["field currency: EUR"] == "70.0%" and shares["field due: no value"] == "20.0%"
    assert not [each for each in facts.shares if each.kind == WatchKind.LABEL]


def test_a_slice_of_a_column_is_as_right_as_its_records_are() -> None:
    sent = ['{"channel":"post"}' if place % 4 == 0 else None for place in range(1_000)]
    post = LiveSlice(name="post", column="channel", values=("post",), critical=True, margin=0.1)
    (found,) = reference(slices=[post], columns=sent).slices
    assert (found.labelled, found.wrong, found.heard, found.disagreed) == (250, 50, 250, 50)


def test_a_day_is_summed_up_by_field_and_without_a_record(tmp_path: Path) -> None:
    store, folder = TrafficStore(str(tmp_path / "store"), "small"), tmp_path / "made"
    put(store, kept(answered(200)))
    folder.mkdir()
    plan(store, day_at(NOON), SPEC).build(folder)
    of_release, of_field = (pl.read_parquet(folder / f"{name}.parquet") for name in ("answers", "fields"))
    assert of_release.height == 1 and of_release["rows"].to_list() == [200] and of_release["label"].null_count() == 1
    assert dict(of_field.select("answered", "rows").iter_rows()) == {
        "currency: EUR": 140, "currency: USD": 60, "due: a date": 160, "due: no value": 40, "total: a number": 200,
        "vendor: 1 word": 100, "vendor: 2 words": 100,
    }  # fmt: skip


def test_what_people_said_of_a_text_is_read_in_its_own_words(tmp_path: Path) -> None:
    """Of two answers to one text, too, whose truths no two alike digests say; and not where the words are gone."""
    store = TrafficStore(str(tmp_path), "small")
    frame = answered(4)
    texts, records = zip(*map(a_text, range(4)), strict=True)
    texts = (texts[0], texts[0].upper(), texts[2], texts[3].replace(VENDORS[3], "<name>"))
    put(store, kept(frame), texts=texts)
    said = frame.select("replica", "number", "id", "at").with_columns(
        pl.Series("truth", [records[0], records[0], wrong(records[2]), records[3]]), by=pl.lit(None, pl.String)
    )
    told = said.with_columns(KEPT.kept(said, "truth"))
    store.put(day_at(NOON), "feedback", sealed(told.select("replica", "number", "id", "at", "truth", "by")))
    found = asked_texts(store, RELEASE, at=NOON + 30 * SECONDS_A_DAY, matures_after_days=0, records=KEPT)
    truths = dict(found.select("text", "truth").iter_rows())
    assert [*truths] == [texts[0], texts[2], texts[3]]
    assert truths[texts[2]] == wrong(records[2]) and truths[texts[3]] is None
    assert truths[texts[0]] in (records[0], None)


def test_places_and_words_of_an_answer_are_kept_alike() -> None:
    text, record = a_text(1)
    both = pl.DataFrame({"id": ["a"], "text": [text], "record": [record], "places": [placed(record, text, SPEC)]})
    assert KEPT.kept(both, "record").to_list() == KEPT.kept_of_places(both, "places").to_list()
    assert spelled_out(both["places"][0], text, SPEC) == record


def test_a_number_is_kept_by_its_value_wherever_and_however_a_text_has_it() -> None:
    """And a place that is no number as none: a text without one has to have some place."""
    text = "Pay Acme 1,931.50 EUR , in words 1931,5 , by 30.11.2026 or Nov. 30, 2026"
    said = {"currency": "EUR", "due": [10, 1], "total": [2, 1], "vendor": [1, 1]}
    elsewhere = {"currency": "EUR", "due": [12, 5], "total": [7, 1], "vendor": [1, 1]}
    no_number = {"currency": "EUR", "due": None, "total": [0, 1], "vendor": [1, 1]}
    places = [json.dumps(each, separators=(",", ":")) for each in (said, elsewhere, no_number)]
    first, second, third = KEPT.kept_of_places(pl.DataFrame({"id": "a", "text": text, "said": places}), "said")
    assert first == second and json.loads(third)["total"] is None
    assert counted_of(third) == ("currency: EUR", "due: no value", "total: no value", "vendor: 1 word")
    told = pl.DataFrame({"id": "a", "truth": [record_in_cell(json.dumps({
        "currency": "eur", "due": "Nov. 30, 2026", "total": "1.931,50", "vendor": "ACME"
    }), SPEC)]})  # fmt: skip
    assert KEPT.kept(told, "truth").to_list() == [first]


def test_what_was_kept_when_a_field_was_words_is_left_out_and_what_a_release_of_then_says_is_read() -> None:
    words = {name: {"kind": "verbatim", "words_at_most": 4, "optional": True} for name in ("due", "total")}
    before = RecordSpec.model_validate({"words": 16, "fields": {**SPEC.model_dump(mode="json")["fields"], **words}})
    said = '{"currency":"EUR","due":"Nov. 30, 2026","total":"1,931.50","vendor":"Acme"}'
    now = record_in_cell(said, SPEC)
    told = pl.DataFrame({"id": ["a", "a", "a"], "truth": [said, now, None]})
    old, new = KeptRecords(before, KEPT.key).kept(told, "truth")[0], KEPT.kept(told, "truth")[1]
    rows = pl.DataFrame({"id": ["a", "b", "c"], "truth": [old, new, None]})
    assert KEPT.of_these_fields(rows, "truth")["id"].to_list() == ["b", "c"]
    no_record = '{"currency":"EUR","due":null,"total":"a lot","vendor":"Acme"}'
    respelled = KEPT.respelled(pl.Series("champion", [said, now, no_record, None]))
    assert respelled.to_list() == [now, now, no_record, None]
