"""Whose truth is asked for, and what it says of all answers whatever makes the others speak."""

import numpy as np
import polars as pl
import pytest

from stillhouse.live.feedback import is_enough, is_wanted, sampled_truth, that_may_decide, with_wanted

KEY = b"a key"


def answers(rights: list[bool], shares: list[float | None], truths: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"{number}" for number in range(len(rights))],
            "label": ["yes"] * len(rights),
            "truth": truths,
            "wanted_share": shares,
            "day": ["2026-11-28"] * len(rights),
        },
        schema={"id": pl.String, "label": pl.String, "truth": pl.String, "wanted_share": pl.Float64, "day": pl.String},
    )


def told(rights: list[bool]) -> list[str | None]:
    return ["yes" if right else "no" for right in rights]


def test_a_share_of_the_ids_is_drawn_the_same_ones_by_everybody_who_has_the_key() -> None:
    ids = [f"id-{number}" for number in range(20_000)]
    drawn = {id for id in ids if is_wanted(id, 0.1, key=KEY)}
    assert abs(len(drawn) / 20_000 - 0.1) < 5 * (0.1 * 0.9 / 20_000) ** 0.5  # five standard deviations
    assert drawn < {id for id in ids if is_wanted(id, 0.3, key=KEY)}, "who is in one share is in each larger one"
    assert all(is_wanted(id, 1.0, key=KEY) for id in ids)
    other = {id for id in ids if is_wanted(id, 0.1, key=b"another")}
    assert len(drawn & other) / 20_000 < 0.02, "of the others nobody without the key can tell"


def test_the_weights_by_hand() -> None:
    """Two answers that stand for ten each, of which one is right, and one that stands for two and is right."""
    rows = answers([True, False, True, True], [0.1, 0.1, 0.5, None], ["yes", "no", "yes", "no"])
    found = sampled_truth(rows.with_columns(wanted=pl.Series([True, True, True, False])), 0.8)
    assert (found.wanted, found.returned, found.missing) == (3, 3, 0)
    assert found.right == pytest.approx((10 + 2) / (10 + 10 + 2))
    # By the weights these are worth (10 + 10 + 2)^2 / (100 + 100 + 4) = 2.37 rows; Wilson by hand.
    worth, share, z2 = 484 / 204, 12 / 22, 1.959964**2
    centre = (share + z2 / worth / 2) / (1 + z2 / worth)
    half = (z2 / worth * share * (1 - share) + (z2 / worth) ** 2 / 4) ** 0.5 / (1 + z2 / worth)
    assert (found.low, found.high) == (pytest.approx(centre - half, abs=1e-6), pytest.approx(centre + half, abs=1e-6))


def test_drawn_with_one_chance_it_is_their_plain_share() -> None:
    rows = answers([True] * 3 + [False], [0.05] * 4, told([True] * 3 + [False]))
    found = sampled_truth(rows.with_columns(wanted=pl.lit(True)), 0.8)
    assert found.right == pytest.approx(0.75)


def test_it_is_unbiased_where_others_speak_only_of_wrong_answers_and_the_chance_has_changed() -> None:
    """In the morning a tenth is wrong and 5 % are drawn, in the evening four tenths are and half are drawn.

    Everybody whose answer was wrong complains, asked or not. Over 200 keys the mean of the estimates is the truth
    within four of its standard errors; all feedback, and the drawn without weights, are far off.
    """
    chance = np.random.default_rng(5)
    wrong = np.concatenate([chance.random(3_000) < 0.1, chance.random(3_000) < 0.4])
    shares = [0.05] * 3_000 + [0.5] * 3_000
    rows = answers((~wrong).tolist(), shares, told((~wrong).tolist()))
    estimates, plain, everybody = [], [], []
    for number in range(200):
        drawn = with_wanted(rows, f"key {number}".encode())
        said = drawn.with_columns(truth=pl.when(pl.col("wanted") | (pl.col("truth") == "no")).then("truth"))
        right = sampled_truth(said, 0.8).right
        assert right is not None
        estimates.append(right)
        of_drawn, heard = said.filter("wanted"), said.drop_nulls("truth")
        plain.append(of_drawn.filter(pl.col("truth") == "yes").height / of_drawn.height)
        everybody.append(heard.filter(pl.col("truth") == "yes").height / heard.height)
    truth = 1 - wrong.mean()
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) < 4 * error
    assert abs(np.mean(plain) - truth) > 0.1 and abs(np.mean(everybody) - truth) > 0.1


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(6)
    right = chance.random(4_000) < 0.8
    rows = answers(right.tolist(), [0.05] * 2_000 + [0.2] * 2_000, told(right.tolist()))
    held = 0
    for number in range(300):
        found = sampled_truth(with_wanted(rows, f"key {number}".encode()), 0.8)
        held += found.low <= right.mean() <= found.high
    assert held / 300 > 0.95 - 4 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.parametrize(
    ("wanted", "returned", "enough"), [(0, 0, False), (10, 0, False), (10, 7, False), (10, 8, True), (1, 1, True)]
)
def test_of_what_was_asked_for_enough_has_to_come(wanted: int, returned: int, enough: bool) -> None:
    assert is_enough(wanted, returned, 0.8) is enough


@pytest.mark.parametrize("percent", range(1, 101))
def test_exactly_what_has_to_come_is_enough_wherever_it_is_asked(percent: int) -> None:
    rows = answers([False] * 100, [1.0] * 100, [*["yes"] * percent, *[None] * (100 - percent)])
    assert is_enough(100, percent, percent / 100)
    assert that_may_decide(rows, KEY, percent / 100).height == percent


def test_only_truths_that_were_asked_for_may_decide_and_only_of_days_of_which_enough_came() -> None:
    rows = answers([False] * 400, [0.25] * 400, told([False] * 400))
    drawn = with_wanted(rows, KEY)
    assert that_may_decide(rows, KEY, 0.8)["id"].to_list() == drawn.filter("wanted")["id"].to_list()
    some = drawn.filter("wanted")["id"].head(40).to_list()
    of_some = pl.when(pl.col("id").is_in(some)).then(None).otherwise("truth")
    assert that_may_decide(rows.with_columns(truth=of_some), KEY, 0.8).is_empty()
    assert that_may_decide(rows.with_columns(truth=of_some), KEY, 0.4).height > 0
    two_days = pl.concat([rows.with_columns(truth=of_some), rows.with_columns(day=pl.lit("2026-11-29"))])
    assert that_may_decide(two_days, KEY, 0.8)["day"].unique().to_list() == ["2026-11-29"]
    unasked = rows.with_columns(wanted_share=pl.lit(None, pl.Float64))
    assert that_may_decide(unasked, KEY, 0.8).is_empty(), "of a time when nothing was drawn"


def test_as_many_as_are_needed_are_enough_for_all_who_ask() -> None:
    assert is_enough(100, 55, 0.55) and not is_enough(100, 54, 0.55)
    rows = answers([True] * 100, [1.0] * 100, [*told([True] * 55), *[None] * 45])
    assert that_may_decide(rows, KEY, 0.55).height == 55
    assert sampled_truth(with_wanted(rows, KEY), 0.55).is_enough


def test_nothing_that_was_asked_for_is_no_estimate() -> None:
    rows = answers([False], [0.5], [None]).with_columns(wanted=pl.lit(True))
    found = sampled_truth(rows, 0.8)
    assert (found.wanted, found.returned, found.right, found.is_enough) == (1, 0, None, False)
    assert (found.low, found.high) == (0.0, 1.0)
