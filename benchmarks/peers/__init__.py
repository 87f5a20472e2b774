"""`make bench-peers`: what people would use instead, on the same rows, weights and machine, in one run.

Belongs here: the material, one module a peer, the rounds. Does not: what is compared about Stillhouse's own students
(stillhouse/evaluation/), the figures (docs/benchmarks.md).
"""
