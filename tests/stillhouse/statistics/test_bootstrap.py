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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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
        ({"labels": np.zeros(3, dtype=np.int64)}, "three vectors of one length"),
        ({"teacher": np.zeros(3, dtype=np.int64)}, "three vectors of one length"),
        ({"student": np.zeros(3, dtype=np.int64)}, "three vectors of one length"),
        (dict.fromkeys(("labels", "teacher", "student"), np.zeros((2, 2), dtype=np.int64)), "three vectors"),
        (dict.fromkeys(("labels", "teacher", "student"), np.zeros(0, dtype=np.int64)), "three vectors"),
        ({"groups": np.zeros(3, dtype=np.int64)}, "a group for each of 4 rows"),
        ({"draws": 1}, "draws must be at least 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], message: str) -> None:
    four = np.zeros(4, dtype=np.int64)
    given = {"labels": four, "teacher": four, "student": four, "metric": bootstrap.accuracy, "classes": 2, **change}
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**given)


def test_one_row_and_two_draws_are_enough_to_ask() -> None:
    one = np.zeros(1, dtype=np.int64)
    found = paired_bootstrap(one, one, one + 1, bootstrap.accuracy, classes=2, draws=2)
    assert (found.teacher, found.student, found.drop, found.groups) == (1.0, 0.0, 1.0, 1)
    assert (found.lower, found.upper, found.standard_error) == (1.0, 1.0, 0.0)


def test_nothing_that_was_counted_gives_nothing() -> None:
    """By hand, of two tallies at once: one of three rows of two classes, and one without any row."""
    labelled, answered, right = (np.array([row, [0.0, 0.0]]) for row in ([2.0, 1.0], [1.0, 2.0], [1.0, 1.0]))
    counted = Tally(labelled, answered, right)
    assert bootstrap.accuracy(counted) == pytest.approx([2 / 3, 0])
    assert bootstrap.macro_f1(counted) == pytest.approx([(2 * 1 / 3 + 2 * 1 / 3) / 2, 0])
    assert bootstrap.recall_of(0)(counted) == pytest.approx([1 / 2, 0])
    assert bootstrap.recall_of(1)(counted) == pytest.approx([1.0, 0])


def test_a_right_class_in_second_place_gains_less() -> None:
    """nDCG by hand: 1 in the first place, 1 / log2(3) in the second, a half in the third."""
    none = np.zeros(3)
    places = Tally(none, np.array([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0], [1.0, 1.0, 2.0]]), none)
    second = 1 / np.log2(3)
    assert bootstrap.ndcg(places) == pytest.approx([1, second, 0.5, (1 + second + 1) / 4])


@pytest.mark.parametrize(("classes", "rows"), [(2, 300), (3, 12)])
def test_how_many_are_drawn_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch, classes: int, rows: int) -> None:
    """Of 300 rows in few cells by one multinomial draw, of 12 rows one by one."""
    given = answers(rows, seed=12, classes=classes, teacher=0.8, student=0.5)
    at_once = paired_bootstrap(*given, bootstrap.accuracy, classes=classes, draws=50)
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 13)
    in_chunks = paired_bootstrap(*given, bootstrap.accuracy, classes=classes, draws=50)
    assert in_chunks == at_once
    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 1)
    assert paired_bootstrap(*given, bootstrap.accuracy, classes=classes, draws=50) == at_once


def test_units_are_drawn_some_at_once_and_all_of_them() -> None:
    few = bootstrap._Units(np.arange(2), np.arange(2), np.array([50, 14]))
    drawn = list(bootstrap._resamples(few, 5, np.random.default_rng(0)))
    assert [each.shape for each in drawn] == [(5, 2)] and (drawn[0].sum(axis=1) == 64).all()
    alone = bootstrap._Units(np.arange(4), np.arange(4), np.ones(4, dtype=np.int64))
    (one_by_one,) = bootstrap._resamples(alone, 6, np.random.default_rng(0))
    assert one_by_one.shape == (6, 4) and (one_by_one.sum(axis=1) == 4).all()


def test_no_more_is_held_at_once_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse import csr_array

    monkeypatch.setattr(bootstrap, "CHUNK_ELEMENTS", 15)
    units = bootstrap._Units(np.arange(5), np.arange(5), np.ones(5, dtype=np.int64))
    assert [len(each) for each in bootstrap._resamples(units, 8, np.random.default_rng(0))] == [3, 3, 2]
    counts = csr_array(np.arange(35.0).reshape(7, 5))
    parts = list(bootstrap._rows_of(counts))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert np.concatenate(parts).tolist() == counts.toarray().tolist()


def test_the_bounds_are_those_of_efron_by_hand() -> None:
    """Equations 2.3 and 6.6 of Efron 1987, calculated from the same resamples with scipy."""
    from scipy.stats import norm

    generator = np.random.default_rng(3)
    drawn, left_out = generator.gamma(2.0, size=999), generator.gamma(2.0, size=40)
    times, estimate, alpha = np.arange(1, 41), 1.8, 0.1
    bias = norm.ppf(np.mean(drawn < estimate))
    influence = np.average(left_out, weights=times) - left_out
    acceleration = (times * influence**3).sum() / (6 * (times * influence**2).sum() ** 1.5)
    levels = [norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (norm.ppf(0.1), norm.ppf(0.9))]
    assert bootstrap._bca(estimate, drawn, left_out, times, alpha) == pytest.approx(np.quantile(drawn, levels))


def test_an_estimate_outside_all_resamples_has_bounds_among_them() -> None:
    drawn, times = np.arange(100.0), np.ones(3, dtype=np.int64)
    same = np.zeros(3)  # no row matters more than another: no acceleration
    for estimate, low, high in ((-5.0, 0.0, 1.0), (200.0, 98.0, 99.0)):
        lower, upper = bootstrap._bca(estimate, drawn, same, times, 0.05)
        assert low <= lower <= upper <= high
    skewed, most = np.array([900.0, 0.0]), np.array([1000, 1])
    assert bootstrap._bca(200.0, drawn, skewed, most, 1e-9)[1] == 99.0, "beyond the pole it is the outermost"


def test_half_of_the_ties_are_below() -> None:
    """Where resamples tie with the estimate, the bias is that of half of them: none here, so plain quantiles."""
    drawn, times = np.repeat([0.0, 1.0, 2.0], [100, 200, 100]), np.ones(2, dtype=np.int64)
    found = bootstrap._bca(1.0, drawn, np.zeros(2), times, 0.05)
    assert found == pytest.approx(np.quantile(drawn, [0.05, 0.95]))
    assert bootstrap._bca(7.0, np.full(5, 3.0), np.zeros(2), times, 0.05) == (7.0, 7.0)
