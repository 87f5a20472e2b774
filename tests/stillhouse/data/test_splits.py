"""A row keeps its side, whatever arrives later."""

from hashlib import blake2b, sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stillhouse.data.splits import Splits, assign_splits, golden_digest, hide_labels, keyed_uniform

SCHEMA = {"prompt_id": pl.String, "text": pl.String, "label": pl.String, "batch": pl.String, "user": pl.String}
prompt_rows = st.lists(
    st.tuples(
        st.integers(0, 200).map(str),
        st.sampled_from([None, "x", "y"]),
        st.sampled_from(["base", "may"]),
        st.sampled_from([None, "u1", "u2", "u3", "u4", "u5"]),
    ),
    unique_by=lambda row: row[0],
    max_size=40,
)


def frame(rows: list[tuple[str, str | None, str, str | None]]) -> pl.DataFrame:
    full = [(name, f"text {name}", label, batch, user) for name, label, batch, user in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def many(count: int) -> pl.DataFrame:
    return frame([(sha256(str(n).encode()).hexdigest()[:32], "xy"[n % 2], "base", f"u{n % 500}") for n in range(count)])


def split(prompts: pl.DataFrame, group: str | None = None, key: str = "k") -> Splits:
    return assign_splits(prompts, golden_share=0.3, validation_share=0.3, key=key, group=group)


def sides(prompts: pl.DataFrame) -> dict[str, str]:
    return dict(prompts.select("prompt_id", "split").rows())


def test_the_draw_is_a_keyed_blake2b_of_the_content() -> None:
    # The definition, spelled out: the first 53 bits of the digest as a fraction.
    digest = blake2b(b"abc", digest_size=8, key=sha256(b"secret").digest(), person=b"split").digest()
    assert keyed_uniform(["abc"], key="secret", purpose="split").to_list() == [(int.from_bytes(digest) >> 11) / 2**53]


@pytest.mark.long
def test_the_draw_is_uniform_and_another_key_is_another_draw() -> None:
    ids = many(20_000)["prompt_id"]
    one, other = keyed_uniform(ids, key="k", purpose="split"), keyed_uniform(ids, key="l", purpose="split")
    assert stats.kstest(one, "uniform").pvalue > 0.001
    assert abs(stats.pearsonr(one, other).statistic) < 0.03


def test_the_shares_come_out_as_declared() -> None:
    counts = dict(split(many(20_000)).prompts["split"].value_counts().rows())
    # Four standard errors of a share of 0.3 in 20,000 rows are 0.013.
    assert counts["golden"] / 20_000 == pytest.approx(0.3, abs=0.013)
    assert counts["validation"] / 20_000 == pytest.approx(0.3, abs=0.013)


def test_a_side_written_down_once_stays() -> None:
    """Regression guard: a change of the hash would move rows of every existing golden set into training."""
    rows = frame([(name, "x", "base", None) for name in "abcdefgh"])
    assert sides(split(rows).prompts) == {
        "a": "train",
        "b": "golden",
        "c": "train",
        "d": "golden",
        "e": "validation",
        "f": "golden",
        "g": "golden",
        "h": "golden",
    }


def test_no_synthetic_row_judges_or_validates_and_no_other_row_moves() -> None:
    rows = many(200)
    before = split(rows).prompts
    kinds = pl.Series("row_kind", ["synthetic" if n % 3 == 0 else "real" for n in range(200)])
    after = split(rows.with_columns(kinds)).prompts
    assert set(after.filter(pl.col("row_kind") == "synthetic")["split"]) == {"train"}
    moved = after.with_columns(was=before["split"]).filter(pl.col("split") != pl.col("was"))
    assert set(moved["row_kind"]) == {"synthetic"} and moved.height > 20


@pytest.mark.long
@given(prompt_rows, prompt_rows)
def test_a_row_never_changes_side_as_data_grows(
    first: list[tuple[str, str | None, str, str | None]], more: list[tuple[str, str | None, str, str | None]]
) -> None:
    known = {row[0] for row in first}
    grown = [row for row in more if row[0] not in known] + first
    before, after = sides(split(frame(first)).prompts), sides(split(frame(grown)).prompts)
    assert before.items() <= after.items()


@pytest.mark.long
@given(prompt_rows)
def test_no_group_is_on_two_sides_and_nothing_is_lost(rows: list[tuple[str, str | None, str, str | None]]) -> None:
    done = split(frame(rows), "user")
    assert done.prompts.height + done.rejects.height == len(rows)
    per_group = done.prompts.drop_nulls("user").group_by("user").agg(pl.col("split").n_unique())
    assert per_group.filter(pl.col("split") > 1).is_empty()
    assert set(done.rejects["reason"]) <= {"group is held out"}


@pytest.mark.long
@given(prompt_rows)
def test_only_labelled_rows_leave_training(rows: list[tuple[str, str | None, str, str | None]]) -> None:
    away = split(frame(rows)).prompts.filter(pl.col("split") != "train")
    assert away["label"].null_count() == 0


def test_an_unlabelled_row_of_a_held_out_group_is_rejected() -> None:
    base = frame([(f"{n}", "x", "base", f"u{n}") for n in range(20)])
    golden = split(base, "user").prompts.filter(pl.col("split") == "golden")["user"][0]
    done = split(base.vstack(frame([("new", None, "base", golden), ("other", None, "base", "nobody")])), "user")
    assert done.rejects.rows() == [("text new", "base", "group is held out", None)]
    assert sides(done.prompts)["other"] == "train"


def test_rows_without_a_group_are_split_one_by_one() -> None:
    rows = frame([(f"{n}", "x", "base", None) for n in range(200)])
    assert set(split(rows, "user").prompts["split"]) == {"train", "validation", "golden"}


@pytest.mark.parametrize(("golden", "validation"), [(0.6, 0.5), (-0.1, 0.1), (1.1, 0.0)])
def test_shares_that_are_none_of_1_are_refused(golden: float, validation: float) -> None:
    with pytest.raises(ValueError, match="must be shares of 1"):
        assign_splits(many(2), golden_share=golden, validation_share=validation, key="k")


def test_labels_are_hidden_on_a_share_of_training_only() -> None:
    prompts = split(many(20_000)).prompts
    hidden = hide_labels(prompts, share=0.5, key="k")
    assert hidden["label"].is_null().equals(hidden["label_hidden"].alias("label"))
    train = hidden.filter(pl.col("split") == "train")
    # Four standard errors of one half in 8,000 rows are 0.022; it would be far off if both draws were the same.
    assert train["label_hidden"].mean() == pytest.approx(0.5, abs=0.023)
    rest = pl.col("split") != "train"
    assert hidden.filter(rest).drop("label_hidden").equals(prompts.filter(rest))


def test_a_row_without_a_label_is_not_called_hidden() -> None:
    prompts = frame([("a", None, "base", None), ("b", "x", "base", None)]).with_columns(split=pl.lit("train"))
    assert hide_labels(prompts, share=1.0, key="k")["label_hidden"].to_list() == [False, True]
    assert hide_labels(prompts, share=0.0, key="k")["label"].to_list() == [None, "x"]


def test_a_hidden_label_stays_hidden_as_data_grows() -> None:
    few, lot = (hide_labels(split(many(n)).prompts, share=0.5, key="k") for n in (100, 1000))
    assert few.equals(lot.head(100))


def test_the_golden_digest_is_that_of_ids_labels_and_judged_columns_whatever_their_order() -> None:
    golden = split(many(200)).prompts.filter(pl.col("split") == "golden").with_columns(post=pl.lit("app"))
    digest = golden_digest(golden, ["post", "user"])
    assert golden_digest(golden.sample(fraction=1, shuffle=True, seed=1), ["user", "post", "post"]) == digest
    assert golden_digest(golden.drop("split", "text"), ["post", "user"]) == digest
    first = pl.int_range(pl.len()) == 0
    for other in (
        golden.tail(-1),
        golden.with_columns(label=pl.when(first).then(pl.lit("other")).otherwise("label")),
        golden.with_columns(post=pl.when(first).then(pl.lit("post")).otherwise("post")),
    ):
        assert golden_digest(other, ["post", "user"]) != digest
    nothing = golden.with_columns(label=pl.lit(None, pl.String))
    assert golden_digest(nothing) != golden_digest(nothing.with_columns(label=pl.lit("")))


def test_golden_sets_of_an_earlier_version_keep_their_digest() -> None:
    """What 0.1.0 wrote into evaluations for these rows: its models stay on the board of the same golden set."""
    golden = pl.DataFrame({"prompt_id": ["b", "a"], "label": ["y", None], "channel": ["app", "phone"]})
    assert golden_digest(golden, ["channel"]) == ("6bdf79ff90ce5162fc2dbc1c2703805757f8fd841e0d10346d1108469d624d03")
