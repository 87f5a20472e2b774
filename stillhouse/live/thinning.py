"""Which answers are kept where the traffic of a recipe may take no more bytes than it says.

Belongs here: the share that fits, who is in it, and rows of which all were kept by one share.
Does not: sizes of files (segments.py), removing rows from a spool (stillhouse/serving/spool_database.py).

Who is kept depends on a keyed hash of the answer's id alone: every server finds the same, no caller chooses an id, and
whoever is kept by a small share is kept by every larger one. So a share or a mean over rows that were kept by one share
is as good as one over all of them, from fewer rows; only counts are smaller, by as much as is written down.
"""

from collections.abc import Mapping
from hashlib import blake2b

import polars as pl

from stillhouse.digests import uniform_of
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, end_of

LEAST = 2.0**-10
"""Nobody is kept by a smaller share: what is left of a busy day still says something."""
_KEY = b"which answers a full traffic log keeps"
"""No secret, and used for nothing else: it makes the draw independent of who is asked about or replayed."""
_AT_ONCE = 1 / 1_000
"""Of a day: rows that came in less time count as if they had come in this."""


def place_of(id: str) -> float:
    """A number in [0, 1) that is drawn for an answer by its id."""
    return uniform_of(blake2b(id.encode(), key=_KEY, digest_size=8).digest())


def is_kept(id: str, share: float) -> bool:
    """Whether an answer is among those that are kept by a share."""
    return place_of(id) < share


def pace(by_age: Mapping[int, int], *, bytes_at_most: int, days: int, left_of_day: float) -> float:
    """The most bytes a day that can be added from now on for as long as rows are kept, without passing the limit.

    What a day took is free again once it has expired, so that a log that is full goes on at what expires. A log that
    used up its room as it came would keep all of one day and nothing of the next.

    Args:
        by_age: bytes of each day that is kept, by how many days ago it was; 0 is today.
        bytes_at_most: the limit.
        days: for how many days rows are kept.
        left_of_day: of today, in (0, 1].

    Returns:
        Bytes; 0 or less where the limit is reached.
    """
    free, found = bytes_at_most - sum(by_age.values()), float("inf")
    for ahead in range(days + 1):
        free += by_age.get(days + 1 - ahead, 0) if ahead else 0  # expires when that day begins
        found = min(found, free / (left_of_day + ahead))
    return found


def share_that_fits(size: float, *, a_day: float, room: float, seconds: float, servers: int) -> float:
    """The share of some rows that is kept.

    Args:
        size: bytes of all of them, sealed.
        a_day: bytes that a day may take, as `pace` has it.
        room: bytes that are left now.
        seconds: in which they came.
        servers: that write to the same log and do not know of each other.

    Returns:
        In [LEAST, 1].
    """
    fits = min(a_day * max(seconds / SECONDS_A_DAY, _AT_ONCE), room) / max(servers, 1)
    return 1.0 if size <= fits else max(fits / size, LEAST)


def least_share(store: TrafficStore, day: str) -> float:
    """The smallest share by which answers of a day were kept, over all replicas and the whole day."""
    by_rows: list[float] = store.frame(day, "requests")["kept_share"].unique().to_list()
    return min([1.0, *(tally.kept_share for tally in store.tallies(day)), *by_rows])


def kept_by(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """Those of some answers that are kept by a share: with the least one of a day, as many of each hour and replica.

    Args:
        rows: with `id`.
        share: in (0, 1].
    """
    if share >= 1:
        return rows
    return rows.filter(pl.Series([is_kept(id, share) for id in rows["id"]], dtype=pl.Boolean))


class Room:
    """What is left to the traffic of a recipe.

    Sizes of days before yesterday are looked up once and remembered, because nothing is added to them.

    Args:
        store: of the recipe.
        bytes_at_most: that it may take.
        days: for how many days rows are kept.
    """

    def __init__(self, store: TrafficStore, bytes_at_most: int, days: int) -> None:
        self._store, self._bytes_at_most, self._days = store, bytes_at_most, days
        self._known: dict[str, int] = {}

    def share_of(self, size: float, *, seconds: float, at: float) -> float:
        """The share of some rows that is kept now; see `share_that_fits`.

        Args:
            size: bytes of all of them, sealed.
            seconds: in which they came.
            at: now, in seconds since 1970.
        """
        today, servers, by_age = int(at // SECONDS_A_DAY), set[str](), dict[int, int]()
        for day in self._store.days():
            age = today - int(end_of(day) // SECONDS_A_DAY) + 1
            if age <= 1 or day not in self._known:
                taken = self._store.taken(day)
                self._known[day] = taken.size
                servers |= {*taken.replicas} if age <= 1 else set()
            by_age[age] = self._known[day]
        left_of_day = max(1 - at % SECONDS_A_DAY / SECONDS_A_DAY, _AT_ONCE)
        a_day = pace(by_age, bytes_at_most=self._bytes_at_most, days=self._days, left_of_day=left_of_day)
        room = self._bytes_at_most - sum(by_age.values())
        return share_that_fits(size, a_day=a_day, room=room, seconds=seconds, servers=len(servers))

    def look_again(self) -> None:
        """Forget what was remembered: days have expired, or something was erased."""
        self._known.clear()
