"""The classes that a recipe names by hand, which only its rows can show to be misspelt.

Belongs here: which fields name a class, and saying which of them the rows do not have.
Does not: closing anything (checks/prompts/labels.py), classes that the rows bring by themselves (data/).
"""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from stillhouse.data.quoting import quoted
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile

CLASSES_SHOWN = 20
"""More class names than this make a sentence that nobody reads to its end."""

Field = tuple[str | int, ...]


@dataclass(frozen=True)
class UnknownClass:
    """A class that a recipe names and no row has.

    Args:
        field: which field of the recipe names it.
        name: as it is written there.
        classes: those that there are, sorted.
    """

    field: Field
    name: str
    classes: tuple[str, ...]

    @property
    def what(self) -> str:
        """What is wrong, in one sentence."""
        return f"no labelled row is of class {self.name!r}"

    @property
    def there_are(self) -> str:
        """The classes that there are, as far as somebody will read."""
        more = len(self.classes) - CLASSES_SHOWN
        return ", ".join(map(quoted, self.classes[:CLASSES_SHOWN])) + (f" and {more} more" if more > 0 else "")

    @property
    def hint(self) -> str:
        """The class that was probably meant."""
        close = get_close_matches(self.name, self.classes, n=1)
        return f"Did you mean {quoted(close[0])!r}?" if close else "Name one of these in the recipe, or add rows of it."


def named_classes(recipe: Recipe) -> dict[Field, str]:
    """Every class that a recipe names, by the field that names it."""
    named: dict[Field, str | None] = {("bar", "metric_class"): recipe.bar.metric_class}
    for index, test in enumerate(recipe.behaviour):
        named |= {("behaviour", index, "cases", number, "label"): case.label for number, case in enumerate(test.cases)}
    return {field: name for field, name in named.items() if name is not None}


def unknown_classes(recipe: Recipe, classes: Collection[str]) -> list[UnknownClass]:
    """Those of the named classes that are none of the classes there are.

    Args:
        recipe: names classes.
        classes: of the labelled rows.
    """
    known = tuple(sorted(classes))
    return [UnknownClass(field, name, known) for field, name in named_classes(recipe).items() if name not in known]


def require_named_classes(file: RecipeFile, classes: Collection[str]) -> None:
    """Refuse a recipe that names a class which no row has.

    Raises:
        StillhouseError: for the first one, naming file, line and field, the classes there are and the closest.
    """
    for unknown in unknown_classes(file.recipe, classes):
        raise StillhouseError(
            unknown.what,
            where=file.where(*unknown.field),
            expected=f"one of {unknown.there_are}",
            do=unknown.hint,
        )
