"""The do-nothing options stand beside the teacher that they are compared with."""

from types import SimpleNamespace
from typing import Any

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.stages.baselines import _require_same_weights


@pytest.mark.experiment("E9")
def test_weights_exchanged_since_the_teacher_was_trained_are_refused() -> None:
    """Regression: the untuned encoder was read from the source again, whatever lay there by then."""
    teacher: Any = SimpleNamespace(
        facts=lambda record: SimpleNamespace(base_fingerprint="a" * 64), address="small/teacher"
    )
    same, other = ({"record": SimpleNamespace(fingerprint=letter * 64)} for letter in "ab")
    _require_same_weights(teacher, SimpleNamespace(**same))
    with pytest.raises(StillhouseError, match="not those that the teacher began with"):
        _require_same_weights(teacher, SimpleNamespace(**other))
