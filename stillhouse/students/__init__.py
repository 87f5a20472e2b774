"""Students: made out of their teacher, trained on what it said, exported as the artifact that ships.

Belongs here: the network, cutting and trimming, losses, the training loop, export, predictors.
Does not: what the teacher said (teachers/), whether a student is good enough (evaluation/).
"""
