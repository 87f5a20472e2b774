"""Students: how one is cut out of its teacher.

Belongs here: dropping layers, narrowing, trimming a vocabulary.
Does not: the network and its training (models/), what the teacher said (teachers/), whether one is good enough
(evaluation/).
"""
