"""What tests spare: measuring the machine, drawing, and making what another test has made.

Belongs here: stand-ins that change how long a test takes and nothing of what it asks.
Does not: databases (quick_dagster.py), the installations that stand on them (conftest.py).
"""

import functools
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from filelock import FileLock
from pydantic import BaseModel
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from orchestration.resources import RESOURCES
from stillhouse.digests import digest_of
from stillhouse.evaluation.baselines.fitted import Baseline, constant
from stillhouse.evaluation.baselines.options import Option
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.latency import CpuTime, LatencyComparison, device_stamp
from stillhouse.evaluation.measures.meter import Meter
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.stages.bench import Bench, JudgedModel, bytes_below
from stillhouse.stages.names import CANDIDATES, EXPORTS, TEACHER, kind_of
from stillhouse.students.static_embeddings import StaticEmbeddings
from stillhouse.tasks.task import Task
from tests.small import Measured

RATIO = 3.0
"""How many times faster than the teacher everything is where nothing is measured."""
TEACHER_MB, EXPORT_MB = 500.0, 70.0


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one session have, and no other session."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def spare_measuring(patches: pytest.MonkeyPatch) -> None:
    """Let every model be as fast and as large in memory as every other one, without starting a process for each."""
    patches.setitem(RESOURCES, "meter", Meter(_latencies, _memory))


def _latencies(
    teacher: Any, models: Mapping[str, Any], texts: Sequence[str], *, rounds: int, teacher_device: str | None
) -> dict[str, Any]:
    around = {"ratio": RATIO, "ratio_low": 0.95 * RATIO, "ratio_high": 1.05 * RATIO}
    if teacher is None:
        around = dict.fromkeys(around)
    parts = ("ms_p50", "ms_p95", "ms_p99", "calls_per_second")
    of_teacher = (RATIO, RATIO, RATIO, 1000 / RATIO) if teacher else (None,) * len(parts)
    speeds = {"teacher": of_teacher, "student": (1.0, 1.0, 1.0, 1000.0)}
    each = LatencyComparison(
        **{f"{who}_{part}": value for who, values in speeds.items() for part, value in zip(parts, values, strict=True)},
        **around,
        rounds=rounds,
        texts=len(texts),
        device=device_stamp(),
        cpu=CpuTime(teacher_ms=RATIO if teacher else None, student_ms=1.0, waiting_share=0.0, **around),
        teacher_device=teacher_device,
    )
    return dict.fromkeys(models, each)


def _memory(folder: Path, texts: Sequence[str]) -> float:
    return EXPORT_MB if (folder / "model.onnx").is_file() else TEACHER_MB


def spare_drawing(patches: pytest.MonkeyPatch) -> None:
    """Show every picture by its name alone. What is on them is asked of the report; servers and processes draw them."""
    patches.setattr("assets.pictures.picture", _named)
    patches.setattr("stillhouse.report.document.figures_of", lambda about: {})


def _named(context: Any, artifact: Any, name: str, *drawing: Any, **how: Any) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![{name}](not drawn)")


def spare_baselines(patches: pytest.MonkeyPatch) -> None:
    """Let every baseline that asks a network answer as the majority class does, and be as large as that network; and
    the one that takes values out of texts, since rows that a program made have rules that it finds."""
    patches.setattr("stillhouse.evaluation.baselines.fitted.linear_probe", _unfitted)
    patches.setattr("stillhouse.evaluation.baselines.words_and_shapes.words_and_shapes", _without_rules)
    patches.setattr("stillhouse.students.static_embeddings.static_embeddings", _no_vectors)
    patches.setattr("stillhouse.stages.baselines._in_int8", _not_exported)


def _unfitted(
    embed: Any,
    labelled: Sequence[str],
    labels: Sequence[str],
    texts: Sequence[str],
    *,
    task: Task,
    encoder_bytes: int,
    name: str,
) -> Baseline:
    return replace(constant(labels, texts, task=task), name=name, size_bytes=encoder_bytes)


def _without_rules(read: Sequence[str], labels: Sequence[str], texts: Sequence[str], *, task: Task) -> Baseline:
    return replace(constant(labels, texts, task=task), name=Option.WORDS_AND_SHAPES)


def _no_vectors(teacher: Path) -> StaticEmbeddings:
    return StaticEmbeddings(np.zeros((0, 1), np.int8), Tokenizer(WordPiece()), bytes_below(teacher))


def _not_exported(
    name: str, model: Path, exported: Path, note: str, bench: Bench, validation: pl.DataFrame
) -> JudgedModel:
    as_majority = constant(validation["label"].to_list(), bench.texts, task=bench.task)
    named = replace(as_majority, name=name, size_bytes=bytes_below(model), note=note)
    return JudgedModel(named.evaluated(bench.golden["prompt_id"].to_list()), named.predict)


def remember_builds(patches: pytest.MonkeyPatch, shared: Path) -> None:
    """Give what another test built for the same order: a teacher, a student or its export.

    Each installation publishes, records and gates it as its own; only the computing is not done twice. Not for a test
    that replaces a part of the computing: the order would be the same.
    """
    patches.setattr(BuildStore, "make", _remembering(BuildStore.make, shared))


def remember_baselines(patches: pytest.MonkeyPatch, shared: Path) -> None:
    """Give baselines as another test judged them on the same golden rows beside the same teacher."""
    judge_all = import_module("stillhouse.stages.baselines")._judge_all
    patches.setattr("stillhouse.stages.baselines._judge_all", functools.partial(_judged, judge_all, shared))


def _remembering(make: Callable[..., Any], shared: Path) -> Callable[..., Any]:
    def remembered(builds: BuildStore, order: BuildRequest, build: Callable[[Path], BaseModel]) -> Any:
        if kind_of(order.stage) not in (TEACHER, CANDIDATES, EXPORTS):
            return make(builds, order, build)
        return make(builds, order, functools.partial(_built, build, shared / order.build_key))

    return remembered


def _built(build: Callable[[Path], BaseModel], kept: Path, folder: Path) -> BaseModel:
    with FileLock(f"{kept}.lock"):
        facts = kept / "facts.json"
        if not facts.exists():
            measured = build(folder)
            shutil.copytree(folder, kept / "files")
            facts.write_text(measured.model_dump_json())
            return measured
    shutil.copytree(kept / "files", folder, dirs_exist_ok=True)
    return Measured.model_validate_json(facts.read_text())


def _judged(judge_all: Callable[..., list[Evaluation]], shared: Path, file: Any, bench: Any, known: Any) -> Any:
    asked = {**bench.depends_on(), "known": known.select("prompt_id", "label", "split").rows()}
    kept = shared / f"baselines-{digest_of(asked)}.json"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            judged = judge_all(file, bench, known)
            kept.write_text(json.dumps([each.model_dump(mode="json") for each in judged]))
    return [Evaluation.model_validate(each) for each in json.loads(kept.read_text())]
