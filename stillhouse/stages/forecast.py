"""How long a recipe will take on this machine, before it is run: a short timed probe, and arithmetic.

Belongs here: the probe of the recipe's own teacher on its own rows, and what each stage will take by it.
Does not: what the rows can prove (evaluation/planning.py), what a run really took (the manifests), printing.

Nearly all of a run is the teacher's network and parts of it: reading rows to learn, reading rows to answer, single
calls that are timed. Each is measured once, and a student is taken to cost its share of the teacher's arithmetic. The
rest is a constant a stage.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.device import Device
from stillhouse.economics import amount
from stillhouse.evaluation.measures.meter import TIMED_TEXTS
from stillhouse.models.family import sizes_of
from stillhouse.models.pretrained import base_model
from stillhouse.models.weights import verify_language_model
from stillhouse.processes import QuietClock
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import BuildStore
from stillhouse.stages.baselines import options_made_here
from stillhouse.stages.bench import one_thread
from stillhouse.stages.error_analysis import PARTS, ROWS_ASKED, learners_of
from stillhouse.stages.names import (
    BASELINES,
    ERROR_ANALYSIS,
    EVALUATION,
    TEACHER,
    TEACHER_SIGNAL,
    candidate,
    export,
    stage_names,
)
from stillhouse.stages.stressed import harder
from stillhouse.students.examples import labelled_examples, labelled_rows
from stillhouse.tasks import task_in
from stillhouse.teachers.causal_lm import CausalLmTeacher, label_prompt_of
from stillhouse.teachers.classifier import build_classifier, take_classifier
from stillhouse.teachers.endpoint import Endpoint
from stillhouse.teachers.requests import asking_of, asking_of_alternative, body_of
from stillhouse.wording import in_minutes

if TYPE_CHECKING:
    from stillhouse.models.predictor import TorchClassifier

QUIET_SHARE = 0.8
"""Of the processor, from which a forecast is near enough to what a run takes now."""
PROBED_STEPS = 6
PROBED_ROWS = 192
PROBED_CALLS = 30
PROBED_BY_LANGUAGE_MODEL = 16
_IS_GOLDEN = pl.col("split") == "golden"
COUNTED_PROMPTS = 2_000
"""Of which it is counted how long they are; their mean is that of all to a few hundredths."""
INT8_SHARE = 0.3
"""Of a call's time that is left in int8: the demo's teacher takes 24 %, its students 32 %, with all that is around."""
EXPORT_SECONDS = 5.0
"""To write, quantise and check one model, beside asking it."""
STAGE_SECONDS = 1.0
"""What Dagster, hashing and the gates of a stage take; 1 to 2 s on the machine of the demo."""


class StageForecast(Record):
    """What one stage will take."""

    stage: str
    seconds: float = Field(description="Wall time, with nothing else on the machine.")


class ServerForecast(Record):
    """What a model behind a server may cost."""

    model: str
    prompts: int = Field(description="That it is asked, each as often as the recipe says.")
    usd_at_most: float = Field(
        description="With a token for each byte of what is sent and the longest answer, as it is reserved; what it "
        "really costs is a fraction of it, and the pilot measures that."
    )


class Forecast(Record):
    """What a whole run will take on this machine, computing everything."""

    stages: tuple[StageForecast, ...] = Field(description="In the order of the data.")
    seconds: float = Field(description="Of all of them, with nothing else on the machine.")
    cost_usd: float = Field(description="At the recipe's price of the machine.")
    processor_share: float = Field(
        1.0, description="Of the time in which the probe was ready to run, the part in which other processes let it."
    )

    servers: tuple[ServerForecast, ...] = Field((), description="The teacher's servers, then its alternatives.")

    @property
    def sentence(self) -> str:
        """Time and money, as they end a sentence; of a machine on which others work, what that makes of it."""
        quiet = f"about {in_minutes(self.seconds)} on this machine, {amount(self.cost_usd)} USD"
        if self.servers:
            asked = " and ".join(f"{each.model} {amount(each.usd_at_most)}" for each in self.servers)
            quiet += f", and at most for what servers are asked, in USD: {asked}"
        if self.processor_share >= QUIET_SHARE:
            return quiet
        busy = in_minutes(self.seconds / self.processor_share)
        return f"{quiet}, with nothing else on it; beside what other processes do there now about {busy}"


@dataclass(frozen=True)
class Rates:
    """What the network takes that students are cut from, on this machine when it is quiet, and the teacher; in seconds.

    Args:
        learning: a row, once forwards and once backwards, in batches of the recipe.
        answering: a row, in batches.
        call: a text alone, on one thread.
        language_model: a row that all language models answer which are asked here.
        share: of the processor that the probe got.
    """

    learning: float
    answering: float
    call: float
    language_model: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class RowCounts:
    """Rows of the base batch by what they are used for."""

    train: int
    labelled: int
    validation: int
    golden: int


def forecast(file: RecipeFile, prompts: pl.DataFrame, builds: BuildStore) -> Forecast:
    """Put the teacher to work for a few seconds, and reckon.

    Args:
        file: the recipe.
        prompts: those of the base batch, see `preview.prompts_to_come`.
        builds: keeps the pretrained weights once they are read, and knows on what is computed.

    Raises:
        StillhouseError: if the weights cannot be read.
    """
    recipe = file.recipe
    sides = dict(prompts["split"].value_counts().iter_rows())
    known = labelled_rows(prompts)
    counts = RowCounts(
        train=sides.get("train", 0),
        labelled=known.filter(pl.col("split") == "train").height,
        validation=sides.get("validation", 0),
        golden=sides.get("golden", 0),
    )
    spec = recipe.weights
    with base_model(file.located(spec.source), spec.revision, builds.store) as base:
        config, rates = _probe(base.folder, known, recipe, builds.device)
    members = [file.by_member[name] for name in recipe.teacher.language_models]
    rates = replace(rates, language_model=sum(_probe_language_model(each, known, builds) for each in members))
    return reckoned(recipe, config, counts, rates).model_copy(update={"servers": servers_of(file, prompts)})


def servers_of(file: RecipeFile, prompts: pl.DataFrame) -> tuple[ServerForecast, ...]:
    """What asking each model behind a server may cost at the most.

    Args:
        file: the recipe.
        prompts: those of the base batch.

    Raises:
        StillhouseError: if a prompt cannot be read.
    """
    teacher, found = file.recipe.teacher, list[ServerForecast]()
    names = task_in(file.recipe.data, sorted(prompts["label"].drop_nulls().unique())).names
    bulk = pl.concat([each.select("text") for each in (prompts, harder(file.recipe, prompts.filter(_IS_GOLDEN)))])
    for name, spec in teacher.servers.items():
        assert spec.endpoint is not None
        found.append(_at_most(Endpoint(spec.source, spec.endpoint, asking_of(file.by_member[name], names)), bulk))
    judging = prompts.filter(pl.col("split").is_in(["validation", "golden"]))
    for index, each in enumerate(teacher.alternatives):
        assert teacher.endpoint is not None
        asking = asking_of_alternative(file, index, names)
        found.append(_at_most(Endpoint(each.source or teacher.source, each.limits(teacher.endpoint), asking), judging))
    return tuple(found)


def _at_most(server: Endpoint, prompts: pl.DataFrame) -> ServerForecast:
    """By some of the prompts, which are not alike in length."""
    some = prompts["text"].sample(n=min(prompts.height, COUNTED_PROMPTS), seed=0)
    each = sum(server.most(body_of(server.asking, text)) for text in some) / max(len(some), 1)
    usd = each * prompts.height * server.asking.samples
    return ServerForecast(model=server.asking.model, prompts=prompts.height, usd_at_most=usd)


def reckoned(recipe: Recipe, config: dict[str, Any], counts: RowCounts, rates: Rates) -> Forecast:
    """What each stage will take.

    Args:
        recipe: with teacher, students, bar and budget.
        config: the teacher's config.json, as this network has it.
        counts: rows.
        rates: of the teacher.
    """
    stress, asked_again = recipe.stress, 0
    if stress is not None:
        asked_again = min(stress.rows_at_most, counts.golden) * len(stress.names)
    timed = min(TIMED_TEXTS, counts.golden) * (recipe.budget.latency_rounds + 1)
    here = recipe.teacher.runs_here
    teacher = timed * rates.call + asked_again * rates.answering if here else 0.0

    def calls(share: float) -> float:
        """A model in int8 that answers the golden rows, is timed, and is stressed, one call at a time."""
        return (counts.golden + timed + asked_again) * rates.call * share * INT8_SHARE

    def exported(share: float) -> float:
        return EXPORT_SECONDS + counts.validation * rates.call * share * (1 + INT8_SHARE)

    def learned(student: StudentSpec, rows: float) -> float:
        if student.training is None:
            return 0.0
        return student.training.epochs * share_of(student, config) * rows * rates.learning

    def rows_of(student: StudentSpec) -> int:
        return counts.labelled if student.learns_from == "labels" else counts.train

    took = _beside_the_network(recipe, counts, rates)
    networks = recipe.teacher.networks.values()
    epochs = sum(network.training.epochs for network in networks if network.training is not None)
    took[TEACHER] += epochs * counts.labelled * rates.learning + max(epochs, 1) * counts.validation * rates.answering
    took[TEACHER_SIGNAL] += (counts.train + counts.golden) * rates.answering * len(networks)
    own_networks = 2 if here else 0
    fitted = counts.labelled * rates.answering + len(options_made_here(recipe))
    took[BASELINES] += fitted + teacher + own_networks * (exported(1.0) + calls(1.0)) + calls(1.0) / INT8_SHARE
    took[EVALUATION] += teacher
    for student in recipe.students:
        share, copies = share_of(student, config), 1 + len(student.more_seeds)
        watched = counts.validation * rates.answering * share * (student.training.epochs if student.training else 1)
        took[candidate(student.name)] += copies * (learned(student, rows_of(student)) + watched)
        took[candidate(student.name)] += counts.train * rates.answering * _share_of_who_answers(recipe, student, config)
        took |= {export(form.name): STAGE_SECONDS + copies * exported(share) for form in student.forms}
        again = (copies - 1) * counts.golden * rates.call * share * INT8_SHARE
        took[EVALUATION] += len(student.forms) * (calls(share) + again)
    learners = sorted(learners_of(recipe), key=lambda student: share_of(student, config))
    for student in learners:
        took[ERROR_ANALYSIS] += ROWS_ASKED * rates.answering * share_of(student, config)
    for student in learners[:-1]:  # the largest is expected to hold; of each that misses, smaller ones are trained
        took[ERROR_ANALYSIS] += sum(learned(student, counts.train / part) for part in PARTS)
    seconds = sum(took.values())
    return Forecast(
        stages=tuple(StageForecast(stage=stage, seconds=each) for stage, each in took.items()),
        seconds=seconds,
        cost_usd=seconds / 3600 * recipe.machine_usd_per_hour,
        processor_share=rates.share,
    )


def _beside_the_network(recipe: Recipe, counts: RowCounts, rates: Rates) -> dict[str, float]:
    """What a stage takes by itself, and to ask a language model, whose pilot's rows are asked again with the rest."""
    stress = recipe.stress
    under_stress = len(stress.names) * min(stress.rows_at_most, counts.golden) if stress and stress.ask_teacher else 0
    asked = {
        TEACHER: counts.validation,
        BASELINES: counts.golden + under_stress,
        TEACHER_SIGNAL: counts.train + counts.validation,
    }
    return {stage: STAGE_SECONDS + asked.get(stage, 0) * rates.language_model for stage in stage_names(recipe)}


def share_of(student: StudentSpec, config: dict[str, Any]) -> float:
    """Arithmetic of a student's layers for each token, as a share of the teacher's."""
    sizes = sizes_of(config, "config.json")

    def of_layers(number: int, units: int) -> int:
        return number * (4 * sizes.width * sizes.width + 2 * sizes.width * units)

    own = of_layers(len(student.layers), student.feed_forward or sizes.units)
    return own / of_layers(sizes.layers, sizes.units)


def _share_of_who_answers(recipe: Recipe, student: StudentSpec, config: dict[str, Any]) -> float:
    """Arithmetic of whom a student has asked, as a share of the teacher's, who was asked for its answers by then.

    That is a parent that teaches it, and for the states that its layers learn the parent or the teacher once more.
    """
    for_states = 0.0 if student.training is None or not student.training.layer_terms else 1.0
    if student.parent is None or student.learns_from != "parent":
        return for_states
    return (1.0 + for_states) * share_of(recipe.student(student.parent), config)


def _probe(encoder: Path, known: pl.DataFrame, recipe: Recipe, device: Device) -> tuple[dict[str, Any], Rates]:
    """Teach a teacher a few steps in a folder that is thrown away, and ask it a few rows."""
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.training import train

    training = recipe.trainings[0] if recipe.trainings else TrainingConfig()
    some = known.sample(n=min(known.height, PROBED_STEPS * training.batch_size), seed=0)
    texts = known["text"].sample(n=min(known.height, PROBED_ROWS), seed=1).to_list()
    task = task_in(recipe.data, sorted(known["label"].unique()))
    names = task.names
    with tempfile.TemporaryDirectory() as temporary:
        start, taught = Path(temporary) / "start", Path(temporary) / "taught"
        if recipe.teacher.kind is TeacherKind.CLASSIFIER:
            spec = recipe.teacher
            take_classifier(
                encoder,
                names,
                start,
                rename=spec.rename,
                max_tokens=spec.longest_text,
                answer=recipe.data.answer,
                pairs=recipe.data.query is not None,
            )
        else:
            build_classifier(encoder, names, start, seed=0, record=recipe.data.record)
        examples = labelled_examples(some.with_columns(split=pl.lit("train")), task)
        # A step costs the same whatever its loss is, and labels are all that is known before a teacher was asked.
        without_a_teacher = {"loss": "labels", "label_weight": 0.0, "embedding_weight": 0.0, "mixture": ()}
        probed = training.model_copy(update={"epochs": 1, **without_a_teacher})
        with QuietClock() as learning:
            report = train(start, taught, examples, probed, device=device)
        model = TorchClassifier(taught)  # a call is timed on the CPU, wherever the rest is computed
        answering = _quiet(TorchClassifier(taught, device), texts)
        with one_thread(), QuietClock() as calling:
            call = float(np.median([_seconds(model, [text]) for text in texts[:PROBED_CALLS]]))
        # A GPU is waited for, and by nobody else.
        of_learning, of_answering = (learning.share, answering.share) if device.kind == "cpu" else (1.0, 1.0)
        rates = Rates(
            of_learning / report.examples_per_second,
            of_answering * answering.wall / len(texts),
            calling.share * call,
            share=of_learning,
        )
        return model.network.config, rates


def _probe_language_model(file: RecipeFile, known: pl.DataFrame, builds: BuildStore) -> float:
    """Ask a language model a few rows, and say how long each takes."""
    spec = file.recipe.teacher
    names = task_in(file.recipe.data, sorted(known["label"].unique())).names
    texts = known["text"].sample(n=min(known.height, PROBED_BY_LANGUAGE_MODEL), seed=1).to_list()
    with base_model(file.located(spec.source), spec.revision, builds.store, verify_language_model) as model:
        asked = label_prompt_of(file, names, model.record.fingerprint)
        teacher = CausalLmTeacher({name: model.folder / name for name in model.digests}, asked, builds.device)
        teacher.answers(texts[:1])  # loads it
        with QuietClock() as clock:
            teacher.answers(texts)
    return (clock.seconds if builds.device.kind == "cpu" else clock.wall) / len(texts)


def _quiet(model: "TorchClassifier", texts: list[str]) -> QuietClock:
    with QuietClock() as clock:
        model.logits(texts)
    return clock


def _seconds(model: "TorchClassifier", texts: list[str]) -> float:
    begun = time.perf_counter()
    model.logits(texts)
    return time.perf_counter() - begun
