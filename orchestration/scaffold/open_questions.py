"""What only a person can say of a new recipe.

Belongs here: the fields that stay open, and what is asked.
Does not: asking (commands/recipes.py), the gates that wait for an answer (checks/contract.py).
"""

from dataclasses import dataclass

OPEN = {
    "pain": "what hurts with the teacher: latency, cost (then fill in economics), stability or specialisation",
    "training_on_outputs": "`allowed`, once you have read the teacher's licence and terms",
    "licence": "under which right these rows may train a model",
    "teacher_may_see": "which privacy classes may be sent to the teacher's server; these rows are [internal]",
}
"""Fields that are left open, and what is asked."""
LICENCE_OF_WEIGHTS = "the licence that these weights were published under"
TERMS_OF_ANSWERS = "the terms under which the answers are given"


@dataclass(frozen=True)
class AnsweredQuestions:
    """What only a person can say; nothing where it stays open, for the contract's gates to ask.

    Args:
        pain: what hurts with the teacher in production.
        licence: under which right the rows may be used.
        outputs_may_train: whether the teacher's licence and terms allow training on its outputs; None for not known.
        teacher_may_see: privacy classes that may be sent to a teacher's server; None where there is no server.
    """

    pain: tuple[str, ...] = ()
    licence: str = ""
    outputs_may_train: bool | None = None
    teacher_may_see: tuple[str, ...] | None = None

    @property
    def open(self) -> dict[str, str]:
        """Fields that are still open, and what is asked."""
        given = {
            "pain": self.pain,
            "training_on_outputs": self.outputs_may_train is not None,
            "licence": self.licence,
            "teacher_may_see": self.teacher_may_see != (),
        }
        return {field: asked for field, asked in OPEN.items() if not given[field]}


NOTHING_ANSWERED = AnsweredQuestions()
