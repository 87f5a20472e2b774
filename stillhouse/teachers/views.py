"""Views: questions nobody asked, made out of those that were, so that the teacher can be copied between its examples.

Belongs here: making view texts.
Does not: asking the teacher about them (signal.py), giving them ids and a batch of their own (data/), capping their
share (checks/).

A student learns its teacher only at the points it is shown, and where labels are a teacher's answers, more points cost
a forward pass each (function matching: Beyer et al., CVPR 2022; TinyBERT's augmentation, 2020). A view need not make
sense, nor have a right answer: it asks what the teacher would say there.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

_DROPPED_SHARE = 0.2
_CUT_BETWEEN = (0.3, 0.7)


def views_of(texts: Sequence[str], *, seed: int, per_text: int = 1, never: Iterable[str] = ()) -> list[str]:
    """Make new texts out of training texts: one with words missing, or one's beginning with another's end.

    Texts are paired along a ring ordered by hash, so a view depends on its two texts and on nothing else, and a text
    that is added later changes only the views beside it: what a teacher was asked before stays answered.

    Args:
        texts: training texts.
        seed: of the pairing and of the cuts.
        per_text: views per text.
        never: texts that must not come out, however spelled: golden and validation texts.

    Returns:
        Distinct views, none of which is among `texts` or `never`; at most `per_text * len(texts)`.
    """
    taken = {_folded(text) for text in (*texts, *never, "")}  # a view may not be empty either
    views: list[str] = []
    for number in range(per_text):
        keys = {text: _key(seed, number, text) for text in texts}
        ring = sorted(keys, key=keys.__getitem__)
        for text, neighbour in zip(ring, [*ring[1:], *ring[:1]], strict=True):
            view = _view(text, neighbour, np.random.default_rng(keys[text]))
            if _folded(view) not in taken:
                taken.add(_folded(view))
                views.append(view)
    return views


def _view(text: str, neighbour: str, random: np.random.Generator) -> str:
    words, others = text.split(), neighbour.split()
    if random.random() < 0.5:
        return " ".join(word for word in words if random.random() >= _DROPPED_SHARE)
    cut = random.uniform(*_CUT_BETWEEN)
    return " ".join([*words[: max(1, round(cut * len(words)))], *others[round(cut * len(others)) :]])


def _key(seed: int, number: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}/{text}".encode()).digest()[:8], "big")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
