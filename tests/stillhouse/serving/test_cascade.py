"""A release with its teacher behind it: who answers, what the caller is told, and what is counted and kept."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.serving import ServingSpec, TeacherCallsSpec
from stillhouse.records.deployments import Quarantine, serving_now
from stillhouse.records.rollouts import quarantine
from stillhouse.release.cascade import Cascade, ProtectedSlice, TeacherOnCall
from stillhouse.serving.app import Server
from stillhouse.serving.http import JSON
from stillhouse.serving.requests import ServedRequest
from stillhouse.serving.teacher import Away, AwayError, ServingTeacher, TeacherSaid
from tests.stillhouse.serving.cascades import cascade
from tests.stillhouse.serving.conftest import BOTH_WAYS, RECIPE, Served

pytestmark = pytest.mark.long

TEXT, SECRET = "who is the king ?", "ann.lee@example.org"


class Asked:
    """Says what the test wants."""

    seen_usd = 1.25

    def __init__(self, says: Callable[[str], TeacherSaid]) -> None:
        self.says, self.texts, self.is_closed = says, list[str](), False

    def is_ready(self) -> bool:
        return True

    def ask(self, text: str, seconds: float) -> TeacherSaid:
        self.texts.append(text)
        return self.says(text)

    def close(self) -> None:
        self.is_closed = True


def place(text: str) -> TeacherSaid:
    return TeacherSaid("place", 0.97)


def away(text: str) -> TeacherSaid:
    raise AwayError(Away.BUDGET)


def behind(
    served: Served, of: Cascade, says: Callable[[str], TeacherSaid] = place, model: int = 1, **limits: Any
) -> Asked:
    """Have the server serve a release with a cascade."""
    asked = Asked(says)
    served.slot.limits = ServingSpec(**limits)
    served.slot.open_teacher = lambda on_call: ServingTeacher(asked, TeacherCallsSpec(deadline_ms=20_000))
    served.installation.promote(model, cascade=of)
    served.follower.look()
    return asked


def counted(served: Served, name: str) -> dict[str, float]:
    """A counter of the recipe by its other label."""
    text = served.client.get("/metrics").text
    found = re.findall(rf'^{name}{{recipe="{RECIPE}",\w+="(\w+)"}} (\S+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in found}


def test_what_the_student_is_unsure_of_the_teacher_answers_without_personal_data(served: Served) -> None:
    asked = behind(served, cascade(None))
    said = served.predict(text=f"{TEXT} {SECRET}").json()
    assert (said["label"], said["confidence"], said["source"], said["degraded"]) == ("place", 0.97, "teacher", False)
    assert asked.texts == [f"{TEXT} [EMAIL]"]
    (row,) = served.kept
    assert isinstance(row, ServedRequest)
    assert (row.label, row.source, row.degraded, row.status) == ("place", "teacher", False, 200)
    assert row.tokens is not None and row.release == said["release"]
    ((student, sure),) = served.installation.expected(1, [f"{TEXT} {SECRET}"])
    assert (row.student_label, row.student_confidence) == (student, pytest.approx(sure))
    assert counted(served, "stillhouse_handed_on_total") == {"unsure": 1.0}
    assert 'source="teacher"} 1.0' in served.client.get("/metrics").text


def test_what_the_student_is_sure_of_stays_its_own(served: Served) -> None:
    asked = behind(served, cascade(0.0))
    ((label, confidence),) = served.installation.expected(1, [TEXT])
    said = served.predict(text=TEXT).json()
    assert (said["label"], said["confidence"], said["source"]) == (label, confidence, "student")
    assert asked.texts == [] and counted(served, "stillhouse_handed_on_total") == {}
    (row,) = served.kept
    assert isinstance(row, ServedRequest) and row.student_label is None


def test_a_protected_slice_goes_to_the_teacher_by_what_the_caller_says(served: Served) -> None:
    by_post = ProtectedSlice(name="by_post", column="channel", values=("post",), declared=True)
    behind(served, cascade(0.0, by_post))
    assert served.predict(text=TEXT, columns={"channel": "app"}).json()["source"] == "student"
    for value in ("post", " post ", "post\t"):  # as the rows of a source lose what is around a value
        assert served.predict(text=TEXT, columns={"channel": value}).json()["source"] == "teacher"
    for columns in ({}, {"channel": ""}, {"channel": " "}):
        assert served.predict(text=TEXT, columns=columns).json()["source"] == "teacher"
    assert counted(served, "stillhouse_handed_on_total") == {"protected": 3.0, "unknown_slice": 3.0}
    shown = served.client.get(f"/v1/{RECIPE}").json()
    assert (shown["threshold"], shown["to_teacher"]) == (0.0, ["by_post"])


def quarantined(served: Served, **what: Any) -> None:
    """Have the ledger take a part of the requests from the champion for its teacher."""
    seen = serving_now(served.installation.builds.ledger, RECIPE)
    signed = {"by": "Ann", "reason": "Firms are taken for people.", "since": "", "until": datetime.now(UTC).date()}
    wanted = Quarantine.model_validate({"slice": "s", "instead": None, **signed, **what})
    quarantine(served.installation.builds.ledger, RECIPE, wanted, days_at_most=9, seen=seen)
    served.follower.look()


def test_a_question_that_came_before_a_teacher_did_is_answered_by_what_served_then(served: Served) -> None:
    """Regression: its teacher was asked, and its answer not waited for, where the body came after the headers."""
    server, before = served.client.app, served.slot.serving
    assert isinstance(server, Server) and before is not None
    at_once = server.at_once(f"/v1/{RECIPE}/predict".encode(), [(b"host", b"127.0.0.1:8080"), JSON])
    asked = behind(served, cascade(None))
    assert at_once is not None
    answering = at_once(json.dumps({"text": TEXT}).encode())
    with pytest.raises(StopIteration) as ended:
        while True:
            answering.send(None)
    response, _ = ended.value.value
    said = json.loads(response.body)
    assert (response.status, said["release"], said["degraded"]) == (200, before.champion.release, False)
    assert asked.texts == [] and served.predict(text=TEXT).json()["source"] == "teacher"


def test_what_a_person_hands_to_the_teacher_it_answers_and_nothing_else(served: Served) -> None:
    asked = behind(served, cascade(0.0))
    ((label, _),) = served.installation.expected(1, [TEXT])
    quarantined(served, labels=(label,))
    said = served.predict(text=TEXT).json()
    assert (said["label"], said["source"], said["degraded"]) == ("place", "teacher", False)
    (row,) = served.kept
    assert isinstance(row, ServedRequest)
    assert (row.arm, row.source, row.student_label, row.release) == ("instead", "teacher", label, said["release"])
    assert asked.texts == [TEXT] and counted(served, "stillhouse_handed_on_total") == {"quarantined": 1.0}
    assert served.client.get(f"/v1/{RECIPE}").json()["quarantine"] == ["s"]
    quarantined(served, column="channel", values=("post",))
    assert served.predict(text=TEXT, columns={"channel": "app"}).json()["source"] == "student"
    for columns in ({"channel": "post"}, {}):
        assert served.predict(text=TEXT, columns=columns).json()["source"] == "teacher"


@BOTH_WAYS
def test_what_an_earlier_release_answers_in_the_place_of_one_without_a_teacher_its_teacher_answers(
    served: Served,
) -> None:
    asked = behind(served, cascade(None), model=2)
    earlier = serving_now(served.installation.builds.ledger, RECIPE).champion
    served.installation.promote(1)
    served.follower.look()
    assert served.predict(text=TEXT).json()["source"] == "student"
    quarantined(served, column="channel", values=("post",), instead=earlier)
    said = served.predict(text=TEXT, columns={"channel": "post"}).json()
    assert (said["release"], said["source"], said["degraded"]) == (earlier.release, "teacher", False)
    assert served.predict(text=TEXT, columns={"channel": "app"}).json()["source"] == "student"
    assert asked.texts == [TEXT]


@pytest.mark.parametrize("has_a_teacher", [True, False])
def test_where_the_teacher_cannot_answer_what_it_was_handed_the_champion_says_so(
    served: Served, has_a_teacher: bool
) -> None:
    if has_a_teacher:
        behind(served, cascade(0.0), away)
    else:
        served.installation.promote(1)
    quarantined(served, characters=(1, None))
    ((label, _),) = served.installation.expected(1, [TEXT])
    said = served.predict(text=TEXT).json()
    assert (said["label"], said["source"], said["degraded"]) == (label, "student", True)
    why = "budget" if has_a_teacher else "failed"
    assert counted(served, "stillhouse_degraded_texts_total") == {why: 1.0}


def test_a_teacher_that_is_away_is_said_and_counted(served: Served) -> None:
    behind(served, cascade(None), away)
    ((label, confidence),) = served.installation.expected(1, [TEXT])
    said = served.predict(text=TEXT).json()
    assert (said["label"], said["confidence"], said["source"], said["degraded"]) == (label, confidence, "student", True)
    (row,) = served.kept
    assert isinstance(row, ServedRequest) and row.degraded and row.status == 200
    assert counted(served, "stillhouse_degraded_texts_total") == {"budget": 1.0}
    shown = served.client.get("/metrics").text
    assert f'stillhouse_teacher_usd_this_month{{recipe="{RECIPE}"}} 1.25' in shown
    assert f'stillhouse_teacher_usd_per_month{{recipe="{RECIPE}"}}' not in shown, "it costs none"


def test_where_the_recipe_says_so_an_answer_without_the_teacher_is_refused(served: Served) -> None:
    behind(served, cascade(None), away, teacher_away="refuse")
    refused = served.predict(text=TEXT)
    assert refused.status_code == 503 and "teacher" in refused.json()["error"] and refused.headers["retry-after"]
    (row,) = served.kept
    assert isinstance(row, ServedRequest) and (row.status, row.label, row.degraded) == (503, None, False)
    assert row.student_label is not None, "the watch knows what was asked, and that no model has failed"
    assert served.slot.waiting == 0


def test_a_caller_that_waits_no_longer_gets_the_students_answer(served: Served) -> None:
    asked = behind(served, cascade(None))
    assert served.predict(text=TEXT, deadline_ms=1e6).json()["source"] == "teacher"
    waits: list[float] = []
    real = asked.ask
    asked.ask = lambda text, seconds: (waits.append(seconds), real(text, seconds))[1]  # type: ignore[method-assign]
    served.predict(text=TEXT, deadline_ms=3_000)
    served.predict(text=TEXT)
    assert waits[0] <= 3 and waits[1] == 20


def test_what_a_caller_sends_as_columns_is_limited(served: Served) -> None:
    for columns in ({"channel": "x" * 201}, {"x" * 61: "post"}, {f"c{n}": "x" for n in range(21)}, {"channel": 7}):
        refused = served.predict(text=TEXT, columns=columns)
        assert refused.status_code == 422 and "columns" in refused.json()["error"], columns
        assert "xxx" not in refused.text and "post" not in refused.text


def test_a_teacher_is_kept_through_a_swap_and_closed_once_no_release_needs_it(served: Served) -> None:
    first = behind(served, cascade(None))
    teacher = served.slot.teachers["a" * 64]
    second = behind(served, cascade(0.0), model=2)
    assert served.slot.teachers == {"a" * 64: teacher} and not first.is_closed and second.texts == []
    assert served.slot.serving is not None and served.slot.serving.champion.teacher is teacher
    for model in (0, 1):
        served.installation.promote(model)
        served.follower.look()
    assert served.slot.teachers == {} and first.is_closed


def test_a_release_serves_whose_teacher_the_recipe_names_no_more(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """As after going back to one from before the teacher was exchanged: its student answers for the teacher."""

    def names_it_no_more(on_call: TeacherOnCall) -> ServingTeacher:
        raise StillhouseError("no more how", where="defs.yaml", expected="endpoint", do="Put it back.")

    served.slot.open_teacher = names_it_no_more
    release = served.installation.promote(1, cascade=cascade(None)).digest
    served.follower.look()
    assert served.slot.refused is None and "no more how" in caplog.text
    said = served.predict(text=TEXT).json()
    assert (said["release"], said["source"], said["degraded"]) == (release, "student", True)
    assert counted(served, "stillhouse_degraded_texts_total") == {"failed": 1.0}
    served.installation.promote(0)
    served.follower.look()
    assert served.predict(text=TEXT).json()["degraded"] is False


def test_a_release_without_a_cascade_says_so(served: Served) -> None:
    shown = served.client.get(f"/v1/{RECIPE}").json()
    assert (shown["threshold"], shown["to_teacher"]) == (None, [])
