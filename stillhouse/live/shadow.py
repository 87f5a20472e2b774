"""What a challenger would have answered: texts that were asked are put to it and to the champion again.

Where no text may be kept, servers have put them to the challenger once they had answered, and its answers are here.

Belongs here: which requests are due, the two answers to each, counting who was right, the verdict.
Does not: the artifact (stillhouse/stages/shadow.py), asking the teacher (stillhouse/stages/live_teacher.py), moving on
(orchestration/rollout.py).

What is compared is what callers get: of a release with a cascade the teacher's answer where it hands a text on. Where
both answer alike neither lost, whatever the teacher would say: it is asked about the others alone, and nothing is
estimated. Verdicts are those of stillhouse/statistics/betting.py, so that they may be looked at at any time. They know
no order, so counts are kept, and no answer of anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.columns import COLUMNS, is_in_slice
from stillhouse.live.segments import TrafficStore
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.rollout import ShadowSpec
from stillhouse.statistics.betting import AnytimeTest, anytime_non_inferiority
from stillhouse.tasks.alike import alike

ROWS_AT_ONCE = 20_000
"""Texts that one look replays at most, some 12 CPU seconds for each of two models; of more a sample, drawn by id."""
RARE = 0.05
"""A critical slice with a smaller share of the champion's answers is replayed whole: a draw would bring few of it."""
WHOLE_AT_MOST = ROWS_AT_ONCE // 4
"""Texts of rare slices in one look. A slice with more is no rare one: a loss of 6 points shows in 350 of them."""

ALL = "all requests"
LENGTHS: dict[str, tuple[int, int | None]] = {
    "up to 50 characters": (0, 50), "51 to 200 characters": (51, 200), "more than 200 characters": (201, None),
}  # fmt: skip


@dataclass(frozen=True)
class Word:
    """What a release says to one text.

    Args:
        label: of its student.
        handed_on: whether the teacher behind it is to answer.
    """

    label: str
    handed_on: bool = False


Say = Callable[[str, str | None], Word]
"""What a release says to one text, and to what is kept of the columns that its caller sent (columns.py)."""

COUNTS = ("rows", "differ", "lost", "won", "unanswered")
BOTH = "both_right"
"""A further count, where the right label of every request is known and not only of those that the two differ on."""
_DUE_SCHEMA = {
    "replica": pl.String, "day": pl.String, "number": pl.Int64, "id": pl.String, "text": pl.String,
    "release": pl.String, "label": pl.String, COLUMNS: pl.String,
}  # fmt: skip
_HEARD_SCHEMA = {
    "replica": pl.String, "day": pl.String, "number": pl.Int64, "id": pl.String, "characters": pl.Int32,
    "said": pl.String, "champion": pl.String, "challenger": pl.String, COLUMNS: pl.String,
}  # fmt: skip
SEEN_SCHEMA = {"replica": pl.String, "day": pl.String, "upto": pl.Int64}
TALLY_SCHEMA = {"slice": pl.String, **dict.fromkeys(COUNTS, pl.Int64)}


class Judged(Record):
    """A part of the requests: how often the challenger lost against the champion, and what that proves."""

    critical: bool = Field(description="Whether the verdict binds.")
    rows: int
    differ: int = Field(description="Of them, those that the two answered otherwise.")
    lost: int = Field(description="Of these, those that only the champion got right.")
    won: int = Field(description="Of these, those that only the challenger got right.")
    unanswered: int = Field(description="Of these, those about which nobody could say who is right; in no other count.")
    both_right: int | None = Field(
        None,
        exclude_if=lambda rows: rows is None,  # so that what a teacher has judged is written as it was
        description="Of all rows, those that both got right; left out where that is not known, as by a teacher, which "
        "is asked only where they differ.",
    )
    test: AnytimeTest

    @property
    def champion_right(self) -> int | None:
        """Rows that the champion got right."""
        return None if self.both_right is None else self.both_right + self.lost

    @property
    def challenger_right(self) -> int | None:
        """Rows that the challenger got right."""
        return None if self.both_right is None else self.both_right + self.won


def due(store: TrafficStore, days: Sequence[str], since: float, seen: pl.DataFrame) -> pl.DataFrame:
    """Texts of requests that are to be replayed: those of some days, from a moment on, that were not seen yet.

    Args:
        store: of the recipe.
        days: of the requests.
        since: in seconds since 1970.
        seen: of each replica and day up to which number its rows were seen, as `SEEN_SCHEMA`.

    Returns:
        `replica`, `day`, `number`, `id`, `text` and `columns`, by replica, day and number; and `release` and `label`:
        what the student of that release answered when it was asked.
    """
    found = [pl.DataFrame(schema=_DUE_SCHEMA)]
    for day in days:
        texts = store.frame(day, "texts").with_columns(day=pl.lit(day))
        label = pl.coalesce("student_label", "label").alias("label")
        asked = store.frame(day, "requests").filter(pl.col("at") >= since)
        asked = asked.select("replica", "number", "release", label, COLUMNS)
        new = texts.join(asked, on=["replica", "number"]).join(seen, on=["replica", "day"], how="left")
        new = new.filter(pl.col("number") > pl.col("upto").fill_null(0))
        found.append(new.select(*_DUE_SCHEMA))
    return pl.concat(found).sort("replica", "day", "number")


def heard(store: TrafficStore, days: Sequence[str], since: float, seen: pl.DataFrame, rollout: str) -> pl.DataFrame:
    """Requests that the champion has answered and a server has put to the challenger, too, likewise.

    Args:
        store: of the recipe.
        days: of the requests.
        since: in seconds since 1970.
        seen: of each replica and day up to which number what the challenger said was seen, as `SEEN_SCHEMA`.
        rollout: its salt.

    Returns:
        `replica`, `day`, `number` and `id`, by replica, day and number; `characters` and `columns`; `said`, what the
        champion's student said, by which slices are known; and what callers got, `champion`, or would have got,
        `challenger`, which is null where it failed.
    """
    found = [pl.DataFrame(schema=_HEARD_SCHEMA)]
    for day in days:
        answered = store.frame(day, "requests").filter(pl.col("at") >= since)
        said = pl.coalesce("student_label", "label").alias("said")
        answered = answered.select("replica", "id", "characters", COLUMNS, said, champion="label")
        of_challenger = store.frame(day, "shadow").filter(pl.col("rollout") == rollout)
        of_challenger = of_challenger.select("replica", "number", "id", day=pl.lit(day), challenger="label")
        new = of_challenger.join(answered, on=["replica", "id"]).join(seen, on=["replica", "day"], how="left")
        new = new.filter(pl.col("number") > pl.col("upto").fill_null(0))
        found.append(new.select(*_HEARD_SCHEMA))
    return pl.concat(found).sort("replica", "day", "number")


def sample(rows: pl.DataFrame, at_most: int = ROWS_AT_ONCE) -> pl.DataFrame:
    """At most so many of some rows, whichever have the smallest digests of their ids: no order or caller decides."""
    if rows.height <= at_most:
        return rows
    drawn = [sha256(id.encode()).hexdigest() for id in rows["id"]]
    return rows.with_columns(pl.Series("drawn", drawn)).sort("drawn").head(at_most).drop("drawn")


@dataclass(frozen=True)
class Draw:
    """The texts of one look.

    Args:
        rows: that are replayed, with `plain`: whether they are of the draw in which each had the same chance.
        whole: slices of which every request is in that the champion answered.
    """

    rows: pl.DataFrame
    whole: tuple[str, ...] = ()


def draw(
    rows: pl.DataFrame, slices: Sequence[SliceSpec], champion: str, *, at_most: int = ROWS_AT_ONCE,
    whole_at_most: int = WHOLE_AT_MOST, are_sets: bool = False,
) -> Draw:  # fmt: skip
    """Choose the texts that one look replays: all, or a sample and beside it critical slices that are rare, whole.

    What is rare is known by what the champion answered when it was asked. What another release answered then says
    nothing: rows chosen by the answer of a challenger would mostly be such as both answer alike.

    Args:
        rows: as `due` gives them.
        slices: that are known of a request.
        champion: digest of the release.
        at_most: texts of the look.
        are_sets: whether answers are sets of labels.
        whole_at_most: of them, those of rare slices; the rarest come first, and one that does not fit is not rare.
    """
    if rows.height <= at_most:
        return Draw(rows.with_columns(plain=pl.lit(True)))
    own = rows.filter(pl.col("release") == champion)
    of_slices = {
        each.name: own.filter(is_in_slice(each, "label", are_sets=are_sets)) for each in slices if each.critical
    }
    whole, rare = list[str](), rows.clear()
    for name, part in sorted(of_slices.items(), key=lambda each: (each[1].height, each[0])):
        more = pl.concat([rare, part.join(rare, on="id", how="anti")])
        if 0 < part.height < RARE * own.height and more.height <= whole_at_most:
            whole.append(name)
            rare = more
    plain = sample(rows, at_most - rare.height)["id"].implode()
    marked = rows.with_columns(plain=pl.col("id").is_in(plain))
    return Draw(marked.filter(pl.col("plain") | pl.col("id").is_in(rare["id"].implode())), tuple(sorted(whole)))


def seen_after(seen: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Up to which number the rows of each replica and day were seen, some more having been looked at."""
    more = rows.group_by("replica", "day").agg(upto=pl.col("number").max())
    return pl.concat([seen, more.select(*SEEN_SCHEMA)]).group_by("replica", "day").agg(pl.col("upto").max()).sort(
        "replica", "day"
    )  # fmt: skip


def replayed(rows: pl.DataFrame, champion: Say, challenger: Say) -> pl.DataFrame:
    """Put each different text, with what its caller said of it, to both, one at a time as a server does.

    Returns:
        The rows with `said`, what the student of the champion says, by which slices are known; `champion` and
        `challenger`, what the two students say; `champion_asks` and `challenger_asks`, whether the teacher behind
        it is to answer; and `characters`.
    """
    asked = rows.select("text", COLUMNS).unique(maintain_order=True).rows()
    words = [(*each, champion(*each), challenger(*each)) for each in asked]
    said = pl.DataFrame(
        [(*each, one.label, one.label, other.label, one.handed_on, other.handed_on) for *each, one, other in words],
        schema={
            "text": pl.String, COLUMNS: pl.String, "said": pl.String, "champion": pl.String, "challenger": pl.String,
            "champion_asks": pl.Boolean, "challenger_asks": pl.Boolean,
        },
        orient="row",
    )  # fmt: skip
    both = rows.join(said, on=["text", COLUMNS], how="left", nulls_equal=True, maintain_order="left")
    return both.with_columns(characters=pl.col("text").str.len_chars())


Who = Literal["champion", "challenger"]


def to_ask(rows: pl.DataFrame, who: Who, *, same_teacher: bool) -> list[str]:
    """Texts that the teacher behind one of the two is to answer; where both ask one teacher they answer alike."""
    both = pl.col("champion_asks") & pl.col("challenger_asks") & pl.lit(same_teacher)
    return rows.filter(pl.col(f"{who}_asks") & ~both)["text"].unique(maintain_order=True).to_list()


def with_teachers(
    rows: pl.DataFrame,
    champions: Mapping[str, str | None],
    challengers: Mapping[str, str | None],
    *,
    same_teacher: bool,
) -> pl.DataFrame:
    """Put what the teachers say in the place of what the students say, where they are to answer.

    Args:
        rows: as `replayed` gives them.
        champions: what the teacher behind the champion says, by text; where it says nothing the student's answer
            stands, as it does in a server.
        challengers: likewise.
        same_teacher: whether there is one teacher behind both.
    """
    both = pl.col("champion_asks") & pl.col("challenger_asks") & pl.lit(same_teacher)
    answers: dict[Who, Mapping[str, str | None]] = {"champion": champions, "challenger": challengers}
    given = [
        pl.when(pl.col(f"{who}_asks") & ~both)
        .then(pl.coalesce(pl.col("text").replace_strict(dict(said), default=None, return_dtype=pl.String), who))
        .otherwise(who)
        .alias(who)
        for who, said in answers.items()
    ]
    return rows.with_columns(given).with_columns(challenger=pl.when(both).then("champion").otherwise("challenger"))


def outcomes(rows: pl.DataFrame, tolerance: float | None = None) -> pl.DataFrame:
    """Say of each request who was right.

    Two numbers differ unless they are the same: of two that are near each other one may be near enough to the right
    one, and the other not.

    Args:
        rows: with `champion` and `challenger` as callers get them, the latter null where it failed, which is never
            right; and `right`, the label that the judge gives, null where it gives none.
        tolerance: of answers that are numbers; None of labels.

    Returns:
        The same with, as booleans, `differ`, `lost`, `won` and `unanswered`.
    """
    differ = pl.col("champion").ne_missing(pl.col("challenger"))
    champion, challenger = (_is_right(who, tolerance) for who in ("champion", "challenger"))
    return rows.with_columns(
        differ=differ,
        lost=champion & ~challenger,
        won=challenger & ~champion,
        unanswered=differ & pl.col("right").is_null(),
    )


def with_both_right(rows: pl.DataFrame, tolerance: float | None = None) -> pl.DataFrame:
    """Add to outcomes whether both were right.

    Args:
        rows: as `outcomes` gives them, each with the label that is right, whether the two differ on it or not.
        tolerance: of answers that are numbers; None of labels.
    """
    return rows.with_columns((_is_right("champion", tolerance) & _is_right("challenger", tolerance)).alias(BOTH))


def _is_right(who: Who, tolerance: float | None) -> pl.Expr:
    return alike(pl.col(who), pl.col("right"), tolerance).fill_null(False)


def tallied(
    rows: pl.DataFrame, slices: Sequence[SliceSpec], whole: Sequence[str] = (), *, are_sets: bool = False
) -> pl.DataFrame:
    """Count outcomes over all requests and in each part of them, as `TALLY_SCHEMA`, and `BOTH` where it is known.

    Of a slice that was replayed whole every row counts. In any other part only those rows count that were drawn with
    one chance, so that each stands for as many as any other. Weighting all by 1 / their chance would estimate the same
    mean from a few rows more, each of little weight, but e-values would no longer follow from three counts.

    A request of which nobody can say who was right is no row: where it counted as one that neither lost, a teacher that
    is away would let anything pass.
    """
    plain = rows.filter("plain") if whole else rows
    further = (BOTH,) if BOTH in rows.columns else ()
    parts: dict[str, pl.Expr] = {ALL: pl.lit(True)}
    parts |= {each.name: is_in_slice(each, "said", are_sets=are_sets) for each in slices}
    for name, (fewest, most) in LENGTHS.items():
        parts[name] = (pl.col("characters") >= fewest) & (pl.lit(most is None) | (pl.col("characters") <= (most or 0)))
    counted = [
        {
            "slice": name,
            "rows": part.height - int(part["unanswered"].sum()),
            **{count: int(part[count].sum()) for count in (*COUNTS[1:], *further)},
        }
        for name, part in ((name, (rows if name in whole else plain).filter(where)) for name, where in parts.items())
    ]
    return pl.DataFrame(counted, schema=TALLY_SCHEMA | dict.fromkeys(further, pl.Int64))


def added(tallies: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Counts of one part after the other, in one table; `BOTH` where all of them have it."""
    counts = (*COUNTS, *((BOTH,) if all(BOTH in tally.columns for tally in tallies) else ()))
    rows = pl.concat([tally.select("slice", *counts) for tally in tallies])
    return rows.group_by("slice", maintain_order=True).agg(pl.col(*counts).sum())


def judged(tally: pl.DataFrame, slices: Sequence[SliceSpec], spec: ShadowSpec) -> dict[str, Judged]:
    """What the counts prove, by part.

    All requests pass and fail at the margin of the rollout. A critical slice passes at its own margin, and fails on any
    loss, which shows much sooner in a slice that has few rows: each at its part of the error rate.

    Args:
        tally: as `tallied` gives it.
        slices: of the recipe, those that are known when a request comes.
        spec: with the margin.
    """
    known = {each.name: each for each in slices}
    critical = sum(each.critical for each in slices)
    found = {}
    for row in tally.iter_rows(named=True):
        name, counts = row["slice"], {count: row[count] for count in COUNTS}
        of_slice = known.get(name)
        binds = name == ALL or (of_slice is not None and of_slice.critical)
        found[name] = Judged(
            critical=binds,
            **counts,
            both_right=row.get(BOTH),
            test=anytime_non_inferiority(
                row["lost"],
                row["won"],
                row["rows"],
                margin=(of_slice and of_slice.margin) or spec.margin,
                harmless=None if name == ALL else 0.0,
                slices=1 if name == ALL else max(critical, 1),
            ),
        )
    return found


def by_judge(differing: pl.DataFrame, answers: Mapping[str, str | None]) -> pl.DataFrame:
    """Add `right` to rows by the answers of a judge to their texts; null where it gave none."""
    texts = differing["text"].unique().to_list()
    said = pl.DataFrame(
        {"text": texts, "right": [answers.get(text) for text in texts]},
        schema={"text": pl.String, "right": pl.String},
    )
    return differing.join(said, on="text", how="left", maintain_order="left")
