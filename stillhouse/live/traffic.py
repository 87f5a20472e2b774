"""What was answered, what turned out to be true of it, and how long any of it is kept.

Belongs here: the arithmetic of the rows, joining feedback, expiry, erasure.
Does not: where the files are (segments.py), writing them down (stillhouse/serving/writing.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from stillhouse.live.segments import FILE_KINDS, SECONDS_A_DAY, Erasure, FileKind, Tally, TrafficStore, day_at
from stillhouse.live.text_ids import text_ids
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.databases import day_of_the_server


@dataclass(frozen=True)
class ReplicaDay:
    """One replica on one day: what it says, and what is there.

    Args:
        replica: its name.
        tally: what it has counted; None where its tally is missing.
        requests: answers in segments.
        feedback: feedback in segments.
        texts: texts in segments.
        twice: rows that are there more than once.
        shadow: what a challenger said, in segments.
    """

    replica: str
    tally: Tally | None
    requests: int
    feedback: int
    texts: int
    twice: int
    shadow: int = 0

    @property
    def problems(self) -> list[str]:
        """Why the rows do not add up, one clause each; none where they do."""
        tally = self.tally
        if tally is None:
            return [f"{self.replica} has rows and no tally"]
        counted = tally.stored + tally.dropped + tally.lost + tally.thinned + tally.waiting
        found = []
        if tally.received != counted:
            found.append(f"{self.replica} received {tally.received:,} rows and accounts for {counted:,}")
        for what, said, there in (
            ("answers", tally.requests, self.requests),
            ("feedback", tally.feedback, self.feedback),
            ("a challenger's answers", tally.shadow, self.shadow),
        ):
            if said != there:
                found.append(f"{self.replica} sealed {said:,} rows of {what} and {there:,} are there")
        if self.texts > tally.texts:
            found.append(f"{self.replica} sealed {tally.texts:,} texts and {self.texts:,} are there")
        if self.twice:
            found.append(f"{self.twice:,} rows of {self.replica} are there twice")
        if tally.unsealed:
            found.append(f"{tally.unsealed:,} rows of {self.replica} are in its spool")
        if tally.waiting or not tally.final:
            found.append(f"{self.replica} has said nothing since, and {tally.waiting:,} rows were in its queue")
        if tally.uncounted:
            found.append(f"the machine of {self.replica} went down: rows of its last half second are in no count")
        return found


def arithmetic(store: TrafficStore, day: str) -> list[ReplicaDay]:
    """Hold what each replica has counted on a day against what is there, by name."""
    tallies = {tally.replica: tally for tally in store.tallies(day)}
    frames = {kind: store.frame(day, kind) for kind in FILE_KINDS}
    rows = pl.concat([frames[kind].select("replica", "number") for kind in FILE_KINDS if kind != "texts"])
    names = sorted({*tallies, *rows["replica"], *frames["texts"]["replica"]})
    found = []
    for name in names:
        numbers = rows.filter(pl.col("replica") == name)["number"]
        of_kind = {kind: frame.filter(pl.col("replica") == name).height for kind, frame in frames.items()}
        twice = numbers.len() - numbers.n_unique()
        found.append(ReplicaDay(name, tallies.get(name), twice=twice, **of_kind))
    return found


def answers(store: TrafficStore, days: Sequence[str], *, at: float, matures_after_days: int) -> pl.DataFrame:
    """The answers of some days, with what turned out to be true of each.

    Feedback may come at any later time and more than once; the latest counts. Feedback about an id of which there is no
    answer changes nothing.

    Args:
        store: of one recipe.
        days: of the answers.
        at: now, in seconds since 1970.
        matures_after_days: how long after an answer its feedback is waited for.

    Returns:
        One row for each answer, by day, replica and number: its columns, `day`, `truth`, `truth_at` and `by` (null
        where nobody has said), and `matured`, whether it counts with or without a truth.
    """
    rows = [store.frame(day, "requests").with_columns(day=pl.lit(day)) for day in ("", *sorted({*days}))]
    said = truths(store, since=min(days, default=""))
    matured = pl.col("at") + matures_after_days * SECONDS_A_DAY <= at
    return (
        pl.concat(rows).join(said, on="id", how="left").with_columns(matured=matured).sort("day", "replica", "number")
    )


def truths(store: TrafficStore, *, since: str) -> pl.DataFrame:
    """What was said last of each answer, on a day or later: `id`, `truth`, `truth_at` and `by`."""
    said = pl.concat([store.frame(day, "feedback") for day in ("", *store.days()) if day >= since or not day])
    return (
        said.sort("at", "replica", "number", maintain_order=True)
        .unique("id", keep="last")
        .select("id", "truth", pl.col("at").alias("truth_at"), "by")
    )


def feedback_about(store: TrafficStore, days: Sequence[str], *, before: str) -> dict[str, int]:
    """How many rows of feedback there are about the answers of each of some days.

    Args:
        store: of one recipe.
        days: of the answers.
        before: only what was said on days before this one is counted.
    """
    said_on = [day for day in store.days() if min(days, default=before) <= day < before]
    said = pl.concat([store.frame(day, "feedback")["id"] for day in ("", *said_on)])
    return {day: int(said.is_in(store.frame(day, "requests")["id"].implode()).sum()) for day in days}


def overdue(store: TrafficStore, spec: TrafficSpec, today: date) -> list[tuple[str, FileKind]]:
    """What is kept longer than the recipe allows: day, and kind of file."""
    last = {kind: (today - timedelta(days=spec.days)).isoformat() for kind in FILE_KINDS}
    last["texts"] = (today - timedelta(days=spec.text_days)).isoformat()
    return [
        (day, kind) for day in store.days() for kind in FILE_KINDS if day < last[kind] and store.segments(day, kind)
    ]


def day_for_all(ledger_url: str, today: date) -> date:
    """Today, or an earlier day where the clock of this machine is ahead of that of the ledger's database.

    One machine whose clock is some months ahead would find that all of the log is over, and remove what others keep.

    Args:
        ledger_url: of the database; SQLite has no clock of its own, so that this machine's counts.
        today: by the clock of this machine.
    """
    shown = day_of_the_server(ledger_url)
    return today if shown is None else min(today, shown)


def expire(store: TrafficStore, spec: TrafficSpec, today: date) -> None:
    """Remove what has been kept for as long as the recipe allows; the same again changes nothing."""
    for day, kind in overdue(store, spec, today):
        for segment in store.segments(day, kind):
            store.remove(segment)
    first = (today - timedelta(days=spec.days)).isoformat()
    for day in store.days():
        if day < first:
            store.remove_day(day)


@dataclass(frozen=True)
class Erased:
    """What an erasure found.

    Args:
        texts: that were removed.
        keys: answers whose key was removed.
    """

    texts: int
    keys: int


Forget = Callable[[Sequence[str]], None]
"""Takes the `text_ids` of texts that nobody has asked any more, so that what a teacher said of them is removed."""


def erase(store: TrafficStore, erasure: Erasure, forget: Forget) -> Erased:
    """Remove the texts of one caller or one answer, and the caller's key; killed anywhere, the same again ends it.

    The erasure itself is written down first: a server that has such rows in its spool removes them before it seals
    them.
    """
    store.ask_to_erase(erasure)
    return erase_again(store, [erasure], forget)


def erase_again(store: TrafficStore, erasures: Sequence[Erasure], forget: Forget) -> Erased:
    """Carry out erasures on what was sealed: a server may have sealed some of it while the erasure was asked for."""
    texts = keys = 0
    days = store.days() if erasures else []
    # First, while the texts are there by which it is known what was said of them.
    forget(_asked_by_nobody_else(store, days, erasures))
    for day in days:
        meant = _meant(store, day, erasures)
        # Texts first: which of them are meant is known by the keys.
        for segment, frame in store.whole(day, "texts"):
            left = frame.join(meant, on=["replica", "number"], how="anti", maintain_order="left")
            if left.height < frame.height:
                store.replace(segment, left)
                texts += frame.height - left.height
        of_keys = pl.any_horizontal(pl.lit(False), *(is_meant(each) for each in erasures if each.key is not None))
        for segment, frame in store.whole(day, "requests"):
            left = frame.with_columns(key=pl.when(of_keys).then(None).otherwise("key"))
            if left["key"].null_count() > frame["key"].null_count():
                store.replace(segment, left)
                keys += left["key"].null_count() - frame["key"].null_count()
    return Erased(texts, keys)


def harvested(store: TrafficStore, erasure: Erasure) -> dict[str, tuple[str, ...]]:
    """Which answers that an erasure is about stand in harvested files, by file; ask before their key is erased.

    A file that was handed on is out of reach here, as other rows are that people dropped.
    """
    harvests = store.harvests()
    days = store.days() if harvests and erasure.key is not None else []
    meant = {id for day in days for id in store.frame(day, "requests").filter(is_meant(erasure))["id"]}
    meant |= set() if erasure.id is None else {erasure.id}
    found = {each.file: tuple(id for id in each.ids if id in meant) for each in harvests}
    return {file: ids for file, ids in found.items() if ids}


def has_answer(store: TrafficStore, id: str) -> bool:
    """Whether an answer is kept, with its text or without, or stands in a harvested file."""
    in_files = (each.ids for each in store.harvests())
    return any(id in ids for ids in in_files) or any(id in store.frame(day, "requests")["id"] for day in store.days())


def keys_of_strangers(store: TrafficStore, is_ours: Callable[[str], bool]) -> int:
    """How many answers have a key that was made with another secret than ours, so that nobody is known by it here.

    Args:
        store: of one recipe.
        is_ours: whether an id was issued under our secret.
    """
    rows = (store.frame(day, "requests").filter(pl.col("key").is_not_null()) for day in store.days())
    return sum(not is_ours(id) for frame in rows for id in frame["id"])


def _meant(store: TrafficStore, day: str, erasures: Sequence[Erasure]) -> pl.DataFrame:
    requests = store.frame(day, "requests")
    return requests.filter(pl.any_horizontal(is_meant(each) for each in erasures)).select("replica", "number")


def _asked_by_nobody_else(store: TrafficStore, days: Sequence[str], erasures: Sequence[Erasure]) -> list[str]:
    """`text_ids` of the texts that are to be erased and stand in no other row."""
    erased, stay = set[str](), set[str]()
    for day in days:
        texts = store.frame(day, "texts")
        texts = texts.with_columns(text_ids(texts["text"]))
        meant = texts.join(_meant(store, day, erasures), on=["replica", "number"], how="semi")
        others = texts.join(meant, on=["replica", "number"], how="anti")
        erased |= {*meant["prompt_id"]}
        stay |= {*others["prompt_id"]}
    return sorted(erased - stay)


def is_meant(erasure: Erasure) -> pl.Expr:
    """Which answers an erasure is about."""
    if erasure.id is not None:
        return pl.col("id") == erasure.id
    return (pl.col("key") == erasure.key).fill_null(False) & (pl.col("at") <= erasure.at)


@dataclass(frozen=True)
class KeptAnswer:
    """One answer as it was kept, without its text; see `ServedRequest` of stillhouse/serving/requests.py."""

    replica: str
    number: int
    id: str
    at: float
    release: str
    deployment: int
    source: str
    label: str | None
    confidence: float | None
    degraded: bool
    status: int
    latency_ms: float
    characters: int
    tokens: int | None
    key: str | None
    arm: str
    student_label: str | None
    student_confidence: float | None
    wanted_share: float | None
    kept_share: float
    columns: str | None


def the_answer(store: TrafficStore, id: str, *, issued_at: float) -> KeptAnswer | None:
    """The row of one answer, without its text; None where none is kept.

    Args:
        store: of one recipe.
        id: of the answer.
        issued_at: when the id was made; a request may have come the day before, and be on the day after.
    """
    for seconds in (0, -SECONDS_A_DAY, SECONDS_A_DAY):
        found = store.frame(day_at(issued_at + seconds), "requests").filter(pl.col("id") == id)
        if not found.is_empty():
            return KeptAnswer(**found.row(0, named=True))
    return None
