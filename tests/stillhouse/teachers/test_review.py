"""A person's verdicts: drawn without bias, unchanged on the way through a spreadsheet, and never proving too much."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from stillhouse.errors import StillhouseError
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.review import COLUMNS, draw_review, judge_review, read_review, write_review

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ["=1+1", "+1", "-1", "@x", "\t=1", "'=1", "''", "'", 'a,"b"\n;c', "1.0", "3/4", "true", "\r\n", ""]
    ),
)
RISKY = ["=SUM(A1)", "+49", "-1", "@cmd", "\t=1", "\r=1", " =1", "＝1", "1.0", "007", "1e5", "3/4", "TRUE", "'x"]  # noqa: RUF001
Cells = list[list[str]]


def answers(count: int) -> pl.DataFrame:
    ids = [f"p{number:04}" for number in range(count)]
    return pl.DataFrame(
        {
            "prompt_id": ids,
            "text": [f"text of {name}" for name in ids],
            "answer": [["spam", "ham"][number % 2] for number in range(count)],
            "confidence": [(number * 7919 % 1009) / 1009 for number in range(count)],
        },
        schema={"prompt_id": pl.String, "text": pl.String, "answer": pl.String, "confidence": pl.Float64},
    )


def reviewed(defects: int, rows: int, risk_defects: int = 0, risk_rows: int = 0) -> pl.DataFrame:
    drawn = ["random"] * rows + ["risk"] * risk_rows
    right = [n >= defects for n in range(rows)] + [n >= risk_defects for n in range(risk_rows)]
    return pl.DataFrame(
        {"drawn": drawn, "correct": right}, schema={"drawn": pl.String, "correct": pl.Boolean}, strict=True
    )


def cells_of(path: Path) -> Cells:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def save(path: Path, cells: Cells, separator: str = ",", encoding: str = "utf-8") -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(cells)
    path.write_bytes(text.getvalue().encode(encoding))


def fill(cells: Cells) -> Cells:
    return [cells[0], *([*row[:3], "yes", "Ada", ""] for row in cells[1:])]


@pytest.mark.long
@given(st.integers(0, 30), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_draw_is_a_subset_of_the_size_asked_and_ignores_the_order(count: int, size: int, random: object) -> None:
    rows = answers(count)
    drawn = draw_review(rows, size=size, key="k")
    assert drawn.columns == ["prompt_id", "text", "answer", "confidence", "drawn"]
    assert drawn.height == min(count, size)
    assert drawn["prompt_id"].is_unique().all()
    assert drawn.drop("drawn").join(rows, on=rows.columns, how="anti").is_empty()
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert draw_review(rows[order], size=size, key="k").equals(drawn)
    chance = drawn.filter(pl.col("drawn") == "random").height
    assert chance == (count if count <= size else (size + 1) // 2)


def test_the_other_half_is_the_least_confident_of_the_rest() -> None:
    rows = answers(200).with_columns(pl.col("confidence").round(1))  # with ties, which the id decides
    drawn = draw_review(rows, size=41, key="k")
    chance, risk = (drawn.filter(pl.col("drawn") == name) for name in ("random", "risk"))
    rest = rows.filter(~pl.col("prompt_id").is_in(chance["prompt_id"].implode()))
    assert (chance.height, risk.height) == (21, 20)
    assert set(risk["prompt_id"]) == set(rest.sort("confidence", "prompt_id").head(20)["prompt_id"])


@pytest.mark.long
def test_the_order_does_not_tell_the_halves_apart() -> None:
    places = []
    for number in range(200):
        drawn = draw_review(answers(60), size=20, key=str(number))["drawn"]
        places.append(float((drawn == "random").arg_true().mean() or 0.0))
    # A mean of ten places of twenty, drawn without replacement: 9.5, deviation sqrt(399/12 / 10 * 10/19) = 1.32.
    assert abs(np.mean(places) - 9.5) < 4 * 1.32 / np.sqrt(200)
    assert 0.8 < np.std(places) / 1.32 < 1.2


def test_another_key_is_another_draw_and_only_the_random_half_moves_with_chance() -> None:
    one, two = (draw_review(answers(500), size=50, key=key).filter(pl.col("drawn") == "random") for key in ("a", "b"))
    assert len(set(one["prompt_id"]) & set(two["prompt_id"])) < 10


def test_a_draw_that_makes_no_sense_is_our_bug() -> None:
    with pytest.raises(ValueError, match="size 0"):
        draw_review(answers(3), size=0, key="k")
    with pytest.raises(ValueError, match="each prompt_id there once"):
        draw_review(pl.concat([answers(2), answers(1)]), size=2, key="k")


@pytest.mark.long
@settings(deadline=None)  # every example waits for a disk
@given(
    st.lists(st.tuples(texts, texts), max_size=6), st.sampled_from([",", ";"]), st.sampled_from(["utf-8", "utf-8-sig"])
)
def test_every_text_survives_the_way_through_the_file(
    pairs: list[tuple[str, str]], separator: str, encoding: str
) -> None:
    rows = answers(len(pairs)).with_columns(
        pl.Series("text", [text for text, _ in pairs], dtype=pl.String),
        pl.Series("answer", [answer for _, answer in pairs], dtype=pl.String),
    )
    drawn = draw_review(rows, size=10, key="k")
    with TemporaryDirectory() as folder:
        path = Path(folder, "review.csv")
        write_review(drawn, path)
        cells = cells_of(path)
        words = ["Yes", "y", "TRUE", "1", " yes "]
        for number, row in enumerate(cells[1:]):
            row[3:] = [words[number % 5] if number % 2 else "No", " Ada ", pairs[number][0]]
        save(path, [cells[0], *reversed(cells[1:])], separator, encoding)
        back = read_review(path, drawn)
    assert back.drop("correct", "reviewer", "note").equals(drawn)
    assert back["correct"].to_list() == [bool(number % 2) for number in range(drawn.height)]
    assert back["note"].to_list() == [text.strip() for text, _ in pairs]
    assert set(back["reviewer"]) <= {"Ada"}


@pytest.mark.parametrize("text", RISKY)
@pytest.mark.experiment("F9")
def test_a_spreadsheet_gets_nothing_to_run_or_retype(text: str, tmp_path: Path) -> None:
    drawn = draw_review(answers(1).with_columns(pl.lit(text).alias("text")), size=1, key="k")
    path = tmp_path / "review.csv"
    write_review(drawn, path)
    cells = cells_of(path)
    assert cells[1][1] == "'" + text
    cells = fill(cells)
    for kept in ("'" + text, text):  # some spreadsheets take the apostrophe for markup and drop it
        cells[1][1] = kept
        save(path, cells)
        assert read_review(path, drawn)["text"].to_list() == [text]


def test_an_id_that_looks_like_a_number_comes_back_whole(tmp_path: Path) -> None:
    drawn = draw_review(answers(1).with_columns(pl.lit("12e34").alias("prompt_id")), size=1, key="k")
    write_review(drawn, tmp_path / "review.csv")
    assert (tmp_path / "review.csv").read_bytes().startswith(b"\xef\xbb\xbfprompt_id,")  # Excel needs the mark
    cells = fill(cells_of(tmp_path / "review.csv"))
    assert cells[1][0] == "'12e34"
    save(tmp_path / "review.csv", cells)
    assert read_review(tmp_path / "review.csv", drawn)["prompt_id"].to_list() == ["12e34"]


def test_the_file_does_not_tell_what_would_sway_a_reviewer(tmp_path: Path) -> None:
    drawn = draw_review(answers(6), size=4, key="k")
    write_review(drawn, tmp_path / "new" / "review.csv")
    cells = cells_of(tmp_path / "new" / "review.csv")
    assert cells[0] == list(COLUMNS)
    assert cells[1:] == [[*row, "", "", ""] for row in drawn.select("prompt_id", "text", "answer").rows()]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["review.csv"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("yes", True),
        ("Y", True),
        ("True", True),
        ("1", True),
        ("NO", False),
        ("n", False),
        ("FALSE", False),
        ("0", False),
    ],
)
def test_the_words_for_yes_and_no(word: str, expected: bool, tmp_path: Path) -> None:
    drawn = draw_review(answers(1), size=1, key="k")
    save(tmp_path / "review.csv", [list(COLUMNS), ["p0000", "text of p0000", "spam", word, "Ada", ""]])
    assert read_review(tmp_path / "review.csv", drawn)["correct"].to_list() == [expected]


def test_blank_rows_short_rows_further_columns_and_their_order_do_not_matter(tmp_path: Path) -> None:
    drawn = draw_review(answers(3), size=3, key="k")
    path = tmp_path / "review.csv"
    write_review(drawn, path)
    cells = [[*reversed(row), "extra"] for row in fill(cells_of(path))]
    save(path, [cells[0], ["", "", ""], *cells[1:], [], [""] * 7])
    assert read_review(path, drawn).drop("correct", "reviewer", "note").equals(drawn)
    save(path, [cells[0][:0] + list(COLUMNS), *([*row[:6][::-1][:5]] for row in cells[1:])])  # no cell for the note
    assert read_review(path, drawn)["note"].to_list() == ["", "", ""]


def set_cell(line: int, column: str, value: str) -> Callable[[Cells], Cells]:
    def edit(cells: Cells) -> Cells:
        cells[line - 1][COLUMNS.index(column)] = value
        return cells

    return edit


@pytest.mark.parametrize(
    ("edit", "line", "message"),
    [
        (lambda cells: [row[:5] for row in cells], 1, r"column 'note' is there 0 times; expected prompt_id, text"),
        (lambda cells: [[*row, row[3]] for row in cells], 1, "column 'correct' is there 2 times"),
        (lambda cells: [], 1, "column 'prompt_id' is there 0 times"),
        (set_cell(3, "prompt_id", "p9"), 3, "prompt_id 'p9' was not drawn"),
        (lambda cells: [*cells, cells[2]], 6, r"a second row for 'p\d+' \(.*review.csv, line 3\)"),
        (set_cell(2, "text", "text"), 2, "text is now 'text'; expected text 'text of p"),
        (set_cell(4, "answer", "Spam"), 4, "answer is now 'Spam'; .* a verdict on another answer says nothing"),
        (set_cell(5, "correct", "maybe"), 5, "correct is 'maybe'; expected yes or no"),
        (lambda cells: cells[:3], 3, r"the file ends without 2 of 4 rows, the first 'p\d+'; expected every drawn row"),
        (set_cell(4, "correct", " "), 4, "correct is empty; 3 of 4 rows are filled in"),
        (set_cell(3, "reviewer", ""), 3, "reviewer is empty"),
    ],
)
def test_a_file_that_cannot_count_is_refused_with_file_and_line(
    edit: Callable[[Cells], Cells], line: int, message: str, tmp_path: Path
) -> None:
    drawn = draw_review(answers(4), size=4, key="k")
    path = tmp_path / "review.csv"
    write_review(drawn, path)
    save(path, edit(fill(cells_of(path))))
    with pytest.raises(StillhouseError, match=f"{re.escape(str(path))}, line {line}: {message}"):
        read_review(path, drawn)


def test_the_line_is_where_the_row_starts_also_after_line_breaks_in_texts(tmp_path: Path) -> None:
    rows = answers(2).with_columns(pl.lit("one\ntwo\n\nfour").alias("text"))
    drawn = draw_review(rows, size=2, key="k")
    write_review(drawn, tmp_path / "review.csv")
    save(tmp_path / "review.csv", set_cell(3, "correct", "?")(fill(cells_of(tmp_path / "review.csv"))))
    with pytest.raises(StillhouseError, match=r"review\.csv, line 6: correct"):
        read_review(tmp_path / "review.csv", drawn)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    drawn, path = draw_review(answers(1), size=1, key="k"), tmp_path / "review.csv"
    with pytest.raises(StillhouseError, match=r"review.csv: not readable \(No such file"):
        read_review(path, drawn)
    header = ",".join(COLUMNS).encode()
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + header + b"\r\np0000,text\r\n\xe9,x")
        with pytest.raises(StillhouseError, match=r"review\.csv, line 3: not UTF-8"):
            read_review(path, drawn)
    path.write_bytes(header + b'\r\np0000,"text of p0000,spam,yes,Ada,\r\n')
    with pytest.raises(StillhouseError, match=r"review\.csv, line 2: not readable as csv"):
        read_review(path, drawn)


@pytest.mark.parametrize(
    ("defects", "rows", "low", "high"),
    [
        # By hand: with no defect the high bound solves (1 - p)^n = 0.05, with nothing else the low one p^n = 0.05, and
        # for one of two (1 - p)^2 + 2p(1 - p) = 1 - p^2 = 0.05 and 1 - (1 - p)^2 = 0.05.
        (0, 10, 0.0, 1 - 0.05**0.1),
        (10, 10, 0.05**0.1, 1.0),
        (1, 2, 1 - 0.95**0.5, 0.95**0.5),
        (3, 50, beta.ppf(0.05, 3, 48), beta.ppf(0.95, 4, 47)),
    ],
)
def test_the_bounds_are_those_of_clopper_and_pearson(defects: int, rows: int, low: float, high: float) -> None:
    found = judge_review(reviewed(defects, rows), defect_limit=0.1)
    assert found.interval == pytest.approx((low, high), abs=1e-12)
    assert (found.defects, found.rows, found.rate) == (defects, rows, defects / rows)


def test_no_defect_in_59_rows_proves_five_percent_and_58_do_not() -> None:
    # The well-known count: the smallest n with 0.95^n <= 0.05.
    assert judge_review(reviewed(0, 59), defect_limit=0.05).verdict == Verdict.PASS
    for rows in (1, 30, 58):
        found = judge_review(reviewed(0, rows), defect_limit=0.05)
        assert (found.verdict, found.rows_needed) == (Verdict.INCONCLUSIVE, 59)


@pytest.mark.long
@pytest.mark.parametrize(("defects", "rows"), [(1, 40), (3, 100), (7, 100), (3, 30), (1, 1)])
def test_the_rows_needed_settle_it_and_no_fewer_do(defects: int, rows: int) -> None:
    needed = judge_review(reviewed(defects, rows), defect_limit=0.05).rows_needed
    assert needed is not None
    kept = defects / rows < 0.05

    def verdict(n: int) -> Verdict:
        wrong = int(np.ceil(defects * n / rows)) if kept else defects * n // rows
        return judge_review(reviewed(wrong, n), defect_limit=0.05).verdict

    assert verdict(needed) == (Verdict.PASS if kept else Verdict.FAIL)
    assert {verdict(n) for n in range(rows, needed)} == {Verdict.INCONCLUSIVE}


def test_a_rate_at_the_limit_is_settled_by_no_number_of_rows() -> None:
    found = judge_review(reviewed(5, 100), defect_limit=0.05)
    assert (found.verdict, found.rows_needed) == (Verdict.INCONCLUSIVE, None)
    assert "no number of rows a person can read" in found.sentence


def test_a_verdict_says_it_in_words_with_its_numbers() -> None:
    passed = judge_review(reviewed(1, 100, 9, 100), defect_limit=0.05)
    assert passed.sentence == (
        "1 of 100 random answers are wrong (1.0%; with confidence 0.95 at least 0.1%, and at most 4.7%; limit 5.0%), "
        "so the limit is kept. Of the 100 riskiest others 9 are wrong."
    )
    failed = judge_review(reviewed(12, 100), defect_limit=0.05)
    assert failed.verdict == Verdict.FAIL
    assert "so the limit is broken" in failed.sentence
    assert (
        "which decides nothing; at this rate 59 random rows would"
        in judge_review(reviewed(0, 20), defect_limit=0.05).sentence
    )


def test_the_risk_half_counts_for_nothing_in_the_verdict() -> None:
    found = judge_review(reviewed(0, 59, 40, 50), defect_limit=0.05)
    assert (found.verdict, found.risk_defects, found.risk_rows) == (Verdict.PASS, 40, 50)
    assert found.interval == judge_review(reviewed(0, 59), defect_limit=0.05).interval


@pytest.mark.long
@pytest.mark.parametrize("rows", [60, 150])
@pytest.mark.parametrize("limit", [0.02, 0.1])
def test_a_batch_at_the_limit_passes_and_fails_at_most_once_in_twenty(rows: int, limit: float) -> None:
    # Exact: sum the chances of every count that gives the verdict.
    verdicts = [judge_review(reviewed(k, rows), defect_limit=limit).verdict for k in range(rows + 1)]
    chances = binom.pmf(np.arange(rows + 1), rows, limit)
    for verdict in (Verdict.PASS, Verdict.FAIL):
        assert chances[[found == verdict for found in verdicts]].sum() <= 0.05


@pytest.mark.long
def test_the_whole_way_keeps_the_promise_where_risk_and_defects_go_together() -> None:
    rows = answers(1000).sort("confidence").with_columns((pl.int_range(pl.len()) % 7 != 0).alias("correct"))
    # The 100 defects are among the 700 least confident, so the risk half is full of them.
    rows = rows.with_columns((pl.col("correct") | (pl.int_range(pl.len()) >= 700)).alias("correct"))
    assert (~rows["correct"]).sum() == 100
    found = []
    for number in range(300):
        drawn = draw_review(rows, size=120, key=f"key {number}")
        judged = drawn.join(rows.select("prompt_id", "correct"), on="prompt_id", how="left")
        found.append(judge_review(judged, defect_limit=0.1))
    passes = sum(verdict.verdict == Verdict.PASS for verdict in found)
    assert passes <= binom.ppf(0.999, 300, 0.05)
    # Unbiased: the mean of 300 rates of 60 rows, three standard errors either way.
    assert abs(np.mean([verdict.rate for verdict in found]) - 0.1) < 3 * np.sqrt(0.1 * 0.9 / 60 / 300)
    assert np.mean([verdict.risk_defects / verdict.risk_rows for verdict in found]) > 0.13


@pytest.mark.parametrize(
    ("frame", "limit", "alpha"),
    [
        (reviewed(0, 0, 1, 3), 0.05, 0.05),
        (reviewed(0, 9), 0.0, 0.05),
        (reviewed(0, 9), 1.0, 0.05),
        (reviewed(0, 9), 0.05, 0.5),
        (reviewed(0, 9).with_columns(pl.lit(None, pl.Boolean).alias("correct")), 0.05, 0.05),
    ],
)
def test_what_cannot_be_judged_is_our_bug(frame: pl.DataFrame, limit: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must be in"):
        judge_review(frame, defect_limit=limit, alpha=alpha)
