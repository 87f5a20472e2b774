"""DAGSTER_HOME is made ready once."""

from orchestration.instance import initialise
from stillhouse.home import Home


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
