"""Slices: parts of the golden set, because an average hides the part that matters.

Belongs here: declared and discovered slices and sensitive groups, with what a model does on each.
Does not: the tests that judge a part (statistics/).
"""
