"""What serves for the small recipe in a place: by its ledger, and as `stillhouse serve` has it in this process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.testclient import TestClient

from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import Deployment, desired
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.serving.traffic_logs import log_of
from tests.conftest import Place


def now(place: Place) -> Deployment:
    """What should serve now."""
    found = desired(place.builds.ledger, "small")
    assert found is not None
    return found


@contextmanager
def a_server(place: Place, file: RecipeFile) -> Iterator[TestClient]:
    """A server of the recipe; its rows are sealed when it ends."""
    replica = f"r{time.time_ns()}"
    slot, tokens, log = (
        Slot("small", file.recipe.serving), Tokens(place.home.serving), log_of(place.home, file, replica)
    )  # fmt: skip
    Follower(place.builds, {"small": slot}, tokens, replica).look()
    server = Server({"small": slot}, RequestIds.of(place.home.serving), Access(tokens, "127.0.0.1"), {"small": log})
    try:
        with TestClient(server, base_url="http://127.0.0.1:8080") as client:
            yield client
    finally:
        log.close()
