"""Commands about what servers keep of their answers.

Belongs here: erasing, harvesting.
Does not: carrying it out (stillhouse/live/traffic.py, orchestration/harvest.py), from an answer to its rows
(answers.py, `audit --request`).
"""

import time
from typing import Annotated

import typer

from orchestration.commands.common import Name, builds_here, find_recipe, name_on_record
from orchestration.terminal import out
from stillhouse.errors import StillhouseError
from stillhouse.home import Home

commands = typer.Typer()


def _waiting(_: str, holder: str) -> None:
    out.say(f"waiting for {holder}", style="dim")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


@commands.command()
def erase(
    name: Name,
    key: Annotated[str | None, typer.Option(help="Key of a caller, as the caller sent it.")] = None,
    id: Annotated[str | None, typer.Option(help="Id of one answer.")] = None,
) -> None:
    """Erase the texts of one caller up to now, or of one answer; the ledger keeps how many, and not whose."""
    from orchestration.runs import lock_of_days
    from stillhouse.live.asking import LiveAnswers
    from stillhouse.live.segments import Erasure, TrafficStore
    from stillhouse.live.traffic import erase as erase_texts
    from stillhouse.live.traffic import harvested, has_answer, keys_of_strangers
    from stillhouse.names import account
    from stillhouse.records.builds import BuildStore
    from stillhouse.records.locks import recipes_locked
    from stillhouse.serving.ids import RequestIds

    if (key is None) == (id is None):
        raise StillhouseError(
            "whose texts is not said" if key is None else "both are given",
            where="--key, --id",
            expected="one of the two",
            do="Name a caller's key, or an answer's id.",
        )
    if key == "":
        raise StillhouseError(
            "it is empty", where="--key", expected="the key as the caller sent it", do="No answer has an empty one."
        )
    home, recipe = Home.from_environment(), name_on_record(name)
    store = TrafficStore(home.artifacts, recipe)
    is_here = id is not None and has_answer(store, id)
    # An answer that is kept is erased whoever issued its id, and of one that is not, a server may have its text still.
    known = None if is_here else RequestIds.known(home.serving)
    if id is not None and known is not None and not known.is_ours(id):
        raise StillhouseError(
            f"no answer with this id is kept of {recipe}, and no server of this installation issued it",
            where="--id",
            expected="the id of an answer, 28 characters",
            do="Copy it from the answer; nothing was erased.",
        )
    stored = None if known is None or key is None else known.keyed(key)
    answers = LiveAnswers.of(home)

    # Two that replace one file at a time would each leave what the other has taken out.
    with recipes_locked(home, [lock_of_days(recipe)], by=f"erasing texts of {recipe}", waiting=_waiting):
        erasure = Erasure(id=id, key=stored, at=time.time())
        # Said first: where this is killed half way, the key by which it is known may be gone.
        for name_of_file, ids in harvested(store, erasure).items():
            out.say(
                f"{len(ids):,} of the answers are rows of the harvested file {name_of_file}, which this command "
                f"cannot change: take out the rows with harvest_id {', '.join(ids)}, and keep its name",
                style="yellow",
            )
        strangers = 0 if known is None or key is None else keys_of_strangers(store, known.is_ours)
        done = erase_texts(store, erasure, answers.forget_texts)
    by = "id" if key is None else "key"
    body = {"by": by, "texts": done.texts, "keys": done.keys, "account": account()}
    BuildStore(home).ledger.append("erasure", recipe, body)
    found = f"{_count(done.texts, 'text')} erased"
    if key is not None:
        found += f", and the key in {_count(done.keys, 'answer')}"
    elif not done.texts:
        found += ": the answer is kept without one" if is_here else f": no answer with this id is kept of {recipe}"
    out.say(f"{found}; what servers have not sealed yet, they erase before they do")
    if strangers:
        out.say(
            f"{strangers:,} answers with a key were given under another secret than {home.serving / 'secret'}, so "
            "that nobody can know here which of them are this caller's: give the command again with that secret",
            style="red",
        )
        raise typer.Exit(1)


@commands.command()
def harvest(
    name: Name,
    rows: Annotated[
        int | None, typer.Option(min=1, help="How many texts; half at random, half of the least sure answers.")
    ] = None,
    slice: Annotated[str | None, typer.Option(help="Only texts of one live slice, by its name.")] = None,
    differing: Annotated[
        bool,
        typer.Option(
            "--differing",
            help="Texts that the champion and the release on its way answer otherwise, for people to label: at most "
            "200, half of them of critical slices.",
        ),
    ] = False,
) -> None:
    """Write texts that the champion was asked into the drop folder, as rows to learn from; none of them ever judges."""
    from orchestration.harvest import harvest as write_harvest
    from orchestration.harvest import harvest_differing, left_out_line
    from stillhouse.live.harvest import DIFFERING_AT_MOST

    file, builds = find_recipe(name), builds_here()
    if differing and slice is not None:
        raise StillhouseError(
            "both are given", where="--differing, --slice", expected="one of the two",
            do="Critical slices are in --differing by themselves.",
        )  # fmt: skip
    if differing:
        done = harvest_differing(builds, file, rows or DIFFERING_AT_MOST, at=time.time(), waiting=_waiting)
    elif rows is None:
        raise StillhouseError(
            "how many is not said", where="--rows", expected="a number of texts", do="Name it, such as --rows 200."
        )
    else:
        done = write_harvest(builds, file, rows, slice=slice, at=time.time(), waiting=_waiting)
    lines = [
        done.file + (" was there already" if done.was_there else ""),
        f"{done.rows:,} of {done.of:,} texts, {done.labelled:,} with a label that people gave",
    ]
    if done.left_out:
        lines.append(f"left out: {left_out_line(done.left_out)}")
    label = file.recipe.data.label
    if label is not None and done.labelled < done.rows:
        lines.append(f"to label the others, fill in {label} and keep the name: it then takes the place of this edition")
    lines.append("`stillhouse erase` names this file where it holds a row to be erased, and cannot change it")
    out.say(*lines)
