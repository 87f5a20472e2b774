"""Baselines: what there is to take without training a student.

Belongs here: models fitted in seconds. Does not: judging them, which the harness does as with any model.
"""
