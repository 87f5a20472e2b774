"""A teacher of records behind a server of this machine, and the bills that it reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.data.cleaning import prompt_ids
from stillhouse.recipe.record import RecordSpec
from stillhouse.tasks.extraction import Extraction
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.stored import StoredTeacher
from tests.protocol import Server
from tests.slots import FIELDS
from tests.stillhouse.teachers.asked import teacher

SPEC = RecordSpec.model_validate({"fields": FIELDS, "words": 16})
TASK = Extraction(SPEC)
WORTH = 0.9**3
"""Of whole records, so that each of three fields is worth 0.9."""
PILOT = StoredTeacher(
    pl.DataFrame({"prompt_id": ["p"], "answer": [None], "failure": ["?"]}, schema_overrides={"answer": pl.String}),
    WORTH,
    TASK,
)
WORDS = Asking(
    "large", "{text}", {"temperature": 0, "max_tokens": 60}, None, {}, "October", answer="fields", record=SPEC
)  # fmt: skip
FORM = replace(WORDS, choices=tuple(SPEC.fields))


def bills(rows: int) -> pl.DataFrame:
    """Columns `prompt_id` and `text`, with the values at the same words of each."""
    column = pl.Series("text", [f"Bill {n} : pay the Acme Bank by 1999, in dollars" for n in range(rows)])
    return pl.DataFrame([prompt_ids(column), column])


RIGHT = '{"currency":"USD","due":[8,1],"payee":[5,2]}'
"""The record of each bill, as places."""
AS_SAID = '{"payee": "Acme Bank", "due": "1999", "currency": "USD"}'


def asked(server: Server, place: Path, asking: Asking = WORDS, **limits: Any) -> EndpointTeacher:
    how = {"concurrency": 1, **limits}
    return replace(teacher(server, place, asking=asking, **how), task=TASK, pilot=PILOT)
