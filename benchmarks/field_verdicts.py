"""How often the verdict on F1 over fields is wrong, for students whose true F1 is known.

A record has fields, each of which has a value in truth with a chance of its own, and rows differ in how hard they are.
A teacher answers a value rightly, wrongly or not at all, or one that is not there. A student answers as its teacher
does or, else, by itself, so much worse that its true F1 is below the teacher's by exactly the margin. F1 of counts that
grow is the ratio of their means, which are sums over what a field may be. Of such students at most 5 % may pass.

Belongs here: such students, and how they are judged. Does not: the other verdicts (verdicts.py), which runs this, the
test itself (stillhouse/statistics/field_test.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.statistics.field_test import Values, field_f1_test
from stillhouse.statistics.verdicts import Verdict

DRAWS = 400
SEED = 20261130
HARD = 0.3
"""Share of rows that are hard."""


@dataclass(frozen=True)
class Setting:
    """What records are like, and on how many rows two models are compared.

    Args:
        name: in a few words.
        there: of each field, how often it has a value.
        margin: by which the student is worse.
        rows: golden rows.
        copies: how often the student answers as its teacher does; the rest it answers by itself.
        right: how often a value is answered rightly by the teacher, in an easy row and in a hard one.
        whole: whether a row is answered wrong in all of its fields at once or in none.
        in_a_group: rows that stand or fall together; 1 where each stands alone.
    """

    name: str
    there: tuple[float, ...]
    margin: float = 0.03
    rows: int = 600
    copies: float = 0.5
    right: tuple[float, float] = (0.97, 0.85)
    whole: bool = False
    in_a_group: int = 1


FOUR, OF_TWENTY = (1.0, 1.0, 0.9, 0.6), (1.0, 0.3, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05)
SETTINGS = (
    Setting("four fields", FOUR),
    Setting("four fields, 200 rows, 5 points", FOUR, margin=0.05, rows=200),
    Setting("four fields, 2,000 rows, 2 points", FOUR, margin=0.02, rows=2000),
    Setting("eight fields, most of them rare", OF_TWENTY),
    Setting("rare values alone, 1,500 rows", (0.1, 0.05, 0.05), margin=0.05, rows=1500),
    Setting("rows right or wrong as a whole", FOUR, whole=True),
    Setting("a student that nearly copies", FOUR, copies=0.9),
    Setting("a teacher that is seldom wrong", FOUR, right=(0.998, 0.98)),
    Setting("groups of 5 rows, 200 of them", FOUR, rows=1000, in_a_group=5),
    Setting("groups of 10 rows, 40 of them", FOUR, margin=0.05, rows=400, in_a_group=10),
)


@dataclass(frozen=True)
class Pair:
    """Teacher and student of a setting.

    Args:
        setting: what records are like.
        own: how often the student answers a value rightly where it answers by itself.
    """

    setting: Setting
    own: float

    @classmethod
    def of(cls, setting: Setting) -> "Pair":
        """A student whose true F1 is the teacher's less the margin, by halving what it knows by itself."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            taught, said = true_f1(setting, middle)
            low, high = (middle, high) if taught - said > setting.margin else (low, middle)
        return cls(setting, high)

    def drawn(self, generator: np.random.Generator) -> tuple[Values, Values]:
        """Golden rows, answered by both."""
        setting = self.setting
        fields, units = len(setting.there), setting.rows // setting.in_a_group
        hard = np.repeat(generator.random(units) < HARD, setting.in_a_group)[:, None]
        there = generator.random((setting.rows, fields)) < np.array(setting.there)
        copied = np.repeat(generator.random(units) < setting.copies, setting.in_a_group)[:, None]
        right = np.where(hard, setting.right[1], setting.right[0])
        teacher = _answers(generator, there, right, whole=setting.whole)
        own = _answers(generator, there, np.full_like(right, self.own), whole=setting.whole)
        return _counted(there, teacher), _counted(there, np.where(copied, teacher, own))

    def passes(self, generator: np.random.Generator) -> bool:
        """Whether one such student is said to be good enough."""
        setting = self.setting
        groups = None if setting.in_a_group == 1 else np.arange(setting.rows) // setting.in_a_group
        found = field_f1_test(
            *self.drawn(generator), fields=len(setting.there), groups=groups, margin=setting.margin, draws=DRAWS
        )
        return found.verdict is Verdict.PASS


NONE, RIGHT, WRONG = 0, 1, 2
_LEFT_OUT = 0.5
"""Of values that are not answered rightly, how many are not answered at all."""
_INVENTED = 0.3
"""How often a value that is not there is answered, in the share of fields that is not answered rightly."""


def _counted(there: BoolArray, said: IntArray) -> Values:
    return Values.of(there, said != NONE, said == np.where(there, RIGHT, NONE))


def _answers(generator: np.random.Generator, there: BoolArray, right: FloatArray, *, whole: bool) -> IntArray:
    drawn = generator.random((len(there), 1 if whole else there.shape[1]))
    is_right = drawn < right
    left_out = generator.random(there.shape) < _LEFT_OUT
    invented = generator.random(there.shape) < _INVENTED
    wrong = np.where(there, np.where(left_out, NONE, WRONG), np.where(invented, WRONG, NONE))
    return np.where(is_right, np.where(there, RIGHT, NONE), wrong)


def true_f1(setting: Setting, own: float) -> tuple[float, float]:
    """Of the teacher and of a student that is right so often where it answers by itself."""
    there = sum(setting.there)
    absent = len(setting.there) - there
    taught = HARD * setting.right[1] + (1 - HARD) * setting.right[0]

    def f1(share: float) -> float:
        given = there * (share + (1 - share) * (1 - _LEFT_OUT)) + absent * (1 - share) * _INVENTED
        return 2 * there * share / (there + given)

    return f1(taught), f1(setting.copies * taught + (1 - setting.copies) * own)


def shares_passed(students: int) -> Iterator[tuple[Setting, float]]:
    """Of so many students of each setting that miss the margin by nothing, how many pass."""
    for setting in SETTINGS:
        pair, generator = Pair.of(setting), np.random.default_rng(SEED)
        yield setting, float(np.mean([pair.passes(generator) for _ in range(students)]))
