"""What somebody can do who has write access to the database of a ledger and knows how its chain is made."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from stillhouse.records.ledger import GENESIS, Entry

Row = dict[str, Any]


def alter(database: Path, *statements: str) -> None:
    """Change a ledger past every rule of it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rebuild(database: Path, change: Callable[[Row], Row | None]) -> None:
    """Write a ledger again, each row changed or left out, with numbers and digests that are right again."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM ledger ORDER BY sequence")]
        connection.execute("DELETE FROM ledger")
        previous = GENESIS
        for sequence, row in enumerate(filter(None, map(change, rows)), start=1):
            body = json.loads(row["body"])
            made = Entry(sequence, row["at"], row["kind"], row["recipe"], body, previous, "")
            written = {**row, "sequence": sequence, "previous": previous, "digest": made.expected_digest()}
            names, marks = ", ".join(written), ", ".join("?" for _ in written)
            connection.execute(f"INSERT INTO ledger ({names}) VALUES ({marks})", tuple(written.values()))
            previous = written["digest"]
