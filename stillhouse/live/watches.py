"""What of live traffic is watched, each a share of requests with a limit.

Belongs here: the watches of a recipe, their limits, and counting rows for them.
Does not: the reference (baseline.py), the alarm (stillhouse/statistics/detector.py), what follows from one
(findings.py).

One idea: everything that is watched is a bounded mean. A share that may neither rise nor fall is two watches.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.baseline import CascadeReference, Reference, names_carried
from stillhouse.live.estimate import AgreementPlan
from stillhouse.live.number_bins import bin_of
from stillhouse.live.segments import HANDED_ON, MODEL_FAILED
from stillhouse.recipe.watch import WatchSpec
from stillhouse.statistics.detector import TOLERANCE, Detector, alarm_threshold, reference_bound, reference_limit
from stillhouse.statistics.weekly_pattern import WeeklyPattern
from stillhouse.wording import percent, points


class WatchKind(StrEnum):
    """What a share is of."""

    LABEL = "label"
    FIELD = "field"
    NUMBER = "number"
    LENGTH = "length"
    UNSURE = "unsure"
    FALLBACK = "fallback"
    ERRORS = "errors"
    LATENCY = "latency"
    AGREEMENT = "agreement"
    TRUTH = "truth"
    SLICE_AGREEMENT = "slice_agreement"
    SLICE_TRUTH = "slice_truth"
    CASCADE_AGREEMENT = "cascade_agreement"
    CASCADE_TRUTH = "cascade_truth"

    @property
    def is_of_inputs(self) -> bool:
        """Whether it says what is asked, and not how good the answers are."""
        return self in (WatchKind.LABEL, WatchKind.FIELD, WatchKind.NUMBER, WatchKind.LENGTH, WatchKind.UNSURE)

    @property
    def is_of_a_slice(self) -> bool:
        """Whether it says how good the answers to a part of the requests are."""
        return self in (WatchKind.SLICE_AGREEMENT, WatchKind.SLICE_TRUTH)


COUNTED = (
    WatchKind.LABEL, WatchKind.FIELD, WatchKind.NUMBER, WatchKind.LENGTH, WatchKind.UNSURE, WatchKind.FALLBACK,
    WatchKind.ERRORS, WatchKind.LATENCY,
)  # fmt: skip
"""What every row of traffic says of itself; agreement has to be asked for, and truth waited for."""
DEBIASED = (WatchKind.AGREEMENT, WatchKind.SLICE_AGREEMENT, WatchKind.CASCADE_AGREEMENT)
"""What the teacher says of the answers that were drawn."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
"""Of days in UTC, which all of the watch goes by."""


class Watch(Record):
    """A share of requests, and what it may not exceed."""

    name: str = Field(description="Once in a recipe, and the same for as long as there is such a watch.")
    kind: WatchKind
    of: str | None = Field(
        None,
        description="The label, what is counted of records, the bin of numbers, the place of the bin of lengths, or "
        "the slice.",
    )
    falls: bool = Field(False, description="Whether it is the complement that is counted: the share may not fall.")
    reference: float | None = Field(description="The share on reference rows; null where the recipe names the limit.")
    limit: float
    weekday: str | None = Field(
        None, description="Whose limit and reference these are, where each weekday has its own."
    )
    by_weekday: tuple[tuple[float | None, float], ...] = Field(
        (), description="Reference and limit of each weekday, Monday first; none where all days have the same."
    )
    cascade: CascadeReference | None = Field(None, description="Whose margin the limit follows from, if from one.")

    def on(self, weekday: int) -> "Watch":
        """What it is on one weekday, 0 for Monday; at a limit of 1 nothing is watched on it."""
        if not self.by_weekday:
            return self
        reference, limit = self.by_weekday[weekday]
        update = {"reference": reference, "limit": limit, "weekday": WEEKDAYS[weekday], "by_weekday": ()}
        return self.model_copy(update=update)

    def detector(self, watches: int, spec: WatchSpec) -> Detector:
        """A detector at its beginning.

        Args:
            watches: how many run side by side.
            spec: with the budget of false alarms.
        """
        threshold = alarm_threshold(watches=watches, false_alarms_per_year=spec.false_alarms_per_year)
        return Detector(limit=self.limit, lowest=0.0, threshold=threshold)

    def in_words(self, share: float) -> str:
        """A share of this watch, as a clause."""
        shown, of = 1 - share if self.falls else share, self.of
        normal = None if self.reference is None else (1 - self.reference if self.falls else self.reference)
        limit = 1 - self.limit if self.falls else self.limit
        subject = {
            WatchKind.LABEL: f"{shown:.1%} of answers are {of}",
            WatchKind.FIELD: f"{shown:.1%} of answers have {of}",
            WatchKind.NUMBER: f"{shown:.1%} of answers are {of}",
            WatchKind.LENGTH: f"{shown:.1%} of texts are of length bin {of}",
            WatchKind.UNSURE: f"{shown:.1%} of answers are unsure",
            WatchKind.FALLBACK: f"{shown:.1%} of answers come from the teacher, or stand in for it",
            WatchKind.ERRORS: f"the model fails on {shown:.2%} of requests",
            WatchKind.LATENCY: f"{shown:.1%} of answers take too long",
            WatchKind.AGREEMENT: f"student and teacher disagree on {shown:.1%}",
            WatchKind.TRUTH: f"{shown:.1%} of matured answers are wrong",
            WatchKind.SLICE_AGREEMENT: f"in the slice '{of}' student and teacher disagree on {shown:.1%}",
            WatchKind.SLICE_TRUTH: f"in the slice '{of}' {shown:.1%} of matured answers are wrong",
            WatchKind.CASCADE_AGREEMENT: f"the student keeps {shown:.1%} of requests from a teacher that disagrees",
            WatchKind.CASCADE_TRUTH: f"the student keeps {shown:.1%} of requests and is wrong",
        }[self.kind]
        edge = f"{'at least' if self.falls else 'at most'} {limit:.1%}"
        edge += "" if self.weekday is None else f" on {self.weekday}s"
        same_days = "the reference" if self.weekday is None else "those of the reference"
        beside = "" if normal is None else f", {normal:.1%} on {same_days}"
        return f"{subject}; {edge}{beside}" + ("" if self.cascade is None else f": {self._of_the_margin(self.cascade)}")

    def _of_the_margin(self, cascade: CascadeReference) -> str:
        """Where the limit comes from."""
        assert cascade.threshold is not None, "a student that never answers keeps nothing"
        rest = percent(self.limit - cascade.margin)
        allowed = "is wrong itself" if self.kind is WatchKind.CASCADE_TRUTH else "is wrong where they differ"
        return (
            f"the cascade's margin of {points(cascade.margin)} points, with the student answering from a confidence of "
            f"{cascade.threshold:.3f} on, and at most {rest} by {cascade.rows:,} golden rows on which the teacher "
            f"{allowed}"
        )


def watch_name(kind: WatchKind, of: object = None, *, falls: bool = False) -> str:
    """The name of a watch: of what, and which way its share may not go."""
    return kind.value if of is None else f"{kind.value} {of} {'falls' if falls else 'rises'}"


def share_name(kind: WatchKind, of: object = None) -> str:
    """The name of a share that reference rows have, whichever way it may not go."""
    return kind.value if of is None else f"{kind.value} {of}"


def label_kind(reference: Reference) -> WatchKind:
    """What shares of its labels are of."""
    return WatchKind.FIELD if reference.of_records else WatchKind.LABEL


def weekday_of(day: int) -> int:
    """0 for Monday, of a day in UTC counted from 1970, which began on a Thursday."""
    return (day + 3) % len(WEEKDAYS)


def watches_of(spec: WatchSpec, reference: Reference, *, truth_binds: bool, asks: bool) -> tuple[Watch, ...]:
    """Everything that is watched of a recipe.

    Args:
        spec: of the recipe.
        reference: what its limits follow from.
        truth_binds: whether feedback comes for every answer, or for some that were drawn, so that it may decide.
        asks: whether the teacher can be asked.

    Returns:
        By name. A share whose limit would be 1, such as that of a class so rare that it may vanish, is left out. One
        that goes by the weekday is one watch, whose limit changes with the day.
    """
    wanted = list(_of_reference(reference))
    scale = reference.agreement
    has_fallback = spec.fallback_share is not None or reference.handed_on is not None
    beside = [asks and scale is not None, truth_binds and reference.labelled > 0, has_fallback]
    of_slices = list(_of_slices(reference, asks=asks, truth_binds=truth_binds))
    of_cascade = list(_of_cascade(reference, asks=asks, truth_binds=truth_binds))
    many = len(wanted) + sum(beside) + 2 + len(of_slices) + len(of_cascade)
    found = [
        Watch(
            name=watch_name(kind, of, falls=falls), kind=kind, of=of, falls=falls, reference=events / rows,
            limit=reference_limit(events, rows, watches=many, tolerance=TOLERANCE),
            by_weekday=_by_weekday(reference.weekly.get(share_name(kind, of)), many, falls=falls),
        )
        for kind, of, falls, events, rows in wanted
    ]  # fmt: skip
    if beside[0] and scale is not None:
        found.append(_held_to(WatchKind.AGREEMENT, scale.disagreed, sum(scale.rows), many, spec))
    if beside[1]:
        found.append(_held_to(WatchKind.TRUTH, reference.wrong, reference.labelled, many, spec))
    found += [_held_to(kind, events, rows, many, spec, of=of) for kind, of, events, rows in of_slices]
    found += [_held_to_margin(kind, cascade, many) for kind, cascade in of_cascade]
    if spec.fallback_share is None and reference.handed_on is not None:
        events, rows = reference.handed_on
        limit = reference_limit(events, rows, watches=many, tolerance=TOLERANCE)
        kind = WatchKind.FALLBACK
        found.append(Watch(name=kind.value, kind=kind, reference=events / rows, limit=limit))
    for kind, named in (
        (WatchKind.FALLBACK, spec.fallback_share),
        (WatchKind.ERRORS, spec.errors),
        (WatchKind.LATENCY, spec.latency_share),
    ):
        if named is not None:
            found.append(Watch(name=kind.value, kind=kind, reference=None, limit=named))
    some = [each for each in found if min((limit for _, limit in each.by_weekday), default=each.limit) < 1]
    return tuple(sorted(some, key=lambda each: each.name))


def _by_weekday(pattern: WeeklyPattern | None, many: int, *, falls: bool) -> tuple[tuple[float | None, float], ...]:
    if pattern is None:
        return ()
    counted = pattern.complement if falls else pattern
    return tuple(zip(counted.shares, counted.limits(watches=many, tolerance=TOLERANCE), strict=True))


def _of_reference(reference: Reference) -> Iterator[tuple[WatchKind, str | None, bool, int, int]]:
    rows, of_label = reference.rows, label_kind(reference)
    for label, events in sorted(reference.labels.items()):
        yield of_label, label, False, events, rows
        yield of_label, label, True, rows - events, rows
    for name, events in zip(reference.number_bins, reference.numbers, strict=True):
        yield WatchKind.NUMBER, name, False, events, rows
    for index, events in enumerate(reference.lengths):
        yield WatchKind.LENGTH, str(index), False, events, rows
    if reference.unsure_below is not None:
        yield WatchKind.UNSURE, None, False, reference.unsure, rows


def _of_slices(reference: Reference, *, asks: bool, truth_binds: bool) -> Iterator[tuple[WatchKind, str, int, int]]:
    """Slices in which there are golden rows to set a limit by."""
    for each in reference.slices:
        if asks and each.heard:
            yield WatchKind.SLICE_AGREEMENT, each.slice.name, each.disagreed, each.heard
        if truth_binds and each.labelled:
            yield WatchKind.SLICE_TRUTH, each.slice.name, each.wrong, each.labelled


def _of_cascade(reference: Reference, *, asks: bool, truth_binds: bool) -> Iterator[tuple[WatchKind, CascadeReference]]:
    """Of a cascade whose student answers, and of which golden rows say how often the teacher is wrong itself."""
    cascade = reference.cascade
    if cascade is None or cascade.threshold is None or not cascade.rows:
        return
    if asks and reference.agreement is not None:
        yield WatchKind.CASCADE_AGREEMENT, cascade
    if truth_binds:
        yield WatchKind.CASCADE_TRUTH, cascade


def _held_to_margin(kind: WatchKind, cascade: CascadeReference, many: int) -> Watch:
    """What a student may keep and get wrong before both together lose more than their margin to the teacher.

    The drop is what only the teacher gets right less what only the student does, of all requests. Of what is kept that
    is how much more the student is wrong on than the teacher: it may be wrong on the margin and on as much as the
    teacher is. By the teacher's answers alone one on which they differ is lost unless the teacher is wrong on it, and
    one of these is won where the student is right: they may differ on the margin, and on both of these.
    """
    if kind is WatchKind.CASCADE_TRUTH:
        events, allowed = cascade.wrong, reference_bound(cascade.teacher_wrong, cascade.rows, watches=many)
    else:
        events, others = cascade.differ, (cascade.differ - cascade.lost, cascade.won)
        # Two bounds share what one has.
        allowed = sum(reference_bound(each, cascade.rows, watches=2 * many) for each in others)
    limit = min(1.0, cascade.margin + allowed)
    return Watch(name=kind.value, kind=kind, reference=events / cascade.rows, limit=limit, cascade=cascade)


def _held_to(kind: WatchKind, events: int, rows: int, many: int, spec: WatchSpec, of: str | None = None) -> Watch:
    limit = reference_limit(events, rows, watches=many, tolerance=spec.agreement_tolerance)
    name = kind.value if of is None else f"{kind.value} {of}"
    return Watch(name=name, kind=kind, of=of, reference=events / rows, limit=limit)


def detectors_of(watches: Sequence[Watch], spec: WatchSpec, plan: AgreementPlan | None) -> dict[str, Detector]:
    """A detector for each watch, at its beginning."""
    found = {each.name: each.detector(len(watches), spec) for each in watches}
    debiased = {each.name for each in watches if each.kind in DEBIASED}
    if plan is None:
        return found
    lowest = {"lowest": plan.lowest}
    return {name: each.model_copy(update=lowest) if name in debiased else each for name, each in found.items()}


_TAKEN = pl.col("arm") == "instead"
"""Of requests to a champion, those that a quarantine has somebody else answer."""


def asked_of(rows: pl.DataFrame, release: str) -> pl.DataFrame:
    """What a release answered, and what an earlier champion did in its place: without that, whatever is in quarantine
    would seem to be asked no more."""
    return rows.filter((pl.col("release") == release) | _TAKEN)


def counted(
    watches: Sequence[Watch], reference: Reference, spec: WatchSpec, rows: pl.DataFrame
) -> dict[str, tuple[int, int]]:
    """Of each watch that rows speak of themselves, on how many of how many it happened.

    What is asked is known by what the student says, whoever answered, so that a teacher that is away is no drift. For
    the same reason latency is that of the student's own answers, and a request that was refused because the teacher is
    away is no error of the model. What is in quarantine was asked, too, and the release has not handed it on.

    Args:
        watches: see `watches_of`.
        reference: with the bins.
        spec: with the latency.
        rows: of traffic, as `REQUEST_COLUMNS` has them; see `asked_of`.
    """
    every, rows = rows, rows.filter(pl.col("release") == reference.release)
    by_the_teacher = pl.col("student_label").is_not_null()
    every = every.filter(~MODEL_FAILED).with_columns(
        label=pl.coalesce("student_label", "label"),
        confidence=pl.when(by_the_teacher).then("student_confidence").otherwise("confidence"),
    )
    answered = every.filter(pl.col("release") == reference.release)
    events = {
        WatchKind.ERRORS: (rows, MODEL_FAILED),
        WatchKind.LATENCY: (answered.filter(~HANDED_ON), pl.col("latency_ms") > spec.latency_ms),
        WatchKind.FALLBACK: (answered.filter(~_TAKEN), HANDED_ON),
        WatchKind.UNSURE: (
            answered.filter(pl.col("confidence").is_not_null()), pl.col("confidence") < (reference.unsure_below or 0.0)
        ),
    }  # fmt: skip
    answers = dict(every["label"].drop_nulls().value_counts().iter_rows())
    labels = names_carried(answers if reference.labels else {}, reference.labels, of_records=reference.of_records)
    bins = dict(every.select(_bin(reference.edges).alias("bin"))["bin"].value_counts().iter_rows())
    numbers = _numbers(every, reference)
    found = {}
    for each in watches:
        if each.kind in (WatchKind.LABEL, WatchKind.FIELD):
            hits, of = labels[each.of or ""], every.height
        elif each.kind is WatchKind.NUMBER:
            hits, of = numbers.get(each.of or "", 0), every.height
        elif each.kind is WatchKind.LENGTH:
            hits, of = int(bins.get(int(each.of or 0), 0)), every.height
        elif each.kind in events:
            frame, is_one = events[each.kind]
            hits, of = frame.filter(is_one).height, frame.height
        else:
            continue
        found[each.name] = (of - hits if each.falls else hits, of)
    return found


def _bin(edges: Sequence[int]) -> pl.Expr:
    return pl.sum_horizontal(pl.lit(0), *((pl.col("characters") >= edge).cast(pl.Int64) for edge in edges))


def _numbers(rows: pl.DataFrame, reference: Reference) -> dict[str, int]:
    """How many answers are in each bin of numbers, by its name; none of labels."""
    if not reference.number_edges:
        return {}
    places = rows.select(bin_of("label", reference.number_edges).alias("bin"))["bin"].drop_nulls()
    return {reference.number_bins[place]: many for place, many in places.value_counts().iter_rows()}
