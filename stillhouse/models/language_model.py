"""What config.json says of a language model.

Belongs here: what both who looks before it is loaded and who asks it have to know.
Does not: encoders (family.py), asking it (stillhouse/teachers/causal_lm.py).
"""

from collections.abc import Mapping
from typing import Any


def longest_context(config: Mapping[str, Any]) -> int | None:
    """Tokens that a language model reads at once; None where its config does not say.

    Args:
        config: its config.json. Within the window of layers that have a sliding one they see all that the others see.
    """
    positions = config.get("max_position_embeddings", config.get("n_positions"))  # the latter as of GPT-2
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return min((each for each in (positions, window) if isinstance(each, int)), default=None)
