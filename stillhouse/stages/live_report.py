"""One day of live answers, held against what the release was judged by.

Belongs here: what a report shows and depends on, and drawing it up, which is pure.
Does not: what answers are held against (live_reference.py), asking the teacher (live_teacher.py), alarms
(stillhouse/live/watch.py), gates (checks/live_report.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.live import feedback
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.baseline import Reference
from stillhouse.live.estimate import AskedFrom, Heard, heard_of, of_this_secret, together
from stillhouse.live.feedback import SampledTruth
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.purposes import Purpose
from stillhouse.live.reader import Marks, first_day, up_to
from stillhouse.live.segments import HANDED_ON, MODEL_FAILED, TRAFFIC, Segment, TrafficStore
from stillhouse.live.text_ids import text_ids
from stillhouse.live.thinning import kept_by, least_share
from stillhouse.live.traffic import answers
from stillhouse.live.watch import TeacherHealth, WatchState, WatchTerms
from stillhouse.live.watches import Watch, WatchKind, asked_of, counted
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.records.builds import BuildStore, Plan
from stillhouse.records.champions import promoted
from stillhouse.records.deployments import DeployedRelease
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.live_reference import reference_of, terms_of, watch_of
from stillhouse.stages.live_teacher import teacher_behind
from stillhouse.stages.names import LIVE_REPORT
from stillhouse.statistics.live_agreement import LiveAgreement
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.tasks.alike import alike
from stillhouse.wording import percent, points


class WatchedShare(Record):
    """A share that is watched, as it was on one day."""

    name: str
    kind: str
    falls: bool = Field(description="Whether events are rows without what is watched: its share may not fall.")
    events: int
    rows: int
    limit: float
    reference: float | None
    weekday: str | None = Field(
        None,
        exclude_if=lambda day: day is None,  # so that a share with one limit for all days is written as it was
        description="Whose limit and reference these are, such as `Monday`; left out where all days have the same.",
    )

    @property
    def share(self) -> float:
        """Of the rows of the day; 0 of none."""
        return self.events / max(self.rows, 1)

    @property
    def subject(self) -> str:
        """What it is a share of, whether that may not rise or not fall."""
        return self.name.removesuffix(" falls" if self.falls else " rises")

    @property
    def seen(self) -> str:
        """The share of its subject, as a person reads it."""
        return (
            "no rows" if not self.rows else percent(self._of_subject(self.share), against=self._of_subject(self.limit))
        )

    @property
    def allowed(self) -> str:
        """The limit likewise."""
        on = "" if self.weekday is None else f" on {self.weekday}s"
        return f"at {'least' if self.falls else 'most'} {percent(self._of_subject(self.limit))}{on}"

    @property
    def usual(self) -> str:
        """The reference likewise; empty where the recipe names the limit."""
        return "" if self.reference is None else percent(self._of_subject(self.reference))

    def _of_subject(self, share: float) -> float:
        return 1 - share if self.falls else share


class MaturedTruth(Record):
    """Answers of this day of which it has been said whether they were right, as far as they are mature."""

    selection: str = Field(
        description="unknown = of callers who chose to give feedback; sample = some that were drawn; complete = all."
    )
    matured: int = Field(description="Answers of the student by itself whose time for feedback is over.")
    known: int = Field(description="Of them, those with a truth.")
    right: int
    low: float = Field(description="95 % interval of the share that is right (Wilson).")
    high: float
    sample: SampledTruth | None = Field(
        None,
        exclude_if=lambda sample: sample is None,  # so that a day on which nothing was drawn is written as it was
        description="What the truths say that were asked for: with these alone it is decided, and what others said is "
        "in the counts above and decides nothing.",
    )


class KeptAnswers(Record):
    """What the student of a cascade keeps and gets wrong, of all requests of a day."""

    margin: float = Field(description="That both together were proven to hold against the teacher alone.")
    threshold: float = Field(description="Confidence from which the student answers.")
    agreement: LiveAgreement | None = Field(
        description="Of all answers; those that the teacher was to give agree. Null as that of the student's own is."
    )
    differ_limit: float | None = Field(
        description="Share of all that may be kept and answered otherwise than the teacher would; null if it is not "
        "asked."
    )
    truth: MaturedTruth = Field(description="Of all answers; those that the teacher was to give count as right.")
    wrong_limit: float | None = Field(
        description="Share of all that may be kept and wrong; null where truth binds nothing."
    )

    @property
    def limits(self) -> str:
        """The margin, and where the student answers."""
        return f"margin {points(self.margin)} points, the student answers from a confidence of {self.threshold:.3f} on"


class HeldMemory(Record):
    """What servers of the watched release held on a day."""

    most_mb: float = Field(description="Of the server that held most, through two minutes, in 1e6 bytes.")
    limit_mb: float | None = Field(description="Null where the recipe has none.")


class LiveFacts(Record):
    """One day of answers of the release that is watched."""

    day: str
    release: str
    student: str
    since: str = Field(description="When the release was promoted.")
    answers: int = Field(description="By this release, with those on which the model failed.")
    kept_share: float = Field(
        1.0,
        description="Of the day's answers, the share that is looked at: the smallest by which a full log kept any, so "
        "that shares are of the whole day and only counts are smaller.",
    )
    of_others: int = Field(description="By other releases, which are not looked at.")
    agreement: LiveAgreement | None = Field(description="Null where fewer than two answers could be asked about.")
    agreement_limit: float | None = Field(description="Lowest agreement that is no finding; null if nobody is asked.")
    silent: int = Field(description="Answers that the teacher was to be asked about and gave no answer to.")
    of_another_secret: int = Field(
        0,
        exclude_if=lambda many: many == 0,  # so that a day without any is written as it was
        description="Answers that are records and were kept under another secret than that of this installation: what "
        "the teacher says cannot be compared with them, and the agreement is that of the others.",
    )
    teacher: TeacherHealth | None = Field(description="What its canary prompts said last; null before.")
    truth: MaturedTruth
    truth_limit: float | None = Field(description="Lowest accuracy that is no finding; null where truth binds nothing.")
    cascade: KeptAnswers | None = Field(
        None,
        exclude_if=lambda kept: kept is None,  # so that a day without one is written as it was
        description="Left out where no student is held to the margin of a cascade.",
    )
    shares: tuple[WatchedShare, ...]
    latency_ms: tuple[float, float, float] | None = Field(
        description="Median, 95th and 99th percentile, of the answers that the student gave by itself."
    )
    memory: HeldMemory | None = Field(
        None,
        exclude_if=lambda held: held is None,  # so that a day without it is written as it was
        description="Left out where no server said what it holds.",
    )
    origin: str = Field(description="What inputs are held against: golden rows, or a month of live answers.")


@dataclass(frozen=True)
class LiveDay:
    """What is known of one day.

    Args:
        day: as `2026-11-28`, UTC.
        segments: files of answers and feedback that were read.
        rows: its answers, of all releases, as `live.traffic.answers` gives them.
        heard: those of the watched release that the teacher could be asked about.
        silent: how many of them the teacher was asked about in vain.
        earlier: the report of this day that says what the teacher said; None where that is in `heard`.
        kept_share: of the day's answers, the share that is in `rows`.
        of_all: `heard`, and those that the teacher was to answer, as `heard_of` has them; None without a cascade.
        of_another_secret: answers that could not be compared with what the teacher says.
    """

    day: str
    segments: Sequence[Segment]
    rows: pl.DataFrame
    heard: Heard
    silent: int
    earlier: LiveFacts | None = None
    kept_share: float = 1.0
    of_all: Heard | None = None
    of_another_secret: int = 0


@dataclass(frozen=True)
class Watched:
    """The release that is watched, and by what.

    Args:
        champion: the release.
        since: when it was promoted, ISO 8601.
        terms: what the watch goes by.
        reference: what its inputs are held against.
        budgets: how much the teacher was asked, by when that began.
        teacher: what came of its canary.
        asked: the last answer of each day and replica that the teacher was asked about or passed over.
        memory_mb: the most that a server held for long, by day.
    """

    champion: DeployedRelease
    since: str
    terms: WatchTerms
    reference: Reference
    budgets: Sequence[AskedFrom]
    teacher: TeacherHealth | None
    asked: Marks
    memory_mb: Mapping[str, float]


def watched_on(builds: BuildStore, file: RecipeFile, state: WatchState | None, day: str) -> Watched:
    """The release that served at the end of a day, or of today until now, and by what it is watched.

    Args:
        builds: with the ledger.
        file: the recipe.
        state: what the watch remembers, of the release that serves now; None before the first.
        day: as `2026-11-28`, UTC.

    Raises:
        StillhouseError: if nothing serves yet, or nothing served on that day.
    """
    if state is None:
        raise StillhouseError(
            "nothing serves yet", where=f"{file.name}/{LIVE_REPORT}", expected="a champion that is watched",
            do=f"`stillhouse run {file.name}` makes one.",
        )  # fmt: skip
    served = next((each for each in promoted(builds.ledger, file.name) if each.since[:10] <= day), None)
    if served is None:
        raise StillhouseError(
            f"nothing served on {day}", where=f"{file.name}/{LIVE_REPORT}", expected="a day since the first promotion",
            do="Choose a later day.",
        )  # fmt: skip
    champion = served.deployed
    is_watched = champion.release == state.release
    reference = state.reference if is_watched else reference_of(builds, file, champion)
    held = state.memory_mb if is_watched else {}
    return Watched(champion, served.since, terms_of(file), reference, state.budgets, state.teacher, state.asked, held)


def live_day(
    builds: BuildStore,
    file: RecipeFile,
    watched: Watched,
    store: TrafficStore,
    day: str,
    *,
    key: Callable[[Purpose], bytes],
    is_ours: Callable[[str], bool],
    at: float,
    earlier: LiveFacts | None = None,
) -> LiveDay:
    """Read a day of answers, with what the teacher has said of those that were drawn; nobody is asked here.

    When nobody asks about a day any more, its texts may be gone and the teacher another one: what an earlier report of
    it said of teacher and agreement then stays, and rows and truths are read again.

    Args:
        builds: with the answers of teachers.
        file: the recipe.
        watched: the release.
        store: of the recipe.
        day: as `2026-11-28`, UTC.
        key: from a purpose to the key by which this installation draws for it.
        is_ours: whether the id of an answer was issued under the secret of this installation.
        at: now, in seconds since 1970: by it truths are mature.
        earlier: the newest report of this day, if there is one.
    """
    assert file.recipe.traffic is not None
    share = least_share(store, day)
    rows = kept_by(answers(store, [day], at=at, matures_after_days=file.recipe.traffic.matures_after_days), share)
    rows = feedback.with_wanted(rows, key(Purpose.TRUTH_IS_ASKED_FOR))
    segments = [*store.segments(day, "requests")]
    segments += [each for later in store.days() if later >= day for each in store.segments(later, "feedback")]
    if earlier is not None and day < first_day(at) and earlier.release == watched.champion.release:
        return LiveDay(day, segments, rows, together([]), 0, earlier, share)
    parts, silent, of_all, strange = [], 0, None, 0
    if watched.terms.asks:
        known = LiveAnswers.of(builds.home)
        teacher = teacher_behind(builds, watched.champion).facts(TeacherFacts)
        fingerprint, records = teacher.fingerprint, KeptRecords.of(teacher.record, key)
        of_release = up_to(rows, watched.asked.get(day, {})).filter(pl.col("release") == watched.champion.release)
        if records is not None:
            ours = of_this_secret(of_release, is_ours)
            of_release, strange = ours, of_release.height - ours.height
        drawn_for = []

        def kept(texts: Sequence[str]) -> pl.DataFrame:
            return known.kept(fingerprint, text_ids(pl.Series(texts, dtype=pl.String)).to_list())

        def said(texts: Sequence[str]) -> pl.DataFrame:
            drawn_for.append(len(texts))
            return kept(texts)

        drawing = (
            of_release, store.frame(day, "texts"), watched.reference.agreement, watched.budgets,
            key(Purpose.TEACHER_IS_ASKED),
        )  # fmt: skip
        tolerance = watched.reference.tolerance
        parts = [heard for _, heard in heard_of(*drawing, said, tolerance=tolerance, records=records)]
        silent = sum(drawn_for) - sum(int(each.asked.sum()) for each in parts)
        if watched.reference.cascade is not None:
            of_all = together([heard for _, heard in heard_of(*drawing, kept, of_all=True)])
    heard = together(parts)
    return LiveDay(day, segments, rows, heard, silent, kept_share=share, of_all=of_all, of_another_secret=strange)


def plan(file: RecipeFile, live: LiveDay, watched: Watched) -> Plan[LiveFacts]:
    """Draw up the report of a day.

    Args:
        file: the recipe.
        live: what is known of the day.
        watched: the release that served at the end of it, and by what it is watched.
    """
    addresses = {
        f"{TRAFFIC}/{file.name}/{each.day}/{each.kind}/{each.digest}.parquet": each.digest for each in live.segments
    }
    truths = live.rows.select("replica", "number", "truth", "matured").sort("replica", "number")
    depends_on = {
        "day": live.day,
        "segments": sorted(addresses),
        "truths": digest_of(truths.rows()),
        "heard": _digest_of(live.heard),
        "silent": live.silent,
        "champion": [watched.champion.release, watched.since],
        "reference": watched.reference.model_dump(mode="json"),
        "teacher": watched.teacher and watched.teacher.model_dump(mode="json"),
        "earlier": live.earlier and live.earlier.model_dump(mode="json", include=_OF_THE_TEACHER),
        "terms": [watched.terms.truth_binds, watched.terms.asks, file.recipe.traffic and file.recipe.traffic.feedback],
    }

    if file.recipe.traffic is not None and file.recipe.traffic.feedback == "sample":
        # Which they are follows from the rows and the secret, which a restored installation may not have.
        depends_on["wanted"] = digest_of(sorted(live.rows.filter("wanted")["id"]))
        depends_on["returned_at_least"] = file.recipe.traffic.feedback_returned_at_least
    if live.of_another_secret:
        depends_on["of_another_secret"] = live.of_another_secret
    if live.of_all is not None:
        depends_on["of_all"] = _digest_of(live.of_all)
    memory = _memory(live, watched)
    if memory is not None:
        depends_on["memory"] = memory.model_dump(mode="json")

    def build(folder: Path) -> LiveFacts:
        facts = report(live, watched, traffic=file.recipe.traffic or TrafficSpec())
        shown = [each.model_dump() for each in facts.shares]
        pl.DataFrame(shown, schema=_SHARES).write_parquet(folder / "shares.parquet")
        return facts

    return Plan(build, depends_on, config={"watch": watch_of(file).model_dump(mode="json")}, external_inputs=addresses)


_OF_THE_TEACHER = {"agreement", "silent", "of_another_secret", "teacher", "cascade"}
"""What a later report keeps of an earlier one."""


def _digest_of(heard: Heard) -> str:
    return digest_of([getattr(heard, name).tolist() for name in heard.__dict__])


_SHARES: dict[str, pl.DataType] = {
    "name": pl.String(), "kind": pl.String(), "falls": pl.Boolean(), "events": pl.Int64(), "rows": pl.Int64(),
    "limit": pl.Float64(), "reference": pl.Float64(),
}  # fmt: skip


def report(live: LiveDay, watched: Watched, *, traffic: TrafficSpec) -> LiveFacts:
    """Everything that a day says of a release.

    Args:
        live: what is known of the day.
        watched: the release, and by what it is watched.
        traffic: which answers feedback comes for.
    """
    earlier = live.earlier
    terms, rows = watched.terms, live.rows.filter(pl.col("release") == watched.champion.release)
    on = date.fromisoformat(live.day).weekday()
    of_today = (each.on(on) for each in terms.watches(watched.reference))
    watches = {each.name: each for each in of_today if each.limit < 1}
    asked = asked_of(live.rows, watched.champion.release)
    counts = counted([*watches.values()], watched.reference, terms.spec, asked)
    took = rows.filter(~HANDED_ON & ~MODEL_FAILED)["latency_ms"]
    quantiles = [took.quantile(each, "higher") for each in (0.5, 0.95, 0.99)]
    return LiveFacts(
        day=live.day,
        release=watched.champion.release,
        student=watched.champion.student,
        since=watched.since,
        answers=rows.height,
        kept_share=live.kept_share,
        of_others=live.rows.height - rows.height,
        agreement=earlier.agreement if earlier else live.heard.estimate,
        agreement_limit=_lowest(watches.get("agreement")),
        silent=earlier.silent if earlier else live.silent,
        of_another_secret=earlier.of_another_secret if earlier else live.of_another_secret,
        teacher=earlier.teacher if earlier else watched.teacher,
        truth=_truth(rows.filter(~HANDED_ON), traffic, watched.reference.tolerance),
        truth_limit=_lowest(watches.get("truth")),
        cascade=_kept(live, watched, rows, watches, traffic),
        shares=tuple(
            WatchedShare(
                name=name, kind=watches[name].kind.value, falls=watches[name].falls, events=events, rows=of,
                limit=watches[name].limit, reference=watches[name].reference, weekday=watches[name].weekday,
            )
            for name, (events, of) in counts.items()
        ),
        latency_ms=None if took.is_empty() else tuple(float(each or 0.0) for each in quantiles),
        memory=_memory(live, watched),
        origin=watched.reference.origin,
    )  # fmt: skip


def _kept(
    live: LiveDay, watched: Watched, rows: pl.DataFrame, watches: Mapping[str, Watch], traffic: TrafficSpec
) -> KeptAnswers | None:
    of_margin = [watches.get(each.value) for each in (WatchKind.CASCADE_AGREEMENT, WatchKind.CASCADE_TRUTH)]
    differ, wrong = (None if each is None else each.limit for each in of_margin)
    cascade, heard = watched.reference.cascade, live.of_all
    if cascade is None or cascade.threshold is None or (differ is None and wrong is None):
        return None
    earlier = live.earlier.cascade if live.earlier else None
    handed_on = HANDED_ON & pl.col("label").is_not_null() & pl.col("truth").is_not_null()
    as_right = rows.with_columns(label=pl.when(handed_on).then("truth").otherwise("label"))
    return KeptAnswers(
        margin=cascade.margin,
        threshold=cascade.threshold,
        agreement=earlier.agreement if earlier else None if heard is None else heard.estimate,
        differ_limit=differ,
        truth=_truth(as_right, traffic, watched.reference.tolerance),
        wrong_limit=wrong,
    )


def _memory(live: LiveDay, watched: Watched) -> HeldMemory | None:
    """As the watch saw it; of a day that it remembers no more as an earlier report has it."""
    most = watched.memory_mb.get(live.day)
    if most is None:
        return live.earlier.memory if live.earlier else None
    return HeldMemory(most_mb=most, limit_mb=watched.terms.spec.memory_mb_at_most)


def _lowest(watch: Watch | None) -> float | None:
    return None if watch is None else 1 - watch.limit


def _truth(rows: pl.DataFrame, traffic: TrafficSpec, tolerance: float | None) -> MaturedTruth:
    mature = rows.filter("matured")
    known = mature.filter(pl.col("truth").is_not_null() & pl.col("label").is_not_null())
    right = known.filter(alike(pl.col("truth"), pl.col("label"), tolerance)).height
    low, high = wilson_interval(right, known.height)
    answered = mature.filter(pl.col("label").is_not_null())
    at_least = traffic.feedback_returned_at_least
    sample = feedback.sampled_truth(answered, at_least, tolerance) if traffic.feedback == "sample" else None
    return MaturedTruth(
        selection=traffic.feedback, matured=mature.height, known=known.height, right=right, low=low, high=high,
        sample=sample,
    )  # fmt: skip
