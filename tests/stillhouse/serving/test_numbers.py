"""A server whose answers are numbers: what it keeps of them, which truth it takes, and a model that gives none."""

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from stillhouse.home import Home
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import answers
from stillhouse.recipe.serving import ServingSpec
from stillhouse.serving.answer import Serving, read_truth
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.refused import RefusedError
from stillhouse.serving.requests import Feedback, ServedRequest
from stillhouse.serving.routing import ServedChallenger
from stillhouse.serving.spool import TrafficLog
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.writing import redacted
from stillhouse.tasks.numbers import written_number
from stillhouse.tasks.score import NumericScore
from tests.stillhouse.numbers import TEXTS, bundle_of_numbers
from tests.stillhouse.serving.conftest import RECIPE, Served
from tests.stillhouse.serving.killed import QUICK
from tests.stillhouse.serving.test_openapi import document, fits

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> list[LoadedRelease]:
    folders = [bundle_of_numbers(tmp_path_factory.mktemp(f"numbers{seed}"), seed=seed) for seed in (0, 1)]
    return [LoadedRelease(folder, digest * 64) for folder, digest in zip(folders, "ab", strict=True)]


@pytest.fixture
def of_numbers(served: Served, releases: list[LoadedRelease]) -> Served:
    served.slot.serving = Serving(1, "2026-11-30T00:00:00", releases[0])
    return served


@pytest.mark.parametrize(
    ("said", "kept"),
    [("10", "10"), ("12.5", "12.5"), (10, "10"), (12.5, "12.5"), (12.1234567, "12.123457"), (5e1, "50")],
)
def test_a_number_is_taken_as_truth_in_its_one_spelling(of_numbers: Served, said: object, kept: str) -> None:
    id = of_numbers.predict(text=TEXTS[0]).json()["id"]
    assert of_numbers.feedback(id=id, truth=said).status_code == 202
    row = of_numbers.kept[-1]
    assert isinstance(row, Feedback) and (row.id, row.truth) == (id, kept)


@pytest.mark.parametrize(
    "said",
    [
        "NaN", '"nan"', '"inf"', "Infinity", "1e400", '"1e400"', "1" + 400 * "0", '"1" ', '"9.9"', "9.9", "50.0000011",
        '"12.50"', '" 12.5"', '"1e1"', '"+12"', '"٣٠"', '"\uff13\uff10"', "true", "false", "[12]",
        '["12"]', "[]", "null", "{}",
        '"many"', '"score"', '""', '"12,5"', f'"{12 * 10_000}"', f'"{"1" * 9_999}"', '"12\\n"',
    ],
)  # fmt: skip
def test_what_is_no_such_number_is_refused_and_not_kept(of_numbers: Served, said: str) -> None:
    id = of_numbers.predict(text=TEXTS[0]).json()["id"]
    many = len(of_numbers.kept)
    body = f'{{"id": "{id}", "truth": {said}}}'
    json = {"content-type": "application/json"}
    found = of_numbers.client.post(f"/v1/{RECIPE}/feedback", content=body.encode(), headers=json)
    assert found.status_code == 422 and len(of_numbers.kept) == many, found.text
    assert found.json()["error"].startswith(("truth: ", "body: ")) and "12.5" not in found.json()["error"]


def test_what_only_the_challenger_can_answer_can_be_true(of_numbers: Served, releases: list[LoadedRelease]) -> None:
    """Regression: what a release with a wider scale was right about was refused, and it could only lose by truth."""
    wider = copy(releases[1])
    wider.task = NumericScore(10, 70, 5)
    assert of_numbers.slot.serving is not None
    challenger = ServedChallenger(wider, 0.5, "salt")
    of_numbers.slot.serving = replace(of_numbers.slot.serving, challenger=challenger)
    id = of_numbers.predict(text=TEXTS[0]).json()["id"]
    assert [of_numbers.feedback(id=id, truth=truth).status_code for truth in (70, "70", 50, 71)] == [202] * 3 + [422]
    refused = of_numbers.feedback(id=id, truth=71).json()["expected"]
    assert "from 10 to 50" in refused and "; or a number from 10 to 70" in refused
    truth = document(of_numbers)["components"]["schemas"][f"{RECIPE}.Truth"]["properties"]["truth"]
    assert [each["maximum"] for each in truth["anyOf"] if each["type"] == "number"] == [70]


def test_whoever_asks_what_serves_is_told_between_which_numbers_answers_lie(of_numbers: Served) -> None:
    """Regression: all that was said of them was the label `score`, which no answer is."""
    shown, said = of_numbers.client.get(f"/v1/{RECIPE}").json(), document(of_numbers)
    assert (shown["lowest"], shown["highest"], shown["labels"]) == (10, 50, ["score"])
    assert fits(said, said["components"]["schemas"][f"{RECIPE}.WhoServes"], shown)


def test_where_answers_are_labels_no_ends_are_said(served: Served) -> None:
    assert not {"lowest", "highest"} & served.client.get(f"/v1/{RECIPE}").json().keys()


def test_the_refusal_says_which_numbers_are_meant(of_numbers: Served) -> None:
    id = of_numbers.predict(text=TEXTS[0]).json()["id"]
    found = of_numbers.feedback(id=id, truth=51).json()
    assert found["expected"] == "a number from 10 to 50, or its text as answers are written"


def test_the_document_lets_pass_what_feedback_takes(of_numbers: Served) -> None:
    said, id = document(of_numbers), of_numbers.predict(text=TEXTS[0]).json()["id"]
    operation = said["paths"][f"/v1/{RECIPE}/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for truth, is_taken in (("12.5", True), (12.5, True), (12, True), ("12.50", False), (9, False), (True, False)):
        body = {"id": id, "truth": truth}
        assert fits(said, schema, body) is is_taken, truth
        assert of_numbers.feedback(**body).status_code == (202 if is_taken else 422), truth


@pytest.mark.parametrize("label", ["4", "no label of it"])
def test_a_number_is_no_label_where_answers_are_labels(served: Served, label: str) -> None:
    id = served.predict(text="who is it ?").json()["id"]
    refused = [served.feedback(id=id, truth=truth) for truth in (4, label)]
    assert [each.status_code for each in refused] == [422, 422]
    assert refused[0].json()["expected"] == "a label, as GET of this recipe lists them"


def test_numbers_are_kept_as_texts_and_joined_with_their_truth(
    home: Home, tmp_path: Path, releases: list[LoadedRelease]
) -> None:
    store = TrafficStore(str(tmp_path / "store"), RECIPE)
    log = TrafficLog(tmp_path / "spool", "r1", store, keep_texts=True, limits=QUICK)
    slot = Slot(RECIPE, ServingSpec(), serving=Serving(1, "2026-11-30T00:00:00", releases[0]))
    server = Server(
        {RECIPE: slot}, RequestIds.of(home.serving), Access(Tokens(home.serving), "127.0.0.1"), {RECIPE: log}
    )
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:
        said = [client.post(f"/v1/{RECIPE}/predict", json={"text": text}).json() for text in TEXTS]
        for each in said[:2]:
            assert client.post(f"/v1/{RECIPE}/feedback", json={"id": each["id"], "truth": 33.25}).status_code == 202
    log.close()
    (day,) = store.days()
    rows = answers(store, [day], at=0, matures_after_days=7).sort("number")
    assert rows["label"].to_list() == [each["label"] for each in said] and all(
        each["confidence"] is None for each in said
    )
    assert rows["truth"].to_list() == ["33.25", "33.25", None, None] and rows["confidence"].null_count() == 4


@given(st.floats(-1e9, 1e9))
def test_no_number_that_a_recipe_can_have_is_taken_for_personal_data(number: float) -> None:
    """Else its truth would be kept as the name of what it looks like, and count as wrong."""
    assert redacted([written_number(number)]) == [written_number(number)]


def nothing(release: LoadedRelease, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a model give an output that is no number."""
    monkeypatch.setattr(release._model, "say", lambda text: (np.full((1, 1), value, np.float32), 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_champion_that_gives_no_number_has_failed_and_a_caller_gets_none(
    of_numbers: Served, releases: list[LoadedRelease], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """Regression: the caller was told `nan`."""
    nothing(releases[0], value, monkeypatch)
    assert of_numbers.predict(text=TEXTS[0]).status_code == 500
    row = of_numbers.kept[-1]
    assert isinstance(row, ServedRequest) and (row.status, row.label) == (500, None)


def test_a_challenger_that_gives_no_number_leaves_the_answer_to_the_champion(
    of_numbers: Served, releases: list[LoadedRelease], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = of_numbers.predict(text=TEXTS[0]).json()["label"]
    challenger = ServedChallenger(releases[1], 0.999999, "salt")
    assert of_numbers.slot.serving is not None
    of_numbers.slot.serving = replace(of_numbers.slot.serving, challenger=challenger)
    assert of_numbers.predict(text=TEXTS[0]).json()["release"] == releases[1].release
    nothing(releases[1], np.nan, monkeypatch)
    said = of_numbers.predict(text=TEXTS[0]).json()
    assert (said["label"], said["release"], said["degraded"]) == (expected, releases[0].release, True)
    row = of_numbers.kept[-1]
    assert isinstance(row, ServedRequest) and (row.arm, row.release) == ("challenger", releases[0].release)
    for _ in range(5):
        of_numbers.predict(text=TEXTS[0])
    assert challenger.breaker.is_open, "it is asked no more here"


@pytest.mark.parametrize("body", [b'{"id": "a", "truth": 1e400}', b'{"id": "a", "truth": true}', b'{"id": "a"}'])
def test_a_truth_that_is_no_text_and_no_number_is_refused_when_it_is_read(body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        read_truth(body)
    assert refused.value.status == 422 and b"1e400" not in refused.value.what.encode()
