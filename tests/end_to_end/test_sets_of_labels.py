"""Several labels for one text: from a file of rows to a champion that gives sets, by the commands of the README.

The questions are real. Their labels follow from what they are about and from rules on their words, so that a question
has any number of them, or none.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from random import Random

import pytest
import yaml

import stillhouse
from tests.end_to_end.person import Person, a_person, printed, shorten
from tests.sets import with_labels
from tests.small import questions
from tests.stillhouse.serving.server import serving

pytestmark = pytest.mark.slow

WHO = "Who was the first king of Denmark ?"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with a_person(tmp_path_factory.mktemp("person")) as person:
        yield person


def test_what_new_wrote_is_run_to_a_champion(person: Person) -> None:
    with_labels(1500).write_csv(person.folder / "tickets.csv")
    said = person.reads(
        "new", "tickets", "--data", str(person.folder / "tickets.csv"), "--text", "question", "--label", "labels",
        "--pain", "latency", "--licence", "research", "--outputs-may-train",
    )  # fmt: skip
    assert "data.answer: multi_label" in said
    path = person.folder / "recipes" / "tickets" / "defs.yaml"
    wrote = yaml.safe_load(path.read_text())["attributes"]
    assert wrote["data"]["answer"] == "multi_label" and wrote["bar"]["metric"] == "accuracy"
    assert {each["training"]["loss"] for each in wrote["students"]} == {"bce", "labels"}
    places = {"name": "places", "column": "label", "values": ["place"], "critical": True, "margin": 0.3}
    shorten(path, epochs=6, student={"loss": "bce"}, slices=[places], traffic={"feedback": "complete"})
    person.reads("check", "tickets")
    ran = person.says("run", "tickets")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "one" in ran.stdout and "released" in ran.stdout


def test_the_report_says_whole_sets_and_each_label(person: Person) -> None:
    report = json.loads(person.reads("report", "tickets", "--json"))
    assert (report["verdict"], report["student"]["name"]) == ("pass", "one")
    labels = {each["label"]: each for each in report["per_class"]}
    assert set(labels) == {"person", "place", "amount", "number", "question_word"}
    assert labels["question_word"]["f1"] > 0.9 and labels["question_word"]["rows"] > 400
    assert 0.5 < report["of_labels"]["micro_f1"] <= 1 and 0.5 < report["of_labels"]["teacher_micro_f1"] <= 1
    assert report["student"]["macro_f1"] == pytest.approx(sum(each["f1"] for each in labels.values()) / 5)
    assert report["student"]["accuracy"] < report["of_labels"]["micro_f1"], "one wrong label spoils a set"
    (places,) = report["slices"]
    assert places["rows"] == labels["place"]["rows"], "a slice is of the rows that carry the label"
    page = next((person.folder / "home" / "reports").glob("tickets.html")).read_text()
    assert "Label by label" in page and "micro F1" in page and "question_word" in page
    assert json.loads(person.reads("audit", "tickets", "--json"))["ok"] is True


def test_the_champion_answers_with_a_set_wherever_it_is_asked(person: Person) -> None:
    (predicted,) = json.loads(person.reads("predict", "tickets", WHO, "--json"))["answers"]
    said = stillhouse.load("tickets").answer(WHO)
    assert said.label == predicted["label"] == '["person","question_word"]' and said.labels == (
        "person",
        "question_word",
    )
    assert said.confidence == predicted["confidence"]
    folder = person.folder / "exported"
    person.reads("export", "tickets", str(folder))
    ran = subprocess.run(
        [sys.executable, "classify.py", WHO, "Hm ."], cwd=folder, capture_output=True, text=True, check=True
    )
    answer, confidence, text = ran.stdout.splitlines()[0].split("\t")
    assert (answer, text) == (said.label, WHO) and float(confidence) == pytest.approx(said.confidence, abs=2e-3)
    card = (folder / "README.md").read_text()
    assert "any, or none, of\n5 labels" in card and "accuracy of whole sets" in card
    (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    assert printed(folder, "-c", code.replace("a text", WHO)) == "['person', 'question_word']"


def test_the_exported_folder_gives_what_the_champion_gives_label_by_label(person: Person) -> None:
    """To questions, to words of several in any order, and to what looks like none."""
    champion, folder = stillhouse.load("tickets"), person.folder / "compared"
    person.reads("export", "tickets", str(folder))
    asked = questions(260, skip=600)["question"].to_list()
    chance = Random(0)
    texts = [
        *asked[:120],
        *(" ".join(chance.choices(" ".join(asked).split(), k=chance.randrange(1, 60))) for _ in range(120)),
        "?", "\u0130\ufb01\u2460", "[]", '["person"]', "a;b", "\ud55c\uae00 \u05d0", "\n\t x \r", "who " * 400,
    ]  # fmt: skip
    code = "import classify, json, sys; print(json.dumps([classify.classify(each) for each in json.load(sys.stdin)]))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    given = set()
    for text, (labels, confidence) in zip(texts, json.loads(ran.stdout), strict=True):
        said = champion.answer(text)
        assert labels == list(said.labels or ()) and json.loads(said.label) == labels, text
        assert confidence == pytest.approx(said.confidence, abs=1e-5), text
        given.add(said.label)
    assert len(given) > 4, "they are told apart"


def test_a_served_answer_has_its_labels_and_feedback_takes_a_set(person: Person) -> None:
    with serving("tickets", person.folder / "recipes", person.folder / "errors") as server:
        answer = server.ask("tickets", text=WHO)
        assert (answer["label"], answer["labels"]) == ('["person","question_word"]', ["person", "question_word"])
        good = ['["amount","person"]', ["person", "amount"], [], "[]"]
        bad = [["person", "nobody"], '["person", "amount"]', "person", 3, ["person", 3], None]
        assert [server.tell("tickets", id=answer["id"], truth=truth) for truth in good] == [202] * len(good)
        assert [server.tell("tickets", id=answer["id"], truth=truth) for truth in bad] == [422] * len(bad)
        connection = server.connect()
        connection.request("GET", "/openapi.json")
        schemas = json.loads(connection.getresponse().read())["components"]["schemas"]
        listed = schemas["tickets.Answer"]["properties"]["labels"]
        assert listed["type"] == "array"
        assert listed["items"]["enum"] == ["amount", "number", "person", "place", "question_word"]
