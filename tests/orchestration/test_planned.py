"""What a plan says of time and money, beside what stages took."""

import json
import re
from pathlib import Path

import pytest

from orchestration.planned import Duration, Planned, forecast_of_a_first_run, seconds_by_stage
from orchestration.tables.planned import duration_table
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from stillhouse.stages.forecast import Forecast, StageForecast
from stillhouse.stages.names import TEACHER
from stillhouse.wording import in_minutes
from tests.command import stillhouse
from tests.conftest import Run
from tests.small import small_recipe


def test_a_plan_forecasts_every_stage_and_says_what_those_took_that_were_made(
    tmp_path: Path, run: Run, builds: BuildStore
) -> None:
    file = small_recipe(tmp_path, rows=300)
    assert run(file, "contract", "source").success
    ended = stillhouse("plan", "small", "--json", recipes=tmp_path / "recipes")
    found = Planned.model_validate_json(ended.stdout).duration
    assert found is not None
    assert found.took.keys() == {"contract", "source"} == seconds_by_stage(builds.ledger, file).keys()
    (entry,) = builds.ledger.entries("small", "materialization", subject="small/source[base]")
    assert found.took["source"] == pytest.approx(entry.body["wall_seconds"])
    by_stage = {each.stage: each.seconds for each in found.forecast.stages}
    forecast, seconds = found.compared
    assert forecast == pytest.approx(by_stage["contract"] + by_stage["source"])
    assert seconds == pytest.approx(sum(found.took.values()))
    shown = stillhouse("plan", "small", recipes=tmp_path / "recipes").stdout
    assert re.search(r"a whole run: about \d+ (s|min|h) on this machine, [\d.]+ USD(, with|\n)", shown)
    before = seconds_by_stage(builds.ledger, file)
    assert run(file, "source").success
    assert seconds_by_stage(builds.ledger, file) == before, "what is found again takes no time, and that is no measure"


def test_short_stages_are_one_line() -> None:
    stages = [StageForecast(stage="teacher", seconds=300), StageForecast(stage="source", seconds=1)]
    stages.append(StageForecast(stage="prompts", seconds=2))
    forecast = Forecast(stages=tuple(stages), seconds=303, cost_usd=0.1)
    console = Terminal(record=True, width=100)
    console.print(duration_table(Duration(forecast=forecast, took={"teacher": 330.0, "source": 0.6})))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["teacher", "5", "min", "6", "min"] in lines
    assert ["2", "shorter", "ones", "3", "s", "1", "s"] in lines
    assert [in_minutes(each) for each in (3, 119, 120, 7199, 7200)] == ["3 s", "119 s", "2 min", "120 min", "2.0 h"]


def test_a_teacher_that_is_not_there_is_named_in_the_recipes_line(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=300, teacher__source=str(tmp_path / "nowhere"))
    ended = stillhouse("plan", "small", recipes=tmp_path / "recipes")
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 2 and line.startswith(f"{file.path}:") and "nowhere" in line
    assert "teacher.source" in line
    with pytest.raises(StillhouseError, match="nowhere"):
        forecast_of_a_first_run(BuildStore(home), file)


@pytest.mark.parametrize("terms", ["forbidden", "unknown"])
def test_a_teacher_whose_terms_do_not_allow_it_is_not_put_to_work_for_a_forecast(
    tmp_path: Path, home: Home, terms: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.planned.forecast", lambda *about: pytest.fail("it was loaded"))
    file = small_recipe(tmp_path, rows=300, teacher__training_on_outputs=terms)
    assert forecast_of_a_first_run(BuildStore(home), file) is None
    assert "no forecast" in stillhouse("plan", "small", recipes=tmp_path / "recipes").stdout
    assert json.loads(stillhouse("plan", "small", "--json", recipes=tmp_path / "recipes").stdout)["duration"] is None


def test_a_recipe_whose_teacher_was_taught_gets_no_forecast_before_a_run(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.planned.seconds_by_stage", lambda *about: {TEACHER: 12.0})
    assert forecast_of_a_first_run(BuildStore(home), small_recipe(tmp_path, rows=300)) is None


def test_the_schema_of_a_plan_has_the_forecast() -> None:
    schema = json.loads(stillhouse("schema", "--of", "plan").stdout)
    assert {"claims", "duration"} <= schema["properties"].keys()


def test_a_run_where_no_teacher_can_be_timed_as_it_serves_ends_before_anything_is_made(
    tmp_path: Path, home: Home
) -> None:
    file = small_recipe(tmp_path, rows=300, budget__teacher_serves_on="cuda")
    ended = stillhouse("run", file.name, recipes=file.path.parents[1])
    (line,) = ended.stderr.strip().splitlines()
    number = 1 + file.path.read_text().splitlines().index("    teacher_serves_on: cuda")
    assert ended.returncode == 2
    assert line.startswith(f"{file.path}:{number}: budget.teacher_serves_on: the teacher serves on cuda, and torch ")
    assert line.endswith("Run the recipe on such a machine, or say `cpu` if that is what answers its callers.")
    assert not (home.root / "ledger.db").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_device_that_is_not_there_is_said_before_anything_is_made(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    file = small_recipe(tmp_path, rows=300)
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:99")
    ended = stillhouse(command, file.name, recipes=file.path.parents[1])
    assert ended.returncode == 2
    assert ended.stderr.startswith("STILLHOUSE_DEVICE: torch ") and "finds no cuda:99 here" in ended.stderr
    assert not (home.root / "ledger.db").exists()
