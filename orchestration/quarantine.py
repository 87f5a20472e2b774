"""Taking a part of the requests from the champion, for a while: `stillhouse quarantine`.

Belongs here: which requests a person means, and who answers them instead.
Does not: what is recorded (stillhouse/records/rollouts.py), who answers a request (stillhouse/serving/routing.py).
"""

import re
from datetime import date
from functools import partial

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import answers_of, line_of_champions, promoted, rival_of
from stillhouse.records.deployments import DeployedRelease, Quarantine, serving_now
from stillhouse.records.rollouts import quarantine
from stillhouse.release.bundle import MODEL, bundle_problems

_LENGTH = re.compile(r"length=(\d{1,7})-(\d{1,7})?")
_LABEL = "label="


def quarantine_slice(
    builds: BuildStore, file: RecipeFile, slice: str, *, by: str, reason: str, until: date
) -> Quarantine:
    """Have an earlier champion answer a part of the requests until a day.

    Args:
        builds: with ledger and releases.
        file: the recipe.
        slice: a slice of classes by its name in the recipe, `label=CLASS`, or `length=FEWEST-MOST` in characters, of
            which MOST may be left out.
        by: who decides.
        reason: why.
        until: the last day on which it counts.

    Raises:
        StillhouseError: if the slice is not known when a request comes, nobody served before, or as `quarantine`.
        OvertakenError: if another deployment was written meanwhile.
    """
    seen = serving_now(builds.ledger, file.name)
    length = _LENGTH.fullmatch(slice)
    wanted = Quarantine(
        slice=slice,
        labels=() if length else _labels(builds, file, slice, seen.champion),
        characters=(int(length[1]), None if length[2] is None else int(length[2])) if length else None,
        instead=_before(builds, file),
        by=by,
        reason=reason,
        since="",
        until=until,
    )
    return quarantine(builds.ledger, file.name, wanted, days_at_most=file.recipe.waiver_days_at_most, seen=seen)


def _labels(builds: BuildStore, file: RecipeFile, slice: str, champion: DeployedRelease) -> tuple[str, ...]:
    """The answers of the champion that are meant."""
    from stillhouse.models.predictor import OnnxClassifier

    named = next((each for each in file.recipe.slices if each.name == slice), None)
    how = "a slice of classes, `label=CLASS`, or `length=FEWEST-MOST` in characters"
    if named is not None and named.column != "label":
        raise StillhouseError(
            f"it is known of rows by their column {named.column!r}, and not when a request comes",
            where=f"slice {slice}", expected=how,
            do="Name the classes or the lengths that it shows in, one after the other.",
        )  # fmt: skip
    if named is not None:
        return named.values
    label = slice.removeprefix(_LABEL)
    known = OnnxClassifier(builds.artifact(champion.release, champion.manifest).folder / MODEL).labels
    if not slice.startswith(_LABEL) or label not in known:
        raise StillhouseError(
            "there is no such slice or class", where=f"slice {slice}", expected=how,
            do=f"The classes are {', '.join(known[:20])}{' and others' if len(known) > 20 else ''}.",
        )  # fmt: skip
    return (label,)


def _before(builds: BuildStore, file: RecipeFile) -> DeployedRelease:
    """The champion before this one, which is another model."""
    line = line_of_champions(promoted(builds.ledger, file.name))
    before = rival_of(line, answers_of(builds.store, line[0]), partial(answers_of, builds.store))
    if before is None:
        raise StillhouseError(
            "nothing served before the champion that could answer instead", where=file.name,
            expected="an earlier champion that is another model",
            do=f"`stillhouse run {file.name}` makes another release.",
        )  # fmt: skip
    if problems := bundle_problems(builds.artifact(before.release, before.manifest).folder):
        raise StillhouseError(
            "; ".join(problems), where=f"release {before.release[:12]}", expected="a whole bundle",
            do=f"Restore it from a copy; `stillhouse audit {file.name}` says more.",
        )  # fmt: skip
    return DeployedRelease(release=before.release, manifest=before.manifest, student=before.student)
