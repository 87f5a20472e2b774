"""What is shown of a teacher.

Belongs here: its numbers, those of its members, and which texts have no answer, as rows.
Does not: making it (stillhouse/stages/teacher.py).
"""

from stillhouse.stages.facts import SaidFacts, TeacherFacts


def numbers(facts: TeacherFacts) -> dict[str, float | str]:
    """What is known of the teacher itself."""
    return {
        "fingerprint": facts.fingerprint,
        **({} if facts.parameters is None else {"parameters": facts.parameters}),
        "validation_accuracy": facts.validation_accuracy,
        "temperature": facts.temperature,
        **({} if facts.neighbours is None else {"neighbours_kept": facts.neighbours.kept}),
        **({} if facts.training is None else {"labelled_rows": facts.training.examples}),
    }


def answers(said: SaidFacts) -> dict[str, float | str]:
    """What is known of answers that no encoder gave."""
    return {
        "texts": said.texts,
        **({} if said.usd_a_prompt is None else {"usd_a_prompt": said.usd_a_prompt}),
        **({} if said.without_rationale is None else {"answers_without_rationale": said.without_rationale}),
        **({} if said.observed is None else {"answered_by": said.observed}),
        **({} if said.label_mass is None else {"probability_on_labels": said.label_mass}),
    }


def failures(said: SaidFacts) -> list[dict[str, object]]:
    """Texts without an answer, by reason."""
    return [{"reason": reason, "texts": texts} for reason, texts in said.failures.items()]
