"""Who is asked: whatever gives answers under one fingerprint.

Belongs here: what the signal store wants of a teacher, and a network that runs in this process.
Does not: answers that were given elsewhere (stored.py), keeping what was said (signal.py).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from stillhouse.device import CPU, Device
from stillhouse.errors import StillhouseError
from stillhouse.teachers.columns import ANSWER_SCHEMA

if TYPE_CHECKING:
    from stillhouse.models.predictor import TorchClassifier


class Teacher(Protocol):
    """Something that can be asked, and always answers the same."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides its answers, as lower-case hex."""
        ...

    def verify(self) -> None:
        """Make sure that the answers to come are those of the fingerprint.

        Raises:
            StillhouseError: if they would be another teacher's.
        """
        ...

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """Answer prompts.

        Args:
            prompts: columns prompt_id and text.

        Returns:
            A row of `ANSWER_SCHEMA` for each, in the same order.

        Raises:
            StillhouseError: if an answer is not finite.
        """
        ...


def share_as_taught(right: int, answered: int) -> float:
    """Share of answers that are right, by those that were checked: never 0 or 1, so that it has a logarithm.

    Laplace's rule of succession: with one more that is right and one more that is wrong.
    """
    return (right + 1) / (answered + 2)


@dataclass(frozen=True)
class NetworkTeacher:
    """A classifier in a folder, asked in this process.

    Args:
        folder: the model.
        fingerprint: what the folder has to hash to.
        device: where it answers.
        batch_size: prompts per forward pass; None leaves it to the device.
    """

    folder: Path
    fingerprint: str
    device: Device = CPU
    batch_size: int | None = None

    @cached_property
    def _network(self) -> "TorchClassifier":
        from stillhouse.models.predictor import TorchClassifier

        return TorchClassifier(self.folder, self.device)

    def verify(self) -> None:
        """Hash the folder.

        Raises:
            StillhouseError: if it is another model.
        """
        from stillhouse.models.weights import fingerprint_of

        found = fingerprint_of(self.folder)
        if found != self.fingerprint:
            raise StillhouseError(
                f"the teacher hashes to {found[:12]}",
                where=str(self.folder),
                expected=f"{self.fingerprint[:12]}",
                do="Capture with the fingerprint of the folder that answers.",
            )

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """Logits, pooled state, tokens and time of each prompt.

        Raises:
            StillhouseError: if one is not finite.
        """
        answers = self._network.answer(prompts["text"].to_list(), self.batch_size)
        finite = np.isfinite(answers.logits).all(1) & np.isfinite(answers.embeddings).all(1)
        if not finite.all():
            raise StillhouseError(
                "the teacher's answer is not finite",
                where=f"prompt {prompts['prompt_id'][int(np.argmin(finite))]}",
                expected="finite logits",
                do="Train the teacher again; its weights have diverged.",
            )
        return pl.DataFrame(
            {
                "prompt_id": prompts["prompt_id"],
                "fingerprint": [self.fingerprint] * prompts.height,
                "logits": pl.Series(values=answers.logits).arr.to_list(),
                "embedding": pl.Series(values=answers.embeddings).arr.to_list(),
                "failure": [None] * prompts.height,
                "observed": [None] * prompts.height,
                "tokens": answers.tokens,
                "latency_ms": answers.latency_ms,
            },
            schema=ANSWER_SCHEMA,
        )
