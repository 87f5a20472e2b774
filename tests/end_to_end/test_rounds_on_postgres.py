"""The same round where the ledger and all that Dagster keeps are on a real Postgres."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from stillhouse.home import Home
from tests.end_to_end.rounds import finished, nothing_goes, until
from tests.end_to_end.server import dagster_dev
from tests.postgres import postgres

pytestmark = pytest.mark.slow


def keep_dagster_on(url: str, home: Path) -> None:
    """Write the dagster.yaml of a fresh installation that begins on Postgres."""
    settings = yaml.safe_load(files("orchestration").joinpath("dagster.yaml").read_text())
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text(
        yaml.safe_dump({**settings, "storage": {"postgres": {"postgres_url": url}}})
    )


@pytest.mark.experiment("D1")
def test_a_dropped_file_is_taken_in_on_postgres(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres() as url:
        monkeypatch.setenv("STILLHOUSE_LEDGER_URL", url)
        keep_dagster_on(url, tmp_path / "home")
        with finished(tmp_path, shared) as place:
            assert place.home == Home.from_environment() and place.home.ledger_url == url
            assert not list(place.home.root.rglob("*.db")), "nothing is kept in a file of its own"
            before, earlier = place.champion_decided_by(), {run.run_id for run in place.rounds()}
            with dagster_dev(place.folder, place.file, place.home) as server:
                place.drop_new_rows("monday.csv")
                until(place, lambda: place.champion_decided_by() != before, "the champion is not decided again")
                until(place, nothing_goes(place), "a run does not end")
                mine = [run for run in place.rounds() if run.run_id not in earlier]
                assert 1 <= len(mine) <= 2
                for run in mine:
                    assert server.finished(run.run_id) == "SUCCESS", server.failures(run.run_id)
            place.assert_every_row_is_in_one_batch()
