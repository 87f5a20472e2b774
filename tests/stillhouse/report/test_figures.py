"""Figures are drawn for every shape of data a report can hold."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.error_analysis.data_scaling import rows_curve
from stillhouse.evaluation.measures.confusions import ConfusedPair
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import SliceSpec
from stillhouse.report.figures import confusion
from stillhouse.report.figures.confusion import confusion_matrix, pair_bars
from stillhouse.report.figures.drawing import percent_axis
from stillhouse.report.figures.frontier import frontier, size_quality
from stillhouse.report.figures.learning_curve import learning_curve
from stillhouse.report.figures.reliability import reliability
from stillhouse.report.figures.rows_curve import curve_by_rows
from stillhouse.report.figures.slices import slice_bars


def dimensions(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_a_png_of_report_width(run, theme) -> None:
    empty = SliceSpec(
        name="a name that is far too long to print in full", column="channel", values=("fax",), critical=True
    )
    floor = SliceSpec(name="app", column="channel", values=("app",), critical=True, floor=0.9)
    evaluation = run(slices=[empty, floor], wrong=range(0, 1200, 30))
    far_below = run(name="majority", kind=ModelKind.BASELINE, wrong=range(0, 1200, 2), latency=None, size_bytes=12)
    by_rows = rows_curve((50, 100, 200), [np.full(9, 0.4), np.full(9, 0.3), np.linspace(0.1, 0.3, 9)], (0.7, 0.8, 0.9))
    for png in (
        slice_bars(evaluation.slices, theme=theme),
        confusion_matrix(evaluation.confusion, evaluation.classes, theme=theme),
        learning_curve([1.0, 0.5], [1.1, 0.7], theme=theme),
        curve_by_rows(by_rows, theme=theme),
        reliability(evaluation.teacher, evaluation.score, theme=theme),
        size_quality([evaluation, far_below], theme=theme),
    ):
        assert dimensions(png)[0] == 1280


@pytest.mark.long
def test_the_same_evaluation_gives_the_same_bytes(run) -> None:
    evaluation = run()
    assert size_quality([evaluation]) == size_quality([evaluation])


def test_of_many_classes_the_worst_pairs_are_drawn_and_of_a_few_the_matrix(run, monkeypatch) -> None:
    evaluation = run(wrong=[1, 2])
    drawn = []
    monkeypatch.setattr(confusion, "confusion_matrix", lambda *about, **how: drawn.append("matrix"))
    monkeypatch.setattr(confusion, "pair_bars", lambda *about, **how: drawn.append("pairs"))
    for number in (3, 12, 13, 150):
        confusion.confusion(evaluation.model_copy(update={"classes": tuple(map(str, range(number)))}))
    assert drawn == ["matrix", "matrix", "pairs", "pairs"]


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("number", [0, 1, 10])
def test_pairs_are_drawn_with_and_without_the_teacher(theme, number: int) -> None:
    pairs = [
        ConfusedPair(label=f"c{place}", answered="c0", rows=9, label_rows=20, teacher_rows=place or None)
        for place in range(number)
    ]
    assert dimensions(pair_bars(pairs, theme=theme))[0] == 1280


def test_the_frontier_is_of_those_that_no_other_beats() -> None:
    """By hand: 1 is beaten by 0 (as accurate, smaller), 4 by 3 (as small, more accurate); 2 and 5 are equal."""
    sizes, accuracies = [1.0, 2.0, 4.0, 8.0, 8.0, 4.0], [0.7, 0.7, 0.8, 0.95, 0.9, 0.8]
    assert frontier(sizes, accuracies) == [0, 2, 5, 3]
    assert frontier([3.0], [0.1]) == [0]


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_along_the_frontier_more_accuracy_costs_more_size(models: list[tuple[int, int]]) -> None:
    kept = [models[place] for place in frontier(*map(list, zip(*models, strict=True)))]
    assert kept == sorted(kept) and len({size for size, _ in kept}) == len(set(kept))
    for size, accuracy in models:
        assert any(s <= size and a >= accuracy for s, a in kept)


@pytest.mark.long
def test_one_epoch_and_no_epochs() -> None:
    assert dimensions(learning_curve([1.0], [1.0], measure="accuracy"))
    with pytest.raises(ValueError, match="per epoch"):
        learning_curve([1.0], [])


@pytest.mark.long
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
