"""Rows of records: each cell has one spelling, and its values are places in the text that models read."""

import json
from pathlib import Path

import polars as pl
import pytest

from stillhouse.data.prompt_set import later_prompt_set, split_rows
from stillhouse.data.record_rows import with_places
from stillhouse.data.rejects import RejectReason
from stillhouse.data.sources import RowColumns, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import DataSpec, SplitSpec
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.records import spelled_out
from tests.small import questions

DATA = DataSpec.model_validate(
    {
        "source": "rows.jsonl", "text": "text", "label": "record", "licence": "CC0", "answer": "fields",
        "words_at_most": 30,
        "fields": {
            "payee": {"kind": "verbatim", "words_at_most": 2},
            "unit": {"kind": "choice", "of": ["EUR", "USD"]},
        },
    }
)  # fmt: skip
SPLIT = SplitSpec(key="k", golden_share=0.3, validation_share=0.2)
assert DATA.record is not None
RECORD = DATA.record


def written(payee: str | None, unit: str = "EUR") -> str:
    return json.dumps({"payee": payee, "unit": unit}, separators=(",", ":"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_cell_is_an_object_or_the_json_of_one(tmp_path: Path, ending: str) -> None:
    texts = ["Pay Acme", "Pay Coyote now", "Pay nobody", "Pay him"]
    records = [{"payee": "Acme", "unit": "eur"}, {"unit": "USD", "payee": " Coyote "}]
    cells = [*map(json.dumps, records), "nobody", None]
    path = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        held = [*records, "nobody", None]
        path.write_text("".join(json.dumps({"text": t, "record": r}) + "\n" for t, r in zip(texts, held, strict=True)))
    elif ending == "csv":
        pl.DataFrame({"text": texts, "record": cells}).write_csv(path)
    else:
        both = pl.DataFrame({"text": texts[:2], "record": records})
        both.write_parquet(path)
    read = read_rows(str(path), RowColumns("text", "record"), answer="fields", record=RECORD)
    labels = [written("Acme"), written("Coyote", "USD")]
    assert read.rows["label"].to_list() == labels + ([] if ending == "parquet" else [None])
    if ending != "parquet":
        (reject,) = read.rejects.iter_rows(named=True)
        assert (reject["reason"], reject["detail"]) == (RejectReason.NO_RECORD.value, "row 3: it is no JSON")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_number_of_a_file_is_found_however_it_is_written(tmp_path: Path, ending: str) -> None:
    """Regression: 12.50 of a JSONL object was read as 12.5 and its row left out, as the text has 12.50."""
    texts, totals = ["Total 12.50", "Total 1.931,00 EUR", "Total 7"], [12.50, 1931.0, 8.0]
    records = [{"total": total} for total in totals]
    path = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        lines = '{"text": "Total 12.50", "record": {"total": 12.50}}\n'
        lines += "".join(
            json.dumps({"text": t, "record": r}) + "\n" for t, r in zip(texts[1:], records[1:], strict=True)
        )
        path.write_text(lines)
    elif ending == "csv":
        pl.DataFrame({"text": texts, "record": [*map(json.dumps, records)]}).write_csv(path)
    else:
        pl.DataFrame({"text": texts, "record": records}, strict=False).write_parquet(path)
    spec = RecordSpec.model_validate({"words": 9, "fields": {"total": {"kind": "number"}}})
    read = read_rows(str(path), RowColumns("text", "record"), answer="fields", record=spec)
    assert read.rows["label"].to_list() == ['{"total":12.5}', '{"total":1931}', '{"total":8}']
    kept, rejects = with_places(read.rows, spec)
    assert kept["label"].to_list() == ['{"total":[1,1]}'] * 2
    assert rejects.select("text", "detail").rows() == [("Total 7", "total is not in the text")]


def test_a_number_that_is_personal_data_is_not_called_invented() -> None:
    spec = RecordSpec.model_validate({"words": 9, "fields": {"card": {"kind": "number"}}})
    rows = pl.DataFrame({"text": ["Card [card]"], "label": ['{"card":4111111111111111}'], "batch": "base"})
    _, rejects = with_places(rows, spec)
    assert rejects["detail"].to_list() == ["card is personal data, which texts do not keep"]


def test_a_record_with_half_of_a_character_stops_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    cells = ['{"payee": "\\ud83d Acme", "unit": "EUR"}', written("Acme")]
    path.write_text("".join(json.dumps({"text": "Pay Acme", "record": cell}) + "\n" for cell in cells))
    read = read_rows(str(path), RowColumns("text", "record"), answer="fields", record=RECORD)
    kept, rejects = with_places(read.rows, RECORD)
    assert kept["label"].to_list() == ['{"payee":[1,1],"unit":"EUR"}']
    assert rejects["detail"].to_list() == ["payee is not in the text"]


def test_a_file_without_one_record_names_the_field_that_says_what_records_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    pl.DataFrame({"text": ["a", "b"], "record": ["x", "y"]}).write_csv(path)
    with pytest.raises(StillhouseError, match="none of 2 records is readable") as refused:
        read_rows(str(path), RowColumns("text", "record"), answer="fields", record=RECORD)
    assert "fields" in str(refused.value)


def test_a_row_is_rejected_where_its_text_lacks_a_value_or_is_too_long() -> None:
    rows = pl.DataFrame(
        {
            "text": ["Pay Acme Ltd.", "Pay Acme", "Pay Acmes", " ".join(["word"] * 31), "who knows"],
            "label": [written("acme ltd"), written("Coyote"), written("Acme"), None, None],
            "batch": "base",
        }
    )
    kept, rejects = with_places(rows, RECORD)
    assert kept.select("text", "label").rows() == [
        ("Pay Acme Ltd.", '{"payee":[1,2],"unit":"EUR"}'), ("who knows", None)
    ]  # fmt: skip
    assert rejects.select("reason", "detail").rows() == [
        (RejectReason.NO_SUCH_VALUE.value, "payee is not in the text"),
        (RejectReason.NO_SUCH_VALUE.value, "payee begins or ends inside a word of the text"),
        (RejectReason.TOO_MANY_WORDS.value, "31 words, and 30 are read"),
    ]


class _Recipe:
    data = DATA


def rows(number: int) -> pl.DataFrame:
    asked = questions(number)["question"]
    texts = [f"{text}  Pay  Acme{row}\u200b or ada@example.org ." for row, text in enumerate(asked)]
    return pl.DataFrame({"text": texts, "label": [written(f"Acme{row}") for row in range(number)], "batch": "base"})


def test_places_are_those_of_the_text_that_models_read() -> None:
    """White space, what cannot be seen and personal data are gone by then; a value that was personal data is, too."""
    given = pl.concat([rows(60), pl.DataFrame({
        "text": ["Who pays eve@example.org today ?"], "label": [written("eve@example.org")], "batch": ["base"],
    })])  # fmt: skip
    made = split_rows(given, DATA, SPLIT, where="rows.jsonl")
    assert made.redacted["email"] == 61
    for text, label in made.prompts.select("text", "label").iter_rows():
        said = spelled_out(label, text, RECORD)
        assert json.loads(said)["payee"] in text and "Acme" in said
    assert "payee is personal data, which texts do not keep" in made.rejects["detail"].to_list()
    assert made.prompts.filter(pl.col("split") == "golden").height > 5, "no label is seen once where all are"


MARKS = ["\u200e", "\u200f", "\u061c", "\u2060", "\u2063", "\ufeff", "\u206f"]


@pytest.mark.parametrize("mark", MARKS, ids=ascii)
def test_texts_that_differ_in_a_mark_that_is_not_drawn_are_one_text_with_the_same_places(mark: str) -> None:
    """Regression: a mark of direction counted as a word, and both texts were left out as having two labels."""
    text = "Kindly wire all to Initech by tonight"
    given = [(each, written("Initech"), "base") for each in (text, text.replace("to ", f"{mark}to {mark}"))]
    copies = pl.DataFrame(given, schema=["text", "label", "batch"], orient="row")
    made = split_rows(pl.concat([rows(60), copies]), DATA, SPLIT, where="r")
    kept = made.prompts.filter(pl.col("text") == text)
    assert kept["label"].to_list() == ['{"payee":[4,1],"unit":"EUR"}']
    assert made.rejects.filter(pl.col("text").str.contains("Initech"))["reason"].to_list() == ["duplicate text"]


def test_copies_conflict_where_they_mean_other_words_and_not_where_they_are_spelled_otherwise() -> None:
    """Regression: two rows that both said what was right were both left out, as a text in capitals and its copy."""
    copies = {
        "Kindly wire all to Initech by tonight": ["Initech", "initech"],
        "Please transfer it to Globex": ["Globex"], "PLEASE TRANSFER IT TO GLOBEX": ["GLOBEX"],
        "Money goes to Umbrella or Hooli at dawn": ["Umbrella", "Hooli"],
        "Nobody but Soylent gets it": ["Soylent", "Wonka"],
        "Well... one pays Aperture and no other": ["Aperture"],
        "Well\u2026 one pays Aperture and no other": ["aperture"],
        " ": ["Acme"],
    }  # fmt: skip
    given = [(text, written(payee), "base") for text, payees in copies.items() for payee in payees]
    made = split_rows(
        pl.concat([rows(60), pl.DataFrame(given, schema=["text", "label", "batch"], orient="row")]),
        DATA,
        SPLIT,
        where="r",
    )
    left_out = made.rejects.filter(~pl.col("reason").is_in([RejectReason.NEAR_DUPLICATE.value]))
    assert sorted(left_out.select("text", "reason").rows()) == [
        (" ", RejectReason.BLANK.value),
        ("Kindly wire all to Initech by tonight", RejectReason.DUPLICATE.value),
        ("Money goes to Umbrella or Hooli at dawn", RejectReason.CONFLICTING_LABELS.value),
        ("Money goes to Umbrella or Hooli at dawn", RejectReason.CONFLICTING_LABELS.value),
        ("Nobody but Soylent gets it", RejectReason.NO_SUCH_VALUE.value),
        ("PLEASE TRANSFER IT TO GLOBEX", RejectReason.DUPLICATE.value),
        ("Well\u2026 one pays Aperture and no other", RejectReason.DUPLICATE.value),
    ]


def test_a_later_batch_is_held_against_the_base_by_the_same_places() -> None:
    base = split_rows(rows(40), DATA, SPLIT, where="rows.jsonl").prompts
    again = rows(40).head(2).with_columns(batch=pl.lit("later"))
    made = later_prompt_set(again, base, _Recipe())  # type: ignore[arg-type]
    assert made.prompts.is_empty()
    assert set(made.rejects["reason"]) <= {RejectReason.DUPLICATE.value, RejectReason.NEAR_DUPLICATE.value}
    other = again.with_columns(label=pl.lit(written("Acme0", "USD")))
    reasons = later_prompt_set(other.head(1), base, _Recipe()).rejects["reason"].to_list()  # type: ignore[arg-type]
    assert reasons == [RejectReason.CONFLICTING_LABELS.value]


def test_records_that_are_all_alike_teach_nothing() -> None:
    same = rows(10).with_columns(label=pl.lit(None, pl.String))
    with pytest.raises(StillhouseError, match=r"none of .* rows has a label") as refused:
        split_rows(same, DATA, SPLIT, where="rows.jsonl")
    assert "different records" in str(refused.value)


PAYEES = [
    f"{first}{last}" for first in ("Acme", "Apex", "Blue", "Cobalt", "Delta") for last in ("soft", "works", "lab")
]


def letter(payee: str, unit: str, begins: str = "Dear Sir or Madam") -> str:
    return f"{begins}, we kindly ask you to pay the amount that is due to {payee} in {unit} as agreed."


def letters(*said: tuple[str, str, bool], begins: str = "Dear Sir or Madam") -> pl.DataFrame:
    texts = [letter(payee, unit, begins) for payee, unit, _ in said]
    labels = [written(payee, unit) if labelled else None for payee, unit, labelled in said]
    return pl.DataFrame({"text": texts, "label": labels, "batch": "base"}, schema_overrides={"label": pl.String})


def test_letters_of_one_template_stay_where_their_records_are_known_to_differ() -> None:
    """Regression: of 900 letters most were left out, and a student was to learn what differs in them.

    More than thirteen words in a row are the same in all of them.
    """
    different = [(payee, unit, True) for payee in PAYEES for unit in ("EUR", "USD")]
    made = split_rows(letters(*different), DATA, SPLIT, where="rows")
    assert made.rejects.is_empty() and made.prompts.height == 30
    assert {"golden", "validation", "train"} == set(made.prompts["split"])
    alike = [
        letters(*different),
        letters(different[0], begins="Dear Sirs or Madam"),
        letters(("Bluestar", "EUR", False)),
    ]
    made = split_rows(pl.concat(alike), DATA, SPLIT, where="rows")
    assert made.prompts.height == 30
    assert made.rejects["reason"].to_list() == [RejectReason.NEAR_DUPLICATE.value] * 2


@pytest.mark.parametrize("of_later_batch", [False, True])
def test_one_letter_with_a_typo_is_left_out_though_two_people_took_something_else_out_of_it(
    of_later_batch: bool,
) -> None:
    """Regression: with such a label hidden the teacher gave the golden answer away, and no gate saw it."""
    family = letters(*((payee, unit, True) for payee in PAYEES for unit in ("EUR", "USD")))
    named = family.with_columns(text=pl.col("text").str.replace("due to", "due to Messrs"))
    copies = named.with_columns(
        text=pl.col("text").str.replace("kindly", "kindley"),
        label=pl.Series([json.dumps({"payee": "Messrs", "unit": "USD"})] * 15 + [None] * 15, dtype=pl.String).fill_null(
            named["label"].str.replace("EUR", "USD")
        ),
    )
    if of_later_batch:
        base = split_rows(named, DATA, SPLIT, where="rows").prompts
        made = later_prompt_set(copies, base, _Recipe())  # type: ignore[arg-type]
        assert made.prompts.is_empty() and base.height == 30
    else:
        made = split_rows(pl.concat([named, copies]), DATA, SPLIT, where="rows")
        assert made.prompts["text"].to_list() == named["text"].to_list()
    assert set(made.rejects["reason"]) == {RejectReason.NEAR_DUPLICATE.value}


def test_a_later_letter_of_the_template_stays_where_its_record_is_known_to_differ() -> None:
    different = [(payee, unit, True) for payee in PAYEES for unit in ("EUR", "USD")]
    base = split_rows(letters(*different), DATA, SPLIT, where="rows").prompts
    later = [("Bluestar", "EUR", True), ("Deltastar", "USD", False), ("Acmesoft", "EUR", True)]
    made = later_prompt_set(letters(*later, begins="Dear Madam or Sir"), base, _Recipe())  # type: ignore[arg-type]
    assert made.prompts["text"].to_list() == [letter("Bluestar", "EUR", "Dear Madam or Sir")]
    assert made.rejects.height == 2
