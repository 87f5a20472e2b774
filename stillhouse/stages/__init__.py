"""The stages of a recipe: of each, what it is made of, how it is made, and what is known of it afterwards.

Belongs here: a module for each stage, with its typed facts, the plan that makes it and what reads it; their names.
Does not: showing an artifact in the UI (assets/), deciding whether it may be used (checks/), the work itself, which is
in the rooms below (data/, teachers/, students/, models/, evaluation/, ...).
"""
