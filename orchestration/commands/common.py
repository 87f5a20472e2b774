"""What all commands share.

Belongs here: arguments that several have, finding a recipe by its name, making the state folder ready.
Does not: a command, exit codes (orchestration/cli.py).
"""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.terminal import err, out
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, recipes_folder, setting
from stillhouse.recipe.reading import RecipeFile, Recipes, read_recipe, recipes_in, require_recipe_name

if TYPE_CHECKING:
    from stillhouse.records.builds import BuildStore

Name = Annotated[str, typer.Argument(help="Name of a recipe, see `stillhouse list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
By = Annotated[str, typer.Option(help="Your name, better with an e-mail address; your account is recorded beside it.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the ledger in a year.")]


def make_ready(home: Home) -> None:
    """Make the state folder, its databases, and the batches that Dagster has to know, ready for several processes."""
    from orchestration.batches import sync_batches
    from orchestration.instance import initialise
    from stillhouse.records.builds import BuildStore

    recipes = recipes_in(recipes_folder())
    with initialise(home, notice=lambda line: out.say(line, style="yellow")) as instance:
        for file in recipes.files:
            sync_batches(instance, BuildStore(home), file)
    say_unreadable(recipes)


def all_recipes() -> Recipes:
    """Every recipe there is; where there is none, that is said on standard error, with where they would be.

    Raises:
        StillhouseError: if STILLHOUSE_RECIPES names what is no folder.
    """
    folder = recipes_folder()
    if setting("STILLHOUSE_RECIPES") is not None and not folder.is_dir():
        raise StillhouseError(
            "it is a file" if folder.exists() else "there is no such folder",
            where=f"STILLHOUSE_RECIPES={folder}",
            expected="a folder with a folder for each recipe",
            do="Correct or unset the variable; `stillhouse new` makes the folder with its first recipe.",
        )
    found = recipes_in(folder)
    if not found.files and not found.unreadable:
        err.say(f"no recipe in {folder}: `stillhouse new` writes one", style="yellow")
    return found


def say_unreadable(recipes: Recipes) -> None:
    """On standard error, so that JSON stays JSON."""
    for each in recipes.unreadable:
        err.say(f"recipe {each.name} is left out: {each.in_short}", style="yellow")


def find_recipe(name: str) -> RecipeFile:
    """Read a recipe by its name.

    Raises:
        StillhouseError: if there is none, or it cannot be read.
    """
    path = recipes_folder() / require_recipe_name(name, "recipe") / "defs.yaml"
    if not path.exists():
        raise no_recipe(recipes_in(recipes_folder()), name)
    return read_recipe(path)


def builds_here() -> "BuildStore":
    """What was made in this installation, and its ledger; loaded only now, since it takes a while."""
    from stillhouse.records.builds import BuildStore

    return BuildStore(Home.from_environment())


def name_on_record(name: str) -> str:
    """The name of a recipe that there is, or of which this installation has made something.

    For what rests on records alone: a recipe may have been renamed since, removed, or be no recipe while it is edited.

    Raises:
        StillhouseError: if neither is so.
    """
    from stillhouse.records.ledger import Ledger

    path = recipes_folder() / require_recipe_name(name, "recipe") / "defs.yaml"
    if not path.exists() and Ledger(Home.from_environment().ledger_url).newest(name, "materialization") is None:
        raise no_recipe(recipes_in(recipes_folder()), name)
    return name


def only(recipes: Recipes, name: str) -> Recipes:
    """One recipe of a folder, readable or not."""
    files = tuple(file for file in recipes.files if file.name == name)
    unreadable = tuple(each for each in recipes.unreadable if each.name == name)
    if not files and not unreadable:
        raise no_recipe(recipes, name)
    return Recipes(files, unreadable)


def no_recipe(recipes: Recipes, name: str) -> StillhouseError:
    """What is said of a name that no recipe has."""
    names = [*(file.name for file in recipes.files), *(each.name for each in recipes.unreadable)]
    known = ", ".join(sorted(names)) or "none yet"
    return StillhouseError(
        "no recipe of this name", where=name, expected=f"one of: {known}", do="`stillhouse new` writes a new one."
    )
