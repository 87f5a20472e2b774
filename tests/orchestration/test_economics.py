"""The account of a recipe: what the ledger says was spent, and the forecast until a student was measured."""

from pathlib import Path

import pytest

from orchestration.economics import roi, spent
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import CONTRACT, PROMPTS, SOURCE
from tests.conftest import a_place
from tests.small import small_recipe

PRICES = {
    "calls_per_month": 1_000_000, "teacher_usd_per_1000_calls": 2.1, "engineering_hours": 10,
    "engineering_usd_per_hour": 100,
}  # fmt: skip


def test_the_sums_of_the_ledger_are_the_sums_of_its_entries(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for asset, usd in (("r/prompts[base]", 0.5), ("r/prompts[march.csv]", 0.25), ("r/candidates/one", 2.0)):
        ledger.append("materialization", "r", {"asset": asset, "cost_usd": usd})
    ledger.append("materialization", "other", {"asset": "other/teacher", "cost_usd": 9.0})
    assert spent(ledger, "r") == {"data": 0.75, "training": 2.0}


def test_a_stage_of_another_version_counts_as_money_and_as_nothing_else(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        file = small_recipe(tmp_path, rows=50)
        for stage, usd in (("prompts[base]", 1.0), ("teacher", 2.0), ("distant_stars/one", 5.0)):
            place.builds.ledger.append("materialization", "small", {"asset": f"small/{stage}", "cost_usd": usd})
        said = roi(place.builds, file).model_dump(mode="json")
    assert said["spent_usd"] == {"data": 1.0, "training": 2.0, "other": 5.0}
    assert said["data_share"] == pytest.approx(1 / 8)


def test_before_a_student_was_measured_the_forecast_decides(tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=100, pain=["cost"], economics=PRICES)
    with a_place(tmp_path) as place:
        before = roi(place.builds, file).model_dump(mode="json")
        assert before["data_share"] is None and before["spent_usd"] == {}
        place.run(file, CONTRACT, SOURCE, PROMPTS)
        said = roi(place.builds, file).model_dump(mode="json")
    # 1,000 USD; 1.05 times faster is 2.00 for 1,000 calls: 0.10 saved, 10,000,000 calls, 10 months
    assert said["decision"] == "fund" and said["actual"] is None
    assert said["forecast"]["payback_months"] == pytest.approx(10)
    assert said["spent_usd"]["data"] > 0 and said["data_share"] == 1


def test_a_recipe_without_prices_is_not_judged_by_them(tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=100)
    with a_place(tmp_path) as place:
        said = roi(place.builds, file).model_dump(mode="json")
    assert said["decision"] is None and "fill in `economics`" in said["what"]
