"""Calibration of each slice is that of its own rows, and few rows say nothing."""

import numpy as np
import pytest

from stillhouse.evaluation.slices.slice_calibration import FEWEST_ROWS
from stillhouse.recipe.bar import SliceSpec
from stillhouse.report.document import report_html
from stillhouse.statistics.calibration import calibration
from tests.reported import report_json
from tests.stillhouse.evaluation.conftest import make_golden, make_outputs

WRONG = [*range(0, 600, 4), *range(600, 1200, 50)]


def test_a_slice_is_measured_on_its_own_rows(run) -> None:
    result = run(wrong=WRONG)
    golden = make_golden(1200).join(make_outputs(1200, WRONG), on="prompt_id", maintain_order="left")
    logits = np.array(golden["logits"].to_list())
    labels = golden["label"].replace_strict({"balance": 0, "block": 1, "travel": 2}).to_numpy()
    for each, rows in zip(result.slice_calibration, (slice(600), slice(600, 1200)), strict=True):
        expected = calibration(logits[rows], labels[rows], logits[rows].argmax(axis=1) == labels[rows])
        assert each.student is not None and each.teacher is not None and each.rows == 600
        assert each.student.expected_calibration_error == pytest.approx(expected.expected_calibration_error)
        assert each.student.brier == pytest.approx(expected.brier)
    app, phone = (each.student for each in result.slice_calibration)
    # 90.9 % sure, right on 75 % of the one half and 98 % of the other: 15.9 and 7.1 points.
    assert app is not None and app.expected_calibration_error == pytest.approx(0.159, abs=0.001)
    assert phone is not None and phone.expected_calibration_error == pytest.approx(0.071, abs=0.001)


@pytest.mark.long
def test_few_rows_are_null_and_the_page_says_so(run) -> None:
    result = run(
        rows=2 * FEWEST_ROWS - 1, slices=(SliceSpec(name="app", column="channel", values=("app",), critical=False),)
    )
    (app,) = result.slice_calibration
    assert (app.rows, app.teacher, app.student) == (FEWEST_ROWS - 1, None, None)
    assert report_json(result)["slice_calibration"][0]["student"] is None
    assert "too few" in report_html(result)


@pytest.mark.long
def test_the_page_and_the_json_have_each_slice(run) -> None:
    result = run(wrong=WRONG)
    page = report_html(result)
    assert "too few" not in page and "15.9%" in page
    first, second = report_json(result)["slice_calibration"]
    assert (first["name"], second["name"]) == ("app", "phone")
    assert {"expected_calibration_error", "brier"} == set(first["student"]) == set(first["teacher"])
