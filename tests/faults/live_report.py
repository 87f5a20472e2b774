"""Faults of a day of live answers, in a copy of the finished installation: its champion, its teacher, made traffic.

Belongs here: a day as it should be, and how each fault is planted.
Does not: what is asked of it (test_live_report.py).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from orchestration.watch import look
from stillhouse.live.segments import COLUMNS, TrafficStore, day_at, sealed
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import serving_now
from stillhouse.records.replicas import Heartbeat, beat
from stillhouse.release.bundle import MODEL
from stillhouse.release.cascade import Cascade, Rule, TeacherOnCall
from stillhouse.stages.names import LIVE_REPORT
from stillhouse.statistics.fixed_sequence import CascadeThreshold
from stillhouse.tasks import task_of
from tests.faults.bench import NAME, Bench, Fault, Plant, rows

TRAFFIC = {"feedback": "complete", "matures_after_days": 0}
WATCH = {"ask_teacher": 1.0, "ask_when_drifting": 1.0, "latency_ms": 1000.0}
ANSWERS = 400


def answers(builds: BuildStore) -> pl.DataFrame:
    """What the champion says now to real questions, with the question and the truth beside it."""
    champion = serving_now(builds.ledger, NAME).champion
    model = OnnxClassifier(builds.artifact(champion.release, champion.manifest).folder / MODEL)
    asked = rows(ANSWERS, skip=1200)  # which nobody has trained on
    task = task_of("single_label", model.labels)
    logits = np.concatenate([model.logits([text]) for text in asked["question"]])
    confidence = task.confidence(logits, model.temperature)
    assert confidence is not None
    values: dict[str, Any] = {
        "replica": "r1", "number": range(1, ANSWERS + 1), "id": [f"id{place}" for place in range(ANSWERS)],
        "at": time.time(),
        "release": champion.release, "deployment": 1, "source": "student", "label": task.written(task.answers(logits)),
        "confidence": confidence, "degraded": False, "status": 200, "latency_ms": 1.0,
        "characters": asked["question"].str.len_chars(), "tokens": 10, "key": None,
        "arm": "champion", "student_label": None, "student_confidence": None, "wanted_share": None, "kept_share": 1.0,
        "columns": None,
    }  # fmt: skip
    schema = {"replica": pl.String, **COLUMNS["requests"]}
    whole = {name: value if hasattr(value, "__len__") and not isinstance(value, str) else [value] * ANSWERS
             for name, value in values.items()}  # fmt: skip
    return pl.DataFrame(whole, schema=schema).with_columns(text=asked["question"], truth=asked["service"])


Change = Callable[[pl.DataFrame], pl.DataFrame]


def a_day(bench: Bench, change: Change = lambda frame: frame, **watch: float) -> RecipeFile:
    """A day of the champion's answers, begun to be watched before the first of them; something may be done to them."""
    file = bench.recipe(traffic=TRAFFIC, watch={**WATCH, **watch})
    look(bench.place.builds, file, at=time.time() - 60)
    keep(bench.place.builds, change(answers(bench.place.builds)))
    return file


def keep(builds: BuildStore, day: pl.DataFrame) -> None:
    """Seal answers, texts and truths of today as a server does."""
    store, nobody, today = TrafficStore(builds.home.artifacts, NAME), pl.lit(None, dtype=pl.String), day_at(time.time())
    store.put(today, "texts", sealed(day.select("replica", "number", "id", "text")))
    said = day.select("replica", pl.col("number") + 10_000, "id", "at", "truth", by=nobody)
    store.put(today, "feedback", sealed(said))
    store.put(today, "requests", sealed(day.select("replica", *COLUMNS["requests"])))


def with_(change: Change, **watch: float) -> Plant:
    return lambda bench: a_day(bench, change, **watch)


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    """As sure as before, and of the same labels, given to other questions."""
    return frame.with_columns(pl.col("label").shuffle(seed=1))


def with_a_teacher_that_has_changed(bench: Bench) -> RecipeFile:
    """Its weights hash to what they were, and its answers are others: as after an update of what runs it."""

    def put(real: Any) -> Any:
        def ask(teacher: Any, prompts: pl.DataFrame) -> pl.DataFrame:
            said = real(teacher, prompts)
            return said.with_columns(pl.col("logits").list.eval(pl.element() * 0.5))

        return ask

    bench.patch("stillhouse.teachers.teacher:NetworkTeacher.ask", put)
    return a_day(bench)


def with_a_cascade_that_keeps_everything(bench: Bench) -> RecipeFile:
    """Its release says that a teacher is behind it, and hands nothing on."""
    threshold = CascadeThreshold(
        threshold=0.0, handed_on=0.0, rows=300, margin=0.01, delta=0.1, lost=0, won=0, p_value=0.05, next_p_value=None
    )
    teacher = TeacherOnCall.model_construct()
    cascade = Cascade(rule=Rule(threshold=threshold, protected=()), golden_share=0.0, teacher=teacher)
    bench.patch("stillhouse.stages.live_reference:cascade_in", lambda real: lambda folder: cascade)
    return a_day(bench, shuffled)


def with_a_server_that_holds_too_much(bench: Bench) -> RecipeFile:
    """Its process has held three times what the recipe allows for two minutes."""
    ledger = bench.place.builds.ledger
    at = datetime.fromtimestamp(time.time() - 70, UTC).isoformat()
    serves = serving_now(ledger, NAME)
    beat(ledger.url, Heartbeat("r1", NAME, serves.number, serves.champion.release, None, at, 900.0, 900.0))
    return a_day(bench, memory_mb_at_most=300.0)


def advice(name: str, gate: str, plant: Plant, says: str) -> Fault:
    return Fault(name, LIVE_REPORT, gate, plant, says, advice=True)
