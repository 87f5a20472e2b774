"""The bundle that is released: a model, the evidence for it, and the record that ties both to what made them.

Belongs here: the bundle's layout, verifying one without anything else at hand, and what its answers are.
Does not: choosing what is released (assets/selection.py), promoting it (stillhouse/stages/champion.py).
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field, ValidationError

from stillhouse.base import Record
from stillhouse.digests import digest_of_file, entries_below, files_below, links_below
from stillhouse.recipe.data import TaskKind, answer_spec_in
from stillhouse.recipe.fields import Precision
from stillhouse.records.ledger import Head
from stillhouse.tasks import task_of
from stillhouse.tasks.task import Task

RECORD = "release.json"
MODEL = "model"
RECIPE = "recipe.json"


class WaivedGate(Record):
    """A gate that was not passed and that a named person let be."""

    gate: str
    by: str
    reason: str
    until: str
    content: str | None = None  # 0.1.0 tied a waiver to no content


class ReleaseRecord(Record):
    """Everything a release resolves to, by digest."""

    recipe: str
    student: str
    base_source: str
    base_revision: str
    base_fingerprint: str
    licence: str
    precision: Precision
    export: str
    teacher: str
    teacher_fingerprint: str
    contract: str
    prompts: str
    golden: str
    transfer_set: str
    selection: str
    cascade: str | None = Field(None, exclude_if=lambda digest: digest is None)  # of a recipe that has one
    answers: str | None = Field(
        None,
        description="Digest of what callers are answered by, where that is not the export alone but its teacher, too.",
        exclude_if=lambda digest: digest is None,
    )
    row_kinds: dict[str, int]
    waived: tuple[WaivedGate, ...] = ()

    @property
    def answers_by(self) -> str:
        """Digest of what callers are answered by: of two releases with the same one they get the same answers."""
        return self.answers or self.export


def write_bundle(
    folder: Path,
    record: ReleaseRecord,
    *,
    model: Path,
    evidence: Sequence[Path],
    head: Head,
    written: Mapping[str, str] | None = None,
) -> None:
    """Write a bundle: `model/`, the evidence, and `release.json` with the record and a digest of every other file.

    Args:
        folder: an empty folder.
        record: what the release resolves to.
        model: folder of the exported student.
        evidence: files to put beside it, such as contract and report.
        head: the ledger's newest entry. It stands beside the record and not in it, because nothing depends on it: the
            same release is found again however far the ledger has come since.
        written: further texts to put beside it, by the name of the file.
    """
    shutil.copytree(model, folder / MODEL, copy_function=shutil.copyfile)
    for path in evidence:
        shutil.copyfile(path, folder / path.name)
    for name, text in (written or {}).items():
        (folder / name).write_text(text, "utf-8")
    files = {path.relative_to(folder).as_posix(): digest_of_file(path) for path in files_below(folder)}
    content = {"record": record.model_dump(), "files": files, "head": asdict(head)}
    (folder / RECORD).write_text(json.dumps(content, indent=1, sort_keys=True))


def bundle_problems(folder: Path) -> list[str]:
    """Say, one line each, what is missing from a bundle or was altered in it; nothing when it is whole."""
    path = folder / RECORD
    if not path.is_file():
        return [f"{RECORD} is missing"]
    try:
        content = json.loads(path.read_text())
        ReleaseRecord.model_validate(content["record"])
        files: dict[str, str] = content["files"]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        return [f"{RECORD} is not a release record: {' '.join(str(error).split())}"]
    present = {item.relative_to(folder).as_posix() for item in entries_below(folder)} - {RECORD}
    problems = [f"{name} is missing" for name in sorted(files.keys() - present)]
    problems += [f"{name} is not part of the release" for name in sorted(present - files.keys())]
    links = {item.relative_to(folder).as_posix() for item in links_below(folder)}
    problems += [f"{name} is a link" for name in sorted(links)]
    problems += [
        f"{name} was altered"
        for name in sorted((files.keys() & present) - links)
        if digest_of_file(folder / name) != files[name]
    ]
    return problems + [f"{name} is not listed" for name in (RECIPE, "report.json") if name not in files]


def task_of_bundle(folder: Path, names: Sequence[str]) -> Task:
    """What an answer of a release is, by the recipe that it was released under, whatever that says now.

    Args:
        folder: of its bundle.
        names: of the outputs of its model.
    """
    recipe = json.loads((folder / RECIPE).read_text("utf-8"))
    kind: TaskKind = recipe["data"].get("answer", "single_label")  # 0.1.0 knew no other
    return task_of(kind, names, answer_spec_in(recipe))
