"""Packages that Stillhouse finds beside its own: files inside one, `package://<import name>/<path inside>`, and extras.

Belongs here: the one rule by which such an address becomes a path, for rows and for weights alike, and how an extra of
Stillhouse that is missing is installed.
Does not: what the file holds (the readers in data/, models/weights.py).
"""

from importlib.util import find_spec
from pathlib import Path

from stillhouse.errors import StillhouseError

SCHEME = "package://"


def how_to_install(extra: str) -> str:
    """The command that adds an extra; never by the bare name, under which an index has nothing, or something else."""
    return f"Run `pip install '/path/to/checkout[{extra}]'`, with the checkout that Stillhouse was installed from."


def in_package(uri: str) -> Path:
    """Find a path inside an installed package, which is not imported.

    Args:
        uri: `package://<import name>/<path inside>`; the path may lead to nothing, which the caller tells.

    Returns:
        The path. It is below the package's own folder, links followed.

    Raises:
        StillhouseError: if the package is not installed, or the path is empty or leads out of it.
    """
    name, _, inside = uri.removeprefix(SCHEME).partition("/")
    # A dotted name would make find_spec import the parent package.
    spec = find_spec(name) if name.isidentifier() and name != "__main__" else None
    if spec is None:
        raise StillhouseError(
            f"no package {name!r} is installed",
            where=uri,
            expected="package://<import name>/<path inside>",
            do=f"Run `pip install` for the package that gives `import {name}`.",
        )
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    inside_of = [folder for folder in folders if (folder / inside).resolve().is_relative_to(folder.resolve())]
    if not inside or not inside_of:
        raise StillhouseError(
            f"{inside!r} is not inside package {name!r}",
            where=uri,
            expected="package://<import name>/<path inside>",
            do="Name a file in the package's own folder.",
        )
    return next((folder / inside for folder in inside_of if (folder / inside).exists()), inside_of[0] / inside)
