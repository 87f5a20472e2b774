"""What is in stays in, new editions take the place of old ones, and a file that is put right stops nobody any more."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.records.batches import Batch, BatchFile, Folder, batches_of, next_batch, record, shown, taken_over
from stillhouse.records.ledger import Ledger
from stillhouse.stages.source import taken_in
from tests.small import small_recipe

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def of(files: Mapping[str, str]) -> dict[str, BatchFile]:
    """Files by name, with a letter as content."""
    return {name: BatchFile(name=name, digest=content, size=1) for name, content in files.items()}


def folder(files: Mapping[str, str], *, not_ready: tuple[str, ...] = ()) -> Folder:
    return Folder(of(files), {*files, *not_ready})


def batch(name: str, files: Mapping[str, str]) -> dict[str, Batch]:
    return {name: Batch(batch=name, files=tuple(of(files).values()), because="")}


def names(made: Batch | None) -> dict[str, str]:
    assert made is not None
    return {file.name: file.digest for file in made.files}


def test_all_new_files_of_a_look_are_one_batch_with_a_name_of_ours() -> None:
    made = next_batch({}, (), folder({"b\x1b.csv": "B", "a.csv": "A"}), now=NOW)
    assert made is not None and names(made) == {"a.csv": "A", "b\x1b.csv": "B"}
    assert made.batch.startswith("20260501T120000Z-") and made.batch.isascii()
    assert next_batch({made.batch: made}, (), folder({"b\x1b.csv": "B", "a.csv": "A"}), now=NOW) is None


@pytest.mark.experiment("D11")
def test_the_same_content_under_two_names_is_taken_in_once() -> None:
    assert len(names(next_batch({}, (), folder({"a.csv": "A", "copy of a.csv": "A"}), now=NOW))) == 1
    known = batch("one", {"a.csv": "A"})
    assert next_batch(known, (), folder({"renamed.csv": "A"}), now=NOW) is None


@pytest.mark.experiment("D12")
def test_what_is_in_stays_in_when_its_file_is_taken_away() -> None:
    assert next_batch(batch("one", {"a.csv": "A", "b.csv": "B"}), (), folder({}), now=NOW) is None


def test_a_new_edition_takes_the_place_of_the_old_one_and_of_nothing_else() -> None:
    known = batch("one", {"a.csv": "A", "b.csv": "B"}) | batch("two", {"c.csv": "C"})
    made = next_batch(known, (), folder({"a.csv": "A2", "b.csv": "B", "c.csv": "C"}), now=NOW)
    assert made is not None and made.replaces == ("one",)
    assert names(made) == {"a.csv": "A2", "b.csv": "B"}
    assert "a.csv has a new edition" in made.because


def test_a_file_that_was_renamed_before_a_new_one_took_its_name_is_still_read(tmp_path: Path) -> None:
    """Regression: the batch had two files of one name, of which one was read and the other's rows were gone."""
    ledger, file = Ledger(f"sqlite:///{tmp_path}/ledger.db"), small_recipe(tmp_path, rows=50)
    looks = folder({"a.csv": "1", "b.csv": "2"}), folder({"a_old.csv": "1", "a.csv": "3", "b.csv": "4"})
    for second, look in enumerate(looks):
        made = next_batch(batches_of(ledger, file.name), (), look, now=NOW.replace(second=second))
        assert made is not None
        record(ledger, file.name, made)
    (one,) = batches_of(ledger, file.name)
    assert taken_in(ledger, file, one).digests == {"a_old.csv": "1", "a.csv": "3", "b.csv": "4"}


def test_a_copy_beside_a_file_that_stays_does_not_rename_it() -> None:
    known = batch("one", {"b.csv": "B", "c.csv": "C"})
    made = next_batch(known, (), folder({"a copy of b.csv": "B", "b.csv": "B", "c.csv": "C2"}), now=NOW)
    assert names(made) == {"b.csv": "B", "c.csv": "C2"}


def test_files_of_one_name_that_have_left_the_folder_are_both_kept_when_their_batches_become_one() -> None:
    known = batch("one", {"a.csv": "A", "b.csv": "B"}) | batch("two", {"a.csv": "Z" * 64, "c.csv": "C"})
    made = next_batch(known, (), folder({"b.csv": "B2", "c.csv": "C2"}), now=NOW)
    assert names(made) == {"a.csv": "A", "ZZZZZZZZZZZZ-a.csv": "Z" * 64, "b.csv": "B2", "c.csv": "C2"}


def test_no_batch_with_two_files_of_one_name_is_entered_and_one_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    twice = Batch(batch="one", files=(*of({"a.csv": "A"}).values(), *of({"a.csv": "B"}).values()), because="")
    with pytest.raises(ValueError, match=r"only one would be read: a\.csv"):
        record(ledger, "small", twice)
    ledger.append("batch", "small", twice.model_dump(mode="json"))
    assert batches_of(ledger, "small") == {"one": twice}


def test_a_batch_that_is_not_in_is_made_again_without_the_file_that_was_taken_away() -> None:
    known = batch("one", {"bad.csv": "X", "good.csv": "G"})
    made = next_batch(known, ("one",), folder({"good.csv": "G"}), now=NOW)
    assert made is not None and made.replaces == ("one",) and names(made) == {"good.csv": "G"}
    assert "bad.csv was taken away before it was in" in made.because
    put_right = next_batch(known, ("one",), folder({"good.csv": "G", "bad.csv": "B"}), now=NOW)
    assert put_right is not None and names(put_right) == {"good.csv": "G", "bad.csv": "B"}


def test_nothing_changes_while_a_file_is_still_being_put_right() -> None:
    known = batch("one", {"bad.csv": "X"})
    assert next_batch(known, ("one",), folder({}, not_ready=("bad.csv",)), now=NOW) is None


def test_a_batch_all_of_whose_files_are_gone_leaves_in_words(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    (one,) = batch("one", {"bad.csv": "X"}).values()
    record(ledger, "small", one)
    assert batches_of(ledger, "small") == {"one": one}
    made = next_batch(batches_of(ledger, "small"), ("one",), folder({}), now=NOW)
    assert made is not None and made.files == () and made.because == "bad.csv was taken away before it was in"
    record(ledger, "small", made)
    assert batches_of(ledger, "small") == {}
    assert next_batch({}, (), folder({}), now=NOW) is None


def test_a_batch_of_version_0_1_0_goes_on_under_its_name(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    (file,) = of({"monday.csv": "M"}).values()
    record(ledger, "small", taken_over("monday.csv", file))
    assert list(batches_of(ledger, "small")) == ["monday.csv"] and batches_of(ledger, "large") == {}
    assert next_batch(batches_of(ledger, "small"), (), folder({"monday.csv": "M"}), now=NOW) is None


@pytest.mark.parametrize(
    ("name", "printed"), [("plain ü.csv", "plain ü.csv"), ("a\x1b[31m\n.csv", "a\\x1b[31m\\n.csv")]
)
def test_names_are_printed_without_control_characters(name: str, printed: str) -> None:
    assert shown(name) == printed


contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("VWXYZ"))


@pytest.mark.long
@given(st.lists(st.tuples(contents, st.booleans()), max_size=6))
def test_every_content_is_in_at_most_one_batch_and_what_lies_in_the_folder_in_exactly_one(
    looks: list[tuple[dict[str, str], bool]],
) -> None:
    known: dict[str, Batch] = {}
    for number, (files, all_closed) in enumerate(looks):
        made = next_batch(known, list(known) if all_closed else (), folder(files), now=NOW.replace(second=number))
        if made is not None:
            known = {name: batch for name, batch in known.items() if name not in made.replaces}
            known |= {made.batch: made} if made.files else {}
        counted = [file.digest for batch in known.values() for file in batch.files]
        assert len(counted) == len(set(counted))
        assert set(files.values()) <= set(counted)
        again = next_batch(known, list(known) if all_closed else (), folder(files), now=NOW.replace(second=59))
        assert again is None, "a look that finds nothing new changes nothing"
