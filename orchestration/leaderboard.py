"""Every model that a recipe ever judged, on the board of its golden set.

Belongs here: reading all evaluations that the ledger names, and saying which golden sets there are.
Does not: what may stand on one board (stillhouse/evaluation/leaderboard.py), printing (commands/).
"""

from pydantic import Field, ValidationError

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.leaderboard import DIGITS_SHOWN, JudgedRound, Leaderboard, leaderboard
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.ledger import Entry
from stillhouse.stages.names import BASELINES, EVALUATION


class OtherBoard(Record):
    """The models of another golden set, with which nothing on this board compares."""

    golden_digest: str
    golden_rows: int
    models: int
    last_judged: str = Field(description="ISO 8601, UTC.")


class Board(Leaderboard):
    """Every model that a recipe ever judged by one golden set."""

    recipe: str
    current: bool = Field(description="Whether this is the golden set of the newest evaluation.")
    terms_are_current: bool = Field(description="Whether the newest verdict is of what the recipe asks at present.")
    left_out: tuple[OtherBoard, ...]
    unreadable: tuple[str, ...] = Field(description="Rounds that another version wrote.")


def board(builds: BuildStore, file: RecipeFile, golden: str | None = None) -> Board:
    """Rank the models of every round that were judged by one golden set.

    Args:
        builds: whose ledger and store are read.
        file: the recipe.
        golden: the beginning of a golden digest; that of the newest evaluation when left out.

    Raises:
        StillhouseError: if nothing was evaluated yet, an artifact was altered, or no golden set, or more than one, is
            of that digest.
    """
    judged, unreadable = _judged(builds, file)
    if not judged:
        raise StillhouseError(
            f"all of its {len(unreadable)} evaluations are of another version" if unreadable else "it has none yet",
            where=f"{file.name}/{EVALUATION}",
            expected="an evaluated candidate or baseline",
            do=f"`stillhouse run {file.name}` judges them.",
        )
    of_golden: dict[str, list[JudgedRound]] = {}
    for each in judged:
        of_golden.setdefault(each.evaluation.golden_digest, []).append(each)
    newest = judged[-1].evaluation.golden_digest
    chosen = newest if golden is None else _one_of(list(of_golden), golden, file.name)
    boards = {digest: leaderboard(each, champion=_champion(builds, file.name)) for digest, each in of_golden.items()}
    last = of_golden[chosen][-1].evaluation
    return Board(
        **dict(boards[chosen]),
        recipe=file.name,
        current=chosen == newest,
        terms_are_current=last.terms == file.recipe.terms,
        left_out=tuple(
            OtherBoard(
                golden_digest=digest,
                golden_rows=other.golden_rows,
                models=len(other.rows),
                last_judged=max(row.at for row in other.rows),
            )
            for digest, other in boards.items()
            if digest != chosen
        ),
        unreadable=tuple(unreadable),
    )


def _judged(builds: BuildStore, file: RecipeFile) -> tuple[list[JudgedRound], list[str]]:
    """Every evaluation, the last to be current last, with the round that made it; and rounds that cannot be read."""
    first: dict[str, Entry] = {}
    newest: dict[str, Entry] = {}
    stages = {f"{file.name}/{stage}" for stage in (BASELINES, EVALUATION)}
    for entry in builds.ledger.entries(file.name, "materialization"):
        if entry.body["asset"] in stages:
            digest = entry.body["digest"]
            first.setdefault(digest, entry)
            newest.pop(digest, None)
            newest[digest] = entry
    judged, unreadable = [], []
    for digest, entry in newest.items():
        made = first[digest]
        try:
            evaluations = read_evaluations(builds.artifact(digest, entry.body["manifest"]).folder)
        except ValidationError:
            # Written by a version with other fields: it is named, and never guessed at.
            unreadable.append(f"{made.body['asset']} of {made.at[:10]}, run {made.body['run_id'][:8]}")
            continue
        judged += [JudgedRound(evaluation, made.at, made.body["run_id"]) for evaluation in evaluations]
    return judged, unreadable


def _one_of(digests: list[str], beginning: str, recipe: str) -> str:
    fitting = [digest for digest in digests if digest.startswith(beginning)]
    if len(fitting) != 1:
        raise StillhouseError(
            f"{len(fitting) or 'no'} golden sets begin with {beginning!r}",
            where=f"{recipe}: --golden",
            expected=f"the beginning of one of {', '.join(digest[:DIGITS_SHOWN] for digest in digests)}",
            do=f"`stillhouse leaderboard {recipe}` tells them.",
        )
    return fitting[0]


def _champion(builds: BuildStore, recipe: str) -> str | None:
    """Content digest of the export that serves."""
    serving = builds.ledger.champion(recipe)
    if serving is None:
        return None
    return str(builds.store.read_manifest(serving["digest"], serving["manifest"]).facts["export"])
