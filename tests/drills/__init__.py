"""Experiments that once broke an installation, as tests: each is named by the letter and number it was recorded under.

Belongs here: the list of experiments, running them all, and those that need a whole installation or real processes.
Does not: experiments that fit the test of one module; those carry the mark `experiment` where they are.
"""
