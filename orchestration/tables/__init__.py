"""Typed answers as tables and lines for a terminal: each module here shows what the module of its name beside found.

Belongs here: what of an answer is shown, and in which words.
Does not: finding the answers (../status.py, ../fleet.py and so on), commands (../commands/), a round (../screens.py).
"""
