"""Live answers that are sets of labels: a watch and a slice of a label count the answers that have it."""

from datetime import UTC, datetime

import polars as pl
import pytest

from stillhouse.evaluation.slices.declared import slice_masks
from stillhouse.live.baseline import golden_reference
from stillhouse.live.columns import is_in_slice
from stillhouse.live.segments import REQUEST_COLUMNS
from stillhouse.live.slices import LiveSlice
from stillhouse.live.watches import Watch, WatchKind, counted
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.watch import WatchSpec
from stillhouse.records.deployments import Quarantine
from stillhouse.release.cascade import LABEL, HandedOn, ProtectedSlice, protects
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.routing import Taken
from stillhouse.tasks.label_sets import names_of

SETS = ['["legal","refund"]', '["refund"]', "[]", '["legal"]', '["refund"]']
LEGAL = SliceSpec(name="threats", column="label", values=("legal",), critical=True)


def test_a_reference_counts_the_answers_that_have_a_label() -> None:
    teacher = [SETS[0], SETS[1], None, SETS[1], SETS[4]]
    found = golden_reference(
        "r", ["legal", "refund", "other"], ["a", "b", "c", "d", "e"], SETS, [0.9] * 5, teacher=teacher, truth=SETS,
        slices=[LiveSlice(name="threats", labels=("legal",), critical=True, margin=0.1, of_sets=True)],
    )  # fmt: skip
    assert found.labels == {"legal": 2, "refund": 3, "other": 0}
    assert (found.labelled, found.wrong) == (5, 0), "a set is right as a whole"
    (threats,) = found.slices
    assert (threats.heard, threats.disagreed, threats.labelled) == (2, 1, 2)


def test_a_watch_of_a_label_counts_the_live_answers_that_have_it() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    said = {
        "release": "r",
        "label": SETS,
        "status": 200,
        "characters": 4,
        "at": at,
        "arm": "champion",
        "confidence": 0.9,
    }
    rows = pl.DataFrame(
        {name: said.get(name) if name != "label" else SETS for name in REQUEST_COLUMNS} | {"label": SETS},
        schema_overrides=REQUEST_COLUMNS,
    )
    reference = golden_reference("r", ["legal", "refund"], ["a"], ["[]"], [0.9], teacher=["[]"], truth=["[]"])
    watches = [
        Watch(name=f"label {name}", kind=WatchKind.LABEL, of=name, reference=0.5, limit=0.9, falls=falls)
        for name, falls in (("legal", False), ("refund", True))
    ]
    found = counted(watches, reference, WatchSpec(), rows)
    assert list(found.values()) == [(2, 5), (2, 5)], "with it, and without it"


def test_rows_requests_and_quarantines_of_a_label_are_those_whose_set_has_it() -> None:
    rows = pl.DataFrame({"label": [*SETS, None]})
    assert rows.select(is_in_slice(LEGAL, "label", are_sets=True))["label"].to_list() == [
        True,
        False,
        False,
        True,
        False,
        None,
    ]
    slice = LiveSlice(name="threats", labels=("legal",), critical=True, margin=0.1, of_sets=True)
    assert slice.rows_of(rows)["label"].to_list() == [SETS[0], SETS[3]]
    protected = ProtectedSlice(name="threats", column=LABEL, values=("legal",), declared=True, of_sets=True)
    assert [protects([protected], each, {}) for each in SETS] == [
        HandedOn.PROTECTED, None, None, HandedOn.PROTECTED, None,
    ]  # fmt: skip


@pytest.mark.parametrize(("label", "holds"), [(SETS[0], True), (SETS[1], False), ("legal", True), ("[]", False)])
def test_what_is_in_quarantine_is_taken_by_each_label_of_a_set(label: str, holds: bool) -> None:
    quarantine = Quarantine.model_construct(
        slice="threats", until=datetime(2100, 1, 1, tzinfo=UTC).date(), labels=("legal",), characters=None, column=None
    )
    assert Taken(quarantine, None).holds(label, 4, {}, 0.0, is_set=True) is holds


def test_what_callers_say_is_true_is_held_against_the_labels_and_not_remembered() -> None:
    """Regression: 4,000 long sets of labels that nobody has stayed in the memory of a server, hundreds of megabytes."""
    release = object.__new__(LoadedRelease)
    release.gives_sets, release.gives_numbers, release.gives_records = True, False, False
    release.__dict__["labels"] = frozenset({"legal", "refund"})
    before = names_of.cache_info().currsize
    for truth in (
        '["nobody","of"]',
        '["legal", "refund"]',
        '["refund","legal"]',
        '["legal","legal"]',
        "legal",
        "[legal]",
    ):
        assert not release.can_be_true(truth)
    assert release.can_be_true('["legal","refund"]') and release.can_be_true("[]")
    assert names_of.cache_info().currsize == before


def test_of_single_labels_that_look_like_sets_each_is_one() -> None:
    """Those of an installation from before there were sets: nothing that is decided by them may change."""
    rows = pl.DataFrame({"label": [*SETS, "legal", None]})
    slice = LiveSlice(name="threats", labels=("legal",), critical=True, margin=0.1)
    assert slice.rows_of(rows)["label"].to_list() == ["legal"] and "of_sets" not in slice.model_dump()
    assert rows.select(is_in_slice(LEGAL, "label", are_sets=False))["label"].to_list() == [*5 * [False], True, None]
    protected = ProtectedSlice(name="threats", column=LABEL, values=("legal",), declared=True)
    assert not any(protects([protected], each, {}) for each in SETS) and "of_sets" not in protected.model_dump()
    quarantine = Quarantine.model_construct(
        slice="threats", until=datetime(2100, 1, 1, tzinfo=UTC).date(), labels=("legal",), characters=None, column=None
    )
    assert not any(Taken(quarantine, None).holds(each, 4, {}, 0.0) for each in SETS)
    assert slice_masks(rows.drop_nulls(), [LEGAL]).tolist() == [[*5 * [False], True]]


def test_a_watch_of_a_class_that_looks_like_a_set_counts_that_class_alone() -> None:
    names = sorted({*SETS, "legal"})
    said = [*SETS, "legal"]
    reference = golden_reference("r", names, ["a"] * 6, said, [0.9] * 6, teacher=said, truth=said)
    assert reference.labels["legal"] == 1
    rows = pl.DataFrame({name: None for name in REQUEST_COLUMNS} | {"label": said}, schema_overrides=REQUEST_COLUMNS)
    rows = rows.with_columns(release=pl.lit("r"), status=pl.lit(200, REQUEST_COLUMNS["status"]), characters=1)
    watch = Watch(name="label legal", kind=WatchKind.LABEL, of="legal", reference=0.5, limit=0.9, falls=False)
    assert counted([watch], reference, WatchSpec(), rows) == {"label legal": (1, 6)}
