"""The small recipe with sets of labels, whose teacher answers elsewhere with most of them right."""

from pathlib import Path
from typing import Any

from stillhouse.recipe.reading import RecipeFile
from tests.orchestration.elsewhere import small_recipe_elsewhere
from tests.protocol import USD_IN, USD_OUT, Server
from tests.sets import with_labels

OF_SETS: dict[str, Any] = {
    "data__label": "labels",
    "data__answer": "multi_label",
    "slices": [{"name": "places", "column": "label", "values": ["place"], "critical": False}],
    "bar": {"margin": 0.2},
    "limits": {"lost_share_at_most": 0.6, "int8_agreement_at_least": 0.9},  # of few rows, and of small students
}
"""What a recipe of sets says otherwise than one of single labels."""


def recipe_of_sets(folder: Path, *, changed: dict[str, Any] | None = None, **teacher: Any) -> RecipeFile:
    """With two layers of the base that learn from the teacher."""
    rows = folder / "questions.csv"
    if not rows.exists():
        with_labels(1200).write_csv(rows)
    training = {"epochs": 6, "learning_rate": 1e-3, "max_tokens": 32, "loss": "bce"}
    students = [{"name": "one", "layers": [0, 1], "training": training}]
    return small_recipe_elsewhere(folder, changed={**OF_SETS, "students": students, **(changed or {})}, **teacher)


def behind(
    server: Server, folder: Path, *, usd_at_most: float = 5.0, alternatives: tuple[dict[str, Any], ...] = (), **ask: Any
) -> dict[str, Any]:
    """A teacher that is asked over the network."""
    asking = {"model": "large", "prompt": str(folder / "prompt.md"), "settings": {"max_tokens": 40}, **ask}
    prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT}
    return {
        "kind": "endpoint", "source": server.url, "answers": {}, "ask": asking,
        "endpoint": {**prices, "usd_at_most": usd_at_most},
        "alternatives": [{**prices, **each} for each in alternatives],
    }  # fmt: skip
