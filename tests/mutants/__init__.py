"""Mutation testing: small faults put into the code one at a time, and whether the tests notice.

Belongs here: making the mutants (operators.py), running the responsible tests on each (__main__.py).
Does not: the tests that notice, which are those of the mutated modules.
"""
