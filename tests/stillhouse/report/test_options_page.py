"""The page about the option to take."""

from collections.abc import Callable

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import BarSpec
from stillhouse.report.options_page import page_to_take

EASY = BarSpec(margin=0.9)
OF_ONE_CLASS = range(1, 1200, 3)
"""Every golden row of the class 'block'."""


def test_the_page_is_about_the_smallest_option_that_finds_every_class(run: Callable[..., Evaluation]) -> None:
    def option(name: str, size: int, bar: BarSpec = EASY, wrong: range = range(0)) -> Evaluation:
        return run(name=name, size_bytes=size, bar=bar, wrong=wrong, kind=ModelKind.BASELINE)

    losing, large, small = option("losing", 10, wrong=OF_ONE_CLASS), option("large", 3_000), option("small", 2_000)
    misses = option("misses", 1, BarSpec(margin=0.01), range(0, 1200, 2))
    page = page_to_take([misses, losing, large, small], title="mine", task="Sort.")
    assert page is not None and "<h1>small <em>clears the bar" in page and "large" in page
    alone = page_to_take([misses, losing], title="mine", task="Sort.")
    assert alone is not None and "<h1>losing <em>clears" in alone
    assert page_to_take([misses], title="mine", task="Sort.") is None
