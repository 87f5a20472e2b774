"""What may be said of an exception that somebody's text led to.

Belongs here: that.
Does not: what the caller gets then (app.py).
"""

import traceback
from pathlib import Path


def known_by(error: Exception) -> str:
    """An exception without its message, which may quote what was asked: its type, and where in the code it was."""
    frames = traceback.extract_tb(error.__traceback__)
    places = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
    return f"{type(error).__name__} at {' > '.join(places)}"
