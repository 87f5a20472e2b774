"""Bounds by resampling agree with another implementation, with hand calculation and with the truth."""

import numpy as np
import pytest

from stillhouse.evaluation.measures import metrics
from stillhouse.statistics import bootstrap
from stillhouse.statistics.bootstrap import Tally, paired_bootstrap

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def answers(rows: int, seed: int, *, classes: int = 3, teacher: float = 0.92, student: float = 0.85) -> Rows:
    """Labels and two models that are right so often, and otherwise say the next class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=rows)
    given = [np.where(generator.random(rows) < share, labels, (labels + 1) % classes) for share in (teacher, student)]
    return labels, given[0], given[1]


def tally(labels: np.ndarray, predicted: np.ndarray, classes: int = 3) -> Tally:
    """For vectors of labels along the last axis, the slow way: one mark for each row and class."""
    of, given = labels[..., None] == np.arange(classes), predicted[..., None] == np.arange(classes)
    counted = [marks.sum(axis=-2).astype(np.float64) for marks in (of, given, of & given)]
    return Tally(*counted)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "recall"])
def test_bounds_match_those_of_scipy(name: str) -> None:
    """scipy.stats.bootstrap, method BCa: its two-sided 90 % interval is our two one-sided 95 % bounds."""
    from scipy.stats import bootstrap as reference

    rows = answers(150, seed=4)
    measured = bootstrap.recall_of(1) if name == "recall" else getattr(bootstrap, name)

    def drop(labels, teacher, student, axis=-1):
        return measured(tally(labels, teacher)) - measured(tally(labels, student))

    expected = reference(
        rows, drop, paired=True, vectorized=True, n_resamples=10_000, batch=1000, confidence_level=0.9, rng=1
    )
    found = paired_bootstrap(*rows, measured, classes=3, draws=10_000)
    assert found.drop == pytest.approx(float(drop(*rows)), abs=1e-12)
    assert found.standard_error == pytest.approx(float(expected.standard_error), rel=0.03)
    # Of 10,000 resamples a 5 % quantile, with its bias correction, is known to about a twentieth of a standard error;
    # accuracies are a whole number of rows apart.
    close = max(found.standard_error / 7, 1.01 / 150 if name == "accuracy" else 0.0)
    assert found.lower == pytest.approx(float(expected.confidence_interval.low), abs=close)
    assert found.upper == pytest.approx(float(expected.confidence_interval.high), abs=close)


def test_the_metrics_are_those_of_the_report() -> None:
    labels, teacher, student = answers(90, seed=2, classes=4)
    found = paired_bootstrap(labels, teacher, student, bootstrap.macro_f1, classes=5, draws=50)
    for value, predicted in ((found.teacher, teacher), (found.student, student)):
        confusion = metrics.confusion_matrix(labels, predicted, 5)
        assert value == pytest.approx(metrics.macro_f1(metrics.per_class(confusion, "abcde")))


def test_rows_of_their_own_group_are_rows_that_stand_alone() -> None:
    """Two ways to draw and to leave out: cells with their numbers of rows, and rows one by one."""
    rows = answers(300, seed=3)
    cells = paired_bootstrap(*rows, bootstrap.macro_f1, classes=3, draws=20_000)
    alone = paired_bootstrap(*rows, bootstrap.macro_f1, classes=3, draws=20_000, groups=np.arange(300))
    assert (alone.groups, alone.drop) == (cells.groups, pytest.approx(cells.drop))
    for bound in ("lower", "upper"):
        assert getattr(alone, bound) == pytest.approx(getattr(cells, bound), abs=cells.standard_error / 8)


def test_the_standard_error_of_a_drop_in_accuracy_is_the_textbook_one() -> None:
    labels, teacher, student = answers(2000, seed=5)
    difference = (teacher == labels).astype(float) - (student == labels)
    found = paired_bootstrap(labels, teacher, student, bootstrap.accuracy, classes=3, draws=5000)
    assert found.standard_error == pytest.approx(difference.std() / np.sqrt(2000), rel=0.04)


@pytest.mark.parametrize("grouped", [False, True])
def test_identical_models_differ_by_nothing_at_all(grouped: bool) -> None:
    labels, teacher, _ = answers(60, seed=1)
    groups = np.arange(60) // 2 if grouped else None
    found = paired_bootstrap(labels, teacher, teacher, bootstrap.macro_f1, classes=3, groups=groups)
    assert (found.drop, found.lower, found.upper, found.standard_error) == (0.0, 0.0, 0.0, 0.0)


def test_a_student_that_is_always_wrong_beside_a_teacher_that_never_is_has_no_spread() -> None:
    labels = np.zeros(40, dtype=np.int64)
    found = paired_bootstrap(labels, labels, labels + 1, bootstrap.recall_of(0), classes=2)
    assert (found.teacher, found.student, found.lower, found.upper) == (1.0, 0.0, 1.0, 1.0)


def test_copies_of_a_row_in_one_group_are_no_further_evidence() -> None:
    """Five copies of each row: as wide as the rows alone, while taking copies for rows is narrower by root 5."""
    rows = answers(200, seed=6)
    copies = [np.repeat(each, 5) for each in rows]
    alone = paired_bootstrap(*rows, bootstrap.macro_f1, classes=3, draws=5000)
    naive = paired_bootstrap(*copies, bootstrap.macro_f1, classes=3, draws=5000)
    grouped = paired_bootstrap(*copies, bootstrap.macro_f1, classes=3, draws=5000, groups=np.repeat(np.arange(200), 5))
    assert grouped.standard_error == pytest.approx(alone.standard_error, rel=0.05)
    assert naive.standard_error == pytest.approx(alone.standard_error / np.sqrt(5), rel=0.05)
    assert grouped.upper > naive.upper and grouped.lower < naive.lower


@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_rows_does_not_matter(grouped: bool) -> None:
    rows, groups = answers(200, seed=7), np.arange(200) // 4 if grouped else None
    order = np.random.default_rng(0).permutation(200)
    shuffled = [each[order] for each in rows]
    first = paired_bootstrap(*rows, bootstrap.macro_f1, classes=3, groups=groups)
    again = paired_bootstrap(*shuffled, bootstrap.macro_f1, classes=3, groups=None if groups is None else groups[order])
    assert again == first


def test_another_seed_is_another_draw_and_the_same_seed_the_same() -> None:
    rows = answers(200, seed=8)
    uppers = [paired_bootstrap(*rows, bootstrap.macro_f1, classes=3, seed=seed).upper for seed in (0, 0, 1)]
    assert uppers[0] == uppers[1] != uppers[2]


def test_each_bound_is_missed_about_as_often_as_promised() -> None:
    """400 samples of 300 rows: a rate of 5 % is within 2 to 8.5 % but for one time in 500."""
    # The student loses a fifth of class 1 to class 2, half the rows are of class 0: recall of class 1 falls by 0.2.
    generator, missed = np.random.default_rng(9), np.zeros(2)
    for _ in range(400):
        labels = generator.choice(3, size=300, p=[0.5, 0.3, 0.2])
        student = np.where((labels == 1) & (generator.random(300) < 0.2), 2, labels)
        found = paired_bootstrap(labels, labels, student, bootstrap.recall_of(1), classes=3, draws=500)
        missed += [found.upper < 0.2, found.lower > 0.2]
    assert ((missed / 400 > 0.02) & (missed / 400 < 0.085)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": np.zeros(3, dtype=np.int64)}, "three vectors of one length"),
        ({"groups": np.zeros(3, dtype=np.int64)}, "a group for each of 4 rows"),
        ({"draws": 1}, "draws must be at least 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], message: str) -> None:
    four = np.zeros(4, dtype=np.int64)
    given = {"labels": four, "teacher": four, "student": four, "metric": bootstrap.accuracy, "classes": 2, **change}
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**given)
