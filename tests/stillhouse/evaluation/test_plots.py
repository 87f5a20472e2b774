"""Figures are drawn for every shape of data a report can hold."""

import struct

import numpy as np
import pytest

from stillhouse.evaluation import plots
from stillhouse.evaluation.bar import SliceSpec
from stillhouse.evaluation.drawing import percent_axis
from stillhouse.evaluation.metrics import ConfusionCell
from stillhouse.evaluation.rows_curve import rows_curve
from stillhouse.evaluation.subjects import SubjectKind


def dimensions(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_a_png_of_report_width(run, theme) -> None:
    empty = SliceSpec(
        name="a name that is far too long to print in full", column="channel", values=("fax",), critical=True
    )
    floor = SliceSpec(name="app", column="channel", values=("app",), critical=True, floor=0.9)
    evaluation = run(slices=[empty, floor], wrong=range(0, 1200, 30))
    far_below = run(name="majority", kind=SubjectKind.BASELINE, wrong=range(0, 1200, 2), latency=None, size_bytes=12)
    by_rows = rows_curve((50, 100, 200), [np.full(9, 0.4), np.full(9, 0.3), np.linspace(0.1, 0.3, 9)], (0.7, 0.8, 0.9))
    for png in (
        plots.slice_bars(evaluation.slices, theme=theme),
        plots.confusion_matrix(evaluation.confusion, evaluation.classes, theme=theme),
        plots.learning_curve([1.0, 0.5], [1.1, 0.7], theme=theme),
        plots.curve_by_rows(by_rows, theme=theme),
        plots.reliability(evaluation.teacher, evaluation.subject, theme=theme),
        plots.size_quality([evaluation, far_below], theme=theme),
    ):
        assert dimensions(png)[0] == 1280


def test_the_same_evaluation_gives_the_same_bytes(run) -> None:
    evaluation = run()
    assert plots.size_quality([evaluation]) == plots.size_quality([evaluation])


def test_of_many_classes_those_with_most_errors_are_drawn() -> None:
    classes = [f"c{index:03d}" for index in range(150)]
    cells = [ConfusionCell(label=name, predicted=name, rows=5) for name in classes]
    cells += [ConfusionCell(label="c100", predicted="c007", rows=4)]
    chosen = plots._most_confused(cells, classes, 16)
    assert len(chosen) == 16 and {"c007", "c100"} <= set(chosen)
    assert dimensions(plots.confusion_matrix(cells, classes))[1] < 1400


def test_one_epoch_and_no_epochs() -> None:
    assert dimensions(plots.learning_curve([1.0], [1.0], measure="accuracy"))
    with pytest.raises(ValueError, match="per epoch"):
        plots.learning_curve([1.0], [])


def test_ticks_between_whole_points_say_so_and_nothing_is_above_all() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    percent_axis(axes.yaxis)
    assert [axes.yaxis.get_major_formatter()(value, 0) for value in (0.875, 0.9, 1.0, 1.05)] == [
        "87.5%",
        "90%",
        "100%",
        "",
    ]
