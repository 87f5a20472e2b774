"""An installation as deploy/ describes it: ledger and Dagster on a Postgres, artifacts, drop folder and witness on S3.

Belongs here: putting it up on this machine, its two servers with homes of their own, and asking them.
Does not: what is done to it (test_production.py).
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from stillhouse.home import CHECKOUT
from stillhouse.records.deployments import desired
from stillhouse.stores import place_at
from tests.command import Ended, stillhouse_process
from tests.conftest import a_place, failures
from tests.end_to_end.rounds import ROWS, Running
from tests.postgres import postgres
from tests.s3 import BUCKET, s3
from tests.small import small_recipe, students_after
from tests.stillhouse.serving.server import Running as Server
from tests.stillhouse.serving.server import serving
from tests.wire import Wire, wire

SECONDS = 60.0
"""In which a server is waited for; it looks at the ledger every second, and this machine may be busy."""
RECIPE = "small"


@dataclass(frozen=True)
class Replica:
    """A server on a machine of its own: a home, a way to the ledger and one to the store."""

    name: str
    home: Path
    ledger: Wire
    store: Wire
    recipes: Path
    variables: dict[str, str]

    @contextmanager
    def started(self) -> Iterator[Server]:
        """Run it until the block ends."""
        with serving(RECIPE, self.recipes, self.home / "log", "--replica", self.name, **self.variables) as server:
            yield server


@dataclass(frozen=True)
class Production(Running):
    """The installation, and its two servers."""

    replicas: tuple[Replica, Replica] = field(kw_only=True)

    def drop(self, name: str, rows: pl.DataFrame) -> None:
        """Put a file of rows into the drop folder, which is a prefix of the bucket."""
        (place_at(f"s3://{BUCKET}/inbox") / name).write_bytes(rows.write_csv().encode())

    def deployment(self) -> int:
        """Number of what should serve."""
        found = desired(self.builds.ledger, RECIPE)
        assert found is not None
        return found.number

    def command(self, *words: str) -> Ended:
        """Run `stillhouse` as a person at the daemon's machine does."""
        return stillhouse_process(*words, recipes=self.folder / "recipes")


def read(server: Server, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def metric(server: Server, name: str) -> float:
    """A gauge or counter of the recipe."""
    (line,) = [each for each in read(server, "/metrics")[1].splitlines() if each.startswith(f"{name}{{recipe=")]
    return float(line.rpartition(" ")[2])


def who_serves(server: Server) -> dict[str, Any]:
    """What answers for the recipe."""
    found: dict[str, Any] = json.loads(read(server, f"/v1/{RECIPE}")[1])
    return found


def serves(server: Server, deployment: int) -> Callable[[], bool]:
    """Whether a server has applied a deployment."""
    return lambda: who_serves(server)["deployment"] == deployment


def waited(holds: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextmanager
def production(folder: Path) -> Iterator[Production]:
    """Put it up and run the recipe once, in this process; where speed is not what is asked, it is not measured."""
    with ExitStack() as ending:
        database, bucket = ending.enter_context(postgres()), ending.enter_context(s3(folder))
        environment = ending.enter_context(pytest.MonkeyPatch.context())
        socket = Path(str(sa.make_url(database).query["host"])) / ".s.PGSQL.5432"
        given = {
            "STILLHOUSE_LEDGER_URL": database,
            "STILLHOUSE_ARTIFACTS": f"s3://{BUCKET}/artifacts",
            "STILLHOUSE_RECIPES": str(folder / "recipes"),
            **bucket.variables(),
        }
        settings = folder / "home" / "dagster" / "dagster.yaml"
        settings.parent.mkdir(parents=True)
        shutil.copy(CHECKOUT / "deploy" / "dagster.postgres.yaml", settings)
        for name, value in given.items():
            environment.setenv(name, value)
        place = ending.enter_context(a_place(folder))
        environment.setenv("STILLHOUSE_RECIPES", given["STILLHOUSE_RECIPES"])
        environment.setenv("STILLHOUSE_WITNESS", f"s3://{BUCKET}/witness")
        file = _recipe(folder)
        result = place.run(file)
        assert result.success, failures(result)
        names = ("one", "two")
        replicas = []
        for name in names:
            home = folder / name
            (home / "serving").mkdir(parents=True)
            ledger, store = ending.enter_context(wire(socket)), ending.enter_context(wire(bucket.port))
            url = sa.make_url(database).set(host="127.0.0.1", port=ledger.port, query={})
            variables = {
                **bucket.variables(store.port),
                "STILLHOUSE_HOME": str(home),
                "STILLHOUSE_LEDGER_URL": url.render_as_string(hide_password=False),
            }
            replicas.append(Replica(name, home, ledger, store, folder / "recipes", variables))
        yield Production(folder, place.home, place.instance, file, replicas=(replicas[0], replicas[1]))


def _recipe(folder: Path) -> Any:
    """The small recipe under a bar that any student clears; what is taken as it is, is too large."""
    return small_recipe(
        folder,
        rows=ROWS,
        students=students_after(1),
        slices=[],
        bar={"margin": 0.6, "champion_margin": 0.3},
        budget__size_ratio_at_least=5,  # it keeps the words of the rows, and there will be more of them
        data__drop_folder=f"s3://{BUCKET}/inbox",
        data__wrong_labels_at_most=0.99,
        limits={"lost_share_at_most": 0.99, "rejected_rows_at_most": 0.99, "int8_agreement_at_least": 0.3},
        refresh={"cron": "0 3 1 1 *", "watch_seconds": 5},
        traffic={"keep_texts": False},
    )


def share_secret(replicas: tuple[Replica, Replica]) -> None:
    """Give the second server the secret of the first, as deploy/ says."""
    first, second = replicas
    shutil.copy(first.home / "serving" / "secret", second.home / "serving" / "secret")
