"""A stage is made again when code that decides its content was changed, and for no other change."""

from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import read_recipe
from stillhouse.source_code import closure
from stillhouse.stages.names import kind_of, stage_names
from stillhouse.stages.versions import BY_VALUE, SAYS_AND_FINDS, code_version

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"


def source_of(kind: str) -> set[str]:
    files = closure(f"stillhouse.stages.{kind}", (*BY_VALUE, *SAYS_AND_FINDS))
    return {str(file.relative_to(CHECKOUT / "stillhouse")) for file in files}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "counts", "does_not"),
    [
        (
            "evaluation",
            {"models/predictor.py", "statistics/verdicts.py"},
            {"report/document.py", "data/cleaning.py"},
        ),
        (
            "baselines",
            {"models/predictor.py", "models/weights.py", "students/pruning.py"},
            {"report/document.py"},
        ),
        ("teacher", {"models/training.py", "models/weights.py"}, {"data/cleaning.py", "evaluation/harness.py"}),
        ("candidates", {"students/pruning.py", "models/losses.py"}, {"evaluation/harness.py", "models/weights.py"}),
        ("prompts", {"data/near_duplicates.py"}, {"data/sources.py", "models/training.py"}),
        (
            "selection",
            {"report/document.py", "report/report.html.j2", "report/figures/slices.py", "evaluation/selection.py"},
            {"release/bundle.py"},
        ),
    ],
)
def test_what_a_stage_runs_counts_and_what_it_does_not_run_does_not(
    kind: str, counts: set[str], does_not: set[str]
) -> None:
    found = source_of(kind)
    assert counts <= found and not does_not & found
    assert "__init__.py" not in found, "what a notebook finds by name is no reason to make anything again"
    assert all((CHECKOUT / "stillhouse" / name).exists() for name in does_not)


@pytest.mark.long
def test_every_stage_has_a_module_of_its_kind_and_a_version_of_its_own() -> None:
    recipe = read_recipe(DEMO).recipe
    versions = {kind_of(stage): code_version(stage) for stage in stage_names(recipe)}
    assert len(set(versions.values())) == len(versions) == 14


def test_no_stage_depends_on_how_another_one_works_but_the_last_ones() -> None:
    """What is read of another stage are its facts; only what is released depends on how it was chosen."""
    kinds = {kind_of(stage) for stage in stage_names(read_recipe(DEMO).recipe)}
    for kind in kinds:
        others = {Path(name).stem for name in source_of(kind) if name.startswith("stages/")} & kinds - {kind}
        assert others <= ({"selection"} if kind in ("release", "champion") else set()), kind
