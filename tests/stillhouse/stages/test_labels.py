"""What labels of texts that two releases answer otherwise say of the two, and which rows of the file count."""

import json
from pathlib import Path

import pytest

from stillhouse.live.harvest import ID, PI
from stillhouse.live.segments import Differing, Harvest, TrafficStore
from stillhouse.live.shadow import Say, Word
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.records.batches import Batch, BatchFile, record
from stillhouse.records.builds import BuildStore
from stillhouse.stages.labels import GivenTexts, Labelled, given_texts, labelled, labels_due
from tests.small import small_recipe
from tests.stillhouse.recipe.test_records import recipe as recipe_of_records

OF = Differing(rollout="salt", texts=1_000, differ=100)


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=100, name="r", traffic={}, rollout={})


def champion(text: str, _: str | None) -> Word:
    return Word("HUM")


def challenger(text: str, _: str | None) -> Word:
    return Word("LOC")


def row(number: int, label: str | None, pi: object = 1.0, **more: object) -> dict[str, object]:
    return {"question": f"who is {number} ?", "service": label, ID: f"id{number}", PI: pi, **more}


def said(
    builds: BuildStore, file: RecipeFile, folder: Path, rows: list[dict[str, object]], given: int = 10
) -> Labelled:
    """What people said, in a file that has been taken in."""
    path = folder / "harvest.ndjson"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    ids = tuple(f"id{number}" for number in range(given))
    texts = GivenTexts("harvest.ndjson", ids, OF, builds.store.keep(path))
    return labelled(builds, file, texts, champion, challenger)


def test_each_label_counts_for_as_many_texts_as_its_chance_says(
    builds: BuildStore, file: RecipeFile, tmp_path: Path
) -> None:
    """By hand: six of the slice, each one text, the champion right; two others, each four texts, the other right.

    (6 * 1 - 2 * 4) / 14 of what they differ on, which is a tenth of all texts.
    """
    rows = [row(n, "HUM") for n in range(6)] + [row(n, "LOC", 0.25) for n in (6, 7)] + [row(8, None), row(9, None)]
    found = said(builds, file, tmp_path, rows)
    assert (found.given, found.labelled, found.champion_right, found.challenger_right) == (10, 8, 6, 2)
    assert found.drop == pytest.approx((6 - 8) / 14 * 0.1) and found.low < found.drop < found.high
    assert (found.missing, found.neither_right) == (0, 0)
    assert found.low >= -0.1 and found.high <= 0.1, "they differ on a tenth, so no drop is larger"


def test_until_four_fifths_have_a_label_it_says_how_many_are_missing(
    builds: BuildStore, file: RecipeFile, tmp_path: Path
) -> None:
    few = said(builds, file, tmp_path, [row(n, "DESC" if n < 3 else None) for n in range(10)])
    assert (few.labelled, few.neither_right, few.missing, few.drop) == (3, 3, 5, 0.0)
    none = said(builds, file, tmp_path, [row(n, None) for n in range(10)])
    assert (none.labelled, none.missing, none.drop, none.low, none.high) == (0, 8, None, -0.1, 0.1)


def test_rows_that_nobody_was_given_and_chances_that_are_none_count_not(
    builds: BuildStore, file: RecipeFile, tmp_path: Path
) -> None:
    """People add rows, drop columns and write what they like into a file; a shadow does not break for that."""
    rows = [
        row(0, "HUM"), row(0, "LOC"), row(99, "HUM"), row(1, "HUM", 0), row(2, "HUM", -1), row(3, "HUM", "often"),
        row(4, "HUM", 1.5), row(5, "HUM", None), {"question": "who is 6 ?", "service": "HUM"}, row(7, "  "),
    ]  # fmt: skip
    found = said(builds, file, tmp_path, rows)
    assert (found.labelled, found.champion_right) == (1, 1), "the first of two rows of one answer"
    bare = said(builds, file, tmp_path, [{"question": "who is 0 ?", "service": "HUM"}])
    assert (bare.labelled, bare.missing) == (0, 8)


def test_a_record_that_people_wrote_is_held_against_the_words_of_its_text(builds: BuildStore, tmp_path: Path) -> None:
    """In whatever case and with whatever blanks; one whose words are not in it is an answer of neither."""
    file = read_recipe(recipe_of_records(tmp_path, traffic={}, rollout={}))
    data = file.recipe.data

    def says(vendor: str) -> Say:
        return lambda text, _: Word(json.dumps({"currency": "EUR", "vendor": vendor}, separators=(",", ":")))

    written = ({"vendor": "ACME  ltd", "currency": "eur"}, {"vendor": "Acme", "currency": "EUR"},
               {"vendor": "Coyote", "currency": "EUR"}, None)  # fmt: skip
    path = tmp_path / "harvest.ndjson"
    path.write_text(
        "".join(
            json.dumps({data.text: f"{n} : pay Acme Ltd now", data.label: json.dumps(each), ID: f"id{n}", PI: 1}) + "\n"
            for n, each in enumerate(written)
        )
    )
    texts = GivenTexts("harvest.ndjson", tuple(f"id{n}" for n in range(4)), OF, builds.store.keep(path))
    found = labelled(builds, file, texts, says("Acme Ltd"), says("Acme"))
    assert (found.labelled, found.champion_right, found.challenger_right, found.neither_right) == (3, 1, 1, 1)


def test_a_file_that_was_noted_and_never_written_was_given_to_nobody(
    builds: BuildStore, file: RecipeFile, tmp_path: Path
) -> None:
    store = TrafficStore(builds.home.artifacts, "r")
    store.note_harvest(Harvest(file="h.ndjson", digest="d", ids=("a", "b"), differing=OF))
    store.note_harvest(Harvest(file="other.ndjson", digest="o", ids=("c",)))
    assert given_texts(builds, file, store, "salt") is None, "killed in between"
    builds.ledger.append("harvest", "r", {"file": "h.ndjson"})
    given = given_texts(builds, file, store, "salt")
    assert given == GivenTexts("h.ndjson", ("a", "b"), OF, None) and labels_due(given, None)
    assert given_texts(builds, file, store, "of another rollout") is None
    waits = labelled(builds, file, given, champion, challenger)
    assert (waits.edition, waits.labelled) == (None, 0) and not labels_due(given, waits)
    taken_in = (BatchFile(name="h.ndjson", digest="e" * 64, size=1),)
    record(builds.ledger, "r", Batch(batch="b", files=taken_in, because="it is there"))
    edition = given_texts(builds, file, store, "salt")
    assert edition is not None and edition.edition == "e" * 64 and labels_due(edition, waits)
    assert not labels_due(None, None)
