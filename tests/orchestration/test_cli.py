"""The command line as people and scripts use it: exit codes, JSON shapes, and one plain line for a mistake."""

import json
import threading
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from orchestration.cli import EXIT_CODES, app
from orchestration.commands.answers import _print_row
from orchestration.commands.recipes import HasSchema
from orchestration.diagnosis import Diagnosis
from orchestration.economics import Account
from orchestration.serving import predict
from orchestration.status import Status
from stillhouse.audit.records import Audit
from stillhouse.audit.rows import RowAudit, TeacherSaid
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.models.pretrained import resolve_model
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.reading import read_recipe
from stillhouse.records.builds import BuildStore
from stillhouse.records.locks import recipes_locked
from tests.command import DIAGNOSIS, stillhouse, stillhouse_process
from tests.small import questions, small_recipe

NAMED = ("run", "status", "report", "leaderboard", "plan", "diagnose", "roi", "checklist", "audit", "predict")


def test_the_version_is_the_one_of_the_package() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    ended = stillhouse("--version")
    assert (ended.returncode, ended.stdout) == (0, f"stillhouse {declared}\n")


@pytest.mark.parametrize("command", [(), ("status",), ("predict",), ("keys", "init")])
def test_help_says_the_exit_codes(command: tuple[str, ...]) -> None:
    ended = stillhouse(*command, "--help")
    said = " ".join(ended.stdout.replace("│", " ").split())
    assert ended.returncode == 0 and EXIT_CODES in said


@pytest.mark.parametrize(("texts", "says"), [(["a", "b\udcff"], "text 2 has bytes that are no UTF-8"), ([], "no text")])
def test_what_is_no_text_is_not_asked_about(tmp_path: Path, home: Home, texts: list[str], says: str) -> None:
    """Regression: of a line of standard input it was said that the name of a file has bytes that are no UTF-8."""
    with pytest.raises(StillhouseError, match=says):
        predict(BuildStore(home), small_recipe(tmp_path, rows=100), texts)


def test_status_of_a_recipe_that_was_never_run_is_all_missing_and_not_well(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("status", "--json", recipes=tmp_path / "recipes")
    state = json.loads(ended.stdout)["recipes"]["small"]
    assert ended.returncode == 1 and state["champion"] is None
    assert state["stages"]["prompts"]["digest"] is None
    assert {gate["state"] for stage in state["stages"].values() for gate in stage["gates"]} == {"missing"}


def test_status_says_who_works_on_a_recipe_and_since_when(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    by = "`stillhouse run small` (process 77)"
    locked, over, before = threading.Event(), threading.Event(), datetime.now(UTC).replace(microsecond=0)

    def work() -> None:
        with recipes_locked(home, ["small"], by=by, waiting=lambda *about: None):
            locked.set()
            over.wait()

    working = threading.Thread(target=work)
    working.start()
    locked.wait()
    after = datetime.now(UTC)
    shown = stillhouse("status", "small", recipes=tmp_path / "recipes").stdout
    state = json.loads(stillhouse("status", "--json", recipes=tmp_path / "recipes").stdout)["recipes"]["small"]
    decided = {
        command: stillhouse(command, "small", "--by", "Ann Lee", "--reason", "it is rude", recipes=tmp_path / "recipes")
        for command in ("rollback", "promote", "resume")
    }
    over.set()
    working.join()
    assert state["running"]["by"] == by
    assert before <= datetime.fromisoformat(state["running"]["since"]) <= after
    since = state["running"]["since"][:16].replace("T", " ")
    assert f"no champion yet; {by} works on it since {since} UTC" in " ".join(shown.split())
    later = json.loads(stillhouse("status", "--json", recipes=tmp_path / "recipes").stdout)["recipes"]["small"]
    assert later["running"] is None
    for command, said in decided.items():
        assert f"{by} works on small since {since}" in " ".join(said.stdout.split()), command
        assert "for which this waits" in said.stdout


def test_diagnose_of_a_recipe_that_was_never_run_has_the_shape_that_scripts_rely_on(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("diagnose", "small", "--json", recipes=tmp_path / "recipes")
    found = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert found.keys() == DIAGNOSIS
    assert (found["stage"], found["gate"], found["state"]) == ("contract", None, "missing")
    plain = stillhouse_process("diagnose", "small", recipes=tmp_path / "recipes")
    assert plain.returncode == 1 and "small/contract was never materialized" in plain.stdout


def test_the_checklist_of_a_recipe_that_was_never_run_has_only_open_boxes(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("checklist", "small", recipes=tmp_path / "recipes")
    assert ended.returncode == 0 and ended.stdout.startswith("# Checklist of small\n")
    boxes = [line[:5] for line in ended.stdout.splitlines() if line.startswith("- [")]
    assert len(boxes) > 50 and set(boxes) == {"- [ ]"}


def test_an_audit_without_a_champion_says_so(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("audit", "small", "--json", recipes=tmp_path / "recipes")
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert (found["ok"], found["problems"], found["chain"]) == (False, ["small has no champion"], [])
    assert (found["entries"], found["promotion"]) == (0, None)
    assert "no entry is signed" in found["limits"][0]


def test_a_server_cannot_write_lines_of_an_audit_by_the_name_of_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = dict.fromkeys(TeacherSaid.model_fields)
    said = TeacherSaid(**nothing | {"fingerprint": "f" * 64, "answer": "ham", "observed": "large\nok  proven\x1b[2J"})
    row = {"prompt_id": "a" * 64, "batch": "base", "text": "Who ?", "label": None, "split": "validation"}
    beside = {"problems": (), "members": {}, "taught": False, "because": None, "audit": Audit.of_nothing("altered")}
    _print_row(RowAudit(ok=False, said=said, **row, **beside))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["a" * 12, "label", "teacher"]
    assert "by large ok proven" in " ".join(lines[2].split()) and "\x1b" not in lines[2]


def test_a_mistake_in_a_recipe_is_one_line_without_a_traceback(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=100)
    file.path.write_text(file.path.read_text().replace("margin: 0.07", "margin: 2.0"))
    ended = stillhouse_process("run", "small", recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith(f"{file.path}:") and "bar.margin: Input should be less than 1, not 2.0." in line
    assert stillhouse("run", "small", recipes=tmp_path / "recipes") == ended, "in this process it says the same"


def test_an_unknown_recipe_names_those_there_are(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("run", "smal", recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and "smal: no recipe of this name; expected one of: small." in ended.stderr


@pytest.mark.experiment("F8")
def test_a_name_that_leads_out_of_the_folder_of_recipes_is_refused_by_every_command(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes" / "deep" / "deeper"))
    (tmp_path / "recipes" / "deep" / "deeper").mkdir(parents=True)
    small_recipe(tmp_path, rows=100)  # which "../../small" leads to
    by = ["--by", "Ada", "--reason", "because it has to be"]
    new = ["new", "../../small", "--data", "x.csv", "--text", "a", "--label", "b"]
    for command in (
        ["waive", "../../small/prompts:gate", *by, "--until", "2099-01-01"],
        *([word, "../../small", *by] for word in ("approve", "amend")),
        *([word, "../../small"] for word in NAMED),
        new,
    ):
        with pytest.raises(StillhouseError, match=r"'\.\.(/\.\./small)?' cannot be the name of a recipe"):
            app(command, standalone_mode=False)


def test_new_writes_a_recipe_that_reads_back(tmp_path: Path, home: Home) -> None:
    data = tmp_path / "it's mine.csv"
    questions(120).write_csv(data)
    options = ("--data", str(data), "--text", "question", "--label", "service")
    ended = stillhouse("new", "mine", *options, recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr
    assert stillhouse("list", recipes=tmp_path / "recipes").stdout.startswith("mine")
    teacher = read_recipe(tmp_path / "recipes" / "mine" / "defs.yaml").recipe.teacher
    assert teacher.fingerprint == fingerprint_of(resolve_model(teacher.source)), "the weights are pinned"
    again = stillhouse("new", "mine", *options, recipes=tmp_path / "recipes")
    assert again.returncode == 2 and "exists already" in again.stderr


@pytest.mark.parametrize(
    ("rows", "label", "message"),
    [
        (None, "service", "no such file"),
        ("", "service", "the file is empty"),
        ("question,service\n", "service", "it holds no rows"),
        ("question,service\nWho ?,HUM\n", "servise", "Did you mean 'service'?"),
        ("question,service\n" + "".join(f"Who is {n} ?,HUM\n" for n in range(90)), "service", "every label is 'HUM'"),
        (
            "question,service\n" + "".join(f"Who is {n} ?,L{n % 2}\n" for n in range(9)),
            "service",
            "only 9 labelled rows",
        ),
    ],
)
def test_new_refuses_rows_that_nothing_can_be_learned_from(
    tmp_path: Path, home: Home, rows: str | None, label: str, message: str
) -> None:
    data = tmp_path / "rows.csv"
    if rows is not None:
        data.write_text(rows)
    ended = stillhouse(
        "new", "mine", "--data", str(data), "--text", "question", "--label", label, recipes=tmp_path / "recipes"
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert message in line and "rows.csv" in line
    assert not (tmp_path / "recipes" / "mine").exists()


def as_exported(separator: str, quote: str = "") -> str:
    plain = questions(300).filter(~pl.col("question").str.contains("[\"';|\t]")).head(120)
    lines = [("service", "question"), *plain.select("service", "question").rows()]
    return "".join(separator.join(f"{quote}{field}{quote}" for field in line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "content", "options", "written"),
    [
        ("rows.csv", as_exported(";").encode(), (), {"separator": ";"}),
        ("rows.csv", as_exported(";", "'").encode(), (), {"separator": ";", "quoting": "single"}),
        ("rows.csv", as_exported("\t").encode("utf-16"), (), {"separator": "\t"}),
        ("rows.tsv", as_exported("\t", '"').encode(), (), {"quoting": "double"}),
        ("rows.csv", b"sep=|\n" + as_exported("|").encode(), (), {"separator": "|"}),
        (
            "rows.csv",
            as_exported(";", "'").partition("\n")[2].encode(),
            ("--columns", "service, question"),
            {"separator": ";", "quoting": "single", "columns": ("service", "question")},
        ),
        (
            "rows.txt",
            as_exported("\t").replace("?", "\u20ac").encode("cp1252"),
            ("--format", "csv", "--encoding", "cp1252", "--separator", r"\t", "--quoting", "none"),
            {"format": "csv", "encoding": "cp1252", "separator": "\t"},
        ),
        ("rows.JSON", json.dumps(questions(120).to_dicts()).encode(), (), {}),
    ],
)
def test_new_looks_how_rows_are_written_and_says_so_in_the_recipe(
    tmp_path: Path, home: Home, name: str, content: bytes, options: tuple[str, ...], written: dict[str, object]
) -> None:
    (tmp_path / name).write_bytes(content)
    columns = ("--text", "question", "--label", "service")
    ended = stillhouse("new", "mine", "--data", str(tmp_path / name), *columns, *options, recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr
    data = read_recipe(tmp_path / "recipes" / "mine" / "defs.yaml").recipe.data
    set_by_it = {"format", "encoding", "separator", "quoting", "columns"} & data.model_fields_set
    assert {field: getattr(data, field) for field in set_by_it} == written


@pytest.mark.parametrize(
    ("content", "do"),
    [
        (
            "question,service\ncaf\u00e9,x\n".encode("cp1252"),
            "Add `--encoding ...`. What a file was written in is often",
        ),
        (b"Who is the president of the whole world,x\nWho is,y\n", "Add `--columns column_1,column_2`."),
        (b'question,service\na,x\nb,y\n"c,x\nd",y\n', "If no field is quoted, add `--quoting none`."),
        (b"question,service\n" + b"a" * 10_000_001, "Begin with a part of the file; a recipe can raise its"),
        (b"question,service\na,b,c\n", "Add `--separator ...`."),
        (b"PAR1", "Add `--format parquet`."),
        (b"who is president now,x\nother,y\n", "Add `--columns column_1,column_2`."),
        (b"president?,x\nother,y\n", "Add `--columns column_1,column_2`."),
    ],
)
def test_new_advises_its_own_options_and_no_recipe_that_does_not_exist(
    tmp_path: Path, home: Home, content: bytes, do: str
) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    columns = ("--text", "question", "--label", "service")
    ended = stillhouse("new", "mine", "--data", str(tmp_path / "rows.csv"), *columns, recipes=tmp_path / "recipes")
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 2 and do in line and "in the recipe" not in line
    assert "president" not in line


def test_a_plan_needs_nothing_but_the_rows_and_says_which_claims_they_cannot_support(
    tmp_path: Path, home: Home
) -> None:
    small_recipe(tmp_path, rows=300)
    ended = stillhouse("plan", "small", "--json", recipes=tmp_path / "recipes")
    whole, people, _ = json.loads(ended.stdout)["claims"]
    assert ended.returncode == 0, "100 rows and more support 7 points"
    assert whole["rows"] > whole["rows_needed"] and people["rows"] < people["rows_needed"]
    assert not home.root.exists() or not home.dagster.exists(), "nothing was made for it"
    small_recipe(tmp_path, rows=300, teacher__training_on_outputs="unknown")  # which is forecast in no time
    apart = stillhouse("plan", "small", "--discordance", "0.3", recipes=tmp_path / "recipes")
    assert apart.returncode == 1 and "too few rows" in apart.stdout


def test_a_plan_for_a_class_that_no_row_has_is_refused_with_the_classes_there_are(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=100, bar={"margin": 0.07, "metric": "recall", "metric_class": "HUMAN"})
    ended = stillhouse("plan", "small", recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    number = 1 + next(n for n, text in enumerate(file.path.read_text().splitlines()) if "metric_class" in text)
    assert line.startswith(f"{file.path}:{number}: bar.metric_class: no labelled row is of class 'HUMAN'")
    assert "one of ABBR, DESC, ENTY, HUM, LOC, NUM. Did you mean 'HUM'?" in line


@pytest.mark.parametrize("of", [each.value for each in HasSchema if each is not HasSchema.RECIPE])
def test_what_a_command_prints_for_scripts_has_a_schema(of: str) -> None:
    schema = json.loads(stillhouse("schema", "--of", of).stdout)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    left_out = [field for name, field in schema["properties"].items() if name not in schema["required"]]
    assert all(field["description"].startswith("Left out where") for field in left_out), "every other field is printed"


@pytest.mark.parametrize(("name", "record"), [("status", Status), ("diagnose", Diagnosis), ("roi", Account)])
def test_what_is_printed_is_of_its_schema(name: str, record: type[Record], tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=50)
    printed = stillhouse(name, "small", "--json", recipes=tmp_path / "recipes").stdout
    assert json.loads(record.model_validate_json(printed).model_dump_json()) == json.loads(printed)


@pytest.mark.parametrize("command", ["list", "check"])
def test_where_there_is_no_recipe_that_is_said_and_a_wrong_folder_is_a_mistake(
    tmp_path: Path, home: Home, command: str
) -> None:
    """Regression: a misspelt folder of recipes was checked without a word, and found without mistakes."""
    (tmp_path / "recipes").mkdir()
    ended = stillhouse(command, recipes=tmp_path / "recipes")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == f"no recipe in {tmp_path / 'recipes'}: `stillhouse new` writes one\n"
    ended = stillhouse(command, recipes=tmp_path / "recipe")
    assert (ended.returncode, ended.stdout) == (2, "") and "there is no such folder" in ended.stderr
