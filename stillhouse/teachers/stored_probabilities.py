"""How probable a file says each label is, beside an answer.

Belongs here: reading that, and holding it against the labels and the answer.
Does not: finding it in a file (stored_answers.py), which of several replies counts (stored.py), the arithmetic of
probabilities (soft_labels.py).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import numpy as np

from stillhouse.teachers.soft_labels import by_shares

_ABOVE_ONE = 0.01
"""By how much rounded probabilities may add up to more than one."""


class Flaw(StrEnum):
    """Why a reply with an answer does not count."""

    NONE_SAID = "the answer has no probabilities"
    UNREADABLE = "what should be probabilities are none"
    NO_LABEL = "a probability is of no label of the rows"
    OTHER_ANSWER = "the answer is not the label with the highest probability"


def probabilities_in(written: str) -> dict[str, float]:
    """Probabilities by what each is called, out of a JSON object; what is null is not named.

    Raises:
        ValueError: if it is no such object; says as a clause why.
    """
    try:
        said = json.loads(written)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    found = {name: value for name, value in said.items() if value is not None}
    for value in found.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("a value in it is no number")
        if not 0 <= value <= 1 + _ABOVE_ONE:  # nor is NaN
            raise ValueError("a value in it is below 0 or above 1")
    total = float(sum(found.values()))
    if not 0 < total <= 1 + _ABOVE_ONE:
        raise ValueError(f"its values add up to {total:g}")
    return found


def shares_of(
    written: str | None, answer: str, labels: Sequence[str], label_of: Callable[[str], str | None]
) -> tuple[list[float | None] | None, Flaw | None]:
    """The probability of each label as it was said, or why the reply does not count.

    Args:
        written: with the reply; None where nothing is.
        answer: the label that was answered.
        labels: of the rows.
        label_of: from what a label is called in a reply to the label.

    Returns:
        Of each label its probability, None of one that is not named; those of several spellings of it are added up.
    """
    if written is None:
        return None, Flaw.NONE_SAID
    try:
        said = probabilities_in(written)
    except ValueError:
        return None, Flaw.UNREADABLE
    named = _by_label(said, label_of)
    if named is None:
        return None, Flaw.NO_LABEL
    shares = [named.get(label) for label in labels]
    # In the numbers of the signal, in which another label must not be as probable.
    outputs = by_shares(shares).astype(np.float32)
    likeliest = np.flatnonzero(outputs == outputs.max())
    if likeliest.tolist() != [labels.index(answer)]:
        return None, Flaw.OTHER_ANSWER
    return shares, None


def _by_label(said: Mapping[str, float], label_of: Callable[[str], str | None]) -> dict[str, float] | None:
    named: dict[str, float] = {}
    for name, probability in said.items():
        label = label_of(name)
        if label is None:
            return None
        named[label] = named.get(label, 0.0) + probability
    return named
