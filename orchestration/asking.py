"""What a teacher elsewhere still has to be asked by a batch API, and what became of it.

Belongs here: who is asked, which prompts have no answer of it yet, the file that asks them, and whose log the replies
of an endpoint are put into.
Does not: a request (stillhouse/teachers/requests.py), reading replies (stillhouse/teachers/batch_api.py, and
stored_answers.py there).
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl
from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from stillhouse.base import Record
from stillhouse.data.places import may_be_there
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.recipe.asking import AlternativeSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.stages.asking import call_log
from stillhouse.stages.names import PROMPTS
from stillhouse.stages.preview import prompts_to_come
from stillhouse.students.examples import labelled_rows
from stillhouse.tasks import task_in
from stillhouse.tasks.task import Task
from stillhouse.teachers.batch_api import BatchRead, batch_lines, read_batch
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.requests import asking_of, asking_of_alternative, request_lines
from stillhouse.teachers.stored import at_home, held_to
from stillhouse.teachers.stored_answers import read_answers

TIMED = 100
"""Golden rows that an alternative is left to be asked by calls: nobody knows how long an answer of a batch took."""


class Asked(Record):
    """Requests that were written."""

    requests: int = Field(
        description="One for each prompt that has no answer yet; of an endpoint one for each reply that its log lacks."
    )
    prompts: int = Field(description="All prompts, of the recipe's source and of the batches that were taken in.")
    characters: int = Field(description="Of the texts that are asked, without the prompt around them.")
    tokens_at_most: int | None = Field(
        None, description="That an endpoint reads and writes at the most, a token for each byte of what is sent."
    )
    usd_at_most: float | None = Field(
        None, description="What that costs at the prices of the recipe; a batch may cost less."
    )
    usd_left: float | None = Field(None, description="Of the recipe's usd_at_most, what is not spent yet.")
    left_for_calls: int = Field(
        0, description="Prompts that an alternative is asked by calls of the next run, so that it is known how long it "
        "takes; in no file of requests."
    )  # fmt: skip


def write_requests(builds: BuildStore, file: RecipeFile, path: Path, *, of: str | None = None) -> Asked:
    """Write a batch API's requests for every prompt that has no answer yet.

    Of a stored teacher that is one which the recipe's file of answers does not answer, of an endpoint one to which the
    log of calls has no reply, or not as many as the recipe asks for. An alternative is asked the rows that it is judged
    by, all but `TIMED` of them.

    Args:
        builds: with the prompts of batches that were taken in, and the log of calls.
        file: the recipe.
        path: of the new file.
        of: a member of its ensemble, or one of its alternatives; the teacher itself when left out.

    Raises:
        StillhouseError: if the recipe has nobody of that name, says of nobody how it is asked, the rows or the answers
            that are there cannot be read, or there is such a file.
    """
    named = as_its_teacher(file, of)
    teacher = named.recipe.teacher
    if teacher.kind not in (TeacherKind.STORED, TeacherKind.ENDPOINT) or teacher.ask is None:
        raise StillhouseError(
            "the recipe does not say how its teacher is asked by a batch API",
            where=named.where("teacher"),
            expected="kind: endpoint, or kind: stored and `ask` with the name of a model",
            do="Add `ask: {model: NAME}` to a stored teacher, see `stillhouse schema teacher.ask`. A member of an "
            "ensemble is named by `--of`. Teachers of other kinds are asked by the run.",
        )
    if path.exists():
        raise StillhouseError(
            "there is such a file", where=str(path), expected="a new one", do="Name another, or remove it."
        )
    if teacher.kind is TeacherKind.ENDPOINT:
        server, prompts, by_calls = _behind_its_server(builds, file, of)
        missing = prompts.join(by_calls, on="prompt_id", how="anti")
        asked = _write_what_the_log_lacks(server, missing, path)
        return asked.model_copy(update={"prompts": prompts.height, "left_for_calls": by_calls.height})
    _, prompts, task = _to_be_asked(builds, file)
    missing = prompts.join(_answered(named, prompts, task.names), on="prompt_id", how="anti").sort("prompt_id")
    _write_lines(path, request_lines(asking_of(named, task.names), missing))
    characters = int(missing["text"].str.len_chars().sum())
    return Asked(requests=missing.height, prompts=prompts.height, characters=characters)


def read_replies(
    builds: BuildStore, file: RecipeFile, path: Path, *, of: str | None = None, answered_by: str | None = None
) -> BatchRead:
    """Put a batch API's replies to the requests of an endpoint into the log of calls, so that no run asks them again.

    Args:
        builds: with the prompts of batches that were taken in, and the log of calls.
        file: the recipe.
        path: of the file of replies.
        of: whose they are, see `write_requests`.
        answered_by: see `read_batch`.

    Raises:
        StillhouseError: if the teacher is no endpoint, or rows or replies cannot be read.
    """
    named = as_its_teacher(file, of)
    if named.recipe.teacher.kind is not TeacherKind.ENDPOINT:
        raise StillhouseError(
            "only what an endpoint replies is put into the log of calls",
            where=named.where("teacher"),
            expected="kind: endpoint",
            do="Replies of a stored teacher are read from where `teacher.source` says: put the file there. Those of a "
            "member of an ensemble are read by `--of` and its name.",
        )
    server, prompts, _ = _behind_its_server(builds, file, of)
    return read_batch(server, prompts, path, answered_by=answered_by)


def as_its_teacher(file: RecipeFile, of: str | None) -> RecipeFile:
    """The recipe as if who is named were its teacher, or as it is: an alternative is asked in its teacher's place.

    Raises:
        StillhouseError: if nobody is called that.
    """
    teacher = file.recipe.teacher
    if of is None or _alternative(file, of) is not None:
        return file
    if of in teacher.members:
        return file.of_member(of)
    names = [*teacher.members, *map(_plain_name, teacher.alternatives)]
    raise StillhouseError(
        f"neither a member of its ensemble nor an alternative is called {of!r}",
        where="--of",
        expected=" or ".join(names) or "no --of: the recipe has neither",
        do="Name one of these, or leave --of out for the teacher itself.",
    )


def _plain_name(spec: AlternativeSpec) -> str:
    return spec.name or spec.model


def _alternative(file: RecipeFile, of: str | None) -> int | None:
    """Which alternative is called so; None where none is."""
    return next((n for n, each in enumerate(file.recipe.teacher.alternatives) if _plain_name(each) == of), None)


def _to_be_asked(builds: BuildStore, file: RecipeFile) -> tuple[pl.DataFrame, pl.DataFrame, Task]:
    """The prompts of the base batch with label and split, all prompts, and what an answer to them is."""
    base = prompts_to_come(file)
    task = task_in(file.recipe.data, base["label"].drop_nulls().unique().sort().to_list())
    prompts = pl.concat([base.select("prompt_id", "text"), *_of_batches(builds, file)])
    return base, prompts.unique("prompt_id", maintain_order=True), task


def _behind_its_server(
    builds: BuildStore, file: RecipeFile, of: str | None
) -> tuple[EndpointTeacher, pl.DataFrame, pl.DataFrame]:
    """Who is asked, all that it is asked, and which of that by calls alone."""
    base, prompts, task = _to_be_asked(builds, file)
    spec, calls, index = as_its_teacher(file, of).recipe.teacher, call_log(builds.home), _alternative(file, of)
    assert spec.endpoint is not None
    if index is None:
        asking = asking_of(as_its_teacher(file, of), task.names)
        return EndpointTeacher(spec.source, spec.endpoint, asking, file.name, calls, task), prompts, prompts.clear()
    instead, asking = spec.alternatives[index], asking_of_alternative(file, index, task.names)
    known = labelled_rows(base).filter(pl.col("split") == "validation")
    golden = base.filter(pl.col("split") == "golden").select("prompt_id", "text").sort("prompt_id")
    server = EndpointTeacher(
        instead.source or spec.source, instead.limits(spec.endpoint), asking, file.name, calls, task
    )  # fmt: skip
    return server, pl.concat([known.select("prompt_id", "text"), golden]), golden.head(TIMED)


def _write_what_the_log_lacks(teacher: EndpointTeacher, prompts: pl.DataFrame, path: Path) -> Asked:
    of_each = {text: teacher.requests_of(text) for text in prompts.sort("prompt_id")["text"]}
    known = teacher.calls.replies(digest for own in of_each.values() for digest in own)
    lacks = {text: {name: own[name] for name in own if name not in known} for text, own in of_each.items()}
    missing = {digest: body for own in lacks.values() for digest, body in own.items()}
    _write_lines(path, batch_lines(missing))
    return Asked(
        requests=len(missing),
        prompts=prompts.height,
        characters=sum(len(text) for text, own in lacks.items() if own),
        tokens_at_most=sum(sum(teacher.endpoint.most_tokens(body)) for body in missing.values()),
        usd_at_most=sum(map(teacher.endpoint.most, missing.values())),
        usd_left=teacher.limits.usd_at_most - teacher.calls.spent(teacher.recipe),
    )


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _of_batches(builds: BuildStore, file: RecipeFile) -> list[pl.DataFrame]:
    """Prompts of the batches that were taken in, as far as they were made."""
    key = key_of(file.name, PROMPTS)
    return [
        newest_artifact(builds, key, batch).frame("prompts").select("prompt_id", "text")
        for batch in batches_of(builds.ledger, file.name)
        if newest_materialization(builds.ledger, key, batch) is not None
    ]


def _answered(file: RecipeFile, prompts: pl.DataFrame, labels: tuple[str, ...]) -> pl.DataFrame:
    """Ids of prompts that have an answer which counts; none where there is no file of answers yet."""
    if not may_be_there(file.recipe.teacher.source, file.root):
        return pl.DataFrame(schema={"prompt_id": pl.String})
    data = file.recipe.data
    answers = held_to(read_answers(file).answers, labels, data.labels, data.answer)
    if data.record is not None:
        answers = at_home(answers, prompts, data.record)
    return answers.filter(pl.col("failure").is_null()).select("prompt_id")
