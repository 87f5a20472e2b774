"""What every kind of teacher is made from.

Belongs here: what a kind may use, and the facts that all kinds have. Does not: any one kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import TEACHER
from stillhouse.tasks.task import Task

if TYPE_CHECKING:
    from stillhouse.models.pretrained import BaseModel


_TRAINED = {"kind", "training", "fine_tune", "rename", "max_tokens"}
"""What the recipe says of a teacher, beside its weights, that decides what becomes of them."""


@dataclass(frozen=True)
class Making:
    """What a teacher is made from: one of its own, or a member of an ensemble.

    Args:
        file: the recipe; of a member see `RecipeFile.of_member`.
        contract: with stored answers, or a language model, as they were taken in.
        prompts: texts of the base batch, `prompt_id` and `text`.
        rows: those of them that have a label and are not golden, with `label` and `split`.
        task: what an answer is.
        base: the weights that it begins with, or that students are cut from.
        members: the weights of an ensemble's members that are encoders, by name.
        builds: keeps checkpoints, the log of calls and the signal.
    """

    file: RecipeFile
    contract: Artifact
    prompts: pl.DataFrame
    rows: pl.DataFrame
    task: Task
    base: "BaseModel"
    members: Mapping[str, "BaseModel"]
    builds: BuildStore

    def of_member(self, name: str) -> "Making":
        """What a member of this ensemble is made from."""
        return replace(self, file=self.file.of_member(name), base=self.members.get(name, self.base), members={})

    @property
    def home(self) -> Home:
        """The installation."""
        return self.builds.home

    @property
    def validation(self) -> pl.DataFrame:
        """The rows that no teacher learns from."""
        return self.rows.filter(pl.col("split") == "validation")

    @property
    def checkpoints(self) -> Path:
        """Where a training goes on after it was killed."""
        place = self.home.checkpoints / self.file.name / TEACHER
        return place / self.file.member

    def plan(
        self,
        build: Callable[[Path], TeacherFacts],
        *,
        depends_on: Mapping[str, object],
        seeds: Mapping[str, int] | None = None,
        external_inputs: Mapping[str, str] | None = None,
        **config: Any,
    ) -> Plan[TeacherFacts]:
        """Plan a teacher.

        Args:
            build: makes it in a folder.
            depends_on: what its content depends on beside rows, labels and base.
            seeds: that are set.
            external_inputs: digests of the files that are read, beside the weights, by address.
            config: further parts of the recipe that apply.
        """
        spec = self.file.recipe.teacher
        # Not among what the content depends on: the same weights from elsewhere are the same.
        begins_with = spec.address if spec.runs_here else self.file.recipe.weights.address
        return Plan(
            build,
            {
                "rows": digest_of(self.rows.select("prompt_id", "label", "split").rows()),
                "labels": self.task.names,
                **self.file.recipe.data.particulars,
                "base": self.base.record.fingerprint,
                **depends_on,
            },
            config={**spec.model_dump(mode="json", include=_TRAINED), **config},
            seeds=seeds or {},
            external_inputs={**self.base.external_inputs(begins_with), **(external_inputs or {})},
        )

    def facts(self, fingerprint: str, *, right: int, **found: Any) -> TeacherFacts:
        """What is known of a teacher of any kind.

        Args:
            fingerprint: digest of all that decides its answers.
            right: validation rows that it gets right.
            found: further fields of the facts.
        """
        return TeacherFacts(
            **{
                "kind": self.file.recipe.teacher.kind,
                "fingerprint": fingerprint,
                "base_fingerprint": self.base.record.fingerprint,
                "parameters": None,
                "answer": self.file.recipe.data.answer,
                "labels": self.task.names,
                "score": self.file.recipe.data.score,
                "record": self.file.recipe.data.record,
                "temperature": 1.0,
                "validation_right": right,
                "validation_rows": self.validation.height,
                **found,
            }
        )
