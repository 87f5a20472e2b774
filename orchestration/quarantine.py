"""Taking a part of the requests from the champion, for a while: `stillhouse quarantine`, and the watch.

Belongs here: which requests are meant, and who can answer them instead.
Does not: when the watch does it (watch_quarantine.py), what is recorded (stillhouse/records/rollouts.py), who answers a
request (stillhouse/serving/routing.py).
"""

from datetime import date
from typing import TypedDict

from orchestration.promotable import whole_release
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.watch import lengths_in
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import line_of_champions, previous_champion, promoted
from stillhouse.records.deployments import DeployedRelease, Deployment, Quarantine, serving_now
from stillhouse.records.rollouts import quarantine
from stillhouse.release.bundle import MODEL
from stillhouse.release.cascade import CASCADE, LABEL

_BY_LABEL = "label="


def quarantine_slice(
    builds: BuildStore,
    file: RecipeFile,
    slice: str,
    *,
    by: str,
    reason: str,
    until: date,
    to_teacher: bool = False,
    seen: Deployment | None = None,
) -> Quarantine:
    """Have somebody else than the champion answer a part of the requests until a day.

    Args:
        builds: with ledger and releases.
        file: the recipe.
        slice: a slice by its name in the recipe, of classes or of a column that callers send; `label=CLASS`; or
            `length=FEWEST-MOST` in characters, of which MOST may be left out.
        by: who decides.
        reason: why.
        until: the last day on which it counts.
        to_teacher: whether the teacher behind the champion answers; else an earlier champion does.
        seen: the deployment in which that was decided; the newest when left out.

    Raises:
        StillhouseError: if the slice is not known when a request comes, there is nobody to answer, or as `quarantine`.
        OvertakenError: if another deployment was written meanwhile.
    """
    seen = seen or serving_now(builds.ledger, file.name)
    if to_teacher:
        require_teacher(builds, file, seen.champion)
    wanted = Quarantine(
        slice=slice,
        **_meant(builds, file, slice, seen.champion),
        instead=None if to_teacher else champion_before(builds, file),
        by=by,
        reason=reason,
        since="",
        until=until,
    )
    return quarantine(builds.ledger, file.name, wanted, days_at_most=file.recipe.waiver_days_at_most, seen=seen)


class _Meant(TypedDict, total=False):
    """What a slice says of requests, as the ledger has it."""

    labels: tuple[str, ...]
    characters: tuple[int, int | None]
    column: str
    values: tuple[str, ...]


def _meant(builds: BuildStore, file: RecipeFile, slice: str, champion: DeployedRelease) -> _Meant:
    from stillhouse.models.predictor import OnnxClassifier

    how = "a slice of classes or of a column that callers send, `label=CLASS`, or `length=FEWEST-MOST` in characters"
    try:
        lengths = lengths_in(slice)
    except ValueError as error:
        raise StillhouseError(
            str(error), where=f"slice {slice}", expected=how, do="Name the fewer characters first."
        ) from error
    if lengths is not None:
        return {"characters": lengths}
    named = next((each for each in file.recipe.slices if each.name == slice), None)
    if named is not None and named in file.recipe.slices_of_requests:
        by_label = named.column == LABEL
        return {"labels": named.values} if by_label else {"column": named.column, "values": named.values}
    if named is not None:
        raise StillhouseError(
            f"it is known of rows by their column {named.column!r}, and not when a request comes",
            where=f"slice {slice}", expected=how,
            do="Name the classes or the lengths that it shows in, one after the other; or have callers send the "
            "column, and name it in `serving.request_columns`.",
        )  # fmt: skip
    if file.recipe.gives_numbers or file.recipe.gives_records:
        what = "numbers" if file.recipe.gives_numbers else "records"
        raise StillhouseError(
            f"answers are {what}, so that there are no classes", where=f"slice {slice}",
            expected="a slice of a column that callers send, or `length=FEWEST-MOST` in characters",
            do="Name one of these; `stillhouse rollback` takes all requests from the champion.",
        )  # fmt: skip
    label = slice.removeprefix(_BY_LABEL)
    known = OnnxClassifier(builds.artifact(champion.release, champion.manifest).folder / MODEL).labels
    if not slice.startswith(_BY_LABEL) or label not in known:
        raise StillhouseError(
            "there is no such slice or class", where=f"slice {slice}", expected=how,
            do=f"The classes are {', '.join(known[:20])}{' and others' if len(known) > 20 else ''}.",
        )  # fmt: skip
    return {"labels": (label,)}


def require_teacher(builds: BuildStore, file: RecipeFile, champion: DeployedRelease) -> None:
    """Refuse a release that has no teacher behind it.

    Raises:
        StillhouseError: if it has none.
    """
    if not (builds.artifact(champion.release, champion.manifest).folder / CASCADE).is_file():
        raise StillhouseError(
            f"no teacher is behind champion {champion.in_words}", where=file.name,
            expected="a champion whose release has a cascade",
            do="Leave out --to-teacher, and an earlier champion answers; or add `cascade:` to the recipe, and run it.",
        )  # fmt: skip


def champion_before(builds: BuildStore, file: RecipeFile) -> DeployedRelease:
    """The champion before this one, which is another model.

    Raises:
        StillhouseError: if there is none, or it is not whole.
    """
    line = line_of_champions(promoted(builds.ledger, file.name))
    before = previous_champion(builds.store, line)
    if before is None:
        raise StillhouseError(
            "nothing served before the champion that could answer instead", where=file.name,
            expected="an earlier champion that is another model",
            do=f"`stillhouse run {file.name}` makes another release; with --to-teacher the teacher behind the champion "
            "answers, where there is one.",
        )  # fmt: skip
    whole_release(builds, file.name, before.deployed)
    return before.deployed
