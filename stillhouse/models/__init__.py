"""Models: the network that teachers and students share, from weights let in at the door to a file that answers.

Belongs here: weights and tokenizers, the network, losses and the training loop, temperature, export, predictors.
Does not: what makes a teacher (teachers/) or a student of it (students/), whether it is good enough (evaluation/).
"""
