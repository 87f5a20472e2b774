"""`make bench-seeds`: how often does luck win, where two models are equal?

Pairs of models are made up, 4,000 in each setting, and compared as a student is with its control. Each golden row has
its own difficulty for each of the two ways of training, a seed moves all of them a little, and two trainings of one way
differ by their seed alone. A winner of two ways that are equally good is luck. `one pair` is the share in which the
exact McNemar test of one training each declares the first the winner, which is what is done with one seed; `several`
the share in which the seeds bear it out too, at most 5 %. `power` is the share in which the first is found the winner
where it truly is three points better.

A promise is broken where a share is above 5 % by more than three standard errors of the simulation, 1.0 points; exit
code 1 then. The last line is JSON, `{"one_pair", "several"}`, of the HEADLINE setting.

Belongs here: drawing models, counting winners, the limit.
Does not: the tests themselves (stillhouse/evaluation/).
"""

import json
import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from stillhouse.evaluation.comparison import ALPHA, decide
from stillhouse.evaluation.measures.seeds import gain_over_seeds
from stillhouse.statistics.proportions import paired_mcnemar
from stillhouse.statistics.verdicts import Verdict

PAIRS = 4_000
STANDARD_ERRORS = 3
GAIN = 0.03
SEED = 20261124

EASE, DIFFICULTY, OWN = 2.0, 2.0, 0.7
"""In logits: an accuracy of about 77 %, rows that most models get right or wrong, and what is a way's own in them."""


@dataclass(frozen=True)
class Setting:
    """Golden rows, seeds of either model, and the standard deviation of their accuracies, as a fraction."""

    rows: int
    seeds: tuple[int, int]
    spread: float


HEADLINE = Setting(5000, (3, 3), 0.01)
SETTINGS = [
    HEADLINE,
    Setting(1000, (3, 3), 0.0),
    Setting(1000, (3, 3), 0.01),
    Setting(1000, (2, 2), 0.01),
    Setting(1000, (5, 5), 0.01),
    Setting(1000, (2, 5), 0.01),
    Setting(1000, (3, 3), 0.03),
    Setting(300, (3, 3), 0.01),
    Setting(5000, (2, 2), 0.01),
    Setting(5000, (3, 3), 0.03),
]


def main(pairs: int) -> int:
    """Print a line for each setting, then the JSON line; 1 when a promise is broken."""
    generator = np.random.default_rng(SEED)
    limit = ALPHA + STANDARD_ERRORS * math.sqrt(ALPHA * (1 - ALPHA) / pairs)
    print(f"{'rows':>6}{'seeds':>8}{'spread':>8}{'one pair':>10}{'several':>9}{'power':>8}", flush=True)
    broken, headline = [], {}
    for setting in SETTINGS:
        one, several = winners(setting, 0.0, pairs, generator)
        _, power = winners(setting, GAIN, pairs // 4, generator)
        seeds = f"{setting.seeds[0]}, {setting.seeds[1]}"
        print(f"{setting.rows:>6,}{seeds:>8}{setting.spread:>8.1%}{one:>10.1%}{several:>9.1%}{power:>8.0%}", flush=True)
        if several > limit:
            broken.append(f"{setting}: {several:.2%} winners of equal models")
        if setting is HEADLINE:
            headline = {"one_pair": one, "several": several}
    print("\n".join(broken))
    print(json.dumps(headline))
    return 1 if broken else 0


def winners(setting: Setting, gain: float, pairs: int, generator: np.random.Generator) -> tuple[float, float]:
    """Shares of pairs in which the first model wins, by one training of each and by several."""
    slope = _slope()
    better = brentq(lambda more: _accuracy(EASE + more) - _accuracy(EASE) - gain, 0.0, 20.0)
    one = several = 0
    for _ in range(pairs):
        difficulty = EASE + generator.normal(0, DIFFICULTY, setting.rows)
        correct = []
        for seeds, more in zip(setting.seeds, (better, 0.0), strict=True):
            own = generator.normal(0, OWN, setting.rows)
            luck = generator.normal(0, setting.spread / slope, (seeds, 1))
            logits = difficulty + own + more + luck
            correct.append(generator.random(logits.shape) < expit(logits))
        test = paired_mcnemar(correct[0][0], correct[1][0])
        one += decide(test, 1.0, None) is Verdict.PASS
        over_seeds = gain_over_seeds(correct[0], correct[1], alpha=ALPHA)
        several += decide(test, 1.0, over_seeds) is Verdict.PASS
    return one / pairs, several / pairs


def _accuracy(ease: float) -> float:
    """Mean over rows, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    values = expit(ease + math.hypot(DIFFICULTY, OWN) * nodes)
    return float((weights * values).sum() / weights.sum())


def _slope() -> float:
    """By how much the accuracy moves with a logit."""
    return (_accuracy(EASE + 0.01) - _accuracy(EASE - 0.01)) / 0.02


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else PAIRS))
