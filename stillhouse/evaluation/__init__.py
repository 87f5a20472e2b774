"""Evaluation: whether a student may stand in for its teacher, measured on the frozen golden set.

    statistics/  tests, bounds and sample sizes: numbers in, verdicts out
    measures/    one way of looking at a model each: right, faithful, calibrated, robust, fast, small, lucky
    slices/      parts of the golden set: declared, discovered, and the groups of people in it
    options/     what there is to take without training anything
    reasons/     why a student misses, and the one thing to change
    report/      what a person and a machine read of it, with its pictures

Belongs here: the way from a bar (bar.py) and answers (subjects.py) through one call (harness.py) to claims in words
(claims.py), and what is said of several models together (comparison.py, selection.py, against_champion.py,
leaderboard.py).
Does not: running models (teachers/, students/), or what a verdict opens and closes (checks/).
"""
