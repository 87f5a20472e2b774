"""Where the state and the recipes of a Stillhouse installation live, and which variables move them.

Belongs here: the variables, the project that a folder belongs to, the names of the places under STILLHOUSE_HOME.
Does not: what is written there (records/, teachers/signal.py), making a project (orchestration/project.py).

A project is a folder whose `pyproject.toml` has a table `[tool.stillhouse]`; a checkout of Stillhouse is one, too. Its
recipes, and its state in `.stillhouse/`, lie inside it. Without a project both are in the user's data folder, and never
beside installed code.
"""

import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from stillhouse import device
from stillhouse.errors import StillhouseError

CHECKOUT = Path(__file__).resolve().parents[1]
"""The folder that holds this code: a checkout, or what `pip install` fills."""

PROJECT_FILE = "pyproject.toml"


def setting(name: str) -> str | None:
    """The value of a variable of the environment; None where it is empty or blank, as where it is not there."""
    value = os.environ.get(name, "")
    return value if value.strip() else None


@dataclass(frozen=True)
class Project:
    """A folder with recipes, and with the state of what they make.

    Args:
        root: where `pyproject.toml` lies; relative addresses in its recipes begin here.
        recipes: the folder with a folder for each recipe.
    """

    root: Path
    recipes: Path

    @classmethod
    def around(cls, folder: Path) -> "Project | None":
        """The project that a folder belongs to, itself or one above it; None where there is none.

        Raises:
            StillhouseError: if `[tool.stillhouse]` cannot be read.
        """
        folder = folder.resolve()
        return next(filter(None, map(cls._at, (folder, *folder.parents))), None)

    @classmethod
    def here(cls) -> "Project | None":
        """The project of the working directory, else the one whose environment this program is of, else the checkout.

        A checkout that was copied with its environment still runs the code of the old one. It is asked first, so that
        nothing of the old one is written to.

        Raises:
            StillhouseError: if `[tool.stillhouse]` cannot be read, or the working directory is gone.
        """
        try:
            working = Path.cwd()
        except FileNotFoundError as error:
            raise StillhouseError(
                "the working directory was removed",
                where=".",
                expected="a folder that is there",
                do="Change to another.",
            ) from error
        program = working / sys.argv[0] if sys.argv else working
        places = (working, program.parent, CHECKOUT)
        return next(filter(None, map(cls.around, places)), None)

    @classmethod
    def _at(cls, root: Path) -> "Project | None":
        file = root / PROJECT_FILE
        try:
            content = file.read_bytes()
        except OSError:  # none there, or none that we may read
            return None
        if b"stillhouse" not in content:
            return None
        try:
            tables = tomllib.loads(content.decode()).get("tool", {})
            recipes = tables["stillhouse"].get("recipes", "recipes") if "stillhouse" in tables else None
            return None if recipes is None else cls(root, root / recipes)
        except (ValueError, TypeError, AttributeError) as error:
            raise StillhouseError(
                f"[tool.stillhouse] cannot be read ({error})",
                where=str(file),
                expected="a table with `recipes`, the name of a folder",
                do="Correct the file.",
            ) from error


def recipes_folder() -> Path:
    """Where recipes are, for the command line and the UI alike: STILLHOUSE_RECIPES, or the project's folder of them."""
    given = setting("STILLHOUSE_RECIPES")
    if given is not None:
        return Path(given).expanduser().absolute()
    project = Project.here()
    return project.recipes if project else _user_data() / "recipes"


def _absolute(address: str) -> str:
    """A folder, or SQLite's file, from the root of the file system; any other address as it is."""
    sqlite = "sqlite:///"
    if address.startswith(sqlite) and address not in (sqlite, f"{sqlite}:memory:"):
        return f"{sqlite}{Path(address.removeprefix(sqlite)).absolute()}"
    return address if "://" in address else str(Path(address).expanduser().absolute())


def _user_data() -> Path:
    return platformdirs.user_data_path("stillhouse", appauthor=False)


@dataclass(frozen=True)
class Home:
    """The places of one installation.

    Args:
        root: the folder that holds all state.
        artifacts: where artifacts go, a folder or any fsspec URL such as `s3://bucket/prefix`.
        ledger_url: SQLAlchemy URL of the ledger.
        device: the setting of what it computes on, which a recipe must not name: it belongs to the machine.
    """

    root: Path
    artifacts: str
    ledger_url: str
    device: str = device.DEFAULT

    @classmethod
    def from_environment(cls) -> "Home":
        """Read STILLHOUSE_HOME, STILLHOUSE_ARTIFACTS, STILLHOUSE_LEDGER_URL and STILLHOUSE_DEVICE; else the project's.

        Raises:
            StillhouseError: if the project's file cannot be read, or there is no such kind of device.
        """
        given = setting("STILLHOUSE_HOME")
        if given is not None:
            root = Path(given).expanduser().absolute()
        else:
            project = Project.here()
            root = project.root / ".stillhouse" if project else _user_data() / "state"
        return cls(
            root=root,
            artifacts=_absolute(setting("STILLHOUSE_ARTIFACTS") or str(root / "artifacts")),
            ledger_url=_absolute(setting("STILLHOUSE_LEDGER_URL") or f"sqlite:///{root / 'ledger.db'}"),
            device=device.setting_of(setting(device.SETTING)),
        )

    def environment(self) -> dict[str, str]:
        """The variables with which a process in another working directory finds the same places as this one."""
        places = {
            "STILLHOUSE_HOME": str(self.root),
            "STILLHOUSE_ARTIFACTS": self.artifacts,
            "STILLHOUSE_LEDGER_URL": self.ledger_url,
            "STILLHOUSE_RECIPES": str(recipes_folder()),
            device.SETTING: self.device,
        }
        outside = {name: value for name in ("STILLHOUSE_KEYS", "STILLHOUSE_WITNESS") if (value := setting(name))}
        return {**places, **{name: _absolute(value) for name, value in outside.items()}}

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: Dagster's own runs, events and schedules."""
        return self.root / "dagster"

    @property
    def signal(self) -> Path:
        """What teachers have said, kept per row across runs."""
        return self.root / "signal"

    @property
    def checkpoints(self) -> Path:
        """Half-trained students, so that a killed run goes on where it was."""
        return self.root / "checkpoints"

    @property
    def workbench(self) -> Path:
        """Artifacts being built; anything here may be deleted while nothing runs."""
        return self.root / "workbench"

    @property
    def cache(self) -> Path:
        """Local copies of artifacts whose store is remote."""
        return self.root / "cache"

    @property
    def reports(self) -> Path:
        """Reports that a person opens in a browser."""
        return self.root / "reports"

    @property
    def locks(self) -> Path:
        """A file for each recipe, locked while a run of it works."""
        return self.root / "locks"

    @property
    def serving(self) -> Path:
        """Of servers: their secret, hashes of tokens, and what each recipe was served by last."""
        return self.root / "serving"

    @property
    def looks(self) -> Path:
        """What each drop folder looked like when it was last looked at; anything here may be deleted at any time."""
        return self.root / "looks"

    def inbox(self, recipe: str) -> Path:
        """The drop folder of a recipe that names none of its own."""
        return self.root / "inbox" / recipe
