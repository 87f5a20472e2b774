"""A server whose answers are records: what it says, what it keeps of them, and which truth it takes."""

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from stillhouse.home import Home
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import FILE_KINDS, TRAFFIC, TrafficStore
from stillhouse.live.traffic import answers
from stillhouse.recipe.serving import ServingSpec
from stillhouse.serving.answer import Serving
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease, Said
from stillhouse.serving.requests import Feedback, ServedRequest
from stillhouse.serving.routing import ServedChallenger
from stillhouse.serving.spool import TrafficLog
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.tasks.words import words_of
from tests.stillhouse.record_bundle import FIELDS, TASK, TEXTS, bundle_of_records
from tests.stillhouse.serving.conftest import RECIPE, Served
from tests.stillhouse.serving.killed import QUICK
from tests.stillhouse.serving.test_openapi import document, fits
from tests.stillhouse.serving.test_shadowing import shadowed, until

pytestmark = pytest.mark.long

TRUTH: dict[str, Any] = {"buyer": "the king", "total": "12.50", "unit": "EUR", "urgency": "low"}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> list[LoadedRelease]:
    other = {**FIELDS, "city": {"kind": "verbatim", "optional": True}}
    folders = [
        bundle_of_records(tmp_path_factory.mktemp(f"records{seed}"), seed=seed, fields=fields)
        for seed, fields in enumerate([FIELDS, other])
    ]
    return [LoadedRelease(folder, digest * 64) for folder, digest in zip(folders, "ab", strict=True)]


@pytest.fixture
def of_records(served: Served, releases: list[LoadedRelease]) -> Served:
    served.slot.serving = Serving(1, "2026-11-30T00:00:00", releases[0])
    return served


def records_of(served: Served, home: Home) -> KeptRecords:
    found = KeptRecords.of(TASK.spec, RequestIds.of(home.serving).drawing_key)
    assert found is not None
    return found


def test_a_record_is_said_as_a_text_and_as_an_object(of_records: Served, releases: list[LoadedRelease]) -> None:
    for text in TEXTS:
        said = of_records.predict(text=text).json()
        assert said["label"] == releases[0].answer(text).label and said["record"] == json.loads(said["label"])
        assert "labels" not in said and said["confidence"] > 0
    several = of_records.predict(texts=TEXTS).json()["answers"]
    assert [each["record"] for each in several] == [json.loads(releases[0].answer(text).label) for text in TEXTS]


def test_the_text_of_a_record_has_digits_that_no_float_holds(of_records: Served, releases: list[LoadedRelease]) -> None:
    """docs/serving.md: a program that needs them all reads `label`."""
    long, label = copy(releases[0]), '{"buyer":"king","total":12345678901234567.89,"unit":"EUR","urgency":"low"}'
    long.say = lambda clean: Said(label, 0.9, 3)  # type: ignore[method-assign]
    of_records.slot.serving = Serving(1, "2026-11-30T00:00:00", long)
    said = of_records.predict(text=TEXTS[0]).json()
    assert said["label"] == label and said["record"]["total"] == 12345678901234568.0


def test_no_answer_of_labels_has_a_record(served: Served) -> None:
    assert "record" not in served.predict(text="who is it ?").json()
    said = document(served)["components"]["schemas"][f"{RECIPE}.Answer"]
    assert "record" not in said["properties"]


def test_whoever_asks_what_serves_is_told_the_fields_and_not_each_place(of_records: Served) -> None:
    """Regression: a recipe of a few fields has thousands of places, and each was a label."""
    assert of_records.client.get(f"/v1/{RECIPE}").json()["labels"] == sorted(FIELDS)


def test_no_record_is_a_series_of_the_metrics(of_records: Served) -> None:
    for text in TEXTS:
        of_records.predict(text=text)
    before = of_records.client.get("/metrics").text
    for number in range(30):
        of_records.predict(text=f"{TEXTS[1]} {number}")
    after = of_records.client.get("/metrics").text

    def series(shown: str) -> set[str]:
        return {line.rpartition(" ")[0] for line in shown.splitlines() if not line.startswith("#")}

    assert {each for each in series(after) - series(before) if "metrics" not in each} == set()
    assert not any(word in after for word in ("buyer", "EUR", "king"))


def test_no_word_of_a_text_is_in_the_row_that_is_kept_of_its_answer(of_records: Served, home: Home) -> None:
    text = "Zebra pays Quagga Holdings 99.50 tomorrow"
    said = of_records.predict(text=text).json()
    row = of_records.kept[-1]
    assert isinstance(row, ServedRequest) and row.label is not None and row.student_label is None
    assert not any(word.casefold() in row.label.casefold() for word in words_of(text))
    held = json.loads(row.label)
    assert {name: held[name] for name in ("unit", "urgency")} == {
        name: said["record"][name] for name in ("unit", "urgency")
    }
    assert held["buyer"][1] == len(words_of(said["record"]["buyer"]))


@pytest.mark.parametrize(
    "said",
    [
        TRUTH,
        json.dumps(TRUTH),
        {**TRUTH, "buyer": " THE  king", "unit": "eur"},
        json.dumps({**TRUTH, "total": 0}).replace("0", "12.50"),
    ],
)
def test_a_record_is_taken_as_truth_and_no_word_of_it_is_kept(of_records: Served, home: Home, said: object) -> None:
    id = of_records.predict(text=TEXTS[1]).json()["id"]
    told = of_records.feedback(id=id, truth=said)
    assert told.status_code == 202, told.text
    row = of_records.kept[-1]
    assert isinstance(row, Feedback) and "the" not in row.truth.lower() and "12.50" not in row.truth
    held = json.loads(row.truth)
    assert (held["unit"], held["urgency"], held["buyer"][1], held["total"][1]) == ("EUR", "low", 2, 1)
    of_records.feedback(id=id, truth=TRUTH)
    again = of_records.kept[-1]
    assert isinstance(again, Feedback) and again.truth == row.truth, "the same record, however it was sent"


def test_what_was_answered_is_right_where_it_is_what_is_true(of_records: Served) -> None:
    for text in TEXTS:
        said = of_records.predict(text=text).json()
        row = of_records.kept[-1]
        assert isinstance(row, ServedRequest)
        for truth, is_right in (
            (said["record"], True), (said["label"], True), ({**said["record"], "urgency": other(said)}, False),
            ({**said["record"], "buyer": "no such words"}, False),
            ({**said["record"], "buyer": "one more word than it may have"}, False),
        ):  # fmt: skip
            assert of_records.feedback(id=said["id"], truth=truth).status_code == 202
            told = of_records.kept[-1]
            assert isinstance(told, Feedback) and (told.truth == row.label) is is_right, truth


def other(said: dict[str, Any]) -> str:
    return "high" if said["record"]["urgency"] == "low" else "low"


@pytest.mark.parametrize(
    "said",
    [
        "EUR", "", "[]", [], ["a"], {}, 12, True, None, "{", "null", {"a": {"b": "c"}}, {**TRUTH, "tax": "1"},
        {**TRUTH, "total": 12.5}, {**TRUTH, "unit": "GBP"}, {**TRUTH, "buyer": None}, {**TRUTH, "buyer": ["the"]},
        {**TRUTH, "buyer": " \u200b"}, json.dumps({**TRUTH, "buyer": 7, "unit": "x"}), "[" * 5000,
        '{"buyer":["fbgkahcdfbgkahcd",2],"total":null,"unit":null,"urgency":"low"}',
    ],
)  # fmt: skip
def test_what_is_no_such_record_is_refused_and_not_kept(of_records: Served, said: object) -> None:
    id = of_records.predict(text=TEXTS[0]).json()["id"]
    many = len(of_records.kept)
    refused = of_records.feedback(id=id, truth=said)
    assert refused.status_code == 422 and len(of_records.kept) == many, refused.text
    assert refused.json()["error"].startswith("truth: ") and "the king" not in refused.text


def test_the_refusal_says_which_fields_are_meant(of_records: Served) -> None:
    id = of_records.predict(text=TEXTS[0]).json()["id"]
    expected = of_records.feedback(id=id, truth="Acme").json()["expected"]
    assert expected.startswith("a JSON object of buyer, total, unit, urgency, or its text")


def test_what_only_the_challenger_can_answer_can_be_true(of_records: Served, releases: list[LoadedRelease]) -> None:
    id = of_records.predict(text=TEXTS[0]).json()["id"]
    wider = {**TRUTH, "city": "the city"}
    assert of_records.feedback(id=id, truth=wider).status_code == 422
    assert of_records.slot.serving is not None
    challenger = ServedChallenger(releases[1], 0.5, "salt")
    of_records.slot.serving = replace(of_records.slot.serving, challenger=challenger)
    assert of_records.feedback(id=id, truth=wider).status_code == 202
    row = of_records.kept[-1]
    assert isinstance(row, Feedback) and json.loads(row.truth)["city"][1] == 2


def test_what_a_challenger_in_the_shadow_says_is_kept_alike(of_records: Served, releases: list[LoadedRelease]) -> None:
    of_records.slot.shadow_share = 1.0
    assert of_records.slot.serving is not None
    challenger = ServedChallenger(replace_digest(releases[0], "c" * 64), 0.0, "salt")
    of_records.slot.serving = replace(of_records.slot.serving, challenger=challenger)
    of_records.predict(texts=TEXTS)
    until(lambda: len(shadowed(of_records)) == len(TEXTS))
    said = {row.id: row.label for row in of_records.kept if isinstance(row, ServedRequest)}
    assert {row.id: row.label for row in shadowed(of_records)} == said, "the same records are the same texts"
    assert not any("king" in (row.label or "") for row in shadowed(of_records))


def replace_digest(release: LoadedRelease, digest: str) -> LoadedRelease:
    """The same release under another digest."""
    other = copy(release)
    other.release = digest
    return other


def test_the_document_lets_pass_what_is_answered_and_taken(of_records: Served) -> None:
    said, answer = document(of_records), of_records.predict(text=TEXTS[1]).json()
    path = said["paths"][f"/v1/{RECIPE}/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert fits(said, path, answer) and not fits(said, path, {**answer, "record": {"buyer": "the"}})
    operation = said["paths"][f"/v1/{RECIPE}/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for truth, is_taken in (
        (TRUTH, True), (json.dumps(TRUTH), True), ({**TRUTH, "unit": None}, True), ({**TRUTH, "unit": "GBP"}, False),
        ({**TRUTH, "buyer": None}, False), ({**TRUTH, "tax": "1"}, False), (7, False),
        ({**TRUTH, "total": 12.5}, False),
    ):  # fmt: skip
        body = {"id": answer["id"], "truth": truth}
        assert fits(said, schema, body) is is_taken, truth
        assert of_records.feedback(**body).status_code == (202 if is_taken else 422), truth


def test_files_have_no_word_of_what_was_answered_and_say_what_was_right(
    home: Home, tmp_path: Path, releases: list[LoadedRelease]
) -> None:
    store = TrafficStore(str(tmp_path / "store"), RECIPE)
    log = TrafficLog(tmp_path / "spool", "r1", store, keep_texts=True, limits=QUICK)
    slot = Slot(RECIPE, ServingSpec(), serving=Serving(1, "2026-11-30T00:00:00", releases[0]))
    server = Server(
        {RECIPE: slot}, RequestIds.of(home.serving), Access(Tokens(home.serving), "127.0.0.1"), {RECIPE: log}
    )
    texts = ["the quagga of ada@example.org pays", "where is the zebra ?", "who knows 4111 1111 1111 1111 the okapi"]
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:
        said = [client.post(f"/v1/{RECIPE}/predict", json={"text": text}).json() for text in texts]
        truths = [said[0]["record"], {**said[1]["record"], "urgency": other(said[1])}]
        truths += [{**said[2]["record"], "total": "ada@example.org"}]
        for each, truth in zip(said, truths, strict=True):
            told = client.post(f"/v1/{RECIPE}/feedback", json={"id": each["id"], "truth": truth})
            assert told.status_code == 202, told.text
    log.close()
    (day,) = store.days()
    rows = answers(store, [day], at=0, matures_after_days=7).sort("number")
    right = rows.select(rows["label"] == rows["truth"]).to_series().to_list()
    assert right == [True, False, False]
    for kind in FILE_KINDS:
        frame = store.frame(day, kind)
        held = frame.drop("text") if kind == "texts" else frame
        written = json.dumps(held.to_dicts(), default=str)
        for word in ("quagga", "zebra", "okapi", "ada@example.org", "4111"):
            assert word not in written, (kind, word)
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or b"ada@example.org" not in path.read_bytes(), f"{TRAFFIC}: {path.name}"
    by = KeptRecords.of(TASK.spec, RequestIds.of(home.serving).drawing_key)
    assert by is not None and by.key == RequestIds.of(home.serving).drawing_key(Purpose.WORDS_ARE_COMPARED)
    whole = rows.join(store.frame(day, "texts").select("id", "text"), on="id", maintain_order="left")
    read = by.in_words(whole, "truth").to_list()
    assert read[1] is not None and json.loads(read[1]) == truths[1]
    assert read[2] is None, "personal data is not in the text that is kept, and in no row that is made of it"


def test_a_number_and_a_date_are_said_as_the_document_says(served: Served, tmp_path: Path) -> None:
    """However a text has them; and where it has none there is nothing."""
    fields = {"total": {"kind": "number"}, "due": {"kind": "date", "words_at_most": 5}}
    release = LoadedRelease(bundle_of_records(tmp_path, fields=fields), "c" * 64)
    served.slot.serving = Serving(1, "2026-11-30T00:00:00", release)
    said, path = document(served), {"$ref": f"#/components/schemas/{RECIPE}.Answer"}
    for text, record in (
        ("the king 1.931,50 by Nov. 30, 2026", {"due": "2026-11-30", "total": 1931.5}),
        ("the king of the city", {"due": None, "total": None}),
    ):
        answer = served.predict(text=text).json()
        assert answer["record"].keys() == record.keys() and fits(said, path, answer)
        assert answer["record"]["due"] == record["due"]
        assert answer["record"]["total"] in (record["total"], 30, 2026), "one of the numbers that there are"
        assert not fits(said, path, {**answer, "record": {**record, "total": "1.931,50"}})


def test_a_record_with_a_number_is_taken_as_truth_as_it_was_answered(served: Served, tmp_path: Path) -> None:
    """Regression: the object that the server had given was refused, as if its number had been words."""
    fields = {"total": {"kind": "number"}, "code": {"kind": "verbatim", "words_at_most": 1, "optional": True}}
    release = LoadedRelease(bundle_of_records(tmp_path, fields=fields), "c" * 64)
    served.slot.serving = Serving(1, "2026-11-30T00:00:00", release)
    answer = served.predict(text="1.931,50").json()
    row = served.kept[-1]
    assert answer["record"]["total"] == 1931.5 and isinstance(row, ServedRequest)
    assert row.label is not None and "1931" not in row.label and json.loads(row.label)["total"][1] == "number"
    said, path = document(served), {"$ref": f"#/components/schemas/{RECIPE}.Truth"}
    for truth, is_right in (
        (answer["record"], True),
        ({**answer["record"], "total": "1.931,50"}, True),
        ({**answer["record"], "total": 1931}, False),
    ):
        assert served.feedback(id=answer["id"], truth=truth).status_code == 202
        told = served.kept[-1]
        assert isinstance(told, Feedback) and (told.truth == row.label) is is_right, truth
    assert fits(said, path, {"id": answer["id"], "truth": answer["record"]})
    many = len(served.kept)
    for wrong in (
        {"total": 1, "code": 7},
        {"total": True},
        {"total": [1]},
        {"total": 1, "code": "x" * 10**5},
        {"z": 1},
    ):
        assert served.feedback(id=answer["id"], truth=wrong).status_code == 422, wrong
    assert len(served.kept) == many
