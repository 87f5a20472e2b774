"""What a server answers, and what it says where it does not."""

import json
from typing import Any, cast

import pytest

from stillhouse.serving.app import Server
from stillhouse.serving.loaded import LoadedRelease, Said
from stillhouse.serving.requests import Feedback, ServedRequest
from stillhouse.serving.teacher import ServingTeacher
from tests.stillhouse.conftest import LABELS
from tests.stillhouse.serving.conftest import BOTH_WAYS, ODD, RECIPE, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"


@BOTH_WAYS
def test_an_answer_says_what_gave_it(served: Served) -> None:
    answered = served.predict(text=TEXT)
    said = answered.json()
    ((label, confidence),) = served.installation.expected(0, [TEXT])
    serving = served.slot.serving
    assert serving is not None
    assert said == {
        "id": answered.headers["x-request-id"],
        "label": label,
        "confidence": confidence,
        "source": "student",
        "release": serving.champion.release,
        "deployment": serving.deployment,
        "degraded": False,
    }
    assert answered.headers["x-stillhouse-release"] == serving.champion.release


@BOTH_WAYS
def test_odd_texts_are_answered_as_predict_answers_them_to_the_bit(served: Served) -> None:
    said = served.predict(texts=ODD).json()["answers"]
    assert [(each["label"], each["confidence"]) for each in said] == served.installation.expected(0, ODD)
    alone = [served.predict(text=text).json() for text in ODD]
    assert [each["confidence"] for each in alone] == [each["confidence"] for each in said]
    assert len({each["id"] for each in [*said, *alone]}) == 2 * len(ODD)


@BOTH_WAYS
def test_each_text_is_a_row_with_what_the_caller_was_said(served: Served) -> None:
    said = served.predict(texts=[TEXT, "where  is city 1 ?"], key="customer 7").json()["answers"]
    first, second = served.kept
    assert isinstance(first, ServedRequest) and isinstance(second, ServedRequest)
    assert [(row.id, row.label, row.confidence) for row in (first, second)] == [
        (each["id"], each["label"], each["confidence"]) for each in said
    ]
    assert second.text == "where  is city 1 ?" and second.characters == 17, "as golden texts are counted"
    assert first.key == second.key is not None and "customer" not in first.key
    assert (first.tokens, first.status, first.source, first.recipe) == (7, 200, "student", RECIPE)


@BOTH_WAYS
def test_answers_that_no_caller_received_are_no_rows(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of several texts fails the whole request does, and what is asked again would be counted twice."""
    say = LoadedRelease.say

    def fails_on_the_last(release: LoadedRelease, clean: str) -> Said:
        if clean == "c":
            raise ValueError("broken")
        return say(release, clean)

    monkeypatch.setattr(LoadedRelease, "say", fails_on_the_last)
    assert served.predict(texts=["a", "b", "c"]).status_code == 500
    (row,) = served.kept
    assert isinstance(row, ServedRequest) and (row.text, row.status, row.label) == ("c", 500, None)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"{", 422, "body: it is not JSON"),
        (b"[]", 422, "body: it is not a JSON object"),
        (b"{}", 422, "body: either text or texts has to be given"),
        (b'{"text": "a", "texts": ["b"]}', 422, "body: either text or texts has to be given"),
        (b'{"text": 7}', 422, "text: it is not text"),
        (b'{"text": "who ?", "columns": ["post"]}', 422, "columns: it is not a JSON object"),
        (b'{"text": "who ?", "columns": {"channel": {"post": 1}}}', 422, "columns: it is not text"),
        (b'{"texts": []}', 422, "texts: it is empty"),
        (b'{"text": "a", "ann@example.org": 1}', 422, "body: it has a field that is none of those expected"),
        (b'{"text": "a", "deadline_ms": 0}', 422, "deadline_ms: it is too small"),
        (b'{"text": "a", "key": ""}', 422, "key: it is empty"),
        (b'{"text": "\\ud800"}', 422, "body: it is not JSON"),
        (b'{"text": "\xff"}', 422, "body: it is not JSON"),
        (json.dumps({"text": " \u200b\n"}).encode(), 422, "text: nothing in it can be seen"),
        (json.dumps({"text": "x" * 1001}).encode(), 422, "text: 1001 characters"),
        (json.dumps({"texts": ["x"] * 65}).encode(), 422, "65 texts"),
        (b'{"text": "' + b"x" * 200_000 + b'"}', 413, "the body is too large"),
    ],
)
def test_what_is_wrong_is_said_without_what_was_sent(served: Served, body: bytes, status: int, error: str) -> None:
    answered = served.client.post(
        f"/v1/{RECIPE}/predict", content=body, headers={"content-type": "application/json"}
    )  # fmt: skip
    assert (answered.status_code, answered.json()["error"]) == (status, error)
    assert answered.json()["id"] == answered.headers["x-request-id"]
    assert "ann@" not in answered.text and served.kept == []


@BOTH_WAYS
def test_a_form_is_not_taken_as_another_sites_page_could_send_one(served: Served) -> None:
    answered = served.client.post(f"/v1/{RECIPE}/predict", content=b'{"text": "a"}')
    assert answered.status_code == 415


@BOTH_WAYS
def test_a_recipe_that_is_not_served_and_a_wrong_method(served: Served) -> None:
    answered = served.client.post("/v1/ann_lee/predict", json={"text": TEXT})
    assert answered.status_code == 404 and "ann" not in answered.text
    assert served.client.get(f"/v1/{RECIPE}/predict").status_code == 405


@BOTH_WAYS
def test_who_serves(served: Served) -> None:
    shown = served.client.get(f"/v1/{RECIPE}").json()
    assert (shown["recipe"], shown["student"], shown["labels"]) == (RECIPE, "model0", LABELS)
    assert served.client.get("/healthz").status_code == served.client.get("/readyz").status_code == 200


@BOTH_WAYS
def test_feedback_is_taken_for_our_answers_and_known_labels_alone(served: Served) -> None:
    id = served.predict(text=TEXT).json()["id"]
    served.kept.clear()
    assert [served.feedback(id=id, truth="person", by="desk:2").status_code for _ in range(2)] == [202, 202]
    first, second = served.kept
    assert isinstance(first, Feedback) and isinstance(second, Feedback)
    assert (first.id, first.truth, first.by, first.recipe) == (second.id, "person", "desk:2", RECIPE)
    wrong: list[dict[str, Any]] = [
        {"id": id[:-1] + ("A" if id[-1] != "A" else "B"), "truth": "person"},
        {"id": id, "truth": "ann@example.org"},
        {"id": id, "truth": "person", "by": "ann@example.org"},
    ]
    for body in wrong:
        refused = served.feedback(**body)
        assert refused.status_code == 422 and "ann@" not in refused.text
    assert len(served.kept) == 2


def test_only_questions_that_no_teacher_may_answer_are_answered_without_a_task(served: Served) -> None:
    """Those are asked with no task around them, in which a teacher's client could not wait."""
    server, slot = served.client.app, served.slot
    assert isinstance(server, Server) and slot.serving is not None
    address = f"/v1/{RECIPE}/predict".encode()
    assert server.at_once(address, []) is not None
    assert [server.at_once(other, []) for other in (address + b"?", b"/v1/other/predict", b"/v1")] == [None] * 3
    slot.serving.champion.teacher = cast(ServingTeacher, object())
    assert server.at_once(address, []) is None
    slot.serving = None
    assert server.at_once(address, []) is None, "what serves first may have a teacher"


def test_before_anything_serves_whoever_says_a_truth_is_asked_to_come_again(served: Served) -> None:
    """Regression: it was kept without being held against any label, and decided later as any other."""
    id, serving = served.predict(text="who is it ?").json()["id"], served.slot.serving
    assert serving is not None
    many, label = len(served.kept), sorted(serving.champion.labels)[0]
    served.slot.serving = None
    found = served.feedback(id=id, truth="whatever it is")
    assert (found.status_code, found.headers["retry-after"], len(served.kept)) == (503, "1", many)
    served.slot.serving = serving
    assert served.feedback(id=id, truth=label).status_code == 202
