"""Whether weights can be what a recipe asks of them: cut so, and asked texts that long. All of it from config.json.

Belongs here: what is wrong, in the line of the recipe that asks for it, before any of the weights is loaded.
Does not: whether the weights are safe and whole (weights.py), cutting them (students/pruning.py), who closes what
because of it (checks/contract.py, orchestration/recipe_check.py).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stillhouse.errors import StillhouseError
from stillhouse.models.family import family_of
from stillhouse.models.language_model import longest_context
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind, TeacherSpec
from stillhouse.recipe.training import TrainingConfig

Field = tuple[str | int, ...]


def unfit(file: RecipeFile, part: str, config: Mapping[str, Any]) -> Iterator[StillhouseError]:
    """What a recipe asks of weights that they cannot be or do.

    Args:
        file: the recipe.
        part: of it, that names the weights, see `Recipe.all_weights`.
        config: their config.json, let in by models/weights.py.
    """
    recipe, spec = file.recipe, file.recipe.all_weights[part]
    kind = "base" if part == "base" else "teacher"
    if isinstance(spec, TeacherSpec) and spec.kind is TeacherKind.CAUSAL_LM:
        positions = longest_context(config)
    else:
        positions = family_of(config, "config.json").longest_text(config)
    if part == recipe.part_of_weights:
        yield from _unfit_cuts(file, config, kind)
    for field, tokens in _lengths(recipe, part):
        if isinstance(positions, int) and tokens > positions:
            yield StillhouseError(
                f"texts of {tokens} tokens",
                where=file.where(*field, "max_tokens"),
                expected=f"at most the {kind}'s {positions}",
                do=f"Set max_tokens: {positions}, or choose a {kind} that reads more.",
            )


def _unfit_cuts(file: RecipeFile, config: Mapping[str, Any], kind: str) -> Iterator[StillhouseError]:
    """Students that are no part of these weights."""
    family = family_of(config, "config.json")
    sizes = family.sizes(config)
    for index, student in enumerate(file.recipe.students):
        expected = family.layers_expected(file.recipe.layers_of(student), config)
        if student.layers and expected is not None:
            yield StillhouseError(
                f"{student.name} cannot have the layers {list(student.layers)}",
                where=file.where("students", index, "layers"),
                expected=expected,
                do="Correct the layers.",
            )
        learner = file.recipe.with_layers_named(student).training if student.learns_from == "teacher" else None
        for field, term in () if learner is None or expected is not None else learner.layer_terms:
            if max(other for _, other in term.pairs) >= sizes.layers:
                yield StillhouseError(
                    f"no layer of {student.name} can learn layer {max(other for _, other in term.pairs)}",
                    where=file.where("students", index, "training", *field, "layers"),
                    expected=f"numbers from 0 to {sizes.layers - 1}, as many as the {kind} has layers",
                    do="Correct the layers.",
                )
        if student.feed_forward is not None and student.feed_forward >= sizes.units:
            yield StillhouseError(
                f"{student.name} cannot keep {student.feed_forward} units of each block",
                where=file.where("students", index, "feed_forward"),
                expected=f"fewer than the {kind}'s {sizes.units}",
                do="Correct feed_forward, or leave it out.",
            )
        if not student.layers and "dimensions" in student.model_fields_set and student.dimensions > sizes.width:
            yield StillhouseError(
                f"{student.name} cannot have vectors of {student.dimensions} dimensions",
                where=file.where("students", index, "dimensions"),
                expected=f"at most the {kind}'s {sizes.width}",
                do="Correct dimensions, or leave it out.",
            )


def _lengths(recipe: Recipe, part: str) -> Iterator[tuple[Field, int]]:
    """Every `max_tokens` that the recipe itself says of these weights and of what is cut from them."""
    spec, trainings = recipe.all_weights[part], dict[Field, TrainingConfig | None]()
    if isinstance(spec, TeacherSpec):
        here: Field = tuple(part.split("."))
        if spec.max_tokens is not None:
            yield here, spec.max_tokens
        trainings[*here, "training"] = spec.training
    if part == recipe.part_of_weights:
        trainings |= {("students", index, "training"): each.training for index, each in enumerate(recipe.students)}
    for field, training in trainings.items():
        if training is not None and "max_tokens" in training.model_fields_set:
            yield field, training.max_tokens
