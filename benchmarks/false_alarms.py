"""`make bench-false-alarms`: how often do gates close on rows with which nothing is wrong?

The demo's own questions, each once, are drawn again and again, four fifths at a time and without replacement, under a
new split key. Every gate of `source` and `prompts` looks at each draw as a base batch, at 100 of the questions left out
as a later batch beside it, and at the draw with all left-out questions added, as a source that has grown. Each of the
three is honest, so each closed gate is a false alarm: of 200 resamples, at most 4 may have one.

The stages' own functions make the artifacts and the gates are asked directly, without a Dagster run, in which they
would be the same. What needs a trained teacher is not looked at: the gates of `teacher`, `baselines`, `teacher_signal`
(so not `few_labels_look_wrong` and its like), `transfer_set` and all that comes after. The gates of
`contract` are not either, since no row decides them.

The last line is JSON, `{"resamples": ..., "closed": ...}`, where `closed` is the NUMBER of resamples in which any
blocking gate closed, not their share. Exit code 1 if that is more than 2 % of them. Advisory gates are told apart and
count for nothing.

Belongs here: drawing, asking, counting.
Does not: how large a share of wrong rows the gates find.
"""

import json
import logging
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipes import DEMO, demo_recipe, use_home
from stillhouse.statistics.verdicts import Verdict

RESAMPLES = 200
MOST_CLOSED_SHARE = 0.02
DRAWN_SHARE = 0.8
LATER_ROWS = 100
LATER = "later.txt"


@dataclass
class Tally:
    """In which resamples each gate closed, and what it said the first time."""

    resamples: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    example: dict[str, str] = field(default_factory=dict)

    def add(self, gate: str, resample: int, sentence: str) -> None:
        """Count a gate that closed."""
        self.resamples[gate].add(resample)
        self.example.setdefault(gate, sentence)

    @property
    def closed(self) -> set[int]:
        """Resamples in which any gate closed."""
        return set().union(*self.resamples.values())

    def told(self, of: int) -> list[str]:
        """One line for each gate, the most frequent first."""
        by_count = sorted(self.resamples.items(), key=lambda item: (-len(item[1]), item[0]))
        return [f"  {len(numbers):>4} of {of}  {gate}: {self.example[gate]}" for gate, numbers in by_count] or [
            "  none"
        ]


def main(resamples: int) -> int:
    """Draw, ask, count, and judge."""
    blocking, advisory = Tally(), Tally()
    looked_at: set[str] = set()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        use_home(Path(folder) / "home")
        bench = _Bench(Path(folder))
        for number in range(resamples):
            for gate, is_blocking, finding in bench.findings(number):
                looked_at.add(gate)
                if finding.verdict is not Verdict.PASS:
                    (blocking if is_blocking else advisory).add(gate, number, finding.sentence)
            if (number + 1) % 20 == 0:
                seconds = time.perf_counter() - start
                print(f"{number + 1} resamples, {len(blocking.closed)} with a closed gate, {seconds:.0f} s", flush=True)
    print(f"{len(looked_at)} gates looked at; blocking ones that closed:", *blocking.told(resamples), sep="\n")
    print("advisory ones that were not passed:", *advisory.told(resamples), sep="\n")
    closed = len(blocking.closed)
    print(f"{closed / resamples:.1%} of the resamples have a closed gate, at most {MOST_CLOSED_SHARE:.0%} may")
    print(json.dumps({"resamples": resamples, "closed": closed}))
    return 1 if closed > MOST_CLOSED_SHARE * resamples else 0


class _Bench:
    """One installation in which all resamples are made, each as a recipe of its own."""

    def __init__(self, folder: Path) -> None:
        import dagster as dg

        from stillhouse.home import Home
        from stillhouse.records.builds import BuildStore

        logging.disable(logging.INFO)  # a context of its own for each call logs its progress, and there are thousands
        self.folder = folder
        self.builds = BuildStore(Home.from_environment())
        self.instance = dg.DagsterInstance.ephemeral()
        self.lines = _distinct_lines()

    def findings(self, number: int) -> Iterator[tuple[str, bool, Any]]:
        """Make one resample and give the name of each gate, whether it is blocking, and what it found."""
        from stillhouse.records.batches import Batch, BatchFile, record
        from stillhouse.stages.names import BASE

        name = f"resample_{number:03}"
        source = self.folder / f"{name}.txt"
        later = self.builds.home.inbox(name) / LATER
        later.parent.mkdir(parents=True)
        order = np.random.default_rng(number).permutation(len(self.lines))
        drawn, left = np.split(order, [int(DRAWN_SHARE * len(order))])
        self._write(source, np.sort(drawn))
        self._write(later, np.sort(left[:LATER_ROWS]))
        changes = {"data": {"source": str(source)}, "split": {"key": name}}
        file = demo_recipe(self.folder / "recipes", name, changes)
        taken = BatchFile(name=LATER, digest=self.builds.store.keep(later), size=later.stat().st_size)
        record(self.builds.ledger, name, Batch(batch=LATER, files=(taken,), because="a resample"))
        base = self._made(file, BASE, None)
        yield from self._looked_at(file, base)
        yield from self._looked_at(file, self._made(file, LATER, base["prompts"]))
        self._write(source, np.concatenate([np.sort(drawn), np.sort(left)]))
        yield from self._looked_at(file, self._made(file, BASE, None))

    def _write(self, path: Path, places: Any) -> None:
        path.write_text("".join(f"{self.lines[place]}\n" for place in places), encoding="latin-1")

    def _made(self, file: Any, batch: str, base: Any) -> dict[str, Any]:
        """Call the stages' own functions for a batch, as a run would."""
        from assets.recipe_assets import assets_of

        assets = assets_of(file)
        frozen = self._call(assets["contract"], None, base)
        rows = self._call(assets["source"], batch, base, contract=frozen)
        return {"source": rows, "prompts": self._call(assets["prompts"], batch, base, source=rows)}

    def _call(self, asset: Any, batch: str | None, base: Any, **inputs: Any) -> Any:
        import dagster as dg

        resources = {"builds": self.builds, "artifacts": _Ungated(base)}
        with dg.build_asset_context(resources=resources, instance=self.instance, partition_key=batch) as context:
            return asset(context, **inputs).value

    def _looked_at(self, file: Any, made: dict[str, Any]) -> Iterator[tuple[str, bool, Any]]:
        from checks.gate import GateContext
        from checks.stages import gates_of
        from stillhouse.stages.names import BASE

        for stage, artifact in made.items():
            gates = gates_of(stage)
            blocking = gates.names(blocking=True)
            context = GateContext(file, artifact, self.builds, (BASE, LATER))
            for name, finding in gates.evaluate(context, {*blocking, *gates.names(blocking=False)}):
                yield f"{stage}: {name}", name in blocking, finding


@dataclass(frozen=True)
class _Ungated:
    """Hands over the base batch without asking whether its gates are open: whether they are is what is measured."""

    base: Any

    def load_gated(self, *_: Any) -> Any:
        return self.base


def _distinct_lines() -> list[str]:
    """The demo's lines, one for each question."""
    import re

    import polars as pl

    from stillhouse.data.cleaning import prompt_ids
    from stillhouse.data.places import find_places
    from stillhouse.recipe.reading import read_recipe

    data = read_recipe(DEMO).recipe.data
    assert data.pattern is not None
    (place,) = find_places(data.source, None, data.encoding)
    assert place.path is not None
    lines = place.path.read_text(encoding=data.encoding).splitlines()
    matches = [match for match in map(re.compile(data.pattern).match, lines) if match]
    ids = prompt_ids(pl.Series([match[data.text] for match in matches]))
    return list({name: match[0] for name, match in zip(reversed(ids), reversed(matches), strict=True)}.values())[::-1]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else RESAMPLES))
