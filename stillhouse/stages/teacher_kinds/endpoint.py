"""A server that speaks OpenAI's protocol.

Belongs here: its pilot, and what is kept of it. Does not: making calls (stillhouse/teachers/endpoint.py).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from stillhouse.records.builds import Plan
from stillhouse.stages.asking import call_log
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import ANSWERS
from stillhouse.stages.pilot import failures_of, pilot_of, require_that_it_fits, require_that_most_are_answered
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.flips import ASKED_TWICE, flips, heard_twice
from stillhouse.teachers.requests import asking_of

_SECOND_TIME = "the pilot's second time"


def plan(making: Making) -> Plan[TeacherFacts]:
    """Ask the validation rows alone, and say what the rest will cost before any of it is asked."""
    asking = asking_of(making.file, making.task.names)
    return making.plan(partial(_build, making, asking), depends_on={"asking": asking.digest})


def _build(making: Making, asking: Asking, folder: Path) -> TeacherFacts:
    file, spec, calls = making.file, making.file.recipe.teacher, call_log(making.home)
    assert spec.endpoint is not None
    teacher = EndpointTeacher(spec.source, spec.endpoint, asking, file.name, calls, making.task)
    pilot = pilot_of(teacher, making.rows, file.where("teacher", "ask"))
    pilot.answers.write_parquet(folder / f"{ANSWERS}.parquet")
    twice = pilot.validation.select("prompt_id", "text").sort("prompt_id").head(ASKED_TWICE)
    unasked = teacher.unasked(making.prompts) + teacher.unasked(twice, _SECOND_TIME)
    require_that_it_fits(
        file, spec.endpoint, prompts=unasked, expected=pilot.usd_at_most(unasked), spent=calls.spent(file.name)
    )
    stated, right = pilot.measured
    again = teacher.replies(twice, _SECOND_TIME).answers
    require_that_most_are_answered(again, f"{file.where('teacher', 'ask')}: {spec.source}")
    heard = heard_twice(pilot.answers.join(twice, on="prompt_id", how="semi"), again)
    said = SaidFacts(
        texts=pilot.validation.height,
        asked_twice=heard.height,
        flips=flips(heard, again, file.recipe.data.tolerance),
        failures=failures_of(pilot.answers),
        accuracy=stated.accuracy,
        asking=asking,
        without_rationale=pilot.without_rationale,
        usd_a_prompt=pilot.usd_a_prompt,
        usd_a_prompt_at_most=pilot.usd_at_most(1),
        label_mass=pilot.replies.label_mass,
        observed=pilot.replies.model,
    )
    return making.facts(replace(teacher, pilot=stated).fingerprint, right=right, said=said)
