"""The domain of Stillhouse: everything a distillation needs, importable without Dagster or Great Expectations.

What a notebook needs to judge a model, or to ask a released one, is here by name; the rest is in the rooms below
(docs/architecture.md).

Belongs here: those names.
Does not: assets (assets/), gates (checks/), jobs, schedules, sensors and the command line (orchestration/).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.evaluation.harness import Evaluation, evaluate
    from stillhouse.evaluation.models import EvaluatedModel, ModelKind
    from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
    from stillhouse.serving.loaded import LoadedRelease, load
    from stillhouse.tasks.multi_label import MultiLabel
    from stillhouse.tasks.score import NumericScore
    from stillhouse.tasks.single_label import SingleLabel

__all__ = [
    "BarSpec",
    "BudgetSpec",
    "EvaluatedModel",
    "Evaluation",
    "LoadedRelease",
    "ModelKind",
    "MultiLabel",
    "NumericScore",
    "SingleLabel",
    "SliceSpec",
    "Terms",
    "evaluate",
    "load",
]

_FOUND_IN = {
    "stillhouse.evaluation.harness": ("Evaluation", "evaluate"),
    "stillhouse.evaluation.models": ("EvaluatedModel", "ModelKind"),
    "stillhouse.recipe.bar": ("BarSpec", "BudgetSpec", "SliceSpec", "Terms"),
    "stillhouse.serving.loaded": ("LoadedRelease", "load"),
    "stillhouse.tasks.multi_label": ("MultiLabel",),
    "stillhouse.tasks.score": ("NumericScore",),
    "stillhouse.tasks.single_label": ("SingleLabel",),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: whoever imports one room does not load them all."""
    for module, names in _FOUND_IN.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
