"""Which gates belong to which stage.

Belongs here: finding them, which are `GATES` of the module that bears the stage's name.
Does not: the gates (one module per stage).
"""

from importlib import import_module

from checks.gate import StageGates
from stillhouse.recipe.contract import Recipe
from stillhouse.records.governance import WaiverRules
from stillhouse.stages.names import KINDS, kind_of


def gates_of(stage: str) -> StageGates:
    """Gates of a stage, such as `prompts` or `candidates/small`; every candidate has the same, and every export."""
    return GATES[kind_of(stage)]


GATES: dict[str, StageGates] = {kind: import_module(f"checks.{kind}").GATES for kind in KINDS}
"""By kind of stage, in the order in which data flows."""

CLOSES_AS = {name: result for gates in GATES.values() for name, result in gates.closes_as().items()}
"""What the failure of a gate is called, of the gates whose failure is a result and not a fault."""

SHOWS_OPTIONS = frozenset[str]().union(*(gates.shows_options() for gates in GATES.values()))
"""The gates with which a round that they close shows what there is to take without a student."""

UNWAIVABLE = frozenset[str]().union(*(gates.unwaivable() for gates in GATES.values()))
"""The gates that no person can let pass; a recipe can name more of them, but not fewer."""


def waiver_rules(recipe: Recipe) -> WaiverRules:
    """Which waivers of a recipe's gates count, and for how long."""
    return WaiverRules.of(recipe, UNWAIVABLE)
