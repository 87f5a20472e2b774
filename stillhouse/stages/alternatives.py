"""Cheaper models that might be asked instead of a teacher behind an API, on the golden rows.

Belongs here: asking them, and what they cost. Does not: making calls (stillhouse/teachers/endpoint.py), judging what
they said (bench.py), the other options (baselines.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.hosted import hosted
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.asking import call_log, teacher_of
from stillhouse.stages.bench import Bench
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.pilot import pilot_of, require_that_it_fits
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.requests import asking_of_alternative

_ABOVE_CHANCE = 0.01


def depends_on(file: RecipeFile, bench: Bench) -> dict[str, Any]:
    """What the answers of alternatives, and their price, depend on beside the golden rows; nothing without any."""
    endpoint, specs = file.recipe.teacher.endpoint, file.recipe.teacher.alternatives
    if not specs or endpoint is None:
        return {}
    asked = []
    for index, each in enumerate(specs):
        digest = asking_of_alternative(file, index, bench.task.names).digest
        asked.append([each.called, digest, each.usd_per_million_in, each.usd_per_million_out, endpoint.concurrency])
    return {"alternatives": asked}


def asked_alternatives(file: RecipeFile, bench: Bench, known: pl.DataFrame) -> Iterator[EvaluatedModel]:
    """Ask each alternative the validation rows, and then, where the cap leaves enough for all, the golden rows.

    Args:
        file: the recipe.
        bench: golden rows and teacher.
        known: labelled rows with their `split`.

    Raises:
        StillhouseError: if a server refuses for good or most texts, the cap is reached, or nothing was timed.
    """
    spec, calls = file.recipe.teacher, call_log(bench.builds.home)
    if not spec.alternatives:
        return
    teacher, said = teacher_of(bench.teacher, spec, bench.builds), bench.teacher.facts(TeacherFacts).said
    assert isinstance(teacher, EndpointTeacher) and spec.endpoint is not None
    assert said is not None and said.usd_a_prompt is not None
    bulk, golden = (each.select("prompt_id", "text") for each in (bench.prompts.frame("prompts"), bench.golden))
    for index, each in enumerate(spec.alternatives):
        limits, asking = each.limits(spec.endpoint), asking_of_alternative(file, index, bench.task.names)
        instead = EndpointTeacher(each.source or spec.source, limits, asking, file.name, calls, bench.task)
        where = file.where("teacher", "alternatives", index)
        pilot = pilot_of(instead, known, where)
        own, of_teacher = instead.unasked(golden), teacher.unasked(bulk)
        require_that_it_fits(
            file,
            spec.endpoint,
            prompts=own + of_teacher,
            expected=pilot.usd_at_most(own) + of_teacher * said.usd_a_prompt,
            spent=calls.spent(file.name),
        )
        stated, _ = pilot.measured
        # Its answer stays the likeliest however poor it is; of a teacher minimum_accuracy sees to that.
        worth = max(stated.accuracy, 1 / len(bench.task.names) + _ABOVE_CHANCE)
        instead = replace(instead, pilot=replace(stated, accuracy=worth))
        replies = instead.replies(golden)
        answers = instead.answers(replies, golden)
        answered = answers.filter(pl.col("failure").is_null())
        silent, untimed = answers.height - answered.height, answered["latency_ms"].null_count()
        yield EvaluatedModel(
            each.called,
            ModelKind.BASELINE,
            bench.with_answers(answers, right=False),
            None,
            note=f"{each.model} at {'a server of its own' if each.source else 'the server of the teacher'}"
            + (f"; {silent:,} golden rows without an answer count as wrong" if silent else "")
            + (f"; timed on {answered.height - untimed:,} golden rows, the others came in a batch" if untimed else ""),
            hosted=hosted(
                instead.costs(replies, golden),
                timed((answers if answered.is_empty() else answered)["latency_ms"], where),
                teacher_usd=said.usd_a_prompt,
                calls_at_once=limits.concurrency,
                observed=replies.model,
            ),
        )


def timed(milliseconds: pl.Series, where: str) -> list[float]:
    """How long answers took, as far as they came by calls.

    Args:
        milliseconds: of each answer; null of one that came in a batch.
        where: names the part of the recipe that says what is asked.

    Raises:
        StillhouseError: if none came by a call.
    """
    found: list[float] = milliseconds.drop_nulls().to_list()
    if not found:
        raise StillhouseError(
            "all that this model has said came in a batch of a teacher, so nobody knows how long it takes to answer",
            where=where,
            expected="answers to calls",
            do="Give the alternative a `revision` of its own: then it is asked.",
        )
    return found
