"""A teacher that is paid for each answer and says why it gives it, and how many of its answers to live texts are kept.

Belongs here: what tests of a paid teacher share.
Does not: the server (tests/protocol.py), recipes (each test has its own).
"""

import json
import sqlite3
from contextlib import closing

from stillhouse.home import Home
from tests.orchestration.elsewhere import mostly_right_about


def why(text: str) -> str:
    return f"It says: {text}"


def text_in(prompt: str) -> str:
    return prompt.partition("Text:\n")[2]


def answer(prompt: str) -> str:
    return json.dumps({"why": why(text_in(prompt)), "label": mostly_right_about(text_in(prompt))})


def live_answers(home: Home) -> int:
    """Live texts that have an answer of the teacher."""
    path = home.signal / "live.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
