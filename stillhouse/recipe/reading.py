"""Reading a recipe, with errors that name file, line and field.

Belongs here: a recipe's file and name, and what is said of each mistake in it.
Does not: the fields (parts.py) and the rules between them (contract.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stillhouse.addresses import without_credentials
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Project
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.fields import NAME_IN_WORDS, NAME_PATTERN, PATTERNS_IN_WORDS, FieldError, ManyFieldsError
from stillhouse.recipe.teacher import teacher_part

COMPONENT_TYPE = "orchestration.component.DistillationRecipe"


def require_recipe_name(name: str, where: str) -> str:
    """Return the name if a recipe may have it.

    Args:
        name: what was typed, or the name of a folder.
        where: names the place it came from, for the error.

    Raises:
        StillhouseError: if it has anything but lower-case letters, digits and underscores, or is too long.
    """
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise StillhouseError(
            f"{_short(name)} cannot be the name of a recipe",
            where=where,
            expected=NAME_IN_WORDS,
            do="Choose another name; see `stillhouse list` for those that exist.",
        )
    return name


@dataclass(frozen=True)
class RecipeFile:
    """A recipe, the name it goes by and the file that says so.

    Args:
        name: of the recipe.
        path: of the file.
        recipe: what it says.
        member: the member of its ensemble that `recipe` has in place of its teacher, see `of_member`; else empty.

    Raises:
        StillhouseError: if the name is not fit for a recipe, whoever reads the file.
    """

    name: str
    path: Path
    recipe: Recipe
    member: str = ""

    def __post_init__(self) -> None:
        require_recipe_name(self.name, str(self.path))

    @property
    def root(self) -> Path:
        """The folder from which its relative addresses lead; they stay as they are written, so that a contract does not
        name the machine."""
        return addresses_begin_at(self.path)

    def located(self, address: str) -> str:
        """An address of the recipe as it leads from anywhere."""
        return address if "://" in address else str(self.root / Path(address).expanduser())

    @property
    def by_member(self) -> dict[str, "RecipeFile"]:
        """This recipe for each member of its ensemble, as if that one were its teacher; itself under no name else."""
        return {name: self.of_member(name) for name in self.recipe.teacher.members} or {"": self}

    def of_member(self, name: str) -> "RecipeFile":
        """This recipe as if a member of its ensemble were its teacher."""
        teacher = self.recipe.teacher.members[name]
        return replace(self, recipe=self.recipe.model_copy(update={"teacher": teacher}), member=name)

    def where(self, *field: str | int) -> str:
        """Name the file, line and field of a part of the recipe, for an error message."""
        if self.member and field[:1] == ("teacher",):
            field = (*teacher_part(self.member).split("."), *field[1:])
        try:
            tree = yaml.compose(self.path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, yaml.YAMLError):  # somebody works on it: what is wrong is said all the same
            tree = None
        return _where(self.path, tree, ("attributes", *field))


def read_recipe(path: Path) -> RecipeFile:
    """Read one recipe file.

    Args:
        path: a `defs.yaml`; the name of its folder is the name of the recipe.

    Raises:
        StillhouseError: one line for each mistake, naming file, line and field.
    """
    if not path.is_file():
        raise StillhouseError("no such recipe", where=str(path), expected="a defs.yaml", do="See `stillhouse list`.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StillhouseError(
            f"cannot be read ({error.strerror})",
            where=str(path),
            expected="a file that this account may read",
            do="Give this account the right to read it.",
        ) from error
    return parse_recipe(content, path)


def parse_recipe(content: bytes, path: Path) -> RecipeFile:
    """Read a recipe from the content of its file, which need not be there yet.

    Args:
        content: what the file holds or will hold.
        path: the file; the name of its folder is the name of the recipe.

    Raises:
        StillhouseError: one line for each mistake, naming file, line and field.
    """
    try:
        text = content.decode("utf-8-sig")
        tree, document = yaml.compose(text), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that no calendar has
        mark = getattr(error, "problem_mark", None)
        raise StillhouseError(
            f"not readable as YAML ({getattr(error, 'problem', None) or error})",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            expected="UTF-8 YAML",
            do="Fix the line and run again.",
        ) from error
    is_recipe = isinstance(document, dict) and document.get("type") == COMPONENT_TYPE and "attributes" in document
    if tree is None or not is_recipe:
        raise StillhouseError(
            "this is not a recipe",
            where=f"{path}:1",
            expected=f"`type: {COMPONENT_TYPE}` and `attributes:`",
            do="`stillhouse new NAME --data FILE --text COLUMN --label COLUMN` writes one.",
        )
    twice = [
        f"{path}:{key.start_mark.line + 1}: {key.value} stands there twice, here and in line {line}; of the two only "
        "the last would count. Leave one of them out."
        for key, line in _keys_given_twice(tree)
    ]
    if twice:
        raise InvalidRecipeError(twice)
    try:
        recipe = Recipe.model_validate(document["attributes"])
    except ValidationError as error:
        raise invalid_recipe(path, tree, error) from error
    return RecipeFile(path.parent.name, path, recipe)


def addresses_begin_at(path: Path) -> Path:
    """The folder from which a recipe's relative addresses lead.

    The project that its file is in; without one the checkout, or beside the folder of recipes where Stillhouse is
    installed and no checkout is there.

    Args:
        path: its `defs.yaml`, which need not be there yet.
    """
    project = Project.around(path.parent) or Project.around(CHECKOUT)
    return project.root if project else path.absolute().parents[2]


@dataclass(frozen=True)
class UnreadableRecipe:
    """A recipe that cannot be read.

    Args:
        name: of its folder, which may be a name that no recipe can have.
        path: its file.
        mistakes: what is wrong, one line each, at least one.
    """

    name: str
    path: Path
    mistakes: tuple[str, ...]

    @property
    def in_short(self) -> str:
        """The first mistake, and how many more there are."""
        more = len(self.mistakes) - 1
        return self.mistakes[0] + (f" And {more} more: `stillhouse check`." if more else "")


@dataclass(frozen=True)
class Recipes:
    """All recipes of a folder: a mistake in one of them keeps nobody from the others.

    Args:
        files: those that can be read, by name.
        unreadable: those that cannot, by name.
    """

    files: tuple[RecipeFile, ...]
    unreadable: tuple[UnreadableRecipe, ...]


def recipes_in(folder: Path) -> Recipes:
    """Read every recipe that is a folder with a `defs.yaml` in `folder`."""
    files, unreadable = [], []
    for path in sorted(folder.glob("*/defs.yaml")):
        try:
            files.append(read_recipe(path))
        except StillhouseError as error:
            unreadable.append(UnreadableRecipe(path.parent.name, path, mistakes_of(error)))
    return Recipes(tuple(files), tuple(unreadable))


def mistakes_of(error: StillhouseError) -> tuple[str, ...]:
    """What an error about a recipe says, one line for each mistake, whatever line ends the values have in them."""
    lines = error.lines if isinstance(error, InvalidRecipeError) else [str(error)]
    return tuple(" ".join(line.split()) for line in lines)


class InvalidRecipeError(StillhouseError):
    """One or more mistakes in a recipe, each in a line of its own."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        Exception.__init__(self, "\n".join(lines))


def invalid_recipe(path: Path, tree: yaml.Node, error: ValidationError) -> InvalidRecipeError:
    """Translate what pydantic found into lines that name file, line and field."""
    lines = []
    for problem in error.errors():
        if problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"]:
            continue  # there are enough, and pydantic counts only those in which it finds no mistake
        message = _message_of(problem).removeprefix("Value error, ")
        given = "" if problem["type"] in ("missing", "value_error") else f", not {_short(problem['input'])}"
        found = problem.get("ctx", {}).get("error")
        of_a_name = problem["loc"][-1:] == ("[key]",)  # what a name is refused for is shown where the name stands
        place = problem["loc"][:-1] if of_a_name else problem["loc"]
        if isinstance(found, ManyFieldsError):
            lines += [f"{_where(path, tree, ('attributes', *place, *each.field))}: {each}." for each in found.found]
            continue
        field = (*place, *(found.field if isinstance(found, FieldError) else ()))
        lines.append(f"{_where(path, tree, ('attributes', *field))}: {message}{given}.")
    return InvalidRecipeError(lines)


def _message_of(problem: ErrorDetails) -> str:
    if problem["type"] == "string_pattern_mismatch":
        return f"must be {PATTERNS_IN_WORDS[problem['ctx']['pattern']]}"
    return _MESSAGES.get(problem["type"], problem["msg"])


_MESSAGES = {
    "string_type": "this has to be text; in YAML a number, yes, no, true, false or null is text only in quotes",
    "missing": "this field is missing and has no default",
    "extra_forbidden": "no field of this name exists; see `stillhouse schema` for those that do",
}


def _keys_given_twice(tree: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, int]]:
    """Keys of a mapping that it has already, and the line of the first; YAML itself takes the last without a word."""
    seen: set[int] = set()  # what has an anchor is met again, even inside itself
    queue = [tree]
    while queue:
        node = queue.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            queue += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                queue.append(value)
                if isinstance(key, yaml.ScalarNode):
                    if key.value in lines:
                        yield key, lines[key.value]
                    lines.setdefault(key.value, key.start_mark.line + 1)


def _short(value: Any) -> str:
    text = without_credentials(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _where(path: Path, tree: yaml.Node | None, field: tuple[str | int, ...]) -> str:
    """Name file, line and field; a file that was emptied since it was read is shown at its first line."""
    line = 1 if tree is None else [*_walk(tree, field)][-1].start_mark.line + 1
    shown = ".".join(str(part) for part in field if part != "attributes")
    return f"{path}:{line}: {shown or 'recipe'}"


def _walk(node: yaml.Node, field: tuple[str | int, ...]) -> Iterator[yaml.Node]:
    """Follow `field` down the YAML as far as it goes; an absent field is shown at the block it is missing from."""
    yield node
    for part in field:
        if isinstance(node, yaml.MappingNode):
            found = {key.value: (key, value) for key, value in node.value}.get(str(part))
            if found is None:
                return
            key, node = found
            yield key
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            yield node
        else:
            return
