"""What is shown of a teacher.

Belongs here: its numbers, those of its members, what its answers took, and which texts have no answer, as rows.
Does not: making it (stillhouse/stages/teacher.py), asking it (stillhouse/stages/teacher_signal.py).
"""

import numpy as np
import polars as pl

from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.teachers.columns import ERROR, TOOK

_SHOWN = 20


def numbers(facts: TeacherFacts) -> dict[str, float | str]:
    """What is known of the teacher itself."""
    return {
        "fingerprint": facts.fingerprint,
        **({} if facts.parameters is None else {"parameters": facts.parameters}),
        "validation_accuracy": facts.validation_accuracy,
        "temperature": facts.temperature,
        **({} if facts.neighbours is None else {"neighbours_kept": facts.neighbours.kept}),
        **({} if facts.own_scale is None else {"from_its_own_number": facts.own_scale.sentence}),
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


def took(signal: pl.DataFrame) -> dict[str, float]:
    """What the answers of a batch took, in all and in the middle; nothing of a teacher that is not asked by calls.

    Args:
        signal: its rows, one for each prompt.
    """
    counted = [name for name in TOOK if name in signal.columns]
    known = {name: signal[name].drop_nulls().to_numpy() for name in (["tokens", *counted] if counted else [])}
    return {
        f"answers_{name}_{what}": float(np.sum(column) if what == "sum" else np.median(column))
        for name, column in known.items()
        if len(column)
        for what in ("sum", "median")
    }


def unanswered(signal: pl.DataFrame) -> list[dict[str, object]]:
    """The first prompts of a batch that have no answer, with the reason, and what was said instead if that is known."""
    why = ["failure", *([ERROR] if ERROR in signal.columns else [])]
    return signal.filter(pl.col("failure").is_not_null()).select("prompt_id", *why).head(_SHOWN).to_dicts()


def failures(said: SaidFacts) -> list[dict[str, object]]:
    """Texts without an answer, by reason."""
    return [{"reason": reason, "texts": texts} for reason, texts in said.failures.items()]
