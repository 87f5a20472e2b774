"""What is evaluated: a model's answers, aligned with the golden set by prompt id.

Belongs here: the model, the alignment of its outputs with golden rows.
Does not: running the model that gave the answers, the digest of the golden set (data/splits.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.arrays import FloatArray, IntArray
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.hosted import Hosted
from stillhouse.tasks.task import Targets, Task

PredictLogits = Callable[[Sequence[str]], npt.NDArray[Any]]
"""From n texts to logits of shape (n, outputs)."""


class ModelKind(StrEnum):
    """What role a model plays in an evaluation."""

    TEACHER = "teacher"
    STUDENT = "student"
    CONTROL = "control"
    """The same student trained on labels only: shows whether the teacher helped; never shipped."""
    BASELINE = "baseline"
    """A do-nothing option: if it clears the bar, take it and distil nothing."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A model seen through its answers on the golden set.

    Args:
        name: what reports call it.
        kind: its role.
        outputs: its logits by prompt id: a frame with `prompt_id` and `logits` (list or array of floats, one
            per class), or a mapping from prompt id to logits. Log-probabilities are logits too.
        size_bytes: what the artifact that would ship weighs; None of a teacher that does not run here, and of a model
            behind a server.
        temperature: what serving divides the logits by; affects probabilities, never which class is answered.
        digest: content digest of the artifact, for the record.
        note: one line for the report, such as how it was made.
        seed: what it was trained with; needed where there are more.
        more_seeds: outputs of the same model trained with other seeds, by seed.
        predict_logits: answers texts that are no golden rows, as it will when it serves; without it nothing that takes
            new texts can be shown.
        hosted: of a baseline behind a server, what its answers cost and took.
        perturbed: of a teacher that is not asked by `predict_logits` what it said to the golden texts of a stress test,
            by perturbation, shape (rows, outputs); not a number where nothing is known of a row yet.
    """

    name: str
    kind: ModelKind
    outputs: pl.DataFrame | Mapping[str, Sequence[float]]
    size_bytes: int | None
    temperature: float = 1.0
    digest: str | None = None
    note: str = ""
    seed: int | None = None
    more_seeds: Mapping[int, pl.DataFrame | Mapping[str, Sequence[float]]] = field(default_factory=dict)
    predict_logits: PredictLogits | None = field(default=None, compare=False, repr=False)
    hosted: Hosted | None = None
    perturbed: Mapping[str, FloatArray] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a size that would make every ratio meaningless, and further seeds without the first."""
        if self.more_seeds and (self.seed is None or self.seed in self.more_seeds):
            raise ValueError(f"{self.name}: further seeds {sorted(self.more_seeds)} beside seed {self.seed}")
        known = self.size_bytes is not None and self.size_bytes > 0
        elsewhere = self.kind is ModelKind.TEACHER or self.hosted is not None
        if not known and not (self.size_bytes is None and elsewhere):
            raise StillhouseError(
                f"its size is {self.size_bytes} bytes",
                where=f"{self.kind} '{self.name}'",
                expected="the bytes of the artifact that would ship",
                do="Measure the exported folder and pass its size.",
            )


def align(model: EvaluatedModel, golden: pl.DataFrame, task: Task) -> FloatArray:
    """Put a model's logits in the order of the golden rows, by prompt id and never by position.

    Args:
        model: the model and its answers.
        golden: frame with `prompt_id`.
        task: what an answer is.

    Returns:
        Shape (golden rows, outputs).

    Raises:
        StillhouseError: if an id is missing on either side or given twice, or logits are missing, ragged or
            not finite.
    """
    where = f"outputs of {model.kind} '{model.name}'"
    frame = _as_frame(model.outputs, where)
    _refuse_duplicates(frame, where)
    ids = golden.select("prompt_id")
    _refuse_missing(ids.join(frame, on="prompt_id", how="anti"), where, "golden rows have no output")
    _refuse_missing(
        frame.join(ids, on="prompt_id", how="anti"),
        where,
        "outputs are of prompts that are not in the golden set",
    )
    column = ids.join(frame, on="prompt_id", how="left", maintain_order="left")["logits"]
    lengths = column.list.len()
    if lengths.null_count() or not bool((lengths == len(task.names)).all()):
        found = sorted(set(lengths.to_list()), key=str)[:5]
        raise StillhouseError(
            f"some rows do not have {len(task.names)} logits (found {found})",
            where=where,
            expected=f"one logit for each of the {len(task.names)} outputs, in the order of the teacher's",
            do=("Check that the model's id2label has the same classes as the recipe, then capture its outputs again."),
        )
    logits = column.explode(empty_as_null=True).to_numpy().astype(np.float64).reshape(golden.height, len(task.names))
    if not np.isfinite(logits).all():
        raise StillhouseError(
            f"{int((~np.isfinite(logits)).any(axis=1).sum())} rows have logits that are not finite",
            where=where,
            expected="finite numbers",
            do="Look at the model's training run for divergence, or at its export.",
        )
    return logits


def answers_to(model: EvaluatedModel, texts: Sequence[str], task: Task) -> FloatArray | None:
    """Ask a model texts that are no golden rows.

    Args:
        model: the model.
        texts: what it is asked.
        task: what an answer is.

    Returns:
        Logits of shape (texts, outputs), in the order of the texts; None if the model cannot be asked.

    Raises:
        StillhouseError: if the answers are of another shape or not finite.
    """
    if model.predict_logits is None:
        return None
    logits = np.asarray(model.predict_logits(texts), dtype=np.float64)
    if logits.shape != (len(texts), len(task.names)) or not np.isfinite(logits).all():
        raise StillhouseError(
            f"{len(texts)} texts were answered by {'x'.join(map(str, logits.shape))} logits, all of them finite: "
            f"{bool(np.isfinite(logits).all())}",
            where=f"answers of {model.kind} '{model.name}'",
            expected=f"a finite logit for each text and each of the {len(task.names)} outputs",
            do="Look at the model's export, or at what EvaluatedModel.predict_logits calls.",
        )
    return logits


def golden_targets(golden: pl.DataFrame, task: Task) -> Targets:
    """Labels of the golden rows as numbers.

    Args:
        golden: frame with `prompt_id` and `label`.
        task: what an answer is.

    Returns:
        Shape (golden rows,).

    Raises:
        StillhouseError: if there are no rows, an id is given twice, or a label is missing or not one of the
            task's.
    """
    for column in ("prompt_id", "label"):
        if column not in golden.columns:
            raise StillhouseError(
                f"there is no column '{column}'",
                where="golden set",
                expected="prompt_id and label",
                do="Materialize the prompts again.",
            )
    if golden.is_empty():
        raise StillhouseError(
            "there are no rows",
            where="golden set",
            expected="labelled rows",
            do="Add golden rows to the source.",
        )
    _refuse_duplicates(golden, "golden set")
    unknown = golden.filter(~task.holds(golden["label"]))
    if not unknown.is_empty():
        shown = unknown["label"].unique(maintain_order=True).to_list()[:5]
        raise StillhouseError(
            f"{unknown.height} rows have a label the models do not know: {shown}",
            where="golden set",
            expected="a class of the teacher" if task.classes else "an answer of this kind",
            do="Label those rows, or add the class to the recipe and teach it.",
        )
    return task.targets(golden["label"])


def group_codes(golden: pl.DataFrame, column: str) -> IntArray:
    """Which golden rows belong together, whatever their order.

    Args:
        golden: frame with `prompt_id` and `column`.
        column: equal values belong together; a row without one stands alone.

    Returns:
        Shape (golden rows,), equal where rows belong together.

    Raises:
        StillhouseError: if there is no such column.
    """
    if column not in golden.columns:
        raise StillhouseError(
            f"the golden set has no column '{column}'",
            where="groups of golden rows",
            expected=f"one of {', '.join(sorted(golden.columns))}",
            do="Correct data.group in the recipe, or add the column to the source.",
        )
    # The first sort key keeps a row without a group apart from a group of the same name.
    group = pl.col(column).cast(pl.String)
    keys = golden.select(group.is_null().alias("alone"), pl.coalesce(group, "prompt_id").alias("key"))
    codes: IntArray = keys.select(pl.struct("alone", "key").rank("dense")).to_series().to_numpy().astype(np.int64)
    return codes


def _as_frame(outputs: pl.DataFrame | Mapping[str, Sequence[float]], where: str) -> pl.DataFrame:
    if not isinstance(outputs, pl.DataFrame):
        return pl.DataFrame(
            {"prompt_id": list(outputs), "logits": [list(row) for row in outputs.values()]},
            schema={"prompt_id": pl.String, "logits": pl.List(pl.Float64)},
        )
    if not {"prompt_id", "logits"} <= set(outputs.columns):
        raise StillhouseError(
            f"it has the columns {', '.join(outputs.columns)}",
            where=where,
            expected="prompt_id and logits",
            do="Pass the signal or prediction table as it was written.",
        )
    return outputs.select("prompt_id", pl.col("logits").cast(pl.List(pl.Float64)))


def _refuse_duplicates(frame: pl.DataFrame, where: str) -> None:
    repeated = frame.filter(pl.col("prompt_id").is_duplicated())["prompt_id"].unique(maintain_order=True)
    if len(repeated):
        raise StillhouseError(
            f"{len(repeated)} prompt ids occur more than once, such as {repeated[0]}",
            where=where,
            expected="each prompt id once",
            do="Remove the duplicates where the table is made.",
        )


def _refuse_missing(rows: pl.DataFrame, where: str, what: str) -> None:
    if not rows.is_empty():
        raise StillhouseError(
            f"{rows.height} {what}, such as {rows['prompt_id'][0]}",
            where=where,
            expected="exactly the prompt ids of the golden set",
            do="Materialize the outputs again for this golden set, and pass only its rows.",
        )
