"""The report: one page for a person, the same numbers for a machine.

Belongs here: words, layout and pictures of what was measured. Does not: measuring or deciding anything.
"""
