"""Gates: the checks that every materialization has to pass before anything may be made from it.

Belongs here: one module of gates per stage, or a package where they are many (prompts/), the Great Expectations suites
(expectations/), and the rule that a closed gate stays closed however an asset is launched (gatekeeper.py).
Does not: making artifacts (assets/), deciding when to run (orchestration/).
"""
