"""Ways to plant a fault: rows with something done to them, a stage made anew with a mistake in it.

Belongs here: what more than one file of faults uses.
Does not: the faults, the place where they are planted (bench.py).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stillhouse.models.checkpoint import EpochReport
from stillhouse.models.training import TrainingReport
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CONTRACT, MODEL, PROMPTS, SOURCE, candidate, export
from tests.faults.bench import Bench, Plant, rows

MARCH = "march.csv"
FEW = 150


def changed(**changes: Any) -> Plant:
    """A recipe that says something else, on real rows."""
    return lambda bench: bench.recipe(rows(FEW), **changes)


def on(make: Callable[[pl.DataFrame], pl.DataFrame | bytes], number: int = FEW, **changes: Any) -> Plant:
    """Real rows with something done to them."""
    return lambda bench: bench.recipe(make(rows(number)), **changes)


def as_bytes(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def with_text(text: pl.Expr, where: pl.Expr | None = None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Replace the text of some rows."""
    new = text if where is None else pl.when(where).then(text).otherwise("question")
    return lambda frame: frame.with_columns(new.alias("question"))


def beside_a_golden_file(
    make: Callable[[pl.DataFrame], pl.DataFrame], golden_share: float = 0.7, **changes: Any
) -> Plant:
    """Real rows, and other ones that people labelled in a file of their own, with something done to those."""

    def plant(bench: Bench) -> RecipeFile:
        golden = bench.place.folder / "audited.csv"
        make(rows(200, skip=600)).write_csv(golden)
        split = {"key": "small", "golden_share": golden_share, "validation_share": round(1 - golden_share, 2)}
        return bench.recipe(rows(400), **{"data__golden": str(golden), "split": split, **changes})

    return plant


def every(nth: int) -> pl.Expr:
    """One row of so many."""
    return pl.int_range(pl.len()) % nth == 0


QUESTION = pl.col("question")


def cut_in_a_quote(frame: pl.DataFrame) -> bytes:
    quoted = with_text(QUESTION + ", please", every(2))(frame)
    content = as_bytes(quoted)
    return content[: content.rindex(b", please") + 4]


def column(name: str, usual: str, odd: str | None, share: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """A further column in which one row of so many has another value."""
    value = pl.when(every(share)).then(pl.lit(odd)).otherwise(pl.lit(usual))
    return lambda frame: frame.with_columns(value.alias(name))


def dropped(content: Callable[[pl.DataFrame], pl.DataFrame | bytes], number: int = 60, **changes: Any) -> Plant:
    """A later batch beside a base batch that is as it should be."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.recipe(rows(400), **changes)
        bench.must_run(file, CONTRACT, SOURCE, PROMPTS)
        bench.drop(content(rows(number, skip=400)), MARCH)
        return file

    return plant


ONE, EXPORT = candidate("one"), export("one")


NOBODY = "0" * 64


def patched(target: str, put: Callable[[Any], Any]) -> Plant:
    """Make the stage again with one function replaced."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch(target, put)
        bench.build_again()
        return bench.recipe()

    return plant


def afterwards(edit: Callable[[Path], None]) -> Callable[[Any], Any]:
    """A function that writes the folder that is its second argument, and what happens to that folder then."""

    def put(real: Any) -> Any:
        def done(source: Path, out: Path, *rest: Any, **how: Any) -> Any:
            report = real(source, out, *rest, **how)
            edit(out)
            return report

        return done

    return put


def edit_weights(folder: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Write the weights of a model folder again, changed."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    edit(weights)
    path.unlink()
    save_file(weights, path)


def with_exchanged_weights(bench: Bench) -> RecipeFile:
    """At the teacher's source and revision lie other weights of the same shape."""
    other = bench.place.folder / "exchanged"
    shutil.copytree(bench.finished / "teacher", other)
    edit_weights(other, noisy)
    bench.patch("stillhouse.models.pretrained:resolve_model", lambda real: lambda source, revision=None: other)
    return bench.recipe()


def noisy(weights: dict[str, np.ndarray]) -> None:
    generator = np.random.default_rng(0)
    for name, values in weights.items():
        if values.ndim > 1:
            weights[name] = (values + 0.02 * values.std() * generator.standard_normal(values.shape)).astype(
                values.dtype
            )


def flip_a_bit(bench: Bench, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    bench.rewrite(path, bytes(content))


def altered(stage: str, name: str) -> Plant:
    """One bit of a published file, long after its gates were passed."""

    def plant(bench: Bench) -> RecipeFile:
        flip_a_bit(bench, bench.newest(stage).folder / name)
        return bench.recipe()

    return plant


def as_trained_before(stage: str, edit: Callable[[Path], None], bench: Bench) -> Callable[[Any], Any]:
    """A training that gives at once what an earlier one gave, with something done to it."""
    published = bench.newest(stage)

    def put(_: Any) -> Any:
        def train(start: Path, out: Path, *rest: Any, **how: Any) -> TrainingReport:
            shutil.copytree(published.folder / MODEL, out, copy_function=shutil.copyfile)
            edit(out)
            facts = published.manifest.facts["training"]
            return TrainingReport(**{**facts, "epochs": [EpochReport(**e) for e in facts["epochs"]]}, resumed_at=0)

        return train

    return put


def trained_and(stage: str, edit: Callable[[Path], None]) -> Plant:
    """A training after which something happens to the weights."""

    def plant(bench: Bench) -> RecipeFile:
        bench.patch("stillhouse.models.training:train", as_trained_before(stage, edit, bench))
        bench.build_again()
        return bench.recipe()

    return plant


def not_a_number(weights: dict[str, np.ndarray]) -> None:
    weights["classifier.weight"] = weights["classifier.weight"].copy()
    weights["classifier.weight"][0, 0] = np.nan


def shuffled(values: np.ndarray) -> np.ndarray:
    return values[np.random.default_rng(0).permutation(len(values))]


def leaves_a_pickle(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"\x80\x04N.")
