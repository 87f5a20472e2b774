"""From a file of rows to a champion and what people ask of it, by the commands of the README, each in its own process.

The recipe is the one that `stillhouse new` wrote, with a smaller teacher and one quick student in the place of its own.
"""

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.person import Person, a_person, shorten
from tests.small import questions
from tests.stillhouse.serving.server import serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with a_person(tmp_path_factory.mktemp("person")) as person:
        yield person


def test_what_new_wrote_is_run_to_a_champion(person: Person) -> None:
    questions(1200).write_csv(person.folder / "tickets.csv")
    said = person.reads(
        "new", "tickets", "--data", str(person.folder / "tickets.csv"), "--text", "question", "--label", "service",
        "--pain", "latency", "--licence", "research", "--outputs-may-train",
    )  # fmt: skip
    assert "stillhouse run tickets" in said
    shorten(person.folder / "recipes" / "tickets" / "defs.yaml", epochs=5)
    person.reads("check", "tickets")
    ran = person.reads("run", "tickets")
    assert "one" in ran and "released" in ran


def test_what_people_ask_of_it_is_answered(person: Person) -> None:
    status = json.loads(person.reads("status", "tickets", "--verify", "--json"))
    assert status["recipes"]["tickets"]["champion"]["student"] == "one"
    report = json.loads(person.reads("report", "tickets", "--json"))
    assert (report["verdict"], report["student"]["name"]) == ("pass", "one")
    assert "one" in person.reads("report", "tickets")
    assert "one" in person.reads("leaderboard", "tickets")
    assert person.reads("checklist", "tickets") and "tickets" in person.reads("fleet")
    assert json.loads(person.reads("audit", "tickets", "--json"))["ok"] is True
    assert "HUM" in person.reads("predict", "tickets", "Who was the first king of Denmark ?")
    person.reads("export", "tickets", str(person.folder / "exported"))
    exported = {path.name for path in (person.folder / "exported").iterdir()}
    assert exported >= {"classify.py", "model.onnx", "tokenizer.json", "labels.json", "README.md"}


def test_it_is_served_with_the_label_and_confidence_that_predict_gives(person: Person) -> None:
    text = "Who was the first king of Denmark ?"
    (expected,) = json.loads(person.reads("predict", "tickets", text, "--json"))["answers"]
    with serving("tickets", person.folder / "recipes", person.folder / "errors") as server:
        answer = server.ask("tickets", text=text)
    assert answer.items() >= {"label": expected["label"], "confidence": expected["confidence"]}.items()
