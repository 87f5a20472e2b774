"""The shadow of the champion: what a challenger would have answered to what was asked since it was offered.

The artifact holds counts alone: no text, no answer, and no caller. What was counted once is added to and not counted
again, since texts expire sooner than a slow recipe sees enough of them.

Agreement with a teacher is not truth. Where the teacher judges and people have said what was right, requests whose
truth has matured are put to both once more and counted by themselves, beside what the teacher said; that binds nobody.

Belongs here: what the summary depends on, and making it.
Does not: the arithmetic (stillhouse/live/shadow.py), what follows from it (orchestration/rollout.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.live import feedback, shadow
from stillhouse.live.columns import columns_sent
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.purposes import Purpose
from stillhouse.live.segments import SECONDS_A_DAY, TRAFFIC, FileKind, TrafficStore, day_at, end_of
from stillhouse.live.shadow import ALL, SEEN_SCHEMA, Draw, Judged, Say, Word
from stillhouse.live.traffic import answers
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.rollout import RolloutSpec
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.records.deployments import Challenger, DeployedRelease, Deployment
from stillhouse.release.bundle import MODEL, task_of_bundle
from stillhouse.release.cascade import LABEL, Rule, cascade_in
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.labels import GivenTexts, Labelled, given_texts, labelled
from stillhouse.stages.live_teacher import ask_live, teacher_behind
from stillhouse.stages.names import SHADOW
from stillhouse.tasks import as_people_read_it

SEEN, TALLY = "seen", "tally"
TRUTH_SEEN, TRUTH_TALLY = "truth_seen", "truth_tally"
"""The same by matured truth, where the teacher judges."""


class BesideTruth(Record):
    """The same two releases, held against what people said where a teacher judges: it is shown and binds nobody."""

    selection: str = Field(
        description="unknown = of callers who chose to give feedback; sample = some that were drawn; complete = all."
    )
    days: tuple[str, ...] = Field(description="Of the requests that are counted.")
    waiting: int = Field(
        description="Days since the offer of which no truth counts: it has not matured, or too little of it came."
    )
    left_out: int = Field(description="Requests with a truth that were not replayed, as of all requests.")
    whole: tuple[str, ...] = Field((), exclude_if=lambda names: not names, description="As of all requests.")
    parts: dict[str, Judged] = Field(description="All requests with a truth, slices and lengths.")


class ShadowFacts(Record):
    """A challenger beside its champion, on what was asked since it was offered."""

    rollout: str = Field(description="The salt of the rollout: what is found counts for no other.")
    mode: Literal["replay", "live"] = Field(
        "replay",
        exclude_if=lambda mode: mode == "replay",  # so that what was replayed is written as it was
        description="Whether requests were replayed, or put to the challenger by servers once they had answered.",
    )
    champion: str = Field(description="Digest of the release that serves.")
    challenger: str = Field(description="Digest of the release that is on its way.")
    judge: str = Field(description="Who says which of two answers is right: teacher or truth.")
    days: tuple[str, ...] = Field(description="Of the requests that are counted.")
    asked: int = Field(description="Different texts that teachers were asked about, this time.")
    left_out: int = Field(description="Requests that were not replayed, since there were more than one look replays.")
    whole: tuple[str, ...] = Field(
        (),
        exclude_if=lambda names: not names,  # so that what was replayed without it is written as it was
        description="Rare slices of which no request of the champion was left out when others were.",
    )
    tolerance: float | None = Field(
        None,
        exclude_if=lambda tolerance: tolerance is None,  # so that a shadow of labels is written as it was
        description="Of answers that are numbers, how far apart two may be that count as one.",
    )
    parts: dict[str, Judged] = Field(description="All requests, slices and lengths.")
    truth: BesideTruth | None = Field(
        None,
        exclude_if=lambda truth: truth is None,  # so that a shadow of which nobody said the truth is written as it was
        description="What people said, where the teacher judges.",
    )
    labelled: Labelled | None = Field(
        None,
        exclude_if=lambda labelled: labelled is None,  # likewise
        description="What people said of texts that they were given because the two answer them otherwise.",
    )

    @property
    def by_truth(self) -> dict[str, Judged] | None:
        """The parts by matured truth, whether it binds or is shown beside the teacher; None where nobody says it."""
        if self.judge == "truth":
            return self.parts
        return None if self.truth is None else self.truth.parts

    @property
    def compared(self) -> str:
        """What was done with requests, in one word."""
        return "replayed" if self.mode == "replay" else "compared"

    @property
    def overall(self) -> Judged:
        """All requests."""
        return self.parts[ALL]

    @property
    def critical(self) -> dict[str, Judged]:
        """The slices that bind."""
        return {name: part for name, part in self.parts.items() if part.critical and name != ALL}


@dataclass(frozen=True)
class Replay:
    """What is put to whom.

    Args:
        file: the recipe.
        builds: with releases, and the teacher's answers.
        store: with what was asked.
        champion: the release that serves.
        challenger: the release that is on its way.
        before: the counts so far, None where there are none of this rollout.
        at: now, in seconds since 1970.
        key: from a purpose to the key by which this installation draws for it.
        beside: whether this is what matured truth says beside a teacher who judges.
    """

    file: RecipeFile
    builds: BuildStore
    store: TrafficStore
    champion: DeployedRelease
    challenger: Challenger
    before: Artifact | None
    at: float
    key: Callable[[Purpose], bytes]
    beside: bool = False

    @classmethod
    def of(
        cls,
        file: RecipeFile,
        builds: BuildStore,
        deployment: Deployment,
        newest: Artifact | None,
        *,
        key: Callable[[Purpose], bytes],
        at: float | None = None,
    ) -> "Replay":
        """The replay that a deployment asks for.

        Args:
            file: the recipe.
            builds: with releases, and the teacher's answers.
            deployment: as it is now.
            newest: the newest artifact of the stage.
            key: from a purpose to the key by which this installation draws for it.
            at: now; by the clock when left out.

        Raises:
            StillhouseError: if it has no challenger.
        """
        challenger = challenger_of(file, deployment)
        assert file.recipe.rollout is not None  # it would have no such stage
        spec, tolerance = file.recipe.rollout.shadow, file.recipe.data.tolerance
        before = newest if _counts_on(newest, challenger.salt, spec.mode, spec.judge_by, tolerance) else None
        store = TrafficStore(builds.home.artifacts, file.name)
        moment = time.time() if at is None else at
        return cls(file, builds, store, deployment.champion, challenger, before, moment, key)

    @property
    def spec(self) -> RolloutSpec:
        """What the recipe says; one that says nothing has no such stage."""
        assert self.file.recipe.rollout is not None
        return self.file.recipe.rollout

    @property
    def kind(self) -> FileKind:
        """Of the files that say what there is to compare."""
        return "shadow" if self.file.recipe.shadow_is_live else "texts"

    @property
    def tolerance(self) -> float | None:
        """How far apart numbers may be that count as one, by the recipe as it is now; None of labels."""
        return self.file.recipe.data.tolerance

    @property
    def judged_by_truth(self) -> bool:
        """Whether feedback says who is right, and not the teacher."""
        return self.beside or self.spec.shadow.judge_by == "truth"

    @cached_property
    def truth_beside(self) -> "Replay | None":
        """The same by what people said, where the teacher judges; None where nobody says anything."""
        traffic = self.file.recipe.traffic
        assert traffic is not None
        if self.judged_by_truth:
            return None
        found = replace(self, beside=True)
        if traffic.feedback == "unknown" and found.counted is None and found.known.is_empty():
            return None
        return found

    @cached_property
    def given(self) -> GivenTexts | None:
        """Texts that people were given because the two answer them otherwise."""
        return given_texts(self.builds, self.file, self.store, self.challenger.salt)

    @cached_property
    def two(self) -> tuple[Say, Say]:
        """What champion and challenger say."""
        return both_say(self.builds, self.champion, self.challenger)

    @property
    def counted(self) -> pl.DataFrame | None:
        """The counts so far, None where there are none."""
        if self.before is None or (self.beside and self.before.facts(ShadowFacts).truth is None):
            return None
        return self.before.frame(TRUTH_TALLY if self.beside else TALLY)

    @property
    def days(self) -> list[str]:
        """Days since the offer; where feedback decides, those all of whose answers have matured and some of it counts.

        The requests of a day are seen once, so one of which too little of the truth came waits until enough of it has.
        """
        first = day_at(self._since)
        days = [day for day in self.store.days() if day >= first]
        if not self.judged_by_truth:
            return days
        deciding = {*self.known["day"]}
        return [day for day in days if day in deciding]

    @property
    def waiting(self) -> int:
        """How many days since the offer have no truth that counts."""
        first, counted = day_at(self._since), {*self.days}
        asked = [day for day in self.store.days() if day >= first and self.store.segments(day, "requests")]
        return sum(day not in counted for day in asked)

    @cached_property
    def known(self) -> pl.DataFrame:
        """Mature answers since the offer whose truth decides; beside a teacher also what whoever cared to has said."""
        traffic, first = self.file.recipe.traffic, day_at(self._since)
        assert traffic is not None
        matures = traffic.matures_after_days * SECONDS_A_DAY
        days = [day for day in self.store.days() if day >= first and end_of(day) + matures <= self.at]
        said = answers(self.store, days, at=self.at, matures_after_days=0)
        if self._records is not None:
            said = self._records.of_these_fields(said, "truth")
        if self.beside and traffic.feedback == "unknown":
            return said.filter(pl.col("truth").is_not_null())
        return feedback.whose_truth_decides(said, traffic, key=self.key(Purpose.TRUTH_IS_ASKED_FOR))

    @property
    def _records(self) -> KeptRecords | None:
        return KeptRecords.of(self.file.recipe.data.record, self.key)

    @property
    def _since(self) -> float:
        return datetime.fromisoformat(self.challenger.offered).timestamp()

    def seen(self) -> pl.DataFrame:
        """What was counted before."""
        if self.before is None or self.counted is None:
            return pl.DataFrame(schema=SEEN_SCHEMA)
        return self.before.frame(TRUTH_SEEN if self.beside else SEEN)

    def due(self) -> pl.DataFrame:
        """Requests that are to be replayed now, or were put to the challenger."""
        where = self.store, self.days, self._since, self.seen()
        return shadow.heard(*where, self.challenger.salt) if self.file.recipe.shadow_is_live else shadow.due(*where)

    def judgeable(self, due: pl.DataFrame) -> pl.DataFrame:
        """Of these, those that somebody can judge: by truth those of which it is known, whatever the two say."""
        if not self.judged_by_truth:
            return due
        return due.join(self.known, on=["replica", "day", "id"], how="semi", maintain_order="left")

    def drawn(self, due: pl.DataFrame) -> Draw:
        """Of these, those that count, with what both releases say."""
        if self.file.recipe.shadow_is_live:  # servers have drawn, each request with the same chance
            return Draw(due.with_columns(plain=pl.lit(True)))
        recipe = self.file.recipe
        drawn = shadow.draw(due, recipe.slices_of_requests, self.champion.release, are_sets=recipe.gives_sets)
        return Draw(shadow.replayed(drawn.rows, *self.two), drawn.whole)

    def right(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, set[str]]:
        """Rows with what callers get and the label that is right, and the texts that teachers were asked."""
        if self.judged_by_truth:
            known = self.known.select("replica", "day", "id", right="truth")
            # Of all rows alike: those that both answer alike need no judge, and would outnumber the others.
            known_rows = rows.join(known, on=["replica", "day", "id"], how="inner", maintain_order="left")
            if self.file.recipe.shadow_is_live:  # callers got it long ago
                return known_rows, set()
            given, asked = self._given(known_rows)
            if self._records is not None:  # which is how what people said is kept
                given = given.with_columns(self._records.kept(given, who) for who in ("champion", "challenger"))
            return given, asked
        given, asked = self._given(rows)
        differing = given.filter(pl.col("champion") != pl.col("challenger"))
        texts = differing["text"].unique(maintain_order=True).to_list()
        return shadow.by_judge(given, self._ask(self.challenger.deployed, texts)), asked | {*texts}

    def _given(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, set[str]]:
        """Rows with what callers get, where a release hands texts on to its teacher, and what those were asked."""
        two = self.champion, self.challenger.deployed
        same = len({teacher_behind(self.builds, each).digest for each in two}) == 1
        champions, challengers = (
            shadow.to_ask(rows, who, same_teacher=same) for who in ("champion", "challenger")
        )  # fmt: skip
        said = self._ask(two[0], champions), self._ask(two[1], challengers)
        given = shadow.with_teachers(rows, *said, same_teacher=same)
        if self._records is not None:  # one of the two may have other fields than the recipe has by now
            given = given.with_columns(self._records.respelled(given[who]) for who in ("champion", "challenger"))
        return given, {*champions, *challengers}

    def _ask(self, release: DeployedRelease, texts: Sequence[str]) -> dict[str, str | None]:
        """What the teacher behind a release says to some texts."""
        if not texts:
            return {}
        teacher = teacher_behind(self.builds, release)
        said = ask_live(self.builds, self.file, teacher, texts, at=self.at)["answer"]
        answers = dict(zip(texts, said, strict=True))
        if not self.file.recipe.gives_records:
            return answers
        task = teacher.facts(TeacherFacts).task
        return {
            text: None if answer is None else as_people_read_it(task, answer, text) for text, answer in answers.items()
        }


def challenger_of(file: RecipeFile, deployment: Deployment) -> Challenger:
    """The release that is on its way.

    Raises:
        StillhouseError: if there is none.
    """
    if deployment.challenger is None:
        raise StillhouseError(
            "no release is on its way to take over", where=f"{file.name}/{SHADOW}", expected="a challenger",
            do=f"`stillhouse run {file.name}` offers the next release that passes its gates.",
        )  # fmt: skip
    return deployment.challenger


def _counts_on(newest: Artifact | None, rollout: str, mode: str, judge: str, tolerance: float | None) -> bool:
    """Whether counts are added to those of an artifact: of one rollout, by rows of one kind, one judge and one rule."""
    if newest is None:
        return False
    facts, counted = newest.manifest.facts, (rollout, mode, judge, tolerance)
    known = (facts.get("rollout"), facts.get("mode", "replay"), facts.get("judge"), facts.get("tolerance"))
    return known == counted


@dataclass(frozen=True)
class _Counted:
    """What one look has found, on top of what was counted before.

    Args:
        tally: the counts.
        seen: up to which row they go.
        asked: texts that teachers were asked, this time.
        left_out: requests that could be judged and were not replayed, this time.
        whole: slices of which none was left out, this time.
    """

    tally: pl.DataFrame
    seen: pl.DataFrame
    asked: set[str]
    left_out: int
    whole: tuple[str, ...]


def _count(replay: Replay) -> _Counted:
    """Compare what is due, and add it to what was counted before."""
    due = replay.due()
    judgeable = replay.judgeable(due)
    drawn = replay.drawn(judgeable)
    rows, asked = replay.right(drawn.rows)
    tolerance = replay.tolerance
    found = shadow.outcomes(rows, tolerance)
    if replay.judged_by_truth:
        found = shadow.with_both_right(found, tolerance)
    recipe = replay.file.recipe
    now = shadow.tallied(found, recipe.slices_of_requests, drawn.whole, are_sets=recipe.gives_sets)
    tally = shadow.added([now] if replay.counted is None else [replay.counted, now])
    seen = shadow.seen_after(replay.seen(), due)
    return _Counted(tally, seen, asked, judgeable.height - drawn.rows.height, drawn.whole)


def plan(replay: Replay) -> Plan[ShadowFacts]:
    """Compare what is due, and add it to what was counted before."""
    recipe, spec, beside, given = replay.file.recipe, replay.spec.shadow, replay.truth_beside, replay.given
    edition = {} if given is None or given.edition is None else {given.name: given.edition}
    slices = recipe.slices_of_requests
    before = None if replay.before is None else replay.before.facts(ShadowFacts)
    segments = [each for day in replay.days for each in replay.store.segments(day, replay.kind)]
    if beside is not None:
        segments += [each for day in replay.store.days() for each in replay.store.segments(day, "feedback")]

    def build(folder: Path) -> ShadowFacts:
        counted = _count(replay)
        counted.seen.write_parquet(folder / f"{SEEN}.parquet")
        counted.tally.write_parquet(folder / f"{TALLY}.parquet")
        truth, asked = None, counted.asked
        if beside is not None:
            by_truth = _count(beside)
            by_truth.seen.write_parquet(folder / f"{TRUTH_SEEN}.parquet")
            by_truth.tally.write_parquet(folder / f"{TRUTH_TALLY}.parquet")
            truth, asked = _beside(beside, by_truth, before), asked | by_truth.asked
        return ShadowFacts(
            rollout=replay.challenger.salt,
            mode=spec.mode,
            champion=replay.champion.release,
            challenger=replay.challenger.deployed.release,
            judge=spec.judge_by,
            days=tuple(replay.days),
            asked=len(asked),
            left_out=counted.left_out + (0 if before is None else before.left_out),
            whole=tuple(sorted({*counted.whole, *(() if before is None else before.whole)})),
            tolerance=replay.tolerance,
            parts=shadow.judged(counted.tally, slices, spec),
            truth=truth,
            labelled=None if given is None else labelled(replay.builds, replay.file, given, *replay.two),
        )

    return Plan(
        build,
        {
            "rollout": replay.challenger.salt,
            "champion": replay.champion.release,
            "challenger": replay.challenger.deployed.release,
            "before": None if replay.before is None else replay.before.digest,
            "segments": [each.digest for each in segments],
            "days": replay.days,
            "slices": [each.model_dump(mode="json") for each in slices],
            **({} if replay.tolerance is None else {"tolerance": replay.tolerance}),
            **({} if beside is None else {"days_of_truth": beside.days}),
            **({} if given is None else {"labels": [given.name, given.edition]}),
        },
        config={"shadow": spec.model_dump(mode="json")},
        external_inputs=edition
        | {
            f"{TRAFFIC}/{replay.store.recipe}/{each.day}/{each.kind}/{each.digest}.parquet": each.digest
            for each in segments
        },
    )


def _beside(replay: Replay, counted: _Counted, shadow_before: ShadowFacts | None) -> BesideTruth:
    traffic, before = replay.file.recipe.traffic, None if shadow_before is None else shadow_before.truth
    assert traffic is not None
    return BesideTruth(
        selection=traffic.feedback,
        days=tuple(sorted({*replay.days, *(() if before is None else before.days)})),
        waiting=replay.waiting,
        left_out=counted.left_out + (0 if before is None else before.left_out),
        whole=tuple(sorted({*counted.whole, *(() if before is None else before.whole)})),
        parts=shadow.judged(counted.tally, replay.file.recipe.slices_of_requests, replay.spec.shadow),
    )


def both_say(builds: BuildStore, champion: DeployedRelease, challenger: Challenger) -> tuple[Say, Say]:
    """What a champion and its challenger say."""
    return _says(builds, champion), _says(builds, challenger.deployed)


def _says(builds: BuildStore, release: DeployedRelease) -> Say:
    """Ask a release as a server does: each text by itself, since int8 lets an answer depend on its neighbours."""
    folder = builds.artifact(release.release, release.manifest).folder
    model, cascade = OnnxClassifier(folder / MODEL), cascade_in(folder)
    rule = None if cascade is None else cascade.rule
    task = task_of_bundle(folder, model.labels)

    @cache  # a text that was asked with several columns is one question to the student
    def student(text: str) -> tuple[str, float | None]:
        logits = model.logits([text])
        (answer,) = task.written(task.answers(logits))
        sure = None if rule is None else task.confidence(logits, model.temperature)
        return as_people_read_it(task, answer, text), None if sure is None else float(sure[0])

    def say(text: str, kept: str | None) -> Word:
        label, sure = student(text)
        return Word(label, rule is not None and sure is not None and _hands_on(rule, label, sure, kept))

    return say


def _hands_on(rule: Rule, label: str, sure: float, kept: str | None) -> bool:
    """Whether a release hands a text on, as far as that is known of one that is replayed.

    Where nothing of what its caller sent was to be kept, slices by it are protected in neither release.
    """
    sent = columns_sent(kept)
    if sent is None:
        of_classes = tuple(each for each in rule.protected if each.column == LABEL)
        rule, sent = rule.model_copy(update={"protected": of_classes}), {}
    return rule.hands_on(label, sure, sent) is not None
