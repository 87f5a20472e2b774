"""The release that serves, used from the command line: taken out as a folder, or asked.

Belongs here: finding the champion's bundle, and its answers to texts.
Does not: the folder's layout (stillhouse/release/standalone.py), asking a model (stillhouse/models/predictor.py), a
server.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.data.cleaning import normalise
from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import DeployedRelease, serving_now
from stillhouse.release.bundle import MODEL
from stillhouse.tasks import as_people_read_it, task_in

_UNDECODABLE = re.compile("[\ud800-\udfff]")
"""What Python reads in the place of such a byte."""


class Predicted(Record):
    """What the champion says to one text."""

    text: str
    label: str
    confidence: float | None = Field(
        description="Calibrated probability that the label is right; null where answers have none."
    )


class Predictions(Record):
    """What the champion says, in the order asked."""

    recipe: str
    student: str
    release: str = Field(description="Digest of the release that serves.")
    answers: tuple[Predicted, ...]


def champion_bundle(builds: BuildStore, file: RecipeFile) -> tuple[DeployedRelease, Path]:
    """The release that serves and the folder of its bundle, of which every byte has been hashed.

    Raises:
        StillhouseError: if nothing was promoted yet, or the bundle was altered.
    """
    champion = serving_now(builds.ledger, file.name).champion
    return champion, builds.artifact(champion.release, champion.manifest).folder


def predict(builds: BuildStore, file: RecipeFile, texts: Sequence[str]) -> Predictions:
    """Ask the champion, after giving each text the one spelling that it had in training.

    Raises:
        StillhouseError: if there is no champion, no text, nothing in one of them, or bytes that are no UTF-8.
    """
    undecodable = [place for place, text in enumerate(texts, start=1) if _UNDECODABLE.search(text)]
    if undecodable:
        raise StillhouseError(
            f"text {undecodable[0]} has bytes that are no UTF-8",
            where=f"predict {file.name}",
            expected="texts in UTF-8",
            do="Save them as UTF-8, as by `iconv -t UTF-8`.",
        )
    spelled = pl.Series("text", texts, dtype=pl.String).to_frame().select(normalise(pl.col("text")))["text"].to_list()
    empty = [place for place, text in enumerate(spelled, start=1) if not text]
    if empty or not texts:
        raise StillhouseError(
            f"text {empty[0]} is empty" if empty else "there is no text",
            where=f"predict {file.name}",
            expected="at least one text, each with a character that can be seen",
            do=f'Ask as in `stillhouse predict {file.name} "a text"`, or give one text a line on standard input.',
        )
    served, folder = champion_bundle(builds, file)
    model = OnnxClassifier(folder / MODEL)
    task = task_in(file.recipe.data, model.labels)
    logits = model.logits(spelled)
    confidence = task.confidence(logits, model.temperature)
    sure = [None] * len(texts) if confidence is None else confidence.tolist()
    written = task.written(task.answers(logits))
    labels = [as_people_read_it(task, label, text) for label, text in zip(written, spelled, strict=True)]
    answers = [
        Predicted(text=text, label=label, confidence=share)
        for text, label, share in zip(texts, labels, sure, strict=True)
    ]
    return Predictions(recipe=file.name, student=served.student, release=served.release, answers=tuple(answers))
