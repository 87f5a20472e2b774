"""`make month`: thirty days of a recipe in minutes, with real models, the real app and what Dagster's daemon would do.

Belongs here: the callers and the days of the story, the clock, and what came of it beside what was to come of it.
Does not: the pieces (tests of each), a daemon and servers in processes of their own (tests/end_to_end/).
"""
