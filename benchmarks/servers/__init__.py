"""The servers that `make bench-serving` measures: each answers one model, in an environment of its own.

Belongs here: a file for each, written as its documentation writes one.
Does not: asking and measuring (benchmarks/serving.py), and anything of Stillhouse: none of them can import it.
"""
