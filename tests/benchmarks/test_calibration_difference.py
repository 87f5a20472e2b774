"""Whether one model is worse calibrated than another, by hand numbers and by models whose calibration is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration_difference import Answers, CalibrationDifference, calibration_difference, calibration_error
from stillhouse.statistics.verdicts import Verdict


def test_the_error_is_the_gap_less_what_is_chance() -> None:
    """By hand: ten bins of 100 rows, each 70 right where 80 were said, less 0.7 * 0.3 / 99."""
    correct = np.arange(1_000) % 10 < 7
    assert calibration_error(np.full(1_000, 0.8), correct) == pytest.approx(np.sqrt(0.1**2 - 0.21 / 99))
    assert calibration_error(np.full(1_000, 0.72), correct) == 0, "no more than chance makes it"


def test_a_gap_in_one_bin_counts_by_the_rows_of_the_bin() -> None:
    confidence = np.repeat([0.5, 0.9], [900, 100])
    correct = np.concatenate([np.arange(900) % 2 == 0, np.arange(100) % 2 == 0])
    chance = 0.25 / 99
    assert calibration_error(confidence, correct) == pytest.approx(np.sqrt((0.4**2 - 10 * chance) / 10))


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.08])
def test_its_square_is_right_on_average(gap: float) -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(300):
        confidence = random.uniform(0.6, 1.0, 1_800)
        found.append(calibration_error(confidence, random.random(1_800) < confidence - gap))
    # Where there is no gap a square below 0 counts as 0, so the mean is a little above it; the plain one is 0.0009.
    assert np.mean(np.square(found)) == pytest.approx(gap**2, abs=0.0003)


def answers(seed: int, *, rows: int = 2_000, too_sure: float = 1.0) -> Answers:
    """Two models of the same rows, calibrated at a temperature of 1.5, the control knowing a little less.

    On golden rows the logits of the student are `too_sure` times as large as its validation rows let one believe.
    """
    random = np.random.default_rng(seed)
    golden = np.arange(rows + 300) >= 300
    log_odds = random.normal(0, 2.5, (len(golden), 4))
    targets = (log_odds + random.gumbel(size=log_odds.shape)).argmax(axis=1)
    control = log_odds + random.normal(0, 1, log_odds.shape)
    student = log_odds * np.where(golden, too_sure, 1.0)[:, None]
    names = np.array([f"{seed} {number}" for number in range(len(golden))])
    return Answers(names, golden, targets, {"student": 1.5 * student, "control": 1.5 * control})


def compared(rounds: list[Answers], first: str = "student", second: str = "control") -> CalibrationDifference:
    return calibration_difference(rounds, first, second, margin=0.05, draws=100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("too_sure", "rows", "verdict"),
    [(1.0, 2_000, Verdict.PASS), (3.0, 2_000, Verdict.FAIL), (1.5, 200, Verdict.INCONCLUSIVE)],
)
def test_equal_models_pass_a_far_worse_one_fails_and_few_rows_tell_nothing(
    too_sure: float, rows: int, verdict: Verdict
) -> None:
    rounds = [answers(seed, rows=rows, too_sure=too_sure) for seed in (1, 2)]
    found = compared(rounds)
    assert found.verdict is verdict
    assert found.lower < found.difference < found.upper
    assert found.difference == pytest.approx(np.mean(found.by_round)) == pytest.approx(found.first - found.second)
    turned = compared(rounds, "control", "student")
    assert (turned.difference, turned.upper) == pytest.approx((-found.difference, -found.lower))


@pytest.mark.slow
def test_a_row_of_two_rounds_is_drawn_in_both() -> None:
    once = answers(1, rows=600)
    again = replace(once, rows=np.array([f"another {name}" for name in once.rows]))
    alone, same, other = compared([once]), compared([once, once]), compared([once, again])
    assert (same.lower, same.upper) == pytest.approx((alone.lower, alone.upper)), "nothing new was seen"
    assert other.upper - other.lower == pytest.approx((alone.upper - alone.lower) / np.sqrt(2), rel=0.2)


@pytest.mark.slow
def test_the_rows_that_chose_the_temperature_are_chance_too() -> None:
    """With a tenth of them the temperature is luck, and so is the difference."""
    many = answers(1)
    few = many.golden | (np.arange(len(many.rows)) < 30)
    spared = Answers(
        many.rows[few], many.golden[few], many.targets[few], {name: of[few] for name, of in many.logits.items()}
    )
    spared = replace(spared, golden=np.arange(len(spared.rows)) >= 30)
    assert compared([spared]).upper - compared([spared]).lower > 1.3 * (compared([many]).upper - compared([many]).lower)


def test_what_is_packed_is_read_again(tmp_path: Path) -> None:
    made = answers(0, rows=10)
    (tmp_path / "kept.npz").write_bytes(made.packed())
    read = Answers.unpacked(tmp_path / "kept.npz")
    assert read.rows.tolist() == made.rows.tolist() and read.golden.tolist() == made.golden.tolist()
    assert read.targets.tolist() == made.targets.tolist()
    assert {name: of.tolist() for name, of in read.logits.items()} == {n: of.tolist() for n, of in made.logits.items()}
