"""Sentences with slots: who is to be paid, by when and in what, and what a teacher says of them that invents some.

Belongs here: the rows, what of them is true, and what a teacher answers.
Does not: a recipe.
"""

import json
from random import Random
from typing import Any

import polars as pl

from tests.small import questions

FIELDS: dict[str, Any] = {
    "payee": {"kind": "verbatim", "words_at_most": 2},
    "due": {"kind": "verbatim", "words_at_most": 1, "optional": True},
    "currency": {"kind": "choice", "of": ["EUR", "USD"]},
}
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


def sentences(rows: int) -> pl.DataFrame:
    """Columns `text`, `record` (JSON as a person writes it) and `order`, which of the sentences it is."""
    chance, found = Random(7), []
    for question in questions(rows)["question"].to_list():
        currency = chance.choice(["EUR", "USD"])
        payee = f"{chance.choice(_NAMES)} {chance.choice(_KINDS)}".split()[: chance.choice([1, 2, 2])]
        due = str(chance.randrange(1900, 2000)) if chance.random() < 0.7 else None
        order = chance.randrange(len(_ORDERS))
        said = _ORDERS[order].format(
            payee=" ".join(payee), money=chance.choice(_MONEY[currency]), by=f"by {due}" if due else "soon"
        )
        record = {"payee": " ".join(payee), "currency": currency, **({"due": due} if due else {})}
        place = chance.random() < 0.5
        text = f"{said} . {question}" if place else f"{question} {said} ."
        found.append((text, json.dumps(record), str(order)))
    return pl.DataFrame(found, schema=["text", "record", "order"], orient="row").filter(
        pl.col("text").str.split(" ").list.len() <= 24
    )


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
