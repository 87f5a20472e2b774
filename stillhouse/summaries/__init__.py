"""What a person is shown of an artifact: single numbers by name, tables as rows, and its one line on a terminal.

Belongs here: reading that off the facts of a stage, as plain values.
Does not: how it is drawn (assets/), the page of a round (stillhouse/report/).

Nothing is made from it: another word here makes no artifact stale.
"""
