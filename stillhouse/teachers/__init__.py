"""Teachers: a network that runs here, answers that were given elsewhere, a server that is asked; and all they said.

Belongs here: the kinds of teacher, the untrained classifier, the signal store, verification of the signal.
Does not: the training loop, which teachers and students share (students/), where prompts come from (data/).
"""
