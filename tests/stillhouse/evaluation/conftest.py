"""A small, exact world for the harness: models whose right and wrong answers are chosen row by row."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.measures.latency import CpuTime, DeviceStamp, LatencyComparison
from stillhouse.evaluation.models import EvaluatedModel, ModelKind, PredictLogits
from stillhouse.recipe.bar import BarSpec, BehaviourSpec, BudgetSpec, SliceSpec, StressSpec, Terms
from stillhouse.tasks.single_label import SingleLabel

CLASSES = ("balance", "block", "travel")
DEVICE = DeviceStamp(cpu="test processor", cores=2, threads=1, system="Linux x86_64", python="3.11", shared_host=False)


def prompt_id(row: int) -> str:
    return hashlib.sha256(str(row).encode()).hexdigest()[:32]


@cache
def make_golden(rows: int) -> pl.DataFrame:
    """Labels take turns; the first half of the rows is of channel 'app', the second of 'phone'."""
    return pl.DataFrame(
        {
            "prompt_id": [prompt_id(row) for row in range(rows)],
            "text": [f"text <b>{row}</b>" for row in range(rows)],
            "label": [CLASSES[row % 3] for row in range(rows)],
            "channel": ["app" if row < rows // 2 else "phone" for row in range(rows)],
        }
    )


def make_outputs(rows: int, wrong: Sequence[int], sure: float = 3.0) -> pl.DataFrame:
    """Right everywhere but on the rows given, where the next class is answered; in shuffled order."""
    answered = np.arange(rows)
    answered[np.asarray(wrong, dtype=np.int64)] += 1
    logits = pl.Series(np.eye(3)[answered % 3] * sure).arr.to_list()
    frame = make_golden(rows).select("prompt_id", logits=logits)
    return frame.sample(fraction=1.0, shuffle=True, seed=7)


def make_subject(
    rows: int,
    wrong: Sequence[int] = (),
    *,
    name: str = "student",
    kind: ModelKind = ModelKind.STUDENT,
    size_bytes: int = 10_000_000,
    sure: float = 3.0,
) -> EvaluatedModel:
    return EvaluatedModel(name, kind, make_outputs(rows, wrong, sure), size_bytes)


def make_latency(
    ratio: float = 8.0,
    spread: float = 0.05,
    student_ms: float = 5.0,
    *,
    wall_ratio: float | None = None,
    waiting_share: float = 0.0,
    shared_host: bool | None = False,
) -> LatencyComparison:
    """CPU time has this ratio; wall time the same one unless it is given."""
    cpu = CpuTime(
        teacher_ms=student_ms * ratio,
        student_ms=student_ms,
        ratio=ratio,
        ratio_low=ratio * (1 - spread),
        ratio_high=ratio * (1 + spread),
        waiting_share=waiting_share,
    )
    ratio = wall_ratio or ratio
    return LatencyComparison(
        cpu=cpu,
        teacher_ms_p50=student_ms * ratio,
        teacher_ms_p95=student_ms * ratio * 1.5,
        teacher_ms_p99=student_ms * ratio * 2,
        teacher_calls_per_second=1000 / (student_ms * ratio),
        student_ms_p50=student_ms,
        student_ms_p95=student_ms * 1.5,
        student_ms_p99=student_ms * 2,
        student_calls_per_second=1000 / student_ms,
        ratio=ratio,
        ratio_low=ratio * (1 - spread),
        ratio_high=ratio * (1 + spread),
        rounds=5,
        texts=20,
        device=DEVICE.model_copy(update={"shared_host": shared_host}),
    )


SLICES = (
    SliceSpec(name="app", column="channel", values=("app",), critical=True),
    SliceSpec(name="phone", column="channel", values=("phone",), critical=False),
)
BAR = BarSpec(margin=0.03)
BUDGET = BudgetSpec(latency_ratio_at_least=4, size_ratio_at_least=8)


@pytest.fixture
def run() -> Callable[..., Evaluation]:
    """Evaluate a model that is wrong on `wrong` against a teacher that is wrong on `teacher_wrong`."""

    def evaluate_model(
        rows: int = 1200,
        wrong: Sequence[int] = (),
        teacher_wrong: Sequence[int] = (),
        *,
        name: str = "student",
        kind: ModelKind = ModelKind.STUDENT,
        size_bytes: int = 10_000_000,
        latency: LatencyComparison | None = make_latency(),  # noqa: B008
        slices: Sequence[SliceSpec] = SLICES,
        bar: BarSpec = BAR,
        budget: BudgetSpec = BUDGET,
        **measured: Any,
    ) -> Evaluation:
        teacher = make_subject(rows, teacher_wrong, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
        subject = make_subject(rows, wrong, name=name, kind=kind, size_bytes=size_bytes)
        terms = Terms(bar=bar, budget=budget, slices=tuple(slices))
        return evaluate(
            subject, teacher, make_golden(rows), terms, task=SingleLabel(tuple(CLASSES)), latency=latency, **measured
        )

    return evaluate_model


@pytest.fixture
def golden() -> Callable[[int], pl.DataFrame]:
    return make_golden


@pytest.fixture
def subject() -> Callable[..., EvaluatedModel]:
    return make_subject


@pytest.fixture
def latency() -> Callable[..., LatencyComparison]:
    return make_latency


def answers_rightly(texts: Sequence[str]) -> np.ndarray:
    """The class of a text's own number, as the golden rows have it; the first where there is none."""
    numbers = [int(re.sub(r"\D", "", text) or 0) for text in texts]
    return np.eye(3)[[number % 3 for number in numbers]]


def answers_block(texts: Sequence[str]) -> np.ndarray:
    """The same class whatever is asked."""
    return np.tile([0.0, 3.0, 0.0], (len(texts), 1))


@pytest.fixture
def probed() -> Callable[..., Evaluation]:
    """Evaluate a model without mistakes on 300 golden rows that is asked one behavioural case and under a template."""

    def evaluate_model(ask: PredictLogits | None, *, critical: bool = True, **stress: Any) -> Evaluation:
        teacher = make_subject(300, name="teacher", kind=ModelKind.TEACHER, size_bytes=400_000_000)
        case = {"text": "where is my money", "label": "balance"}
        test = {"name": "plain words", "kind": "minimum", "critical": critical, "cases": [case]}
        return evaluate(
            replace(make_subject(300), predict_logits=ask), replace(teacher, predict_logits=answers_rightly),
            make_golden(300),
            Terms(
                bar=BarSpec(margin=0.1), budget=BUDGET, behaviour=(BehaviourSpec.model_validate(test),),
                stress=StressSpec(perturbations=(), templates=("so: {text}",), **stress),
            ),
            task=SingleLabel(tuple(CLASSES)), latency=make_latency(),
        )  # fmt: skip

    return evaluate_model
