"""`make bench-verdicts`: how often is a verdict wrong?

Students whose true accuracy is known are made up, 10,000 in each setting, and judged as the harness judges them. Of
students that are exactly at the margin, which is too bad, at most 5 % may pass (`type_1`). Of students with several
critical slices exactly at the margin, at most 5 % may pass on any of these (`type_1_family`): all five slices at the
margin, and mixes in which the others are as good as the teacher's, so that Holm's levels rise. Of students as good as
their teacher, on as many rows as `rows_needed_for` plans, at least 80 % must pass (`power`). Beside them, with no
promise: the students at the margin that a point threshold lets through, which asks only that the measured drop is
below the margin (`point_threshold_pass`), and the power on the rows of the usual shortcut.

A student is three counts: rows only the teacher got right, rows only the student, the rest; one multinomial draw. Each
distinct draw is judged once and by its p-value alone, without the search for a bound. That the full functions
`non_inferiority_from_counts` and `slice_table` give the same verdict is asserted on a sample, with the draws nearest to
their level first.

Monte Carlo error: a promise is broken where a share is beyond its limit by more than three standard errors of the
simulation at that limit, which is 0.65 points at 5 % and 1.2 points at 80 %. Every setting is judged so, and one broken
promise is exit code 1. Settings that name their rows were not planned, so their power is shown and not judged.

Limits on the calibration error are judged likewise, by calibration_verdicts.py: 200 models a line, so that a promise is
broken there beyond 4.6 points at 5 % and 8.5 points at 80 %.

Verdicts on F1 over the values of fields are judged likewise, by field_verdicts.py: 200 students a line, each exactly at
the margin.

The last line is JSON, `{"type_1", "type_1_family", "power", "point_threshold_pass", "above_calibration_limit_pass"}`,
of the HEADLINE setting and, for the family, of all slices at the margin: the worst of many simulated shares would be
too high by chance. The tables have the others.

Belongs here: drawing students, counting verdicts, the limits.
Does not: the tests themselves (stillhouse/evaluation/), models whose calibration is known (calibration_verdicts.py),
students whose F1 over fields is known (field_verdicts.py).
"""

import json
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from benchmarks import calibration_verdicts, field_verdicts
from stillhouse.evaluation.slices.declared import slice_table
from stillhouse.recipe.bar import SliceSpec
from stillhouse.statistics.accuracy_test import (
    non_inferiority_from_counts,
    non_inferiority_p_value,
    rows_needed_for,
)
from stillhouse.statistics.multiplicity import holm_levels
from stillhouse.statistics.score_test import sum_of_quantiles, uses_exact
from stillhouse.statistics.verdicts import POWER, Verdict

STUDENTS = 10_000
CALIBRATED_OF = 50
"""Of so many students one whose calibration, or F1 over fields, is judged: that takes milliseconds, for each has rows
of its own."""
ALPHA = 0.05
CRITICAL_SLICES = 5
STANDARD_ERRORS = 3
SAMPLE = 40
SEED = 20261124


@dataclass(frozen=True)
class Setting:
    """How far a student may drop, how often the two models differ, and on how many rows they are compared."""

    margin: float
    discordance: float
    rows: int | None = None  # as many as are planned, where left out

    def planned(self, alpha: float) -> int:
        """Rows of the comparison."""
        return self.rows or rows_needed_for(self.margin, self.discordance, alpha)


HEADLINE = Setting(0.03, 0.06)
SETTINGS = (
    HEADLINE,
    Setting(0.03, 0.10),
    Setting(0.02, 0.06),
    Setting(0.05, 0.06),
    Setting(0.10, 0.12),
    Setting(0.01, 0.05),
    Setting(0.005, 0.05),
    Setting(0.03, 0.06, rows=200),
    Setting(0.03, 0.06, rows=5000),
    # Where the normal approximation is near its worst: it has only just taken over, and the student never beats its
    # teacher. Summed over all outcomes the error is 5.36 %, an excess too small for this simulation to call broken.
    Setting(0.01, 0.01, rows=3000),
)
FAMILIES = (HEADLINE, Setting(0.01, 0.05))
AT_MARGIN = (CRITICAL_SLICES, 2, 1)
"""Of the critical slices, how many are exactly at the margin; on the others the student is as good as its teacher."""

Draw = tuple[int, int]


@dataclass
class Promises:
    """What was promised and is not kept, beyond what the error of so many simulated students explains."""

    students: int
    broken: list[str] = field(default_factory=list)

    def at_most(self, limit: float, what: str, share: float) -> None:
        """Note a share above its limit."""
        self._note(share - limit, limit, what, share)

    def at_least(self, limit: float, what: str, share: float) -> None:
        """Note a share below its limit."""
        self._note(limit - share, limit, what, share)

    def _note(self, excess: float, limit: float, what: str, share: float) -> None:
        error = math.sqrt(limit * (1 - limit) / self.students)
        if excess > STANDARD_ERRORS * error:
            self.broken.append(f"{what}: {share:.2%}, promised {limit:.0%}, standard error {error:.2%}")


@dataclass
class Judge:
    """P-values at one margin on one number of rows, each found once."""

    margin: float
    rows: int
    known: dict[Draw, float] = field(default_factory=dict)

    def p_values(self, draws: Iterable[Draw]) -> list[float]:
        """One for each draw."""
        draws = list(draws)
        for draw in set(draws).difference(self.known):
            self.known[draw] = non_inferiority_p_value(*draw, self.rows, margin=self.margin)
        return [self.known[draw] for draw in draws]

    def share_passed(self, draws: list[Draw], alpha: float = ALPHA) -> float:
        """Share of the draws that pass."""
        return float(np.mean(np.array(self.p_values(draws)) < alpha))

    def assert_same_verdicts(self, alpha: float = ALPHA) -> None:
        """Hold the sample of known draws that is nearest to the level against the function the harness calls."""
        for draw in sorted(self.known, key=lambda draw: abs(self.known[draw] - alpha))[:SAMPLE]:
            full = non_inferiority_from_counts(*draw, self.rows, margin=self.margin, alpha=alpha)
            assert (full.verdict is Verdict.PASS) == (self.known[draw] < alpha), (self, draw, full)


def main(students: int) -> int:
    """Simulate, show, and judge."""
    start = time.perf_counter()
    generator, promises = np.random.default_rng(SEED), Promises(students)
    print(f"{students:,} students each\n{_HEADER}")
    (type_1, power, point), *_ = [_one_comparison(setting, generator, promises) for setting in SETTINGS]
    print(f"\n{CRITICAL_SLICES} critical slices; students that pass on any slice on which they are at the margin")
    print(f"{'margin':>7}{'discord.':>9}{'rows each':>10}" + "".join(f"{f'at it on {bad}':>13}" for bad in AT_MARGIN))
    family, *_ = [_family(setting, generator, promises) for setting in FAMILIES]
    of_calibration = Promises(max(1, students // CALIBRATED_OF))
    above = _calibration(of_calibration)
    _calibration_at_the_limit(of_calibration)
    of_fields = Promises(of_calibration.students)
    _field_f1(of_fields)
    broken = [*promises.broken, *of_calibration.broken, *of_fields.broken]
    print(f"\n{time.perf_counter() - start:.0f} s", *(broken or ["every promise holds"]), sep="\n")
    headline = {"type_1": type_1, "type_1_family": family, "power": power, "point_threshold_pass": point}
    print(json.dumps({**headline, "above_calibration_limit_pass": above}))
    return 1 if broken else 0


_HEADER = (
    f"{'margin':>7}{'discord.':>9}{'rows':>7}  {'test':7}{'type I':>8}{'power':>8}{'point threshold':>17}"
    f"{'rows by shortcut':>18}{'power':>8}"
)


def _one_comparison(setting: Setting, generator: np.random.Generator, promises: Promises) -> tuple[float, float, float]:
    """Type I error, power, and share of students at the margin that a point threshold passes."""
    rows, margin, students = setting.planned(ALPHA), setting.margin, promises.students
    judge = Judge(margin, rows)
    at_margin = _draw(setting, rows, margin, students, generator)
    type_1 = judge.share_passed(at_margin)
    power = judge.share_passed(_draw(setting, rows, 0.0, students, generator))
    judge.assert_same_verdicts()
    point = float(np.mean([(lost - won) / rows < margin - 1e-12 for lost, won in at_margin]))
    line = f"{margin:>7.1%}{setting.discordance:>9.1%}{rows:>7,}  {'exact' if uses_exact(rows, margin) else 'normal':7}"
    line += f"{type_1:>8.2%}{power:>8.1%}{point:>17.1%}"
    promises.at_most(ALPHA, f"type I error at {setting}", type_1)
    if setting.rows is None:
        promises.at_least(POWER, f"power at {setting}", power)
        few = _rows_by_shortcut(setting)
        by_shortcut = Judge(margin, few).share_passed(_draw(setting, few, 0.0, students, generator))
        line += f"{few:>18,}{by_shortcut:>8.1%}"
    print(line, flush=True)
    return type_1, power, point


def _family(setting: Setting, generator: np.random.Generator, promises: Promises) -> float:
    """Share of students that pass on any critical slice on which they are at the margin, where they are on all."""
    rows = setting.planned(ALPHA / CRITICAL_SLICES)
    judge = Judge(setting.margin, rows)
    shares = []
    for bad in AT_MARGIN:
        drops = [setting.margin] * bad + [0.0] * (CRITICAL_SLICES - bad)
        slices = [_draw(setting, rows, drop, promises.students, generator) for drop in drops]
        judged = list(zip(*slices, strict=True))
        passed = np.array([_passed_by_holm(judge, draws) for draws in judged])
        _assert_slice_table_agrees(judge, judged, passed)
        shares.append(float(np.mean(passed[:, :bad].any(axis=1))))
        promises.at_most(ALPHA, f"family-wise error at {setting}, at the margin on {bad}", shares[-1])
    columns = "".join(f"{share:>13.2%}" for share in shares)
    print(f"{setting.margin:>7.1%}{setting.discordance:>9.1%}{rows:>10,}{columns}", flush=True)
    return shares[0]


def _calibration(promises: Promises) -> float:
    """Models above a limit, calibrated ones and ones of which nothing is promised; the share of the first that pass."""
    rows_each = calibration_verdicts.ROWS
    print(f"\ncalibration error at most {calibration_verdicts.LIMIT:.0%}, {promises.students:,} models each:", end=" ")
    print("passed / failed, and passed in 15 bins of equal width")
    print(f"{'':34}{'error':>7}" + "".join(f"{f'{rows:,} rows':>22}" for rows in rows_each))
    above = []
    for model in (*calibration_verdicts.CALIBRATED, *calibration_verdicts.ABOVE, *calibration_verdicts.FINER):
        line = f"{model.name:34}{model.error:>7.1%}"
        for rows in rows_each:
            found = calibration_verdicts.shares(model, rows, promises.students)
            before = calibration_verdicts.shares_in_bins_of_equal_width(model, rows, promises.students)
            line += f"{f'{found.passed:.1%} / {found.failed:.1%}, {before.passed:.1%}':>22}"
            if model in calibration_verdicts.ABOVE:
                promises.at_most(ALPHA, f"{model.name} passes, {rows:,} rows", found.passed)
                above.append(found.passed)
            elif model.passes_from is not None and rows >= model.passes_from:
                promises.at_least(POWER, f"{model.name} passes, calibrated, {rows:,} rows", found.passed)
        print(line, flush=True)
    return float(np.mean(above))


def _calibration_at_the_limit(promises: Promises) -> None:
    """Models right at a limit: of none more than 5 % may pass, or fail."""
    worst = {"pass": 0.0, "fail": 0.0}
    for name, found in calibration_verdicts.at_the_limit(promises.students):
        for verdict, share in (("pass", found.passed), ("fail", found.failed)):
            promises.at_most(ALPHA, f"calibration, {name}: {verdict}", share)
            worst[verdict] = max(worst[verdict], share)
    print(f"right at the limit: at most {worst['pass']:.1%} of a line pass and {worst['fail']:.1%} fail")


def _field_f1(promises: Promises) -> None:
    """Students exactly at a margin of F1 over fields: of none more than 5 % may pass."""
    print(f"\nF1 over fields, {promises.students:,} students each exactly at the margin: passed")
    for setting, passed in field_verdicts.shares_passed(promises.students):
        print(f"{setting.name:34}{setting.margin:>7.1%}{setting.rows:>7,} rows{passed:>8.1%}", flush=True)
        promises.at_most(ALPHA, f"field F1, {setting.name}", passed)


def _passed_by_holm(judge: Judge, draws: tuple[Draw, ...]) -> list[bool]:
    p_values = judge.p_values(draws)
    return [p < level for p, level in zip(p_values, holm_levels(p_values, ALPHA), strict=True)]


def _assert_slice_table_agrees(judge: Judge, judged: list[tuple[Draw, ...]], passed: np.ndarray) -> None:
    """Make the rows of some students, half of whom pass somewhere, and have them judged by the harness's function."""
    specs = [
        SliceSpec(name=str(index), column="slice", values=(str(index),), critical=True)
        for index in range(CRITICAL_SLICES)
    ]
    masks = np.repeat(np.eye(CRITICAL_SLICES, dtype=np.bool_), judge.rows, axis=1)
    passing, failing = np.flatnonzero(passed.any(axis=1)), np.flatnonzero(~passed.any(axis=1))
    for student in [*passing[: SAMPLE // 2], *failing[: SAMPLE // 2]]:
        teacher, pupil = np.ones((2, CRITICAL_SLICES, judge.rows), dtype=np.bool_)
        for index, (lost, won) in enumerate(judged[student]):
            pupil[index, :lost] = False
            teacher[index, lost : lost + won] = False
        results = slice_table(specs, masks, teacher.ravel(), pupil.ravel(), margin=judge.margin, alpha=ALPHA)
        assert [result.verdict is Verdict.PASS for result in results] == passed[student].tolist(), judged[student]


def _draw(setting: Setting, rows: int, drop: float, students: int, generator: np.random.Generator) -> list[Draw]:
    """Rows lost and rows won by each student, whose true drop is given."""
    lost, won = (setting.discordance + drop) / 2, (setting.discordance - drop) / 2
    counts = generator.multinomial(rows, [lost, won, 1 - setting.discordance], size=students)
    return [(lost, won) for lost, won, _ in counts.tolist()]


def _rows_by_shortcut(setting: Setting) -> int:
    """Rows that the formula without the restricted variance asks for."""
    return math.ceil(sum_of_quantiles(ALPHA) ** 2 * setting.discordance / setting.margin**2)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else STUDENTS))
