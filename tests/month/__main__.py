"""`make month`: play it, hold what came of it against what has to come of it, and say so in the last line.

Exit 1 where they differ, a request failed, or the audit finds anything. STILLHOUSE_WRITE_DOCS=1 writes docs/events.md.
"""

import json
import os
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path

from orchestration.auditing import audit_recipe
from tests.month import page
from tests.month.chronicle import chronicle
from tests.month.play import installation, play
from tests.month.story import AS_WRITTEN, DEGRADED_ON
from tests.month.world import NAME, day_of
from tests.quick_dagster import quick_dagster

REQUESTS_A_DAY = 1_200


def main() -> int:
    """Play the month and judge it."""
    with quick_dagster(), tempfile.TemporaryDirectory() as folder, installation(Path(folder), REQUESTS_A_DAY) as world:
        shown = 0
        for day in play(world):
            lines = chronicle(world.place.builds, world.file)
            print(f"day {day}: {sum(world.answers.values()):,} requests so far", flush=True)
            for line in lines[shown:]:
                print(f"    {line.at:%H:%M}  {line.what}{f': {line.more}' if line.more else ''}", flush=True)
            shown = len(lines)
        audited = audit_recipe(world.place.home, NAME)
    came = [f"{day_of(line.at)} {line.what}" for line in lines]
    print(*unified_diff(AS_WRITTEN, came, "as written", "as it came", lineterm=""), *audited.problems, sep="\n")
    wrong = [
        f"day {day}: {world.degraded[day]} answers were degraded; {DEGRADED_ON.get(day, 'none should have been')}"
        for day in sorted(DEGRADED_ON.keys() ^ world.degraded.keys())
    ]
    wrong += [f"a run failed: {line}" for line in world.daemon.broken]
    print(*wrong, sep="\n")
    if os.environ.get("STILLHOUSE_WRITE_DOCS"):
        page.write(lines)
    failed = world.answers.total() - world.answers["200"]
    runs = world.daemon.runs.total()
    as_written = came == AS_WRITTEN and not wrong
    said = {"timeline_as_written": as_written, "requests": world.answers.total(), "failed": failed, "runs": runs}
    print(json.dumps(said))
    return 0 if as_written and not failed and audited.ok else 1


if __name__ == "__main__":
    sys.exit(main())
