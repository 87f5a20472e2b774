"""Teachers: weights let in at the door, a classifier on top, and everything it said kept.

Belongs here: intake, the untrained classifier and its calibration, the signal store, verification of the signal.
Does not: the training loop, which teachers and students share (students/), where prompts come from (data/).
"""
