"""Data: from whatever the user has to prompts with an identity, a label and a side.

Belongs here: reading sources, cleaning, splits, slices, and a reason for each row that is dropped.
Does not: what a teacher says about a prompt (teachers/), whether the data is good enough to go on (checks/).
"""
