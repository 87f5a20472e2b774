"""How sure a teacher elsewhere is of its answer, where it can be found out.

Belongs here: the probabilities of labels out of a token's alternatives, and out of what a file says of some of them.
Does not: asking (endpoint.py), reading a file (stored_probabilities.py), what one answer or several to a text are worth
(stillhouse/tasks/).
"""

from collections.abc import Sequence

import numpy as np

from stillhouse.arrays import FloatArray

ALTERNATIVES = 20
"""Tokens that a server names beside the one it chose, at the most: OpenAI's limit, and vLLM's when none is set."""
_AROUND = " \t\n.,:;!\"'`*()[]▁Ġ"
"""What a token may have around a code, the marks of tokenizers for a blank among it."""
_ZERO = 1e-9
"""The most that stands for a probability of zero, which in a file is mostly a rounded number."""
_TINY = np.finfo(float).tiny


def codes_of(labels: Sequence[str]) -> dict[str, str]:
    """A letter for each label, since a letter is one token in every vocabulary; at most `ALTERNATIVES` of them."""
    return {chr(ord("A") + index): label for index, label in enumerate(labels)}


def by_alternatives(alternatives: Sequence[tuple[str, float]], codes: Sequence[str]) -> tuple[FloatArray | None, float]:
    """The distribution over labels that one token's alternatives tell.

    A label's probability is that of all tokens that are its code. One that is not among the alternatives is less
    probable than the last of them, and gets half of that one's, but no more than its part of what all of them leave: a
    server that names the chosen token alone has said how sure it is of that, and nothing of the others.

    Args:
        alternatives: tokens with their natural log-probabilities.
        codes: of the labels, in their order.

    Returns:
        Log-probabilities of the labels, shape (labels,), which add up to one, or None where no alternative is a code;
        and the probability that was on codes before, in [0, 1].
    """
    found = dict.fromkeys(codes, 0.0)
    for token, logprob in alternatives:
        code = token.strip(_AROUND)
        if code in found:
            found[code] += float(np.exp(logprob))
    mass = min(sum(found.values()), 1.0)
    if mass == 0:
        return None, 0.0
    least = float(np.exp(min(logprob for _, logprob in alternatives))) / 2
    left = 1 - sum(float(np.exp(logprob)) for _, logprob in alternatives)
    unnamed = min(least, max(left / max([*found.values()].count(0.0), 1), _ZERO))
    weights = np.array([weight or max(unnamed, _TINY) for weight in found.values()])
    return np.log(weights / weights.sum()), mass


def by_shares(shares: Sequence[float | None]) -> FloatArray:
    """The distribution over labels of which some probabilities are given.

    Labels that are not named share what the others leave. No label gets less than half of the least probability that is
    given, as in `by_alternatives`, but for this a zero counts as no more than `_ZERO`.

    Args:
        shares: probability of each label, None where it is not named; at least one is above zero.

    Returns:
        Log-probabilities, shape (labels,), which add up to one.
    """
    named = np.array([np.nan if share is None else share for share in shares])
    missing = np.isnan(named)
    left = max(1.0 - float(np.nansum(named)), 0.0)
    weights = np.where(missing, left / max(int(missing.sum()), 1), named)
    least = max(min(float(named[named > 0].min()) / 2, _ZERO), _TINY)
    weights = np.maximum(weights, least)
    return np.asarray(np.log(weights / weights.sum()))
