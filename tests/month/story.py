"""The month: what happens in the world on which day, and what has to come of it.

Belongs here: the days, and what has to come of them.
Does not: how a day goes (play.py), what came of it (chronicle.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.records.batches import batches_of
from tests.command import stillhouse
from tests.month.callers import RARE, abbreviations
from tests.month.world import FIRST_DAY, NAME, World, recipe

ANN = ("--by", "Ann Lee <ann@example.org>")
UNTIL, LAST = ((FIRST_DAY + timedelta(days=days)).strftime("%Y-%m-%d") for days in (19, 35))
LABELLED = 150
"""Questions of the rare class that people label in an afternoon."""


@dataclass(frozen=True)
class Day:
    """What is otherwise on a day.

    Args:
        what: in words.
        mix: shares of classes that differ, see `Callers.on`.
        acts: what is done at which hour.
    """

    what: str = ""
    mix: Mapping[str, float] = field(default_factory=dict)
    acts: Mapping[float, Callable[[World], None]] = field(default_factory=dict)


def _labels_arrive(world: World) -> None:
    rows = pl.DataFrame({"question": abbreviations(LABELLED, seed=1), "service": RARE, "kind": f"{RARE}:exp"})
    inbox = world.place.home.inbox(NAME)
    inbox.mkdir(parents=True, exist_ok=True)
    rows.write_csv(inbox / "abbreviations.csv")


def _accepted(world: World) -> None:
    (batch,) = batches_of(world.place.builds.ledger, NAME)
    gate = f"{NAME}/prompts[{batch}]:the_batch_is_like_the_base"
    say("waive", gate, *ANN, "--reason", "they were labelled for what is asked now", "--until", LAST)


def _quarantined(world: World) -> None:
    say("quarantine", NAME, "length=1-30", *ANN, "--reason", "abbreviations since the day before", "--until", UNTIL)


def _teacher(*, changed: bool) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.teacher_has_changed = changed

    return act


def _teacher_away(*, away: bool) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.teacher_is_away = away

    return act


def _another(*, epochs: int, with_teacher: bool = True, crashes: bool = False) -> Callable[[World], None]:
    def act(world: World) -> None:
        moved = with_teacher != (world.file.recipe.cascade is not None)
        world.change(recipe(world.place.folder, epochs=epochs, with_teacher=with_teacher))
        world.next_one_crashes = crashes
        if moved:
            say("amend", NAME, *ANN, "--reason", "whether the teacher answers is part of the bar")

    return act


def _rolled_back(world: World) -> None:
    say("rollback", NAME, *ANN, "--reason", "it is rude to callers from Spain")


HUMANS, SURGE = {"HUM": 0.5}, {RARE: 0.4}
MONTH: Mapping[int, Day] = {
    8: Day("half of the questions are about people, whom the student knows well", HUMANS),
    9: Day("likewise", HUMANS),
    10: Day("likewise", HUMANS),
    11: Day("two of five questions are for what letters stand for, of which the student has learned nothing", SURGE),
    12: Day("likewise; people label 150 of them", SURGE, {15: _labels_arrive}),
    13: Day("likewise; a person accepts that the new rows are of one class", SURGE, {10: _accepted}),
    14: Day("likewise; a person has the release before answer short questions meanwhile", SURGE, {10: _quarantined}),
    15: Day("the teacher is exchanged in silence", {}, {10: _teacher(changed=True)}),
    16: Day("the old teacher is back in the afternoon", {}, {16: _teacher(changed=False)}),
    18: Day("the recipe is changed: no teacher behind the student, to save its money", {},
            {10: _another(epochs=1, with_teacher=False)}),
    20: Day("the teacher is behind it again; that release fails on long questions", {},
            {10: _another(epochs=2, crashes=True)}),
    22: Day("a good candidate", {}, {10: _another(epochs=3)}),
    26: Day("the teacher is away for six hours", {}, {10: _teacher_away(away=True), 16: _teacher_away(away=False)}),
    28: Day("a person goes back", {}, {12: _rolled_back}),
    29: Day("the clock of the recipe starts a round"),
}  # fmt: skip
DAYS = 30
DEGRADED_ON = {21: "E fails on long questions, and C answers for it", 26: "the teacher is away"}
"""Days on which some answer is not from whom it should be, and why; it says so itself."""


AS_WRITTEN = [
    "0 A serves: its round promoted it",
    "0 a round ends: promoted",
    "0 B is offered",
    "0 a round ends: kept",
    "0 B serves: a person promoted it",
    "1 a round ends: kept",
    "8 a round ends: kept",
    "8 the watch finds inputs: the teacher is asked more often",
    "11 the watch finds fallback: a round is due",
    "12 a round ends: kept",
    "12 rows arrive",
    "12 a round ends: closed",
    "13 C is offered",
    "13 a round ends: kept",
    "14 C answers 5% of the callers",
    "14 A answers length=1-30 instead of B",
    "15 a round ends: kept",
    "15 C answers 25% of the callers",
    "16 the watch finds teacher: a person has to look",
    "17 C answers 50% of the callers",
    "17 C serves: it has shown enough",
    "18 a round ends: taken in",
    "18 D is offered",
    "18 a round ends: kept",
    "18 C serves on: what was on its way is withdrawn",
    "20 a round ends: taken in",
    "20 E is offered",
    "20 a round ends: kept",
    "20 E answers 5% of the callers",
    "21 C serves on: what was on its way is withdrawn",
    "22 a round ends: closed",
    "22 a round ends: taken in",
    "22 F is offered",
    "22 a round ends: kept",
    "22 F answers 5% of the callers",
    "24 F answers 25% of the callers",
    "25 F answers 50% of the callers",
    "25 F serves: it has shown enough",
    "28 C serves: the one before it was taken back",
    "29 a round ends: closed",
]
"""Day and what comes of it. On day 22 the clock brings E back no more, on day 29 it does not undo what a person did."""


def say(*arguments: str) -> None:
    """Give a command, as a person would."""
    ended = stillhouse(*arguments)
    if ended.returncode:
        raise StillhouseError(
            ended.stdout + ended.stderr, where=" ".join(arguments), expected="exit code 0", do="Read its output."
        )
