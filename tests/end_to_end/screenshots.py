"""`make screenshots`: the pictures of the README, taken from the running UI in headless Chromium.

The first three show the state that `make demo` left; the others a home of its own, a quarter of whose rows are blank.
"""

import os
import tempfile
import time
from pathlib import Path

from assets.keys import group_of
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.stages.names import KINDS
from tests.end_to_end.browser import CLOSED, chromium, recipe_with_a_closed_gate
from tests.end_to_end.server import dagster_dev

IMAGES = CHECKOUT / "docs" / "images"


def finished_demo(file: RecipeFile) -> None:
    """The rooms of a recipe whose every gate is open, its champion's page, and its report on a phone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dagster_dev(Path(folder), file, Home.from_environment()) as server,
        chromium() as browser,
    ):
        rooms = ",".join(sorted({f"global@global:{group_of(file.name, stage)}" for stage in KINDS}))
        browser.in_a_window(1500, 1700)
        browser.open(server.url)
        browser.remember("asset-graph-direction", "vertical")
        browser.open(f"{server.url}/asset-groups/~/code_location.py:__repository__@code_location.py?expanded={rooms}")
        browser.see("teacher_signal", "transfer_set", "evaluation")
        time.sleep(5)  # the graph is laid out and its checks are counted after its first text is there
        browser.see_no_more("Loading")
        browser.shoot(IMAGES / "asset_graph.png")
        browser.in_a_window(1500, 1000)
        browser.open(f"{server.url}/assets/{file.name}/champion")
        browser.see("serves_since", "accuracy")
        time.sleep(3)
        browser.shoot(IMAGES / "champion.png")
        browser.on_a_phone(390)
        browser.open((Home.from_environment().reports / f"{file.name}.html").absolute().as_uri())
        browser.shoot(IMAGES / "report_on_a_phone.png")


def closed_gate() -> None:
    """The page of a check that failed, its rows, and the refusal of what follows."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["STILLHOUSE_HOME"] = str(folder / "home")
        home = Home.from_environment()
        file = recipe_with_a_closed_gate(folder, home)
        with dagster_dev(folder, file, home) as server, chromium() as browser:
            (closed,) = server.runs()
            browser.open(f"{server.url}/runs/{closed}")
            browser.see(f"gate small/prompts[base]:{CLOSED} is failed")
            time.sleep(2)
            browser.shoot(IMAGES / "closed_gate_in_its_run.png")
            browser.open(f"{server.url}/assets/small/prompts?view=checks&checkDetail={CLOSED}")
            browser.see("limit 20%")
            browser.shoot(IMAGES / "failed_gate.png")
            browser.press("[Show Markdown]")
            browser.see("blank text")
            browser.shoot(IMAGES / "failed_gate_rows.png")
            run = server.materialize("small", "teacher")
            server.finished(run)
            browser.open(f"{server.url}/runs/{run}")
            browser.see("Refused to read small/prompts[base]")
            time.sleep(2)
            browser.shoot(IMAGES / "refused.png")


if __name__ == "__main__":
    finished_demo(read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"))
    closed_gate()
