"""What `stillhouse new` and `dg scaffold defs` write: a first recipe for somebody's own rows.

    writing.py         the way from a file of rows to `defs.yaml`
    files.py           how its files are named and read, where nobody has said it
    remarks.py         what is remarkable about the rows
    suggestions.py     what a recipe should say for them
    server.py          a teacher behind a server, as it is said
    weights.py         a teacher, or what students are cut from, as its config.json says
    open_questions.py  what only a person can say
    template.py        the text of the recipe

Belongs here: everything up to a recipe that is written.
Does not: its fields and their rules (stillhouse/recipe/), asking on the command line (commands/recipes.py).
"""
