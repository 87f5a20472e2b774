"""Which weights a recipe has to begin with: those that it pins, or those of its first round.

Belongs here: finding the pin.
Does not: computing a fingerprint (models/weights.py), closing anything when weights are not the pinned ones (checks/).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import teacher_part
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.records.ledger import Ledger


@dataclass(frozen=True)
class Pin:
    """The weights that a teacher has to begin with.

    Args:
        fingerprint: of the weights before training.
        trusted_since: day of the first round that used them, where the recipe has no fingerprint; else None.
    """

    fingerprint: str
    trusted_since: str | None = None


def pin_of(store: ArtifactStore, ledger: Ledger, file: RecipeFile, part: str) -> Pin | None:
    """Find what the weights at the recipe's source and revision have to be.

    Without a fingerprint in the recipe the first teacher that was made of this source and revision counts, whatever its
    gates found: who exchanges weights later cannot become the first. Teachers of 0.1.0 count too.

    Args:
        store: where manifests are.
        ledger: the order in which teachers were made.
        file: the recipe.
        part: of it, that names the weights: `base`, or see `teacher_part`.

    Returns:
        The pin; None where the recipe has none and no teacher was made of this source and revision yet.
    """
    spec = file.recipe.all_weights[part]
    if spec.fingerprint is not None:
        return Pin(spec.fingerprint)
    for entry in ledger.entries(file.name, "materialization", subject=f"{file.name}/teacher"):
        manifest = store.read_manifest(entry.body["digest"], entry.body["manifest"])
        # Version 0.1.0 named the folder, and no file in it.
        if any(name == spec.address or name.startswith(f"{spec.address}/") for name in manifest.external_inputs):
            found = _fingerprint(manifest.facts, part)
            if found is not None:
                return Pin(found, trusted_since=entry.at[:10])
    return None


def _fingerprint(facts: Mapping[str, Any], part: str) -> str | None:
    """The weights of a part of the recipe that a teacher was made of; None where it had no such part."""
    if part == "base":
        return str(facts["base_fingerprint"])
    members = {teacher_part(name): each for name, each in (facts.get("members") or {"": facts}).items()}
    if part not in members:
        return None
    language_model = members[part].get("language_model")
    return str(language_model["fingerprint"] if language_model else members[part]["base_fingerprint"])
