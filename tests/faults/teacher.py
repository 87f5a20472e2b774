"""Faults from the teacher to what may be learned from it, in a copy of a finished installation.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stillhouse.data.rejects import RejectReason, rejected
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation, read_evaluations
from stillhouse.recipe.asking import EndpointSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import BASELINES, CONTRACT, PROMPTS, SOURCE, TEACHER, TEACHER_SIGNAL
from stillhouse.stages.teacher_signal import review_path
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import CallLog
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.verification import Verified
from tests.faults.bench import NAME, SENSITIVE, SLICES, Bench, Plant, finished_rows
from tests.faults.plants import (
    as_trained_before,
    patched,
    trained_and,
    with_exchanged_weights,
)

CANARIES = 16
"""Prompts that the teacher is asked again: here the first by id, so that a fault can keep clear of them."""


def asks_too_much(bench: Bench) -> RecipeFile:
    return bench.up_to(TEACHER, teacher__minimum_accuracy=0.99)


def of_another_teacher(bench: Bench) -> RecipeFile:
    """The fingerprint of the base weights is recorded for the fine-tuned ones."""

    seen: list[Any] = []

    def always_the_first(real: Any) -> Any:
        def verified(folder: Path) -> Any:
            seen.append(real(folder))
            return seen[0]

        return verified

    file = trained_and(TEACHER, lambda folder: None)(bench)
    for module in ("pretrained", "weights"):
        bench.patch(f"stillhouse.models.{module}:verify_weights", always_the_first)
    return file


def unreadable_as_published(bench: Bench) -> RecipeFile:
    """What is read back after publishing is not what was written."""

    def cut(folder: Path) -> Any:
        raise StillhouseError(
            "the weights end too early", where=str(folder), expected="whole weights", do="Train the teacher again."
        )

    bench.patch("checks.teacher:verify_weights", lambda real: cut)
    return bench.recipe()


def began_with_other_weights(bench: Bench) -> RecipeFile:
    """Exchanged after the contract was looked at; the training gives what it gave before."""
    trained_and(TEACHER, lambda folder: None)(bench)
    return with_exchanged_weights(bench)


def forgets_what_was_alike(bench: Bench) -> RecipeFile:
    """Nothing happens to the teacher: it is the recipe that wants to use it for other things, too."""
    bench.patch("stillhouse.models.training:train", as_trained_before(TEACHER, lambda folder: None, bench))
    return bench.up_to(TEACHER, teacher__neighbours_kept_at_least=0.99)


def speaks_of_something_else(bench: Bench) -> RecipeFile:
    """An endpoint of which letters are asked would rather write a sentence; here a teacher of another kind says so."""
    return _says(SaidFacts(texts=30, failures={}, accuracy=0.9, label_mass=0.41))(bench)


def _says(said: SaidFacts) -> Plant:
    """A network in whose facts there is what a teacher elsewhere said."""

    def plant(bench: Bench) -> RecipeFile:
        network = "stillhouse.stages.teacher_kinds.network:_build"

        def speaking(real: Callable[..., TeacherFacts]) -> Callable[..., TeacherFacts]:
            def build(making: Any, folder: Path) -> TeacherFacts:
                (folder / "said.json").write_text(said.model_dump_json())  # another teacher than the finished one
                return _with(real(making, folder), said=said)

            return build

        bench.patch(network, speaking)
        bench.build_again()
        return bench.recipe()

    return plant


def behind_a_server(shut_down_on: str | None, **said: Any) -> Plant:
    """A teacher that is not asked again, but whose server is asked when its model ends."""

    class Ending(EndpointTeacher):
        def shut_down_on(self) -> str | None:
            return shut_down_on

    limits = EndpointSpec(usd_per_million_in=1, usd_per_million_out=1, usd_at_most=1)
    asking = Asking("large", "{text}", {"max_tokens": 3}, None, {}, "June")
    teacher = Ending("http://127.0.0.1/v1", limits, asking, "small", CallLog(Path("calls.db")), SingleLabel(("A", "B")))
    pilot = {"texts": 30, "failures": {}, "accuracy": 0.9, "usd_a_prompt": 0.001, **said}

    def plant(bench: Bench) -> RecipeFile:
        bench.patch("checks.teacher:teachers_of", lambda real: lambda *about: {"": teacher})
        return _says(SaidFacts(**pilot))(bench)

    return plant


def _with(facts: TeacherFacts, **changed: Any) -> TeacherFacts:
    return facts.model_copy(update=changed)


def easy_bar(bench: Bench) -> RecipeFile:
    easy = {"bar": {"margin": 0.9}, "budget": {"latency_ratio_at_least": 0.1, "size_ratio_at_least": 0.5}}
    file = bench.amended(**easy)
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER)
    return file


def judged_before(edit: Callable[[Evaluation], Evaluation]) -> Plant:
    """Baselines as they were judged before, one of them changed."""

    def plant(bench: Bench) -> RecipeFile:
        first, *rest = read_evaluations(bench.newest(BASELINES).folder)
        return patched("stillhouse.stages.baselines:_judge_all", lambda real: lambda *about: [edit(first), *rest])(
            bench
        )

    return plant


def store_gives(edit: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """The signal store gives back something else than was put in."""
    plant = patched(
        "stillhouse.teachers.signal:SignalStore.read",
        lambda real: lambda store, ids, fingerprint: edit(real(store, ids, fingerprint)),
    )

    def with_known_canaries(bench: Bench) -> RecipeFile:
        bench.patch("checks.teacher_signal:drawn", lambda real: lambda rows, *about: rows.sort("prompt_id")[:CANARIES])
        return plant(bench)

    return with_known_canaries


def with_logits(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """The logits of all prompts, changed."""
    return store_gives(
        lambda frame: frame.with_columns(
            pl.Series("logits", change(logits_of(frame)).tolist(), dtype=pl.List(pl.Float32))
        )
    )


def behind_the_canaries(value: float, number: int) -> Plant:
    """All logits of some answers are one value."""

    def change(logits: np.ndarray) -> np.ndarray:
        logits = logits.copy()
        logits[CANARIES : CANARIES + number] = value
        return logits

    return with_logits(change)


def first_behind_the_canaries(column: str, value: str | None) -> Plant:
    """One answer has another value in a column."""
    one = pl.int_range(pl.len()) == CANARIES
    return store_gives(lambda f: f.with_columns(pl.when(one).then(pl.lit(value)).otherwise(column).alias(column)))


def flipped(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """Give a share of the rows the label of another class, at random."""
    random = np.random.default_rng(1)
    classes = sorted(frame["service"].unique())
    chosen, steps = random.random(frame.height) < share, random.integers(1, len(classes), frame.height)
    place = frame["service"].replace_strict({name: number for number, name in enumerate(classes)}).to_numpy()
    labels = [classes[number] for number in np.where(chosen, (place + steps) % len(classes), place)]
    return frame.with_columns(pl.Series("service", labels))


def flipped_labels(share: float) -> Plant:
    """A source in which a share of the labels is wrong but for the golden ones, and a teacher that learned from it."""

    def plant(bench: Bench) -> RecipeFile:
        evaluations = read_evaluations(bench.newest(BASELINES).folder)
        prompts = bench.newest(PROMPTS).frame("prompts")
        golden = pl.col("question").is_in(prompts.filter(pl.col("split") == "golden")["text"].implode())
        spared, others = finished_rows().filter(golden), finished_rows().filter(~golden)
        labelled = pl.concat([spared, flipped(others, share)])
        file = bench.recipe(labelled, slices=SLICES, sensitive=SENSITIVE)
        bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER)
        bench.patch("stillhouse.stages.baselines:_judge_all", lambda real: lambda *about: evaluations)
        bench.must_run(file, BASELINES)
        return file

    return plant


REVIEW = {"size": 60, "defect_limit": 0.1}


def unreviewed(bench: Bench) -> RecipeFile:
    return bench.up_to(TEACHER_SIGNAL, teacher__review=REVIEW)


def reviewed_with_defects(bench: Bench) -> RecipeFile:
    file = unreviewed(bench)
    bench.run(file, TEACHER_SIGNAL)
    path = review_path(bench.place.home, NAME, bench.newest(TEACHER_SIGNAL))
    sample = pl.read_csv(path, infer_schema=False)
    wrong = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("no")).otherwise(pl.lit("yes"))
    sample.with_columns(wrong.alias("correct"), pl.lit("Ada").alias("reviewer")).write_csv(path)
    return file


def verified_and(edit: Callable[[Verified, pl.DataFrame], Verified]) -> Plant:
    """Verification gives something else; `edit` sees all prompts too."""
    return patched(
        "stillhouse.stages.transfer_set:verify_signal",
        lambda real: lambda prompts, *about, **how: edit(real(prompts, *about, **how), prompts),
    )


def forgets_some_rejects(verified: Verified, _: pl.DataFrame) -> Verified:
    return replace(verified, rejects=verified.rejects[:-3])


def takes_a_golden_row(verified: Verified, prompts: pl.DataFrame) -> Verified:
    golden = prompts.filter(pl.col("split") == "golden")["prompt_id"][0]
    first = pl.int_range(pl.len()) == 0
    leaking = verified.kept.with_columns(pl.when(first).then(pl.lit(golden)).otherwise("prompt_id").alias("prompt_id"))
    return replace(verified, kept=leaking)


def rejects_where(column: str, values: list[str], share: float) -> Callable[[Verified, pl.DataFrame], Verified]:
    """A filter that throws out a share of the rows of one kind."""

    def edit(verified: Verified, prompts: pl.DataFrame) -> Verified:
        of_kind = prompts.filter(pl.col(column).is_in(values))["prompt_id"].implode()
        rank = pl.col("prompt_id").is_in(of_kind).cum_sum()
        out = pl.col("prompt_id").is_in(of_kind) & (rank * share % 1 < share)
        rejects = rejected(verified.kept.filter(out), RejectReason.NO_PREFERENCE)
        return Verified(verified.kept.filter(~out), pl.concat([verified.rejects, rejects]))

    return edit


def closed_batch(bench: Bench) -> RecipeFile:
    file = bench.recipe(refresh={"cron": "0 3 * * 1", "train_on_open_batches": True})
    bench.drop(pl.DataFrame({"question": [" "] * 10, "service": ["LOC"] * 10, "kind": ["LOC:city"] * 10}))
    bench.must_run(file, CONTRACT, SOURCE, PROMPTS, TEACHER, BASELINES, TEACHER_SIGNAL)
    bench.run(file, SOURCE, PROMPTS, batch="march.csv")
    return file
