"""A real browser on the real UI, and a recipe whose prompt gate is closed for it to look at."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from assets.keys import key_of
from orchestration.batches import sync_batches
from orchestration.build import definitions
from orchestration.instance import initialise
from orchestration.runs import QUIET
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.stages.names import BASE
from tests.small import questions, small_recipe

DRIVER = shutil.which("chromedriver")
CLOSED = "few_rows_of_the_batch_were_rejected"
PATIENCE = 60
_WITHOUT = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(arguments[0], "");
"""
_WIDER_THAN = """
return [...document.querySelectorAll("body *")].filter(each => {
  const box = each.getBoundingClientRect();
  const cut = each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1;
  return box.width > 0 && (cut || box.right > arguments[0] + 1);
}).map(each => `${each.tagName} ${each.className}: ${each.textContent.slice(0, 60)}`);
"""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A headless Chromium, closed afterwards."""
    options = Options()
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1500,1000",
    ):
        options.add_argument(each)
    options.binary_location = shutil.which("chromium") or ""
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """What a person does: open a page, read it, press something."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Go to a page."""
        self._driver.get(url)

    def on_a_phone(self, width: int) -> None:
        """Show pages as a phone of so many points does."""
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def in_a_window(self, width: int, height: int) -> None:
        """Make the window of another size."""
        self._driver.set_window_size(width, height)

    def remember(self, setting: str, value: str) -> None:
        """Choose what a page keeps for its next visit."""
        self._driver.execute_script("localStorage.setItem(arguments[0], JSON.stringify(arguments[1]))", setting, value)

    def wider_than(self, width: int) -> list[str]:
        """What of the page reaches beyond its right edge, or is cut off in its own box."""
        return list(self._driver.execute_script(_WIDER_THAN, width))

    @property
    def address(self) -> str:
        """What the address bar shows."""
        return self._driver.current_url

    def read(self) -> str:
        """All text on the page."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    def see(self, *texts: str) -> None:
        """Wait until all these texts are on the page."""

        def seen(_: Chrome) -> bool:
            page = self.read()
            return all(text in page for text in texts)

        self._wait().until(seen, f"not all on the page: {texts}")

    def see_no_more(self, text: str) -> None:
        """Wait until a text has gone from the page."""
        self._wait().until(lambda _: text not in self.read(), f"still on the page: {text}")

    def press(self, text: str) -> None:
        """Press the first button or link that begins with a text, once it is there."""

        def pressed(driver: Chrome) -> bool:
            candidates = driver.find_elements(By.CSS_SELECTOR, "button, a, [role=button]")
            for each in candidates:
                if each.text.startswith(text) and each.is_enabled():
                    each.click()
                    return True
            return False

        self._wait().until(pressed, f"nothing to press says {text}")

    def _wait(self) -> "WebDriverWait[Chrome]":
        """A page that is drawn anew while it is read is read again."""
        return WebDriverWait(self._driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException])

    def shoot(self, path: Path) -> None:
        """Take a picture of the page, on which stack traces have paths from the checkout on."""
        self._driver.execute_script(_WITHOUT, f"{CHECKOUT}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self._driver.save_screenshot(str(path))


def recipe_with_a_closed_gate(folder: Path, home: Home) -> RecipeFile:
    """A small recipe, materialized up to its prompts, a quarter of whose rows are blank."""
    file = small_recipe(folder, rows=300, slices=[], refresh={"cron": "0 3 1 1 *", "watch_seconds": 3600})
    blank = pl.DataFrame({"question": [" "] * 100, "service": ["LOC"] * 100, "kind": ["LOC:city"] * 100})
    pl.concat([questions(300), blank]).write_csv(folder / "questions.csv")
    with initialise(home) as instance:
        sync_batches(instance, BuildStore(home), file)
        job = definitions([file]).resolve_job_def(f"distil_{file.name}")
        stages = [key_of(file.name, stage) for stage in ("contract", "source", "prompts")]
        job.execute_in_process(
            instance=instance, partition_key=BASE, asset_selection=stages, raise_on_error=False,
            run_config=QUIET,
        )  # fmt: skip
    return file
