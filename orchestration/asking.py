"""What a teacher elsewhere still has to be asked.

Belongs here: which prompts have no answer yet, and the file that asks them.
Does not: a request (stillhouse/teachers/requests.py), reading replies (stillhouse/teachers/stored_answers.py).
"""

from pathlib import Path

import polars as pl
from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from stillhouse.base import Record
from stillhouse.data.places import may_be_there
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.batches import batches_of
from stillhouse.records.builds import BuildStore
from stillhouse.stages.names import PROMPTS
from stillhouse.stages.preview import prompts_to_come
from stillhouse.tasks import task_of
from stillhouse.teachers.requests import asking_of, request_lines
from stillhouse.teachers.stored import held_to
from stillhouse.teachers.stored_answers import read_answers


class Asked(Record):
    """Requests that were written."""

    requests: int = Field(description="One for each prompt that has no answer yet.")
    prompts: int = Field(description="All prompts, of the recipe's source and of the batches that were taken in.")
    characters: int = Field(description="Of the texts that are asked, without the prompt around them.")


def write_requests(builds: BuildStore, file: RecipeFile, path: Path) -> Asked:
    """Write a batch API's requests for every prompt that the recipe's file of answers does not answer.

    Args:
        builds: with the prompts of batches that were taken in.
        file: the recipe.
        path: of the new file.

    Raises:
        StillhouseError: if the recipe says of no teacher how it is asked, the rows or the answers that are there cannot
            be read, or there is such a file.
    """
    if file.recipe.teacher.kind is not TeacherKind.STORED or file.recipe.teacher.ask is None:
        raise StillhouseError(
            "the recipe does not say how its teacher is asked by a batch API",
            where=file.where("teacher"),
            expected="kind: stored, and `ask` with the name of a model",
            do="Add `ask: {model: NAME}` to the recipe's teacher; see `stillhouse schema teacher.ask`.",
        )
    if path.exists():
        raise StillhouseError(
            "there is such a file", where=str(path), expected="a new one", do="Name another, or remove it."
        )
    base = prompts_to_come(file)
    labels = task_of(file.recipe.data.answer, base["label"].drop_nulls().unique().sort().to_list()).names
    prompts = pl.concat([base.select("prompt_id", "text"), *_of_batches(builds, file)]).unique(
        "prompt_id", maintain_order=True
    )
    missing = prompts.join(_answered(file, labels), on="prompt_id", how="anti").sort("prompt_id")
    lines = "".join(f"{line}\n" for line in request_lines(asking_of(file, labels), missing))
    write_atomically(path, lines.encode())
    characters = int(missing["text"].str.len_chars().sum())
    return Asked(requests=missing.height, prompts=prompts.height, characters=characters)


def _of_batches(builds: BuildStore, file: RecipeFile) -> list[pl.DataFrame]:
    """Prompts of the batches that were taken in, as far as they were made."""
    key = key_of(file.name, PROMPTS)
    return [
        newest_artifact(builds, key, batch).frame("prompts").select("prompt_id", "text")
        for batch in batches_of(builds.ledger, file.name)
        if newest_materialization(builds.ledger, key, batch) is not None
    ]


def _answered(file: RecipeFile, labels: tuple[str, ...]) -> pl.DataFrame:
    """Ids of prompts that have an answer which counts; none where there is no file of answers yet."""
    if not may_be_there(file.recipe.teacher.source, file.root):
        return pl.DataFrame(schema={"prompt_id": pl.String})
    answers = held_to(read_answers(file).answers, labels, file.recipe.data.labels)
    return answers.filter(pl.col("failure").is_null()).select("prompt_id")
