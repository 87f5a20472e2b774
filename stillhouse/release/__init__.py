"""Release: the bundle that ships, and the evidence that travels with it.

Belongs here: the layout of a bundle, its record, and verifying one without anything else at hand.
Does not: whether a student is good enough (evaluation/), choosing and promoting one (assets/).
"""
