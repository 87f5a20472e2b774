"""One module for each kind of teacher: how the stage of the teacher makes it.

Belongs here: what a kind is made from, and what is measured of it before the rest of the rows is asked.
Does not: opening a teacher that was made (stillhouse/stages/asking.py), how it answers (stillhouse/teachers/), the
fields of a kind (stillhouse/recipe/teacher.py).
"""
