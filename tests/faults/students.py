"""Faults of trained and of exported students, in a copy of a finished installation.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.recipe.fields import Precision
from stillhouse.recipe.reading import RecipeFile
from stillhouse.students.seeds import SEEDS
from tests.faults.bench import Bench, Plant
from tests.faults.plants import (
    EXPORT,
    ONE,
    as_trained_before,
    edit_weights,
    shuffled,
)

STUDENT = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}


def trained_with(**training: float) -> Plant:
    """The student, trained in another way."""
    student = {"name": "one", "layers": [0], "training": {"max_tokens": 32, **training}}
    return lambda bench: bench.up_to(ONE, students=[student])


def shuffled_targets(bench: Bench) -> RecipeFile:
    bench.patch("stillhouse.students.examples:logits_of", lambda real: lambda frame: shuffled(real(frame)))
    bench.build_again()
    return bench.recipe()


def trained_in_secret(bench: Bench) -> RecipeFile:
    """A student that learns from nothing, whose weights are other ones than the teacher's."""

    def cut_and_nudged(real: Any) -> Any:
        def cut(teacher: Path, student: Any, texts: Any, out: Path) -> Any:
            trim = real(teacher, student, texts, out)
            edit_weights(out, nudge)
            return trim

        return cut

    file = bench.up_to(ONE, students=[{"name": "one", "layers": [0], "learns_from": "nothing"}])
    bench.patch("stillhouse.stages.candidates:cut_from", cut_and_nudged)
    return file


def nudge(weights: dict[str, np.ndarray]) -> None:
    weights["classifier.bias"] = weights["classifier.bias"] + np.float32(1e-3)


TWICE = {"students": [{**STUDENT, "more_seeds": [1]}]}


def trained_twice_and(edit: Callable[[Path], None]) -> Plant:
    """A student with a further seed, whose trainings give what the finished one gave, with something done to it."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.up_to(ONE, **TWICE)
        bench.patch("stillhouse.models.training:train", as_trained_before(ONE, edit, bench))
        return file

    return plant


def of_a_further_seed(edit: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: edit(folder) if folder.parent.name == SEEDS else None


def shifted(path: Path, out: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write an ONNX file again with another bias of the classifier."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    (bias,) = [item for item in model.graph.initializer if item.name.endswith("classifier.bias")]
    bias.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(bias)), bias.name))
    onnx.save(model, out)


def shifts_all_logits(path: Path) -> None:
    shifted(path, path, lambda bias: bias + np.float32(0.01))


def quantises_something_else(real: Any) -> Any:
    def write_precision(precision: Precision, onnx: Path, out: Path, **how: Any) -> None:
        other = onnx.with_name("other.onnx")
        shifted(onnx, other, lambda bias: bias + np.linspace(0, 20, len(bias), dtype=np.float32))
        real(precision, other, out, **how)

    return write_precision


def leaves_no_temperature(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.pop("temperature")
    (folder / "config.json").write_text(json.dumps(config))


def export_of_a_further_seed_shifted(bench: Bench) -> RecipeFile:
    def put(real: Any) -> Any:
        def export_onnx(model: Path, out: Path) -> None:
            real(model, out)
            of_a_further_seed(lambda _: shifts_all_logits(out))(model)

        return export_onnx

    file = bench.up_to(EXPORT, **TWICE)
    bench.patch("stillhouse.models.export:export_onnx", put)
    return file
