"""Which rows are asked for: as many as the tests of a slice need, or as many again as there are to learn from."""

from stillhouse.evaluation.data_requests import data_requests
from stillhouse.recipe.bar import SliceSpec
from stillhouse.statistics.accuracy_test import rows_needed_for
from stillhouse.statistics.verdicts import Verdict


def test_a_slice_that_is_held_asks_for_nothing(run) -> None:
    assert data_requests(run(rows=2400), {}) == []


def test_a_slice_with_too_few_rows_asks_for_as_many_golden_rows_as_its_test_needs(run) -> None:
    judged = run(
        rows=60, slices=(SliceSpec(name="app", column="channel", values=("app",), critical=True, margin=0.05),)
    )
    (asked,) = data_requests(judged, {"app": 400})
    (result,) = judged.slices
    assert result.non_inferiority is not None and result.non_inferiority.rows_needed is not None
    assert (asked.name, asked.verdict, asked.rows, asked.to_learn_from) == ("app", Verdict.INCONCLUSIVE, 30, False)
    assert asked.rows_needed == result.non_inferiority.rows_needed - 30 > 0
    assert asked.sentence == (
        f"the slice 'app' cannot be judged by 30 rows: {asked.rows_needed:,} more rows of it are needed that people "
        "labelled, to judge by"
    )


def test_a_slice_without_rows_asks_for_what_an_equal_student_would_pass_with(run) -> None:
    absent = SliceSpec(name="fax", column="channel", values=("fax",), critical=True, margin=0.1)
    judged = run(rows=1200, wrong=[1, 2, 3], slices=(absent,))
    (asked,) = data_requests(judged, {})
    assert asked.rows_needed == rows_needed_for(0.1, judged.non_inferiority.discordance, judged.terms.bar.alpha)
    assert asked.rows == 0


def test_a_slice_that_is_worse_asks_for_as_many_rows_to_learn_from_as_there_are_and_critical_ones_come_first(
    run,
) -> None:
    both = tuple(
        SliceSpec(name=name, column="channel", values=(name,), critical=name == "phone") for name in ("app", "phone")
    )
    judged = run(rows=2400, wrong=range(0, 2400, 10), slices=both)
    first, second = data_requests(judged, {"app": 70})
    assert (first.name, first.rows_needed, first.to_learn_from) == ("phone", 1, True)
    assert (second.name, second.rows_needed, second.verdict) == ("app", 70, Verdict.FAIL)
    assert second.sentence.endswith("is shown to be worse than asked: 70 more rows of it are needed to learn from")
