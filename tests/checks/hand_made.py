"""A gate asked as a function: on an artifact, a recipe and inputs that are made by hand, in milliseconds.

Belongs here: what stands in for an artifact and for the installation that it is in.
Does not: what a gate should find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from checks.gate import Finding, Gate, GateContext
from stillhouse.device import CPU, Device
from stillhouse.home import CHECKOUT
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import read_recipe
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.manifest import address
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.statistics.verdicts import Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
DEMO = read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").recipe


def recipe(**changes: Any) -> Recipe:
    """The demo's recipe with other values: dotted fields, with two underscores for each dot."""
    values = DEMO.model_dump()
    for name, value in changes.items():
        *parents, last = name.split("__")
        part = values
        for parent in parents:
            part = part[parent]
        part[last] = value
    return Recipe.model_validate(values)


def stored_recipe(**changes: Any) -> Recipe:
    """The demo's recipe with a teacher that answered elsewhere, and other values besides."""
    teacher = {
        "kind": "stored", "source": "replies.jsonl", "revision": "October", "licence": "its terms",
        "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8,
    }  # fmt: skip
    base = {"source": "encoder", "revision": "1", "licence": "Apache-2.0"}
    students = [{"name": "one", "layers": [0], "training": {"loss": "kl"}}]
    asked = {"teacher": teacher, "base": base, "students": students, "budget": {"latency_ms_at_most": 20}}
    return recipe(**{**asked, "economics": None, **changes})


def language_model_recipe(**causal_lm: Any) -> Recipe:
    """The demo's recipe with a language model of this machine as its teacher, and what is said of that."""
    own = {"kind": "causal_lm", "source": "lm", "revision": "1", "training": None, "fingerprint": None}
    return stored_recipe(teacher={**DEMO.teacher.model_dump(), **own, "causal_lm": causal_lm})


def ensemble_recipe(**member: Any) -> Recipe:
    """The demo's recipe with a teacher of two members, and other values of the second."""
    one = {
        "source": "encoder", "revision": "1", "licence": "MIT", "training_on_outputs": "allowed",
        "reason": "It answers today.", "minimum_accuracy": 0.5, "training": {"loss": "labels"},
    }  # fmt: skip
    members = {"one": one, "two": {**one, **member}}
    teacher = {
        "kind": "ensemble", "ensemble": {"members": members}, "reason": "Two see more.", "minimum_accuracy": 0.5,
    }  # fmt: skip
    students = [{"name": "small", "layers": [0], "training": {"loss": "kl"}}]
    base = {"source": "encoder", "revision": "1", "licence": "Apache-2.0"}
    asked = {"teacher": teacher, "base": base, "students": students, "budget": {"latency_ms_at_most": 20}}
    return recipe(**asked, economics=None)


def teacher_facts(**changes: Any) -> TeacherFacts:
    """Facts of an encoder that was right on 90 of 100 validation rows, with other values."""
    return TeacherFacts(
        **{
            "kind": TeacherKind.ENCODER, "fingerprint": "f" * 64, "base_fingerprint": "b" * 64, "parameters": 1,
            "labels": ("A", "B"), "temperature": 1.0, "validation_right": 90, "validation_rows": 100, **changes,
        }
    )  # fmt: skip


def said_facts(**changes: Any) -> SaidFacts:
    """Facts of what a teacher elsewhere said, with other values."""
    return SaidFacts(**{"texts": 100, "failures": {}, "accuracy": 0.9, **changes})


def artifact(
    facts: Any = None,
    frames: Mapping[str, pl.DataFrame] | None = None,
    *,
    stage: str = "prompts",
    batch: str | None = "base",
    digest: str = "d" * 64,
    folder: Path = Path("/nowhere"),
    **manifest: Any,
) -> Any:
    """Stands in for an artifact of the recipe `small`; further arguments are fields of its manifest."""
    asset = f"small/{stage}"
    return SimpleNamespace(
        facts=lambda record: facts,
        frame=(frames or {}).__getitem__,
        folder=folder,
        asset=asset,
        batch=batch,
        address=address(asset, batch),
        digest=digest,
        manifest=SimpleNamespace(
            **{"asset": asset, "digest": digest, "address": address(asset, batch), "external_inputs": {}, **manifest}
        ),
    )


@dataclass
class Installation:
    """Stands in for an installation.

    Args:
        made_from: by stage, what the artifact was made from: one, or one for each batch.
        ledger: of the installation.
        store: of the installation.
        home: of the installation.
        artifacts: by digest.
        device: where it computes.
    """

    made_from: Mapping[str, Any] = field(default_factory=dict)
    ledger: Any = None
    store: Any = None
    home: Any = None
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    device: Device = CPU

    def inputs_of(self, artifact: Any, stage: str) -> list[Any]:
        found = self.made_from[stage]
        return list(found) if isinstance(found, (list, tuple)) else [found]

    def artifact(self, digest: str, identity: str) -> Any:
        return self.artifacts[digest]


def context(
    looked_at: Any = None,
    *,
    recipe: Recipe = DEMO,
    batches: Sequence[str] = (),
    occasion: str | None = None,
    **installation: Any,
) -> GateContext:
    """What a gate is asked with; further arguments are of the installation."""
    file: Any = SimpleNamespace(name="small", recipe=recipe, where=lambda *field: ".".join(map(str, field)))
    builds: Any = Installation(**installation)
    return GateContext(file, artifact() if looked_at is None else looked_at, builds, tuple(batches), occasion)


def ask(gate: Gate, looked_at: Any = None, **asked: Any) -> Finding:
    """What a gate finds; see `context`."""
    return gate.evaluate(context(looked_at, **asked))


def answer_of(gate: Gate, looked_at: Any = None, **asked: Any) -> tuple[Verdict, str]:
    """Verdict and sentence of a gate; see `context`."""
    finding = ask(gate, looked_at, **asked)
    return finding.verdict, finding.sentence


def measured(gate: Gate, looked_at: Any = None, **asked: Any) -> tuple[float | None, float | None]:
    """The number that decided, and its limit, which the UI draws over time; see `context`."""
    finding = ask(gate, looked_at, **asked)
    return finding.observed, finding.limit
