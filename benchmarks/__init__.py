"""Measurements that need more rows or more repetitions than a test may take.

Belongs here: what is measured, on what data, and the limits that it must keep.
Does not: anything that the product itself runs.
"""
