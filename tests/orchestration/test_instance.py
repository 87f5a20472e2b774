"""DAGSTER_HOME is made ready once."""

from importlib.resources import files

import yaml

from orchestration.instance import initialise
from stillhouse.home import Home

BY_0_1_0 = """\
# Settings of a fresh DAGSTER_HOME; copied once, yours to edit afterwards.
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      # The runs of one recipe one after the other, in the order asked: batches are taken in before anything is trained.
      - key: stillhouse/recipe
        value: {applyLimitPerUniqueValue: true}
        limit: 1
run_monitoring:
  enabled: true
nux:
  enabled: false
"""
"""The file as version 0.1.0 wrote it."""


def opened_over(home: Home, settings: str) -> tuple[str, list[str]]:
    """What becomes of settings that are there, and what a person is noticed."""
    home.dagster.mkdir(parents=True)
    (home.dagster / "dagster.yaml").write_text(settings)
    noticed: list[str] = []
    with initialise(home, notice=noticed.append):
        pass
    return (home.dagster / "dagster.yaml").read_text(), noticed


def test_a_fresh_home_has_its_settings_and_databases_before_anybody_shares_it(home: Home) -> None:
    """Regression: several processes that start on a fresh SQLite DAGSTER_HOME at once corrupt it for good."""
    with initialise(home):
        pass
    assert (home.dagster / "dagster.yaml").exists()
    assert (home.dagster / "history" / "runs.db").exists() and (home.dagster / "schedules" / "schedules.db").exists()


def test_settings_that_were_edited_are_kept(home: Home) -> None:
    with initialise(home):
        pass
    settings = home.dagster / "dagster.yaml"
    settings.write_text(settings.read_text() + "# mine\n")
    with initialise(home):
        pass
    assert settings.read_text().endswith("# mine\n")


def test_settings_that_0_1_0_wrote_and_nobody_edited_are_brought_up_to_date(home: Home) -> None:
    """With two runs at once, two that wait for others of their recipes would keep every recipe waiting."""
    settings, noticed = opened_over(home, BY_0_1_0)
    assert settings == files("orchestration").joinpath("dagster.yaml").read_text()
    assert yaml.safe_load(settings)["concurrency"]["runs"]["max_concurrent_runs"] == 16
    assert noticed == [f"{home.dagster / 'dagster.yaml'} was as version 0.1.0 wrote it and is brought up to date"]
    with initialise(home, notice=noticed.append):
        pass
    assert len(noticed) == 1


def test_settings_of_0_1_0_that_were_edited_are_kept_and_what_to_do_is_one_line(home: Home) -> None:
    edited = BY_0_1_0.replace("run_monitoring", "retention: {sensor: {purge_after_days: 90}}\nrun_monitoring")
    settings, noticed = opened_over(home, edited)
    assert settings == edited
    (line,) = noticed
    assert "was edited and keeps the max_concurrent_runs: 2 of version 0.1.0" in line and line.endswith(
        "write 16 there"
    )
    (home.dagster / "dagster.yaml").write_text(edited.replace("max_concurrent_runs: 2", "max_concurrent_runs: 16"))
    with initialise(home, notice=noticed.append):
        pass
    assert noticed == [line], "and once it is done nothing is said"
