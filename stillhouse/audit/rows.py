"""What the teacher behind a champion said of one row, and what became of that.

Belongs here: finding the row among what the champion was made from.
Does not: the walk from the champion back (audit.py), what a server answered to a caller (answers.py).
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from stillhouse.audit.audit import audit
from stillhouse.audit.records import Audit, AuditedAgainst, Link
from stillhouse.audit.words import one_line
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.manifest import asset_and_batch
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import ANSWERS, BASE, MEMBERS, PROMPTS, TEACHER, TEACHER_SIGNAL, TRANSFER_SET
from stillhouse.tasks import as_people_read_it, counts_as_people_read_them
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.columns import DISAGREEMENT, ERROR, MASS, RATIONALE, RAW, TOOK, VOTES
from stillhouse.teachers.signal import SignalStore, signal_store


class TeacherSaid(Record):
    """One row of a teacher's signal; null is what this kind of teacher does not have, or an earlier version not kept.

    Attributes:
        fingerprint: of the teacher.
        answer: as a label is written; null where there is none.
        confidence: probability of the answer by what it said, before it is calibrated.
        failure: why there is no answer.
        error: what was said in the place of one.
        raw: each reply that the answer was read from, with single blanks and without personal data.
        mass: the probability that was on labels at all.
        votes: how often each label, or each value of a field, was answered, where it was asked several times.
        disagreement: share of an ensemble's members that say otherwise.
        rationale: why it answered so, in its words.
        observed: the model that a server said has answered.
        tokens: that were read.
        tokens_out: that were written.
        usd: that all attempts have cost.
        seconds: that the calls took.
    """

    fingerprint: str
    answer: str | None
    confidence: float | None
    failure: str | None
    error: str | None
    raw: tuple[str | None, ...] | None
    mass: float | None
    votes: dict[str, int] | None
    disagreement: float | None
    rationale: str | None
    observed: str | None
    tokens: int | None
    tokens_out: int | None
    usd: float | None
    seconds: float | None


class RowAudit(Record):
    """What is known of one row behind a champion.

    Attributes:
        ok: whether there is no problem, here or in the audit of the champion.
        problems: one line each, of the row alone.
        prompt_id: of the row.
        batch: that brought it.
        text: that the teacher was asked about, redacted.
        label: that people gave it; null where nobody did.
        split: train, validation or golden.
        said: by the teacher.
        members: the same of each member of an ensemble, by name.
        taught: whether students learned from the answer.
        because: why they did not; null where they did, and of rows that no student learns from.
        audit: of the champion.
    """

    ok: bool
    problems: tuple[str, ...]
    prompt_id: str
    batch: str
    text: str
    label: str | None
    split: str
    said: TeacherSaid
    members: dict[str, TeacherSaid]
    taught: bool
    because: str | None
    audit: Audit


def audit_row(builds: BuildStore, recipe: str, outside: AuditedAgainst, *, prompt_id: str) -> RowAudit:
    """Find what the teacher said of a row that the champion comes from, in the very artifacts that it was made from.

    Args:
        builds: with artifacts, ledger and, of an ensemble, what its members have said.
        recipe: whose champion.
        outside: what store and ledger are held against.
        prompt_id: of the row, or its beginning.

    Raises:
        StillhouseError: if no row, or more than one, of the champion's prompts begins so, or one of them was altered.
    """
    found = audit(builds.store, builds.ledger, recipe, outside)
    behind = _Behind(builds, recipe, found.chain)
    batch, row = _the_row(behind, prompt_id)
    name = row["prompt_id"]
    signal = behind.made(TEACHER_SIGNAL, batch)
    teacher = behind.made(TEACHER, None)
    if signal is None or teacher is None:
        raise StillhouseError(
            f"the champion was not made from what a teacher said of {name[:12]}",
            where=f"{recipe}: --row",
            expected="a row of a batch that the teacher was asked about",
            do="Ask for a row of another batch.",
        )
    facts = teacher.facts(TeacherFacts)
    row_of_signal = signal.frame("signal").filter(pl.col("prompt_id") == name)
    said = _said(row_of_signal, facts, teacher.folder, row["text"])
    members, problems = _said_by_members(signal_store(builds), teacher, name, row["text"])
    taught, because = _became(behind, row)

    return RowAudit(
        ok=found.ok and not problems,
        problems=tuple(problems),
        prompt_id=name,
        batch=batch,
        text=row["text"],
        label=_shown(row["label"], facts, row["text"]),
        split=row["split"],
        said=said,
        members=members,
        taught=taught,
        because=because,
        audit=found,
    )


class _Behind:
    """The artifacts that a champion was made from."""

    def __init__(self, builds: BuildStore, recipe: str, chain: Iterable[Link]) -> None:
        self._builds = builds
        self._by_asset = {link.asset: link for link in chain}
        self._recipe = recipe

    @property
    def batches(self) -> list[str]:
        """Those with prompts, the recipe's own first."""
        named = (asset_and_batch(asset) for asset in self._by_asset)
        found = sorted(batch for asset, batch in named if asset == f"{self._recipe}/{PROMPTS}" and batch is not None)
        return sorted(found, key=lambda batch: batch != BASE)

    def made(self, stage: str, batch: str | None) -> Artifact | None:
        """What a stage made, its bytes hashed again; None where the champion was made without it."""
        address = f"{self._recipe}/{stage}" + ("" if batch is None else f"[{batch}]")
        link = self._by_asset.get(address)
        return None if link is None else self._builds.artifact(link.digest, link.manifest)


def _the_row(behind: _Behind, prompt_id: str) -> tuple[str, dict[str, str]]:
    """The first batch with the row, and the row; of a row in several batches one with a label goes before."""
    found: list[tuple[str, dict[str, str]]] = []
    for batch in behind.batches:
        prompts = behind.made(PROMPTS, batch)
        assert prompts is not None
        rows = prompts.frame("prompts").filter(pl.col("prompt_id").str.starts_with(prompt_id))
        found += [(batch, row) for row in rows.select("prompt_id", "text", "label", "split").iter_rows(named=True)]
    names = {row["prompt_id"] for _, row in found}
    if len(names) != 1:
        raise StillhouseError(
            f"{len(names) or 'no'} rows that the champion comes from have an id that begins with {prompt_id!r}",
            where="--row",
            expected="the prompt_id of one row, or its beginning",
            do="Look it up in the prompts or in a report, and give more of it.",
        )
    return min(found, key=lambda each: each[1]["label"] is None)


def _shown(answer: str | None, facts: TeacherFacts, text: str) -> str | None:
    return None if answer is None else as_people_read_it(facts.task, answer, text)


def _said(rows: pl.DataFrame, facts: TeacherFacts, folder: Path, text: str) -> TeacherSaid:
    """What a row of the signal says.

    Args:
        rows: this one.
        facts: of the teacher.
        folder: what it was made as; of a file of answers that is where the replies are.
        text: that was answered.
    """
    (row,) = with_answers(rows, facts.task).iter_rows(named=True)
    votes = row.get(VOTES)
    raw = _in_full(folder, row["prompt_id"]) if facts.kind is TeacherKind.STORED else row.get(RAW)
    rest = (ERROR, MASS, DISAGREEMENT, RATIONALE, *TOOK)
    return TeacherSaid(
        fingerprint=row["fingerprint"],
        answer=_shown(row["answer"], facts, text),
        confidence=row["confidence"],
        failure=row["failure"],
        raw=raw,
        votes=None if votes is None else counts_as_people_read_them(facts.task, votes, text),
        observed=row["observed"],
        tokens=row["tokens"],
        **{name: row.get(name) for name in rest},
    )


def _in_full(folder: Path, name: str) -> tuple[str, ...] | None:
    """The replies of a file to a prompt; None where an earlier version kept none."""
    answers = pl.read_parquet(folder / f"{ANSWERS}.parquet")
    found = answers.filter(pl.col("prompt_id") == name)
    return tuple(found[RAW][0]) if RAW in answers.columns and found.height else None


def _said_by_members(
    signal: SignalStore, teacher: Artifact, name: str, text: str
) -> tuple[dict[str, TeacherSaid], list[str]]:
    """What each member of an ensemble said, out of what is kept of it; the artifact has what they say together."""
    said, problems = dict[str, TeacherSaid](), list[str]()
    for member, facts in teacher.facts(TeacherFacts).members.items():
        try:
            row = signal.read([name], facts.fingerprint)
        except StillhouseError as error:
            problems.append(f"what member {member} said is not kept: {one_line(error)}")
        else:
            said[member] = _said(row, facts, teacher.folder / MEMBERS / member, text)
    return said, problems


def _became(behind: _Behind, row: dict[str, str]) -> tuple[bool, str | None]:
    """Whether students learned from a row, and why they did not."""
    made = behind.made(TRANSFER_SET, None)
    if row["split"] != "train" or made is None:
        return False, None
    if row["prompt_id"] in made.frame("transfer_set")["prompt_id"]:
        return True, None
    left_out = made.frame("rejects").filter(pl.col("text") == row["text"]).select("reason", "detail")
    (reason, detail), *_ = left_out.rows() or [("it is in no transfer set", None)]
    return False, reason if detail is None else f"{reason}: {detail}"
