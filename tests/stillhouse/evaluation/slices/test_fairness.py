"""What each group of a sensitive column gets is seen, and a limit on how far groups are apart is proven."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.slices.fairness import FEWEST_ROWS, FairnessResult, fairness
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SensitiveSpec, Terms
from stillhouse.report.document import report_html
from stillhouse.report.options import ruled_out
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json

YES, NO = 1, 0


def compared(
    counts: dict[str | None, tuple[int, int, int, int]], *, limit: float | None = None, teacher: Sequence[int] = ()
) -> FairnessResult:
    """Groups of (rows of class yes, of them found, rows of class no, of them found); a perfect teacher by default."""
    rows: list[tuple[str | None, int, int]] = []
    for group, (yes, found, no, left_alone) in counts.items():
        rows += [(group, YES, YES)] * found + [(group, YES, NO)] * (yes - found)
        rows += [(group, NO, NO)] * left_alone + [(group, NO, YES)] * (no - left_alone)
    groups, labels, answers = zip(*rows, strict=True)
    (result,) = fairness(
        pl.DataFrame({"region": groups}),
        [SensitiveSpec(column="region", gap_at_most=limit)],
        np.array(labels),
        np.array(teacher or labels),
        np.array(answers),
        classes=("no", "yes"),
    )
    return result


@pytest.fixture
def evaluated(subject, golden, latency) -> Callable[..., Evaluation]:
    """Evaluate a student that is wrong on some rows, where each row is of a region; the teacher is right everywhere."""

    def evaluate_by_region(
        regions: Sequence[str | None], wrong: Sequence[int] = (), limit: float | None = 0.05
    ) -> Evaluation:
        rows = golden(len(regions)).with_columns(region=pl.Series(regions))
        teacher = subject(len(regions), name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
        return evaluate(
            subject(len(regions), wrong=wrong), teacher, rows,
            Terms(
                bar=BarSpec(margin=0.05), budget=BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8),
                sensitive=(SensitiveSpec(column="region", gap_at_most=limit),),
            ),
            task=SingleLabel(("balance", "block", "travel")), latency=latency(),
        )  # fmt: skip

    return evaluate_by_region


def claim(result: Evaluation):
    return next(each for each in result.claims if each.name == "fairness/region")


def test_gaps_are_those_of_a_hand_calculation() -> None:
    """North: 36 of 40 yes found, 60 of 60 no; south: 20 of 40 yes found, 54 of 60 no."""
    result = compared({"north": (40, 36, 60, 60), "south": (40, 20, 60, 54)})
    north, south = result.groups
    assert (north.rows, north.student_accuracy, south.student_accuracy) == (100, 0.96, 0.74)
    assert (north.teacher_accuracy, south.teacher_accuracy) == (1.0, 1.0)
    accuracy, recall, selected = result.student.accuracy, result.student.recall, result.student.selection_rate
    assert accuracy is not None and recall is not None and selected is not None
    assert accuracy.gap == pytest.approx(0.22)
    assert (recall.of_class, recall.high_group, recall.low_group) == ("yes", "north", "south")
    assert (recall.high, recall.low, recall.gap) == pytest.approx((0.9, 0.5, 0.4))
    # Answered yes: 36 of 100 and 26 of 100.
    assert selected.gap == pytest.approx(0.10)
    assert result.teacher.recall is not None and result.teacher.recall.gap == 0.0


def test_gaps_are_those_of_fairlearn() -> None:
    from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference

    generator = np.random.default_rng(5)
    groups = generator.choice(["a", "b", "c"], size=900, p=[0.6, 0.3, 0.1])
    labels, answers = generator.integers(2, size=900), generator.integers(2, size=900)
    (result,) = fairness(
        pl.DataFrame({"g": groups}), [SensitiveSpec(column="g")], labels, labels, answers, classes=("no", "yes")
    )
    assert result.student.selection_rate is not None and result.student.recall is not None
    parity = demographic_parity_difference(labels, answers, sensitive_features=groups)
    assert result.student.selection_rate.gap == pytest.approx(parity)
    opportunity = {
        "yes": equal_opportunity_difference(labels, answers, sensitive_features=groups),
        "no": equal_opportunity_difference(1 - labels, 1 - answers, sensitive_features=groups),
    }
    assert result.student.recall.gap == pytest.approx(max(opportunity.values()))
    assert result.student.recall.of_class == max(opportunity, key=lambda name: opportunity[name])


def test_a_gap_that_the_teacher_has_too_is_seen_to_be_the_teachers() -> None:
    """Both miss all yes of the south."""
    both = [YES] * 40 + [NO] * 40 + [NO] * 80
    result = compared({"north": (40, 40, 40, 40), "south": (40, 0, 40, 40)}, teacher=both)
    assert result.teacher == result.student
    assert result.teacher.recall is not None and result.teacher.recall.gap == 1.0


def test_a_class_that_a_group_hardly_has_is_not_compared_in_it() -> None:
    """The south has 19 rows of class yes, all missed, and 100 of class no."""
    result = compared({"north": (100, 100, 100, 90), "south": (FEWEST_ROWS - 1, 0, 100, 100)})
    assert result.student.recall is not None
    assert (result.student.recall.of_class, result.student.recall.gap) == ("no", pytest.approx(0.1))


def test_a_group_that_is_served_much_worse_closes_a_declared_limit_and_both_groups_are_named(evaluated) -> None:
    regions = ["north"] * 1000 + ["south"] * 60
    result = evaluated(regions, wrong=range(1000, 1030))
    assert [each.name for each in result.open_claims] == ["fairness/region"]
    assert claim(result).verdict is Verdict.FAIL and claim(result).binding
    assert (
        "groups of 'region' not within 5.0 points of each other: 'north' 100.0%, 'south' 50.0%, gap 50.0"
        in result.summary
    )
    assert ruled_out(result).startswith("groups of 'region' not within")


def test_alike_groups_pass_a_declared_limit(evaluated) -> None:
    result = evaluated(["north", "south"] * 600, wrong=range(0, 1200, 31))
    assert result.verdict is Verdict.PASS
    assert claim(result).sentence.startswith("groups of 'region' within 5.0 points of each other: ")


def test_without_a_limit_a_column_is_reported_and_claims_nothing(evaluated) -> None:
    result = evaluated(["north"] * 1000 + ["south"] * 60, wrong=range(1000, 1030), limit=None)
    assert result.verdict is Verdict.PASS
    assert result.fairness[0].test is None
    assert [(each.group, each.student_accuracy) for each in result.fairness[0].groups] == [
        ("north", 1.0),
        ("south", 0.5),
    ]


@pytest.mark.parametrize(("rows", "verdict"), [(FEWEST_ROWS - 1, Verdict.INCONCLUSIVE), (FEWEST_ROWS, Verdict.PASS)])
def test_a_small_group_is_listed_and_withholds_a_pass(rows: int, verdict: Verdict) -> None:
    large = {"east": (500, 500, 0, 0), "north": (500, 500, 0, 0)}
    result = compared({**large, "south": (rows, rows, 0, 0)}, limit=0.2)
    assert result.groups[2].group == "south"
    assert result.test is not None and result.test.verdict is verdict


def test_the_sentence_names_small_groups_with_their_rows(evaluated) -> None:
    many = ["north"] * 600 + ["south"] * 600 + [f"island {index}" for index in range(8) for _ in range(9 - index)]
    sentence = claim(evaluated(many)).sentence
    assert sentence.startswith("cannot tell whether the groups of 'region' are within 5.0 points of each other: ")
    assert sentence.endswith(
        "fewer than 20 golden rows are in 'island 0' (9), 'island 1' (8), 'island 2' (7), 'island 3' (6), "
        "'island 4' (5) and 3 more"
    )


def test_a_small_group_does_not_hide_that_two_large_ones_are_far_apart() -> None:
    result = compared({"north": (500, 500, 0, 0), "south": (500, 300, 0, 0), "east": (2, 2, 0, 0)}, limit=0.1)
    assert result.test is not None and result.test.verdict is Verdict.FAIL
    assert result.test.too_few_rows == ("east",)


def test_one_group_alone_is_inconclusive(evaluated) -> None:
    assert claim(evaluated(["north"] * 1200)).sentence.endswith("that takes two groups")


def test_rows_without_a_value_are_a_group_that_counts() -> None:
    """Else a group could be kept out of the test by leaving its values out."""
    blanked = compared({"north": (500, 500, 0, 0), None: (500, 300, 0, 0)}, limit=0.1)
    assert [each.group for each in blanked.groups] == ["north", "unknown"]
    assert blanked.test is not None and blanked.test.verdict is Verdict.FAIL
    assert blanked.test.measured is not None and blanked.test.measured.worst == "unknown"


def test_a_column_that_golden_rows_do_not_have_is_refused(golden) -> None:
    with pytest.raises(StillhouseError, match=r"no column 'region'.*expected one of "):
        fairness(golden(3), [SensitiveSpec(column="region")], *[np.zeros(3, dtype=np.int64)] * 3, classes=("a",))


@pytest.mark.long
def test_a_row_that_changes_its_group_is_another_golden_set(evaluated) -> None:
    one, other = (evaluated([first, *["north"] * 59]) for first in ("north", "south"))
    assert one.golden_digest != other.golden_digest


def test_a_column_of_numbers_is_groups_by_value() -> None:
    (result,) = fairness(
        pl.DataFrame({"age": [30] * 20 + [40] * 30}), [SensitiveSpec(column="age")],
        *[np.zeros(50, dtype=np.int64)] * 3, classes=("a",),
    )  # fmt: skip
    assert [(each.group, each.rows) for each in result.groups] == [("40", 30), ("30", 20)]


def test_groups_of_people_whose_rows_belong_together_are_compared_by_these() -> None:
    """Forty households in each region, two of which lose all of their ten rows: equal regions."""
    regions = pl.DataFrame({"region": ["north"] * 400 + ["south"] * 400})
    labels = np.ones(800, dtype=np.int64)
    answers = np.where(np.arange(800) % 400 < 20, 0, 1)

    def judged(together: np.ndarray | None) -> GapTest | None:
        specs = [SensitiveSpec(column="region", gap_at_most=0.06)]
        (result,) = fairness(regions, specs, labels, labels, answers, classes=("no", "yes"), together=together)
        return result.test

    alone, whole, few = judged(None), judged(np.arange(800) // 10), judged(np.arange(800) % 19)
    assert alone is not None and whole is not None and few is not None
    assert (alone.verdict, whole.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert (few.verdict, few.too_few_groups) == (Verdict.INCONCLUSIVE, ("north", "south"))


@pytest.mark.long
def test_the_reports_have_every_group(evaluated) -> None:
    regions = ["north"] * 600 + ["south <b>"] * 600 + ["east"] * 3
    result = evaluated(regions, wrong=range(600, 660))
    (found,) = report_json(result)["fairness"]
    assert {each["group"]: each["rows"] for each in found["groups"]} == {"north": 600, "south <b>": 600, "east": 3}
    assert found["student"]["accuracy"]["gap"] == pytest.approx(0.1)
    html = report_html(result)
    assert "Groups by region" in html and "east (3)" in html
    assert "south &lt;b&gt;" in html and "south <b>" not in html
    assert Evaluation.model_validate_json(result.model_dump_json()) == result
