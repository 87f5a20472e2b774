"""Who is kept by a share of a full traffic log: the same everywhere, as many of each kind, and never too many bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.live.segments import TrafficStore, day_at, sealed
from stillhouse.live.thinning import LEAST, Room, is_kept, kept_by, pace, place_of, share_that_fits
from tests.stillhouse.live.made import NOON, put, rows

A_DAY = 86_400.0
IDS = [f"id {number}" for number in range(20_000)]


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_whoever_is_kept_by_a_share_is_kept_by_a_larger_one(id: str, one: float, other: float) -> None:
    assert not is_kept(id, min(one, other)) or is_kept(id, max(one, other))
    assert is_kept(id, 1.0) and 0 <= place_of(id) < 1


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_a_share_keeps_that_many_and_says_nothing_of_what_is_kept(share: float) -> None:
    kept = [is_kept(id, share) for id in IDS]
    # Five standard deviations of a binomial.
    assert abs(sum(kept) - share * len(IDS)) < 5 * (share * (1 - share) * len(IDS)) ** 0.5
    odd = sum(kept[1::2])
    assert abs(odd - sum(kept) / 2) < 5 * (sum(kept) / 4) ** 0.5


@given(
    size=st.floats(1, 1e12), a_day=st.floats(-1e9, 1e12), room=st.floats(-1e9, 1e12), seconds=st.floats(0, 1e6),
    servers=st.integers(0, 200),
)  # fmt: skip
def test_what_is_kept_fits_and_all_is_kept_that_does(
    size: float, a_day: float, room: float, seconds: float, servers: int
) -> None:
    share = share_that_fits(size, a_day=a_day, room=room, seconds=seconds, servers=servers)
    fits = min(a_day * max(seconds / A_DAY, 0.001), room) / max(servers, 1)
    assert LEAST <= share <= 1
    assert share == LEAST or size * share <= fits * (1 + 1e-9)
    assert share == 1 or size > fits


@given(
    days=st.integers(1, 40),
    sizes=st.lists(st.integers(0, 1_000), max_size=41),
    limit=st.integers(1, 20_000),
    left=st.floats(0.001, 1),
)
def test_at_its_pace_a_log_passes_its_limit_on_no_day_and_at_more_it_does(
    days: int, sizes: list[int], limit: int, left: float
) -> None:
    by_age = dict(enumerate(sizes[: days + 1]))
    found = pace(by_age, bytes_at_most=limit, days=days, left_of_day=left)

    def most(rate: float) -> float:
        """The most that is beyond the limit at the end of today, and of each day until today has expired."""
        ends = [(ahead, left + ahead) for ahead in range(days + 1)]
        kept = [sum(size for age, size in by_age.items() if age + ahead <= days) for ahead, _ in ends]
        return max(old + rate * time - limit for old, (_, time) in zip(kept, ends, strict=True))

    assert most(found) <= 1e-6 * limit
    assert most(found + 1) > 0


@pytest.mark.parametrize("servers", [1, 10])
@pytest.mark.parametrize("times", [0.5, 3, 40])
def test_a_log_that_is_full_for_months_stays_within_its_bytes_and_keeps_alike_all_day(
    servers: int, times: float
) -> None:
    """A log of 30 days with so many times the traffic that it may take, sealed each ten minutes by each server."""
    limit, days, sealings = 10**9, 30, 144
    came = times * limit / (days + 1) / sealings / servers
    took = [0] * 90
    for day in range(90):
        shares = []
        for sealing in range(sealings):
            by_age = {age: took[day - age] for age in range(min(day, days) + 1)}
            a_day = pace(by_age, bytes_at_most=limit, days=days, left_of_day=1 - sealing / sealings)
            room = limit - sum(by_age.values())
            share = share_that_fits(came, a_day=a_day, room=room, seconds=600, servers=servers)
            took[day] += int(servers * came * share)
            shares.append(share)
        assert sum(took[max(0, day - days) : day + 1]) <= limit
        assert max(shares) <= 1.1 * min(shares), "an hour that is kept less says less of its day"
    assert (min(shares) == 1) is (times < 1)
    assert max(took[60:]) <= 1.1 * min(took[60:])
    assert sum(took[90 - days - 1 :]) > 0.95 * min(times, 1) * limit, "the room is used"


def test_by_the_least_share_of_a_day_each_hour_is_kept_alike() -> None:
    morning, evening = rows(4_000, seed=1), rows(4_000, seed=2)
    kept = [kept_by(morning, 0.5), kept_by(evening, 0.1)]
    even = [kept_by(each, 0.1) for each in kept]
    assert even[0].equals(kept_by(morning, 0.1)) and even[1].equals(kept[1])
    assert kept_by(morning, 1.0) is morning


def test_the_room_is_what_the_files_of_all_days_leave(tmp_path: Path) -> None:
    store = TrafficStore(str(tmp_path), "small")
    recent, old = rows(50, at=NOON), rows(50, at=NOON - 5 * A_DAY)
    put(store, recent)
    put(store, old)
    each = len(sealed(recent))
    room = Room(store, 2 * each + 1_000, days=90)

    def share(size: float) -> float:
        return room.share_of(size, seconds=A_DAY, at=NOON)

    assert share(10) == 1.0
    # At noon half a day is left, and the older file goes in 86 days: until then 1,000 bytes have to do.
    assert share(10_000) == pytest.approx(1_000 / 85.5 / 10_000)
    (segment,) = store.segments(day_at(NOON - 5 * A_DAY), "requests")
    store.remove(segment)
    assert share(10_000) == pytest.approx(1_000 / 85.5 / 10_000), "nobody adds to it, so it is not looked up again"
    room.look_again()
    assert share(10_000) == pytest.approx((1_000 + len(sealed(old))) / 90.5 / 10_000)
    put(store, rows(60, at=NOON, replica="r2"))
    assert share(1e6) == LEAST, "today is looked up each time"
