"""`make screenshots`: the pictures of the README, taken from the running UI in headless Chromium.

The first shows the state that `make demo` left; the second a home of its own, into which bad rows were dropped.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import polars as pl

from assets.keys import key_of
from orchestration.build import definitions
from orchestration.instance import initialise
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe import RecipeFile, read_recipe
from tests.end_to_end.server import dagster_dev

IMAGES = CHECKOUT / "docs" / "images"
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--virtual-time-budget=20000",
]  # fmt: skip


def shoot(url: str, name: str, *, size: str = "1500,900") -> None:
    """Take one picture of a page of the UI."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        options = [f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={IMAGES / name}"]
        subprocess.run([*CHROMIUM, *options, url], check=True, capture_output=True, timeout=120)


def finished_demo(file: RecipeFile) -> None:
    """The graph of a recipe whose every gate is open."""
    with tempfile.TemporaryDirectory() as folder, dagster_dev(Path(folder), file, Home.from_environment()) as server:
        shoot(f"{server.url}/asset-groups", "asset_graph.png")


def failed_gate(file: RecipeFile) -> None:
    """The page of a check that failed because nine of ten dropped rows are blank."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["STILLHOUSE_HOME"] = str(folder / "home")
        home = Home.from_environment()
        home.inbox(file.name).mkdir(parents=True)
        blank = pl.DataFrame({"question": [" "] * 9 + ["What is the last one ?"], "service": ["LOC"] * 10})
        blank.write_csv(home.inbox(file.name) / "monday.csv")
        with initialise(home) as instance:
            job = definitions([file]).resolve_job_def(f"distil_{file.name}")
            stages = [key_of(file.name, stage) for stage in ("contract", "source", "prompts")]
            job.execute_in_process(instance=instance, asset_selection=stages, raise_on_error=False)
        (home.inbox(file.name) / "monday.csv").unlink()  # or the daemon would start a run of its own in the picture
        with dagster_dev(folder, file, home) as server:
            page = f"{server.url}/assets/{file.name}/prompts?view=checks"
            shoot(f"{page}&checkDetail=few_rows_of_the_batch_were_rejected", "failed_gate.png")


if __name__ == "__main__":
    demo = read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml")
    finished_demo(demo)
    failed_gate(demo)
