"""The page about the option to take."""

from collections.abc import Callable

import pytest

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.hosted import hosted
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import BarSpec
from stillhouse.report.options_page import page_to_take
from stillhouse.statistics.verdicts import Verdict

EASY = BarSpec(margin=0.9)
OF_ONE_CLASS = range(1, 1200, 3)
"""Every golden row of the class 'block'."""


@pytest.mark.long
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


@pytest.mark.long
def test_an_option_behind_a_server_comes_after_those_that_need_none_and_shows_its_price(
    run: Callable[..., Evaluation],
) -> None:
    seen = hosted([0.0004] * 2, [40.0] * 2, teacher_usd=0.002, calls_at_once=8)
    probe = run(name="probe", size_bytes=2_000, bar=EASY, kind=ModelKind.BASELINE)
    score = probe.score.model_copy(update={"name": "prompted small", "size_bytes": None})
    prompted = probe.model_copy(update={"score": score, "hosted": seen, "size_ratio": None, "latency": None})
    page = page_to_take([prompted, probe], title="mine", task="Sort.")
    assert page is not None and "<h1>probe <em>clears the bar" in page and "95% in 40 ms" in page
    missing = probe.model_copy(update={"verdict": Verdict.FAIL})
    page = page_to_take([prompted, missing], title="mine", task="Sort.")
    assert page is not None and "<h1>prompted small <em>clears the bar" in page
    assert "<b>0.4 USD</b><span>for 1,000 calls; teacher 2</span>" in page and "400" in page, "for a million"
    assert "not here" in page and ">None<" not in page
