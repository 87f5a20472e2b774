"""What is wrong with a recipe, found before anything is made of it.

Belongs here: what needs the gates, Dagster's rules, the rows, or the folder of the teacher's weights.
Does not: the fields and the rules between them (stillhouse/recipe/), whether the rows are good enough (checks/).

Mistakes are collected and not raised: whoever corrects a recipe wants to see all of them at one time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from checks.stages import gates_of
from stillhouse.base import Record
from stillhouse.data.declared_labels import unknown_classes
from stillhouse.data.golden_file import read_golden_file
from stillhouse.data.outside import drop_folder_entries
from stillhouse.data.prompt_set import base_prompt_set
from stillhouse.data.provenance import with_provenance
from stillhouse.data.table import UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.live.slices import slices_of
from stillhouse.models.fitting import unfit
from stillhouse.models.pretrained import config_on_the_hub, resolve_model
from stillhouse.models.weights import fingerprint_of, read_encoder_config, read_language_model_config
from stillhouse.recipe.events import Startable
from stillhouse.recipe.reading import RecipeFile, Recipes, mistakes_of
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.gate_names import gate_name
from stillhouse.stages.live_reference import terms_of
from stillhouse.stages.names import stage_names
from stillhouse.stages.source import read_source
from stillhouse.tasks import label_names
from stillhouse.teachers.causal_lm import label_prompt_of
from stillhouse.teachers.classifier import has_sigmoid, outputs_in_order
from stillhouse.teachers.requests import asking_of, asking_of_alternative
from stillhouse.teachers.stored_answers import read_answers

_NO_COLUMN = "\0"
"""A name that no column has, so that reading ends with the header."""


class Checked(Record):
    """What is wrong with recipes, and what may be meant otherwise."""

    mistakes: dict[str, tuple[str, ...]] = Field(description="Lines by recipe; none where nothing is wrong.")
    advice: dict[str, tuple[str, ...]] = Field(description="Lines by recipe that are not mistakes; it can be run so.")

    @property
    def all_is_well(self) -> bool:
        """Whether there is no mistake in any recipe."""
        return not any(self.mistakes.values())


def check(recipes: Recipes) -> Checked:
    """Look for mistakes in every recipe of a folder; nothing is trained or kept.

    Args:
        recipes: those that can be read, and those that cannot.
    """
    found = {file.name: _mistakes(file) for file in recipes.files}
    unreadable = {recipe.name: recipe.mistakes for recipe in recipes.unreadable}
    advice = {file.name: tuple(_advice(file)) for file in recipes.files}
    return Checked(mistakes=dict(sorted({**found, **unreadable}.items())), advice=dict(sorted(advice.items())))


def _mistakes(file: RecipeFile) -> tuple[str, ...]:
    of_rows, classes = _row_mistakes(file)
    return (*load_mistakes(file), *of_rows, *_teacher_mistakes(file, classes))


def _advice(file: RecipeFile) -> Iterator[str]:
    """What may be meant otherwise, and keeps nobody from running it."""
    recipe = file.recipe
    if recipe.watch is None or recipe.traffic is None:
        return
    terms, finds = terms_of(file), list[Startable]()
    if terms.asks or terms.truth_binds:
        finds += ["agreement", "weak_slice"] if slices_of(recipe) else ["agreement"]
    if recipe.cascade is not None or recipe.watch.fallback_share is not None:
        finds.append("fallback")
    if finds and not {*finds} & {*recipe.refresh.start}:
        yield _line(
            file, "refresh", "start",
            what="no round starts by what the watch finds",
            expected=f"{' or '.join(finds)}, where a round is to start by itself",
            do=f"Write `start: [{', '.join(finds)}]` below `refresh`, or start rounds by hand.",
        )  # fmt: skip


def load_mistakes(file: RecipeFile) -> tuple[str, ...]:
    """What keeps Dagster from loading a recipe; the rows and the teacher are not looked at."""
    recipe = file.recipe
    known = {name for stage in stage_names(recipe) for name in gates_of(stage).names(blocking=True)}
    found = [
        _line(
            file, "unwaivable", place,
            what=f"there is no gate {name!r}",
            expected="the name of a blocking gate",
            do=f"`stillhouse checklist {file.name}` lists them.",
        )
        for place, name in enumerate(recipe.unwaivable)
        if gate_name(name) not in known
    ]  # fmt: skip
    if _refused(partial(dg.ScheduleDefinition, name="any", job_name="any", cron_schedule=recipe.refresh.cron)):
        found.append(
            _line(
                file, "refresh", "cron",
                what=f"{recipe.refresh.cron!r} is not a cron line",
                expected="five fields: minute, hour, day of the month, month, day of the week",
                do='"0 3 * * 1" is each Monday at three in the morning, UTC.',
            )
        )  # fmt: skip
    # Not a rule of the contract: what is frozen of a recipe, and validated again, has no traffic.
    if recipe.watch is not None and recipe.traffic is None:
        found.append(
            _line(
                file, "watch",
                what="there is no traffic to watch",
                expected="`traffic:`, whose rows it reads",
                do="Add `traffic: {}`, or leave `watch` out.",
            )
        )  # fmt: skip
    if recipe.data.traffic_is_live and recipe.traffic is None:
        found.append(
            _line(
                file, "data", "traffic",
                what="there is no live traffic to hold rows against",
                expected="`traffic:`, which has servers keep what they answer, or the file of a sample",
                do="Add `traffic: {}`, or name a file.",
            )
        )  # fmt: skip
    found += [
        _line(
            file, "owners", place,
            what=f"{owner!r} cannot own an asset",
            expected="an e-mail address, or team:<name> with letters, digits and underscores",
            do="Correct it.",
        )
        for place, owner in enumerate(recipe.owners)
        if _refused(partial(dg.AssetSpec, "any", owners=[owner]))
    ]  # fmt: skip
    return (*found, *_rollout_mistakes(file))


def _rollout_mistakes(file: RecipeFile) -> Iterator[str]:
    """What a rollout asks of the part `traffic`, which is no part of the contract and not shipped with it."""
    recipe, rollout, traffic = file.recipe, file.recipe.rollout, file.recipe.traffic
    if rollout is None:
        return
    if traffic is None and recipe.shadow_is_live:
        yield _line(
            file, "rollout", "shadow", "mode",
            what="there is no traffic log to keep what a release answers in the shadow",
            expected="`traffic:`, with feedback of all answers or of a sample; it need keep no text",
            do="Add `traffic: {keep_texts: false, feedback: sample}`.",
        )  # fmt: skip
    elif traffic is None or not (recipe.keeps_texts or recipe.shadow_is_live):
        yield _line(
            file, "rollout",
            what="no texts of requests are kept that could be put to a release again",
            expected="`traffic` with keep_texts and text_days, and rows whose privacy class is public or internal; or "
            "`shadow: {mode: live, judge_by: truth}`, which needs none",
            do="Keep them, have servers ask the release (`mode: live`), or leave the part out: a release then serves "
            "as soon as it has passed its gates.",
        )  # fmt: skip
    elif rollout.shadow.judge_by == "truth" and traffic.feedback == "unknown":
        yield _line(
            file, "rollout", "shadow", "judge_by",
            what="those who care to say what was right are not a sample",
            expected="feedback of all answers, or of a sample" if recipe.shadow_is_live
            else "teacher where traffic.feedback is unknown",
            do="Say in traffic.feedback that feedback comes for all answers, or for a sample"
            + ("." if recipe.shadow_is_live else "; or write teacher."),
        )  # fmt: skip
    elif (
        rollout.shadow.judge_by == "truth"
        and not recipe.shadow_is_live
        and traffic.matures_after_days >= traffic.text_days
    ):
        yield _line(
            file, "rollout", "shadow", "judge_by",
            what=f"feedback matures in {traffic.matures_after_days} days, and texts are kept for {traffic.text_days}",
            expected="teacher, or texts that are kept for longer",
            do="Write teacher, or raise traffic.text_days.",
        )  # fmt: skip
    if rollout.shadow.judge_by == "truth" and traffic is not None:
        yield from _no_truth_in_time(file, rollout.shadow.days_at_most, traffic.matures_after_days)


def _no_truth_in_time(file: RecipeFile, days_at_most: float, matures_after_days: int) -> Iterator[str]:
    """A shadow that is over before the answers of its first day have matured, which is a day of UTC and counts whole.

    It would end with nothing judged, whatever was asked: each release would be held until a person decides.
    """
    needed = matures_after_days + 1
    if days_at_most < needed:
        yield _line(
            file, "rollout", "shadow", "days_at_most",
            what=f"the shadow is over after {days_at_most:g} days, and the truth of its first day is there after "
            f"{needed:g}: that is matures_after_days, {matures_after_days}, after the day has ended",
            expected=f"at least {needed:g} where judge_by is truth",
            do=f"Write `days_at_most: {needed:g}` or more, or lower traffic.matures_after_days.",
        )  # fmt: skip


def _refused(define: Callable[[], object]) -> bool:
    """Whether Dagster refuses a definition; its own rule is asked, since another version may have another."""
    try:
        define()
    except dg.DagsterInvalidDefinitionError:
        return True
    return False


def _row_mistakes(file: RecipeFile) -> tuple[tuple[str, ...], list[str]]:
    """Columns and classes that the rows do not have, and a drop folder that is not there; and the classes they have."""
    found: list[str] = []
    classes: list[str] = []
    if file.recipe.data.drop_folder is not None:
        with _collected(found, file.where("data", "drop_folder")):
            drop_folder_entries(file.located(file.recipe.data.drop_folder))
    read: list[pl.DataFrame] = []
    unread: list[str] = []
    try:
        read.append(read_source(file).rows)
    except StillhouseError as error:
        if isinstance(error.__cause__, UnknownColumnError):
            unread += _unknown_columns(file)
        else:
            unread += _with_line(file.where("data", "source"), error)
    if file.recipe.data.golden is not None:
        with _collected(unread, file.where("data", "golden")):
            read.append(read_golden_file(file).rows)
    if unread:
        return (*found, *unread), []
    rows = pl.concat(read, how="diagonal")
    with _collected(found, file.where("data")):
        traced = with_provenance(rows, file.recipe.data.provenance).rows
        prompts = base_prompt_set(traced, file.recipe, where=file.where(*file.recipe.data.names_the_labels)).prompts
        found += [
            _line(file, *unknown.field, what=unknown.what, expected=f"one of {unknown.there_are}", do=unknown.hint)
            for unknown in unknown_classes(file.recipe, prompts["label"].drop_nulls().unique())
        ]
        classes = [*label_names(file.recipe.data.answer, prompts["label"])]
    return tuple(found), classes


def _unknown_columns(file: RecipeFile) -> Iterator[str]:
    """A line for each column that is not there; each is asked for in place of the text, which is looked for first."""
    recipe = file.recipe
    for column in dict.fromkeys((recipe.data.text, recipe.data.query, recipe.data.label, *recipe.kept_columns)):
        if column is None:
            continue
        data = recipe.data.model_copy(update={"text": column, "query": None, "label": _NO_COLUMN})
        try:
            read_source(replace(file, recipe=recipe.model_copy(update={"data": data})))
        except StillhouseError as error:
            missing = error.__cause__
            if isinstance(missing, UnknownColumnError) and missing.column == column:
                yield from _with_line(file.where(*recipe.field_naming(column)), missing)


def _teacher_mistakes(file: RecipeFile, classes: Sequence[str]) -> tuple[str, ...]:
    """Weights that are not there or not the pinned ones, layers that they do not have, outputs that no row has."""
    teacher, part = file.recipe.teacher, file.recipe.part_of_weights
    found: list[str] = []
    with _collected(found, file.where(part, "source")):
        folder = _folder_of(file, part, found)
        found += _unfit(file, part, read_encoder_config(folder))
        found += _unknown_outputs(file, folder, classes)
    for each in file.by_member.values():
        found += _member_mistakes(each, classes)
    for number in range(len(teacher.alternatives)):
        with _collected(found, file.where("teacher", "alternatives", number)):
            asking_of_alternative(file, number, classes)
    return tuple(found)


def _member_mistakes(file: RecipeFile, classes: Sequence[str]) -> list[str]:
    """What cannot be of the one teacher, or of a member of an ensemble, see `RecipeFile.by_member`."""
    teacher, found = file.recipe.teacher, list[str]()
    with _collected(found, file.where("teacher", "source")):
        if teacher.kind is TeacherKind.STORED:
            read_answers(file)
        elif teacher.kind is TeacherKind.CAUSAL_LM:
            config = read_language_model_config(_folder_of(file, "teacher", found))
            found += _unfit(file, "teacher", config)
        elif teacher.runs_here and file.member:  # of the one teacher these are the weights that students are cut from
            folder = _folder_of(file, "teacher", found)
            found += _unfit(file, "teacher", read_encoder_config(folder))
            found += _unknown_outputs(file, folder, classes)
    if teacher.kind is TeacherKind.CAUSAL_LM:
        with _collected(found, file.where("teacher", "causal_lm")):
            label_prompt_of(file, classes, weights="")
    if teacher.ask is not None:
        with _collected(found, file.where("teacher", "ask")):
            asking_of(file, classes)
    return found


def _unknown_outputs(file: RecipeFile, folder: Path, classes: Sequence[str]) -> list[str]:
    """Outputs of a teacher that is a classifier which no row has."""
    found: list[str] = []
    if file.recipe.teacher.kind is TeacherKind.CLASSIFIER and classes:
        with _collected(found, file.where("teacher", "rename")):
            outputs_in_order(folder, classes, file.recipe.teacher.rename, file.recipe.data.answer)
            if file.recipe.gives_numbers:
                has_sigmoid(folder)
    return found


def _folder_of(file: RecipeFile, part: str, found: list[str]) -> Path:
    """The folder of the weights that a part of the recipe names; what they are not is added to the mistakes found."""
    weights = file.recipe.all_weights[part]
    if weights.source.startswith("hf://"):
        return config_on_the_hub(weights.source, weights.revision)
    folder = resolve_model(file.located(weights.source), weights.revision)
    found += _other_weights(file, part, folder)
    return folder


def _other_weights(file: RecipeFile, part: str, folder: Path) -> list[str]:
    pinned, fingerprint = file.recipe.all_weights[part].fingerprint, fingerprint_of(folder)
    if pinned in (None, fingerprint):
        return []
    return [
        _line(
            file, part, "fingerprint",
            what=f"the weights are {fingerprint[:12]} and not {str(pinned)[:12]}",
            expected="the weights that were pinned",
            do=f"Put them back, or accept these: fingerprint: {fingerprint}",
        )
    ]  # fmt: skip


def _unfit(file: RecipeFile, part: str, config: dict[str, Any]) -> list[str]:
    """What the recipe asks of the weights that one of its parts names and they cannot be or do."""
    return [mistakes_of(each)[0] for each in unfit(file, part, config)]


@contextmanager
def _collected(found: list[str], where: str) -> Iterator[None]:
    """Add what is wrong in the block to the mistakes found."""
    try:
        yield
    except StillhouseError as error:
        found += _with_line(where, error)


def _with_line(where: str, error: StillhouseError) -> list[str]:
    """What an error says, behind the line of the recipe, which some errors name themselves."""
    return [line if line.startswith(where) else f"{where}: {line}" for line in mistakes_of(error)]


def _line(file: RecipeFile, *field: str | int, what: str, expected: str, do: str) -> str:
    return mistakes_of(StillhouseError(what, where=file.where(*field), expected=expected, do=do))[0]
