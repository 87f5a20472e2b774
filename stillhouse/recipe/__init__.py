"""The recipe: everything that is decided before a model exists, on one page.

    parts.py      all of it       contract.py   which parts go together
    data.py       the rows        bar.py        what a student must hold
    training.py   one training    economics.py  whether it pays
    reading.py    from a file, with errors that name line and field
    differences.py  what differs between two of them

Belongs here: fields and the rules between them. Does not: anything that looks at rows, weights or results.
"""
