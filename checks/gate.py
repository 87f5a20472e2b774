"""What a gate is: a named sentence about an artifact, how it is decided, and what it found.

Belongs here: the types that every module of gates uses.
Does not: any particular gate, Dagster's checks (check_op.py), looking at gates from another run (gate_states.py).
"""

import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from stillhouse.data.quoting import LONGEST_SENTENCE, quotable, quoted
from stillhouse.digests import digest_of
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.manifest import lock_digest
from stillhouse.source_code import closure_digest
from stillhouse.stages.names import BASE, kind_of
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict

OFFENDERS_KEPT = 20


@dataclass(frozen=True)
class Finding:
    """The answer of one gate.

    Args:
        verdict: only PASS opens the gate.
        sentence: what was found, with the numbers that decided.
        evidence: further values for the UI; at most 20 offending rows, never all of them.
        signed_by: who made the decision that the sentence tells of, whose name stays in it.
        observed: the one number that decided, of which the UI draws the trend; None where there is none.
        limit: what it was held against.
    """

    verdict: Verdict
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)
    signed_by: str = ""
    observed: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        """Clean what is said, whoever says it: a finding goes into the ledger, which cannot forget."""
        object.__setattr__(self, "sentence", quoted(self.sentence, LONGEST_SENTENCE, signed_by=self.signed_by))
        object.__setattr__(self, "evidence", quotable(self.evidence))
        for name in ("observed", "limit"):
            value = getattr(self, name)
            known = value is not None and math.isfinite(value)
            object.__setattr__(self, name, float(value) if known else None)


def passed_if(
    holds: bool,
    sentence: str,
    *,
    signed_by: str = "",
    observed: float | None = None,
    limit: float | None = None,
    **evidence: Any,
) -> Finding:
    """Pass if it holds, otherwise fail; see `Finding`."""
    return Finding(Verdict.PASS if holds else Verdict.FAIL, sentence, evidence, signed_by, observed, limit)


NUMBERS = "not measured: it is about classes, and the answers are numbers"
"""What a gate on classes says where there are none."""
RECORDS = "not measured: it is about classes, and the answers are records"
"""Likewise."""


def none_of(found: int, sentence: str, *, signed_by: str = "", **evidence: Any) -> Finding:
    """Pass if nothing was found of what must not be there; see `Finding`."""
    return passed_if(not found, sentence, signed_by=signed_by, observed=found, limit=0, **evidence)


def share_at_most(hits: int, rows: int, limit: float, sentence: str, **evidence: Any) -> Finding:
    """Pass up to a share; above it fail where the rows show it, and be inconclusive where so few give that by chance.

    Args:
        hits: rows of which it is true.
        rows: all rows; of none the share is 0.
        limit: largest share.
        sentence: see `Finding`.
        evidence: see `Finding`.
    """
    share = hits / max(rows, 1)
    verdict = Verdict.PASS
    if share > limit:
        verdict = Verdict.FAIL if wilson_interval(min(hits, rows), rows)[0] > limit else Verdict.INCONCLUSIVE
    unclear = "; so few rows prove nothing" if verdict is Verdict.INCONCLUSIVE else ""
    return Finding(verdict, f"{sentence}{unclear}", evidence, observed=share, limit=limit)


@dataclass(frozen=True)
class GateContext:
    """What a gate looks at: the artifact, the recipe, and what the artifact was made from.

    Args:
        file: the recipe.
        artifact: the newest of its asset, or of one batch of it.
        builds: where what it was made from is found.
        batches: all batches that the recipe has now.
        occasion: for which a teacher behind a server is asked again, beside the look of the day; none is of the day.
    """

    file: RecipeFile
    artifact: Artifact
    builds: BuildStore
    batches: tuple[str, ...] = ()
    occasion: str | None = None

    @property
    def recipe(self) -> Recipe:
        """The contract."""
        return self.file.recipe

    @cached_property
    def _frames(self) -> dict[str, pl.DataFrame]:
        return {}

    def frame(self, name: str) -> pl.DataFrame:
        """Read a table of the artifact, once."""
        if name not in self._frames:
            self._frames[name] = self.artifact.frame(name)
        return self._frames[name]

    @property
    def is_base(self) -> bool:
        """Whether this is the base batch, or of a stage that has no batches."""
        return self.artifact.batch in (None, BASE)

    def made_from(self, stage: str) -> Artifact:
        """The one artifact of another stage that this one was made from."""
        (found,) = self.builds.inputs_of(self.artifact, stage)
        return found

    def frames_made_from(self, stage: str, name: str) -> pl.DataFrame:
        """A table of all batches of a stage that this artifact was made from, one below the other."""
        frames = [artifact.frame(name) for artifact in self.builds.inputs_of(self.artifact, stage)]
        return pl.concat(frames, how="diagonal")

    @cached_property
    def circumstances(self) -> str:
        """Digest of all that decides what a gate finds: artifact, inputs, recipe, code, installed packages, machine."""
        manifest = self.artifact.manifest
        inputs = {asset: item.digest for asset, item in manifest.inputs.items()}
        code = gate_code(manifest.asset.partition("/")[2])
        made_by = [self.recipe.digest, code, lock_digest(), self.builds.device.machine]
        return digest_of([manifest.address, manifest.digest, inputs, *made_by])


@dataclass(frozen=True)
class Gate:
    """A named sentence that must be true of an artifact before anything is made from it.

    Args:
        name: the sentence, with underscores.
        because: what goes wrong without it.
        evaluate: decides it; an exception leaves it as it was, closed where the artifact is new.
        blocking: False for advice, which is shown and closes nothing.
        waivable: False where no person can let it pass, whatever a recipe says.
        closes_as: what it is called when it fails, where that is a result and not a fault: there is no need to distil.
        daily: that it passed stands until the day ends (UTC) while nothing that it rests on has changed.
        remedy: what to do when it fails, where that is not to fix the cause and run again.
        shows_options: whether a round that it closes shows what there is to take without a student.
    """

    name: str
    because: str
    evaluate: Callable[[GateContext], Finding]
    blocking: bool = True
    waivable: bool = True
    closes_as: str | None = None
    daily: bool = False
    remedy: str | None = None
    shows_options: bool = False


def gate(
    because: str,
    *,
    blocking: bool = True,
    waivable: bool = True,
    closes_as: str | None = None,
    daily: bool = False,
    remedy: str | None = None,
    shows_options: bool = False,
    about_classes: bool = False,
) -> Callable[[Callable[[GateContext], Finding]], Gate]:
    """Make a gate of a function whose name is the sentence; see `Gate`.

    One that is `about_classes` or how sure one is measures nothing where answers are numbers or records, and says
    so.
    """

    def wrap(evaluate: Callable[[GateContext], Finding]) -> Gate:
        decide = _where_there_are_classes(evaluate) if about_classes else evaluate
        return Gate(evaluate.__name__, because, decide, blocking, waivable, closes_as, daily, remedy, shows_options)

    return wrap


def _where_there_are_classes(evaluate: Callable[[GateContext], Finding]) -> Callable[[GateContext], Finding]:
    @wraps(evaluate)
    def decide(context: GateContext) -> Finding:
        if context.recipe.gives_records:
            return passed_if(True, RECORDS)
        return passed_if(True, NUMBERS) if context.recipe.gives_numbers else evaluate(context)

    return decide


class Suite(Protocol):
    """Gates that are decided together, such as a Great Expectations suite, with one name for each."""

    @property
    def because(self) -> dict[str, str]:
        """The reason for each gate."""
        ...

    def evaluate(self, context: GateContext) -> dict[str, Finding]:
        """Decide all of them in one pass."""
        ...


@dataclass(frozen=True)
class StageGates:
    """All gates of one stage."""

    gates: Sequence[Gate]
    suite: Suite | None = None

    def names(self, *, blocking: bool) -> list[str]:
        """Names of the blocking gates, or of the advisory ones."""
        alone = [gate.name for gate in self.gates if gate.blocking == blocking]
        return alone + (list(self.suite.because) if self.suite is not None and blocking else [])

    def because(self) -> dict[str, str]:
        """The reason for each gate, by name."""
        return {gate.name: gate.because for gate in self.gates} | (self.suite.because if self.suite else {})

    def unwaivable(self) -> frozenset[str]:
        """Names of the gates that no person can let pass."""
        return frozenset(gate.name for gate in self.gates if not gate.waivable)

    def closes_as(self) -> dict[str, str]:
        """Of each gate whose failure is a result, what that is called."""
        return {gate.name: gate.closes_as for gate in self.gates if gate.closes_as is not None}

    def remedies(self) -> dict[str, str]:
        """What to do when a gate fails, of each gate for which that is not to fix the cause and run again."""
        return {gate.name: gate.remedy for gate in self.gates if gate.remedy is not None}

    def shows_options(self) -> frozenset[str]:
        """Names of the gates with which a round shows what there is to take without a student."""
        return frozenset(gate.name for gate in self.gates if gate.shows_options)

    def evaluate(self, context: GateContext, wanted: Collection[str]) -> Iterator[tuple[str, Finding]]:
        """Decide the gates that are wanted; a suite is decided whole or not at all.

        A suite that has passed under the very same circumstances is not validated again: that alone would cost the
        import of Great Expectations, seconds in a run in which nothing has changed.
        """
        for one in self.gates:
            if one.name in wanted:
                passed = _passed_before(context, one.name, on=datetime.now(UTC).date()) if one.daily else None
                yield one.name, passed or one.evaluate(context)
        if self.suite is not None and not self.suite.because.keys().isdisjoint(wanted):
            findings = _suite_passed_before(context, self.suite) or self.suite.evaluate(context)
            page = {"data_docs": data_docs(context)}
            for name, finding in findings.items():
                if name in wanted:
                    yield name, replace(finding, evidence=finding.evidence | page)


def gates_of_module(module: str, suite: Suite | None = None) -> StageGates:
    """Every gate that a module defines, in the order in which they stand there.

    Args:
        module: its name.
        suite: gates that are decided together.
    """
    return StageGates([value for value in vars(sys.modules[module]).values() if isinstance(value, Gate)], suite)


def offenders(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The first offending rows, as evidence."""
    return rows.head(OFFENDERS_KEPT).to_dicts()


def data_docs(context: GateContext) -> Path:
    """Where Great Expectations' page about an artifact is."""
    name = f"{context.artifact.address.replace('/', '-')}-{context.artifact.digest[:12]}.html"
    return context.builds.home.reports / "data_docs" / name


def _passed_before(context: GateContext, gate: str, *, on: date | None = None) -> Finding | None:
    """The newest finding of a gate from the ledger, if it has passed under the present circumstances, `on` that day."""
    artifact = context.artifact
    earlier = context.builds.ledger.newest(
        context.file.name, "verdict", subject=artifact.address, gate=gate, content=artifact.digest
    )
    if earlier is None or earlier.body["state"] != GateStatus.PASSED:
        return None
    if earlier.body["circumstances"] != context.circumstances:
        return None
    if on is not None and earlier.moment.date() != on:
        return None
    observed, limit = (earlier.body.get(name) for name in ("observed", "limit"))  # version 0.1.0 entered none
    evidence = {"found_in_run": earlier.body["run_id"]}
    return Finding(Verdict.PASS, earlier.body["sentence"], evidence, observed=observed, limit=limit)


def _suite_passed_before(context: GateContext, suite: Suite) -> dict[str, Finding] | None:
    """Findings of a suite from the ledger, if each of its gates has passed under the present circumstances."""
    findings = {gate: _passed_before(context, gate) for gate in suite.because}
    passed = {gate: finding for gate, finding in findings.items() if finding is not None}
    return passed if passed.keys() == findings.keys() else None


def gate_code(stage: str) -> str:
    """Version of all code of ours that the gates of a stage can depend on; a verdict counts for this version alone."""
    return closure_digest(f"checks.{kind_of(stage)}")
