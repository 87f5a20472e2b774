"""Statistics: whether what was seen on the golden rows is proof.

Belongs here: tests, bounds, intervals and sample sizes; arrays and counts in, a verdict with its evidence out.
Does not: which rows or claims they are asked of (evaluation/slices/, evaluation/harness.py).
"""
