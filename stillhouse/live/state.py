"""What watches remember and have found, beside the ledger: one row a recipe, written in place of the one that was read.

Belongs here: the two tables, compare-and-set, findings that were not handed on yet.
Does not: what the state means (watch.py), whom a finding is reported to (orchestration/watch_findings.py).

Of two watches at once one writes, and the other looks again. Findings are written in the transaction that moves the
state, so that none is lost and none is there twice, whatever is killed when.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import ValidationError

from stillhouse.errors import StillhouseError
from stillhouse.live.findings import LiveFinding
from stillhouse.live.watch import WatchState
from stillhouse.records.databases import engine_with

_metadata = sa.MetaData()
_states = sa.Table(
    "watch_states",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)
_findings = sa.Table(
    "live_findings",
    _metadata,
    sa.Column("recipe", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("finding", sa.Text, nullable=False),
    sa.Column("handed_on", sa.Boolean, nullable=False),
)


@dataclass(frozen=True)
class Remembered:
    """A state, and which writing of it this is.

    Args:
        version: 0 before the first.
        state: None before the first.
    """

    version: int
    state: WatchState | None


class WatchBook:
    """The memory of the watch over one recipe.

    Args:
        url: of the ledger's database.
        recipe: whose.
    """

    def __init__(self, url: str, recipe: str) -> None:
        self._engine, self.recipe = engine_with(url, _states, _findings), recipe

    def read(self) -> Remembered:
        """The state as it is now.

        Raises:
            StillhouseError: if another version of Stillhouse wrote another one.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_states).where(_states.c.recipe == self.recipe)).first()
        if row is None:
            return Remembered(0, None)
        try:
            return Remembered(row.version, WatchState.model_validate_json(row.state))
        except ValidationError as error:
            raise StillhouseError(
                "what the watch remembers is not what this version of Stillhouse reads",
                where=f"table watch_states, {self.recipe}",
                expected="a state as this version writes it",
                do="Delete this row: the watch then begins again, and what was found so far stays.",
            ) from error

    def write(self, read: Remembered, state: WatchState, findings: Sequence[LiveFinding]) -> bool:
        """Put a state in the place of the one that was read, with what was found on the way.

        Returns:
            Whether it was: if somebody has written meanwhile, nothing is.
        """
        text = state.model_dump_json()
        try:
            with self._engine.begin() as connection:
                if read.version == 0:
                    connection.execute(_states.insert().values(recipe=self.recipe, version=1, state=text))
                else:
                    same = (_states.c.recipe == self.recipe) & (_states.c.version == read.version)
                    moved = _states.update().where(same).values(version=read.version + 1, state=text)
                    if connection.execute(moved).rowcount == 0:
                        return False
                for each in findings:
                    row = {"recipe": self.recipe, "key": each.key, "at": each.at, "finding": each.model_dump_json()}
                    connection.execute(_findings.insert().values(**row, handed_on=False))
        except sa.exc.IntegrityError:
            return False
        return True

    def findings(self, *, since: float = 0.0, waiting: bool = False) -> list[LiveFinding]:
        """What was found, the oldest first.

        Args:
            since: in seconds since 1970.
            waiting: those alone that were not handed on yet.
        """
        wanted = sa.select(_findings.c.finding).where(_findings.c.recipe == self.recipe, _findings.c.at >= since)
        if waiting:
            wanted = wanted.where(_findings.c.handed_on.is_(False))
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.order_by(_findings.c.at, _findings.c.key)).all()
        return [LiveFinding.model_validate_json(row.finding) for row in rows]

    def handed_on(self, finding: LiveFinding) -> None:
        """Remember that a finding was handed on to those who tell people and start rounds."""
        same = (_findings.c.recipe == self.recipe) & (_findings.c.key == finding.key)
        with self._engine.begin() as connection:
            connection.execute(_findings.update().where(same).values(handed_on=True))
