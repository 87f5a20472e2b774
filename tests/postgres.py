"""A real Postgres for tests, on a socket of its own; Debian's `postgresql` brings it.

Belongs here: starting and stopping one server.
Does not: what is kept in it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
PG_CTL = str(_FOUND[-1]) if _FOUND else shutil.which("pg_ctl")
NOBODY = "postgres"
"""The user that Debian's package makes; the server refuses to run as root."""


@contextmanager
def postgres() -> Iterator[str]:
    """SQLAlchemy URL of an empty database, gone afterwards."""
    assert PG_CTL is not None
    as_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if as_root:
            shutil.chown(folder, NOBODY)

        def control(*words: str) -> None:
            command = [PG_CTL, "--pgdata", f"{folder}/data", "--silent", *words]
            subprocess.run([*(["runuser", "-u", NOBODY, "--"] if as_root else []), *command], check=True, cwd=folder)

        control("initdb", "--options", f"--auth=trust --username={NOBODY}")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        control("start", "--log", f"{folder}/log", "--wait", "--options", options)
        try:
            yield f"postgresql+psycopg2://{NOBODY}@/postgres?host={folder}"
        finally:
            control("stop", "--mode", "immediate")
