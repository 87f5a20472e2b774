"""Dagster's files wait for the disk less than by themselves, and have an engine each; the ledger waits at every entry.

In a process of its own: in that of the tests nothing waits for the disk.
"""

import json
import subprocess
import sys
import textwrap

from stillhouse.home import CHECKOUT, Home

SCRIPT = """
    import json, os
    from pathlib import Path
    import dagster as dg
    import sqlalchemy as sa
    from orchestration.dagster_databases import HELD_AT_MOST, _held
    from orchestration.instance import initialise
    from stillhouse.home import Home
    from stillhouse.records.builds import BuildStore

    made = []
    begin = sa.Engine.__init__
    sa.Engine.__init__ = lambda *given, **how: made.append(1) or begin(*given, **how)

    def waits(path):
        engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
        with engine.connect() as connection:
            return connection.execute(sa.text("PRAGMA synchronous")).scalar()

    home = Home.from_environment()
    with initialise(home) as instance:
        events = home.dagster / "history" / "runs"
        instance.report_runless_asset_event(dg.AssetMaterialization("a"))
        log = (events / "index.db-wal").stat().st_size
        BuildStore(home).ledger.now()
        before = len(made)
        for _ in range(10):
            instance.report_runless_asset_event(dg.AssetMaterialization("a"))
            instance.get_runs(limit=1)
        engines = len(made) - before
        job = dg.job(name="j")(lambda: None)
        for _ in range(HELD_AT_MOST + 3):
            instance.report_engine_event("written", instance.create_run_for_job(job_def=job))
        print(json.dumps({
            "events": waits(events / "index.db"), "ledger": waits(home.root / "ledger.db"),
            "engines": engines, "log": log, "held": len(_held),
            "elsewhere": [path for path in _held if not path.startswith(str(home.dagster.resolve()))],
        }))
"""
NORMAL, FULL = 1, 2
"""What SQLite calls them."""


def test_only_the_ledger_waits_for_the_disk_at_every_entry_and_engines_are_kept(home: Home) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(asked.stdout.splitlines()[-1])
    assert (found["events"], found["ledger"]) == (NORMAL, FULL)
    assert found["engines"] == 0, "an engine is made again for a file that had one"
    assert found["log"] > 0, "the log was written back as a connection was closed"
    assert (found["held"], found["elsewhere"]) == (8, [])
