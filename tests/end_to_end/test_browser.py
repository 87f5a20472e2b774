"""A person at the real UI: sees which gate is closed, why and for which rows, launches what follows, is refused."""

from pathlib import Path

import pytest

from stillhouse.home import Home
from tests.end_to_end.server import dagster_dev

pytestmark = pytest.mark.slow

browser = pytest.importorskip("tests.end_to_end.browser", exc_type=ImportError)


@pytest.mark.skipif(browser.DRIVER is None, reason="needs Debian's chromium and chromium-driver")
def test_a_person_finds_the_closed_gate_and_is_refused_what_follows(tmp_path: Path, home: Home) -> None:
    file = browser.recipe_with_a_closed_gate(tmp_path, home)
    with dagster_dev(tmp_path, file, home) as server, browser.chromium() as person:
        person.open(f"{server.url}/assets/small/prompts?view=checks&checkDetail={browser.CLOSED}")
        person.see("Failed", "batch base: 100 of 400 rows rejected (25%), limit 20%", "many rejected rows in one batch")
        person.press("[Show Markdown]")
        person.see("blank text")

        before = server.runs()
        (closed,) = before
        person.open(f"{server.url}/runs/{closed}")
        person.see(f"gate small/prompts[base]:{browser.CLOSED} is failed: batch base: 100 of 400 rows rejected (25%)")

        person.open(f"{server.url}/assets/small/teacher")
        person.press("Materialize")
        (launched,) = set(server.runs(at_least=len(before) + 1)) - set(before)
        assert server.finished(launched) == "FAILURE"
        person.open(f"{server.url}/runs/{launched}")
        person.see(
            "Refused to read small/prompts[base]",
            f"gate small/prompts[base]:{browser.CLOSED} is failed",
            "100 of 400 rows rejected",
            "stillhouse diagnose small",
        )
