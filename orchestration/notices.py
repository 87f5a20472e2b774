"""Telling the owners of a recipe how a round ended, wherever they read it: mail, chat, a web hook.

Belongs here: resolving their addresses, and sending by apprise, which knows the services.
Does not: how a round ended (outcomes.py), the field of the recipe (stillhouse/recipe/contract.py).

A notice that cannot be sent stops no round. The log of the run says so, without the address, which may hold a secret.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stillhouse.errors import StillhouseError
from stillhouse.home import recipes_folder
from stillhouse.recipe.reading import read_recipe


class Tone(StrEnum):
    """How a service shows a notice; the values are apprise's."""

    GOOD = "success"
    PLAIN = "info"
    LOOK = "warning"
    BROKEN = "failure"


@dataclass(frozen=True)
class Notice:
    """What owners are sent.

    Args:
        title: one line.
        text: the rest.
        tone: how it is meant.
    """

    title: str
    text: str
    tone: Tone


def notify_owners(recipe: str, notice: Notice) -> list[str]:
    """Send a notice to every address that a recipe names now; read again each time, so that a new address counts.

    Returns:
        One line for each address that was not reached, and why.
    """
    path = recipes_folder() / recipe / "defs.yaml"
    try:
        addresses = read_recipe(path).recipe.notify if path.exists() else ()
    except StillhouseError as error:
        return [f"nobody was notified, because the recipe cannot be read: {' '.join(str(error).split())}"]
    return list(_not_reached(addresses, notice))


def _not_reached(addresses: Sequence[str], notice: Notice) -> Iterator[str]:
    for place, written in enumerate(addresses):
        where = f"notify.{place} of the recipe was not notified"
        name = written.removeprefix("${").removesuffix("}")
        address = os.environ.get(name, "") if name != written else written
        if not address:
            yield f"{where}: the variable {name} is not set"
            continue
        import apprise

        sender = apprise.Apprise()
        if not sender.add(address):
            yield f"{where}: it is no address that apprise knows"
        elif not sender.notify(title=notice.title, body=notice.text, notify_type=notice.tone.value):
            yield f"{where}: the service did not take it"
