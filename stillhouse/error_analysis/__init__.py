"""Error analysis: a student that misses has a cause and one change to try.

Belongs here: what is measured to find the cause, and the rules that name one. Does not: a verdict (evaluation/).
"""
