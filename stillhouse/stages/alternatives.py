"""Cheaper models that might be asked instead of a teacher behind an API, on the golden rows.

Belongs here: asking them, and what they cost. Does not: making calls (stillhouse/teachers/endpoint.py), judging what
they said (bench.py), the other options (baselines.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.hosted import hosted
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.asking import call_log, teacher_of
from stillhouse.stages.bench import Bench
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.pilot import MOST_REFUSED, pilot_of, require_that_it_fits
from stillhouse.students.examples import labelled_rows
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.requests import asking_of_alternative
from stillhouse.teachers.stored import Failure

_ABOVE_CHANCE = 0.01


@dataclass(frozen=True)
class AskedAlternative:
    """What an alternative said, and which texts its server turned away: these are asked again by the next run.

    Args:
        if_wrong: the model with each golden row that was turned away counted as a wrong answer.
        if_right: the same with each counted as a right one.
        turned_away: golden rows without an answer for this reason.
        waiting: prompts that a reply is missing to, validation rows included, sorted.
    """

    if_wrong: EvaluatedModel
    if_right: EvaluatedModel
    turned_away: int
    waiting: tuple[str, ...]


def depends_on(file: RecipeFile, bench: Bench, asked: Sequence[AskedAlternative]) -> dict[str, Any]:
    """What the answers of alternatives, and their price, depend on beside the golden rows; nothing without any.

    Where texts were turned away, which ones those are is a part of it, so that an answer to one is judged.
    """
    endpoint, specs = file.recipe.teacher.endpoint, file.recipe.teacher.alternatives
    if not specs or endpoint is None:
        return {}
    priced = []
    for index, each in enumerate(specs):
        digest = asking_of_alternative(file, index, bench.task.names).digest
        priced.append([each.called, digest, each.usd_per_million_in, each.usd_per_million_out, endpoint.concurrency])
    waiting = {each.if_wrong.name: each.waiting for each in asked if each.waiting}
    return {"alternatives": priced, **({"asked_again_of_alternatives": waiting} if waiting else {})}


def asked_alternatives(file: RecipeFile, bench: Bench) -> Iterator[AskedAlternative]:
    """Ask each alternative the validation rows, and then, where the cap leaves enough for all, the golden rows.

    Whatever has a reply is not asked again, so that asking before an artifact is looked for costs nothing.

    Args:
        file: the recipe.
        bench: golden rows and teacher.

    Raises:
        StillhouseError: if a server refuses for good or most texts, the cap is reached, or nothing was timed.
    """
    spec, calls = file.recipe.teacher, call_log(bench.builds.home)
    if not spec.alternatives:
        return
    known = labelled_rows(bench.prompts.frame("prompts"))
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
        if own:
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
        turned_away = answers.filter(pl.col("failure") == Failure.TURNED_AWAY)
        if turned_away.height > MOST_REFUSED * golden.height:
            raise StillhouseError(
                f"the server turned away {turned_away.height:,} of {golden.height:,} golden rows",
                where=f"{where}: {instead.url}",
                expected="an answer to nearly all of them",
                do="Look at the server's own log, and run again: only these are asked again.",
            )
        heard = answers.join(turned_away, on="prompt_id", how="anti", maintain_order="left")
        answered = heard.filter(pl.col("failure").is_null())
        silent, untimed = heard.height - answered.height, answered["latency_ms"].null_count()
        if_wrong = EvaluatedModel(
            each.called,
            ModelKind.BASELINE,
            bench.with_answers(answers, right=False),
            None,
            note=f"{each.model} at {'a server of its own' if each.source else 'the server of the teacher'}"
            + (f"; {silent:,} golden rows without an answer count as wrong" if silent else "")
            + (_is_asked_again(turned_away.height) if turned_away.height else "")
            + (f"; timed on {answered.height - untimed:,} golden rows, the others came in a batch" if untimed else ""),
            hosted=hosted(
                instead.costs(_to(replies, heard), golden),
                timed((heard if answered.is_empty() else answered)["latency_ms"], where),
                teacher_usd=said.usd_a_prompt,
                calls_at_once=limits.concurrency,
                observed=replies.model,
            ),
        )
        of_turned_away = bench.with_answers(turned_away, right=True)
        outputs = pl.concat([bench.with_answers(heard, right=False), of_turned_away])
        yield AskedAlternative(
            if_wrong,
            replace(if_wrong, outputs=outputs),
            turned_away.height,
            tuple(sorted({*_not_answered(pilot.replies), *_not_answered(replies)})),
        )


def _is_asked_again(rows: int) -> str:
    return (
        f"; its server turned away {rows:,} golden rows, which the figures count as wrong and the next run asks again"
    )


def _to(replies: Replies, prompts: pl.DataFrame) -> Replies:
    """The replies to some prompts."""
    return replace(replies, said={name: replies.said[name] for name in prompts["prompt_id"]})


def _not_answered(replies: Replies) -> Iterator[str]:
    """The prompts to which at least one reply is missing."""
    return (name for name, each in replies.said.items() if any(one.failure == Failure.TURNED_AWAY for one in each))


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
