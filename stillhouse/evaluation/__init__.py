"""Evaluation: whether a student may stand in for its teacher, measured on the frozen golden set.

    measures/    one way of looking at a model each: right, faithful, calibrated, robust, fast, small, lucky
    slices/      parts of the golden set: declared, discovered, and the groups of people in it
    baselines/   what there is to take without training anything

Belongs here: the way from a bar (recipe/bar.py) and answers (models.py) through one call (harness.py) to claims in
words (claims.py), and what is said of several models together (comparison.py, selection.py, against_champion.py,
leaderboard.py).
Does not: the tests and bounds (statistics/), running models (models/), why a student misses (error_analysis/), what a
verdict opens and closes (checks/).
"""
