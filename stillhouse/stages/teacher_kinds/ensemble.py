"""Several teachers that answer together, each made as the teacher that it would be alone.

Belongs here: making them beside each other, and measuring them together.
Does not: how answers become one (stillhouse/teachers/ensemble.py), the kinds of its members.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from stillhouse.records.builds import Plan
from stillhouse.stages.asking import Made, call_log, member_of
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import MEMBERS
from stillhouse.stages.pilot import require_that_it_fits
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.teachers.answers import outputs_for
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.ensemble import EnsembleTeacher, Member
from stillhouse.teachers.signal import signal_store


def plan(making: Making, plan_of: Callable[[Making], Plan[TeacherFacts]]) -> Plan[TeacherFacts]:
    """Make each member, and ask them together.

    Args:
        making: what they are made from.
        plan_of: plans a teacher of any kind.
    """
    spec = making.file.recipe.teacher.ensemble
    assert spec is not None
    plans = {name: plan_of(making.of_member(name)) for name in spec.members}
    files = {address: digest for each in plans.values() for address, digest in each.external_inputs.items()}
    return making.plan(
        partial(_build, making, plans, files),
        depends_on={"members": {name: dict(each.depends_on) for name, each in plans.items()}},
        seeds={f"{what} of {name}": seed for name, each in plans.items() for what, seed in each.seeds.items()},
        external_inputs=files,
        combine=spec.combine.value,
        members={name: dict(each.config) for name, each in plans.items()},
    )


def _build(
    making: Making, plans: Mapping[str, Plan[TeacherFacts]], files: Mapping[str, str], folder: Path
) -> TeacherFacts:
    from stillhouse.models.temperature_scaling import temperature_of

    spec, task, builds = making.file.recipe.teacher, making.task, making.builds
    assert spec.ensemble is not None
    made: dict[str, Made] = {}
    for name, each in plans.items():
        place = folder / MEMBERS / name
        place.mkdir(parents=True)
        made[name] = Made(place, each.build(place), spec.members[name], files, making.file.name)
    members = {name: member_of(each, builds) for name, each in made.items()}
    facts = {name: each.facts for name, each in made.items()}
    _require_that_all_fit(making, members, facts)
    teacher = EnsembleTeacher(list(members.values()), spec.ensemble.combine, task, signal_store(builds))
    with builds.one_heavy_task():  # of servers the replies are in the log
        answers = teacher.ask(making.validation)
    answered = making.validation.with_columns(answers["logits"], answers["failure"]).filter(pl.col("failure").is_null())
    outputs, targets = outputs_for(answered, task), task.targets(answered["label"])
    return making.facts(
        teacher.fingerprint,
        right=int(task.right(outputs, targets).sum()),
        # Where nobody has answered there is nothing to be sure of, and the gate on accuracy says so.
        temperature=temperature_of(task, outputs, targets) if answered.height else 1.0,
        members=facts,
    )


def _require_that_all_fit(making: Making, members: Mapping[str, Member], facts: Mapping[str, TeacherFacts]) -> None:
    """Servers that fit the cap one by one may not fit it together."""
    servers, unasked, expected = making.file.recipe.teacher.servers, 0.0, 0.0
    if not servers:
        return
    for name in servers:
        teacher, said = members[name].teacher, facts[name].said
        assert isinstance(teacher, EndpointTeacher) and said is not None and said.usd_a_prompt_at_most is not None
        own = teacher.unasked(making.prompts)
        unasked, expected = unasked + own, expected + own * said.usd_a_prompt_at_most
    first, spec = next(iter(servers.items()))  # they share one cap
    assert spec.endpoint is not None
    spent = call_log(making.home).spent(making.file.name)
    require_that_it_fits(making.file.of_member(first), spec.endpoint, prompts=unasked, expected=expected, spent=spent)
