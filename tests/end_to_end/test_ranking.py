"""Documents ranked for queries, by one number for each pair: from a file of rows to a champion, its report, an exported
folder and a server.

A query asks for questions; a document is a question of TREC's, which is what is asked for, or near it, or neither.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import yaml

import stillhouse
from stillhouse.recipe.data import SEPARATOR
from stillhouse.tasks.numbers import SPELLING
from tests.end_to_end.person import Person, a_person, printed
from tests.small import questions, small_recipe
from tests.stillhouse.serving.server import serving

pytestmark = pytest.mark.slow

LEARNING = {"epochs": 6, "learning_rate": 1e-3, "max_tokens": 32}
RELEVANCE = {"HUM": 3.0, "LOC": 3.0, "NUM": 1.5, "DESC": 1.5}
DOCUMENTS = 8
ASKED, OTHER = (
    f"person 7 {SEPARATOR} {each}" for each in ("Who was the first king of Denmark ?", "What sport has most balls ?")
)
ABOUT: dict[str, Any] = {
    "data__answer": "score", "data__score": {"lowest": 0, "highest": 3, "tolerance": 0.5},
    "data__hidden_label_share": 0.0, "data__text": "document", "data__query": "query", "data__label": "relevance",
    "slices": [], "bar": {"metric": "ndcg", "margin": 0.1, "ndcg_at": 5},
    "teacher__training": {**LEARNING, "loss": "labels"},
    "students": [{"name": "one", "layers": [0], "training": {**LEARNING, "loss": "logit_mse"}}],
}  # fmt: skip


def pairs(rows: int) -> pl.DataFrame:
    """Each question as a document of one of many queries; the numbers of two rows are none, or too large."""
    asked = questions(rows).with_row_index("row")
    query = pl.concat_str(pl.lit("person"), (pl.col("row") // DOCUMENTS).cast(pl.String), separator=" ")
    relevance = pl.col("service").replace_strict(RELEVANCE, default=0.0, return_dtype=pl.Float64).cast(pl.String)
    found = asked.select(query.alias("query"), document="question", relevance=relevance)
    broken = {"query": "person 1", "document": ["How hot is it up there ?", "Why not ?"], "relevance": ["hot", "11"]}
    return pl.concat([found, pl.DataFrame(broken)])


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with a_person(tmp_path_factory.mktemp("person")) as person:
        pairs(1600).write_csv(person.folder / "questions.csv")
        small_recipe(person.folder, **ABOUT)
        yield person


@pytest.mark.parametrize(
    ("part", "field", "value", "refused"),
    [
        (("students", 0, "training"), "loss", "kl", r"students\.0\.training\.loss: kl is about labels"),
        (("data",), "query", None, r"bar\.metric: ndcg is of the documents of a query"),
    ],
)
def test_what_does_not_go_with_rankings_is_refused_in_its_line_before_anything_is_computed(
    person: Person, part: tuple[str | int, ...], field: str, value: object, refused: str
) -> None:
    path = person.folder / "recipes" / "small" / "defs.yaml"
    right = path.read_text()
    document = yaml.safe_load(right)
    of_it = document["attributes"]
    for name in part:
        of_it = of_it[name]
    of_it[field] = value
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    ended = person.says("run", "small")
    assert ended.returncode != 0 and re.search(rf"defs\.yaml:\d+: {refused}", ended.stdout + ended.stderr)
    path.write_text(right)


def test_pairs_are_run_to_a_champion(person: Person) -> None:
    """Words alone tell kinds of questions well enough, so that a person has to want the student all the same."""
    person.reads("check", "small")
    ran = person.reads("run", "small")
    assert "take the baseline" in ran and "nDCG" in ran, ran
    gate, tomorrow = "small/baselines:no_baseline_clears_the_bar", datetime.now(UTC).date() + timedelta(days=1)
    person.reads("waive", gate, "--by", "ada@example.org", "--reason", "to see the student", "--until", str(tomorrow))
    ran = person.reads("run", "small")
    assert "one" in ran and "released" in ran, ran


def test_all_documents_of_a_query_are_on_one_side(person: Person) -> None:
    (path,) = (person.folder / "home" / "artifacts").rglob("prompts.parquet")
    prompts = pl.read_parquet(path)
    assert prompts.group_by("query").agg(pl.col("split").n_unique())["split"].max() == 1
    assert prompts.filter(pl.col("split") == "golden")["query"].n_unique() > 40
    assert prompts["text"].str.contains(f" {SEPARATOR} ", literal=True).all()


def test_the_report_judges_by_ndcg_over_queries_and_says_how_far_numbers_are(person: Person) -> None:
    report = json.loads(person.reads("report", "small", "--json"))
    ranking, test, numbers = report["of_ranking"], report["metric_test"], report["of_numbers"]
    assert (report["verdict"], report["student"]["name"]) == ("pass", "one")
    assert (ranking["at"], test["metric"], test["groups"]) == (5, "ndcg", ranking["queries"])
    assert ranking["queries"] > 40 and test["drop_upper_bound"] < 0.1
    assert (ranking["ndcg"], ranking["teacher_ndcg"]) == pytest.approx((test["student"], test["teacher"]))
    others = {each["name"]: each["of_ranking"]["ndcg"] for each in report["others"]}
    assert max(others["BM25"], others["majority class"]) < ranking["ndcg"] - 0.1
    first = next(claim for claim in report["claims"] if claim["binding"])
    assert first["sentence"].startswith("nDCG within 10.0 points of the teacher")
    assert (numbers["lowest"], numbers["highest"], numbers["tolerance"]) == (0, 3, 0.5)
    assert 0 < numbers["mean_error"] < 1 and 0.5 < numbers["spearman"] <= 1 and 0 < numbers["mean_difference"] < 1
    assert report["student"]["macro_f1"] is None and report["student"]["expected_calibration_error"] is None
    page = (person.folder / "home" / "reports" / "small.html").read_text()
    assert "How well does it rank?" in page and "BM25" in page and "How far from the number?" in page
    assert "mean KL" not in page and "Does it know when" not in page
    assert json.loads(person.reads("audit", "small", "--json"))["ok"] is True


def test_the_champion_answers_with_a_number_of_one_spelling_wherever_it_is_asked(person: Person) -> None:
    asked, other = json.loads(person.reads("predict", "small", ASKED, OTHER, "--json"))["answers"]
    assert float(asked["label"]) > float(other["label"]) + 1
    said = stillhouse.load("small").answer(ASKED)
    assert said.label == asked["label"] and re.match(SPELLING, said.label) and said.confidence is None
    folder = person.folder / "exported"
    person.reads("export", "small", str(folder))
    assert not (folder / "labels.json").exists()
    number, text = printed(folder, "classify.py", ASKED).split("\t")
    assert text == ASKED and re.match(SPELLING, number)
    assert float(number) == pytest.approx(float(said.label), abs=2e-5), "the graph adds in 32 bits"
    card = (folder / "README.md").read_text()
    assert "a number, from\n0 to 3" in card and "accuracy within 0.5" in card and "mean error" in card
    as_it_is_asked = f"a query {SEPARATOR} a document"
    assert f"ask `{as_it_is_asked}`, and sort by the number" in card and "nDCG over 5 places" in card
    (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    assert float(printed(folder, "-c", code.replace(as_it_is_asked, ASKED))) == pytest.approx(
        float(said.label), abs=2e-5
    )


def test_a_served_answer_is_that_number_as_a_text(person: Person) -> None:
    with serving("small", person.folder / "recipes", person.folder / "errors") as server:
        answer = server.ask("small", text=ASKED)
        assert answer["label"] == stillhouse.load("small").answer(ASKED).label
        assert answer["confidence"] is None and "labels" not in answer
        connection = server.connect()
        connection.request("GET", "/openapi.json")
        schemas = json.loads(connection.getresponse().read())["components"]["schemas"]
        label = schemas["small.Answer"]["properties"]["label"]
        assert label["pattern"] == SPELLING and "enum" not in label
