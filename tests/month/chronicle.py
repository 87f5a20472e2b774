"""What came of the month, read from what the installation itself has written down.

Belongs here: the ledger and the findings of the watch as lines of a day.
Does not: what was to come of it (story.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from string import ascii_uppercase

from orchestration.watch import book_of
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Stage, deployment_of
from stillhouse.records.ledger import Entry

_SERVES = {
    "round": "its round promoted it",
    "promote": "a person promoted it",
    "rollout": "it has shown enough",
    "rollback": "the one before it was taken back",
}


@dataclass(frozen=True)
class Line:
    """One thing that happened.

    Args:
        at: when.
        what: in words that are the same each time the month is played.
        more: with the figures of this time.
    """

    at: datetime
    what: str
    more: str = ""


class Names:
    """Releases by letters, in the order in which they appear."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def __call__(self, release: str) -> str:
        return self._letters.setdefault(release, ascii_uppercase[len(self._letters)])


def chronicle(builds: BuildStore, file: RecipeFile) -> list[Line]:
    """All that happened to a recipe, the first first."""
    names = Names()
    lines = [line for entry in builds.ledger.entries(file.name) for line in _of_entry(entry, names)]
    for finding in book_of(builds, file).findings():
        at = datetime.fromtimestamp(finding.at).astimezone()
        lines.append(Line(at, f"the watch finds {finding.kind}: {finding.action}", finding.sentence))
    return sorted(lines, key=lambda line: line.at)


def _of_entry(entry: Entry, names: Names) -> Iterator[Line]:
    at = datetime.fromisoformat(entry.at)
    if entry.kind == "round":
        yield Line(at, f"a round ends: {entry.body['ending']}", f"{entry.body['because']}: {entry.body['sentence']}")
    elif entry.kind == "batch":
        yield Line(at, "rows arrive", entry.body["because"])
    elif entry.kind == "deployment":
        yield from _of_deployment(entry, at, names)


def _of_deployment(entry: Entry, at: datetime, names: Names) -> Iterator[Line]:
    found = deployment_of(entry)
    champion = names(found.champion.release)
    if found.because in _SERVES:
        yield Line(at, f"{champion} serves: {_SERVES[found.because]}", str(entry.body.get("reason", "")))
    elif found.because == "quarantine":
        (taken,) = found.quarantine
        assert taken.instead is not None
        yield Line(at, f"{names(taken.instead.release)} answers {taken.slice} instead of {champion}", taken.reason)
    elif found.because == "withdraw":
        yield Line(at, f"{champion} serves on: what was on its way is withdrawn", str(entry.body["reason"]))
    elif found.challenger is not None:
        of_it = names(found.challenger.deployed.release)
        if found.because == "offer":
            yield Line(at, f"{of_it} is offered")
        elif found.challenger.stuck is not None:
            yield Line(at, f"{of_it} is held", found.challenger.stuck)
        elif found.challenger.stage is Stage.CANARY:
            yield Line(at, f"{of_it} answers {found.challenger.share:.0%} of the callers")
