"""Measures: what can be seen of one model, or of a model beside its teacher.

Belongs here: one module for each way of looking. Does not: what of it is proven (statistics/), words (claims.py).
"""
