"""Software-defined assets of a recipe, one module per stage.

Belongs here: what each stage reads, what it calls in `stillhouse`, and the metadata a person sees in the UI.
Does not: the work itself (stillhouse/), whether its result is good enough (checks/), when it runs (orchestration/).
"""
