"""Answers that somebody was given elsewhere.

Belongs here: keeping them beside what they are worth.
Does not: reading the file (stillhouse/teachers/stored_answers.py).
"""

from functools import partial
from pathlib import Path

import polars as pl

from stillhouse.digests import digest_of
from stillhouse.records.builds import Plan
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS, answers_of
from stillhouse.stages.pilot import failures_of, measured
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.teachers.stored import at_home, held_to


def plan(making: Making) -> Plan[TeacherFacts]:
    """Keep the answers that the contract took in."""
    taken_in = making.contract.frame(answers_of(making.file.member))
    data = making.file.recipe.data
    answers = held_to(taken_in, making.task.names, data.labels, data.answer)
    if data.record is not None:
        answers = at_home(answers, making.prompts, data.record)
    return making.plan(partial(_build, making, answers), depends_on={"answers": digest_of(answers.rows())})


def _build(making: Making, answers: pl.DataFrame, folder: Path) -> TeacherFacts:
    answers.write_parquet(folder / f"{ANSWERS}.parquet")
    pilot, right = measured(making.rows, answers, making.task)
    said = SaidFacts(texts=answers.height, failures=failures_of(answers), accuracy=pilot.accuracy)
    return making.facts(pilot.fingerprint, right=right, said=said)
