"""From a file of rows to a champion and what people ask of it, by the commands of the README, each in its own process.

The recipe is the one that `stillhouse new` wrote, with a smaller teacher and one quick student in the place of its own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.command import Ended, stillhouse_process
from tests.small import questions, small_teacher
from tests.stillhouse.serving.server import serving

pytestmark = pytest.mark.slow

LEARNING = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}


@dataclass(frozen=True)
class Person:
    """Somebody with rows, who gives commands."""

    folder: Path

    def says(self, *command: str) -> Ended:
        """Give a command."""
        return stillhouse_process(*command, recipes=self.folder / "recipes")

    def reads(self, *command: str) -> str:
        """What a command prints that has to end well."""
        ended = self.says(*command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("person")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("home", "keys", "witness"):
            environment.setenv(f"STILLHOUSE_{name.upper()}", str(folder / name))
        environment.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        environment.setenv("COLUMNS", "200")
        yield Person(folder)


def smaller(path: Path) -> None:
    """What keeps the run short; rows, classes, slices, split and answers to the open questions stay as written."""
    document = yaml.safe_load(path.read_text())
    recipe = document["attributes"]
    teacher = {"source": str(small_teacher(path.parent / "teacher")), "training": {**LEARNING, "loss": "labels"}}
    recipe["teacher"] = {**recipe["teacher"], **teacher, "minimum_accuracy": 0.4}
    del recipe["teacher"]["fingerprint"]
    recipe["students"] = [{"name": "one", "layers": [0], "training": LEARNING}]
    recipe["data"]["wrong_labels_at_most"] = 0.4  # a weak teacher takes right ones for wrong ones
    recipe["bar"]["margin"] = 0.1
    recipe["budget"] = {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 6}
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def test_what_new_wrote_is_run_to_a_champion(person: Person) -> None:
    questions(1200).write_csv(person.folder / "tickets.csv")
    said = person.reads(
        "new", "tickets", "--data", str(person.folder / "tickets.csv"), "--text", "question", "--label", "service",
        "--pain", "latency", "--licence", "research", "--outputs-may-train",
    )  # fmt: skip
    assert "stillhouse run tickets" in said
    smaller(person.folder / "recipes" / "tickets" / "defs.yaml")
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
