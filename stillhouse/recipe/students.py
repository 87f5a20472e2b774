"""What a recipe says of its students.

Belongs here: how each is cut, what it learns from and how, in which precisions it ships, and chains of them.
Does not: rules between students and the rest of a recipe (contract.py), training one (stillhouse/students/).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stillhouse.recipe.fields import FieldError, Name, Part, Precision
from stillhouse.recipe.losses import AS_CUT, SAME_WIDTH
from stillhouse.recipe.training import TrainingConfig

AS_IT_SHIPS: tuple[Precision, ...] = ("int8",)
"""The precision of a student that names none."""


class StudentSpec(Part):
    """One candidate: which layers of the teacher it keeps and how it learns."""

    name: Name = Field(description="short name, also the last part of its asset key")
    parent: Name | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the field keeps its digest
        description="another student which this one is cut from once that is trained, in a chain from the teacher over "
        "a middle one to a small one; `layers` are counted in it then. Cut from the teacher when left out",
    )
    layers: tuple[int, ...] = Field(
        description="indices of the teacher's encoder layers to start from, in order; with none of them a text is the "
        "mean of one vector for each word piece, as the teacher has it for the piece alone (static embeddings)"
    )
    dimensions: int = Field(
        256, ge=2, description="numbers in the vector of a word piece, where there is no layer; at most the teacher's"
    )
    feed_forward: int | None = Field(
        None, gt=0, description="hidden units to keep in each feed-forward block; all of the teacher's when left out"
    )
    trim_vocabulary: bool = Field(True, description="drop the word pieces that the task's texts never use")
    learns_from: Literal["teacher", "parent", "labels", "nothing"] = Field(
        "teacher",
        description="teacher = the signal on every training row, and labels where known; "
        "parent = the same, of what its parent answers instead; "
        "labels = the known labels alone: the control that shows what distillation was worth, never released; "
        "nothing = the layers as they are, not trained: a baseline that can be released",
    )
    training: TrainingConfig | None = Field(
        None, description="how it is trained; to be given unless it learns from nothing, and then left out"
    )
    weigh_by_agreement: bool = Field(
        False,
        exclude_if=lambda weighs: weighs is False,  # so that a recipe without the field keeps its digest
        description="an example counts for as much as the share of the ensemble's members that give its answer",
    )
    more_seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (),
        description="further seeds with which it is trained again, to see how much of its score is luck; "
        "what ships is the one of training.seed",
    )
    precisions: tuple[Precision, ...] = Field(
        AS_IT_SHIPS,
        min_length=1,
        exclude_if=lambda named: named == AS_IT_SHIPS,  # so that a recipe without the field keeps its digest
        description="in which numbers it is exported and judged, the finest first: fp32, int8 (activations scaled as "
        "they come), int8_static (scaled as validation rows were), int4 (weights in blocks of 32). One after the first "
        "counts only if those before it hold the quality, so that more of them give no further chance; of those that "
        "clear the bar the smallest is released",
    )

    @model_validator(mode="after")
    def _each_precision_is_named_once(self) -> "StudentSpec":
        if len(set(self.precisions)) < len(self.precisions):
            raise ValueError(f"precisions: each is to be named once, not {', '.join(self.precisions)}")
        return self

    @property
    def forms(self) -> tuple["StudentForm", ...]:
        """Each precision that it is judged in, in the order of the recipe."""
        return tuple(StudentForm(self, precision) for precision in self.precisions)

    @model_validator(mode="after")
    def _without_a_layer_there_is_little_to_say(self) -> "StudentSpec":
        if self.layers:
            self._require_one_for_each_layer()
            return self
        if self.feed_forward is not None or self.learns_from == "nothing":
            raise ValueError("layers: without one there is no feed_forward, and it has to learn from something")
        for field, term in () if self.training is None else self.training.terms:
            if term.embedding_loss in SAME_WIDTH or term.layers is not None:
                raise FieldError(
                    "without a layer there is no state to match the teacher's with; distances and angles between "
                    "states can be compared",
                    *("training", *field),
                )
        return self

    def _require_one_for_each_layer(self) -> None:
        for field, term in () if self.training is None else self.training.layer_terms:
            if term.layers is not None and term.layers != AS_CUT and len(term.layers) != len(self.layers):
                raise FieldError(
                    f"one for each of the {len(self.layers)} layers of {self.name}, null of one that learns none, and "
                    f"not {len(term.layers)}",
                    *("training", *field, "layers"),
                )

    @property
    def copies(self) -> bool:
        """Whether it learns what a larger model answers."""
        return self.learns_from in ("teacher", "parent")

    @model_validator(mode="after")
    def _who_agreed_matters_to_a_copy(self) -> "StudentSpec":
        if self.weigh_by_agreement and not self.copies:
            raise FieldError(f"must be left out where learns_from is {self.learns_from}", "weigh_by_agreement")
        return self

    @model_validator(mode="after")
    def _training_goes_with_learning(self) -> "StudentSpec":
        if self.learns_from == "nothing" and (self.training is not None or self.more_seeds):
            raise ValueError("training, more_seeds: must be left out where learns_from is nothing: nothing is trained")
        if self.learns_from != "nothing" and self.training is None:
            raise ValueError(f"training: must be given where learns_from is {self.learns_from}")
        if self.learns_from == "labels" and self.training is not None and self.training.loss != "labels":
            raise FieldError(
                f"must be labels where learns_from is labels, and not {self.training.loss}", "training", "loss"
            )
        return self

    @model_validator(mode="after")
    def _each_seed_is_another(self) -> "StudentSpec":
        if self.training is not None and len({self.training.seed, *self.more_seeds}) <= len(self.more_seeds):
            raise ValueError(
                f"more_seeds: each has to differ from the others and from training.seed, {self.training.seed}"
            )
        return self


@dataclass(frozen=True)
class StudentForm:
    """A student in one precision: what is exported, judged and, of one student at most, released.

    Args:
        student: as it is trained.
        precision: in which it ships.
    """

    student: StudentSpec
    precision: Precision

    @property
    def name(self) -> str:
        """What it is judged under: in int8 the student's own name, as everything was before there was a choice."""
        return self.student.name if self.precision == "int8" else f"{self.student.name}_{self.precision}"


def unfit_parent(student: StudentSpec, by_name: Mapping[str, StudentSpec]) -> tuple[str, str]:
    """The field in which a student names what it cannot be cut from, and the mistake; or no mistake."""
    field = "parent"
    if student.parent is None:
        missing = "must name another student where learns_from is parent"
        return field, missing if student.learns_from == "parent" else ""
    if not student.copies:
        return field, f"must be left out where learns_from is {student.learns_from}: in a chain each one copies"
    parent = by_name.get(student.parent)
    if parent is None:
        return field, f"there is no student {student.parent}, only {', '.join(by_name)}"
    chain, last = [student.name], parent
    while last.name not in chain:
        chain.append(last.name)
        last = by_name.get(last.parent or "", last)
    if last.parent in chain:
        return field, f"it would be cut from itself: {', '.join([*chain, last.name])}"
    if not parent.copies:
        return field, f"{parent.name} learns from {parent.learns_from}, and a parent has to be a copy of the teacher"
    without = next((each.name for each in (student, parent) if not each.layers), None)
    return field, "" if without is None else f"{without} has no layer, and a chain is one of layers"
