"""How much of our code a call runs, counted in lines, so that work that grows with the rows shows on any machine."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from stillhouse.home import CHECKOUT

OURS = f"{CHECKOUT / 'stillhouse'}/"


def lines_run(call: Callable[[], object]) -> int:
    """Lines of this checkout that a call runs in this thread, each turn of a loop or comprehension counted again.

    Those of libraries do not count: what one imports when it is first used would hide what grows.
    """
    lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines
