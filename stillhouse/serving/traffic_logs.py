"""The traffic logs of an installation: one for each recipe and replica, in a folder of its own.

Belongs here: opening the one of a recipe as that says, forwarding what ended processes of this machine have left, and
keeping what was promised of recipes that keep nothing any more.
Does not: keeping rows (spool.py).
"""

import logging
import re
import sqlite3
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, recipes_kept
from stillhouse.live.thinning import Room
from stillhouse.live.traffic import day_for_all, expire
from stillhouse.recipe.reading import RecipeFile, Recipes
from stillhouse.serving.sealing import tally_of_ended
from stillhouse.serving.spool import LogInUseError, TrafficLog
from stillhouse.serving.spool_database import is_closed, opened

LOG = logging.getLogger("stillhouse.serving")

_REPLICA = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def log_of(home: Home, file: RecipeFile, replica: str) -> TrafficLog:
    """The log of a recipe in a serving process of this installation.

    Raises:
        StillhouseError: if the name cannot be one of a folder, or as `TrafficLog`.
    """
    if re.fullmatch(_REPLICA, replica) is None:
        raise StillhouseError(
            f"{replica[:100]!r} cannot be the name of a replica",
            where="--replica",
            expected="letters, digits, dots, dashes and underscores, at most 100",
            do="Choose another name.",
        )
    spec, store = file.recipe.traffic, TrafficStore(home.artifacts, file.name)
    assert spec is not None  # a recipe that keeps nothing has no log

    def remove_what_has_expired(today: date) -> None:
        try:
            day = day_for_all(home.ledger_url, today)
        except (StillhouseError, SQLAlchemyError, OSError) as error:  # rows are sealed and moved without the ledger
            LOG.warning(
                "traffic log of %s: nothing expires today, the ledger's clock cannot be read (%s)",
                file.name, type(error).__name__,
            )  # fmt: skip
            return
        if day < today:
            LOG.error("traffic log of %s: the clock here says %s and the ledger's %s", file.name, today, day)
        store.promise(spec)
        expire(store, spec, day)

    return TrafficLog(
        _spools(home, file) / replica,
        replica,
        store,
        keep_texts=file.recipe.keeps_texts,
        columns=KeptColumns.of(file.recipe),
        room=None if spec.bytes_at_most is None else Room(store, spec.bytes_at_most, spec.days),
        each_day=remove_what_has_expired,
    )


def forward_left(home: Home, file: RecipeFile) -> list[str]:
    """Count, seal and move what ended processes of this machine have left, and give the names of their replicas.

    Spools stay, since a replica of the same name counts on from them, and this is done with each report: one of which
    nothing is left is only looked into.
    """
    found = []
    for path in sorted(_spools(home, file).glob("*/spool.db")):
        replica = path.parent.name
        if nothing_is_left(path, replica):
            continue
        with suppress(LogInUseError):  # a process that works forwards its own
            log_of(home, file, replica).close()
            found.append(replica)
    return found


def keep_promises(home: Home, recipes: Recipes, today: date) -> list[str]:
    """Of recipes that keep nothing now seal what spools here have left, and remove what is as old as was promised.

    Whoever takes `traffic:` out of a recipe, or removes a recipe, leaves nobody who goes by it. One that cannot be read
    may say that it keeps something, and is left alone. Where something of one cannot be looked at, that is logged, and
    the others are gone on with: nobody else would look at those.

    Args:
        home: the installation.
        recipes: all that it has.
        today: by the clock of this machine.

    Returns:
        The names of those recipes.
    """
    keep = {file.name for file in recipes.files if file.recipe.traffic is not None}
    keep |= {each.name for each in recipes.unreadable}
    spools = home.serving / "traffic"
    there = {*recipes_kept(home.artifacts), *(path.name for path in spools.glob("*") if path.is_dir())}
    day = day_for_all(home.ledger_url, today)
    for name in (found := sorted(there - keep)):
        store = TrafficStore(home.artifacts, name)
        for keeps in (partial(_seal_what_is_left, spools / name, store), partial(_expire_as_promised, store, day)):
            try:
                keeps()
            except Exception as error:  # each fsspec backend raises errors of its own, and so does a broken database
                LOG.warning("traffic of %s, which no recipe keeps any more: %s: %s", name, type(error).__name__, error)
    return found


def _seal_what_is_left(spools: Path, store: TrafficStore) -> None:
    for path in spools.glob("*/spool.db"):
        if not nothing_is_left(path, path.parent.name):
            with suppress(LogInUseError):  # a server that began when the recipe said otherwise
                TrafficLog(path.parent, path.parent.name, store, keep_texts=False).close()


def _expire_as_promised(store: TrafficStore, day: date) -> None:
    if (promised := store.promised()) is not None:
        expire(store, promised, day)
        store.forget_erasures(((day - date(1970, 1, 1)).days - promised.days) * SECONDS_A_DAY)


def nothing_is_left(path: Path, replica: str) -> bool:
    """Whether a process has closed its spool, and all that was in it is on the store, with what was counted."""
    with opened(path) as database:
        if not is_closed(database):
            return False
        database.row_factory = sqlite3.Row
        for row in database.execute("SELECT * FROM days"):
            tally = tally_of_ended(row, replica)
            if tally.unsealed or row["published"] != tally.model_dump_json():
                return False
    return True


def _spools(home: Home, file: RecipeFile) -> Path:
    return home.serving / "traffic" / file.name
