"""Commands about what servers keep of their answers.

Belongs here: erasing.
Does not: carrying it out (stillhouse/live/traffic.py), from an answer to its rows (answers.py, `audit --request`).
"""

import time
from typing import Annotated

import typer
from rich.text import Text

from orchestration.commands.common import Name, find_recipe
from orchestration.terminal import out
from stillhouse.errors import StillhouseError
from stillhouse.home import Home

commands = typer.Typer()


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
    home, file = Home.from_environment(), find_recipe(name)
    stored = None if key is None else RequestIds.of(home.serving).keyed(key)
    store = TrafficStore(home.artifacts, file.name)
    answers = LiveAnswers.of(home)

    # Two that replace one file at a time would each leave what the other has taken out.
    def waiting(_: str, holder: str) -> None:
        out.print(Text(f"waiting for {holder}", "dim"), soft_wrap=True)

    with recipes_locked(home, [lock_of_days(file.name)], by=f"erasing texts of {file.name}", waiting=waiting):
        done = erase_texts(store, Erasure(id=id, key=stored, at=time.time()), answers.forget_texts)
    by = "id" if key is None else "key"
    body = {"by": by, "texts": done.texts, "keys": done.keys, "account": account()}
    BuildStore(home).ledger.append("erasure", file.name, body)
    out.print(
        f"{done.texts:,} texts erased, and the key in {done.keys:,} answers; what servers have not sealed yet, they "
        "erase before they do",
        soft_wrap=True,
    )
