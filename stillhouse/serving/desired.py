"""From what the ledger says should serve to what does: looked at every second, changed as one reference.

Belongs here: following the ledger, what is remembered on disk for a start without it.
Does not: deciding what should serve (records/deployments.py), loading a release (loaded.py).

Everything here happens beside the event loop, in one thread: a ledger that is locked or far away, and a model that is
being loaded, hold up no request. Whatever fails, what serves goes on serving.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from stillhouse.base import Record
from stillhouse.digests import digest_of_folder
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.live.memory import MemoryLimits
from stillhouse.recipe.serving import ServingSpec
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import Challenger, DeployedRelease, Quarantine, Stage, desired, is_loaded
from stillhouse.records.looks import LookKind, last_looks
from stillhouse.records.outbox import Outbox
from stillhouse.records.replicas import Heartbeat, beat, now
from stillhouse.release.cascade import TeacherOnCall
from stillhouse.serving.answer import Serving
from stillhouse.serving.breaker import ChallengerBreaker
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.memory import HeldMemory, resident_mb
from stillhouse.serving.routing import ServedChallenger, Taken
from stillhouse.serving.tokens import Tokens

if TYPE_CHECKING:
    from stillhouse.serving.teacher import ServingTeacher

LOG = logging.getLogger("stillhouse.serving")

EVERY_SECONDS = 1.0
TRY_AGAIN_SECONDS = 30.0
"""After which a deployment that could not be served is tried again: its bundle may have been restored."""

HEARTBEAT_SECONDS = 10.0
_LEDGER_IS_AWAY = (StillhouseError, SQLAlchemyError, OSError)


class Applied(Record):
    """What was served last, as it is remembered on disk."""

    deployment: int
    at: str
    champion: DeployedRelease
    challenger: Challenger | None = None
    quarantine: tuple[Quarantine, ...] = ()


@dataclass(frozen=True)
class Daemon:
    """What the ledger's database says of the daemon, which Dagster itself notices no end of.

    Args:
        looks: when it last looked, by what it looks at; without what it never did.
        unsent_since: since when the oldest notice waits; None where none does.
    """

    looks: Mapping[LookKind, datetime]
    unsent_since: datetime | None


@dataclass
class Slot:
    """What one recipe is served by, in one process.

    Args:
        name: of the recipe.
        limits: what is taken at most.
        serving: what answers; None while there is nothing to serve.
        keep_warm: how many earlier champions are kept loaded, so that going back to one takes no time.
        previous: these, the newest first.
        waiting: requests that have been read and are not answered yet.
        refused: number of the deployment that should serve and cannot, None where there is none; it was last tried at
            `tried`, by the monotonic clock.
        why: what is in its way.
        lacks: what cannot be loaded of the deployment that serves: a challenger, or who answers in the place of the
            champion; empty where all of it serves. That was last tried at `tried`, too.
        ledger_seen: when the ledger last answered, by the monotonic clock; None where it never did.
        open_teacher: gives the teacher that a release with a cascade names; None where none is asked here.
        teachers: those of the releases that are warm, by the digest of their artifact.
        notify: whom the recipe has notices sent to.
        feedback_share: of the answers, those whose truth is asked for; None where nothing is drawn.
        shadow_share: of the answers, those after which a challenger in the shadow is asked, too; None where it is not.
        memory: that the process may hold, as the recipe has it.
        watched: whether somebody has to look at its live answers; of one that is watched no more, old looks stay.
        daemon: what was last heard of the daemon that looks after the recipe; None where nothing was yet.
    """

    name: str
    limits: ServingSpec
    serving: Serving | None = None
    keep_warm: int = 1
    previous: tuple[LoadedRelease, ...] = ()
    waiting: int = 0
    refused: int | None = None
    why: str = ""
    lacks: str = ""
    tried: float = 0.0
    ledger_seen: float | None = None
    open_teacher: "Callable[[TeacherOnCall], ServingTeacher] | None" = None
    teachers: "dict[str, ServingTeacher]" = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    watched: bool = False
    feedback_share: float | None = None
    shadow_share: float | None = None
    memory: MemoryLimits = field(default_factory=MemoryLimits)
    daemon: Daemon | None = None

    @property
    def warm(self) -> list[LoadedRelease]:
        """The releases that are loaded."""
        serving = self.serving
        if serving is None:
            return [*self.previous]
        challenger = [] if serving.challenger is None else [serving.challenger.release]
        instead = [each.instead for each in serving.taken if each.instead is not None]
        return [serving.champion, *challenger, *instead, *self.previous]

    @property
    def memory_mb_at_most(self) -> float | None:
        """That the process may hold under what it serves now; None without a limit."""
        return self.memory.at(with_challenger=self.serving is not None and self.serving.with_challenger)

    @property
    def ledger_age(self) -> float:
        """Seconds since the ledger last answered; NaN where it never did."""
        return float("nan") if self.ledger_seen is None else time.monotonic() - self.ledger_seen


class Follower:
    """Has the slots of a process serve what the ledger says.

    Args:
        builds: with ledger and artifacts.
        slots: what is served, by recipe.
        tokens: looked at as well, so that one that was revoked soon counts no more.
        replica: name of this process among the servers of the installation.
    """

    def __init__(self, builds: BuildStore, slots: Mapping[str, Slot], tokens: Tokens, replica: str) -> None:
        self._builds, self._slots, self._tokens = builds, slots, tokens
        self._replica = replica
        self._troubles: dict[str, str] = {}
        self._unwritten: dict[str, Applied] = {}
        self._found_no_room: set[str] = set()
        self._said: dict[str, tuple[Serving | None, int | None, float]] = {}
        self._held = {name: HeldMemory() for name in slots}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follows the ledger", daemon=True)

    def start(self) -> None:
        """Look now, and from now on every second, until `stop`."""
        if resident_mb() is None:
            LOG.warning("this system does not say how much memory a process holds: it is not reported, and not watched")
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that is under way is waited for a moment."""
        self._end.set()
        if self._thread.is_alive():  # it is not where the process is ended while it looks for the first time
            self._thread.join(timeout=5)
        for slot in self._slots.values():
            for teacher in slot.teachers.values():
                teacher.close()

    def _follow(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once at every recipe, and at the tokens."""
        try:
            self._tokens.refresh()
        except (StillhouseError, OSError) as error:
            LOG.error("tokens: %s", error)
        for slot in self._slots.values():
            try:
                self._look_at(slot)
            except Exception as error:  # a follower that ended, as of a full disk, would follow no rollback any more
                self._trouble(slot, error)
            self._remember(slot)
            self._say(slot)

    def _look_at(self, slot: Slot) -> None:
        wanted = self._wanted(slot)
        if wanted is None:
            return
        serves_it = slot.serving is not None and slot.serving.deployment == wanted.deployment
        if serves_it and not slot.lacks:
            return
        if (serves_it or slot.refused == wanted.deployment) and time.monotonic() - slot.tried < TRY_AGAIN_SECONDS:
            return
        try:
            champion = self._loaded(slot, wanted.champion)
        except Exception as error:  # whatever it is, it must not end what serves; it is said, and shown by /metrics
            self._refuse(slot, wanted.deployment, str(error) if isinstance(error, StillhouseError) else repr(error))
            return
        before = None if slot.serving is None else slot.serving.champion
        lacks: list[str] = []
        challenger = self._challenger(slot, wanted.challenger, lacks)
        taken = tuple(
            Taken(each, None if each.instead is None else self._if_loadable(slot, each.instead, lacks))
            for each in wanted.quarantine
        )
        with_challenger = is_loaded(wanted.challenger, shadow_is_live=slot.shadow_share is not None)
        slot.serving = Serving(wanted.deployment, wanted.at, champion, challenger, taken, with_challenger)
        self._unwritten[slot.name] = wanted
        slot.refused, slot.why = None, ""
        slot.lacks, slot.tried = "; ".join(lacks), time.monotonic()
        if before is not None and before is not champion:
            others = (each for each in slot.previous if each is not champion)
            slot.previous = (before, *others)[: slot.keep_warm]
        _close_unused_teachers(slot)
        LOG.info(
            "%s: deployment %d, %s %s serves", slot.name, wanted.deployment, wanted.champion.student,
            wanted.champion.release[:12],
        )  # fmt: skip

    def _wanted(self, slot: Slot) -> Applied | None:
        """What the ledger says; where it cannot be asked and nothing serves yet, what served last."""
        try:
            found = desired(self._builds.ledger, slot.name)
        except _LEDGER_IS_AWAY as error:
            self._trouble(slot, error)
            return self._remembered(slot) if slot.serving is None else None
        self._troubles.pop(slot.name, None)
        slot.ledger_seen = time.monotonic()
        if found is None:
            return None
        return Applied(
            deployment=found.number,
            at=found.at,
            champion=found.champion,
            challenger=found.challenger,
            quarantine=found.quarantine,
        )

    def _trouble(self, slot: Slot, error: Exception) -> None:
        """Say why the ledger's word is not followed, once until it is something else."""
        why = str(error) if isinstance(error, StillhouseError) else type(error).__name__
        if self._troubles.get(slot.name) != why:
            self._troubles[slot.name] = why
            LOG.warning("%s: what should serve cannot be followed: %s", slot.name, why)

    def _remember(self, slot: Slot) -> None:
        """Write down what serves, at each look until it is written: a start without the ledger follows nothing else."""
        unwritten = self._unwritten.get(slot.name)
        if unwritten is None:
            return
        try:
            write_atomically(self._memory(slot), unwritten.model_dump_json().encode())
        except (StillhouseError, OSError) as error:
            if slot.name not in self._found_no_room:
                LOG.warning("%s: what serves is not remembered for a start without the ledger: %s", slot.name, error)
            self._found_no_room.add(slot.name)
            return
        del self._unwritten[slot.name]
        self._found_no_room.discard(slot.name)

    def _memory(self, slot: Slot) -> Path:
        return self._builds.home.serving / f"{slot.name}.json"

    def _remembered(self, slot: Slot) -> Applied | None:
        path = self._memory(slot)
        return Applied.model_validate_json(path.read_bytes()) if path.is_file() else None

    def _loaded(self, slot: Slot, wanted: DeployedRelease) -> LoadedRelease:
        """The release as it is warm already, or loaded aside, proven and warmed up."""
        known = next((each for each in slot.warm if each.release == wanted.release), None)
        if known is not None:
            return known
        loaded = LoadedRelease(self._folder(wanted), wanted.release)
        LOG.info("%s: release %s: %s", slot.name, wanted.release[:12], loaded.prove())
        loaded.warm_up()
        if loaded.cascade is not None and slot.open_teacher is not None:
            on_call = loaded.cascade.teacher
            if on_call.artifact not in slot.teachers:
                try:
                    slot.teachers[on_call.artifact] = slot.open_teacher(on_call)
                except StillhouseError as error:  # as of a recipe that has another teacher by now: the student answers
                    LOG.error("%s: release %s: %s", slot.name, wanted.release[:12], error)
            loaded.teacher = slot.teachers.get(on_call.artifact)
        return loaded

    def _challenger(self, slot: Slot, wanted: Challenger | None, lacks: list[str]) -> ServedChallenger | None:
        """The challenger where it answers callers, or is asked in the shadow.

        How often it failed here counts through all its stages.
        """
        if wanted is None or not is_loaded(wanted, shadow_is_live=slot.shadow_share is not None):
            return None
        release = self._if_loadable(slot, wanted.deployed, lacks)
        if release is None:
            return None
        if wanted.stage is Stage.SHADOW and release.cascade is not None:
            LOG.warning(
                "%s: %s hands texts on to its teacher, and is not asked in the shadow", slot.name, release.release[:12]
            )
        known = None if slot.serving is None else slot.serving.challenger
        breaker = known.breaker if known is not None and known.salt == wanted.salt else ChallengerBreaker()
        return ServedChallenger(release, wanted.share, wanted.salt, breaker)

    def _if_loadable(self, slot: Slot, wanted: DeployedRelease, lacks: list[str]) -> LoadedRelease | None:
        """A release beside the champion; where it cannot be loaded that is said, and the champion answers for it."""
        try:
            return self._loaded(slot, wanted)
        except Exception as error:  # whatever it is, the champion serves
            why = str(error) if isinstance(error, StillhouseError) else repr(error)
            LOG.error("%s: %s answers nobody here: %s", slot.name, wanted.release[:12], why)
            lacks.append(f"{wanted.release[:12]}: {why}")
            return None

    def _folder(self, wanted: DeployedRelease) -> Path:
        """The release's files, hashed; from the local copy where the store is elsewhere and may be out of reach."""
        store = self._builds.store
        copy = store.cache / wanted.release
        if not store.is_local and copy.is_dir() and digest_of_folder(copy) == wanted.release:
            return copy
        return self._builds.artifact(wanted.release, wanted.manifest).folder

    def _say(self, slot: Slot) -> None:
        """Say in the table of replicas what is served, when it changes and every few seconds."""
        serving, refused, at = self._said.get(slot.name, (None, None, -HEARTBEAT_SECONDS))
        state = slot.serving, slot.refused
        if state == (serving, refused) and time.monotonic() - at < HEARTBEAT_SECONDS:
            return
        self._said[slot.name] = (*state, time.monotonic())
        memory, deployment = resident_mb(), None if slot.serving is None else slot.serving.deployment
        loaded = deployment, *(each.release for each in slot.warm)
        challenger = None if slot.serving is None else slot.serving.challenger
        heartbeat = Heartbeat(
            replica=self._replica,
            recipe=slot.name,
            deployment=deployment,
            release=None if slot.serving is None else slot.serving.champion.release,
            refused=slot.refused,
            seen_at=now(),
            memory_mb=memory,
            held_mb=self._held[slot.name].beat(memory, loaded),
            challenger_stopped=None if challenger is None else challenger.breaker.is_open,
        )
        url = self._builds.home.ledger_url
        try:
            beat(url, heartbeat)
            looks = last_looks(url, slot.name)
            if not slot.watched:
                looks.pop(LookKind.WATCH, None)
            slot.daemon = Daemon(looks, Outbox(url).waits_since(slot.name, slot.notify))
        except _LEDGER_IS_AWAY as error:
            LOG.warning("%s: no heartbeat (%s)", slot.name, type(error).__name__)

    def _refuse(self, slot: Slot, deployment: int, why: str) -> None:
        if (slot.refused, slot.why) != (deployment, why):
            goes_on = "nothing is served" if slot.serving is None else f"{slot.serving.champion.release[:12]} goes on"
            LOG.error("%s: deployment %d cannot be served, %s: %s", slot.name, deployment, goes_on, why)
        slot.refused, slot.why, slot.tried = deployment, why, time.monotonic()


def _close_unused_teachers(slot: Slot) -> None:
    """A teacher in a process of its own holds memory until it is closed."""
    used = {each.cascade.teacher.artifact for each in slot.warm if each.cascade is not None}
    for artifact in slot.teachers.keys() - used:
        slot.teachers.pop(artifact).close()
