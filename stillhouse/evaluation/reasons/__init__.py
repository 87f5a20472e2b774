"""Reasons: the student is worse is never the last sentence.

Belongs here: what is measured to find the cause, and the rules that name one. Does not: a verdict (harness.py).
"""
