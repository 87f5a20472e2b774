"""Kinds of answer that a model can give: what an answer is, and when it is right.

Belongs here: a module for each kind. There is one: a single label of a fixed set of classes (single_label.py).
Does not: measuring how often answers are right (evaluation/), losses (models/losses.py).
"""
