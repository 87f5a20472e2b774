"""Dagster's keys, groups and partitions of the stages.

Belongs here: the asset key of a stage and back, the keys of what comes from outside, the group that each is shown in,
and the partitions of those that are made batch by batch.
Does not: the names of the stages (stillhouse/stages/names.py), the addresses by which the ledger knows them
(stillhouse/records/manifest.py), which stay as they are when a key is changed.
"""

from dataclasses import dataclass

import dagster as dg

from stillhouse.records.manifest import address
from stillhouse.stages import names
from stillhouse.stages.names import KINDS, kind_of, student_of

SOURCE_FILE, PRETRAINED_WEIGHTS, TEACHER_ELSEWHERE = "source_file", "pretrained_weights", "teacher_elsewhere"
LANGUAGE_MODEL = "language_model"
"""What comes from outside and is made by nobody here."""
CALLS = "calls"
"""Likewise: what others report to ask for a round."""

_OF_A_STUDENT = {names.CANDIDATES: "candidate_", names.EXPORTS: "export_"}
"""The UI shows the last part of a key alone: `candidates/small` and `exports/small` would be two nodes `small`."""

_ROOM_BEGINS_AT = {
    "data": names.CONTRACT,
    "teacher": names.TEACHER,
    "students": names.TRANSFER_SET,
    "verdict": names.EVALUATION,
    "release": names.RELEASE,
    "live": names.TRAFFIC,
}


def batches_of(recipe: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a recipe's batched stages."""
    return dg.DynamicPartitionsDefinition(name=batches_name(recipe))


def batches_name(recipe: str) -> str:
    """What the instance calls the batches of a recipe."""
    return f"batches_of_{recipe}"


def key_of(recipe: str, stage: str) -> dg.AssetKey:
    """Asset key of a stage of a recipe."""
    student = student_of(stage)
    return dg.AssetKey([recipe, stage if student is None else f"{_OF_A_STUDENT[kind_of(stage)]}{student}"])


def stage_of(key: dg.AssetKey) -> str:
    """The stage that a key is of, also in the form that keys had up to version 0.2.0: `candidates/<student>`."""
    stage = "/".join(key.path[1:])
    for kind, begin in _OF_A_STUDENT.items():
        if stage.startswith(begin):
            return f"{kind}/{stage.removeprefix(begin)}"
    return stage


def key_at(asset: str) -> dg.AssetKey:
    """Asset key of an asset as ledger and manifests name it, such as `questions/candidates/small`."""
    recipe, _, stage = asset.partition("/")
    return key_of(recipe, stage)


def address_of(key: dg.AssetKey, batch: str | None = None) -> str:
    """Name an asset, or one batch of it, as ledger and manifests do."""
    return address(f"{key.path[0]}/{stage_of(key)}", batch)


@dataclass(frozen=True)
class BatchOfAsset:
    """An asset, or one batch of one that is made batch by batch.

    Args:
        key: the asset.
        batch: which batch of it; None where it is made whole.
    """

    key: dg.AssetKey
    batch: str | None

    @property
    def address(self) -> str:
        """Asset and batch in one word."""
        return address_of(self.key, self.batch)


def keys_of_events(key: dg.AssetKey) -> list[dg.AssetKey]:
    """The keys under which Dagster may have events of an asset, the present one first."""
    former = dg.AssetKey([key.path[0], *stage_of(key).split("/")])
    return list(dict.fromkeys([key, former]))


def outside(recipe: str, what: str) -> dg.AssetKey:
    """Asset key of something from outside."""
    return dg.AssetKey([recipe, what])


def group_of(recipe: str, stage: str) -> str:
    """The group that a stage is shown in: rooms follow each other as stages do, so that no arrow goes back."""
    order = list(KINDS)
    begun = [room for room, first in _ROOM_BEGINS_AT.items() if order.index(first) <= order.index(kind_of(stage))]
    return f"{recipe}_{begun[-1]}"
