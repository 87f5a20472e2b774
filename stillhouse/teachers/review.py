"""A person's look at the teacher's answers: which rows to show, the file to fill in, and what the verdicts prove.

Belongs here: drawing the sample, writing and reading the review file, judging the share of wrong answers.
Does not: rules that need no person (verification.py), how a review is asked for (assets/), what it opens (checks/).
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from stillhouse.data.splits import keyed_uniform
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.statistics.verdicts import Verdict, check_alpha

COLUMNS: Final = ("prompt_id", "text", "answer", "correct", "reviewer", "note")
_WORDS: Final = dict.fromkeys(("yes", "y", "true", "1"), True) | dict.fromkeys(("no", "n", "false", "0"), False)
_MOST_ROWS: Final = 10_000  # nobody reviews more, so a larger number of rows is no advice
_DRAW_AGAIN: Final = "Undo the change, or write the review file again and fill it in."
# What a spreadsheet runs (OWASP "CSV injection") or retypes: a label 1.0 becomes 1, "1/2" a date, "true" TRUE. An
# apostrophe of the text's own is guarded too, so that one can always be taken off.
_RETYPED: Final = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n']|[\d\s.,:/%eE-]+$|(?i:true|false)$")  # noqa: RUF001


@dataclass(frozen=True)
class ReviewVerdict:
    """Whether the share of wrong answers is proven to keep a limit; the counts of the two halves are never added.

    Args:
        verdict: PASS, the high bound is at most the limit; FAIL, the low bound is above it; else INCONCLUSIVE.
        defects, rows, rate: wrong answers among the random rows, random rows, and their quotient.
        interval: low and high one-sided 1 - alpha bound of the rate, exact (Clopper and Pearson 1934, Biometrika
            26:404); drawing without replacement makes them cautious.
        risk_defects, risk_rows: the same counts for the riskiest rows.
        defect_limit, alpha: what it was judged by.
        rows_needed: when inconclusive: how many random rows, in all, would settle it if the observed rate held; None
            where 10 000 would not. A true rate nearer to the limit needs more.
    """

    verdict: Verdict
    defects: int
    rows: int
    rate: float
    interval: tuple[float, float]
    risk_defects: int
    risk_rows: int
    defect_limit: float
    alpha: float
    rows_needed: int | None

    @property
    def sentence(self) -> str:
        """The verdict in words, with its numbers."""
        more = f"{self.rows_needed} random rows" if self.rows_needed else "no number of rows a person can read"
        words = {Verdict.PASS: "so the limit is kept", Verdict.FAIL: "so the limit is broken"}
        return (
            f"{self.defects} of {self.rows} random answers are wrong ({self.rate:.1%}; "
            f"with confidence {1 - self.alpha:g} at least {self.interval[0]:.1%}, and at most {self.interval[1]:.1%}; "
            f"limit {self.defect_limit:.1%}), "
            f"{words.get(self.verdict, f'which decides nothing; at this rate {more} would')}. "
            f"Of the {self.risk_rows} riskiest others {self.risk_defects} are wrong."
        )


def draw_review(answers: pl.DataFrame, *, size: int, key: str) -> pl.DataFrame:
    """Draw rows for a person to judge: half by chance, half those the teacher is least sure of.

    Only the random half estimates the defect rate: the other is chosen for being wrong more often, and an estimate
    that counts it without weights would be biased upwards. That half is there to find defects.

    Args:
        answers: `prompt_id` (unique), `text`, `answer`, `confidence` (probability of the answer; null is riskiest).
        size: rows to draw; the random half gets the odd one. With no more rows than that all are drawn, as random.
        key: what the draw is keyed with; the order of `answers` does not matter.

    Returns:
        The four columns and `drawn`, "random" or "risk", shuffled so that their order does not tell which.

    Raises:
        ValueError: if the size is below 1 or an id is there twice.
    """
    if size < 1 or not answers["prompt_id"].is_unique().all():
        raise ValueError(f"size {size} must be 1 or more and each prompt_id there once")
    rows = _shuffled(answers.select("prompt_id", "text", "answer", "confidence"), key, "review")
    by_chance = rows.height if rows.height <= size else (size + 1) // 2
    risky = rows.slice(by_chance).sort("confidence", "prompt_id").head(size - by_chance)
    halves = [("random", rows.head(by_chance)), ("risk", risky)]
    drawn = pl.concat(half.with_columns(pl.lit(name).alias("drawn")) for name, half in halves)
    # A hash of its own: by the one that drew them the random rows would all come first.
    return _shuffled(drawn, key, "review order")


def write_review(drawn: pl.DataFrame, path: Path) -> None:
    """Write the file a person fills in, with nothing in it that tells how sure the teacher was or why a row is there.

    A value that a spreadsheet would run or retype gets an apostrophe in front; `read_review` knows it. The byte order
    mark is for Excel, which takes the file for the local code page without it.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in drawn.select("prompt_id", "text", "answer").iter_rows():
        writer.writerow([*map(_guarded, row), "", "", ""])
    write_atomically(path, text.getvalue().encode("utf-8-sig"))


def read_review(path: Path, drawn: pl.DataFrame) -> pl.DataFrame:
    """Read the filled-in file, with "," or ";" between fields; further columns, blank rows and the order do not matter.

    Returns:
        `drawn` in its order with `correct` (Boolean), `reviewer` and `note` ("" where there is none).

    Raises:
        StillhouseError: if the file is unreadable or incomplete, or is not about these answers; names file and line.
    """
    asked = {row[0]: row[1:] for row in drawn.select("prompt_id", "text", "answer").iter_rows()}
    found: dict[str, tuple[str, dict[str, str]]] = {}
    where = f"{path}, line 1"
    for where, cells in _records(path):
        prompt_id = cells["prompt_id"].strip().removeprefix("'")
        if prompt_id not in asked:
            raise _refusal(f"prompt_id {prompt_id!r} was not drawn", where, "the ids that were written", _DRAW_AGAIN)
        if prompt_id in found:
            first = found[prompt_id][0]
            raise _refusal(f"a second row for {prompt_id!r} ({first})", where, "one for each", "Remove one of the two.")
        for name, value in zip(("text", "answer"), asked[prompt_id], strict=True):
            if cells[name] not in (value, _guarded(value)):
                was = f"{name} {value[:60]!r} as it was written: a verdict on another {name} says nothing about it"
                raise _refusal(f"{name} is now {cells[name][:60]!r}", where, was, _DRAW_AGAIN)
        if cells["correct"].strip().lower() not in {"", *_WORDS}:
            raise _refusal(f"correct is {cells['correct']!r}", where, "yes or no", "Fill in yes or no.")
        found[prompt_id] = (where, cells)
    if missing := [prompt_id for prompt_id in asked if prompt_id not in found]:
        what = f"the file ends without {len(missing)} of {len(asked)} rows, the first {missing[0]!r}"
        raise _refusal(what, where, "every drawn row", "Put them back, or write the review file again.")
    if empty := [where for where, cells in found.values() if not cells["correct"].strip()]:
        what = f"correct is empty; {len(found) - len(empty)} of {len(found)} rows are filled in"
        raise _refusal(what, empty[0], "yes or no in every row", "Fill in the rest.")
    if nameless := [where for where, cells in found.values() if not cells["reviewer"].strip()]:
        raise _refusal("reviewer is empty", nameless[0], "who judged the row", "Fill in a name in every row.")
    filled = [found[prompt_id][1] for prompt_id in asked]
    return drawn.with_columns(
        pl.Series("correct", [_WORDS[cells["correct"].strip().lower()] for cells in filled], dtype=pl.Boolean),
        *(pl.Series(name, [cells[name].strip() for cells in filled], dtype=pl.String) for name in ("reviewer", "note")),
    )


def judge_review(reviewed: pl.DataFrame, *, defect_limit: float, alpha: float = 0.05) -> ReviewVerdict:
    """Judge a batch of answers by the random half of its review.

    Args:
        reviewed: `drawn`, `correct`.
        defect_limit: largest acceptable share of wrong answers, in (0, 1).
        alpha: chance that a batch beyond the limit passes, at most; as much again for failing a good one.

    Raises:
        ValueError: if there are no random rows, a verdict is missing, or the limit or alpha is out of range.
    """
    check_alpha(alpha)
    chance = reviewed.filter(pl.col("drawn") == "random")["correct"]
    risk = reviewed.filter(pl.col("drawn") == "risk")["correct"]
    if not 0.0 < defect_limit < 1.0 or chance.is_empty() or chance.null_count() or risk.null_count():
        raise ValueError(f"limit {defect_limit} must be in (0, 1), and all rows judged, one of them random or more")
    defects, rows = int((~chance).sum()), len(chance)
    low, high = _bounds(defects, rows, alpha)
    verdict = Verdict.FAIL if low > defect_limit else Verdict.INCONCLUSIVE
    if high <= defect_limit:
        verdict = Verdict.PASS
    needed = _rows_needed(defects, rows, defect_limit, alpha) if verdict == Verdict.INCONCLUSIVE else None
    counts = (defects, rows, defects / rows, (low, high), int((~risk).sum()), len(risk))
    return ReviewVerdict(verdict, *counts, defect_limit, alpha, needed)


def _shuffled(rows: pl.DataFrame, key: str, purpose: str) -> pl.DataFrame:
    draw = keyed_uniform(rows["prompt_id"], key=key, purpose=purpose).alias("draw")
    return rows.with_columns(draw).sort("draw", "prompt_id").drop("draw")


def _guarded(value: str) -> str:
    return f"'{value}" if _RETYPED.match(value) else value


def _refusal(what: str, where: str, expected: str, do: str) -> StillhouseError:
    return StillhouseError(what, where=where, expected=expected, do=do)


def _records(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the named cells of each row that is not blank, with where it starts."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise _refusal(f"not readable ({error.strerror})", str(path), "the review file", "Write it first.") from error
    except UnicodeDecodeError as error:
        where = f"{path}, line {len(error.object[: error.start + 1].splitlines())}"
        raise _refusal("not UTF-8", where, "UTF-8", 'Save it as "CSV UTF-8" in the spreadsheet.') from error
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    where = f"{path}, line 1"
    try:
        header = [name.strip() for name in next(reader, [])]
        if wrong := [name for name in COLUMNS if header.count(name) != 1]:
            what = f"column {wrong[0]!r} is there {header.count(wrong[0])} times"
            raise _refusal(what, where, f"{', '.join(COLUMNS)}, each once", "Put the header back as it was.")
        where = f"{path}, line {reader.line_num + 1}"
        for cells in reader:
            if any(map(str.strip, cells)):
                padded = cells + [""] * (len(header) - len(cells))
                yield where, dict(zip(header, padded, strict=False))
            where = f"{path}, line {reader.line_num + 1}"
    except csv.Error as error:
        raise _refusal(f"not readable as csv ({error})", where, "quotes in pairs", _DRAW_AGAIN) from error


def _bounds(defects: int, rows: int, alpha: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    low = float(betaincinv(defects, rows - defects + 1, alpha)) if defects else 0.0
    high = float(betaincinv(defects + 1, rows - defects, 1 - alpha)) if defects < rows else 1.0
    return low, high


def _rows_needed(defects: int, rows: int, limit: float, alpha: float) -> int | None:
    """Find the fewest rows that would settle it, with the observed rate rounded to whole defects against that."""
    from scipy.special import bdtr, bdtrc

    kept, tried = defects <= limit * rows, rows
    while tried < _MOST_ROWS:
        more = np.arange(tried + 1, 2 * tried + 1)
        # The tails that the bounds are the inverse of, at a tenth of the cost.
        if kept:
            settled = bdtr(-(-defects * more // rows).astype(float), more, limit) <= alpha
        else:
            settled = bdtrc((defects * more // rows - 1).astype(float), more, limit) < alpha
        if settled.any():
            return int(more[np.argmax(settled)])
        tried *= 2
    return None
