"""A teacher behind a server of this machine, what it is asked, and what the server answers."""

from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.data.cleaning import prompt_ids
from stillhouse.recipe.asking import EndpointSpec
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import CallLog
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.stored import Failure, StoredTeacher
from tests.protocol import USD_IN, USD_OUT, Server

TASK = SingleLabel(("access", "billing"))
PILOT = StoredTeacher(pl.DataFrame({"prompt_id": ["p"], "answer": ["access"], "failure": [None]}), 0.9, TASK)
ASKING = Asking("large", "Queue of: {text}", {"temperature": 0, "max_tokens": 4}, None, {}, "October")


def answer(text: str) -> str:
    return "billing" if "invoice" in text else "access"


def texts(rows: int) -> pl.DataFrame:
    column = pl.Series("text", [f"{'invoice' if n % 3 else 'password'} number {n}" for n in range(rows)])
    return pl.DataFrame([prompt_ids(column), column])


def teacher(server: Server, place: Path, *, asking: Asking = ASKING, **limits: Any) -> EndpointTeacher:
    how = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0, **limits}
    return EndpointTeacher(
        server.url, EndpointSpec(**how), asking, "tickets", CallLog(place / "calls.db"), TASK, PILOT,
        sleep=lambda seconds: None,
    )  # fmt: skip


FAULTS: dict[str, str | None] = {
    "429": None, "500": None, "cut": None, "page": None, "error": None, "422": Failure.TURNED_AWAY,
    "null": Failure.EMPTY, "refusal": Failure.REFUSED, "length": Failure.CUT_OFF, "outside": "no such answer",
}  # fmt: skip
"""How the answer of a prompt fails whose first call ends so; None where the next one gives it. What `outside` is called
each kind of answer says."""


def require_that_every_call_ends(
    one: EndpointTeacher, server: Server, rows: pl.DataFrame, task: Task, fault: str, *, answer: str, outside: str
) -> None:
    """Each of three prompts has an answer, or why there is none, where the first call of the second ends in a fault."""
    failure = outside if fault == "outside" else FAULTS[fault]
    said = with_answers(one.ask(rows), task)
    assert said["failure"].to_list() == [None, failure, None]
    assert said["answer"].to_list() == [answer, None if failure else answer, answer]
    calls = server.calls
    one.ask(rows)
    assert server.calls == calls + (fault == "422"), "nothing that was said is asked again"
    assert server.usd <= one.calls.spent("tickets") < 1.0
