"""What the live answers of a release are held against.

Belongs here: what a recipe says of its watch, and what a release says to the golden rows by which it was judged.
Does not: limits that follow from that (stillhouse/live/watches.py), a day of answers (live_report.py).
"""

from collections.abc import Sequence

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.live.baseline import Reference, golden_reference
from stillhouse.live.columns import as_sent, each_as_sent
from stillhouse.live.slices import slices_of
from stillhouse.live.watch import WatchTerms
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.watch import WatchSpec
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.deployments import DeployedRelease
from stillhouse.release.bundle import MODEL, task_of_bundle
from stillhouse.release.cascade import LABEL, Cascade, cascade_in
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.live_teacher import teacher_behind
from stillhouse.stages.names import BASE, PROMPTS, TEACHER_SIGNAL, TRANSFER_SET
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.records import countable, spelled_out, without_words
from stillhouse.teachers.answers import with_answers


def watch_of(file: RecipeFile) -> WatchSpec:
    """What the recipe says of its watch; a recipe that says nothing has no such stage."""
    assert file.recipe.watch is not None
    return file.recipe.watch


def terms_of(file: RecipeFile) -> WatchTerms:
    """What the watch of a recipe goes by."""
    spec, traffic = watch_of(file), file.recipe.traffic
    assert traffic is not None, "a watch has traffic to read"
    asks = spec.ask_teacher > 0 and file.recipe.keeps_texts and file.recipe.teacher.answers_new_texts
    return WatchTerms(spec, truth_binds=traffic.feedback != "unknown", asks=asks)


def reference_of(builds: BuildStore, file: RecipeFile, release: DeployedRelease) -> Reference:
    """Ask a release its golden rows, one at a time as a server does, and count.

    Args:
        builds: with the release and what it was made from.
        file: the recipe, which says what slices there are.
        release: which.

    Raises:
        StillhouseError: if it, or what it was made from, is gone or was altered, or it has no golden rows.
    """
    from stillhouse.models.predictor import OnnxClassifier

    bundle = builds.artifact(release.release, release.manifest)
    (prompts,) = builds.inputs_of(bundle, PROMPTS)
    golden = prompts.frame("prompts").filter(pl.col("split") == "golden").sort("prompt_id")
    if golden.is_empty():
        raise StillhouseError(
            "there are no golden rows to watch by",
            where=f"release {release.release[:12]}",
            expected="rows by which the release was judged",
            do="Leave `watch:` out of the recipe, or run a round with golden rows.",
        )
    model = OnnxClassifier(bundle.folder / MODEL)
    teacher = teacher_behind(builds, release).facts(TeacherFacts)
    task = task_of_bundle(bundle.folder, model.labels)
    texts, labels = golden["text"].to_list(), golden["label"].to_list()
    logits = [model.logits([text]) for text in texts]
    answers = [task.written(task.answers(each))[0] for each in logits]
    confidence = [task.confidence(each, model.temperature) for each in logits]
    sure = [None if each is None else float(each[0]) for each in confidence]
    cascade = cascade_in(bundle.folder)
    said = with_answers(_base_signal(builds, bundle).frame("signal"), teacher.task).select("prompt_id", "answer")
    return golden_reference(
        release.release,
        countable(task.spec) if isinstance(task, Extraction) else task.names,
        texts,
        answers,
        sure,
        teacher=golden.join(said, on="prompt_id", how="left", maintain_order="left")["answer"].to_list(),
        truth=labels,
        handed_on=None if cascade is None else _handed_on(cascade, golden, answers, sure),
        threshold=None if cascade is None else cascade.rule.threshold,
        slices=slices_of(file.recipe),
        columns=as_sent(golden, file.recipe.request_columns).to_list(),
        tolerance=None if teacher.score is None else teacher.score.tolerance,
        kept=_kept(task.spec, answers, texts) if isinstance(task, Extraction) else None,
    )


def _kept(spec: RecordSpec, answers: Sequence[str], texts: Sequence[str]) -> list[str]:
    """What the traffic log would have of records, by a secret that is none: nobody holds one against another."""
    return [
        without_words(spelled_out(answer, text, spec), spec, key=b"", id="")
        for answer, text in zip(answers, texts, strict=True)
    ]


def _handed_on(
    cascade: Cascade, golden: pl.DataFrame, answers: Sequence[str], confidence: Sequence[float | None]
) -> list[bool]:
    """Which golden rows the teacher behind a release answers, callers sending what it asks for."""
    rule = cascade.rule
    sent = each_as_sent(golden, sorted({each.column for each in rule.protected} - {LABEL}))
    return [
        sure is not None and rule.hands_on(answer, sure, row) is not None
        for answer, sure, row in zip(answers, confidence, sent, strict=True)
    ]


def base_signal_behind(builds: BuildStore, release: DeployedRelease) -> Artifact:
    """What the teacher of a release said to the base batch, from which its canary is drawn."""
    return _base_signal(builds, builds.artifact(release.release, release.manifest))


def _base_signal(builds: BuildStore, bundle: Artifact) -> Artifact:
    (transfer_set,) = builds.inputs_of(bundle, TRANSFER_SET)
    signals = builds.inputs_of(transfer_set, TEACHER_SIGNAL)
    return next(each for each in signals if each.batch == BASE)
