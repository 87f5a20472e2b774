"""Sentences with slots: who is to be paid, by when and in what, and what a teacher says of them that invents some.

Belongs here: the rows, what of them is true, and what a teacher answers.
Does not: a recipe.
"""

import json
from datetime import date
from random import Random
from typing import Any

import polars as pl

from tests.small import questions

FIELDS: dict[str, Any] = {
    "payee": {"kind": "verbatim", "words_at_most": 2},
    "due": {"kind": "verbatim", "words_at_most": 1, "optional": True},
    "currency": {"kind": "choice", "of": ["EUR", "USD"]},
}
READ: dict[str, Any] = {
    **FIELDS,
    "due": {"kind": "date", "words_at_most": 5, "optional": True},
    "total": {"kind": "number"},
}
"""Of the sentences with whole dates and with amounts."""
WORDS_AT_MOST = 32
_NAMES = ["king", "queen", "star", "river", "city", "ocean", "computer", "movie", "island", "doctor"]
_KINDS = ["company", "school", "hotel", "bank", "university", "museum"]
_MONEY = {"EUR": ["euro", "money of Germany"], "USD": ["dollar", "money of America"]}
_ORDERS = (
    "Pay the {payee} in {money} {by}",
    "{by} the {payee} gets it in {money}",
    "In {money} to the {payee} {by}",
    "The {payee} asked for {money} {by}",
)


def sentences(rows: int, *, read: bool = False) -> pl.DataFrame:
    """Columns `text`, `record` (JSON as a person writes it) and `order`, which of the sentences it is.

    Args:
        rows: at most.
        read: with an amount and a whole date, each written in one of three ways, and said plainly in the record.
    """
    chance, writing, found = Random(7), Random(9), []
    for question in questions(rows)["question"].to_list():
        currency = chance.choice(["EUR", "USD"])
        payee = f"{chance.choice(_NAMES)} {chance.choice(_KINDS)}".split()[: chance.choice([1, 2, 2])]
        due = str(chance.randrange(1900, 2000)) if chance.random() < 0.7 else None
        order = chance.randrange(len(_ORDERS))
        money, total = chance.choice(_MONEY[currency]), None
        if read:
            total, amount = _amount(writing)
            due, day = _day(due, writing) if due else (None, None)
            money = f"{amount} {money}"
        by = f"by {day if read else due}" if due else "soon"
        said = _ORDERS[order].format(payee=" ".join(payee), money=money, by=by)
        record = {"payee": " ".join(payee), "currency": currency, "due": due, "total": total}
        record = {name: value for name, value in record.items() if value is not None}
        place = chance.random() < 0.5
        text = f"{said} . {question}" if place else f"{question} {said} ."
        found.append((text, json.dumps(record), str(order)))
    return pl.DataFrame(found, schema=["text", "record", "order"], orient="row").filter(
        pl.col("text").str.split(" ").list.len() <= 24
    )


def _amount(chance: Random) -> tuple[float, str]:
    """An amount, and how a text has it."""
    total = chance.randrange(100_000, 10_000_000) / 100
    english = f"{total:,.2f}"
    return total, chance.choice([english, english.translate(str.maketrans(",.", ".,")), f"{total:.2f}"])


def _day(year: str, chance: Random) -> tuple[str, str]:
    """A day of a year, plainly and as a text has it."""
    day = date(int(year), chance.randrange(1, 13), chance.randrange(1, 29))
    return str(day), chance.choice([str(day), f"{day.day} {day:%B %Y}", f"{day:%b}. {day.day}, {day.year}"])


def answered(rows: pl.DataFrame) -> pl.DataFrame:
    """What a language model answers: right, but in one of ten it invents who is to be paid.

    Returns:
        `text`, `answer`, and `invented`, which of the answers are.
    """
    chance, found = Random(8), []
    for text, record in rows.select("text", "record").iter_rows():
        said, invents = json.loads(record), chance.random() < 0.1
        if invents:
            said["payee"] = "Acme Holdings"
        shown = json.dumps(said)
        found.append((text, shown if chance.random() < 0.5 else f"Here it is: {shown}.", invents))
    return pl.DataFrame(found, schema=["text", "answer", "invented"], orient="row")
