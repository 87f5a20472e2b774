"""Evaluation: whether a student may stand in for its teacher, measured on the frozen golden set.

Belongs here: metrics, fidelity, calibration, latency, the statistics of the bar, and the report in numbers
and words. Does not: running models (teachers/, students/), or what a verdict opens and closes (checks/).
"""
