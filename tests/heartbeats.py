"""Servers that said something a while ago."""

from datetime import timedelta

import pytest

from stillhouse.records import replicas
from stillhouse.records.replicas import Heartbeat, beat


def beat_ago(ledger_url: str, heartbeat: Heartbeat, *, ago: float) -> None:
    """Say what a server serves, so many seconds ago by the clock of the database."""
    with pytest.MonkeyPatch.context() as patch:
        real = replicas.time_of
        patch.setattr(replicas, "time_of", lambda connection: real(connection) - timedelta(seconds=ago))
        beat(ledger_url, heartbeat)
