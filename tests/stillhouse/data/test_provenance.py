"""A row of which something is not known that the recipe asks for goes no further."""

from collections import Counter
from itertools import product

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.provenance import dated, with_provenance, without_secrets
from stillhouse.data.rejects import RejectReason, rejected
from stillhouse.recipe.data import ProvenanceSpec

SPEC = ProvenanceSpec(
    date_column="asked", rights_column="right", rights_allowed=("consent",), privacy_column="class", kind_column="kind"
)
COLUMNS = ["text", "batch", "asked", "right", "class", "kind"]
GOOD = ("Who ?", "base", "2026-01-31", "consent", "public", "real")


def frame(*rows: tuple[str | None, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def changed(**columns: str | None) -> tuple[str | None, ...]:
    return tuple((dict(zip(COLUMNS, GOOD, strict=True)) | columns).values())


def test_a_row_with_everything_stays_and_says_what_it_is() -> None:
    found = with_provenance(frame(GOOD), SPEC)
    assert found.rejects.is_empty()
    assert found.rows.select("privacy_class", "row_kind").rows() == [("public", "real")]


def test_each_missing_thing_is_named() -> None:
    found = with_provenance(
        frame(
            changed(asked=None), changed(asked="yesterday"), changed(right=None), changed(right="scraped"),
            changed(**{"class": None}), changed(kind=None), changed(kind="invented"),
        ),
        SPEC,
    )  # fmt: skip
    assert found.rows.is_empty()
    assert found.rejects["reason"].to_list() == [
        "no date", "no date", "no rights", "rights do not allow training", "no privacy class",
        "neither real nor synthetic", "neither real nor synthetic",
    ]  # fmt: skip


def test_what_the_teacher_may_not_see_is_not_even_kept_as_a_reject() -> None:
    found = with_provenance(frame(changed(text="my secret", **{"class": "secret"})), SPEC)
    assert found.rejects.rows() == [("(withheld)", "base", "privacy class may not reach the teacher", None)]


def test_withheld_text_is_nowhere_whatever_else_is_wrong_with_its_row() -> None:
    # Once, a secret row without a date was written out in full, because it was rejected for its date.
    dates, rights = (None, "", "yesterday", "2026-01-31"), (None, "consent", "scraped")
    classes = (None, "public", "internal", "personal", "secret", "Public", "unheard of")
    kinds = (None, "real", "synthetic", "invented")
    combinations = list(product(dates, rights, classes, kinds))
    rows = frame(
        *(
            changed(text=f"text {n} of class {privacy}", asked=date, right=right, kind=kind, **{"class": privacy})
            for n, (date, right, privacy, kind) in enumerate(combinations)
        )
    )
    found = with_provenance(rows, SPEC)
    shown = [text for table in (found.rows, found.rejects) for text in table["text"]]
    assert len(shown) == len(combinations) == 336
    may_see = [f"text {n} of class {row[2]}" for n, row in enumerate(combinations) if row[2] in SPEC.teacher_may_see]
    assert Counter(shown) == Counter(may_see) + Counter({"(withheld)": 336 - len(may_see)})
    assert len(may_see) == 96


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        ("real", None, None),
        ("real", "0", None),
        ("real", "1", "no generation that goes with its kind"),
        ("real", "none", "no generation that goes with its kind"),
        ("synthetic", "1", None),
        ("synthetic", "2", None),
        ("synthetic", "3", "too many models away from people"),
        ("synthetic", "0", "no generation that goes with its kind"),
        ("synthetic", "1.5", "no generation that goes with its kind"),
        ("synthetic", None, "no generation that goes with its kind"),
    ],
)
def test_a_row_goes_on_if_its_generation_is_known_and_not_too_late(
    kind: str, written: str | None, reason: str | None
) -> None:
    spec = SPEC.model_copy(update={"generation_column": "generation", "generations_at_most": 2})
    rows = frame(changed(kind=kind)).with_columns(generation=pl.lit(written, pl.String))
    found = with_provenance(rows, spec)
    assert found.rejects["reason"].to_list() == ([] if reason is None else [reason])
    assert found.rows["row_generation"].to_list() == ([int(written or 0)] if reason is None else [])


def test_generations_are_of_rows_whose_kind_is_known() -> None:
    with pytest.raises(ValueError, match="kind_column has to say which rows are synthetic"):
        ProvenanceSpec(generation_column="generation")


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (ProvenanceSpec(), "secret,1,2"),
        (ProvenanceSpec(privacy_class="secret"), "(withheld)"),
        (ProvenanceSpec(privacy_column="class"), "(withheld)"),
    ],
)
def test_a_record_that_cannot_be_read_is_shown_only_where_no_row_can_be_secret(
    spec: ProvenanceSpec, shown: str
) -> None:
    rows = pl.DataFrame({"text": ["secret,1,2"], "batch": ["base"], "where": ["line 7"]})
    unreadable = rejected(rows, RejectReason.OTHER_FIELDS, pl.col("where"))
    rejects = without_secrets(unreadable, spec)
    assert rejects.rows() == [(shown, "base", RejectReason.OTHER_FIELDS, "line 7")]


def test_without_columns_the_recipe_speaks_for_all_rows() -> None:
    rows = frame(GOOD).select("text", "batch")
    assert with_provenance(rows, ProvenanceSpec()).rows["privacy_class"].to_list() == ["internal"]
    assert with_provenance(rows, ProvenanceSpec(privacy_class="secret")).rows.is_empty()


@pytest.mark.long
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.just("base"),
            st.sampled_from([None, "2026-01-01", "2026-01-01T10:00:00Z", "1/2/26"]),
            st.sampled_from([None, "consent", "scraped"]),
            st.sampled_from([None, "public", "secret"]),
            st.sampled_from([None, "real", "synthetic"]),
        ),
        max_size=20,
    )
)
def test_in_is_kept_plus_rejected(rows: list[tuple[str | None, ...]]) -> None:
    found = with_provenance(frame(*rows), SPEC)
    assert found.rows.height + found.rejects.height == len(rows)
    whole = [
        row for row in rows if row[2] and row[2].startswith("2026") and row[3:][0] == "consent" and row[4] == "public"
    ]
    assert Counter(found.rows["text"]) == Counter(row[0] for row in whole if row[5])


def test_dates_are_read_in_iso_8601_and_nothing_else() -> None:
    values = ["2026-02-03", "2026-02-03 04:05", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06.789+02:00", "3.2.2026", ""]
    days = pl.DataFrame({"at": values}).select(dated(pl.col("at")).dt.date().cast(pl.String))["at"].to_list()
    assert days == ["2026-02-03"] * 4 + [None] * 2
