"""The bench on which everything is judged: the frozen golden rows, the teacher's answers to them, and its speed.

Belongs here: bringing prompts, teacher and a model's answers to the one golden harness, with one thread each.
Does not: the harness and its statistics (stillhouse/evaluation/).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse import progress
from stillhouse.arrays import FloatArray
from stillhouse.device import CPU, Device
from stillhouse.digests import digest_of, files_below
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.measures.footprint import Footprint
from stillhouse.evaluation.measures.latency import LatencyComparison, Predict
from stillhouse.evaluation.measures.meter import THIS_MACHINE, Meter
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.slices.row_features import feature_columns
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.golden_set_usage import log_golden_read
from stillhouse.stages.asking import capture
from stillhouse.stages.facts import PromptFacts, TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.stages.stressed import harder, said_under_stress
from stillhouse.tasks.records import RecordFault
from stillhouse.tasks.task import Task
from stillhouse.teachers.signal import CaptureReport, SignalStore, signal_store

if TYPE_CHECKING:
    from stillhouse.models.predictor import TorchClassifier

TEXTS_OF_FOOTPRINT = 20
"""The longest of the timed texts: memory is at its peak on them, and each more of the teacher's answers takes time."""


@dataclass(frozen=True)
class JudgedModel:
    """A model that is to be judged.

    Args:
        evaluated: the model with its answers to the golden rows.
        predict: answers one text.
        folder: what it is served from; None for a model that is no folder by itself.
    """

    evaluated: EvaluatedModel
    predict: Predict
    folder: Path | None = None


@dataclass(frozen=True)
class Reader:
    """Who is judged on the golden rows.

    Args:
        recipe: its name.
        stage: that judges.
        run_id: of the run.
    """

    recipe: str
    stage: str
    run_id: str


_IS_KNOWN_TO_BE_WRONG = pl.col("failure").is_in([fault.value for fault in RecordFault]).fill_null(False)
"""Of what a teacher said: it answered, and what it answered is no record of the text, and so not the label."""


@dataclass(frozen=True)
class Bench:
    """What every candidate and every baseline is held against.

    Args:
        recipe: the contract, with the terms.
        builds: where the teacher's answers are kept.
        prompts: the prompt set, whose golden rows are used.
        teacher: the teacher.
        teacher_mb: memory that serving this teacher takes, where it was measured before; starting it costs seconds.
        meter: measures speed and memory.
        served_on: where the teacher is timed, see `serving_device`.
    """

    recipe: Recipe
    builds: BuildStore
    prompts: Artifact
    teacher: Artifact
    teacher_mb: float | None = None
    meter: Meter = THIS_MACHINE
    served_on: Device = CPU

    @cached_property
    def golden(self) -> pl.DataFrame:
        """The golden rows, in one fixed order."""
        return self.prompts.frame("prompts").filter(pl.col("split") == "golden").sort("prompt_id")

    @property
    def texts(self) -> list[str]:
        """Golden texts in the order of `golden`."""
        return self.golden["text"].to_list()

    @property
    def groups(self) -> str | None:
        """Golden column whose equal values are rows that stand or fall together."""
        column = self.recipe.data.group
        return column if column in self.golden.columns else None

    @cached_property
    def _teacher_facts(self) -> TeacherFacts:
        return self.teacher.facts(TeacherFacts)

    @property
    def task(self) -> Task:
        """What an answer is, in the teacher's order."""
        return self._teacher_facts.task

    def depends_on(self) -> dict[str, Any]:
        """What a judgement depends on beside the model that is judged."""
        columns = {"text", "label", *(item.column for item in self.recipe.slices), *feature_columns(self.golden)}
        columns |= {item.column for item in self.recipe.sensitive}
        return {
            # As written: an id is of a text whatever its case, of which a model may make something else.
            "golden": digest_of(self.golden.select(pl.col("prompt_id", *sorted(columns)).cast(pl.String)).rows()),
            "teacher": self.teacher.digest,
            **self.recipe.data.particulars,
            "terms": self.recipe.terms.model_dump(mode="json"),
            "usd_per_hour": self.recipe.machine_usd_per_hour,
            "groups": self.groups,
            **self.asked_again(self._asked),
        }

    def asked_again(self, rows: pl.DataFrame) -> dict[str, list[str]]:
        """See `SignalStore.asked_again`; of a teacher behind no server everything is final."""
        if not self.recipe.teacher.servers:
            return {}
        return self.signal.asked_again(rows["prompt_id"].to_list(), self._teacher_facts.fingerprint)

    def log_golden_read(self, reader: Reader) -> None:
        """Tell the ledger that somebody is judged on the golden rows, so that it is known how often they were used."""
        log_golden_read(
            self.builds.ledger,
            reader.recipe,
            golden=self.prompts.facts(PromptFacts).golden_digest,
            split_key=self.prompts.manifest.config["split"]["key"],
            reader=reader.stage,
            run_id=reader.run_id,
        )

    @cached_property
    def signal(self) -> SignalStore:
        """What the teacher has said."""
        return signal_store(self.builds)

    def capture_golden(self) -> CaptureReport:
        """Ask the teacher whatever golden rows it was never asked, perturbed ones too where the recipe says so."""
        return capture(self._asked, self.teacher, self.recipe.teacher, self.builds)

    @property
    def _asked(self) -> pl.DataFrame:
        """All that the teacher is asked to judge by, `prompt_id` and `text`."""
        golden = self.golden.select("prompt_id", "text")
        return pl.concat([golden, harder(self.recipe, golden)])

    @property
    def _perturbed(self) -> dict[str, FloatArray]:
        """What the teacher said under stress, where it was asked as rows are."""
        stress = self.recipe.stress
        if stress is None or not stress.ask_teacher:
            return {}
        return said_under_stress(stress, self.golden, self.signal, self._teacher_facts.fingerprint, self.task)

    @property
    def runs_here(self) -> bool:
        """Whether the teacher is an encoder, which is timed and asked beside its students."""
        return self.recipe.teacher.runs_here

    @cached_property
    def evaluated_teacher(self) -> EvaluatedModel:
        """The teacher's stored answers as students are compared with them.

        A golden row without an answer counts as right: what is not known of the teacher is no win of a student. What is
        no record of its text is known, and wrong.

        Raises:
            StillhouseError: if it did not answer every golden row.
        """
        outputs = self._said_of_golden_rows(self._teacher_facts.fingerprint)
        silent = outputs.filter(pl.col("failure").is_not_null() & ~_IS_KNOWN_TO_BE_WRONG)
        limit = self.recipe.limits.unanswered_prompts_at_most
        if silent.height > limit * outputs.height:
            raise StillhouseError(
                f"{silent.height:,} of {outputs.height:,} golden rows have no answer of the teacher: "
                f"{silent['failure'][0]}, such as prompt {silent['prompt_id'][0]}",
                where=str(self.teacher.address),
                expected=f"at most {limit:.0%} without, since students are compared with it row by row",
                do="Ask the teacher these texts, or look at the prompt that it is asked with.",
            )
        return EvaluatedModel(
            "teacher",
            ModelKind.TEACHER,
            self.with_answers(outputs, right=True),
            self._teacher_bytes,
            temperature=self._teacher_facts.temperature,
            digest=self.teacher.digest,
            predict_logits=self.ask_teacher if self.runs_here else None,
            perturbed=self._perturbed,
            note=f"{silent.height:,} golden rows without an answer count as right" if silent.height else "",
        )

    @property
    def teacher_as_asked(self) -> EvaluatedModel:
        """The teacher as callers would get it, who have no answer where it gives none: those rows count as wrong."""
        outputs = self._said_of_golden_rows(self._teacher_facts.fingerprint)
        return replace(self.evaluated_teacher, outputs=self.with_answers(outputs, right=False))

    @property
    def _teacher_bytes(self) -> int | None:
        """Size of the teacher's files; None where it is not on this machine."""
        if self._teacher_facts.language_model is not None:
            return self._teacher_facts.language_model.bytes
        return bytes_below(self.teacher.folder / MODEL) if self.runs_here else None

    @property
    def members(self) -> list[EvaluatedModel]:
        """The members of a teacher that is an ensemble; what they did not answer counts as wrong."""
        return [
            EvaluatedModel(
                name,
                ModelKind.TEACHER,
                self.with_answers(self._said_of_golden_rows(each.fingerprint), right=False),
                None,
                temperature=each.temperature,
            )
            for name, each in self._teacher_facts.members.items()
        ]

    def _said_of_golden_rows(self, fingerprint: str) -> pl.DataFrame:
        return self.signal.read(self.golden["prompt_id"].to_list(), fingerprint)

    def with_answers(self, outputs: pl.DataFrame, *, right: bool) -> pl.DataFrame:
        """Let golden rows that were not answered count as right ones, or as wrong ones: against whoever is to win.

        Those that were answered with what is no record of them count as wrong ones.
        """
        answered, silent = (
            outputs.filter(each) for each in (pl.col("failure").is_null(), pl.col("failure").is_not_null())
        )
        if silent.is_empty():
            return outputs
        parts = [answered]
        for rows, counts in (
            (silent.filter(~_IS_KNOWN_TO_BE_WRONG), right),
            (silent.filter(_IS_KNOWN_TO_BE_WRONG), False),
        ):
            labels = rows.select("prompt_id").join(self.golden, on="prompt_id", maintain_order="left")["label"]
            given = self.task.unanswered(self.task.targets(labels), right=counts).tolist()
            parts.append(rows.with_columns(pl.Series("logits", given, dtype=outputs.schema["logits"])))
        return pl.concat(parts)

    @cached_property
    def teacher_model(self) -> "TorchClassifier":
        """The teacher itself, for its speed and for texts that are no golden rows."""
        from stillhouse.models.predictor import TorchClassifier

        return TorchClassifier(self.teacher.folder / MODEL)

    @cached_property
    def _served_teacher(self) -> "TorchClassifier":
        """The teacher as its callers have it."""
        from stillhouse.models.predictor import TorchClassifier

        if self.served_on == CPU:
            return self.teacher_model
        return TorchClassifier(self.teacher.folder / MODEL, self.served_on)

    @property
    def teacher_device(self) -> str | None:
        """What the GPU is called that the teacher is timed on; None where it has the CPU of its students."""
        return None if self.served_on == CPU else self.served_on.card

    @cached_property
    def _told(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def ask_teacher(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        """The teacher's logits of texts that are no golden rows; each is computed once, however many are judged."""
        unasked = [text for text in dict.fromkeys(texts) if text not in self._told]
        if unasked:
            self._told.update(zip(unasked, self.teacher_model.logits(unasked), strict=True))
        return np.stack([self._told[text] for text in texts])

    @property
    def longest_texts(self) -> list[str]:
        """The texts that memory is measured on."""
        return sorted(self.texts[: self.meter.timed_texts], key=len)[-TEXTS_OF_FOOTPRINT:]

    @cached_property
    def teacher_memory_mb(self) -> float | None:
        """Memory that serving the teacher takes; None where it does not run here, or not on the CPU."""
        if not self.runs_here or self.served_on != CPU:
            return None
        return self.teacher_mb or self.meter.memory_mb(self.teacher.folder / MODEL, self.longest_texts)

    def footprint(self, folder: Path | None) -> Footprint:
        """Memory that serving takes, of the teacher and of a model that has a folder to be served from."""
        texts = self.longest_texts
        student_mb = None if folder is None else self.meter.memory_mb(folder, texts)
        return Footprint(teacher_mb=self.teacher_memory_mb, student_mb=student_mb, texts=len(texts))

    def judge_hosted(self, model: EvaluatedModel) -> Evaluation:
        """Judge a model behind a server, of which is known what its answers cost and took."""
        return self._judged(model)

    def judge(self, models: Sequence[JudgedModel]) -> list[Evaluation]:
        """Measure models against the teacher: quality on all golden rows, latency and memory on some of them.

        All are timed together, so that they and the teacher had the same machine, as busy as it was.
        """
        with one_thread():
            latencies = self.meter.latencies(
                (lambda text: self._served_teacher.logits([text])) if self.runs_here else None,
                {model.evaluated.name: model.predict for model in models},
                self.texts[: self.meter.timed_texts],
                rounds=self.recipe.budget.latency_rounds,
                teacher_device=self.teacher_device,
            )
        evaluations = []
        for number, model in enumerate(models, start=1):
            evaluations.append(
                self._judged(
                    model.evaluated,
                    latency=latencies[model.evaluated.name],
                    footprint=self.footprint(model.folder),
                )
            )
            progress.step("judging", number, len(models), model.evaluated.name)
        return evaluations

    def _judged(
        self, model: EvaluatedModel, latency: LatencyComparison | None = None, footprint: Footprint | None = None
    ) -> Evaluation:
        return evaluate(
            model,
            self.evaluated_teacher,
            self.golden,
            self.recipe.terms,
            task=self.task,
            latency=latency,
            footprint=footprint,
            machine_usd_per_hour=self.recipe.machine_usd_per_hour,
            groups=self.groups,
        )


def bytes_below(folder: Path) -> int:
    """Size of a folder on disk."""
    return sum(path.stat().st_size for path in files_below(folder))


@contextmanager
def one_thread() -> Iterator[None]:
    """Time with one thread, as a server that handles one request on one core would; CPU time is of that thread."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):  # numpy's, for the heads of probes
            yield
    finally:
        torch.set_num_threads(threads)
