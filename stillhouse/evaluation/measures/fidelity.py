"""How far a student says what its teacher says, which is not the same as being right.

Belongs here: agreement, divergence, who was right when, inherited errors, the rows that differ most.
Does not: deciding anything. A student unlike its teacher and just as good is reported, not refused (Stanton
et al. 2021).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.arrays import FloatArray
from stillhouse.base import Record
from stillhouse.tasks.task import Targets, Task


class Outcomes(Record):
    """Who was right on the golden rows: the 2x2 table of teacher against student."""

    both_right: int
    teacher_only: int = Field(description="Lost: the teacher was right and the student is not.")
    student_only: int = Field(description="Won: the student is right where the teacher was not.")
    both_wrong: int


class Disagreement(Record):
    """One golden row on which teacher and student differ."""

    prompt_id: str
    label: str
    teacher_label: str
    student_label: str
    teacher_confidence: float | None = Field(
        description="The teacher's probability for its own answer, as served; null where answers have none."
    )
    student_confidence: float | None = Field(description="The student's, likewise.")
    divergence: float = Field(description="KL(teacher || student) of this row, in nats, at temperature 1.")
    lost: bool = Field(description="True where the teacher was right and the student is not.")


class Divergence(Record):
    """How KL(teacher || student) is spread over the golden rows, in nats."""

    p50: float
    p95: float
    p99: float
    largest: float


class Fidelity(Record):
    """How alike student and teacher are on the golden set."""

    agreement: float = Field(description="Share of rows on which both give the same class.")
    mean_kl: float = Field(description="Mean KL(teacher || student), in nats, at temperature 1.")
    kl: Divergence = Field(description="The same row by row: a small mean can hide a few rows that differ by much.")
    outcomes: Outcomes
    inherited_errors: int = Field(description="Rows on which the student repeats the teacher's own wrong answer.")
    inherited_share: float | None = Field(
        description="The same as a share of the teacher's errors; null if it made none."
    )
    worst: tuple[Disagreement, ...] = Field(
        description="Lost rows first, then other disagreements, most divergent first."
    )

    @property
    def rows(self) -> int:
        """Golden rows compared."""
        return sum(self.outcomes.model_dump().values())

    @property
    def repeated_share(self) -> float:
        """Mistakes of the teacher that the student repeats, as a share of all rows."""
        return self.inherited_errors / self.rows

    def warning(self, at_most: float) -> str | None:
        """What agreement hides where more than this share of all rows are repeated mistakes; None where it is not."""
        if self.repeated_share <= at_most:
            return None
        return (
            f"agrees with its teacher on {self.agreement:.1%} of the rows, and {self.repeated_share:.1%} of all rows "
            "are mistakes of the teacher that it repeats: a better teacher or better labels come before another student"
        )


def fidelity(
    teacher_logits: FloatArray,
    student_logits: FloatArray,
    targets: Targets,
    *,
    prompt_ids: Sequence[str],
    task: Task,
    temperatures: tuple[float, float] = (1.0, 1.0),
    worst: int = 20,
) -> Fidelity:
    """Compare what the student says with what the teacher says.

    Divergence is between the logits as they are, because that is what the student learned to copy; confidence is after
    each model's own temperature, because that is what a caller sees.

    Args:
        teacher_logits: shape (n, outputs).
        student_logits: shape (n, outputs), the same rows in the same order.
        targets: shape (n,), the truth.
        prompt_ids: length n.
        task: what an answer is.
        temperatures: what the served teacher and the served student divide their logits by.
        worst: how many disagreements to list.

    Returns:
        Agreement, divergence, the 2x2 table, inherited errors and the worst disagreements.
    """
    alike = task.agree(teacher_logits, student_logits)
    teacher_right, student_right = task.right(teacher_logits, targets), task.right(student_logits, targets)
    divergence = task.divergence(teacher_logits, student_logits)
    inherited = int(np.count_nonzero(~teacher_right & ~student_right & alike))
    teacher_errors = int(np.count_nonzero(~teacher_right))
    lost = teacher_right & ~student_right
    differing = np.flatnonzero(~alike)
    order = differing[np.lexsort((-divergence[differing], ~lost[differing]))][:worst]
    teacher_sure, student_sure = (
        task.confidence(logits[order], temperature)
        for logits, temperature in zip((teacher_logits, student_logits), temperatures, strict=True)
    )
    label, taught, predicted = (
        task.written(answers)
        for answers in (targets[order], task.answers(teacher_logits[order]), task.answers(student_logits[order]))
    )
    return Fidelity(
        agreement=float(np.mean(alike)),
        mean_kl=float(divergence.mean()),
        kl=Divergence(
            **dict(zip(("p50", "p95", "p99"), np.percentile(divergence, [50, 95, 99]).tolist(), strict=True)),
            largest=float(divergence.max()),
        ),
        outcomes=Outcomes(
            both_right=int(np.count_nonzero(teacher_right & student_right)),
            teacher_only=int(np.count_nonzero(lost)),
            student_only=int(np.count_nonzero(student_right & ~teacher_right)),
            both_wrong=int(np.count_nonzero(~teacher_right & ~student_right)),
        ),
        inherited_errors=inherited,
        inherited_share=inherited / teacher_errors if teacher_errors else None,
        worst=tuple(
            Disagreement(
                prompt_id=prompt_ids[row],
                label=label[rank],
                teacher_label=taught[rank],
                student_label=predicted[rank],
                teacher_confidence=None if teacher_sure is None else float(teacher_sure[rank]),
                student_confidence=None if student_sure is None else float(student_sure[rank]),
                divergence=float(divergence[row]),
                lost=bool(lost[row]),
            )
            for rank, row in enumerate(order)
        ),
    )
