"""Which source decides the content of which stage, and so the version of its code.

Belongs here: the one table, and the version of a stage.
Does not: how source is digested (stillhouse/source_code.py), the version of a gate (checks/gate.py).

A stage whose artifact was made by another version is stale: it is made again, and nothing is read from it until then.
"""

from pathlib import Path

from stillhouse.home import CHECKOUT
from stillhouse.source_code import code_digest
from stillhouse.stages import names

JUDGING = (
    *(f"stillhouse/recipe/{part}" for part in ("bar", "economics")),
    *(f"stillhouse/evaluation/{part}" for part in ("claims", "harness", "models", "measures", "slices")),
    "stillhouse/statistics",
    "stillhouse/wording",
    "stillhouse/economics",
    "stillhouse/data/splits",
    "assets/bench",
)
"""Source that decides a judgement: of the evaluation all but what chooses among the judged and what is drawn."""

CODE_OF: dict[str, tuple[str, ...]] = {
    names.CONTRACT: (
        "assets/contract",
        "stillhouse/recipe",
        "stillhouse/models/weights",
        "stillhouse/models/memory",
    ),
    names.SOURCE: (
        "assets/source",
        *(
            f"stillhouse/data/{part}"
            for part in ("dropped", "sources", "places", "formats", "limits", "provenance", "rejects")
        ),
        "stillhouse/packages",
    ),
    names.PROMPTS: ("assets/prompts", "stillhouse/data"),
    names.TEACHER: (
        "assets/teacher",
        "stillhouse/teachers/classifier",
        "stillhouse/models",
        "stillhouse/packages",
    ),
    names.BASELINES: (
        "assets/baselines",
        *JUDGING,
        "stillhouse/evaluation/baselines",
        *(f"stillhouse/models/{part}" for part in ("export", "temperature_scaling")),
        "stillhouse/students/pruning",
    ),
    names.TEACHER_SIGNAL: (
        "assets/teacher_signal",
        *(f"stillhouse/teachers/{part}" for part in ("signal", "answers", "review")),
        *(f"stillhouse/models/{part}" for part in ("predictor", "network", "tokenization")),
    ),
    names.TRANSFER_SET: ("assets/transfer_set", "stillhouse/teachers/verification", "stillhouse/teachers/answers"),
    names.CANDIDATES: ("assets/candidates", "assets/seeds", "stillhouse/students", "stillhouse/models"),
    names.EXPORTS: (
        "assets/exports",
        "assets/seeds",
        *(f"stillhouse/models/{part}" for part in ("export", "network", "predictor", "temperature_scaling")),
    ),
    names.EVALUATION: ("assets/evaluation", *JUDGING, "stillhouse/evaluation/comparison", "assets/seeds"),
    names.REASONS: (
        "assets/reasons",
        *JUDGING,
        "stillhouse/error_analysis",
        "stillhouse/students",
        "stillhouse/models",
        "stillhouse/teachers/answers",
        "assets/candidates",
    ),
    names.SELECTION: (
        "assets/selection",
        "assets/bench",
        "stillhouse/records/champions",
        "stillhouse/evaluation",
        "stillhouse/statistics",
        "stillhouse/wording",
        "stillhouse/recipe/bar",
        "stillhouse/error_analysis",
        "stillhouse/report",
        *(f"stillhouse/models/{part}" for part in ("predictor", "tokenization")),
    ),
    names.RELEASE: ("assets/release", "stillhouse/release"),
    names.CHAMPION: ("assets/champion", "stillhouse/records/champions"),
}
"""Modules and packages below the checkout, by kind of stage; the first is the stage's own module."""


def code_version(stage: str) -> str:
    """Version of the code of a stage such as `prompts` or `candidates/small`."""
    return code_digest(*(source_path(name) for name in CODE_OF[names.kind_of(stage)]))


def source_path(name: str) -> Path:
    """The module or package of a name such as `stillhouse/data` or `assets/bench`."""
    path = CHECKOUT / name
    return path if path.is_dir() else path.with_suffix(".py")
